"""A communicator of MPI between threads of one process: what ``MPITransport`` asks of one, and no more.

So the transport runs where a debugger and planted faults reach it; ``mpi_worker`` runs it over MPI.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Request:
    """Complete as soon as all that it waits for is there."""

    def __init__(self, ready, finish):
        self.ready, self.finish = ready, finish

    def Test(self):
        if not self.ready():
            return False
        self.finish()
        return True


class Communicator:
    """Of one rank; ``world`` holds what all have sent: (call, its number, sender) -> content."""

    def __init__(self, world, size, rank):
        self.world, self.size, self.rank, self.calls = world, size, rank, Counter()

    def Dup(self):
        return self

    def Set_errhandler(self, handler):
        self.handler = handler

    def Create_dist_graph_adjacent(self, sources, targets, reorder):
        assert not reorder
        self.sources, self.targets = sources, targets
        return self

    def Ineighbor_alltoallv(self, send, receive):
        (buffer, counts, starts, _), (arrived, expected, places, _) = send, receive
        sent = {t: buffer[a : a + n] for t, n, a in zip(self.targets, counts, starts, strict=True)}

        def finish(found):
            from mpi4py import MPI

            for source, n, a in zip(self.sources, expected, places, strict=True):
                part = found[source][self.rank]
                if len(part) > n:
                    raise MPI.Exception(MPI.ERR_TRUNCATE)
                arrived[a : a + len(part)] = part

        return self._begin("exchange", sent, self.sources, finish)

    def Iallgatherv(self, send, receive):
        def finish(found):
            assert [len(found[rank]) for rank in range(self.size)] == list(receive[1])
            receive[0][:] = np.concatenate([found[rank] for rank in range(self.size)])

        return self._begin("gather", send[0].copy(), range(self.size), finish)

    def Ibarrier(self):
        return self._begin("barrier", None, range(self.size), lambda found: None)

    def _begin(self, call, content, sources, finish):
        number, world = self.calls[call], self.world
        self.calls[call] += 1
        world[call, number, self.rank] = content

        def found():
            return {s: world[call, number, s] for s in sources}

        return Request(lambda: all((call, number, s) in world for s in sources), lambda: finish(found()))


def on_ranks(size, work):
    """What ``work`` returns on each rank, or the exception that it ends with."""
    world = {}

    def one(rank):
        try:
            return work(Communicator(world, size, rank))
        except Exception as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))

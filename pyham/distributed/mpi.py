"""The transport over MPI: ``MPITransport``, on mpi4py's neighbourhood collectives, and how a run ends when it fails.

Each rank has some of the nodes. The ranks are joined in a distributed graph communicator whose edges are those between
nodes on different ranks; a round is one nonblocking ``Ineighbor_alltoallv``. A message carries a header of four
numbers, layer, sender, receiver and bytes, so that what arrives is known to be what was meant. Waiting has a deadline.

What a rank can say when another one dies depends on the launcher. MPICH's ``mpiexec`` kills all others at once, within
a second, and prints which process was first; ``mpiexec.gforker``, of the same package, interrupts them, and each prints
where it was. Either way the run ends, and the checkpoint is the last whole one.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.graphs import Graph, union
from pyham.distributed.transport import Hop, Place, Traffic, Transport, TransportError

Array = np.ndarray[Any, Any]

HEADER = np.dtype([("layer", "<i4"), ("sender", "<i4"), ("receiver", "<i4"), ("bytes", "<i4")])
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class MPITransport(Transport):
    """Nodes shared out among the ranks of a communicator, in order, as evenly as can be.

    Parameters
    ----------
    graphs : the graph of each layer, and of what comes after the last
    timeout : seconds that a rank waits for others in a round
    comm : an mpi4py communicator; None for all processes

    Raises
    ------
    ImportError
        If mpi4py is not installed: pip install "pyham[mpi]".
    ValueError
        If there are more ranks than nodes.
    """

    def __init__(self, graphs: Sequence[Graph], timeout: float = 20.0, comm: Any = None) -> None:
        try:
            from mpi4py import MPI  # here, because importing it starts MPI
        except ImportError as error:
            raise ImportError(f'transport: expected mpi4py, pip install "pyham[mpi]", got {error}') from None

        self.mpi, self.timeout = MPI, _check.positive("timeout", timeout)
        self.comm = (MPI.COMM_WORLD if comm is None else comm).Dup()
        self.rank, ranks, M = self.comm.rank, self.comm.size, len(graphs[0])
        if ranks > M:
            raise ValueError(f"ranks: expected at most one for each of {M} nodes, got {ranks}")
        self.shares = [tuple(part.tolist()) for part in np.array_split(np.arange(M), ranks)]
        super().__init__(graphs, self.shares[self.rank])
        self.home = np.repeat(np.arange(ranks), [len(share) for share in self.shares]).tolist()
        every = union(self.graphs).edges
        self.sources = sorted({self.home[s] for s, r in every if self.home[r] == self.rank} - {self.rank})
        self.targets = sorted({self.home[r] for s, r in every if self.home[s] == self.rank} - {self.rank})
        self.neighbours = self.comm.Create_dist_graph_adjacent(self.sources, self.targets, reorder=False)
        for each in (self.comm, self.neighbours):
            each.Set_errhandler(MPI.ERRORS_RETURN)
        self.doing = "setting up"
        self._plans: dict[int, tuple[Sequence[Hop], list[list[Hop]], list[list[Hop]]]] = {}

    def deliver(
        self, name: str, hops: Sequence[Hop], place: Place, columns: int, sent: dict[tuple[int, int], Array]
    ) -> dict[tuple[int, int], Array]:
        self.doing = f"{place}, {name}"
        outgoing, incoming = self._plan(hops)
        width = columns * self.dtype.itemsize
        lines = [[self._packed(place, hop, sent[hop.sender, hop.receiver]) for hop in group] for group in outgoing]
        buffer = b"".join(part for line in lines for part in line)
        counts = [sum(map(len, line)) for line in lines]
        expected = [sum(HEADER.itemsize + hop.rows * width for hop in group) for group in incoming]
        arrived = bytearray(sum(expected))
        self._wait(
            self.neighbours.Ineighbor_alltoallv,
            [buffer, counts, _starts(counts), self.mpi.BYTE],
            [arrived, expected, _starts(expected), self.mpi.BYTE],
            [hop for group in incoming for hop in group],
        )
        here = {pair: message for pair, message in sent.items() if self.home[pair[1]] == self.rank}
        start = 0
        for hop in (hop for group in incoming for hop in group):
            stated = np.frombuffer(arrived, HEADER, 1, start)[0].tolist()
            size = hop.rows * width
            if stated != (place.layer, hop.sender, hop.receiver, size):
                raise self.error(
                    name, place, hop,
                    f"expected (layer, sender, receiver, bytes) {(place.layer, hop.sender, hop.receiver, size)}, "
                    f"got {stated}",
                )  # fmt: skip
            start += HEADER.itemsize
            flat = np.frombuffer(arrived, self.dtype, hop.rows * columns, start)
            here[hop.sender, hop.receiver] = flat.reshape(hop.rows, columns)
            start += size
        return here

    def gather(self, flat: Array, sizes: Sequence[int]) -> Array:
        self.doing = "gathering"
        counts = [sum(sizes[i] for i in share) for share in self.shares]
        whole = np.empty(sum(counts), flat.dtype)
        self._wait(
            self.comm.Iallgatherv,
            [flat.view(np.uint8), self.mpi.BYTE],
            [whole.view(np.uint8), [c * flat.itemsize for c in counts], self.mpi.BYTE],
            [],
        )
        return whole

    def total(self) -> Traffic:
        kinds = list(self.traffic.kinds)  # in the same order everywhere
        own = [self.traffic.messages, self.traffic.bytes, np.array([self.traffic.kinds[k] for k in kinds], np.int64)]
        flat = np.concatenate([a.ravel() for a in own])
        sizes = [len(flat) if i == share[0] else 0 for share in self.shares for i in share]
        summed = self.gather(flat, sizes).reshape(len(self.shares), -1).sum(axis=0)
        total, M = Traffic(len(self.graphs[0])), len(self.graphs[0])
        total.messages, total.bytes = summed[: 2 * M * M].reshape(2, M, M)
        for name, (_, messages, size) in zip(kinds, summed[2 * M * M :].reshape(-1, 3).tolist(), strict=True):
            total.kinds[name] = [self.traffic.kinds[name][0], messages, size]  # all take part in the same rounds
        return total

    def finish(self) -> None:
        """Wait for all ranks, for as long as it takes; then each may do for itself what takes long, or end.

        A rank that has all it needs from a collective may owe others the rest of theirs, and pays it only within MPI.
        """
        self.doing = "finishing"
        self._wait(lambda *_: self.comm.Ibarrier(), None, None, [], patient=True)

    def _plan(self, hops: Sequence[Hop]) -> tuple[list[list[Hop]], list[list[Hop]]]:
        """What goes to each neighbouring rank, and what comes from each; the same order on both sides."""
        if id(hops) not in self._plans:
            remote = [hop for hop in hops if self.home[hop.sender] != self.home[hop.receiver]]
            mine = [hop for hop in remote if self.home[hop.sender] == self.rank]
            theirs = [hop for hop in remote if self.home[hop.receiver] == self.rank]
            outgoing = [[hop for hop in mine if self.home[hop.receiver] == rank] for rank in self.targets]
            incoming = [[hop for hop in theirs if self.home[hop.sender] == rank] for rank in self.sources]
            self._plans[id(hops)] = hops, outgoing, incoming  # with hops, whose identity would else be another's
        return self._plans[id(hops)][1:]

    def _packed(self, place: Place, hop: Hop, message: Array) -> bytes:
        header = np.array([(place.layer, hop.sender, hop.receiver, message.nbytes)], HEADER)
        return header.tobytes() + message.tobytes()

    def _wait(self, start: Any, send: Any, receive: Any, hops: Sequence[Hop], *, patient: bool = False) -> None:
        """Start a collective and see it through, or say what is missing when the time is over."""
        expected = f"messages from nodes {sorted({hop.sender for hop in hops}) or 'of all ranks'}"
        try:
            request = start(send, receive)
            deadline = time.monotonic() + (np.inf if patient else self.timeout)
            while not request.Test():
                os.sched_yield()  # there may be more ranks than processors
                if time.monotonic() > deadline:
                    late = f"within {self.timeout:g} s, got not all of them"
                    raise TransportError(f"{self.doing}: expected {expected} {late}")
        except self.mpi.Exception as error:
            raise TransportError(f"{self.doing}: expected {expected}, got {error}") from None


@contextmanager
def guarded(transport: MPITransport) -> Iterator[None]:
    """Run with ``transport``; whatever ends it early ends the whole run, each rank saying where it was if it can.

    Exit code 1, at once: finalising MPI would wait for ranks that are no more. Its launcher then ends the others.
    """

    def interrupted(number: int, frame: Any) -> None:
        raise TransportError(f"{transport.doing}: ended by {signal.Signals(number).name}: another rank has failed")

    before = {number: signal.signal(number, interrupted) for number in SIGNALS}
    try:
        yield
    except BaseException as error:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # this one is ending already
        nodes = ", ".join(map(str, transport.nodes))
        os.write(2, f"rank {transport.rank}, nodes {nodes}: {type(error).__name__}: {error}\n".encode())
        sys.stdout.flush()
        os._exit(1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _starts(counts: Sequence[int]) -> list[int]:
    return np.cumsum([0, *counts]).tolist()[:-1]

"""A batch cut into blocks of samples, and the threads that work through them."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

from pyham import _check

BLOCKS = 16  # at most: more than the threads of most machines, so that a slow one does not hold up the others
WORTHWHILE = 2_000_000  # operations of a block, about 0.05 ms: with fewer, waking a thread takes longer than it saves
PARTIAL = 256 << 20  # bytes of partial sums: with gradients of many stages, there are fewer blocks

_threads = 0


def set_num_threads(threads: int) -> None:
    """Let the compiled engine use this many threads (at first: all cores). Results do not depend on it.

    Raises
    ------
    TypeError, ValueError
        If it is no positive integer.
    """
    global _threads
    _threads = _check.integer("threads", threads, 1)


def get_num_threads() -> int:
    """How many threads the compiled engine uses."""
    return _threads or _cores()


@lru_cache(maxsize=1)
def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Cut:
    """A batch cut into blocks of whole tiles. The cut depends on the arguments alone, never on the threads.

    Parameters
    ----------
    batch : samples
    tile : samples of a tile
    work : operations on the whole batch, roughly
    partial : bytes of partial sums that each block keeps
    room : bytes of partial sums of all blocks; PARTIAL, if not given
    """

    def __init__(self, batch: int, tile: int, *, work: int, partial: int, room: int | None = None) -> None:
        self.batch, self.tile, self.tiles = batch, tile, -(-batch // tile)
        most = max(1, min(BLOCKS, work // WORTHWHILE, (room or PARTIAL) // max(1, partial)))
        self.size = tile * max(1, -(-self.tiles // most))
        self.count = -(-batch // self.size)

    def run(self, task: Callable[[int, int, int], None]) -> None:
        """task(lo, hi, number) for every block, by this thread and by others."""
        if self.count == 1:
            task(0, self.batch, 0)
            return
        todo = deque((b * self.size, min((b + 1) * self.size, self.batch), b) for b in range(self.count))

        def work() -> None:
            while True:
                try:
                    block = todo.popleft()
                except IndexError:
                    return
                task(*block)

        threads = get_num_threads()
        pool = _pool(os.getpid(), threads - 1)
        others = [pool.submit(work) for _ in range(min(threads, self.count) - 1)]
        try:
            work()
        finally:  # after an exception too, nobody may go on writing to arrays that the caller thinks finished
            todo.clear()
            wait(others)
        for other in others:
            other.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The other threads of this process (a forked child makes its own)."""
    return ThreadPoolExecutor(max(1, threads), thread_name_prefix="pyham")

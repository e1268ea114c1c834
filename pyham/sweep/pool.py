"""``Processes``: a pool on this machine whose workers share its cores and end with the process that made it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from pyham.engines.compiled import threads

P = ParamSpec("P")
T = TypeVar("T")

#: What numerical libraries read when they are loaded.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Processes(ProcessPoolExecutor):
    """Spawned processes with as many threads each, of pyham and of BLAS, as leave every thread a core.

    Spawned and not forked: a fork copies locks that other threads hold. Ctrl-C is for the parent to deal with.

    Raises
    ------
    TypeError, ValueError
        If ``jobs`` is no positive integer.
    """

    def __init__(self, jobs: int) -> None:
        self.threads = max(1, threads.get_num_threads() // jobs)
        context = multiprocessing.get_context("spawn")
        super().__init__(jobs, mp_context=context, initializer=_begin, initargs=(self.threads,))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As every executor's; a worker starts in here, and reads the environment as it does."""
        with _environment(dict.fromkeys(VARIABLES, str(self.threads))), _without_interrupts():
            return super().submit(fn, *args, **kwargs)

    def kill(self) -> None:
        """End all workers at once."""
        for process in list((self._processes or {}).values()):
            process.kill()
        self.shutdown(wait=True, cancel_futures=True)


def _begin(count: int) -> None:
    """In a worker, before its first run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True, name="end with parent").start()
    threads.set_num_threads(count)


def _follow() -> None:
    """Wait for the parent's end; without this, workers of a killed parent would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C held back for a while; a process that starts meanwhile, and has not begun yet, does not hear of it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables set for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

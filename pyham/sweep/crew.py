"""Who does the runs of a sweep, ``Crew``: an executor that is made anew when its workers die; and what it reports."""

import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor as Broken
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pyham.sweep.pool import Processes

STARTS = 5  # how often workers may die before their first run: somebody may be killing them


class Attempt(NamedTuple):
    """What a worker sends back: the result as JSON or the error in words, and what goes into the log."""

    text: str | None
    error: str | None
    note: dict[str, Any]


def attempt(function: Callable[[dict[str, Any]], Any], run: dict[str, Any]) -> Attempt:
    """In a worker: ``function(run)``, whatever becomes of it."""
    begun = time.perf_counter()
    text = error = None
    note: dict[str, Any] = {}
    try:
        text = json.dumps(function(run), sort_keys=True, allow_nan=False)
    except (Exception, SystemExit) as problem:
        error = f"{type(problem).__name__}: {problem}"
        note["traceback"] = traceback.format_exc()
    note |= {"seconds": round(time.perf_counter() - begun, 4), "worker": f"{os.getpid()} on {socket.gethostname()}"}
    return Attempt(text, error, note)


def ready(function: object) -> int:
    """In a worker: it has started, and has imported ``function``."""
    return os.getpid()


class Crew:
    """An executor, given or to be made by a call; a context manager.

    Raises
    ------
    RuntimeError
        If workers cannot start or cannot import the function; from ``renew`` if the executor was given.
    """

    def __init__(self, executor: Executor | Callable[[], Executor], function: Callable[[dict[str, Any]], Any]) -> None:
        self._given = isinstance(executor, Executor)
        self._make = executor
        self._function = function
        self._start()

    def submit(self, run: dict[str, Any]) -> Future[Attempt]:
        """Begin a run."""
        return self.executor.submit(attempt, self._function, run)

    def renew(self) -> None:
        """Another executor in the place of one that broke."""
        if self._given:
            raise RuntimeError("executor: expected one that does not break, or a call that makes it anew, got another")
        self._end(at_once=True)
        self._start()

    def _start(self) -> None:
        for _ in range(STARTS):
            self.executor: Executor = self._make if isinstance(self._make, Executor) else self._make()
            try:
                self.executor.submit(ready, self._function).result()
                return
            except Exception as error:
                problem = error
                self._end(at_once=True)
                if self._given or not isinstance(error, Broken):
                    break
        raise RuntimeError(
            f"executor: expected workers that start and import {self._function.__module__}, got "
            f"{type(problem).__name__}: {problem}"
        )

    def _end(self, *, at_once: bool) -> None:
        if self._given:
            return
        if at_once and isinstance(self.executor, Processes):
            self.executor.kill()
        else:
            self.executor.shutdown(wait=not at_once)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._end(at_once=error is not None)


@contextmanager
def progress(name: str, total: int, done: int, visible: bool) -> Iterator[Callable[[bool], None]]:
    """A bar on standard error; what it gives is told of every further run whether it failed."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}")
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), disable=not visible) as bar:
        task = bar.add_task(name, total=total, completed=done, note=f"{done} were there" if done else "")
        failures = 0

        def report(failed: bool) -> None:
            nonlocal failures
            failures += failed
            bar.update(task, advance=1, **({"note": f"{failures} failed"} if failures else {}))  # type: ignore[arg-type]

        yield report

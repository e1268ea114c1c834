"""``run``: a function on many configurations, through any ``concurrent.futures.Executor``.

Workers die: the system may run out of memory, a library may crash. Which of the runs in flight was to blame is then not
known; each of them is done again by itself, and one whose worker dies then too, several times, is recorded as failed.
"""

import itertools
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures import BrokenExecutor as Broken
from dataclasses import dataclass
from os import PathLike
from typing import Any

from pyham import _check
from pyham.engines.compiled.threads import get_num_threads
from pyham.sweep import crew
from pyham.sweep.crew import Attempt, Crew
from pyham.sweep.ledger import Ledger, Outcome, key
from pyham.sweep.pool import Processes

AHEAD = 256  # runs handed at once to an executor of others, who knows how many workers it has

Function = Callable[[dict[str, Any]], Any]
Maker = Callable[[], Executor]


def grid(**options: Any) -> list[dict[str, Any]]:
    """Every combination of the options' values: lists, tuples and ranges hold several, anything else is one."""
    several = {name: v if isinstance(v, (list, tuple, range)) else [v] for name, v in options.items()}
    return [dict(zip(several, values, strict=True)) for values in itertools.product(*several.values())]


def run(
    function: Function,
    runs: Iterable[Mapping[str, Any]],
    path: str | PathLike[str],
    *,
    executor: Executor | Maker | None = None,
    jobs: int | None = None,
    attempts: int = 3,
    again: bool = False,
    ahead: int | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """The outcomes of ``function(run)`` for all ``runs``, in their order; those not yet in the file ``path`` are run.

    Parameters
    ----------
    function : one that workers can import; takes a configuration and returns JSON data without NaN or infinity
    runs : configurations, JSON data, each different
    path : the file; what is in it of other functions and configurations stays
    executor : None for processes on this machine, or an Executor, or what makes one, such as the method
        ``Client.get_executor`` of Dask or the class ``MPIPoolExecutor`` of mpi4py. One that was made here is shut down
        here, and made anew if its workers die; one that was given is not, and the sweep ends when it breaks
    jobs : processes on this machine (as many as cores)
    attempts : how often a run may kill its worker, all by itself, until it is recorded as failed
    again : do again what is recorded as failed
    ahead : runs that an executor is given at a time (jobs, or 256 for an executor of others)
    progress : show it on standard error

    Raises
    ------
    BlockingIOError
        If another sweep writes to the file.
    OSError, ValueError
        If the file cannot be used.
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    RuntimeError
        If workers cannot start or cannot import the function, or a given executor breaks.
    """
    name = _name(function)
    wanted = _configurations(name, runs)
    if jobs is not None and executor is not None:
        raise ValueError(f"jobs: expected none beside an executor, got {jobs}")
    count = get_num_threads() if jobs is None else _check.integer("jobs", jobs, 1)
    _check.integer("attempts", attempts, 1)
    limit = (count if executor is None else AHEAD) if ahead is None else _check.integer("ahead", ahead, 1)

    with Ledger(path) as ledger:
        if again:
            ledger.forget({k for k in wanted if k in ledger.outcomes and ledger.outcomes[k].error is not None})
        missing = deque(k for k in wanted if k not in ledger.outcomes)
        if missing:
            maker = (lambda: Processes(min(count, len(wanted)))) if executor is None else executor
            bar = crew.progress(name, len(wanted), len(wanted) - len(missing), progress)
            with Crew(maker, function) as workers, bar as report:
                _Flight(workers, ledger, name, wanted, missing, limit, attempts, report).fly()
        return [ledger.outcomes[k] for k in wanted]


@dataclass
class _Flight:
    """All missing runs, ``limit`` at a time; those that were in flight when a worker died, one by one."""

    crew: Crew
    ledger: Ledger
    name: str
    wanted: Mapping[str, dict[str, Any]]
    missing: deque[str]
    limit: int
    attempts: int
    report: Callable[[bool], None]

    def __post_init__(self) -> None:
        self.suspects = deque[str]()
        self.flying: dict[Future[Attempt], str] = {}
        self.deaths: Counter[str] = Counter()

    def fly(self) -> None:
        """To the end; every outcome is on the disk before another run takes its place."""
        while self.missing or self.suspects or self.flying:
            whole = self._launch()
            done, _ = wait(self.flying, return_when=FIRST_COMPLETED)
            lost = self._land(done)
            if lost or not whole:
                wait(self.flying)  # a broken executor breaks all that it has
                lost += self._land(set(self.flying))
                self._suspect(lost)
                self.crew.renew()

    def _launch(self) -> bool:
        """Start what may start now; whether the executor took it."""
        queue, limit = (self.suspects, 1) if self.suspects else (self.missing, self.limit)
        while queue and len(self.flying) < limit:
            try:
                self.flying[self.crew.submit(self.wanted[queue[0]])] = queue[0]
            except Broken:
                return False
            queue.popleft()
        return True

    def _land(self, done: set[Future[Attempt]]) -> list[str]:
        """Keep the outcomes of these runs; returns those that came to no end."""
        lost = []
        for future in done:
            k = self.flying.pop(future)
            try:
                attempt = future.result()
            except (Broken, CancelledError):
                lost.append(k)
            except Exception as error:  # the executor's own, such as Dask's of a run whose workers die
                words = str(error).partition("\n")[0]
                self._keep(k, Attempt(None, f"{type(error).__name__}: {words}", {}))
            else:
                self._keep(k, attempt)
        return lost

    def _suspect(self, lost: list[str]) -> None:
        """Runs whose worker may have died: one that was alone is to blame."""
        if len(lost) == 1:
            self.deaths[lost[0]] += 1
            if self.deaths[lost[0]] >= self.attempts:
                self._keep(lost.pop(), Attempt(None, f"the worker died, {self.attempts} times", {}))
        self.suspects.extend(lost)

    def _keep(self, k: str, attempt: Attempt) -> None:
        result = None if attempt.text is None else json.loads(attempt.text)
        outcome = Outcome(self.name, self.wanted[k], result, attempt.error)
        self.ledger.append(outcome, {"when": time.strftime("%Y-%m-%dT%H:%M:%S%z")} | attempt.note)
        self.report(attempt.error is not None)


def _name(function: Function) -> str:
    """module:name, by which workers import the function and the file knows it."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    found: Any = sys.modules.get(str(module))
    for part in str(name).split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise TypeError(f"function: expected one that can be imported, at the top level of a module, got {function!r}")
    return f"{module}:{name}"


def _configurations(name: str, runs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The runs by their keys, as JSON has them."""
    found: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(runs):
        try:
            plain = json.loads(json.dumps(one, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TypeError(f"runs[{number}]: expected JSON data, got {one!r} ({error})") from None
        if not isinstance(plain, dict):
            raise TypeError(f"runs[{number}]: expected a mapping, got {type(one).__name__}")
        if key(name, plain) in found:
            raise ValueError(f"runs[{number}]: expected one that is not there yet, got {plain} again")
        found[key(name, plain)] = plain
    return found

"""What notices a mutant: the tests of its room, each mutant in a fork of a process in which they have run once.

The first run records which lines of the package each test executes, and how long it takes. A mutant then meets only the
tests that reach its statement: those first that caught most of its function's mutants so far, then the quick ones.
"""

import gc
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TextIO

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings

from validation.faults.operators import Mutant
from validation.faults.planting import ROOT, Source, forget

settings.register_profile(  # no shrinking: that an example fails is enough
    "faults", max_examples=25, derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck), database=None,
)  # fmt: skip

PATIENCE = 5.0  # seconds of the processor that a test may take with a mutant, besides ten times as many as without
BUDGET = 10.0  # seconds of tests, measured without a mutant, that a mutant meets at most
MEMORY = 4 << 30  # bytes that a fork may take more
OUTCOMES = {0: "survived", 1: "caught", 3: "not planted", -signal.SIGALRM: "endless", -signal.SIGPROF: "endless"}


class Judge:
    """A plugin that runs mutants in place of the tests: ``jobs`` at a time, a line each to ``ledger``."""

    def __init__(self, sources: dict[str, Source], todo: list[Mutant], ledger: Path, jobs: int) -> None:
        self.sources, self.todo, self.ledger, self.jobs = sources, todo, ledger, jobs
        self.tests: list[Any] = []  # pytest's items, with ``lines`` (file, line) that they execute, and ``seconds``
        self.kills: Counter[tuple[str, str]] = Counter()
        self.running: dict[int, tuple[Mutant, list[Any], int, float]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        forget(look=True)
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            self._record(item, following)
        print(f"{len(self.tests)} tests, {sum(test.seconds for test in self.tests):.0f} s", file=sys.stderr)
        for source in self.sources.values():
            source.look()
        forget(look=True)
        gc.collect()
        gc.freeze()  # what is never looked at again need not be copied by the forks
        with open(self.ledger, "a", encoding="utf-8") as ledger:
            for number, mutant in enumerate(self.todo):
                if len(self.running) == self.jobs:
                    self._collect(ledger)
                tests, (read, write) = self._order(mutant), os.pipe()
                pid = os.fork()
                if pid == 0:
                    self._judge(mutant, tests, write)
                os.close(write)
                self.running[pid] = mutant, tests, read, time.perf_counter()
                if number % 50 == 0:
                    print(f"{number} of {len(self.todo)} mutants", file=sys.stderr, flush=True)
            while self.running:
                self._collect(ledger)
        return True

    def _record(self, item: Any, following: Any) -> None:
        lines: set[tuple[str, int]] = set()
        missing: dict[CodeType, set[int]] = {}

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            code = frame.f_code
            if event == "call" and not code.co_filename.startswith(str(ROOT)):
                return None
            if code not in missing:
                missing[code] = {line for _, _, line in code.co_lines() if line is not None}
            todo = missing[code]
            if event != "return":
                todo.discard(frame.f_lineno)
                lines.add((code.co_filename, frame.f_lineno))
            return trace if todo else None

        forget()
        threading.settrace(trace)
        sys.settrace(trace)
        started = time.process_time()
        reports = runtestprotocol(item, log=False, nextitem=following)
        threading.settrace(sys.settrace(None))  # type: ignore[func-returns-value]
        if all(report.passed for report in reports):
            item.lines, item.seconds = lines, time.process_time() - started
            self.tests.append(item)
        elif any(report.failed for report in reports):
            print(f"left out, it fails: {item.nodeid}", file=sys.stderr)

    def _order(self, mutant: Mutant) -> list[Any]:
        """The tests that reach the mutant, within the budget; of what is executed at import, all."""
        reached = {(str(ROOT / mutant.module), line) for line in range(mutant.lines[0], mutant.lines[1] + 1)}
        found = [test for test in self.tests if mutant.statement is not None or test.lines & reached]
        found.sort(key=lambda test: test.seconds / (1 + 10 * self.kills[mutant.function, test.nodeid]))
        ends = [sum(test.seconds for test in found[: i + 1]) for i in range(len(found))]
        return [test for i, test in enumerate(found) if i == 0 or ends[i] <= BUDGET]

    def _judge(self, mutant: Mutant, tests: list[Any], out: int) -> None:
        """In the fork, which ends: with 0 when no test noticed, with 1 when one did, its number the last in ``out``."""
        status = 1  # where anything escapes, such as an exit that the mutant asks for
        try:
            os.dup2(os.dup2(os.open(os.devnull, os.O_WRONLY), 1), 2)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            for test in tests[:1]:
                folders = test.config._tmp_path_factory
                folders._basetemp, folders._given_basetemp = None, self.ledger.parent / f"tmp{os.getpid()}"
            self.sources[mutant.module].plant(mutant)
            for number, test in enumerate(tests):
                signal.setitimer(signal.ITIMER_PROF, PATIENCE + 10 * test.seconds)
                signal.setitimer(signal.ITIMER_REAL, 12 * PATIENCE + 10 * test.seconds)  # for those that sleep
                os.write(out, number.to_bytes(4))
                test._initrequest()
                following = tests[number + 1] if number + 1 < len(tests) else None
                if any(report.failed for report in runtestprotocol(test, log=False, nextitem=following)):
                    os._exit(1)
            status = 0
        except LookupError:
            status = 3
        finally:
            os._exit(status)

    def _collect(self, ledger: TextIO) -> None:
        """Wait for one fork and write down what became of its mutant."""
        pid, status = os.wait()
        mutant, tests, read, started = self.running.pop(pid)
        with os.fdopen(read, "rb") as pipe:
            last = int.from_bytes(pipe.read()[-4:])
        code = os.waitstatus_to_exitcode(status)
        outcome = OUTCOMES.get(code, "crashed") if tests else "not reached"
        by = tests[last].nodeid if tests and code not in (0, 3) else None
        self.kills[mutant.function, by or ""] += 1
        seconds = round(time.perf_counter() - started, 2)
        print(json.dumps(dict(name=mutant.name, outcome=outcome, by=by, seconds=seconds)), file=ledger, flush=True)

"""What notices a mutant: the tests of its room, each mutant in a fork of a process in which they have run once.

The first run records which lines of the package each test executes, and how long it takes. A mutant then meets only the
tests that reach its statement: those first that caught most of its function's mutants so far, then the quick ones.
"""

import gc
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from validation.faults.operators import Mutant
from validation.faults.planting import ROOT, forget
from validation.faults.run import ROOMS, TESTS, left, sources

PATIENCE = 5.0  # seconds of the processor that a test may take with a mutant, besides ten times as many as without
BUDGET = 10.0  # seconds of tests, measured without a mutant, that a mutant meets at most
MEMORY = 4 << 30  # bytes that a fork may take more
OUTCOMES = {0: "survived", 1: "caught", 3: "not planted", -signal.SIGALRM: "endless", -signal.SIGPROF: "endless"}


class Judge:
    """A plugin that runs mutants in place of the tests: ``jobs`` at a time, a line each to ``ledger``."""

    def __init__(self, room: str, todo: list[Mutant], ledger: Path, jobs: int) -> None:
        self.sources, self.todo, self.ledger, self.jobs = sources(room), todo, ledger, jobs
        self.tests: list[Any] = []  # pytest's items, with ``lines`` (file, line) that they execute, and ``seconds``
        self.kills: Counter[tuple[str, str]] = Counter()
        self.running: dict[int, tuple[Mutant, list[Any], int, float]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            self._record(item, following)
        print(f"{len(self.tests)} tests, {sum(test.seconds for test in self.tests):.0f} s", file=sys.stderr)
        for source in self.sources.values():
            source.look()
        forget(look=True)
        gc.collect()
        gc.freeze()  # what is never looked at again need not be copied by the forks
        for number, mutant in enumerate(self.todo):
            if len(self.running) == self.jobs:
                self._collect()
            tests, (read, write) = self._order(mutant), os.pipe()
            pid = os.fork()
            if pid == 0:
                self._judge(mutant, tests, write)
            os.close(write)
            self.running[pid] = mutant, tests, read, time.perf_counter()
            if number % 50 == 0:
                print(f"{number} of {len(self.todo)} mutants", file=sys.stderr, flush=True)
        while self.running:
            self._collect()
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
        item.lines, item.seconds = lines, time.process_time() - started
        if all(report.passed for report in reports):
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
            folders = tests[0].config._tmp_path_factory
            folders._basetemp, folders._given_basetemp = None, self.ledger.parent / f"tmp{os.getpid()}"
            self.sources[mutant.module].plant(mutant)
            for number, (test, following) in enumerate(zip(tests, [*tests[1:], None], strict=True)):
                signal.setitimer(signal.ITIMER_PROF, PATIENCE + 10 * test.seconds)
                signal.setitimer(signal.ITIMER_REAL, 12 * PATIENCE + 10 * test.seconds)  # for those that sleep
                os.write(out, number.to_bytes(4))
                test._initrequest()
                if any(report.failed for report in runtestprotocol(test, log=False, nextitem=following)):
                    os._exit(1)
            status = 0
        except LookupError:  # nothing to plant, or no test
            status = 3
        finally:
            os._exit(status)

    def _collect(self) -> None:
        """Wait for one fork and write down what became of its mutant."""
        pid, status = os.wait()
        shutil.rmtree(self.ledger.parent / f"tmp{pid}", ignore_errors=True)
        mutant, tests, read, started = self.running.pop(pid)
        with os.fdopen(read, "rb") as pipe:
            last = int.from_bytes(pipe.read()[-4:])
        code = os.waitstatus_to_exitcode(status)
        outcome = OUTCOMES.get(code, "crashed") if tests else "not reached"
        by = tests[last].nodeid if tests and code not in (0, 3) else None
        self.kills[mutant.function, by or ""] += 1
        line = dict(name=mutant.name, outcome=outcome, by=by, seconds=round(time.perf_counter() - started, 2))
        with open(self.ledger, "a", encoding="utf-8") as ledger:
            print(json.dumps(line), file=ledger)


def main(room: str, listed: list[str], number: int, sample: int | None, ledger: str, jobs: int) -> None:
    """In a room's own process: the tests of that number, and the mutants in forks of it."""
    ROOMS[room], tests = listed, listed[number].split()
    todo = list(left(room, sample, Path(ledger)))
    if number > 1:  # machine code holds no mutants
        todo = [mutant for mutant in todo if "compiled.settings import" not in (ROOT / mutant.module).read_text()]
    words = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=faults"]
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning", *(str(TESTS / path) for path in tests)]
    sys.exit(pytest.main(words, plugins=[Judge(room, todo, Path(ledger), jobs)]))

"""Kill sweeps at random moments, and let them go on: ``python -m tests.sweep.kill_sweep --runs 200 --kills 60``.

A sweep with two processes runs as a program of its own. At random moments one of its workers gets SIGKILL, or the
program itself, which is then started again. In the end every run must be in the file exactly once, with the result that
an undisturbed sweep has, and no outcome that was once in the file may have been lost on the way.

Exit code 1 if any of this fails; one summary line.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from pyham import sweep
from pyham.sweep.ledger import _parse
from tests.sweep import sweep_runs

ROOT = Path(__file__).parents[2]

PROGRAM = [sys.executable, "-m", "tests.sweep.sweep_runs"]


class Tally(NamedTuple):
    """What has happened."""

    parents: int = 0
    workers: int = 0
    torn: int = 0  # kills of the program that left half a line
    failures: tuple[str, ...] = ()


def disturb(path: Path, runs: int, kills: int, seed: int) -> Tally:
    """A sweep into ``path`` with that many kills, alternately of the program and of a worker; then to its end."""
    rng = np.random.default_rng(seed)
    tally, process, seen = Tally(), start(path, runs), set[str]()
    while tally.parents + tally.workers < kills:
        time.sleep(rng.uniform(0.0, 0.6))
        if process.poll() is not None:
            break
        if (tally.parents + tally.workers) % 2 == 0:
            wait_for_lines(path, len(seen) + 2, process)
            process.kill()
            process.wait()
            lines, torn = look(path)
            failures = tally.failures + (() if seen <= lines else ("outcomes were lost",))
            tally = tally._replace(parents=tally.parents + 1, torn=tally.torn + torn, failures=failures)
            seen = lines
            process = start(path, runs)
        elif workers := [child for child in psutil.Process(process.pid).children() if is_worker(child)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # ended between the two lines
                rng.choice(np.array(workers, dtype=object)).kill()
            tally = tally._replace(workers=tally.workers + 1)
    if code := process.wait():
        tally = tally._replace(failures=(*tally.failures, f"exit code {code}"))
    outcomes = sweep.read(path)
    counts = Counter(outcome.run["x"] for outcome in outcomes)
    if counts != Counter(range(runs)):
        tally = tally._replace(failures=(*tally.failures, f"runs present other than once: {counts}"))
    for outcome in outcomes:
        if outcome.result != sweep_runs.square(outcome.run):
            tally = tally._replace(failures=(*tally.failures, f"{outcome.run}: {outcome.result} {outcome.error}"))
    return tally


def start(path: Path, runs: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PROGRAM, str(path), str(runs)], stderr=subprocess.DEVNULL, cwd=ROOT)


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a worker, and not the helper that cleans up after them."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until the file has that many lines or the program is done: every start gets something done."""
    while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < count):
        time.sleep(0.01)


def look(path: Path) -> tuple[set[str], bool]:
    """The whole lines of the file, and whether half a one follows."""
    content = path.read_bytes()
    _, length = _parse(path)
    return set(content[:length].decode().splitlines()), length < len(content)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="of the sweep (200)")
    parser.add_argument("--kills", type=int, default=60, help="half of them of the program (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="kill_sweep_") as folder:
        tally = disturb(Path(folder) / "results.jsonl", options.runs, options.kills, options.seed)
    for failure in tally.failures:
        print(failure, file=sys.stderr)
    print(
        f"{options.runs} runs, {tally.parents} kills of the sweep ({tally.torn} in the middle of a line) and "
        f"{tally.workers} of workers; every run once: {not tally.failures}"
    )
    return int(bool(tally.failures))


if __name__ == "__main__":
    sys.exit(main())

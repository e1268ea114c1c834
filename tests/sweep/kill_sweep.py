"""Kill sweeps at random moments, and let them go on: ``python -m tests.sweep.kill_sweep --runs 200 --kills 60``.

A sweep with two processes runs as a program of its own. At random moments one of its workers gets SIGKILL, or the
program itself, which is then started again, by turns with the file's path and with that of a link to it. In the end
every run must be in the file exactly once, with the result that an undisturbed sweep has, no outcome that was once in
the file may have been lost on the way, and nothing may lie beside the file and its log.

Exit code 1 if any of this fails; one summary line.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from pyham import sweep
from pyham.sweep.ledger import _parse
from tests.sweep import sweep_runs

ROOT = Path(__file__).parents[2]


class Tally(NamedTuple):
    """What has happened."""

    parents: int = 0
    workers: int = 0
    torn: int = 0  # kills of the program that left half a line
    failures: tuple[str, ...] = ()


def disturb(path: Path, runs: int, kills: int, seed: int) -> Tally:
    """A sweep into ``path`` with that many kills, alternately of the program and of a worker; then to its end."""
    rng = np.random.default_rng(seed)
    parents, workers, torn, failures = 0, 0, 0, []
    link = path.with_name("link")
    link.symlink_to(path)
    process, seen = start(link, runs), set[str]()
    while parents + workers < kills:
        time.sleep(rng.uniform(0.0, 0.6))
        if process.poll() is not None:
            break
        if (parents + workers) % 2 == 0:
            while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < len(seen) + 2):
                time.sleep(0.01)  # every start gets something done
            process.kill()
            process.wait()
            content, (_, length) = path.read_bytes(), _parse(path)
            lines = set(content[:length].decode().splitlines())
            failures += [] if seen <= lines else ["outcomes were lost"]
            parents, torn, seen = parents + 1, torn + (length < len(content)), lines
            process = start(link if parents % 2 else path, runs)
        elif found := [child for child in psutil.Process(process.pid).children() if is_worker(child)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # ended between the two lines
                rng.choice(np.array(found, dtype=object)).kill()
            workers += 1
    failures += [f"exit code {code}"] if (code := process.wait()) else []
    left = {file.name for file in path.parent.iterdir()} - {path.name, path.name + ".log", "link"}
    failures += [f"left behind: {left}"] if left else []
    outcomes = sweep.read(path)
    present = sorted(outcome.run["x"] for outcome in outcomes)
    failures += [] if present == list(range(runs)) else [f"runs present other than once: {present}"]
    failures += [
        f"{outcome.run}: {outcome.result} {outcome.error}"
        for outcome in outcomes
        if outcome.result != sweep_runs.square(outcome.run)
    ]
    return Tally(parents, workers, torn, tuple(failures))


def start(path: Path, runs: int) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "tests.sweep.sweep_runs", str(path), str(runs)]
    return subprocess.Popen(program, stderr=subprocess.DEVNULL, cwd=ROOT)


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a worker, and not the helper that cleans up after them."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


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

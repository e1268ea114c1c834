"""Kill trainings at random moments, and let them go on: ``python -m tests.training.kill_training --count 300``.

``python -m pyham train`` runs in a process of its own, which gets SIGKILL at a random moment: while Python starts,
while it trains, while it writes its checkpoint. The same command with ``--resume`` goes on, and is killed, and so on.
After every kill the checkpoint must be readable and must have every epoch that had been reported before the kill. A
training that comes to its end must have the same bits as one that nobody disturbed, and must have removed the temporary
files that kills have left; then the next begins, until there have been ``--count`` kills, and the last one is let go to
its end.

Exit code 1 if any of this fails; one summary line.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyham.files import archive

ROOT = Path(__file__).parents[2]

#: One epoch is a line of output, written after the epoch has been saved.
PROGRAM = """
import sys
from pyham.commands import cli, planar

class Report(planar.Bar):
    def __call__(self, epoch):
        print(epoch.done, flush=True)

planar.Bar = Report
sys.exit(cli.main(sys.argv[1:]))
"""
#: Epochs that take little more time than writing them down, so that many kills hit the writing; in three phases.
TRAINING = ["train", "swiss-roll", "--samples", "200", "--depth", "8", "--batch", "20", "--levels", "2", "--resume"]
TRAINING += ["--training", "alternating"]


class Tally(NamedTuple):
    """What has happened so far."""

    kills: int = 0
    in_training: int = 0  # of the kills, after at least one epoch of this process
    leftovers: int = 0  # temporary files that a kill left: the writing was hit
    finished: int = 0
    failures: tuple[str, ...] = ()


def start(path: Path, epochs: int) -> subprocess.Popen[str]:
    options = ["--epochs", str(epochs), "--output-epochs", str(epochs), "--checkpoint", str(path)]
    command = [sys.executable, "-c", PROGRAM, *TRAINING, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def undisturbed(path: Path, epochs: int) -> float:
    """The seconds that a whole training takes."""
    begun = time.perf_counter()
    start(path, epochs).communicate()
    return time.perf_counter() - begun


def same(first: Path, second: Path) -> bool:
    """Whether headers and all bits of all arrays are equal."""
    (header, arrays), (other, others) = archive.read(first), archive.read(second)
    return (
        header == other
        and arrays.keys() == others.keys()
        and all(np.array_equal(arrays[name], others[name], equal_nan=True) for name in arrays)
    )


def strike(path: Path, whole: Path, epochs: int, delay: float, tally: Tally) -> Tally:
    """Go on for ``delay`` seconds, kill the process, and look at what it left."""
    before = len(archive.read(path)[0]["phases"]) if path.exists() else 0
    old = set(path.parent.glob(".pyham-*"))
    process = start(path, epochs)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
    out, _ = process.communicate()
    reported = [int(line) for line in out.split("\n")[:-1] if line.isdecimal()]
    failures = list(tally.failures)
    try:
        saved, done = len(archive.read(path)[0]["phases"]) if path.exists() else 0, max([before, *reported])
        if saved < done:
            failures.append(f"epoch {done} was done, the checkpoint has {saved}")
        if process.returncode == 0 and not same(path, whole):
            failures.append("a training that was killed and went on has other bits than one that was not")
    except ValueError as error:
        failures.append(str(error))
    left = set(path.parent.glob(".pyham-*"))
    if process.returncode == 0:
        if left:
            failures.append(f"a training that came to its end left {sorted(left)}")
        path.unlink()
        return tally._replace(finished=tally.finished + 1, failures=tuple(failures))
    if process.returncode > 0:
        failures.append(f"exit code {process.returncode}")
    in_training, leftovers = tally.in_training + bool(reported), tally.leftovers + len(left - old)
    return Tally(tally.kills + 1, in_training, leftovers, tally.finished, tuple(failures))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="kills (300)")
    parser.add_argument("--epochs", type=int, default=400, help="of every phase, of which there are three (400)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    options = parser.parse_args(argv)
    rng = np.random.default_rng(options.seed)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="kill_training_") as name:
        folder = Path(name)
        whole, path = folder / "whole", folder / "runs" / "run"
        undisturbed(folder / "first", 1)  # compiles what is not yet
        startup = undisturbed(folder / "none", 0)
        seconds = undisturbed(whole, options.epochs)
        path.parent.mkdir()
        while tally.kills < options.count and len(tally.failures) < 10:
            # some before training has begun, most within the tenth of a training that follows
            delay = startup * rng.uniform(0.2, 1) if rng.random() < 0.1 else startup + rng.random() * seconds / 10
            tally = strike(path, whole, options.epochs, delay, tally)
        last = Tally()  # and the one that is under way comes to its end
        while not last.finished and not last.failures:
            last = strike(path, whole, options.epochs, 1000, last)
        tally = tally._replace(finished=tally.finished + 1, failures=tally.failures + last.failures)
    for failure in tally.failures:
        print(failure, file=sys.stderr)
    print(
        f"{tally.kills} kills, {tally.in_training} of them after epochs of the same process and {tally.leftovers} "
        f"while a checkpoint was written; {tally.finished} trainings came to their end and were compared bit by bit "
        f"with an undisturbed one; {len(tally.failures)} failures"
    )
    return int(bool(tally.failures))


if __name__ == "__main__":
    sys.exit(main())

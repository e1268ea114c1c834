"""Kill trainings at random moments, and let them go on: ``python -m tests.training.kill_training --count 300``.

``python -m pyham train`` runs in a process of its own, which gets SIGKILL at a random moment: while Python starts,
while it trains, while it writes its checkpoint. The same command with ``--resume`` goes on, and is killed, and so on.
After every kill the checkpoint must be readable and must have every epoch that had been reported before the kill. A
training that comes to its end must have the same bits as one that nobody disturbed; then the next begins, until there
have been ``--count`` kills, and the last one is let go to its end.

Exit code 1 if any of this fails; one summary line.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyham.files import archive

ROOT = Path(__file__).parents[2]

#: Epochs that take little more time than writing them down: many kills hit the writing.
TRAINING = ["train", "swiss-roll", "--samples", "200", "--depth", "8", "--batch", "20", "--levels", "2"]
TRAINING += ["--training", "alternating"]  # so that there are three phases


class Tally(NamedTuple):
    """What has happened so far."""

    kills: int = 0
    in_training: int = 0  # of the kills, after at least one epoch of this process
    leftovers: int = 0  # temporary files that a kill left: the writing was hit
    finished: int = 0
    failures: tuple[str, ...] = ()


def command(path: Path, epochs: int) -> list[str]:
    """One epoch is a line on standard error, written after the epoch has been saved."""
    program = (
        "import sys\n"
        "from pyham.commands import cli\n"
        "from pyham.commands import planar\n"
        "class Report:\n"
        "    def __init__(self, description): pass\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *error): pass\n"
        "    def __call__(self, epoch): print(epoch.done, flush=True)\n"
        "planar.Bar = Report\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    options = ["--epochs", str(epochs), "--output-epochs", str(epochs), "--checkpoint", str(path), "--resume"]
    return [sys.executable, "-c", program, *TRAINING, *options]


def start(path: Path, epochs: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command(path, epochs), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def undisturbed(folder: Path, epochs: int) -> tuple[Path, float]:
    """A whole training's checkpoint, and the seconds that it took."""
    path = folder / "whole"
    begun = time.perf_counter()
    start(path, epochs).communicate()
    return path, time.perf_counter() - begun


def same(first: Path, second: Path) -> bool:
    """Whether headers and all bits of all arrays are equal."""
    (header, arrays), (other, others) = archive.read(first), archive.read(second)
    return (
        header == other
        and arrays.keys() == others.keys()
        and all(np.array_equal(arrays[name], others[name], equal_nan=True) for name in arrays)
    )


def epochs_in(path: Path) -> int:
    return len(archive.read(path)[0]["phases"])


def strike(path: Path, whole: Path, epochs: int, delay: float, tally: Tally) -> Tally:
    """Go on for ``delay`` seconds after the process could have begun, kill it, and look at what it left."""
    before = epochs_in(path) if path.exists() else 0
    process = start(path, epochs)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    reported = [int(line) for line in out.split("\n")[:-1] if line.isdecimal()]
    failures = list(tally.failures)
    try:
        saved = epochs_in(path) if path.exists() else 0
        if saved < max([before, *reported]):
            failures.append(f"epoch {max([before, *reported])} was done, the checkpoint has {saved}")
        if process.returncode == 0 and not same(path, whole):
            failures.append("a training that was killed and went on has other bits than one that was not")
    except ValueError as error:
        failures.append(str(error))
    left = [file for file in path.parent.iterdir() if file.name.startswith(f".{path.name}.")]
    for file in left:
        file.unlink()
    if process.returncode == 0:
        path.unlink()
        return tally._replace(finished=tally.finished + 1, failures=tuple(failures))
    if process.returncode != -signal.SIGKILL:
        failures.append(f"exit code {process.returncode}")
    return tally._replace(
        kills=tally.kills + 1,
        in_training=tally.in_training + bool(reported),
        leftovers=tally.leftovers + len(left),
        failures=tuple(failures),
    )


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
        undisturbed(folder, 1)[0].unlink()  # compiles what is not yet
        _, startup = undisturbed(folder, 0)
        (folder / "whole").unlink()
        whole, seconds = undisturbed(folder, options.epochs)
        path = folder / "runs" / "run"
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

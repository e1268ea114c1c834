"""Kill a rank of a training over MPI, and let the training go on: ``python -m tests.distributed.kill_rank --count 5``.

``python -m pyham distributed --transport mpi`` runs on several ranks; one gets SIGKILL at a random moment. The others
must end within 30 seconds, each with an error that names its nodes, the pass and the layer (with mpiexec.gforker, which
interrupts them; mpiexec kills them itself). The checkpoint must be readable; the same command with ``--resume`` goes on
from it, is killed again, and so on. At the end its checkpoint must have the bits of a training in one process that
nobody disturbed.

Exit code 1 if any of this fails; one summary line.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pyham.files import archive

ROOT = Path(__file__).parents[2]

BOUND = 30  # seconds
SHORTEST = 1e-3  # seconds between an epoch and a kill

PROGRAM = (
    "import os, sys\n"
    "os.write(1, f'process {os.getpid()}\\n'.encode())\n"  # at once, for the ranks' lines are mixed
    "from pyham.commands import cli\n"
    "sys.exit(cli.main(sys.argv[1:]))\n"
)
ERROR = re.compile(
    r"rank \d+, nodes [\d, ]+: \w+: (forward|backward) pass, layer \d+, .*|rank \d+, nodes .*gathering.*"
)


def launcher(name: str) -> str | None:
    """The path of an MPI launcher: beside Python, where pip puts it, or in PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def options(path: Path, epochs: int) -> list[str]:
    training = ["--samples", "400", "--batch", "20", "--epochs", str(epochs), "--nodes", "8"]
    return ["distributed", "swiss-roll", *training, "--checkpoint", str(path), "--resume"]


def start(command: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    )


def over_mpi(mpiexec: str, ranks: int, path: Path, epochs: int) -> list[str]:
    return [mpiexec, "-n", str(ranks), sys.executable, "-c", PROGRAM, *options(path, epochs), "--transport", "mpi"]


def epochs_in(path: Path) -> int:
    return len(archive.read(path)[0]["phases"]) if path.exists() else 0


def strike(
    mpiexec: str, ranks: int, path: Path, epochs: int, rng: np.random.Generator, delay: float = 0.2
) -> tuple[list[str], float, int]:
    """Kill one rank after some more epochs: what went wrong, seconds until all had ended, and errors printed.

    The moment is at most `delay` seconds after the next epoch. A training that was over before is none to kill: what
    there was is put back, and half the delay tried.
    """
    before = path.read_bytes() if path.exists() else None
    process = start(over_mpi(mpiexec, ranks, path, epochs))
    assert process.stdout is not None
    victims = [int(process.stdout.readline().split()[1]) for _ in range(ranks)]
    begun, wanted = time.monotonic(), epochs_in(path) + 1
    while epochs_in(path) < wanted and process.poll() is None and time.monotonic() < begun + 60:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, delay))
    with contextlib.suppress(ProcessLookupError):  # over
        os.kill(victims[rng.integers(ranks)], signal.SIGKILL)
    struck = time.monotonic()
    failures = []
    try:
        _, errors = process.communicate(timeout=BOUND)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        failures.append(f"not over after {BOUND} s")
    seconds = time.monotonic() - struck
    try:
        reached = epochs_in(path)
    except ValueError as error:
        failures.append(str(error))
        reached = wanted
    if not failures and reached == epochs and delay > SHORTEST:
        path.unlink()
        if before is not None:
            path.write_bytes(before)
        return strike(mpiexec, ranks, path, epochs, rng, delay / 2)
    if process.returncode == 0:
        failures.append("exit code 0")
    for pid in victims:
        try:
            os.kill(pid, 0)
            failures.append(f"process {pid} still runs")
        except ProcessLookupError:
            pass
    if reached < wanted:
        failures.append(f"epoch {wanted} was done, the checkpoint has {reached}")
    return failures, seconds, len(ERROR.findall(errors))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5, help="kills (5)")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--launcher", choices=("mpiexec.gforker", "mpiexec"), default="mpiexec.gforker")
    parser.add_argument("--seed", type=int, default=0, help="of moments and ranks (0)")
    chosen = parser.parse_args(argv)
    rng = np.random.default_rng(chosen.seed)
    mpiexec = launcher(chosen.launcher)
    if mpiexec is None:
        print(f"{chosen.launcher}: not found; pip install mpich mpi4py", file=sys.stderr)
        return 2
    failures, longest, fewest = [], 0.0, chosen.ranks
    with tempfile.TemporaryDirectory(prefix="kill_rank_") as name:
        path, whole = Path(name) / "run", Path(name) / "whole"
        for _ in range(chosen.count):
            wrong, seconds, errors = strike(mpiexec, chosen.ranks, path, chosen.epochs, rng)
            failures += wrong
            longest, fewest = max(longest, seconds), min(fewest, errors)
        killed_at = epochs_in(path)
        if chosen.launcher == "mpiexec.gforker" and fewest < chosen.ranks - 1:
            failures.append(f"{fewest} errors from {chosen.ranks - 1} ranks")
        for command in (
            over_mpi(mpiexec, chosen.ranks, path, chosen.epochs),
            [sys.executable, "-m", "pyham", *options(whole, chosen.epochs)],
        ):
            process = start(command)
            _, errors = process.communicate()
            if process.returncode:
                failures.append(errors)
        if not failures and path.read_bytes() != whole.read_bytes():
            failures.append("a training that was killed and went on has other bits than one that was not")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(
        f"{chosen.count} kills of one of {chosen.ranks} ranks ({chosen.launcher}), the last after epoch {killed_at} of "
        f"{chosen.epochs}: all ended within {longest:.1f} s, at least {fewest} ranks said where they were; "
        f"{'other' if failures else 'the same'} bits at the end; {len(failures)} failures"
    )
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())

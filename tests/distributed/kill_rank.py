"""Kill a rank of a training over MPI, and let the training go on.

``python -m pyham distributed --transport mpi`` runs on several ranks; one gets SIGKILL at a random moment. The others
must end within 30 seconds, each with an error that names its nodes, the pass and the layer (with mpiexec.gforker, which
interrupts them; mpiexec kills them itself). The checkpoint must be readable; the same command with ``--resume`` goes on
from it, is killed again, and so on. At the end its checkpoint must have the bits of a training in one process that
nobody disturbed.
"""

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
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, errors="replace", env=environment, start_new_session=True
    )


def over_mpi(mpiexec: str, ranks: int, path: Path, epochs: int) -> list[str]:
    return [mpiexec, "-n", str(ranks), sys.executable, "-c", PROGRAM, *options(path, epochs), "--transport", "mpi"]


def epochs_in(path: Path) -> int:
    return len(archive.read(path)[0]["phases"]) if path.exists() else 0


def strike(
    mpiexec: str, ranks: int, path: Path, epochs: int, rng: np.random.Generator, delay: float = 0.2
) -> tuple[list[str], int]:
    """Kill one rank after some more epochs: what went wrong, and how many ranks said where they were.

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
    failures = []
    try:
        _, errors = process.communicate(timeout=BOUND)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        failures.append(f"not over after {BOUND} s")
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
    return failures, len(ERROR.findall(errors))


def run(count: int, ranks: int, epochs: int, launch: str = "mpiexec.gforker", seed: int = 0) -> None:
    """Kill one of the ranks so many times, and let the training end; AssertionError says what went wrong."""
    rng, mpiexec = np.random.default_rng(seed), launcher(launch)
    with tempfile.TemporaryDirectory(prefix="kill_rank_") as name:
        path, whole = Path(name) / "run", Path(name) / "whole"
        for _ in range(count):
            failures, errors = strike(mpiexec, ranks, path, epochs, rng)
            assert not failures
            assert launch != "mpiexec.gforker" or errors >= ranks - 1, f"{errors} errors from {ranks - 1} ranks"
        alone = [sys.executable, "-m", "pyham", *options(whole, epochs)]
        for command in (over_mpi(mpiexec, ranks, path, epochs), alone):
            process = start(command)
            _, printed = process.communicate()
            assert process.returncode == 0, printed
        assert path.read_bytes() == whole.read_bytes(), "other bits than those of a training that was not killed"

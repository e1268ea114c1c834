"""Over MPI: equal to one process bit by bit, errors on every rank, and a killed rank. Skipped without mpi4py.

A long form by hand: ``mpiexec -n 8 python -m tests.distributed.mpi_worker equal 3 100``.
"""

import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from pyham.distributed import ring
from pyham.distributed.mpi import MPITransport
from pyham.distributed.transport import Hop, Place
from tests.distributed import kill_rank

WORKER = "tests.distributed.mpi_worker"

pytest.importorskip("mpi4py")
pytestmark = pytest.mark.skipif(
    None in (kill_rank.launcher("mpiexec"), kill_rank.launcher("mpiexec.gforker")), reason="needs pip install mpich"
)


def run(launcher, ranks, *arguments):
    """The finished process, and the seconds that it took."""
    begun = time.monotonic()
    command = [kill_rank.launcher(launcher), "-n", str(ranks), sys.executable, *arguments]
    environment = os.environ | {"PYTHONPATH": str(kill_rank.ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    return result, time.monotonic() - begun


@pytest.mark.seldom
def test_over_mpi_all_bits_and_messages_are_those_of_one_process():
    result, _ = run("mpiexec", 2, "-m", WORKER, "equal", "3", "10")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("bits and messages the same as in one process") == 3


@pytest.mark.seldom
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("short", r"node \d -> node \d: expected \(layer, sender, receiver, bytes\) .*, got"),
        ("hang", r"expected messages from nodes \[[\d, ]+\] within 2 s, got not all of them"),
    ],
)
def test_a_message_that_is_wrong_or_missing_ends_every_rank_with_an_error(what, message):
    result, seconds = run("mpiexec.gforker", 3, "-m", WORKER, what, "2", "2")
    assert result.returncode != 0 and "nobody noticed" not in result.stdout
    assert seconds < kill_rank.BOUND
    assert re.search(f"backward pass, layer 1, h J\\^T delta.*{message}", result.stderr)
    for rank, nodes in enumerate(("0, 1", "2, 3", "4, 5")):
        assert re.search(f"rank {rank}, nodes {nodes}: TransportError: backward pass, layer 1", result.stderr)


@pytest.mark.seldom
def test_a_killed_rank_ends_the_run_and_the_run_goes_on_bit_by_bit(slow):
    kill_rank.run(*((20, 4, 40) if slow else (1, 2, 3)))


# One rank, in this process


def test_one_rank_has_all_nodes_and_delivers_to_itself():
    alone = MPITransport([ring(4)] * 2)
    assert alone.nodes == (0, 1, 2, 3)
    message = np.ones((2, 3))
    found = alone.exchange("y", (Hop(0, 1, 2),), Place("forward pass", 0), 3, {(0, 1): message})
    assert found[0, 1] is message
    np.testing.assert_array_equal(alone.gather(np.arange(4.0), [1] * 4), np.arange(4))
    assert alone.total().messages.sum() == 1
    alone.finish()


def test_timeout__raises_on_what_is_no_time():
    with pytest.raises(ValueError, match="timeout: expected a positive finite number, got 0"):
        MPITransport([ring(2)], timeout=0)

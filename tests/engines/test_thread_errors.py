"""Exceptions in blocks of a batch; many threads and processes at once; how many threads there are."""

import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import pyham
from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled import threads
from pyham.engines.compiled.threads import Cut, get_num_threads, set_num_threads
from tests.engines.test_threads import PATIENCE, assert_same_bits, n, network


@pytest.fixture(autouse=True)
def usual_number_of_threads(monkeypatch):
    """Whatever a test sets holds for that test only."""
    monkeypatch.setattr(threads, "_threads", 0)


# What goes wrong


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("bad", [0, 5, 15])
def test_an_exception_in_any_block_reaches_the_caller_and_later_calls_work(count, bad, rng):
    set_num_threads(count)
    blocks = Cut(64 * threads.BLOCKS, 64, work=10**12, partial=0)

    def task(lo, hi, number):
        if number == bad:
            raise RuntimeError(f"block {number}")

    for _ in range(3):
        with pytest.raises(RuntimeError, match=rf"^block {bad}$"):
            blocks.run(task)
    seen = deque()
    blocks.run(lambda lo, hi, number: seen.append(number))
    assert sorted(seen) == list(range(threads.BLOCKS))


def test_an_exception_in_a_worker_reaches_the_caller(rng):
    set_num_threads(2)
    blocks = Cut(640, 64, work=10**12, partial=0)
    caller, both = threading.get_ident(), threading.Barrier(2)

    def task(lo, hi, number):
        if number < 2:
            both.wait(PATIENCE)  # each of the two has a block
        if threading.get_ident() != caller:
            raise RuntimeError("not the caller")

    with pytest.raises(RuntimeError, match=r"^not the caller$"):
        blocks.run(task)


@pytest.mark.parametrize("guilty", ["caller", "worker"])
def test_after_an_exception_nobody_works_any_more(guilty):
    """Else threads would go on to write to arrays that the caller thinks finished, or take time for nothing."""
    set_num_threads(2)
    blocks = Cut(64 * threads.BLOCKS, 64, work=10**12, partial=0)
    caller, both, working = threading.get_ident(), threading.Barrier(2), []

    def task(lo, hi, number):
        if number < 2:
            both.wait(PATIENCE)
        if (threading.get_ident() == caller) == (guilty == "caller"):
            raise RuntimeError(guilty)
        working.append(number)
        threading.Event().wait(0.01)
        working.remove(number)

    with pytest.raises(RuntimeError, match=rf"^{guilty}$"):
        blocks.run(task)
    assert working == []


def test_an_exception_in_a_kernel_reaches_the_caller_and_later_calls_work(small_blocks, monkeypatch, rng):
    net = network("H2-plain")
    x = rng.standard_normal((2049, n))
    expected = net(x)

    def fail(*arguments):
        raise MemoryError("no scratch")

    with monkeypatch.context() as patch:
        patch.setattr(compiled, "kernels", SimpleNamespace(forward=fail))
        with pytest.raises(MemoryError, match=r"^no scratch$"):
            net(x)
    np.testing.assert_array_equal(net(x), expected)


def test_networks_may_be_used_from_many_threads_that_share_workers(small_blocks, rng):
    """Also while somebody changes the number of threads."""
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 1025, n))
    set_num_threads(3)
    expected = net.gradient(x, g)
    found, start = [None] * 6, threading.Barrier(6)

    def work(i):
        start.wait(PATIENCE)
        for _ in range(20):
            set_num_threads(2 + i % 3)
            found[i] = net.gradient(x, g)

    users = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for gradient in found:
        np.testing.assert_array_equal(gradient.output, expected.output)
        assert_same_bits(gradient.params, expected.params)


FORK = """
import os, sys
import numpy as np, pyham
from pyham.engines.compiled import dense as compiled, threads
threads.WORTHWHILE = 1
threads.set_num_threads(3)
net = pyham.H2(width=6, depth=3).init(0)
x = np.random.default_rng(0).standard_normal((2049, 6))
assert compiled._blocks(net.stages(), len(x)).count > 3
y = net(x)  # by now the parent's threads wait for work; the child has none of them
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(net(x), y) else 1)
_, status = os.waitpid(child, 0)
print(status, np.array_equal(net(x), y))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own():
    environment = os.environ | {"PYTHONPATH": str(Path(pyham.__file__).parents[1])}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]  # Python 3.12 warns of threads and fork
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert (result.stdout, result.stderr) == ("0 True\n", "")


# How many


def test_at_first_every_core_has_a_thread():
    assert get_num_threads() == threads._cores() >= 1


def test_set_num_threads_is_what_get_num_threads_says():
    for count in (1, 3, np.int64(2)):
        set_num_threads(count)
        assert get_num_threads() == count


@pytest.mark.parametrize("wrong", [0, -1])
def test_set_num_threads__raises_on_what_is_not_positive(wrong):
    set_num_threads(3)
    with pytest.raises(ValueError, match=rf"^threads: expected an integer >= 1, got {wrong}$"):
        set_num_threads(wrong)
    assert get_num_threads() == 3


@pytest.mark.parametrize("wrong", [None, 2.0, "2", True])
def test_set_num_threads__raises_on_what_is_no_integer(wrong):
    set_num_threads(3)
    with pytest.raises(TypeError, match=rf"^threads: expected an integer >= 1, got {type(wrong).__name__}$"):
        set_num_threads(wrong)
    assert get_num_threads() == 3

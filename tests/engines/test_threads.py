"""Blocks of a batch and the threads that work through them: whoever works, in whatever order, results are the same."""

import os
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled import kernels, threads
from pyham.engines.compiled.threads import Cut, get_num_threads, set_num_threads
from tests.oracles.passes import assert_same_bits, everything, network
from tests.oracles.refusals import refused

n = 6
KEYS = ["H2-semi-implicit-p-first", "MS1-yoshida4-q-first", "MLP"]
PATIENCE = 60  # seconds until a thread that waits for others gives up


@pytest.fixture(autouse=True)
def usual_number_of_threads(monkeypatch):
    """Whatever a test sets holds for that test only."""
    monkeypatch.setattr(threads, "_threads", 0)


# Same bits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [129, 2049])
@pytest.mark.parametrize("key", KEYS)
def test_results_are_bitwise_independent_of_the_number_of_threads_and_of_the_order_of_the_blocks(
    key, batch, dtype, small_blocks, monkeypatch, rng
):
    net = network(key)
    x, g = rng.standard_normal((2, batch, n)).astype(dtype)
    set_num_threads(1)
    alone = everything(net, x, g)
    assert compiled._blocks(net.stages(dtype), batch).count > 1
    for count, order in ((2, list), (3, lambda blocks: list(blocks)[::-1]), (8, rng.permutation), (1, rng.permutation)):
        compiled._cut.cache_clear()
        set_num_threads(count)
        monkeypatch.setattr(threads, "deque", lambda blocks, f=order: deque([tuple(b) for b in f(list(blocks))]))
        assert_same_bits(everything(net, x, g), alone)


def test_results_of_a_batch_worth_its_threads_are_bitwise_independent_of_their_number(rng):
    net = network("H2-plain", depth=64)
    x, g = rng.standard_normal((2, 20_000, n))
    blocks = compiled._blocks(net.stages(), len(x))
    assert blocks.count == threads.BLOCKS
    found = []
    for count in (1, 2, 3, 8):
        set_num_threads(count)
        gradient = net.gradient(x, g)
        found.append({"output": net(x), "input": gradient.input} | gradient.params)
    for other in found[1:]:
        assert_same_bits(other, found[0])


def test_results_are_bitwise_the_same_for_any_work_worth_a_block_but_sums_over_samples(monkeypatch, rng):
    """The cut decides in which order samples are summed, and nothing else."""
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 4097, n))
    whole = everything(net, x, g)
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    compiled._cut.cache_clear()
    cut = everything(net, x, g)
    compiled._cut.cache_clear()
    by_sample = ("output", "trace.output", "states", "input", "delta", "phi", "store input", "checkpoint input")
    for name in by_sample:
        np.testing.assert_array_equal(cut[name], whole[name], err_msg=name)
    assert any(not np.array_equal(cut[name], whole[name]) for name in whole)  # the blocks were others


# Who works


class Watched:
    """The kernels, that note who calls them; the first ``meeting`` calls wait for one another."""

    def __init__(self, meeting=1):
        self.workers, self.meeting = [], threading.Barrier(meeting)

    def __getattr__(self, name):
        def call(*arguments):
            self.workers.append(threading.get_ident())
            if len(self.workers) <= self.meeting.parties:
                self.meeting.wait(PATIENCE)
            getattr(kernels, name)(*arguments)

        return call


@pytest.mark.parametrize(("batch", "count"), [(20_000, 1), (20_000, 2), (20_000, 3), (1000, 8), (1, 8)])
def test_large_batches_are_worked_on_by_all_threads_at_once_and_small_ones_by_the_caller(
    batch, count, monkeypatch, rng
):
    net = network("MLP", depth=64 if batch > 1000 else 3)
    x = rng.standard_normal((batch, n))
    expected = net(x)
    set_num_threads(count)
    together = count if batch > 1000 else 1
    watched = Watched(together)  # with one thread fewer, waiting would end in BrokenBarrierError
    monkeypatch.setattr(compiled, "kernels", watched)
    np.testing.assert_array_equal(net(x), expected)
    assert len(watched.workers) == (threads.BLOCKS if batch > 1000 else 1)
    assert len(set(watched.workers)) == together and threading.get_ident() in watched.workers


def test_threads_are_kept_for_batches_of_any_size(monkeypatch):
    """Starting threads takes longer than the work of a block."""
    pools = []

    class Counted(ThreadPoolExecutor):
        def __init__(self, *arguments, **options):
            pools.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Counted)
    threads._pool.cache_clear()
    set_num_threads(8)
    for batch in (128, 640, 6400, 192):
        blocks = Cut(batch, 64, work=10**12, partial=0)
        assert blocks.count > 1
        blocks.run(lambda lo, hi, b: None)
    threads._pool.cache_clear()
    assert len(pools) == 1


# The cut


@pytest.mark.parametrize("columns", [1, 4, 6, 50])
@pytest.mark.parametrize("itemsize", [4, 8])
def test_tiles_are_whole_vectors_of_about_equal_numbers_of_samples(itemsize, columns):
    vector = compiled.VECTOR // itemsize
    for batch in range(0, 1000, 7):
        blocks = compiled._cut.__wrapped__(batch, columns, (6, 3, 3), (6, 3, 3), itemsize)
        assert blocks.tile % vector == 0
        assert 0 < blocks.tile <= max(vector, compiled.TILE if columns == 1 else 4 * compiled.TILE // columns)
        assert blocks.tiles * blocks.tile >= batch
        assert blocks.tiles * (blocks.tile - vector) < max(1, batch)  # no tile could be a vector shorter


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


@pytest.mark.parametrize("guilty", ["caller", "worker"])
def test_after_an_exception_nobody_works_any_more(guilty):
    """Else threads would go on to write to arrays that the caller thinks finished, or take time for nothing."""
    set_num_threads(2)
    blocks = Cut(64 * threads.BLOCKS, 64, work=10**12, partial=0)
    caller, both, begun = threading.get_ident(), threading.Barrier(2), threading.Event()
    working, done = [], []

    def task(lo, hi, number):
        if number < 2:
            both.wait(PATIENCE)
        if (threading.get_ident() == caller) == (guilty == "caller"):
            begun.wait(PATIENCE)
            raise RuntimeError(guilty)
        working.append(number)
        begun.set()
        threading.Event().wait(0.02)
        working.remove(number)
        done.append(number)

    with pytest.raises(RuntimeError, match=rf"^{guilty}$"):
        blocks.run(task)
    assert working == []
    assert len(done) < (3 if guilty == "caller" else threads.BLOCKS)  # the caller sees a worker's exception at its end


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
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert get_num_threads() == threads._cores.__wrapped__() == cores


def test_set_num_threads_is_what_get_num_threads_says():
    for count in (1, 3, np.int64(2)):
        set_num_threads(count)
        assert get_num_threads() == count


test_what_set_num_threads_refuses = refused([
    *((set_num_threads, wrong, ValueError, f"threads: expected an integer >= 1, got {wrong}") for wrong in (0, -1)),
    *((set_num_threads, wrong, TypeError, f"threads: expected an integer >= 1, got {type(wrong).__name__}")
      for wrong in (None, 2.0, "2", True)),
])  # fmt: skip

"""Blocks of a batch and the threads that work through them: whoever works, in whatever order, results are the same."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled import kernels, threads
from pyham.engines.compiled.threads import Cut, set_num_threads
from tests.oracles.strategies import variant

N, n = 3, 6
KEYS = ["H2-semi-implicit-p-first", "MS1-yoshida4-q-first", "MLP"]
PATIENCE = 60  # seconds until a thread that waits for others gives up


@pytest.fixture(autouse=True)
def usual_number_of_threads(monkeypatch):
    """Whatever a test sets holds for that test only."""
    monkeypatch.setattr(threads, "_threads", 0)


def network(key, depth=N, dtype=np.float64):
    return variant(key, width=n, depth=depth, step=0.2).init(3, initialization="scaled-normal", dtype=dtype)


def results(net, x, g):
    """Everything that the compiled engine computes, by name; gradients of all kinds."""
    trace = net.trace(x)
    adjoint = net.adjoint(trace, g)
    found = {
        "output": net(x),
        "trace.output": trace.output,
        "states": trace.states,
        "input": adjoint.input,
        "delta": adjoint.delta,
        "phi": net.sensitivity(x),
    } | {f"adjoint {name}": value for name, value in adjoint.params.items()}
    shears = net.stages(x.dtype).shears
    for memory in ("store", "checkpoint", *["reversible"] * shears):
        gradient = net.gradient(x, g, memory=memory)
        found |= {f"{memory} output": gradient.output, f"{memory} input": gradient.input}
        found |= {f"{memory} {name}": value for name, value in gradient.params.items()}
        found |= {f"{memory} drift": np.array(gradient.drift or 0)}
    return found | ({"inverse": net.inverse(x)} if shears else {})


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name, strict=True)


# Same bits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [129, 2049])
@pytest.mark.parametrize("key", KEYS)
def test_results_are_bitwise_independent_of_the_number_of_threads(key, batch, dtype, small_blocks, rng):
    net = network(key)
    x, g = rng.standard_normal((2, batch, n)).astype(dtype)
    assert compiled._blocks(net.stages(dtype), batch).count > 1
    set_num_threads(1)
    alone = results(net, x, g)
    for count in (2, 3, 8):
        set_num_threads(count)
        assert_same_bits(results(net, x, g), alone)


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


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("batch", [129, 2049])
@pytest.mark.parametrize("key", KEYS)
def test_results_are_bitwise_independent_of_the_order_of_the_blocks(key, batch, count, small_blocks, monkeypatch, rng):
    net = network(key)
    x, g = rng.standard_normal((2, batch, n))
    set_num_threads(count)
    usual = results(net, x, g)
    for order in (lambda blocks: blocks[::-1], lambda blocks: rng.permutation(blocks).tolist()):
        monkeypatch.setattr(threads, "deque", lambda blocks, order=order: deque(order(list(blocks))))
        assert_same_bits(results(net, x, g), usual)


def test_results_are_bitwise_the_same_for_any_work_worth_a_block_but_sums_over_samples(monkeypatch, rng):
    """The cut decides in which order samples are summed, and nothing else."""
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 4097, n))
    whole = results(net, x, g)
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    compiled._cut.cache_clear()
    cut = results(net, x, g)
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


@pytest.mark.parametrize("count", [2, 3])
def test_large_batches_are_worked_on_by_all_threads_at_once(count, monkeypatch, rng):
    net = network("MLP", depth=64)
    x = rng.standard_normal((20_000, n))
    expected = net(x)
    set_num_threads(count)
    watched = Watched(count)  # with one thread fewer, waiting would end in BrokenBarrierError
    monkeypatch.setattr(compiled, "kernels", watched)
    np.testing.assert_array_equal(net(x), expected)
    assert len(watched.workers) == threads.BLOCKS
    assert len(set(watched.workers)) == count
    assert threading.get_ident() in watched.workers


def test_small_batches_are_worked_on_by_the_caller_alone(monkeypatch, rng):
    net = network("MLP")
    set_num_threads(8)
    watched = Watched()
    monkeypatch.setattr(compiled, "kernels", watched)
    for batch in (1, compiled.TILE, 1000):
        net(rng.standard_normal((batch, n)))
    assert watched.workers == [threading.get_ident()] * 3


def test_one_thread_is_the_caller(small_blocks, monkeypatch, rng):
    set_num_threads(1)
    watched = Watched()
    monkeypatch.setattr(compiled, "kernels", watched)
    network("MLP")(rng.standard_normal((2049, n)))
    assert len(watched.workers) > 1
    assert set(watched.workers) == {threading.get_ident()}


def test_a_batch_is_worth_a_block_for_every_so_many_operations():
    for work, count in ((0, 1), (threads.WORTHWHILE, 1), (2 * threads.WORTHWHILE, 2), (10**12, threads.BLOCKS)):
        assert Cut(64 * threads.BLOCKS, 64, work=work, partial=0).count == count


def test_partial_sums_of_all_blocks_take_no_more_than_the_stated_memory():
    for partial in (1, 10_000, threads.PARTIAL // 3, threads.PARTIAL, 10 * threads.PARTIAL):
        blocks = Cut(6400, 64, work=10**12, partial=partial)
        assert blocks.count == 1 or blocks.count * partial <= threads.PARTIAL


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


@pytest.mark.parametrize("work", [0, 10 * threads.WORTHWHILE, 10**12])
@pytest.mark.parametrize("tile", [8, 40, 64])
def test_blocks_cover_the_batch_once_in_whole_tiles(tile, work):
    set_num_threads(1)
    for batch in range(1, 5000, 37):
        blocks = Cut(batch, tile, work=work, partial=0)
        seen = []
        blocks.run(lambda lo, hi, number, seen=seen: seen.append((number, lo, hi)))
        assert [number for number, _, _ in seen] == list(range(blocks.count))
        assert [i for _, lo, hi in seen for i in range(lo, hi)] == list(range(batch))
        assert all(lo < hi and lo % tile == 0 for _, lo, hi in seen)
        assert blocks.count <= threads.BLOCKS
        assert (blocks.tiles - 1) * tile < batch <= blocks.tiles * tile


def test_no_samples_are_one_empty_block_or_none():
    seen = []
    Cut(0, 8, work=0, partial=0).run(lambda *block: seen.append(block))
    assert seen in ([], [(0, 0, 0)])


@pytest.mark.parametrize("columns", [1, 4, 6, 50])
@pytest.mark.parametrize("itemsize", [4, 8])
def test_tiles_are_whole_vectors_of_about_equal_numbers_of_samples(itemsize, columns):
    vector = compiled.VECTOR // itemsize
    for batch in range(0, 1000, 7):
        blocks = compiled._cut(batch, columns, (6, 3, 3), (6, 3, 3), itemsize)
        assert blocks.tile % vector == 0
        assert 0 < blocks.tile <= max(vector, compiled.TILE if columns == 1 else 4 * compiled.TILE // columns)
        assert blocks.tiles * blocks.tile >= batch
        assert blocks.tiles * (blocks.tile - vector) < max(1, batch)  # no tile could be a vector shorter


def test_the_cut_does_not_depend_on_the_number_of_threads():
    cuts = set()
    for count in (1, 2, 8):
        set_num_threads(count)
        compiled._cut.cache_clear()
        blocks = compiled._cut(100_000, 1, (128, 3, 3), (128, 3, 3), 8)
        cuts.add((blocks.tile, blocks.size, blocks.count))
    assert len(cuts) == 1

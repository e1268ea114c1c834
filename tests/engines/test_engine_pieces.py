"""The pieces of the engines: distances, memory used again, cuts of a batch, and stages that no architecture has."""

import numba
import numpy as np
import pytest

import pyham
from pyham.architectures.activations import ACTIVATIONS
from pyham.architectures.lift import Lift
from pyham.architectures.maps import Convolution
from pyham.architectures.stages import Stages
from pyham.engines import contract
from pyham.engines.compiled import buffers, dense, threads
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.engines.results import Adjoint, Trace
from pyham.training.losses import softmax
from tests.oracles.recursion import Passes

if numba.config.DISABLE_JIT:
    from tests.oracles import interpreter

    interpreter.install()

EPS = float(np.finfo(float).eps)


def odd():
    """Stages that read two channels, make three and update one, with any keep."""
    rng = np.random.default_rng(7)
    A, c, W = rng.standard_normal((6, 3, 2)), rng.standard_normal((6, 3)), rng.standard_normal((6, 1, 3))
    src, dst = (slice(0, 2), slice(2, 4)), (slice(4, 5), slice(1, 2))
    return Stages(A, c, W, src, dst, np.array([1, 0.5, 0, 1, -1, 1]), ACTIVATIONS["tanh"], 5)


@pytest.mark.parametrize("engine", [REFERENCE, COMPILED], ids=["reference", "numba"])
def test_stages_whose_maps_are_not_square(engine, monkeypatch, rng):
    for module, name, value in (
        (threads, "WORTHWHILE", 1), (threads, "BLOCKS", 3), (threads, "_threads", 1), (dense, "TILE", 8),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    dense._cut.cache_clear()
    stages, (x, g) = odd(), rng.standard_normal((2, 19, 5))
    passes = Passes([stages], x)
    deltas, [sums] = passes.back(g)

    def close(found, right):
        np.testing.assert_allclose(found, right, rtol=0, atol=200 * EPS * max(1, np.abs(right).max()))

    close(engine.forward(stages, x), passes.states[-1])
    states = engine.trace(stages, x)
    assert not np.shares_memory(states, x)
    close(states, passes.states)
    trace = engine.run(stages, x)
    for delta_0, gradients in (
        (lambda found: (found[0][0], found[1]))(engine.adjoint(stages, states, g)),
        engine.back(stages, trace, g)[1:],
        engine.checkpointed(stages, x, g, 2)[1:],
        engine.gradient(stages, x, g, "checkpoint")[1:3],
    ):
        close(delta_0, deltas[0])
        for found, right in zip(gradients, sums, strict=True):
            close(found, right)
    close(engine.sensitivities(stages, x), passes.sensitivities())
    dense._cut.cache_clear()


def test_images_that_are_no_batch_and_other_losses(rng):
    A, W = 0.5 * rng.standard_normal((2, 2, 2, 1, 3, 3))
    maps, parts = (Convolution(3), Convolution(3)), ((slice(0, 1),), (slice(1, 2),))
    stages = Stages(A, np.zeros((2, 2)), W.swapaxes(1, 2), *parts, 1, ACTIVATIONS["tanh"], 2, maps)
    lift, head = Lift(rng.standard_normal((2, 1, 3, 3)), rng.standard_normal(2)), rng.standard_normal((3, 12))
    pixels, labels = rng.integers(0, 256, (4, 2, 3)).astype(np.uint8), np.array([0, 2, 1, 1])
    engine = COMPILED
    x = rng.standard_normal((2, 2, 2, 3))
    states = engine.trace(stages, x)
    assert not np.shares_memory(states[0], x)
    one = [state[:2] for state in states]
    np.testing.assert_allclose(engine.sensitivity(stages, one), REFERENCE.sensitivity(stages, one), atol=1e-13)

    given = lift, stages, head, np.arange(3.0), pixels
    np.testing.assert_allclose(engine.logits(*given), REFERENCE.logits(*given), atol=1e-12)

    def other(z, labels):
        loss, dz = softmax(z, labels)
        return 2 * loss, 2 * dz

    for loss in (softmax, other):
        for rows in (np.array([3, 0, 1]), np.array([], int)):
            given = lift, stages, head, np.ones(3), loss, pixels, labels, np.zeros((len(rows), 2), int), rows
            found, right = engine.classifier_gradient(*given), REFERENCE.classifier_gradient(*given)
            np.testing.assert_allclose(found[0], right[0], rtol=1e-12)
            assert found[1] == right[1]
            np.testing.assert_allclose(found[2].layer, right[2].layer, atol=1e-12)
            np.testing.assert_allclose(found[2].stages.A, right[2].stages.A, atol=1e-12)


def test_distance_is_relative_to_each_sample():
    y, z = np.array([[1.0, -3.0], [10.0, 0.0], [0.0, 0.0]]), np.array([[1.0, -2.0], [8.0, 0.0], [0.0, 0.0]])
    assert contract.distance(y, z) == 0.5 and contract.distance(y[1:], z[1:]) == 0.25
    assert contract.distance(z[2:], z[2:]) == 0 == contract.distance(z[:0], z[:0])
    assert np.isnan(contract.distance(np.array([[np.nan, 1.0]]), z[:1]))
    y, z = (np.array(pixels).reshape(1, 1, 1, 2) for pixels in ([1.5, -2.0], [1.0, -2.0]))
    assert contract.distance(y, z) == 0.25  # of an image, not of its columns


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_outputs_without_layers_are_not_the_inputs(backend):
    net, x = pyham.ResNet(3, 0).init(0), np.ones((2, 3))
    outputs = [net(x, backend=backend), net.trace(x, backend=backend).states[0]]
    outputs += [net.gradient(x, x, memory=memory, backend=backend).output for memory in ("store", "checkpoint")]
    assert all(np.array_equal(y, x) and not np.shares_memory(y, x) for y in outputs)
    deep = pyham.ResNet(3, 2).init(0)
    assert deep.sensitivity(x, layers=[], backend=backend).shape == (0, 2, 3, 3)
    with pytest.raises(ValueError, match="trace: expected shape"):
        deep.adjoint(net.trace(x, backend=backend), x, backend=backend)


def test_what_is_not_given_is_taken_from_the_whole():
    delta = np.arange(6.0).reshape(3, 1, 2)
    assert np.array_equal(Adjoint(delta, {}).input, delta[0]) and np.array_equal(Trace(delta).output, delta[-1])


def test_memory_goes_to_the_next_that_fits(monkeypatch):
    monkeypatch.setattr(buffers, "WORTHWHILE", 100)
    buffers._free.clear()
    first = buffers.Buffer(100, np.dtype(float))
    assert first.array.shape == (100,) and first.array.dtype == np.float64
    held = first._bytes
    del first
    assert [len(one) for one in buffers._free] == [800]
    assert not np.shares_memory(buffers._take(399), held)  # more than half of it would lie idle
    assert not np.shares_memory(buffers._take(801), held)
    assert not np.shares_memory(buffers._take(99), held)
    assert np.shares_memory(buffers._take(400), held) and not buffers._free
    buffers._free.append(held)
    assert np.shares_memory(buffers._take(800), held)
    buffers._free.append(held)
    monkeypatch.setattr(buffers, "WORTHWHILE", 500)
    assert not np.shares_memory(buffers._take(450), held)
    buffers._free.clear()
    small = buffers.Buffer(12, np.dtype(np.float64))
    del small
    assert not buffers._free


def test_a_batch_is_cut_into_blocks_of_whole_tiles(monkeypatch):
    for name, value in (("WORTHWHILE", 100), ("BLOCKS", 4), ("PARTIAL", 1000), ("_threads", 3)):
        monkeypatch.setattr(threads, name, value)
    for batch, tile, work, partial, size, count in (
        (100, 10, 1000, 1, 30, 4), (100, 10, 250, 1, 50, 2), (100, 10, 1000, 400, 50, 2), (100, 10, 99, 0, 100, 1),
        (101, 10, 1000, 0, 30, 4), (5, 10, 1000, 0, 10, 1), (0, 10, 0, 0, 10, 0),
    ):  # fmt: skip
        cut = threads.Cut(batch, tile, work=work, partial=partial)
        assert (cut.size, cut.count, cut.tiles) == (size, count, -(-batch // tile))
        done = []
        cut.run(lambda *block, done=done: done.append(block))
        ends = [(b * size, min((b + 1) * size, batch), b) for b in range(count)]
        assert sorted(done, key=lambda block: block[2]) == ends

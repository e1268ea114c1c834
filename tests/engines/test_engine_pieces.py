"""The pieces of the engines: distances, memory used again, cuts of a batch, and stages that no architecture has."""

from dataclasses import replace

import numba
import numpy as np
import pytest

import pyham
from pyham.architectures.activations import ACTIVATIONS
from pyham.architectures.lift import Lift
from pyham.architectures.maps import Convolution, Dense
from pyham.architectures.stages import Stages
from pyham.engines import contract
from pyham.engines.compiled import buffers, dense, image_layout, threads
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE, Reference
from pyham.engines.results import Adjoint, Parts, Pixels, Trace
from pyham.training.losses import softmax
from tests.oracles.recursion import Passes

if numba.config.DISABLE_JIT:
    from tests.oracles import interpreter

    interpreter.install()


def stages_of(name, dtype=np.float64):
    """Stages that no architecture has: of all kinds of keep; "odd" reads two channels, makes three, updates one."""
    rng = np.random.default_rng(7)
    size = {"kernels": (3, 3), "pixels": (1, 1)}.get(name, ())
    maps = (Convolution(size[0]), Convolution(size[0])) if size else (Dense(), Dense())
    halves = slice(0, 2), slice(2, 4)
    src, dst = (
        halves,
        {"odd": (slice(4, 5), slice(1, 2)), "overlapping": (slice(1, 3), slice(0, 2))}.get(name, halves[::-1]),
    )
    d = dst[0].stop - dst[0].start
    A, c, W = (rng.standard_normal((6, *shape)).astype(dtype) for shape in ((3, 2, *size), (3,), (d, 3, *size)))
    keep = np.array([1, 0.7, -0.3, 1, -1, 0.5] if name == "shears" else [1, 0.5, 0, 1, -0.3, 1], dtype)
    return Stages(0.5 * A, c, 0.5 * W, src, dst, keep, ACTIVATIONS["tanh"], 5 if name == "odd" else 4, maps)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["odd", "overlapping", "shears", "kernels", "pixels"])
@pytest.mark.parametrize("engine", [REFERENCE, COMPILED], ids=["reference", "numba"])
def test_stages_of_any_form_against_the_recursion(engine, name, dtype, monkeypatch, rng):
    for module, key, value in (
        (threads, "WORTHWHILE", 1), (threads, "BLOCKS", 3), (threads, "_threads", 1), (dense, "TILE", 8),
    ):  # fmt: skip
        monkeypatch.setattr(module, key, value)
    dense._cut.cache_clear()
    stages, (x, g) = stages_of(name, dtype), rng.standard_normal((2, 17, stages_of(name).width)).astype(dtype)
    if name in ("kernels", "pixels"):
        x, g = rng.standard_normal((2, 5, 4, 3, 2)).astype(dtype)
    wide = replace(
        stages, **{key: getattr(stages, key).astype(float) for key in ("A", "c", "W")}, keep=stages.keep.astype(float)
    )
    passes = Passes([wide], x.astype(float))
    deltas, [sums] = passes.back(g.astype(float))

    def close(found, right, units=200):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, right, rtol=0, atol=units * np.finfo(dtype).eps * max(1, np.abs(right).max()))

    close(engine.forward(stages, x), passes.states[-1])
    states = engine.trace(stages, x)
    assert not np.shares_memory(states, x)
    close(states, passes.states)
    delta, gradients = engine.adjoint(stages, states, g)
    close(delta, deltas)
    found = [(delta[0], gradients), engine.back(stages, engine.run(stages, x), g)[1:]]
    found += [engine.checkpointed(stages, x, g, segment)[1:] for segment in (1, 2, 3)]
    if name == "shears":
        found.append(engine.reversible(stages, x, g, 1e-3, 1)[1:3])
        close(engine.inverse(stages, engine.forward(stages, x)), x, 10_000)
    for delta_0, gradients in (*found, engine.gradient(stages, x, g, "checkpoint")[1:3]):
        units = 10_000 if name == "shears" else 200  # rounding errors grow where a state is divided by keep
        close(delta_0, deltas[0], units)
        for one, right in zip(gradients, sums, strict=True):
            close(one, right, units)
    close(engine.sensitivities(stages, x[:9]), passes.sensitivities()[:, :9])
    dense._cut.cache_clear()


def test_images_that_are_no_batch_and_other_losses(rng):
    A, W = 0.5 * rng.standard_normal((2, 2, 2, 1, 3, 3))
    maps, halves = (Convolution(3), Convolution(3)), ((slice(0, 1),), (slice(1, 2),))
    stages = Stages(A, np.zeros((2, 2)), W.swapaxes(1, 2), *halves, 1, ACTIVATIONS["tanh"], 2, maps)
    lift, head = Lift(rng.standard_normal((2, 1, 3, 3)), rng.standard_normal(2)), rng.standard_normal((3, 12))
    pixels, labels = rng.integers(0, 256, (4, 2, 3)).astype(np.uint8), np.array([0, 2, 1, 1])
    parts = Parts(lift, stages, head, np.arange(3.0))
    np.testing.assert_allclose(COMPILED.logits(parts, pixels), REFERENCE.logits(parts, pixels), atol=1e-12)

    def other(z, labels):
        loss, dz = softmax(z, labels)
        return 2 * loss, 2 * dz

    for loss in (softmax, other):
        for rows in (np.array([3, 0, 1]), np.array([], int)):
            shifts = np.zeros((len(rows), 2), int)
            found, right = (
                engine.classifier_gradient(parts, loss, Pixels(pixels, labels, shifts, rows))
                for engine in (COMPILED, REFERENCE)
            )
            np.testing.assert_allclose(found[0], right[0], rtol=1e-12)
            assert found[1] == right[1]
            np.testing.assert_allclose(found[2].layer, right[2].layer, atol=1e-12)
            np.testing.assert_allclose(found[2].stages.A, right[2].stages.A, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_layout_has_as_many_images_as_their_tape_has_room_for(dtype, monkeypatch):
    stages, size = stages_of("kernels"), np.dtype(dtype).itemsize
    for images in (4, 3, 2, 1):
        T, lanes = 16 * images, 64 // size
        monkeypatch.setattr(image_layout, "TAPE", 6 * (2 + 3) * T * size)  # six stages keep y[src] and s
        image_layout.layout_of.cache_clear()
        found = image_layout.layout_of((image_layout.form_of(stages),), 4, 2, 8, np.dtype(dtype))
        space = found.space
        assert (space.images, space.T, space.tape, space.guard) == (images, T, 6 * (2 + 3) * T, -(-9 // lanes) * lanes)
        assert found.forward == 10 * 4 + stages.A.size + stages.c.size + stages.W.size
        assert found.masks.dtype == dtype and len(found.masks) == 9 * T
    monkeypatch.setattr(image_layout, "TAPE", 1)
    image_layout.layout_of.cache_clear()
    assert image_layout.layout_of((image_layout.form_of(stages),), 4, 2, 8, np.dtype(dtype)).space.images == 1
    image_layout.layout_of.cache_clear()


def test_checkpoints_are_as_many_as_the_layers_between_them(rng):
    segments = []

    class Own(Reference):
        def checkpointed(self, stages, x, delta_N, segment):
            segments.append(segment)
            return super().checkpointed(stages, x, delta_N, segment)

    for depth in (0, 1, 17):
        net, x = pyham.ResNet(3, depth).init(0), rng.standard_normal((2, 3))
        for memory in ("store", "checkpoint"):
            net.gradient(x, x, memory=memory, backend=Own())
    assert segments == [1, 1, 1, 1, 17, 4]


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


def test_columns_beyond_the_batch_stay_zero_where_they_would_overflow():
    """Samples that no layer moves, with biases that would send zeros to infinity."""
    K, b = np.broadcast_to(1e10 * np.eye(3), (4, 3, 3)), np.full((4, 3), 1e300)
    net = pyham.Network(pyham.ResNet(3, 4, 1.0, "relu"), {"K": K, "b": b})
    x = np.full((3, 3), -1e295)
    for memory in ("store", "checkpoint"):
        gradient = net.gradient(x, np.ones((3, 3)), memory=memory)
        np.testing.assert_array_equal(gradient.output, x)
        np.testing.assert_array_equal(gradient.input, 1)
        assert not any(value.any() for value in gradient.params.values())  # and no NaN, which is true


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

"""Networks of images: every map against its transpose, every gradient against the complex step, the two engines."""

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures.lift import shifted
from pyham.engines.compiled import image_layout
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.engines.results import Parts, Pixels
from pyham.training.losses import softmax
from pyham.training.model import PredictorModel
from tests.oracles import equations
from tests.oracles.recursion import applied, pulled, squeezed

EPS = float(np.finfo(np.float64).eps)
ARCHITECTURES = {
    "ConvH2": images.ConvH2(8, 8, width=2, depths=(2, 1), step=0.4, activation="tanh"),
    "ConvH2, kernels of size 5": images.ConvH2(4, 6, width=4, depths=(1,), size=5, activation="softplus"),
    "ConvH2, kernels of size 1": images.ConvH2(4, 4, width=2, depths=(1, 1, 1), size=1, activation="logistic"),
    "H1": images.image_architecture("H1", rows=4, columns=5, width=4, depth=2, step=0.3),
    "H2": images.image_architecture("H2", rows=3, columns=4, width=4, depth=2, step=0.3),
    "MS1": images.image_architecture("MS1", rows=3, columns=4, width=4, depth=2, step=0.3),
    "MLP": images.image_architecture("MLP", rows=3, columns=4, width=3, depth=2),
}


def relative(value, right):
    assert value.shape == right.shape
    return float(np.abs(value - right).max(initial=0) / max(np.abs(right).max(initial=0), 1e-300))


def stages_of(arch, rng, dtype=np.float64):
    return arch.init(rng, initialization="scaled-normal", dtype=dtype).stages()


def classifier(arch, rng, dtype=np.float64):
    """With an output layer that is not 0."""
    found = images.untrained(arch, rng, classes=3, gain=0.7, initialization="scaled-normal", dtype=dtype)
    found.head.layer[:] = np.random.default_rng(3).standard_normal(found.head.layer.shape)
    return found


def batch(arch, rng, count=7):
    """Pixels, labels and shifts."""
    pixels = rng.integers(0, 256, (count, *arch.shape[1:])).astype(np.uint8)
    return pixels, rng.integers(0, 3, count), rng.integers(-2, 3, (count, 2))


def test_shifted_images_move_down_and_right():
    pixels = np.zeros((3, 4, 5), np.uint8)
    pixels[:, 1, 2] = 9
    moved = shifted(pixels, np.array([[2, -1], [-1, 2], [-2, 0]]))
    assert moved[0, 3, 1] == 9 and moved[1, 0, 4] == 9 and not moved[2].any()
    assert moved.sum() == 18


def by_hand(net, y):
    """y_N of a ConvH2 as its table has it."""
    sigma, h = equations.SIGMA[net.arch.activation], net.arch.step
    for i in range(len(net.arch.depths)):
        y = squeezed(y) if i else y
        m = y.shape[1] // 2
        for Kp, Kq, b in zip(*(net.params[f"{name}{i}"] for name in ("Kp", "Kq", "b")), strict=True):
            p, q = y[:, :m], y[:, m:]
            p = p - h * pulled(Kq, sigma(applied(Kq, q) + b[m:, None, None]))
            q = q + h * pulled(Kp, sigma(applied(Kp, p) + b[:m, None, None]))
            y = np.concatenate((p, q), axis=1)
    return y


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name.startswith("ConvH2")])
def test_ConvH2_follows_its_equations_in_every_way_to_it(name, rng):
    net = ARCHITECTURES[name].init(rng, initialization="scaled-normal")
    N, stages, y = net.arch.depth, net.stages(), rng.standard_normal((2, *net.arch.shape))
    output = by_hand(net, y)
    for backend in ("numba", "reference"):
        assert relative(net(y, backend=backend), output) <= tolerance(stages, np.float64)
    fresh = images.image_architecture(**net.arch.config())  # which has no J yet
    np.testing.assert_array_equal(fresh.J, -pyham.interconnection.J1(y[0].size))
    assert stages.shears and (stages.depth, stages.count) == (N, 2 * N)
    assert stages.layers(N, N).depth == stages.layers(0, 0).depth == 0
    g = rng.standard_normal(output.shape)
    expected = net.adjoint(net.trace(y, backend="reference"), g, backend="reference").params
    for memory in ("store", "checkpoint"):
        found = net.gradient(y, g, memory=memory, backend="reference").params
        for key, value in expected.items():
            assert relative(found[key], value) <= tolerance(stages, np.float64)


# Gradients


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradient_with_respect_to_the_first_state_is_its_complex_step(name, rng):
    arch = ARCHITECTURES[name]
    stages = stages_of(arch, rng)
    y, u = rng.standard_normal((2, 3, *arch.shape))
    step = REFERENCE.forward(stages, y + 1e-100j * u).imag / 1e-100
    g = rng.standard_normal(step.shape)
    _, delta, _ = REFERENCE.back(stages, REFERENCE.run(stages, y), g)
    sizes = np.linalg.norm(g) * np.linalg.norm(step) + np.linalg.norm(delta) * np.linalg.norm(u)
    assert abs((g * step).sum() - (delta * u).sum()) <= 1e-13 * sizes


# The compiled engine


def tolerance(stages, dtype, batch=1):
    """Errors of a forward and backward pass, relative: some eps for each of the k t^2 terms of a stage's sums."""
    sections = [(part.A.shape, part.W.shape) for part in stages.sections]
    terms = sum(S * (k + d + r) * size**2 for (S, r, k, size, _), (_, d, *_) in sections)
    return float(np.finfo(dtype).eps) * (40 + 4 * terms + batch)


def flat(gradients):
    """The arrays of gradients of ``Stages`` or of a ``Chain``."""
    return gradients if isinstance(gradients[0], np.ndarray) else [array for part in gradients for array in part]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 4, 11])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_compiled_is_the_reference(name, count, dtype, rng, small_blocks):
    arch = ARCHITECTURES[name]
    model = classifier(arch, rng, dtype)
    stages = model.net.stages()
    pixels, labels, shifts = batch(arch, rng, count)
    arguments = Parts(model.lift, stages, *model.head.scaled)
    allowed = tolerance(stages, dtype, count)
    assert relative(COMPILED.logits(arguments, pixels), REFERENCE.logits(arguments, pixels)) <= allowed
    assert relative(model.logits(pixels), model.logits(pixels, backend="reference")) <= allowed
    data = arguments, softmax, Pixels(pixels, labels, shifts, rng.permutation(count))
    loss, right, found = COMPILED.classifier_gradient(*data)
    loss_0, right_0, expected = REFERENCE.classifier_gradient(*data)
    assert abs(loss - loss_0) <= allowed * max(1, loss_0) and right == right_0
    pairs = [(found.layer, expected.layer), (found.mu, expected.mu), *zip(found.lift, expected.lift, strict=True)]
    y = rng.standard_normal((count, *arch.shape)).astype(dtype)
    y_N = REFERENCE.forward(stages, y)
    assert relative(COMPILED.forward(stages, y), y_N) <= allowed
    g = rng.standard_normal(y_N.shape).astype(dtype)
    (_, delta, sums), (_, delta_0, sums_0) = (e.back(stages, e.run(stages, y), g) for e in (COMPILED, REFERENCE))
    pairs += [(delta, delta_0), *zip(flat(sums), flat(sums_0), strict=True)]
    for one, other in [*pairs, *zip(flat(found.stages), flat(expected.stages), strict=True)]:
        assert one.dtype == dtype and relative(one, other) <= allowed


@pytest.mark.parametrize("name", ["ConvH2", "H1"])
def test_gradients_have_the_same_bits_for_any_number_of_threads(name, rng, small_blocks):
    arch = ARCHITECTURES[name]
    model = PredictorModel(classifier(arch, rng, np.float32), images.RECOMMENDED)
    data = batch(arch, rng, 45)
    found = []
    before = pyham.get_num_threads()
    try:
        for threads in (1, 2, 3, 3):
            pyham.set_num_threads(threads)
            loss, right, gradient = model.gradient("joint", *data)
            found.append((loss, right, gradient.tobytes()))
    finally:
        pyham.set_num_threads(before)
    assert len(set(found)) == 1


def test_a_pixel_that_is_not_finite_stays_in_its_image(rng):
    y = rng.standard_normal((5, 2, 8, 8))
    y[2, 1, 3, 4] = np.nan
    right = np.isfinite(COMPILED.forward(stages_of(ARCHITECTURES["ConvH2"], rng), y)).all(axis=(1, 2, 3))
    assert right.tolist() == [True, True, False, True, True]


def test_a_layout_has_fewer_images_where_the_tape_is_long(monkeypatch, rng):
    stages = stages_of(ARCHITECTURES["ConvH2"], rng)
    y = rng.standard_normal((6, 2, 8, 8))
    whole = COMPILED.forward(stages, y)
    form = tuple(map(image_layout.form_of, stages.sections))
    assert image_layout.layout_of(form, 2, 8, 8, np.dtype(float)).space.images == image_layout.IMAGES
    monkeypatch.setattr(image_layout, "TAPE", 1)
    image_layout.layout_of.cache_clear()
    assert image_layout.layout_of(form, 2, 8, 8, np.dtype(float)).space.images == 1
    assert relative(COMPILED.forward(stages, y), whole) <= tolerance(stages, np.float64)
    image_layout.layout_of.cache_clear()


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_a_classifier_of_no_images_has_no_logits(backend):
    classifier = images.untrained(ARCHITECTURES["ConvH2"], 0, classes=3)
    rows, columns = classifier.net.arch.shape[1:]
    assert classifier.logits(np.zeros((0, rows, columns), np.uint8), backend=backend).shape == (0, 3)

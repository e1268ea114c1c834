"""Networks of images: every map against its transpose, every gradient against the complex step, the two engines."""

from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures import convolution
from pyham.architectures.convolution import convolve, kernel_gradient, squeeze, transposed, unsqueeze
from pyham.architectures.lift import Lift, shifted
from pyham.engines.compiled import convolutions, image_layout
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.training.losses import softmax
from pyham.training.model import ClassifierModel

EPS = float(np.finfo(np.float64).eps)
SHAPES = [(3, 2, 5, 4), (1, 1, 1, 1), (2, 3, 2, 7)]  # smaller than a kernel, too
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


# Maps and their transposes


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_is_its_definition(shape, size, rng):
    y, A = rng.standard_normal(shape), rng.standard_normal((2, shape[1], size, size))
    B, k, H, W = shape
    expected = np.zeros((B, 2, H, W))
    for b, i, v, w, l, e, f in np.ndindex(B, 2, H, W, k, size, size):
        row, column = v + e - size // 2, w + f - size // 2
        if 0 <= row < H and 0 <= column < W:
            expected[b, i, v, w] += A[i, l, e, f] * y[b, l, row, column]
    assert relative(convolve(y, A), expected) <= 2 * k * size**2 * EPS  # sums of k t^2 terms in another order


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_transposes_of_the_convolution(shape, size, rng):
    """<g, A * y> = <A^T * g, y> = <dA, A>."""
    y, A = rng.standard_normal(shape), rng.standard_normal((2, shape[1], size, size))
    g = rng.standard_normal((shape[0], 2, *shape[2:]))
    forward = (g * convolve(y, A)).sum()
    tolerance = 4 * EPS * (np.abs(g) * convolve(np.abs(y), np.abs(A))).sum() * np.sqrt(g.size * size**2)
    assert abs((convolve(g, transposed(A)) * y).sum() - forward) <= tolerance
    assert abs((kernel_gradient(y, g, size) * A).sum() - forward) <= tolerance


@pytest.mark.parametrize("shape", [(2, 4, 4, 6), (1, 2, 2, 2)])
def test_squeeze_is_a_permutation_of_p_and_the_same_of_q(shape, rng):
    y, g = rng.standard_normal(shape), rng.standard_normal(squeeze(np.zeros(shape)).shape)
    np.testing.assert_array_equal(unsqueeze(squeeze(y)), y)
    np.testing.assert_array_equal(np.sort(squeeze(y).ravel()), np.sort(y.ravel()))
    assert (g * squeeze(y)).sum() == pytest.approx((unsqueeze(g) * y).sum(), rel=1e-13)
    k = shape[1]
    p = y.copy()
    p[:, k // 2 :] = p[:, : k // 2]
    squeezed = squeeze(p)
    np.testing.assert_array_equal(squeezed[:, : 2 * k], squeezed[:, 2 * k :])
    np.testing.assert_array_equal(squeeze(y)[:, :4, 0, 0], y[:, 0, :2, :2].reshape(-1, 4))


def test_shifted_images_move_down_and_right():
    pixels = np.zeros((3, 4, 5), np.uint8)
    pixels[:, 1, 2] = 9
    moved = shifted(pixels, np.array([[2, -1], [-1, 2], [-2, 0]]))
    assert moved[0, 3, 1] == 9 and moved[1, 0, 4] == 9 and not moved[2].any()
    assert moved.sum() == 18


# Gradients


@pytest.mark.parametrize("engine", [COMPILED, REFERENCE])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradient_with_respect_to_the_first_state_is_its_complex_step(name, engine, rng):
    arch = ARCHITECTURES[name]
    stages = stages_of(arch, rng)
    y, u = rng.standard_normal((2, 3, *arch.shape))
    step = REFERENCE.forward(stages, y + 1e-100j * u).imag / 1e-100
    g = rng.standard_normal(step.shape)
    _, delta, _ = engine.back(stages, engine.run(stages, y), g)
    sizes = np.linalg.norm(g) * np.linalg.norm(step) + np.linalg.norm(delta) * np.linalg.norm(u)
    assert abs((g * step).sum() - (delta * u).sum()) <= 1e-13 * sizes


@pytest.mark.parametrize("fault", ["not flipped", "not transposed", "one sign"])
@pytest.mark.parametrize("name", ["ConvH2", "ConvH2, kernels of size 5"])
def test_a_wrong_transposed_convolution_is_noticed(name, fault, rng, monkeypatch):
    """In the backward pass, by the dot product; in the layer, by symplecticity."""
    from pyham.architectures import maps
    from pyham.verification import image_certificate as certificate

    def wrong(A):
        if fault == "not flipped":
            return A.swapaxes(-4, -3)
        if fault == "not transposed":
            return A[..., ::-1, ::-1]
        result = transposed(A).copy()
        result[..., 0, -1, 0, 0] *= -1
        return result

    arch = ARCHITECTURES[name]
    net = arch.init(rng, initialization="scaled-normal")
    stages = net.stages()
    y, u, v, w = rng.standard_normal((4, 2, *arch.shape))
    noticed = fault != "not transposed" or arch.width > 2  # a kernel of one channel is its own transpose
    for engine, module in ((REFERENCE, (maps, "transposed_kernels")), (COMPILED, (convolutions, "transposed"))):
        assert _dot_product(engine, stages, y, u) < 100 * EPS
        with monkeypatch.context() as patch:
            patch.setattr(*module, wrong)
            assert not noticed or _dot_product(engine, stages, y, u) > 1e6 * EPS
    assert certificate.two_form(stages, y, v, w, COMPILED) < 100 * EPS
    monkeypatch.setattr(maps, "transposed_kernels", wrong)
    assert not noticed or certificate.two_form(arch.lower(net.params), y, v, w, COMPILED) > 1e6 * EPS


def _dot_product(engine, stages, y, u):
    step = REFERENCE.forward(stages, y + 1e-100j * u).imag / 1e-100
    delta = engine.back(stages, engine.run(stages, y), step)[1]
    return abs((step * step).sum() - (delta * u).sum()) / (step * step).sum()


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
    arguments = model.lift, stages, *model.head.scaled
    allowed = tolerance(stages, dtype, count)
    assert relative(COMPILED.logits(*arguments, pixels), REFERENCE.logits(*arguments, pixels)) <= allowed
    assert relative(model.logits(pixels), model.logits(pixels, backend="reference")) <= allowed
    data = softmax, pixels, labels, shifts, rng.permutation(count)
    loss, right, found = COMPILED.classifier_gradient(*arguments, *data)
    loss_0, right_0, expected = REFERENCE.classifier_gradient(*arguments, *data)
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
    model = ClassifierModel(classifier(arch, rng, np.float32), images.RECOMMENDED)
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


# Architectures


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_plain_data(name):
    arch = ARCHITECTURES[name]
    assert images.image_architecture(**arch.config()) == arch
    net = arch.init(0)
    assert {key: value.shape for key, value in net.params.items()} == arch.shapes


@pytest.mark.parametrize("name", ["ConvH2", "H1", "H2", "MS1"])
def test_the_background_stays_0_in_a_centred_network(name):
    arch = ARCHITECTURES[name]
    found = images.untrained(arch, 0, dtype=np.float64)
    y = found.lifted(np.zeros((1, arch.rows, arch.columns), np.uint8))
    inside = y[..., 1:-1, 1:-1]  # outside an image there are zeros, not background
    assert np.abs(inside).max(initial=0) <= 20 * EPS
    assert not REFERENCE.forward(found.net.stages(), np.zeros_like(y)).any()
    assert not found.head.layer.any()


@pytest.mark.parametrize("initialization", images.INITIALIZATIONS)
def test_a_classifier_begins_with_a_lift_whose_outputs_are_of_the_size_of_its_inputs(initialization):
    arch = images.ConvH2(4, 4, width=16, depths=(2, 1))
    found = images.untrained(arch, 0, classes=7, initialization=initialization)
    kernel, bias = found.lift
    assert np.abs(kernel).max() <= 1 / 3 and abs(kernel.var() - 1 / 27) <= 0.01  # uniform: a third of (1 / 3)^2
    assert found.head.layer.shape == (7, 16 * 16 + 1) and found.net.dtype == np.float32
    scale = {"normal": 1.0}.get(initialization, (9 * 8) ** -0.5)  # inputs of a row of K: 8 channels of 3 x 3 pixels
    assert abs(found.net.params["Kp0"].std() - scale) <= 0.1 * scale
    assert found.net.params["b0"].any() != (initialization == "centred")
    assert np.abs(bias).max() <= 1 / 3 or initialization == "centred"


def test_a_classifier_takes_a_network_as_it_is():
    net = ARCHITECTURES["ConvH2"].init(0)
    found = images.untrained(net, 1)
    assert found.net is net and found.lift.kernel.dtype == np.float64 and found.head.gain == 0.3
    assert images.untrained(ARCHITECTURES["H1"], 1).head.gain == 0.025


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_smoothness_is_the_penalty_of_the_paper(name, rng):
    arch = ARCHITECTURES[name]
    params = {key: value.astype(complex) for key, value in arch.init(rng).params.items()}
    penalty, gradients = arch.smoothness(params)
    assert set(gradients) == set(params)
    if name.startswith("ConvH2"):
        steps = [np.diff(params[key], axis=0) for key in params]
        assert penalty == pytest.approx(arch.step / 2 * sum((s * s).sum() for s in steps))
    for key in params:
        place = tuple(rng.integers(0, side) for side in params[key].shape)
        params[key][place] += 1e-100j
        step = arch.smoothness(params)[0]
        params[key][place] = params[key][place].real
        assert abs(np.imag(step) / 1e-100 - gradients[key][place]) <= 1e-13 * max(1, np.abs(gradients[key]).max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 3}, "width: expected an even integer, got 3"),
        ({"depths": ()}, r"depths: expected one or more integers >= 1, got \(\)"),
        ({"depths": (2, 0)}, "depths: expected an integer >= 1, got 0"),
        ({"depths": (1,) * 13}, "depths: expected at most 12 groups, got 13"),
        ({"depths": (1, 1, 1, 1)}, "rows: expected a multiple of 8 for 4 groups, got 28"),
        ({"size": 2}, "size: expected an odd integer, got 2"),
        ({"step": 0}, "step: expected a positive finite number, got 0"),
        ({"rows": 10**9, "depths": (1,)}, "rows, columns: expected at most 16777216 numbers of a state, got "),
        ({"activation": "sine"}, "activation: expected one of "),
    ],
)
def test_ConvH2__raises_on_wrong_options(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        images.ConvH2(**options)


def test_Pixelwise__raises_on_what_is_no_architecture():
    with pytest.raises(TypeError, match="network: expected an Architecture, got str"):
        images.Pixelwise(network="H1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain": 0.0}, "gain: expected a positive finite number, got 0.0"),
        ({"classes": 1}, "classes: expected an integer >= 2, got 1"),
        ({"initialization": "uniform"}, "initialization: expected one of 'centred', 'scaled-normal', 'normal', got"),
        ({"network": pyham.H2(4, 2)}, "network: expected an architecture or a network of images, got H2"),
        ({"network": pyham.H2(4, 2).init(0)}, "network: expected an architecture or a network of images, got H2"),
        ({"rng": -1}, "rng: expected an integer >= 0, got -1"),
    ],
)
def test_untrained__raises_on_wrong_arguments(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        images.untrained(**{"network": ARCHITECTURES["H1"]} | options)


def test_stages_of_images__raise_on_what_does_not_fit_together():
    stages = stages_of(ARCHITECTURES["ConvH2"], 0).sections[0]
    for change, message in (
        ({"c": stages.c[:1]}, "stages: A .* do not fit together"),
        ({"c": stages.c[:, :0]}, "stages: A .* do not fit together"),
        ({"src": (slice(0, 1),) * 3}, "stages: 4 stages do not divide into layers of 3 and 2"),
        ({"dst": (slice(0, 2),) * 2}, "stages: dst expected slices of length 1 in 2"),
        ({"A": stages.A[:0], "c": stages.c[:0], "W": stages.W[:0], "keep": 1, "squeeze": True}, "at least one stage"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(stages, **change)


def test_a_network_without_layers_is_lift_and_output_layer(rng):
    arch = images.image_architecture("H1", rows=3, columns=4, width=4, depth=0)
    model = classifier(arch, rng)
    pixels, labels, shifts = batch(arch, rng)
    arguments = model.lift, model.net.stages(), *model.head.scaled
    assert relative(COMPILED.logits(*arguments, pixels), REFERENCE.logits(*arguments, pixels)) <= 1000 * EPS
    data = softmax, pixels, labels, shifts, np.arange(len(pixels))
    found, expected = (engine.classifier_gradient(*arguments, *data)[2] for engine in (COMPILED, REFERENCE))
    assert relative(found.lift.kernel, expected.lift.kernel) <= 1000 * EPS


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_pixelwise_is_the_network_of_vectors_at_every_pixel(backend, rng):
    arch = ARCHITECTURES["H2"]
    net = arch.init(rng)
    at_one_pixel = pyham.Network(arch.network, net.params)
    y = rng.standard_normal((2, *arch.shape))
    expected = at_one_pixel(np.moveaxis(y, 1, -1).reshape(-1, 4)).reshape(2, 3, 4, 4)
    assert relative(np.moveaxis(net(y, backend=backend), 1, -1), expected) <= 100 * EPS


def test_lift_is_a_convolution_with_a_bias(rng):
    x, lift = rng.standard_normal((2, 4, 5)), Lift(rng.standard_normal((3, 1, 3, 3)), rng.standard_normal(3))
    np.testing.assert_array_equal(
        lift.apply(x), convolution.convolve(x[:, None], lift.kernel) + lift.bias[:, None, None]
    )

"""Image networks: every map against its transpose, every gradient against the complex step, compiled against NumPy."""

import numpy as np
import pytest
from pyham.architectures.groups import Group, Lift, pixelwise
from pyham.architectures.image_base import lift_of
from pyham.training.image_model import ImageModel

import pyham
from pyham import images
from pyham.architectures import convolution
from pyham.architectures.convolution import convolve, kernel_gradient, squeeze, transposed, unsqueeze
from pyham.engines import image_reference as reference
from pyham.engines.compiled import images as compiled
from pyham.training.losses import LOSSES, softmax
from pyham.training.protocol import Protocol

EPS = float(np.finfo(np.float64).eps)
SHAPES = [(3, 2, 5, 4), (1, 1, 1, 1), (2, 3, 2, 7)]  # smaller than a kernel, too
ARCHITECTURES = {
    "ConvH2": images.ConvH2(8, 8, 3, gain=0.7, width=2, depths=(2, 1), step=0.4, activation="tanh"),
    "ConvH2, kernels of size 5": images.ConvH2(4, 6, 3, width=4, depths=(1,), size=5, activation="softplus"),
    "ConvH2, kernels of size 1": images.ConvH2(4, 4, 3, width=2, depths=(1, 1, 1), size=1, activation="logistic"),
    "H1": images.image_architecture("H1", rows=4, columns=5, classes=3, width=4, depth=2, step=0.3),
    "H2": images.image_architecture("H2", rows=3, columns=4, classes=3, width=4, depth=2, step=0.3),
    "MS1": images.image_architecture("MS1", rows=3, columns=4, classes=3, width=4, depth=2, step=0.3),
    "MLP": images.image_architecture("MLP", rows=3, columns=4, classes=3, width=3, depth=2),
}


def relative(value, right):
    assert value.shape == right.shape
    return float(np.abs(value - right).max(initial=0) / max(np.abs(right).max(initial=0), 1e-300))


def network(arch, rng, dtype=np.float64):
    """With a linear layer that is not 0."""
    params = arch.init(rng, initialization="scaled-normal")
    ends = {name: np.random.default_rng(3).standard_normal(params[name].shape) for name in ("layer", "mu")}
    return images.ImageNetwork(arch, {name: value.astype(dtype) for name, value in (params | ends).items()})


def batch(arch, rng, count=7):
    """Pixels, labels and shifts."""
    pixels = rng.integers(0, 256, (count, arch.rows, arch.columns)).astype(np.uint8)
    return pixels, rng.integers(0, arch.classes, count), rng.integers(-2, 3, (count, 2))


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
    moved = reference.shifted(pixels, np.array([[2, -1], [-1, 2], [-2, 0]]))
    assert moved[0, 3, 1] == 9 and moved[1, 0, 4] == 9 and not moved[2].any()
    assert moved.sum() == 18


# Gradients


def objective(arch, params, pixels, labels, shifts, protocol):
    """By the formula of ``pyham.training.image_model``, in the parameters' dtype."""
    y_N = reference.forward(
        arch.lower(params),
        reference.lifted(lift_of(params), reference.normalise(reference.shifted(pixels, shifts), complex)),
    )
    z = arch.gain * (y_N.reshape(len(y_N), -1) @ params["layer"].T + params["mu"])
    loss, _ = softmax(z, labels)
    squares = {name: (value * value).sum() for name, value in params.items()}
    ends = squares.pop("layer") + squares.pop("mu")
    smooth, _ = arch.smoothness(params)
    return loss + protocol.alpha * smooth + protocol.decay / 2 * sum(squares.values()) + protocol.alpha_c / 2 * ends


@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradient_of_the_objective_is_its_complex_step(name, backend, rng):
    arch = ARCHITECTURES[name]
    protocol = Protocol(loss="softmax", scheme="joint", alpha=0.3, alpha_c=0.2, decay=0.1)
    model = ImageModel(network(arch, rng), protocol, 0, backend)
    pixels, labels, shifts = batch(arch, rng)
    loss, _, gradient = model.objective(pixels, labels, shifts, np.arange(len(pixels)))
    flat = model.theta.astype(complex)
    params = model._views(flat)
    assert loss < objective(arch, params, pixels, labels, shifts, protocol).real
    chosen = rng.permutation(flat.size)[:150]
    for i in chosen:
        flat[i] += 1e-100j
        step = objective(arch, params, pixels, labels, shifts, protocol).imag / 1e-100
        flat[i] = flat[i].real
        assert abs(gradient[i] - step) <= 1e-13 * np.abs(gradient).max()


@pytest.mark.parametrize("engine", [compiled, reference])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradient_with_respect_to_the_first_state_is_its_complex_step(name, engine, rng):
    arch = ARCHITECTURES[name]
    groups = network(arch, rng).groups
    y, u = rng.standard_normal((2, 3, arch.channels, arch.rows, arch.columns))
    step = reference.forward(groups, y + 1e-100j * u).imag / 1e-100
    g = rng.standard_normal(step.shape)
    delta, _ = engine.adjoint(groups, y, g)
    sizes = np.linalg.norm(g) * np.linalg.norm(step) + np.linalg.norm(delta) * np.linalg.norm(u)
    assert abs((g * step).sum() - (delta * u).sum()) <= 1e-13 * sizes


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_slopes_of_the_losses_are_their_complex_steps(loss, rng):
    z = 3 * rng.standard_normal((6,) if loss == "logistic" else (6, 4))
    labels = rng.integers(0, 2 if loss == "logistic" else 4, 6)
    function = LOSSES[loss]
    slopes = function(z, labels)[1]
    for place in np.ndindex(z.shape):
        moved = z.astype(complex)
        moved[place] += 1e-100j
        assert abs(function(moved, labels)[0].imag / 1e-100 - slopes[place]) <= 1e-13 * np.abs(slopes).max()


@pytest.mark.parametrize("fault", ["not flipped", "not transposed", "one sign"])
@pytest.mark.parametrize("name", ["ConvH2", "ConvH2, kernels of size 5"])
def test_a_wrong_transposed_convolution_is_noticed(name, fault, rng, monkeypatch):
    """In the backward pass, by the dot product; in the layer, by symplecticity."""

    def wrong(A):
        if fault == "not flipped":
            return A.swapaxes(-4, -3)
        if fault == "not transposed":
            return A[..., ::-1, ::-1]
        result = transposed(A).copy()
        result[..., 0, -1, 0, 0] *= -1
        return result

    arch = ARCHITECTURES[name]
    right = network(arch, rng)
    y, u = rng.standard_normal((2, 2, arch.channels, arch.rows, arch.columns))
    if fault != "not transposed" or arch.width > 2:  # a kernel of one channel is its own transpose
        for module in (reference, compiled):
            with monkeypatch.context() as patch:
                patch.setattr(module, "transposed", wrong)
                assert _dot_product(module, right.groups, y, u) > 1e6 * EPS
    assert max(_dot_product(module, right.groups, y, u) for module in (reference, compiled)) < 100 * EPS
    from pyham.architectures import images as architectures
    from pyham.verification import image_certificate as certificate

    u, v = rng.standard_normal((2, *y.shape))
    assert certificate.two_form(right.groups, y, u, v, compiled) < 100 * EPS
    if fault != "not transposed" or arch.width > 2:
        monkeypatch.setattr(architectures, "transposed", wrong)
        assert certificate.two_form(right.groups, y, u, v, compiled) > 1e6 * EPS


def _dot_product(engine, groups, y, u):
    step = reference.forward(groups, y + 1e-100j * u).imag / 1e-100
    delta, _ = engine.adjoint(groups, y, step)
    return abs((step * step).sum() - (delta * u).sum()) / (step * step).sum()


# The compiled engine


def tolerance(groups, dtype, batch=1):
    """Errors of a forward and backward pass, relative: some eps for each of the k t^2 terms of a stage's sums."""
    terms = sum(len(g.A) * (g.A.shape[2] + g.W.shape[1] + g.A.shape[1]) * g.size**2 for g in groups)
    return float(np.finfo(dtype).eps) * (40 + 4 * terms + batch)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 4, 11])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_compiled_is_the_reference(name, count, dtype, rng, small_blocks):
    arch = ARCHITECTURES[name]
    net = network(arch, rng, dtype)
    pixels, labels, shifts = batch(arch, rng, count)
    arguments = lift_of(net.params), net.groups, net.params["layer"], net.params["mu"], pixels
    allowed = tolerance(net.groups, dtype, count)
    assert relative(compiled.logits(*arguments), reference.logits(*arguments)) <= allowed
    rows = rng.permutation(count)
    loss, right, sums = compiled.gradient(*arguments, labels, shifts, rows)
    loss_0, right_0, sums_0 = reference.gradient(*arguments, labels, shifts, rows)
    assert abs(loss - loss_0) <= allowed * max(1, loss_0) and right == right_0
    pairs = [(sums.layer, sums_0.layer), (sums.mu, sums_0.mu), *zip(sums.lift, sums_0.lift, strict=True)]
    for group, group_0 in zip(sums.groups, sums_0.groups, strict=True):
        pairs += zip(group, group_0, strict=True)
    for found, expected in pairs:
        assert found.dtype == dtype and relative(found, expected) <= allowed
    y = rng.standard_normal((count, arch.channels, arch.rows, arch.columns)).astype(dtype)
    y_N = reference.forward(net.groups, y)
    g = rng.standard_normal(y_N.shape).astype(dtype)
    assert relative(compiled.forward(net.groups, y), y_N) <= allowed
    delta, gradients = compiled.adjoint(net.groups, y, g)
    delta_0, gradients_0 = reference.adjoint(net.groups, y, g)
    assert relative(delta, delta_0) <= allowed
    for group, group_0 in zip(gradients, gradients_0, strict=True):
        assert max(relative(a, b) for a, b in zip(group, group_0, strict=True)) <= allowed


@pytest.mark.parametrize("name", ["ConvH2", "H1"])
def test_gradients_have_the_same_bits_for_any_number_of_threads(name, rng, small_blocks):
    arch = ARCHITECTURES[name]
    model = ImageModel(network(arch, rng, np.float32), images.RECOMMENDED, 0)
    pixels, labels, shifts = batch(arch, rng, 45)
    found = []
    before = pyham.get_num_threads()
    try:
        for threads in (1, 2, 3, 3):
            pyham.set_num_threads(threads)
            loss, right, gradient = model.objective(pixels, labels, shifts, np.arange(45))
            found.append((loss, right, gradient.tobytes()))
    finally:
        pyham.set_num_threads(before)
    assert len(set(found)) == 1


def test_a_pixel_that_is_not_finite_stays_in_its_image(rng):
    arch = ARCHITECTURES["ConvH2"]
    groups = network(arch, rng).groups
    y = rng.standard_normal((5, 2, 8, 8))
    y[2, 1, 3, 4] = np.nan
    right = np.isfinite(compiled.forward(groups, y)).all(axis=(1, 2, 3))
    assert right.tolist() == [True, True, False, True, True]


def test_a_layout_has_fewer_images_where_the_tape_is_long(monkeypatch, rng):
    arch = ARCHITECTURES["ConvH2"]
    net = network(arch, rng)
    y = rng.standard_normal((6, 2, 8, 8))
    whole = compiled.forward(net.groups, y)
    form = tuple(map(compiled._form, net.groups))
    assert compiled._layout(form, 2, 8, 8, np.dtype(float)).space.images == compiled.IMAGES
    monkeypatch.setattr(compiled, "TAPE", 1)
    compiled._layout.cache_clear()
    assert compiled._layout(form, 2, 8, 8, np.dtype(float)).space.images == 1
    assert relative(compiled.forward(net.groups, y), whole) <= tolerance(net.groups, np.float64)
    compiled._layout.cache_clear()


# Architectures


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_plain_data(name):
    arch = ARCHITECTURES[name]
    assert images.image_architecture(**arch.config()) == arch
    params = arch.init(0)
    assert list(params) == list(arch.shapes)
    assert all(params[key].shape == shape for key, shape in arch.shapes.items())


@pytest.mark.parametrize("name", ["ConvH2", "H1", "H2", "MS1"])
def test_the_background_stays_0_in_a_centred_network(name):
    arch = ARCHITECTURES[name]
    net = images.ImageNetwork(arch, arch.init(0))
    y = net.lifted(np.zeros((1, arch.rows, arch.columns), np.uint8))
    inside = y[..., 1:-1, 1:-1]  # outside an image there are zeros, not background
    assert np.abs(inside).max(initial=0) <= 20 * EPS
    assert not reference.forward(net.groups, np.zeros_like(y)).any()
    assert not arch.init(0)["layer"].any()
    assert arch.init(0, initialization="normal")["lift_bias"].any()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_smoothness_is_the_penalty_of_the_paper(name, rng):
    arch = ARCHITECTURES[name]
    params = {key: value.astype(complex) for key, value in arch.init(rng).items()}
    penalty, gradients = arch.smoothness(params)
    assert set(gradients) == set(arch.inner)
    if name.startswith("ConvH2"):
        steps = [np.diff(params[key], axis=0) for key in arch.inner]
        assert penalty == pytest.approx(arch.step / 2 * sum((s * s).sum() for s in steps))
    for key in arch.inner:
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
        ({"gain": 0.0}, "gain: expected a positive finite number, got 0.0"),
        ({"classes": 1}, "classes: expected an integer >= 2, got 1"),
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


def test_groups__raise_on_what_does_not_fit_together():
    group = network(ARCHITECTURES["ConvH2"], 0).groups[0]
    other = dict(vars(group))
    for change, message in (
        ({"c": group.c[:1]}, "group: A .* do not fit together"),
        ({"src": (slice(0, 1),) * 3}, "group: 4 stages do not divide into layers of 3 and 2"),
        ({"dst": (slice(0, 2),) * 2}, "group: dst expected slices of 1 among 2"),
        ({"A": group.A[:0], "c": group.c[:0], "W": group.W[:0], "squeeze": True}, "at least one stage after a squeeze"),
    ):
        with pytest.raises(ValueError, match=message):
            Group(**(other | change))


def test_a_network_without_layers_is_lift_and_linear_layer(rng):
    arch = images.image_architecture("H1", rows=3, columns=4, classes=3, width=4, depth=0)
    net = network(arch, rng)
    pixels, labels, shifts = batch(arch, rng)
    arguments = lift_of(net.params), net.groups, net.params["layer"], net.params["mu"], pixels
    assert relative(compiled.logits(*arguments), reference.logits(*arguments)) <= 1000 * EPS
    sums, expected = (module.gradient(*arguments, labels, shifts)[2] for module in (compiled, reference))
    assert relative(sums.lift.kernel, expected.lift.kernel) <= 1000 * EPS


def test_pixelwise_is_the_network_of_vectors_at_every_pixel(rng):
    net = pyham.H2(4, 3, 0.2).init(rng)
    y = rng.standard_normal((2, 4, 3, 5))
    expected = net(np.moveaxis(y, 1, -1).reshape(-1, 4)).reshape(2, 3, 5, 4)
    found = reference.forward([pixelwise(net.stages())], y)
    assert relative(np.moveaxis(found, 1, -1), expected) <= 100 * EPS


def test_lift_is_a_convolution_with_a_bias(rng):
    x, lift = rng.standard_normal((2, 4, 5)), Lift(rng.standard_normal((3, 1, 3, 3)), rng.standard_normal(3))
    np.testing.assert_array_equal(
        reference.lifted(lift, x), convolution.convolve(x[:, None], lift.kernel) + lift.bias[:, None, None]
    )

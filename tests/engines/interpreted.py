"""The compiled engine's loops, run by Python: NUMBA_DISABLE_JIT=1 python -m pytest -n 0 tests/engines/interpreted.py

Machine code that leaves its arrays may do anything; here it raises (``tests.oracles.interpreter``). Planted faults in
the loops meet these tests, and those of ``test_everything`` and ``test_engine_pieces``, run by Python too:
``python -m validation.faults --only engines``.
"""

import math
from dataclasses import replace

import numba
import numpy as np
import pytest

import pyham
from pyham.architectures.activations import ACTIVATIONS
from pyham.architectures.chain import Chain
from pyham.architectures.lift import Lift
from pyham.architectures.maps import Convolution
from pyham.architectures.stages import Stages
from pyham.engines import contract
from pyham.engines.reference import REFERENCE
from pyham.engines.results import Parts, Pixels
from pyham.training import updates as plain
from pyham.training.losses import softmax
from tests.oracles import interpreter
from tests.oracles.recursion import Passes

if not numba.config.DISABLE_JIT:
    pytest.skip("NUMBA_DISABLE_JIT is not set: loops would be machine code", allow_module_level=True)

from pyham.engines.compiled import convolutions, elementary, image_layout, image_tiles, kernels, tiles, updates
from pyham.engines.compiled.dense import _plain
from pyham.engines.compiled.matrices import frobenius, symplectic_defect

interpreter.install()

EPS = float(np.finfo(float).eps)
BATCH, SPANS = 11, ((0, 10, 5), (10, 11, 5))  # three tiles of five, in the last one sample
NETWORKS = {
    "MS1": pyham.MS1(4, 5, 0.5, "identity"),
    "H2": pyham.H2(4, 5, 0.2, X=np.random.default_rng(0).standard_normal((2, 2)), scheme="verlet"),
    "deep": pyham.H2(4, 21, 0.1),
}


def nothing(like):
    return np.full_like(like, np.nan)


def alike(found, right, units=200):
    """Arrays, or trees of arrays."""
    if isinstance(right, np.ndarray):
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, rtol=0, atol=units * EPS * max(1, np.abs(right).max(initial=0)))
    else:
        for one, other in zip(found, right, strict=True):
            alike(one, other, units)


# States rebuilt on the way back


class Case:
    """Stages, and y_N, delta_0 and sums as the kernel ``reversible`` leaves them and as they are by the oracle."""

    def __init__(self, name, keep=1.0):
        rng = np.random.default_rng(len(name))
        self.stages = replace(NETWORKS[name].init(rng).stages(), keep=keep)
        self.x, self.g = rng.standard_normal((2, BATCH, 4))
        passes = Passes([self.stages], self.x)
        deltas, sums = passes.back(self.g)
        self.right = passes.states[-1], deltas[0], sums[0]
        self.found = nothing(self.x), nothing(self.x), tuple(np.zeros_like(array) for array in sums[0])

    def rebuild(self, limits, spans=SPANS):
        """The kernel's report."""
        report = np.zeros(3)
        for span in spans:
            kernels.reversible(_plain(self.stages), span, self.x, self.g, limits, *self.found, report)
        return report


@pytest.mark.parametrize("name", ["MS1", "H2"])
@pytest.mark.parametrize("budget", [0.0, 1e-10, np.inf, np.nan])
@pytest.mark.parametrize("shortest", [1, 2, 9])
def test_reversible(shortest, budget, name):
    case = Case(name)
    report = case.rebuild((shortest, budget))
    alike(case.found, case.right)
    nowhere = shortest == 9 or budget > 0
    assert report[1:].tolist() == ([0, 0] if nowhere else {1: [4, 3], 2: [2, 2]}[shortest])
    assert (0 < report[0] <= 1e-13) == (shortest < 9 and budget > 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shortest", [1, 3])
def test_what_reversible_keeps_is_what_the_reference_keeps(shortest, seed, monkeypatch):
    """Sample by sample, for errors of rebuilt states that are drawn at random: what is tried, and what comes of it."""
    case, errors, distance, real = Case("deep"), [], kernels.distance, []
    monkeypatch.setattr(contract, "distance", lambda *_: errors.append(kinds.random()) or errors[-1])
    monkeypatch.setattr(kernels, "distance", lambda *given: real.append(distance(*given)) or contract.distance())
    for i in range(BATCH):
        reports, tried, one = [], [], (case.x[i : i + 1], case.g[i : i + 1])
        for run in (
            lambda i=i: case.rebuild((shortest, 0.6), [(i, i + 1, 5)]),
            lambda one=one: REFERENCE.reversible(case.stages, *one, 0.6, shortest)[3][0],
        ):
            kinds = np.random.default_rng([seed, i])
            reports.append(run().tolist())
            tried.append(errors.copy())
            errors.clear()
        assert tried[0] == tried[1] and reports[0] == reports[1]
    assert max(real) < 1e-13  # whatever was tried began at the right state
    alike(case.found[1:], case.right[1:])


@pytest.mark.parametrize("name", ["MS1", "H2"])
@pytest.mark.parametrize("keep", [1.0, -0.5])
def test_states_are_put_right_again_where_rebuilding_failed(name, keep, monkeypatch):
    """A whole tile, for errors that are drawn at random."""
    case, errors = Case(name, keep), np.random.default_rng(3)
    monkeypatch.setattr(kernels, "distance", lambda *_: errors.random())
    case.rebuild((1, 0.5), SPANS * 2)
    alike([case.found[1], *(array / 2 for array in case.found[2])], [case.right[1], *case.right[2]])


def test_distance_lets_no_nan_pass():
    def distance(y, z, size, n, T):
        return tiles.distance(interpreter.address(y), interpreter.address(z), size, n, T)

    right = np.arange(1.0, 13.0)
    for i in range(12):
        wrong = right.copy()
        wrong[i] = np.nan
        assert np.isnan(distance(wrong, right, 4, 3, 4))
    wrong = right.copy()
    wrong[[1, 11]] = 2.5, -100.0
    assert distance(wrong, right, 4, 3, 4) == 112 / 12
    assert distance(wrong, right, 3, 3, 4) == distance(wrong / 64, right / 64, 3, 3, 4) == 0.5 / 10
    assert distance(np.zeros(4), np.zeros(4), 2, 2, 2) == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_elementary_functions(dtype):
    exact = {
        elementary.tanh: math.tanh,
        elementary.logistic: lambda x: 1 / (1 + math.exp(-x)) if x > -700 else math.exp(x),
        elementary.softplus: lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    }
    info = np.finfo(dtype)
    points = [0, 1e-30, 1e-9, 0.1, 0.3, 0.64, 0.66, 0.8, 1, 1.1, 1.2, 1.25, 1.3, 2.5, 7, 15, 19, 30, 90, 800]
    for function, right in exact.items():
        for x in map(dtype, [*points, *(-p for p in points)]):
            found, value = function(x), right(float(x))
            assert found.dtype == dtype
            assert abs(float(found) - value) <= 2 * info.eps * abs(value) + float(info.smallest_subnormal), x
        assert np.isnan(function(dtype(np.nan)))
    assert math.copysign(1, elementary.tanh(dtype(-0.0))) == -1


def stack(rng, S, r, k, d, size, **options):
    """Stages with kernels (r, k, t, t) and (d, r, t, t)."""
    A, W = (0.5 * rng.standard_normal((S, *shape, size, size)) for shape in ((r, k), (d, r)))
    maps = Convolution(size), Convolution(size)
    return Stages(A, rng.standard_normal((S, r)), W, activation=ACTIVATIONS["logistic"], maps=maps, **options)


@pytest.fixture(params=["overlapping", "squeezed", "nothing"])
def images(request, rng, monkeypatch):
    """Stages whose channels overlap; of slices of different lengths, with squeezes; none at all; and seven images."""
    monkeypatch.setattr(image_layout, "VECTOR", 256)  # 32 lanes: columns are left over, before a squeeze and after it
    monkeypatch.setattr(image_layout, "IMAGES", 3)  # three tiles, in the last one image
    for name, value in (("WORTHWHILE", 1), ("BLOCKS", 2), ("_threads", 1)):  # of two tiles and one
        monkeypatch.setattr(f"pyham.engines.compiled.threads.{name}", value)
    image_layout.layout_of.cache_clear()
    overlapping = {"src": (slice(0, 2), slice(2, 4)), "dst": (slice(1, 3), slice(0, 2)), "width": 4}
    other = {"src": (slice(5, 7),), "dst": (slice(2, 6),), "keep": 1, "width": 8}
    if request.param == "overlapping":
        return stack(rng, 4, 2, 2, 2, 3, keep=[1, 0, -0.5, 1], **overlapping), rng.standard_normal((7, 4, 3, 1))
    if request.param == "nothing":
        return stack(rng, 0, 2, 2, 2, 3, keep=1, **overlapping), rng.standard_normal((7, 4, 3, 1))
    sections = [stack(rng, 2, 3, 2, 4, 1, squeeze=True, **other), stack(rng, 1, 1, 2, 4, 5, **other)]
    sections.append(stack(rng, 1, 2, 2, 1, 3, src=(slice(0, 2),), dst=(slice(31, 32),), keep=1, width=32, squeeze=True))
    return Chain(sections), rng.standard_normal((7, 2, 4, 12))


def test_images_up_and_down(images, rng):
    stages, y = images
    states = REFERENCE.trace(stages, y)
    g = rng.standard_normal(states[-1].shape)
    engine = convolutions.CompiledConvolutions()
    alike(engine.forward(stages, y), states[-1])
    alike(engine.checkpointed(stages, y, g, 1)[1:], tuple(REFERENCE.checkpointed(stages, y, g, 1))[1:])
    if stages.depth and y.shape[-1] == 1:
        alike(engine.adjoint(stages, states, g), REFERENCE.adjoint(stages, states, g))
        first = [s[:1] for s in states]
        alike(engine.sensitivity(stages, first), REFERENCE.sensitivity(stages, first))


def test_images_from_pixels_to_the_loss(images, rng):
    stages, y = images
    _, C, H, W = y.shape
    n = stages.sections[-1].width * H * W if W == 1 else 96
    lift = Lift(rng.standard_normal((C, 1, 3, 3)), rng.standard_normal(C))
    parts = Parts(lift, stages, 0.1 * rng.standard_normal((3, n)), rng.standard_normal(3))
    pixels, labels = rng.integers(0, 256, (7, H, W)).astype(np.uint8), np.array([0, 2, 1, 1, 0, 2, 1])
    shifts = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -2], [2, 0], [0, 0]])
    engine = convolutions.CompiledConvolutions()
    alike(engine.logits(parts, pixels), REFERENCE.logits(parts, pixels))
    batch = Pixels(pixels, labels, shifts, np.array([6, 0, 3, 2, 2, 5, 1]))
    (loss, right, found), (value, count, gradients) = (
        e.classifier_gradient(parts, softmax, batch) for e in (engine, REFERENCE)
    )
    assert right == count
    np.testing.assert_allclose(loss, value, rtol=1e-12)
    alike(found, gradients)


def test_a_squeeze_and_its_inverse_leave_zeros_behind_the_last_pixel(rng):
    stage = image_tiles.ImageStage(*[0] * image_tiles.FIELDS)._replace(channels=8, rows=1, columns=3, T=8)
    y, out, back = rng.standard_normal((2, 28)), np.full((8, 8), np.nan), np.full((3, 28), np.nan)
    y[:, 24:] = 0  # behind two images of 2 x 6 pixels
    image_tiles.squeezed(stage, interpreter.address(y), interpreter.address(out), 2, 28)
    image_tiles.unsqueezed(stage, interpreter.address(out), interpreter.address(back), 2, 28)
    assert not out[:, 6:].any() and np.isnan(back[2]).all()
    np.testing.assert_array_equal(back[:2], y)


# Updates, twins of those in NumPy


def agree(name, *arguments):
    """The results of both, and the arrays that they changed."""
    both = []
    for module in (updates, plain):
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        result = getattr(module, name)(*copies)
        both.append([*np.atleast_1d(result if result is not None else 0.0), *copies])
    for found, right in zip(*both, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("code", [0, 1])
def test_updates_are_those_in_numpy(code, rng):
    classes, n, B = (1, 3)[code], 4, 7
    layer, y = rng.standard_normal((classes, n + 1)), rng.standard_normal((n, B))
    labels = np.arange(B) % max(2, classes)
    for nesterov in (False, True):
        agree("sgd", *rng.standard_normal((3, 9)), 0.1, 0.9, nesterov)
    adam = (0.1, (0.9, 0.99), 1e-3)
    agree("adam", *rng.standard_normal((2, 9)), rng.random(9), rng.standard_normal(9), 3, *adam, 0.02)
    agree("head", code, layer, y, labels, nothing(layer), nothing(y))
    agree("fit", code, layer, y, labels, 3, 0.1, 0.03, (0.9, 0.99), 1e-3)
    m, v = 0.1 * rng.standard_normal(layer.shape), rng.random(layer.shape)
    order, rates = rng.permutation(B), np.array([0.1, 0.2, 0.05])
    agree("fit_epoch", code, layer, m, v, y, labels, order, 3, 2, rates, 0.03, *adam[1:], 1.5, 2)
    agree("fit_epoch", code, layer, m, v, y[:, :1], labels[:1], order[:1] * 0, 3, 2, rates[:1], 0.03, *adam[1:], 0.0, 0)


@pytest.mark.parametrize("code", [0, 1])
def test_losses_of_confident_and_undecided_logits(code):
    z = np.array([[[700.0, -700, 0, 3, 3]], [[900.0, 1, 2, 0, -5], [0, 1, 5, 800, -9], [1, 1, 5, 0, 900]]][code])
    for labels in (np.zeros(5, int), np.array([1, 1, 1, 1, 0]), np.array([0, 1, 0, 1, 1]) + code):
        if code == 0:  # log(1 + exp(-+ z))
            signed = np.where(labels == 1, z[0], -z[0])
            losses, right = np.logaddexp(0, -signed), ((z[0] > 0) == (labels == 1)).sum()
            slopes = np.where(labels == 1, -1, 1) / (1 + np.exp(signed)) / 5
        else:
            share = np.exp(z - np.logaddexp.reduce(z, axis=0))
            losses = np.logaddexp.reduce(z, axis=0) - z[labels, range(5)]
            right, slopes = (z.argmax(axis=0) == labels).sum(), (share - (np.arange(3)[:, None] == labels)) / 5
        loss, count = updates.value(code, z, labels)
        np.testing.assert_allclose(loss, losses.mean(), rtol=1e-14)
        assert count == right
        dz = z.copy()
        updates.slopes(code, dz, labels)
        np.testing.assert_allclose(dz, np.atleast_2d(slopes), rtol=1e-12, atol=1e-15)


def test_symplectic_defect(rng):
    n = 5
    J = rng.standard_normal((n, n))
    phi = np.stack([np.eye(n), 3 * rng.standard_normal((n, n)), 1e-3 * rng.standard_normal((n, n)), np.zeros((n, n)),
                    1e200 * rng.standard_normal((n, n))])  # fmt: skip
    out = np.full(len(phi), np.nan)
    symplectic_defect(phi, J, out)
    for P, found in zip(phi, out, strict=True):
        size = max(1.0, np.linalg.norm(P / 1e100) * 1e100 if P.max() > 1e100 else np.linalg.norm(P))
        right = np.linalg.norm((P / size).T @ J @ (P / size) - J / size / size)
        np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-14)


def test_frobenius_scales_by_the_largest_entry_wherever_it_is():
    assert frobenius(np.zeros((2, 3))) == 0 and frobenius(np.full((2, 2), np.inf)) == np.inf
    assert frobenius(np.eye(4)) == 2 and frobenius(1e-200 * np.eye(4)) == 2e-200
    for place in np.ndindex(2, 3):
        D = np.zeros((2, 3))
        D[place] = -1e300
        np.testing.assert_allclose(frobenius(D), 1e300, rtol=1e-15)

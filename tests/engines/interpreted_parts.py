"""The parts of the compiled engine's loops, run by Python as the others are: blocks, images, updates, matrices."""

import math
from dataclasses import replace

import numba
import numpy as np
import pytest

from pyham.architectures.activations import ACTIVATIONS
from pyham.architectures.lift import Lift
from pyham.architectures.maps import Convolution
from pyham.architectures.stages import Chain, Stages
from pyham.engines.reference import REFERENCE
from pyham.training import updates as plain
from pyham.training.losses import softmax
from tests.oracles import interpreter

if not numba.config.DISABLE_JIT:
    pytest.skip("NUMBA_DISABLE_JIT is not set: loops would be machine code", allow_module_level=True)

from pyham.engines.compiled import (
    convolutions,
    elementary,
    image_layout,
    matrices,
    register_blocks,
    threads,
    tiles,
    updates,
)
from pyham.engines.compiled.activations import code_of

interpreter.install()

EPS = float(np.finfo(float).eps)


def nothing(like):
    return np.full_like(like, np.nan)


def test_distance_lets_no_nan_pass():
    right = np.arange(1.0, 13.0)
    for i in range(12):
        wrong = right.copy()
        wrong[i] = np.nan
        assert np.isnan(tiles.distance(interpreter.address(wrong), interpreter.address(right), 4, 3, 4))
    wrong = right.copy()
    wrong[[1, 11]] = 2.5, -100.0
    found = tiles.distance(interpreter.address(wrong), interpreter.address(right), 4, 3, 4)
    assert found == 112 / 12
    assert tiles.distance(interpreter.address(wrong), interpreter.address(right), 3, 3, 4) == 0.5 / 10
    assert tiles.distance(interpreter.address(wrong / 64), interpreter.address(right / 64), 3, 3, 4) == 0.5 / 10
    assert tiles.distance(interpreter.address(np.zeros(4)), interpreter.address(np.zeros(4)), 2, 2, 2) == 0


@pytest.mark.parametrize("T", [1, 4, 10])
def test_products_of_blocks(T, rng):
    at = interpreter.address
    for r in (1, 2, 3, 4, 5, 7, 13):
        for k in (1, 2, 3, 4, 6, 13):
            M, y, z, start = (rng.standard_normal(shape) for shape in ((r, k), (k, T), (r, T), r))
            out = np.full((r, T), np.nan)
            register_blocks.product(at(start), at(M), k, 1, at(y), at(out), r, k, T)
            np.testing.assert_allclose(out, start[:, None] + M @ y, rtol=1e-12, atol=1e-12)
            out = z.copy()
            register_blocks.product(at(out), at(M.T.copy()), 1, r, at(y), at(out), r, k, T)
            np.testing.assert_allclose(out, z + M @ y, rtol=1e-12, atol=1e-12)
            out = M.copy()
            register_blocks.add_outer(at(z), at(y), at(out), r, k, T)
            np.testing.assert_allclose(out, M + z @ y.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_elementary_functions(dtype):
    eps = float(np.finfo(dtype).eps)
    points = [
        0.0,
        1e-30,
        1e-9,
        0.1,
        0.3,
        0.64,
        0.66,
        0.8,
        1.0,
        1.1,
        1.2,
        1.25,
        1.3,
        2.5,
        7.0,
        15.0,
        19.0,
        30.0,
        90.0,
        800.0,
    ]
    for point in [*points, *(-p for p in points)]:
        x = dtype(point)
        exact = float(x)
        for function, right, units in (
            (elementary.tanh, math.tanh(exact), 2),
            (elementary.logistic, 1 / (1 + math.exp(-exact)) if exact > -700 else math.exp(exact), 2),
            (elementary.softplus, max(exact, 0) + math.log1p(math.exp(-abs(exact))), 2),
        ):
            found = function(x)
            assert found.dtype == dtype
            assert abs(float(found) - right) <= units * eps * abs(right) + float(np.finfo(dtype).smallest_subnormal), (
                point
            )
    for function in (elementary.tanh, elementary.logistic, elementary.softplus):
        assert np.isnan(function(dtype(np.nan)))
    assert math.copysign(1, elementary.tanh(dtype(-0.0))) == -1


# Images


def stack(rng, S, r, k, d, size, **options):
    """Stages with kernels (r, k, t, t) and (d, r, t, t)."""
    A, W = (0.5 * rng.standard_normal((S, *shape, size, size)) for shape in ((r, k), (d, r)))
    maps = Convolution(size), Convolution(size)
    return Stages(A, rng.standard_normal((S, r)), W, activation=ACTIVATIONS["logistic"], maps=maps, **options)


@pytest.fixture(params=["overlapping", "squeezed", "nothing"])
def images(request, rng, monkeypatch):
    """Stages whose channels overlap; of slices of different lengths, with squeezes; none at all; and seven images."""
    monkeypatch.setattr(image_layout, "VECTOR", 64)  # eight lanes: columns are left over
    monkeypatch.setattr(image_layout, "IMAGES", 3)  # three tiles, in the last one image
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    monkeypatch.setattr(threads, "BLOCKS", 2)  # of two tiles and one
    monkeypatch.setattr(threads, "_threads", 1)
    image_layout.layout_of.cache_clear()
    overlapping = {"src": (slice(0, 2), slice(2, 4)), "dst": (slice(1, 3), slice(0, 2)), "width": 4}
    other = {"src": (slice(5, 7),), "dst": (slice(2, 6),), "keep": 1, "width": 8}
    if request.param == "overlapping":
        return stack(rng, 4, 2, 2, 2, 3, keep=[1, 0, -0.5, 1], **overlapping), rng.standard_normal((7, 4, 3, 1))
    if request.param == "nothing":
        return stack(rng, 0, 2, 2, 2, 3, keep=1, **overlapping), rng.standard_normal((7, 4, 3, 1))
    sections = [stack(rng, 2, 3, 2, 4, 3, squeeze=True, **other), stack(rng, 1, 1, 2, 4, 5, **other)]
    sections.append(stack(rng, 1, 2, 2, 1, 1, src=(slice(0, 2),), dst=(slice(31, 32),), keep=1, width=32, squeeze=True))
    return Chain(sections), rng.standard_normal((7, 2, 4, 12))


def alike(found, right):
    """Arrays, or trees of arrays."""
    if isinstance(right, np.ndarray):
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, rtol=0, atol=200 * EPS * max(1, np.abs(right).max(initial=0)))
    else:
        for one, other in zip(found, right, strict=True):
            alike(one, other)


def test_images_up_and_down(images, rng):
    stages, y = images
    states = REFERENCE.trace(stages, y)
    g = rng.standard_normal(states[-1].shape)
    engine = convolutions.CompiledConvolutions()
    alike(engine.forward(stages, y), states[-1])
    alike(engine.checkpointed(stages, y, g, 1)[1:], tuple(REFERENCE.checkpointed(stages, y, g, 1))[1:])
    if stages.depth and y.shape[-1] == 1:
        alike(engine.adjoint(stages, states, g), REFERENCE.adjoint(stages, states, g))
        alike(
            engine.sensitivity(stages, [s[:1] for s in states]), REFERENCE.sensitivity(stages, [s[:1] for s in states])
        )


def test_images_from_pixels_to_the_loss(images, rng):
    stages, y = images
    _, C, H, W = y.shape
    n = stages.sections[-1].width * H * W if W == 1 else 96
    head = Lift(rng.standard_normal((C, 1, 3, 3)), rng.standard_normal(C)), stages
    layer, mu = 0.1 * rng.standard_normal((3, n)), rng.standard_normal(3)
    pixels, labels = rng.integers(0, 256, (7, H, W)).astype(np.uint8), np.array([0, 2, 1, 1, 0, 2, 1])
    shifts = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -2], [2, 0], [0, 0]])
    rows = np.array([6, 0, 3, 2, 2, 5, 1])
    engine = convolutions.CompiledConvolutions()
    alike(engine.logits(*head, layer, mu, pixels), REFERENCE.logits(*head, layer, mu, pixels))
    given = *head, layer, mu, softmax, pixels, labels, shifts, rows
    (loss, right, found), (value, count, gradients) = (e.classifier_gradient(*given) for e in (engine, REFERENCE))
    assert right == count
    np.testing.assert_allclose(loss, value, rtol=1e-12)
    alike(found, gradients)


# Updates, twins of those in NumPy


def twins(name, *arguments):
    """The results of both, and the arrays that they changed."""
    found = []
    for module in (updates, plain):
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        result = getattr(module, name)(*copies)
        found.append([*np.atleast_1d(result if result is not None else 0.0), *copies])
    return zip(*found, strict=True)


def agree(name, *arguments):
    for found, right in twins(name, *arguments):
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
    agree("fit_epoch", code, layer, m, v, y, labels, order, 3, 2, rates, 0.03, (0.9, 0.99), 1e-3)
    agree("fit_epoch", code, layer, m, v, y[:, :1], labels[:1], order[:1] * 0, 3, 2, rates[:1], 0.03, (0.9, 0.99), 1e-3)


@pytest.mark.parametrize("code", [0, 1])
def test_losses_of_confident_and_undecided_logits(code):
    z = np.array(
        [[700.0, -700, 0, 3, 3]] if code == 0 else [[900.0, 1, 2, 0, -5], [0, 1, 5, 800, -9], [1, 1, 5, 0, 900]]
    )
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
    matrices.symplectic_defect(phi, J, out)
    for P, found in zip(phi, out, strict=True):
        size = max(1.0, np.linalg.norm(P / 1e100) * 1e100 if P.max() > 1e100 else np.linalg.norm(P))
        right = np.linalg.norm((P / size).T @ J @ (P / size) - J / size / size)
        np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-14)


def test_frobenius_scales_by_the_largest_entry_wherever_it_is():
    assert matrices.frobenius(np.zeros((2, 3))) == 0 and matrices.frobenius(np.full((2, 2), np.inf)) == np.inf
    assert matrices.frobenius(np.eye(4)) == 2 and matrices.frobenius(1e-200 * np.eye(4)) == 2e-200
    for place in np.ndindex(2, 3):
        D = np.zeros((2, 3))
        D[place] = -1e300
        np.testing.assert_allclose(matrices.frobenius(D), 1e300, rtol=1e-15)


def test_code_of__raises_on_other_functions_than_the_package_s():
    mine = replace(ACTIVATIONS["tanh"], sigma=np.sin)
    with pytest.raises(ValueError, match="activation: the compiled engine has the package's own 'tanh'"):
        code_of(mine)

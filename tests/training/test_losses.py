"""Losses and penalties: their gradients against the complex step, their values where numbers are extreme."""

import mpmath
import numpy as np
import pytest

import pyham
from pyham._check import multiprecision
from pyham.training import losses

EPS = np.finfo(float).eps
STEP = 1e-100


def complex_step(function, z):
    """Derivatives of ``function`` in every entry of z, exact to rounding."""
    gradient = np.empty(z.shape)
    for index in np.ndindex(*z.shape):
        moved = z.astype(complex)
        moved[index] += STEP * 1j
        gradient[index] = function(moved).imag / STEP
    return gradient


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_are_their_complex_steps_in_every_entry(name, weighted, size, rng):
    z = size * rng.standard_normal(20 if name == "logistic" else (20, 5))
    labels = rng.integers(0, 2 if name == "logistic" else 5, 20)
    if name in losses.VALUES:
        labels = np.abs(size * rng.standard_normal(z.shape)) * (rng.random(z.shape) > 0.2)
    weights = rng.random(20) * (rng.random(20) > 0.2) if weighted else None
    loss, gradient = losses.LOSSES[name](z, labels, weights)
    step = complex_step(lambda moved: losses.LOSSES[name](moved, labels, weights)[0], z)
    assert isinstance(loss, float) and gradient.dtype == np.float64
    assert np.abs(gradient - step).max() <= 1e-13 * np.abs(gradient).max()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_weight_counts_as_so_many_equal_samples(name, rng):
    z, labels = rng.standard_normal((6, 3)), rng.integers(0, 2, 6)
    if name == "logistic":
        z = z[:, 0]
    values = rng.random((6, 3)) if name in losses.VALUES else labels
    counts = np.array([1, 3, 0, 2, 5, 1])
    loss, gradient = losses.LOSSES[name](z, values, counts / 2)  # of mean 1
    repeated, slopes = losses.LOSSES[name](np.repeat(z, counts, axis=0), np.repeat(values, counts, axis=0))
    assert loss == pytest.approx(repeated, rel=20 * EPS)
    sums = np.add.reduceat(np.insert(slopes, 4, 0, axis=0), [0, 1, 4, 5, 7, 12])  # the third has no copy
    np.testing.assert_allclose(gradient, sums, rtol=1e-13, atol=1e-16)


def test_losses_of_values_against_their_formulas(rng):
    from scipy.special import huber
    from sklearn.metrics import mean_poisson_deviance

    z, t = 2 * rng.standard_normal((30, 2)), rng.poisson(2.0, (30, 2)).astype(float)
    assert losses.squared(z, t)[0] == pytest.approx(((z - t) ** 2).sum() / 60)
    assert losses.huber(z, t)[0] == pytest.approx(huber(1.0, z - t).sum() / 30)
    deviance = mean_poisson_deviance(t.ravel(), np.exp(z).ravel())
    assert losses.poisson(z, t)[0] == pytest.approx(deviance)  # half of it, of two values each
    assert losses.poisson(np.log(t + (t == 0)), t + (t == 0))[0] == pytest.approx(0, abs=1e-15)


def test_every_entry_of_a_gradient_is_accurate_and_not_only_the_largest(rng):
    z, labels = 30 * rng.standard_normal((20, 5)), rng.integers(0, 5, 20)
    with mpmath.workdps(50):
        for name, logits in (("softmax", z), ("logistic", z[:, 0])):
            wide = multiprecision(np.stack([0 * logits, logits], axis=1) if name == "logistic" else logits)
            classes = labels % 2 if name == "logistic" else labels
            odds = np.array([[mpmath.exp(v) for v in row] for row in wide])
            exact = odds / odds.sum(axis=1, keepdims=True) - (classes[:, None] == np.arange(wide.shape[1]))
            exact = (exact[:, 1] if name == "logistic" else exact) / 20
            _, gradient = losses.LOSSES[name](logits, classes)
            # the exponent, a difference of numbers up to 100, is rounded once
            assert (np.abs(gradient - exact) <= 200 * EPS * np.abs(exact)).all()


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_losses_are_the_mean_of_minus_log_of_the_right_class_s_probability(name, rng):
    z, labels = rng.standard_normal((20, 3)), rng.integers(0, 2, 20)
    odds = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    if name == "logistic":
        z = z[:, 0]
        odds = np.stack([1 - 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(-z))], axis=1)
    expected = -np.log(odds[np.arange(20), labels]).mean()
    assert losses.LOSSES[name](z, labels)[0] == pytest.approx(expected, rel=20 * EPS)


def test_losses_neither_overflow_nor_lose_small_values():
    z, labels = np.array([1e4, -1e4, 50.0]), np.array([0, 1, 1])
    loss, gradient = losses.logistic(z, labels)
    assert loss == pytest.approx((1e4 + 1e4 + np.log1p(np.exp(-50))) / 3)
    np.testing.assert_allclose(gradient, np.array([1, -1, -np.exp(-50)]) / 3, rtol=4 * EPS)
    loss, gradient = losses.softmax(np.stack([np.zeros(3), z], axis=1), labels)
    assert loss == pytest.approx((1e4 + 1e4) / 3)
    np.testing.assert_allclose(gradient[:, 1], np.array([1, -1, -np.exp(-50)]) / 3, rtol=4 * EPS)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_of_no_samples_are_zero_and_gradients_keep_single_precision(name):
    z, labels = np.ones((3, 2), np.float32), np.array([0, 1, 1])
    z = z[:, 0] if name == "logistic" else z
    labels = np.ones((3, 2), np.float32) if name in losses.VALUES else labels
    assert losses.LOSSES[name](z, labels)[1].dtype == np.float32
    loss, gradient = losses.LOSSES[name](z[:0], labels[:0])
    assert loss == 0 and gradient.shape == z[:0].shape


@pytest.mark.parametrize("name", ["MS1", "MS2", "MS3", "H1", "H2", "MLP"])
def test_smoothness_gradient_is_its_complex_step(name):
    arch = pyham.architecture(name, width=4, depth=5, step=0.3)
    net = arch.init(0)
    penalty, gradients = arch.smoothness(net.params)
    assert penalty == pytest.approx(0.15 * ((np.diff(net.K, axis=0) ** 2).sum() + (np.diff(net.b, axis=0) ** 2).sum()))
    plain = {key: value.astype(complex) for key, value in net.params.items()}
    for key, value in net.params.items():
        step = complex_step(lambda moved, key=key: arch.smoothness(plain | {key: moved})[0], value)
        assert np.abs(gradients[key] - step).max() <= 1e-13 * np.abs(gradients[key]).max()


@pytest.mark.parametrize("depth", [0, 1])
def test_smoothness_of_fewer_than_two_layers_is_zero(depth):
    arch = pyham.H2(width=4, depth=depth)
    penalty, gradients = arch.smoothness(arch.init(0).params)
    assert penalty == 0 and not any(g.any() for g in gradients.values())
    assert {name: g.shape for name, g in gradients.items()} == arch.shapes

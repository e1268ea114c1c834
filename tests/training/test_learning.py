"""The output layer's inner loops: compiled against plain NumPy, and both against the complex step."""

import numpy as np
import pytest

from pyham.engines.compiled import updates as compiled_updates
from pyham.training import updates
from pyham.training.losses import LOSSES

EPS = np.finfo(float).eps
TWINS = [updates, compiled_updates]
ADAM = ((0.9, 0.999), 1e-8)
CASES = [(0, 1, 2), (1, 5, 5), (1, 2, 2)]  # code of the loss, rows of the layer, classes


def problem(rng, rows, classes, dtype=float, n=4, B=50):
    layer = rng.standard_normal((rows, n + 1)).astype(dtype)
    return layer, rng.standard_normal((n, B)).astype(dtype), rng.integers(0, classes, B)


@pytest.mark.parametrize("twin", TWINS, ids=lambda module: module.__name__)
@pytest.mark.parametrize(("code", "rows", "classes"), CASES)
def test_gradients_of_the_output_layer_are_complex_steps(code, rows, classes, twin, rng):
    layer, y, labels = problem(rng, rows, classes)
    gradient, delta = np.empty_like(layer), np.empty_like(y)
    loss, right = twin.head(code, layer, y, labels, gradient, delta)

    def value(layer, y):
        z = layer[:, :-1] @ y + layer[:, -1:]
        return list(LOSSES.values())[code](z[0] if code == 0 else z.T, labels)[0]

    z = layer[:, :-1] @ y + layer[:, -1:]
    guess = z[0] > 0 if code == 0 else z.argmax(axis=0)
    assert loss == pytest.approx(value(layer, y), rel=100 * EPS) and right == (guess == labels).sum()
    for array, found, others in ((layer, gradient, lambda a: (a, y)), (y, delta, lambda a: (layer, a))):
        for index in np.ndindex(*array.shape):
            moved = array.astype(complex)
            moved[index] += 1e-100j
            step = value(*others(moved)).imag / 1e-100
            assert abs(found[index] - step) <= 1e-13 * np.abs(found).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("code", "rows", "classes"), CASES)
def test_compiled_head_is_the_plain_one_and_keeps_the_dtype(code, rows, classes, dtype, rng):
    layer, y, labels = problem(rng, rows, classes, dtype)
    results = []
    for twin in TWINS:
        gradient, delta = np.empty_like(layer), np.empty_like(y)
        results.append((*twin.head(code, layer, y, labels, gradient, delta), gradient, delta))
    (loss, right, *arrays), (loss_, right_, *arrays_) = results
    assert loss == pytest.approx(loss_, rel=100 * float(np.finfo(dtype).eps)) and right == right_
    for a, b in zip(arrays, arrays_, strict=True):
        assert a.dtype == b.dtype == dtype
        assert np.abs(a - b).max() <= 100 * np.finfo(dtype).eps * np.abs(a).max()  # sums of 50


@pytest.mark.parametrize(("code", "rows", "classes"), CASES)
def test_compiled_fit_is_the_plain_one(code, rows, classes, rng):
    _, y, labels = problem(rng, rows, classes, B=49)  # not divisible by the classes: no gradient is 0 at first
    layers = [np.full((rows, 5), 9.0) for _ in TWINS]
    for twin, layer in zip(TWINS, layers, strict=True):
        twin.fit(code, layer, y, labels, 10, 0.05, 1e-4, *ADAM)
    assert np.abs(layers[0] - layers[1]).max() <= 1e-12  # Adam divides by gradients, which may be small
    assert np.abs(layers[0]).max() < 1  # what was there before does not count


@pytest.mark.parametrize("size", [7, 16, 50, 60])
@pytest.mark.parametrize(("code", "rows", "classes"), CASES)
def test_compiled_epoch_is_the_plain_one(code, rows, classes, size, rng):
    start, y, labels = problem(rng, rows, classes)
    order = rng.permutation(50)
    rates = 0.05 / (1 + np.arange(-(-50 // size)))
    results = []
    for twin in TWINS:
        layer, m, v = start.copy(), np.full_like(start, 0.1), np.full_like(start, 0.2)
        loss, right = twin.fit_epoch(code, layer, m, v, y, labels, order, size, 3, rates, 1e-4, *ADAM, 0.0, 0)
        results.append((loss, right, layer, m, v))
    for a, b in zip(*results, strict=True):
        assert np.abs(a - b).max() <= 1e-12


def test_an_epoch_is_its_batches_one_by_one(rng):
    layer, y, labels = problem(rng, 1, 2)
    order, rates = rng.permutation(50), np.full(4, 0.05)
    expected, m, v = layer.copy(), np.zeros_like(layer), np.zeros_like(layer)
    loss, right = 0.0, 0
    for k in range(4):
        rows = order[13 * k : 13 * (k + 1)]
        gradient = np.empty_like(layer)
        value, count = updates.head(0, expected, y[:, rows], labels[rows], gradient, np.empty((4, len(rows))))
        loss, right = loss + value * len(rows), right + count
        updates.adam(expected, m, v, gradient + 1e-4 * expected, k + 1, 0.05, *ADAM, 0.0)
    zeros = np.zeros_like(layer), np.zeros_like(layer)
    found = compiled_updates.fit_epoch(0, layer, *zeros, y, labels, order, 13, 0, rates, 1e-4, *ADAM, 0.0, 0)
    assert found == (pytest.approx(loss, rel=100 * EPS), right)
    assert np.abs(layer - expected).max() <= 1e-12


@pytest.mark.parametrize(("code", "rows", "classes"), CASES)
def test_logits_and_their_value_are_those_of_the_head(code, rows, classes, rng):
    layer, y, labels = problem(rng, rows, classes)
    for twin in TWINS:
        z = np.full((rows, 50), np.nan)
        twin.logits(layer, y, z)
        np.testing.assert_allclose(z, layer[:, :-1] @ y + layer[:, -1:], rtol=0, atol=10 * EPS * np.abs(z).max())
        assert twin.value(code, z, labels) == twin.head(code, layer, y, labels, np.empty_like(layer), np.empty_like(y))


def test_nan_is_not_hidden():
    layer, y = np.zeros((1, 5)), np.full((4, 3), np.nan)
    for twin in TWINS:
        gradient = np.empty_like(layer)
        loss, _ = twin.head(0, layer, y, np.zeros(3, int), gradient, np.empty_like(y))
        assert np.isnan(loss) and np.isnan(gradient).all()


def test_only_the_compiled_engine_has_the_compiled_loops():
    assert updates.select("numba") is compiled_updates and updates.select("reference") is updates

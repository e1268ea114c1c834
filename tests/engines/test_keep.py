"""The number keep of a stage, y[dst] <- keep y[dst] + W sigma(A y[src] + c), in every compiled kernel.

The formula is written out here, and its derivatives are complex steps of it.
"""

import numpy as np
import pytest

from pyham.architectures.activations import activation
from pyham.architectures.convolution import convolve
from pyham.architectures.maps import Convolution
from pyham.architectures.stages import Stages
from pyham.engines.compiled import kernels
from pyham.engines.compiled.activations import code_of
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from tests.oracles.rounding import eps, relative

KEEPS = {"0": [0], "1": [1], "0.7": [0.7], "-0.3": [-0.3], "mixed": [1, -0.3, 0, 0.7]}
B, n, r, LAYERS, T = 21, 4, 3, 3, 16  # two tiles, of which the second is not full
SHEARS = (2, 0), (0, 2)  # src, dst of the two stages of a layer: one half of the state reads the other
OVERLAPPING = (0, 1), (1, 0)
UNDONE = [keep for keep in KEEPS.values() if 0 not in keep]  # a stage that forgets y[dst] cannot be undone


def stages_of(keep, places, rng, dtype=np.float64, layers=LAYERS):
    """As the kernels take them, with k = d = 2."""
    S = 2 * layers
    A, c, W = rng.standard_normal((S, r, 2)), rng.standard_normal((S, r)), rng.standard_normal((S, 2, r))
    src, dst = (np.array(first) for first in places)
    keep = np.resize(np.array(keep, dtype), S)
    return *(array.astype(dtype) for array in (A, c, W)), src, dst, keep, code_of(activation("tanh"))


def formula(stages, y, first=0):
    """y_first .. y_N from y = y_first (B, n)."""
    A, c, W, src, dst, keep, _ = stages
    y = y.astype(np.result_type(y, A, c, W))
    states = [y]
    for s in range(first * len(src), len(A)):
        reads, updates = (slice(at[s % len(src)], at[s % len(src)] + 2) for at in (src, dst))
        after = y.copy()
        after[:, updates] = keep[s] * y[:, updates] + np.tanh(y[:, reads] @ A[s].T + c[s]) @ W[s].T
        y = after
        if (s + 1) % len(src) == 0:
            states.append(y)
    return np.array(states)


def derivatives(stages, x, g):
    """Of the sum of g y_N: with respect to the states (N + 1, B, n), and to A, c and W."""

    def step(changed, y, first=0):
        return (g * formula(changed, y, first)[-1].imag).sum(axis=-1) / 1e-30

    deltas, sums = np.empty((LAYERS + 1, *x.shape)), tuple(np.empty_like(array) for array in stages[:3])
    for j, y in enumerate(formula(stages, x)):
        for i in range(n):
            deltas[j, :, i] = step(stages, y + 1e-30j * np.eye(n)[i], j)
    for number, total in enumerate(sums):
        for place in np.ndindex(total.shape):
            changed = [array.astype(complex) if k < 3 else array for k, array in enumerate(stages)]
            changed[number][place] += 1e-30j
            total[place] = step(tuple(changed), x).sum()
    return deltas, sums


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def zeros(stages):
    return tuple(np.zeros_like(array) for array in stages[:3])


def close(found, expected, factor=200):
    """Stages, products and elementary functions err by a few eps each, and sums over samples by some more."""
    assert relative(found, expected.astype(found.dtype)) <= factor * eps(found.dtype)


@pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)
@pytest.mark.parametrize("places", [SHEARS, OVERLAPPING], ids=["shears", "overlapping"])
def test_kernels_compute_the_formula_and_its_derivatives(keep, places, dtype, rng):
    stages, span = stages_of(keep, places, rng, dtype), (0, B, T)
    x, g = rng.standard_normal((2, B, n)).astype(dtype)
    wide = tuple(array.astype(float) if array.dtype == dtype else array for array in stages[:6]) + stages[6:]
    expected = formula(wide, x.astype(float))
    deltas, sums = derivatives(wide, x.astype(float), g.astype(float))

    y_N, delta_0 = np.empty_like(x), np.empty_like(x)
    kernels.forward(stages, span, x, y_N)
    close(y_N, expected[-1])

    states, found, totals = np.empty((LAYERS + 1, B, n), dtype), np.empty((LAYERS + 1, B, n), dtype), zeros(stages)
    states[0], found[-1] = x, g
    kernels.trace(stages, span, states)
    close(states, expected)
    kernels.adjoint(stages, span, states, found, totals)
    close(found, deltas)
    for total, oracle in zip(totals, sums, strict=True):
        close(total, oracle)

    tape, totals = np.empty(2 * LAYERS * (2 + r) * 2 * T + 64, dtype), zeros(stages)
    kernels.forward_recording(stages, span, x, y_N, tape)
    kernels.adjoint_recorded(stages, span, tape, g, delta_0, totals)
    close(y_N, expected[-1])
    for value, oracle in zip((delta_0, *totals), (deltas[0], *sums), strict=True):
        close(value, oracle)

    for segment in (1, 2, LAYERS):
        totals = zeros(stages)
        kernels.gradient(stages, span, x, g, segment, y_N, delta_0, totals)
        for value, oracle in zip((y_N, delta_0, *totals), (expected[-1], deltas[0], *sums), strict=True):
            close(value, oracle)

    phi = np.empty((LAYERS + 1, n, n, B), dtype)
    phi[-1] = np.eye(n)[:, :, None]
    kernels.sensitivity(stages, span, x, phi)
    for j, y in enumerate(expected):
        steps = [formula(wide, y + 1e-30j * e, j)[-1].imag / 1e-30 for e in np.eye(n)]  # (B, n) for each y_i
        close(phi[j], np.array(steps).transpose(0, 2, 1))


@pytest.mark.parametrize("keep", UNDONE)
def test_stages_are_undone_by_a_division(keep, dtype, rng):
    stages = stages_of(keep, SHEARS, rng, dtype)
    x = rng.standard_normal((B, n)).astype(dtype)
    y_N, found = np.empty_like(x), np.empty_like(x)
    kernels.forward(stages, (0, B, T), x, y_N)
    kernels.inverse(stages, (0, B, T), y_N, found)
    shrunk = abs(np.prod(stages[5]))  # rounding errors of y_N grow by as much on the way back
    close(found, x, 200 / shrunk)


@pytest.mark.parametrize("keep", UNDONE)
def test_rebuilt_states_give_the_gradient(keep, rng):
    layers = 12
    stages, span = stages_of(keep, SHEARS, rng, layers=layers), (0, B, T)
    x, g = rng.standard_normal((2, B, n))
    right, found = [x.copy(), x.copy(), *zeros(stages)], [x.copy(), x.copy(), *zeros(stages)]
    kernels.gradient(stages, span, x, g, layers, *right[:2], tuple(right[2:]))
    report = np.zeros(3)
    kernels.reversible(stages, span, x, g, (1, 1e-11), *found[:2], tuple(found[2:]), report)
    assert 0 < report[0] <= 1e-11  # some states were rebuilt, none of them with a larger error
    for value, oracle in zip(found, right, strict=True):
        assert relative(value, oracle) <= 1e-9  # that error, times what 24 stages make of it


@pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)
@pytest.mark.parametrize("size", [1, 3])
def test_image_kernels_compute_the_formula_and_its_derivatives(keep, size, rng):
    S, channels = 4, 4
    A, W = rng.standard_normal((S, r, 2, size, size)) / size, rng.standard_normal((S, 2, r, size, size)) / size
    src, dst = ((slice(a, a + 2), slice(b, b + 2)) for a, b in SHEARS)
    keeps = np.resize(np.array(keep, float), S)
    maps = Convolution(size), Convolution(size)
    group = Stages(A, rng.standard_normal((S, r)), W, src, dst, keeps, activation("tanh"), channels, maps)
    y, u = rng.standard_normal((2, 9, channels, 5, 3))

    def by_hand(y, c):
        y = y.astype(np.result_type(y, c))
        for s in range(S):
            after = y.copy()
            a = convolve(y[:, src[s % 2]], A[s]) + c[s][:, None, None]
            after[:, dst[s % 2]] = keeps[s] * y[:, dst[s % 2]] + convolve(np.tanh(a), W[s])
            y = after
        return y

    for engine in (COMPILED, REFERENCE):
        close(engine.forward(group, y), by_hand(y, group.c))
    g = rng.standard_normal(y.shape)
    _, delta, sums = COMPILED.back(group, COMPILED.run(group, y), g)
    close(REFERENCE.adjoint(group, REFERENCE.trace(group, y), g)[0][0], delta)
    step = (g * by_hand(y + 1e-30j * u, group.c).imag / 1e-30).sum()
    assert abs((delta * u).sum() - step) <= 1e-12 * np.linalg.norm(delta) * np.linalg.norm(u)
    direction = rng.standard_normal(group.c.shape)
    step = (g * by_hand(y, group.c + 1e-30j * direction).imag / 1e-30).sum()
    assert abs((sums.c * direction).sum() - step) <= 1e-12 * np.linalg.norm(sums.c) * np.linalg.norm(direction)

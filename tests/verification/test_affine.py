"""Affine forms: rounding is bounded, no term is left out, lines enclose activations, and halves their whole."""

from fractions import Fraction

import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham import regions
from pyham.verification import affine, boxes, slopes
from tests.oracles import strategies

EPS = np.finfo(float).eps
LONG = np.longdouble


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", ["W", "A"])
def test_rounding_of_sensitivities_is_bounded_where_products_cancel(case, seed):
    """Of W^T Phi, or A^T (..), a few digits are left, as the first layer undoes what the second does."""
    rng = np.random.default_rng(seed)
    large, small = 1e4 * rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    if case == "W":
        arch = pyham.H1(width=2, depth=2, step=0.3, activation="identity")
        last = np.eye(2) + large.T @ (0.3 * large @ arch.J.T)
        first = small @ np.linalg.inv(last) @ np.linalg.inv(arch.J.T) / 0.3
    else:
        arch = pyham.MLP(width=2, depth=2, activation="identity")
        large[1] = large[0] * (1 + 1e-6 * rng.standard_normal(2))
        first = np.linalg.inv(large) @ small
    net = arch.init(0).replace({"K": np.stack([first, large]), "b": np.zeros((2, 2))})
    stages, x = affine.lowered(net), np.zeros((1, 2))
    _, _, units = affine.forward(stages, x.T.copy(), np.zeros((1, 1)), np.zeros(1, int), slopes.enclose)
    forms, rests = affine.backward(stages, units, 1, 1)
    with mpmath.workdps(50):
        phi = net.sensitivity(np.vectorize(mpmath.mpf)(x), backend="reference")[:, 0]
        missed = ((phi - forms[:, :, 0, :, 0]) ** 2).sum(axis=(1, 2))
        assert (missed <= np.vectorize(mpmath.mpf)(rests[:, 0]) ** 2).all()
    assert missed[0] > 1e-30


@pytest.mark.parametrize("seed", range(20))
def test_fewer_symbols_hold_what_many_do(seed):
    """In exact numbers: the larger set is at least as wide in every direction, those of its own edges included."""
    rng = np.random.default_rng(seed)
    Z = np.zeros((2, 8, 1))
    Z[:, : 1 + seed % 3, 0] = rng.standard_normal((2, 1 + seed % 3)) * 10 ** rng.uniform(-9, 0, 1 + seed % 3)
    old = [[Fraction(x) for x in column] for column in Z[:, :, 0].T]
    assert affine._condense(Z, 8) == 4
    new = [[Fraction(x) for x in column] for column in Z[:, :, 0].T]
    for a, b in [*old, *new, *([Fraction(x) for x in d] for d in rng.standard_normal((20, 2)))]:
        narrow, wide = (sum(abs(b * x - a * y) for x, y in columns) for columns in (old, new))
        assert narrow <= wide


def chain(depth):
    """y <- y + sigma(y), width 1: every bound of a product or a sum of positive terms is attained."""
    net = pyham.ResNet(width=1, depth=depth).init(0)
    return net.replace({"K": np.ones((depth, 1, 1)), "b": np.zeros((depth, 1))})


def close_above(bound, exact):
    return exact <= Fraction(bound) <= exact * (1 + Fraction(1e-12))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", ["A", "W", "X"])
def test_rounding_is_bounded_where_products_cancel(case, seed):
    """Of A y, W sigma, or X K^T, a digit in 10^8 is left; units and samples are one, so that nothing else covers it."""
    rng = np.random.default_rng(seed)
    large = 1e8 * rng.uniform(1, 2)
    x, b = rng.standard_normal((1, 4)), np.zeros((1, 4))
    Kp, Kq, X = np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), np.eye(2)
    if case == "A":  # q += K_p^T K_p p, the first row of K_p p being small
        x[0, 1] = -x[0, 0] * (1 + 1e-8)
        Kp[0, 0] = large
    elif case == "W":
        Kp[0] = np.diag([1.0, 1.0])
        Kp[0, :, 1] = large
        x[0, :2] = 0
        b[0, :2] = 0.1, -0.1 * (1 + 1e-8)
    else:
        X[0] = large, large * (1 + 1e-9)
        Kp[0] = [[0.1, -0.1], [0.3, -0.3]]
    arch = pyham.H2(width=4, depth=1, step=0.3, X=X, activation="identity", order="q-first")
    net = arch.init(0).replace({"Kp": Kp, "Kq": Kq, "b": b})
    region = regions.enclose(net, x, 0.0)
    with mpmath.workdps(50):
        output = net(np.vectorize(mpmath.mpf)(x), backend="reference")
        assert ((region.lower <= output) & (output <= region.upper)).all()
    assert (np.abs(net(x) - output.astype(float)) > 1e-12).any()


@pytest.mark.parametrize(("value", "slope", "rest"), [(0, 0.5, 0), (0, 0, 0.5), (0.125, 0.5, 0.25)])
def test_no_term_of_a_product_is_left_out(value, slope, rest):
    """sigma' between -> Phi_j at most (1 + value + slope + rest)^(N - j), and attained at a corner."""
    units = [affine.Units(*(np.full(shape, x) for shape, x in (((1, 1), value), ((1, 1, 1), slope), ((1, 1), rest))))]
    norms = affine.largest_norm(*affine.backward(affine.lowered(chain(4)), 4 * units, 1, 1))
    assert all(close_above(norms[j, 0], Fraction(1 + value + slope + rest) ** (4 - j)) for j in range(5))


@pytest.mark.parametrize(("slope", "rest"), [(0.5, 0), (0, 0.5), (0.5, 0.25)])
def test_no_term_of_a_state_is_left_out(slope, rest):
    def enclosure(name, a, rho):
        reaches.append(rho[0, 0])
        line = slopes.Line(0 * a, 0 * a + slope, 0 * a + rest)
        return line, line

    reaches, radius, noise = [], Fraction(0.125), Fraction(0)
    channels, sizes = np.zeros(1, int), np.full((1, 1), 0.125)
    _, Y, units = affine.forward(affine.lowered(chain(3)), np.zeros((1, 1)), sizes, channels, enclosure)
    for reach, unit in zip(reaches, units, strict=True):
        assert close_above(reach, radius + noise)
        assert close_above(unit.rest[0, 0], rest + Fraction(slope) * noise) or slope * noise + rest == 0
        assert unit.slope[0, 0, 0] == Fraction(slope) * radius
        radius, noise = radius * Fraction(1 + slope), noise * Fraction(1 + slope) + Fraction(rest)
    assert close_above(np.abs(Y).sum(), radius + noise)


def test_norms_are_those_of_a_corner_to_second_order():
    """Where the slope of both units changes fastest, and steadily: what is left is the product of two slopes."""
    middle = np.arctanh(-(3**-0.5))
    net = chain(2).replace({"b": np.array([[middle - 0.3], [middle - 0.3 - np.tanh(middle)]])})
    bound = regions.enclose(net, np.array([[0.3]]), 1e-2).norms[0, 0]
    largest = np.abs(net.sensitivity(0.3 + 1e-2 * np.linspace(-1, 1, 41)[:, None])[0]).max()
    assert largest < bound < largest * (1 + 1e-5)


@pytest.mark.parametrize("key", ["H2-plain", "H2-verlet-q-first", "MS1-verlet-p-first", "H1-skew", "MLP"])
@pytest.mark.parametrize("rounding", [True, False])
def test_without_a_radius_the_exact_result_is_enclosed_because_rounding_is(key, rounding, monkeypatch):
    if not rounding:
        for module in (affine, slopes, boxes, regions):
            for name in {"EPS", "TINY", "PAD"} & set(vars(module)):
                monkeypatch.setattr(module, name, 0.0)
    net = strategies.variant(key, width=4, depth=12, step=0.3).init(3)
    x = np.random.default_rng(0).standard_normal((2, 4))
    region = regions.enclose(net, x, 0.0)
    with mpmath.workdps(50):
        precise = np.vectorize(mpmath.mpf)(x)
        output, phi = (np.asarray(f(precise, backend="reference")) for f in (net, net.sensitivity))
        inside = ((region.lower <= output) & (output <= region.upper)).all()
        square = (phi * phi).sum(axis=(-2, -1))  # at most n times the square of the 2-norm
        assert not rounding or (square <= 4 * np.vectorize(mpmath.mpf)(region.norms) ** 2).all()
    assert inside == rounding
    width = (region.upper - region.lower) / np.abs(output).max()
    assert (width < 1e-9).all() and (not rounding or (width > 0).all())


def test_what_underflows_is_not_taken_for_zero():
    net = pyham.MLP(width=2, depth=60).init(0)
    params = {"K": 1e-3 * net.params["K"], "b": net.params["b"]}
    region = regions.enclose(net.replace(params), np.ones((1, 2)), 1e-3)
    exact = np.abs(net.replace(params).sensitivity(np.ones((1, 2)))).max(axis=(-2, -1))
    assert 0 < exact[0] < 1e-160 and (region.norms >= exact).all() and region.norms[0] < 1e-145


@pytest.mark.parametrize("name", ["tanh", "logistic"])
def test_a_saturated_unit_whose_interval_reaches_the_others(name):
    """Its derivatives underflow in the middle, where a line is drawn."""
    for a in (400.0, 1e4, 1e30):
        lines = slopes.enclose(name, np.array([a]), np.array([a * 1.5]))
        for f, line in zip((pyham.ACTIVATIONS[name].sigma, pyham.ACTIVATIONS[name].derivative), lines, strict=True):
            t = np.linspace(-1.5, 1.5, 301) * a
            assert (np.abs(f(a + t) - line.value - line.slope * t) <= line.rest).all()


@pytest.mark.parametrize("name", strategies.ACTIVATIONS)
@given(st.floats(-30, 30), st.floats(-12, 1.5), st.booleans())
def test_lines_enclose_an_activation_and_its_derivative(name, a, exponent, none):
    rho = 0.0 if none else 10.0**exponent
    own = pyham.ACTIVATIONS[name]
    t = LONG(rho) * np.concatenate([np.linspace(-1, 1, 101), [0, 1e-3, -1e-3]]).astype(LONG)
    points = LONG(a) + t
    lines = slopes.enclose(name, np.array([a]), np.array([rho]))
    for f, line in zip((own.sigma, own.derivative), lines, strict=True):
        value, slope, rest = (part.astype(LONG)[0] for part in line)
        missed = np.abs(f(points) - value - slope * t) - rest
        assert (missed <= 4 * np.finfo(LONG).eps * (1 + np.abs(f(points)) + np.abs(slope * t))).all()  # the oracle's
        assert name == "relu" or rho > 0.1 or rest <= 0.6 * rho * rho + 1e-14 * (1 + abs(value))


def test_bounds_of_third_and_fourth_derivatives_are_bounds():
    t = np.linspace(-1, 1, 200_001)
    s = 1 - t * t
    derivatives = (-2 * t * s, -2 * s * (1 - 3 * t * t), 8 * s * t * (2 - 3 * t * t))
    for derivative, bound, factor in zip(derivatives, (0.77, 2, 4.1), (2, 4, 8), strict=True):
        largest = np.abs(derivative).max()
        assert 0.98 * bound < largest <= bound and (np.abs(derivative) <= factor * s + 1e-15).all()


@given(strategies.seeds, st.integers(1, 6))
def test_bound_of_a_spectral_norm_is_one_and_is_close(seed, n):
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((n, n, 5)) * 10 ** rng.uniform(-60, 60, 5)
    M[..., 0], M[..., 1] = 0, np.eye(n)
    exact = np.linalg.norm(np.moveaxis(M, -1, 0), 2, axis=(1, 2))
    bound = affine.spectral_norm(M)
    assert (bound >= exact * (1 - 4 * n * EPS)).all()
    assert (bound[1:] <= exact[1:] * (1 + 1e-4)).all() and bound[0] < 1e-140


@given(strategies.seeds)
def test_halves_leave_no_gap(seed):
    rng = np.random.default_rng(seed)
    centre, radius = rng.standard_normal((1, 2)) * 10 ** rng.uniform(-3, 3), 10 ** rng.uniform(-16, 0, (1, 1))
    box = boxes.Boxes(np.zeros(1, int), centre, radius)
    parts = box.halves(np.array([1]), np.zeros(1, int))
    ends = [[Fraction(b.centre[0, 1]) + sign * Fraction(b.radius[0, 0]) for sign in (-1, 1)]
            for b in (box, parts.take([0]), parts.take([1]))]  # fmt: skip
    (low, high), (first, cut), (other_cut, last) = ends
    assert first <= low and other_cut <= cut and last >= high

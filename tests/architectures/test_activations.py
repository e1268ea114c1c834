"""Activations: derivatives, integrals, slopes and limits, each by an independent route."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

import pyham
from pyham.architectures.activations import activation
from tests.oracles.strategies import ACTIVATIONS

EPS = np.finfo(np.float64).eps
# Dyadic numbers, exact in every dtype; from the flat tails to the steep middle, without relu's kink at 0.
GRID = np.concatenate([sign * np.array([2.0**k for k in range(-20, 6)] + [1.5, 3.25, 17.75]) for sign in (-1, 1)])
TINY = 1e-100  # the complex step: exact to rounding, since its square vanishes

EXACT = {
    "tanh": (mpmath.tanh, lambda a: mpmath.sech(a) ** 2, lambda a: mpmath.log(mpmath.cosh(a))),
    "logistic": (
        lambda a: 1 / (1 + mpmath.exp(-a)),
        lambda a: mpmath.exp(-a) / (1 + mpmath.exp(-a)) ** 2,
        lambda a: mpmath.log1p(mpmath.exp(a)),
    ),
    "relu": (lambda a: max(a, 0), lambda a: mpmath.mpf(a > 0), lambda a: max(a, 0) ** 2 / 2),
    "softplus": (
        lambda a: mpmath.log1p(mpmath.exp(a)),
        lambda a: 1 / (1 + mpmath.exp(-a)),
        lambda a: -mpmath.polylog(2, -mpmath.exp(a)),
    ),
    "identity": (lambda a: a, lambda a: mpmath.mpf(1), lambda a: a**2 / 2),
}


def integrand_accuracy(name, dtype):
    """Error of the integrand relative to max(1, |integrand|): some roundings; Cephes states 3.9e-15 for spence."""
    return 8 * np.finfo(dtype).eps + (3.9e-15 if name == "softplus" else 0)


def exact(name, which, grid, dtype):
    """The function by mpmath, 40 digits, rounded to dtype."""
    with mpmath.workdps(40):
        values = [mpmath.nstr(mpmath.re(EXACT[name][which](mpmath.mpf(float(a)))), 30) for a in grid]
    return np.array([np.longdouble(value) for value in values]).astype(dtype)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_that_of_sigma(name):
    act = activation(name)
    by_complex_step = act.sigma(GRID + 1j * TINY).imag / TINY
    # Absolute, since 1 - tanh^2 cancels: a few roundings of numbers of size 1.
    assert np.abs(act.derivative(GRID) - by_complex_step).max() <= 8 * EPS


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softplus"])
def test_derivative_of_integrand_is_sigma_by_complex_step(name):
    act = activation(name)
    by_complex_step = act.integrand(GRID + 1j * TINY).imag / TINY
    # Relative to 1 and to sigma, which is as large as 32: a few roundings.
    assert (np.abs(act.sigma(GRID) - by_complex_step) / np.maximum(1, np.abs(GRID))).max() <= 8 * EPS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_of_integrand_is_sigma_by_central_differences(name):
    act = activation(name)
    t = EPS ** (1 / 3)
    a = GRID[np.abs(GRID) > t]  # a difference across relu's kink says nothing
    difference = (act.integrand(a + t) - act.integrand(a - t)) / (2 * t)
    # Truncation is t^2 sigma'' / 6, with sigma'' < 1; rounding is the integrand's accuracy / t.
    scale = np.maximum(1, np.abs(act.integrand(a)))
    assert (np.abs(difference - act.sigma(a)) / scale).max() <= t**2 / 6 + integrand_accuracy(name, np.float64) / t


@pytest.mark.parametrize("low, high", [(-40, -2), (-2, 0), (-1, 3), (0, 30)])
def test_softplus_integrand_is_the_integral_of_softplus(low, high):
    act = activation("softplus")
    integral, _ = quad(lambda a: float(act.sigma(np.asarray(a))), low, high, epsabs=0, epsrel=1e-13)
    ends = act.integrand(np.array([low, high], dtype=np.float64))
    assert ends[1] - ends[0] == pytest.approx(integral, rel=1e-12, abs=0)  # 10 x what quad was asked for


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integrand_equals_mpmath(name, dtype):
    value = activation(name).integrand(GRID.astype(dtype))
    oracle = exact(name, 2, GRID, dtype)
    # A sum of terms of size 1: the small values for a < 0 have the same absolute, not relative, error.
    assert (np.abs(value - oracle) / np.maximum(1, np.abs(oracle))).max() <= integrand_accuracy(name, dtype)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_bounds_the_derivative(name):
    act = activation(name)
    derivative = act.derivative(np.linspace(-50, 50, 100_001))
    assert derivative.min() >= 0
    assert derivative.max() <= act.slope * (1 + 2 * EPS)  # the quotient of logistic may round up


@pytest.mark.parametrize("name, where", [("tanh", 0), ("logistic", 0), ("relu", 1), ("softplus", 40), ("identity", 0)])
def test_slope_is_attained_or_the_limit(name, where):
    act = activation(name)
    assert act.derivative(np.array([float(where)]))[0] == pytest.approx(act.slope, rel=2 * EPS, abs=0)


@pytest.mark.parametrize(
    "name, which, low, high",
    [
        ("tanh", "sigma", -1, 1),
        ("tanh", "derivative", 0, 0),
        ("tanh", "integrand", 1000 - np.log(2), 1000 - np.log(2)),
        ("logistic", "sigma", 0, 1),
        ("logistic", "derivative", 0, 0),
        ("logistic", "integrand", 0, 1000),
        ("relu", "sigma", 0, 1000),
        ("relu", "derivative", 0, 1),
        ("relu", "integrand", 0, 500_000),
        ("softplus", "sigma", 0, 1000),
        ("softplus", "derivative", 0, 1),
        ("softplus", "integrand", 0, 500_000 + np.pi**2 / 6),
        ("identity", "sigma", -1000, 1000),
        ("identity", "derivative", 1, 1),
        ("identity", "integrand", 500_000, 500_000),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_do_not_overflow_at_minus_and_plus_1000(name, which, low, high, dtype):
    values = getattr(activation(name), which)(np.array([-1000, 1000], dtype=dtype))
    np.testing.assert_allclose(values, [low, high], rtol=2 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_sigma_and_integrand_pass_nan_on(name):
    act = activation(name)
    nan = np.array([np.nan])
    assert np.isnan(act.sigma(nan)).all()
    assert np.isnan(act.integrand(nan)).all()


@pytest.mark.parametrize(
    "name, sigma, derivative, integrand",
    [
        ("tanh", (-1, 1), (0, 0), (np.inf, np.inf)),
        ("logistic", (0, 1), (0, 0), (0, np.inf)),
        ("relu", (0, np.inf), (0, 1), (0, np.inf)),
        ("softplus", (0, np.inf), (0, 1), (0, np.inf)),
        ("identity", (-np.inf, np.inf), (1, 1), (np.inf, np.inf)),
    ],
)
def test_functions_have_their_limits_at_infinity(name, sigma, derivative, integrand):
    act = activation(name)
    infinite = np.array([-np.inf, np.inf])
    np.testing.assert_array_equal(act.sigma(infinite), sigma)
    np.testing.assert_array_equal(act.derivative(infinite), derivative)
    np.testing.assert_array_equal(act.integrand(infinite), integrand)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128])
def test_dtype_and_shape_are_kept(name, dtype):
    act = activation(name)
    a = GRID.astype(dtype).reshape(2, -1)
    functions = [act.sigma, act.derivative]
    if name != "softplus" or dtype in (np.float32, np.float64):  # the exception that the module states
        functions.append(act.integrand)
    for function in functions:
        assert function(a).dtype == dtype
        assert function(a).shape == a.shape


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_values_are_accurate_in_their_dtype(name, dtype):
    act = activation(name)
    a, eps = GRID.astype(dtype), np.finfo(dtype).eps
    sigma, derivative = exact(name, 0, GRID, dtype), exact(name, 1, GRID, dtype)
    # Relative: sigma has no cancellation. NumPy's own tanh and exp are good to 4 ulp.
    assert (np.abs(act.sigma(a) - sigma) <= 8 * eps * np.abs(sigma)).all()
    assert (np.abs(act.derivative(a) - derivative) <= 8 * eps).all()  # absolute, since 1 - tanh^2 cancels


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softplus"])
def test_integrand_is_accurate_in_longdouble(name):
    value = activation(name).integrand(GRID.astype(np.longdouble))
    oracle = exact(name, 2, GRID, np.longdouble)
    assert (np.abs(value - oracle) / np.maximum(1, np.abs(oracle))).max() <= 8 * np.finfo(np.longdouble).eps


def test_every_activation_carries_its_own_name():
    assert {name: act.name for name, act in pyham.ACTIVATIONS.items()} == {name: name for name in EXACT}


def test_activation__raises_on_unknown_name():
    with pytest.raises(ValueError, match=r"^activation: expected one of 'tanh', .*'identity', got 'sine'$"):
        activation("sine")


@pytest.mark.parametrize("wrong", [None, 1, np.tanh])
def test_activation__raises_on_what_is_no_string(wrong):
    with pytest.raises(TypeError, match=r"^activation: expected one of 'tanh'.*, got "):
        activation(wrong)

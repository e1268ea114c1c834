"""Activations: values against mpmath, each function the derivative of the next, slopes and limits."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

import pyham
from pyham.architectures.activations import activation
from tests.oracles.refusals import refused
from tests.oracles.strategies import ACTIVATIONS

EPS = np.finfo(np.float64).eps
# Dyadic numbers, exact in every dtype; from the flat tails to the steep middle, without relu's kink at 0.
GRID = np.concatenate([sign * np.array([2.0**k for k in range(-20, 6)] + [1.5, 3.25, 17.75]) for sign in (-1, 1)])

#: sigma, its derivative and the integrand.
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
#: Of the same three, the values at -1000 and 1000, and at minus and plus infinity.
LIMITS = {
    "tanh": ([(-1, 1), (0, 0), (1000 - np.log(2), 1000 - np.log(2))], [(-1, 1), (0, 0), (np.inf, np.inf)]),
    "logistic": ([(0, 1), (0, 0), (0, 1000)], [(0, 1), (0, 0), (0, np.inf)]),
    "relu": ([(0, 1000), (0, 1), (0, 500_000)], [(0, np.inf), (0, 1), (0, np.inf)]),
    "softplus": ([(0, 1000), (0, 1), (0, 500_000 + np.pi**2 / 6)], [(0, np.inf), (0, 1), (0, np.inf)]),
    "identity": ([(-1000, 1000), (1, 1), (500_000, 500_000)], [(-np.inf, np.inf), (1, 1), (np.inf, np.inf)]),
}


def functions(name):
    act = pyham.ACTIVATIONS[name]
    return act.sigma, act.derivative, act.integrand


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_are_those_of_mpmath_rounded_to_the_dtype(name, dtype):
    a, eps = GRID.astype(dtype).reshape(2, -1), np.finfo(dtype).eps
    cephes = 3.9e-15 if name == "softplus" else 0  # the accuracy that Cephes states for spence
    # NumPy's own tanh and exp are good to 4 ulp. sigma has no cancellation, 1 - tanh^2 has, and the integrand is a sum
    # of terms of size 1: the small values for a < 0 have the same absolute, not relative, error.
    allowed = [lambda f: 8 * eps * abs(f), lambda f: 8 * eps, lambda f: (8 * eps + cephes) * np.maximum(1, abs(f))]
    for which, function in enumerate(functions(name)):
        if (name, which, dtype) == ("softplus", 2, np.longdouble):
            continue  # the exception that the module states
        with mpmath.workdps(40):
            exact = [mpmath.nstr(mpmath.re(EXACT[name][which](mpmath.mpf(float(v)))), 30) for v in a.flat]
        exact = np.array([np.longdouble(value) for value in exact]).astype(dtype).reshape(a.shape)
        value = function(a)
        assert value.dtype == dtype and value.shape == a.shape
        assert (np.abs(value - exact) <= allowed[which](exact)).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_that_of_sigma_and_sigma_that_of_the_integrand(name):
    """By complex step, which is exact to rounding; of softplus' integrand, which takes real numbers, by quadrature."""
    sigma, derivative, integrand = functions(name)
    step = GRID + 1e-100j
    assert sigma(step).dtype == derivative(step).dtype == complex
    # Absolute, since 1 - tanh^2 cancels: a few roundings of numbers of size 1.
    assert np.abs(derivative(GRID) - sigma(step).imag * 1e100).max() <= 8 * EPS
    if name != "softplus":
        # Relative to 1 and to sigma, which is as large as 32: a few roundings.
        assert (np.abs(sigma(GRID) - integrand(step).imag * 1e100) <= 8 * EPS * np.maximum(1, np.abs(GRID))).all()
        return
    for low, high in ((-40, -2), (-2, 0), (-1, 3), (0, 30)):
        integral, _ = quad(lambda a: float(sigma(np.asarray(a))), low, high, epsabs=0, epsrel=1e-13)
        ends = integrand(np.array([low, high], dtype=np.float64))
        assert ends[1] - ends[0] == pytest.approx(integral, rel=1e-12, abs=0)  # 10 x what quad was asked for


@pytest.mark.parametrize("name, where", [("tanh", 0), ("logistic", 0), ("relu", 1), ("softplus", 40), ("identity", 0)])
def test_slope_bounds_the_derivative_and_is_attained(name, where):
    act = activation(name)
    derivative = act.derivative(np.linspace(-50, 50, 100_001))
    assert derivative.min() >= 0
    assert derivative.max() <= act.slope * (1 + 2 * EPS)  # the quotient of logistic may round up
    assert act.derivative(np.array([float(where)]))[0] == pytest.approx(act.slope, rel=2 * EPS, abs=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nothing_overflows_infinity_has_its_limits_and_nan_stays(name, dtype):
    for function, at_1000, at_infinity in zip(functions(name), *LIMITS[name], strict=True):
        values = function(np.array([-1000, 1000], dtype=dtype))
        np.testing.assert_allclose(values, at_1000, rtol=2 * np.finfo(dtype).eps, atol=0)
        np.testing.assert_array_equal(function(np.array([-np.inf, np.inf], dtype)), at_infinity)
    act = activation(name)
    assert act.name == name
    assert np.isnan([act.sigma(np.array([np.nan], dtype)), act.integrand(np.array([np.nan], dtype))]).all()


test_what_is_refused = refused([
    (activation, "sine", ValueError, "activation: expected one of 'tanh', .*'identity', got 'sine'"),
    *((activation, wrong, TypeError, "activation: expected one of 'tanh'.*, got .*") for wrong in (None, 1, np.tanh)),
])  # fmt: skip

"""Activation functions: sigma, its derivative, the bound of its slope, and the integrand of the Hamiltonian.

H(y, t) = 1^T sigma~(K y + b) with sigma~' = sigma, so grad H = K^T sigma(K y + b); the upper bounds need |sigma'| <= S.

=========  ===================  ===================  =====  ==========================
name       sigma(a)             sigma'(a)            S      sigma~(a)
=========  ===================  ===================  =====  ==========================
tanh       tanh a               1 - tanh^2 a         1      log cosh a
logistic   1 / (1 + exp(-a))    sigma (1 - sigma)    1/4    log(1 + exp a)
relu       max(a, 0)            1 for a > 0, else 0  1      max(a, 0)^2 / 2
softplus   log(1 + exp a)       1 / (1 + exp(-a))    1      -Li2(-exp a), dilogarithm
identity   a                    1                    1      a^2 / 2
=========  ===================  ===================  =====  ==========================

Everything but softplus' integrand works in any floating dtype, longdouble and complex included: the branches look at
the real part only, so sigma is complex-differentiable where it is differentiable, as the complex-step check needs. It
also works on arrays of ``mpmath.mpf``, in mpmath's current precision.

Every architecture takes the name of one of these, or an ``Activation`` of one's own, which both engines run. A file
holds the name alone, so ``pyham.register`` makes one's own known before it is saved or loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pyham._check import choice, positive

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]

STEP = 2.0**-20  # of difference quotients


def _elementary(name: str) -> Function:
    """NumPy's function of that name, and mpmath's for arrays of objects, whose functions NumPy does not know."""
    function = getattr(np, name)

    def apply(a: Array) -> Array:
        if a.dtype != object:
            return function(a)
        import mpmath  # here, because only such arrays need it

        return np.asarray(np.frompyfunc(getattr(mpmath, name), 1, 1)(a))

    return apply


_tanh, _exp, _log1p, _log = map(_elementary, ("tanh", "exp", "log1p", "log"))


@dataclass(frozen=True)
class Activation:
    """An activation, of the package or of one's own.

    Parameters
    ----------
    name : by which files and messages call it
    sigma, derivative, integrand : functions of an array of any shape that act entrywise and keep its shape and dtype
        (float32 and float64 at least): sigma, its derivative, and sigma~ with sigma~' = sigma
    slope : S, a bound of ``|derivative|``, which the upper bounds of sensitivities rest on

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind; and, when it is given to an architecture, if at points from -20 to 20 a
        function gives another shape or dtype, or the derivative exceeds the slope, or a difference quotient of sigma
        is not the derivative, or one of the integrand not sigma.
    """

    name: str
    sigma: Function
    derivative: Function
    integrand: Function
    slope: float

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"name: expected a name, got {self.name!r}")
        object.__setattr__(self, "slope", positive("slope", self.slope))
        for argument in ("sigma", "derivative", "integrand"):
            if not callable(getattr(self, argument)):
                raise TypeError(f"{argument}: expected a function, got {type(getattr(self, argument)).__name__}")

    def __repr__(self) -> str:
        return repr(self.name)


def _tanh_derivative(a: Array) -> Array:
    s = _tanh(a)
    return (1 - s) * (1 + s)


def _log_cosh(a: Array) -> Array:
    size = np.where(a.real >= 0, a, -a)  # log of cosh itself would overflow at 710 in double precision
    return size + _log1p(_exp(-2 * size)) - _log(np.asarray(2, dtype=a.real.dtype))


def _decay(a: Array) -> Array:
    """exp(-|a|), with |a| taken by the sign of the real part: never overflows."""
    return _exp(np.where(a.real >= 0, -a, a))


def _logistic(a: Array) -> Array:
    z = _decay(a)
    return np.where(a.real >= 0, 1, z) / (1 + z)


def _logistic_derivative(a: Array) -> Array:
    z = _decay(a)
    return z / ((1 + z) * (1 + z))


def _relu(a: Array) -> Array:
    return np.where(a.real <= 0, 0, a)  # so, and not with >, because NaN stays NaN


def _softplus(a: Array) -> Array:
    return _relu(a) + _log1p(_decay(a))


def _softplus_integrand(a: Array) -> Array:
    from scipy.special import spence  # here, because importing pyham should not import SciPy

    z = np.exp(-np.abs(a))
    series = z * np.polynomial.polynomial.polyval(-z, 1 / np.arange(1.0, 19) ** 2)  # -Li2(-z), where 1 + z loses digits
    dilogarithm = np.where(z < 0.125, -series, spence(1 + z))  # Li2(-exp(-|a|))
    result = np.where(a > 0, a * a / 2 + np.pi**2 / 6 + dilogarithm, -dilogarithm)  # Li2's inversion formula for a > 0
    return result.astype(a.dtype, copy=False)


ACTIVATIONS: dict[str, Activation] = {  # by name
    own.name: own
    for own in (
        Activation("tanh", _tanh, _tanh_derivative, _log_cosh, 1.0),
        Activation("logistic", _logistic, _logistic_derivative, _softplus, 0.25),
        Activation("relu", _relu, lambda a: (a.real > 0).astype(a.dtype), lambda a: _relu(a) ** 2 / 2, 1.0),
        Activation("softplus", _softplus, _logistic, _softplus_integrand, 1.0),
        Activation("identity", lambda a: a, np.ones_like, lambda a: a * a / 2, 1.0),
    )
}

#: The package's own activations, which the compiled engine knows.
BUILT_IN = tuple(ACTIVATIONS.values())


def activation(chosen: str | Activation) -> Activation:
    """The activation of that name, or ``chosen`` itself if it is one.

    Raises
    ------
    TypeError, ValueError
        If it is neither a name nor an activation, or not a name of ``ACTIVATIONS``.
    """
    if isinstance(chosen, Activation):
        return _checked(chosen)
    return ACTIVATIONS[choice("activation", chosen, ACTIVATIONS)]


@lru_cache(maxsize=64)
def _checked(own: Activation) -> Activation:
    """``own``, whose functions are each other's derivatives, and whose slope is a bound; see ``Activation``."""
    points = np.linspace(-20.123, 20.321, 400)
    values = {}
    for argument in ("sigma", "derivative", "integrand"):
        for a in (points, points.astype(np.float32).reshape(20, 20)):
            values[argument] = found = getattr(own, argument)(a)
            if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (a.shape, a.dtype):
                came = f"{found.shape} {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
                raise ValueError(f"{argument}: expected {a.shape} {a.dtype}, as its argument is, got {came}")
    largest = np.abs(own.derivative(points)).max()
    if not largest <= own.slope * (1 + 1e-9):
        raise ValueError(f"slope: expected a bound of |derivative|, which is {largest} somewhere, got {own.slope}")
    for argument, function, its_derivative in (
        ("derivative", own.sigma, own.derivative(points)),
        ("integrand", own.integrand, own.sigma(points)),
    ):
        quotient = (function(points + STEP) - function(points - STEP)) / (2 * STEP)
        size = 1 + np.abs(its_derivative) + np.abs(function(points))
        if not (np.abs(quotient - its_derivative) <= 1e-4 * size).all():  # errors of the quotient are 1e-9 of it
            relation = "sigma's derivative" if argument == "derivative" else "a function whose derivative is sigma"
            worst = int(np.argmax(np.abs(quotient - its_derivative) / size))
            raise ValueError(f"{argument}: expected {relation}, got another function, at {points[worst]:.3f}")
    return own

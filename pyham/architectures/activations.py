"""Activation functions: sigma, its derivative, the bound of its slope, and the integrand of the Hamiltonian.

H(y, t) = 1^T sigma~(K y + b) with sigma~' = sigma, so grad H = K^T sigma(K y + b); the upper bounds need 0 <= sigma' <=
S.

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
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham._check import choice

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]


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
    """One activation: ``sigma``, ``derivative`` and ``integrand`` act entrywise; ``slope`` is S = sup sigma'."""

    name: str
    sigma: Function
    derivative: Function
    slope: float
    integrand: Function


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

    dilogarithm = spence(1 + np.exp(-np.abs(a)))  # Li2(-exp(-|a|))
    return np.where(a > 0, a * a / 2 + np.pi**2 / 6 + dilogarithm, -dilogarithm)  # Li2's inversion formula for a > 0


ACTIVATIONS: dict[str, Activation] = {  # by name
    own.name: own
    for own in (
        Activation("tanh", _tanh, _tanh_derivative, 1.0, _log_cosh),
        Activation("logistic", _logistic, _logistic_derivative, 0.25, _softplus),
        Activation("relu", _relu, lambda a: (a.real > 0).astype(a.dtype), 1.0, lambda a: _relu(a) ** 2 / 2),
        Activation("softplus", _softplus, _logistic, 1.0, _softplus_integrand),
        Activation("identity", lambda a: a, np.ones_like, 1.0, lambda a: a * a / 2),
    )
}

#: The package's own activations, which the compiled engine knows.
BUILT_IN = tuple(ACTIVATIONS.values())


def activation(name: str) -> Activation:
    """The activation of that name.

    Raises
    ------
    TypeError, ValueError
        If ``name`` is not a string, or not one of the table above.
    """
    return ACTIVATIONS[choice("activation", name, ACTIVATIONS)]

r"""Straight lines that enclose an activation and its derivative on an interval.

Of a function f and an interval [a - rho, a + rho] an enclosure is three numbers: f(a + t) lies within ``rest`` of
``value`` + ``slope`` t for all ``|t| <= rho``. Candidates are computed, and the narrowest is taken:

tangent   f(a + t) = f + f' t + f'' t^2 / 2 + R with ``|R| <= M rho^3 / 6``, M a bound of ``|f'''|`` on the interval.
          The term t^2 lies in [0, rho^2]: half of it goes to the value, and ``|f''| rho^2 / 4`` to the rest.
range     if f' lies in [low, high] there, the slope (low + high) / 2 leaves at most (high - low) / 2 rho. Of sigma',
          which is bounded and monotone or has one peak, the range itself with slope 0; the same of tanh and logistic.

All derivatives follow from those of T = tanh, with t = tanh(a) and s = 1 - t^2:

    T' = s    T'' = -2 t s    T''' = -2 s (1 - 3 t^2)    T'''' = 8 s t (2 - 3 t^2)

as logistic(a) = (1 + T(a / 2)) / 2 and softplus' = logistic. Bounds on the interval: ``|T''| <= 2 s``, ``|T'''| <= 4
s`` and ``|T''''| <= 8 s``, with the largest s, which is that of the point nearest to 0; and 0.77, 2 and 4.1 anywhere.

Rounding: NumPy's tanh, exp and log1p are taken to be right within 8 ulp (their own tests ask for 4). Every number above
then has a relative error below 32 EPS, or, where 1 - 3 t^2 and 2 - 3 t^2 cancel, an error below 32 EPS s; the rest is
enlarged by that, ``PAD``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

EPS = float(np.finfo(np.float64).eps)
TINY = 1e-150  #: more than what is lost where products, or squares in a norm, underflow
PAD = 32 * EPS


class Line(NamedTuple):
    """f(a + t) lies within ``rest`` of ``value`` + ``slope`` t."""

    value: Array
    slope: Array
    rest: Array


Enclosure = Callable[[str, Array, Array], tuple[Line, Line]]


def enclose(name: str, a: Array, rho: Array) -> tuple[Line, Line]:
    """Lines that enclose sigma and sigma' on [a - rho, a + rho], for the built-in activation of that name."""
    if name == "identity":
        return Line(a, np.ones_like(a), np.zeros_like(a)), Line(np.ones_like(a), np.zeros_like(a), np.zeros_like(a))
    if name == "relu":
        return _relu(a, rho)
    h = 1.0 if name == "tanh" else 0.5  # sigma is made of tanh(h a)
    t, s, z = np.tanh(h * a), _sech2(h * np.abs(a)), np.exp(-np.abs(a))
    T2, T3 = -2 * t * s, -2 * s * (1 - 3 * t * t)
    near = _sech2(h * np.maximum(np.abs(a) - rho, 0) * (1 - 4 * EPS))
    far = _sech2(h * (np.abs(a) + rho) * (1 + 4 * EPS))
    M2, M3, M4 = np.minimum(0.77, 2 * near), np.minimum(2, 4 * near), np.minimum(4.1, 8 * near)
    if name == "tanh":
        f, f1, f2, f3, m3, m4, low, high = t, s, T2, T3, M3, M4, far, near
    else:
        logistic = np.where(a >= 0, 1, z) / (1 + z)
        if name == "logistic":
            f, f1, f2, f3, m3, m4, low, high = logistic, s / 4, T2 / 8, T3 / 16, M3 / 16, M4 / 32, far / 4, near / 4
        else:
            slack = 4 * EPS * (np.abs(a) + rho)
            low, high = _logistic(a - rho - slack), _logistic(a + rho + slack)
            f, f1, f2, f3, m3, m4 = np.maximum(a, 0) + np.log1p(z), logistic, s / 4, T2 / 8, M2 / 8, M3 / 16
    half = (high - low) / 2 + PAD * high
    middle, zero = (high + low) / 2, np.zeros_like(a)
    extra = PAD * s * rho * rho
    sigma = _narrower(_tangent(f, f1, f2, m3, rho), Line(f, middle, half * rho))
    if name != "softplus":  # which is not bounded
        ends = [_bounded(name, a + sign * (rho + 4 * EPS * (np.abs(a) + rho))) for sign in (-1, 1)]
        sigma = _narrower(
            sigma, Line((ends[0] + ends[1]) / 2, zero, (ends[1] - ends[0]) / 2 + PAD * np.abs(ends).max(axis=0))
        )
    derivative = _narrower(_tangent(f1, f2, f3, m4, rho), Line(middle, zero, half))
    return _padded(sigma, rho, extra), _padded(derivative, rho, extra)


def _relu(a: Array, rho: Array) -> tuple[Line, Line]:
    """max(a, 0): where the interval contains 0, f - slope t is convex there, so lies between its value at 0 and an end.

    The derivative is then anything in [0, 1], whatever is chosen for it at 0 itself.
    """
    slack = 4 * EPS * (np.abs(a) + rho)
    low, high = a - rho - slack, a + rho + slack
    across = ~((low > 0) | (high < 0))  # so, and not with <=, because NaN must count as across
    on = (a > 0).astype(a.dtype)
    slope = np.where(across, high / np.where(across, np.maximum(high - low, TINY), 1), on)
    rest = np.where(across, np.maximum(-slope * low, (1 - slope) * high) / 2, 0)
    half = np.where(across, 0.5, 0)
    return _padded(Line(slope * a + rest, slope, rest), rho, 0.0), Line(np.where(across, 0.5, on), 0 * half, half)


def _tangent(f: Array, f1: Array, f2: Array, m: Array, rho: Array) -> Line:
    square = rho * rho
    return Line(f + f2 * square / 4, f1, np.abs(f2) * square / 4 + m * square * rho / 6)


def _narrower(first: Line, second: Line) -> Line:
    """Where the second's rest is less, the second; NaN is never less."""
    return Line(*(np.where(second.rest < first.rest, two, one) for one, two in zip(first, second, strict=True)))


def _padded(line: Line, rho: Array, extra: Any) -> Line:
    wide = line.rest * (1 + PAD) + PAD * (np.abs(line.value) + np.abs(line.slope) * rho) + extra + TINY
    return line._replace(rest=wide)


def _sech2(x: Array) -> Array:
    """1 - tanh^2 of x >= 0, without cancellation."""
    z = np.exp(-2 * x)
    return 4 * z / ((1 + z) * (1 + z))


def _bounded(name: str, a: Array) -> Array:
    return np.asarray(np.tanh(a) if name == "tanh" else _logistic(a))


def _logistic(a: Array) -> Array:
    z = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, z) / (1 + z)

"""Activations in ball arithmetic: for every number of a ball, sigma and sigma' lie in the balls returned.

A ball of python-flint's ``arb`` is a midpoint and a radius; every operation on balls encloses its exact result. The
functions are written in z = exp(-abs a), which never overflows, so that a saturated unit's sigma' = 4 z^2 / (1 + z^2)^2
(tanh) keeps its relative accuracy, where 1 - tanh^2 a would keep none of it. A ball that is wider than ``WIDE`` is
enclosed by sigma at its two ends, as every sigma here is monotone, and sigma' by [0, S].

relu: a ball on both sides of 0 gives the union of both branches, and [0, 1] for sigma'. At a number that is exactly 0,
sigma' is 0, as both engines have it.
"""

from collections.abc import Callable
from typing import Any

from pyham.architectures.activations import BUILT_IN, Activation

Ball = Any  # flint.arb
Enclosing = Callable[[Ball], tuple[Ball, Ball]]

WIDE = 2.0**-20  # a radius


def flint() -> Any:
    """python-flint, which is imported by the first that needs it.

    Raises
    ------
    ImportError
        If it is not installed: pip install "pyham[rigorous]".
    """
    try:
        import flint as found  # here, because only proofs need it
    except ImportError as error:
        raise ImportError(
            f'arithmetic: expected python-flint for "balls", python -m pip install "pyham[rigorous]", got {error}'
        ) from None
    return found


def enclosing(activation: Activation) -> Enclosing:
    """The function from a ball a to the balls (sigma(a), sigma'(a)).

    Raises
    ------
    TypeError
        For an activation of the user's own, of which no enclosure is known.
    """
    if activation not in BUILT_IN:
        names = ", ".join(own.name for own in BUILT_IN)
        raise TypeError(f"activation: expected one that can be enclosed in balls ({names}), got {activation!r}")
    arb = flint().arb
    zero, one, slope = arb(0), arb(1), arb(activation.slope) / 2
    any_slope = arb(slope, slope)  # [0, S]

    def identity(a: Ball) -> tuple[Ball, Ball]:
        return a, one

    def relu(a: Ball) -> tuple[Ball, Ball]:
        if a > 0:
            return a, one
        return (zero, zero) if a <= 0 else (zero.union(a.upper()), any_slope)

    def decay(a: Ball) -> Ball:
        return (-a).exp() if a > 0 else a.exp()  # of a narrow ball around 0 either is true

    def tanh(a: Ball) -> tuple[Ball, Ball]:
        square = decay(2 * a)
        return a.tanh(), 4 * square / ((1 + square) * (1 + square))

    def logistic(a: Ball) -> tuple[Ball, Ball]:
        z = decay(a)
        return (one if a > 0 else z) / (1 + z), z / ((1 + z) * (1 + z))

    def softplus(a: Ball) -> tuple[Ball, Ball]:
        z = decay(a)
        return (a if a > 0 else zero) + z.log1p(), (one if a > 0 else z) / (1 + z)

    function: Enclosing = {"tanh": tanh, "logistic": logistic, "softplus": softplus}.get(activation.name, identity)

    def bounded(a: Ball) -> tuple[Ball, Ball]:
        if float(a.rad()) < WIDE:
            return function(a)
        return function(a.lower())[0].union(function(a.upper())[0]), any_slope

    return relu if activation.name == "relu" else identity if function is identity else bounded

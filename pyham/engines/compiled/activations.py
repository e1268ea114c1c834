"""The activations, entrywise on a row of numbers, and their codes: the one file that says which functions there are.

Arguments are addresses (``pyham.engines.compiled.addresses``) of ``count`` numbers: of a, of s = sigma(a), and of g_a,
the gradient with respect to a.
"""

from pyham.architectures.activations import BUILT_IN, Activation
from pyham.engines.compiled.elementary import constants_of, logistic, softplus, tanh
from pyham.engines.compiled.settings import part

TANH, LOGISTIC, RELU, SOFTPLUS, IDENTITY = range(5)

_CODES = {
    own: {"tanh": TANH, "logistic": LOGISTIC, "relu": RELU, "softplus": SOFTPLUS, "identity": IDENTITY}[own.name]
    for own in BUILT_IN
}


def code_of(activation: Activation) -> int:
    """The number by which the kernels know an activation of the package.

    Other functions, whatever they are called, have none (KeyError), and run on the reference engine.
    """
    return _CODES[activation]


@part
def apply(code, a, s, count):
    """s (count,) <- sigma(a)."""
    if code == TANH:
        for t in range(count):
            s[t] = tanh(a[t])
    elif code == LOGISTIC:
        for t in range(count):
            s[t] = logistic(a[t])
    elif code == RELU:
        for t in range(count):
            s[t] = 0 if a[t] <= 0 else a[t]  # so, and not with >, because NaN stays NaN
    elif code == SOFTPLUS:
        for t in range(count):
            s[t] = softplus(a[t])
    else:
        for t in range(count):
            s[t] = a[t]


@part
def times_slope(code, s, g_a, count):
    """g_a (count,) <- sigma'(a) g_a, from s = sigma(a) alone, so that nothing else need be kept for the way back.

    softplus' = 1 - exp(-s) = 2 t / (1 + t) with t = tanh(s / 2), which loses no digits where s is small.
    """
    if code == TANH:
        for t in range(count):
            one = constants_of(s[t]).one
            g_a[t] *= (one - s[t]) * (one + s[t])
    elif code == LOGISTIC:
        for t in range(count):
            g_a[t] *= s[t] * (constants_of(s[t]).one - s[t])
    elif code == RELU:
        for t in range(count):
            g_a[t] *= constants_of(s[t]).one if s[t] > 0 else constants_of(s[t]).zero
    elif code == SOFTPLUS:
        for t in range(count):
            c = constants_of(s[t])
            tangent = tanh(s[t] - c.half * s[t])
            g_a[t] *= (tangent + tangent) / (c.one + tangent)

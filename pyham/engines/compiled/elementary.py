"""tanh, logistic and softplus of one float64 or float32 number, for loops that LLVM turns into packed instructions.

Calls of the C library stay scalar in a compiled loop. The functions here have no branch and no table: every case
distinction is a choice between two computed values, so that ``for t in range(n): s[t] = tanh(a[t])`` over contiguous
arrays becomes packed arithmetic; best as a loop of its own, since in a nest of loops LLVM tends to load the constants
again for every packet. The type of the argument is kept: no float32 is promoted to float64 on the way.

All three rest on Q(r**2) = r coth(r), which is smooth and near 1, by way of ::

    exp(2 r) = (Q + r) / (Q - r)        tanh(r) = r / Q

whose numerators and denominators go into the one division of each function. Multiples of ln 2 / 2 are first taken off
the argument, r = argument - n ln 2 / 2 (Cody and Waite). Adding `magic` rounds to the integer n, and at the same time
leaves n + exponent bias in the low bits, from where a shift makes 2**n.

tanh, with a = abs(x) and Q = H / P, where H = P + w N and w = r**2
    a < REACH: n = 0 and tanh(a) = a - a w N / H, an exact number and a small correction with small errors.
    Otherwise tanh(a) = 1 - 2 / (exp(2 a) + 1). The fraction is below 1/2, and so are its errors in units of the
    result; it dies out for large a, so that the result does not exceed 1. One rounded constant for ln 2 / 2 is enough:
    the error of n ln 2 / 2 grows in proportion to a, and the slope 1 - tanh(a)**2 falls faster.
logistic
    E / (1 + E) with E = exp(x), which is accurate for very negative x too. The power of two is applied to E in two
    factors: together they may be below the normal range, where the result then loses its bits gradually.
softplus
    max(x, 0) + log(1 + u) with u = exp(-abs(x)) <= 1. With y = 2 u / (2 + u) <= 2/3, log(1 + u) is 2 artanh(y / 2) =
    y + y v L(v), v = y**2.

Errors in units in the last place, for all float32 and 10**9 float64 numbers: tanh below 1.7, or 1.9 where products
and sums are not fused, logistic 2.45, softplus 3. Most of it is the rounding of the last three operations. Between
neighbouring arguments, where the result hardly changes, the rounding can make it fall by a unit.

Coefficients: interpolation at the Chebyshev nodes of [0, REACH**2] for N and P, in the form
N tanh(r) / r + (P - 1) / w (tanh(r) / r - 1) = (1 - tanh(r) / r) / w, which is linear; of [0, 0.174**2] for
(Q - 1) / w; of [0, 4/9] for L. Solved in multiple precision, then rounded. The approximations are exact to better than
0.2 units in the last place. The tests do all this again.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.extending import intrinsic

from pyham.engines.compiled.settings import kernel

REACH = 0.65  # tanh(0.65) > 1/2


class Constants(NamedTuple):
    """Numbers in the type of the argument, since a literal in a kernel would make everything a float64."""

    magic: Any  # 1.5 * 2**(bits of the mantissa) + exponent bias
    saturated: Any  # exp(-2 * saturated) is lost beside 1
    vanished: Any  # exp(2 * vanished) is lost beside the smallest subnormal number
    inverse_step: Any  # 2 / ln 2
    step: Any  # ln 2 / 2
    step_high: Any  # ln 2 / 2 with so few bits that n * step_high is exact
    step_low: Any
    tanh_n: tuple[Any, ...]
    tanh_p: tuple[Any, ...]
    exp_q: tuple[Any, ...]
    log_l: tuple[Any, ...]
    zero: Any = 0.0
    half: Any = 0.5
    one: Any = 1.0
    two: Any = 2.0
    reach: Any = REACH

    def typed(self, scalar: Any) -> "Constants":
        return Constants(*(tuple(map(scalar, v)) if isinstance(v, tuple) else scalar(v) for v in self))


FLOAT64 = Constants(
    magic=1.5 * 2.0**52 + 1023.0,
    saturated=20.0,
    vanished=-373.0,
    inverse_step=2.8853900817779268,
    step=0.34657359027997264,
    step_high=0.3465735902796041,
    step_low=3.6855012825838994e-13,
    tanh_n=(0.3333333333333333, 0.020497654518823683, 0.00019912731488058697),
    tanh_p=(1.0, 0.1281596302231326, 0.0027921509437864593, 7.352091799911984e-06),
    exp_q=(1.0, 0.3333333333333332, -0.02222222222204597, 0.002116402069815173, -0.00021163590009534518,
           2.121478852258754e-05),
    log_l=(0.08333333333333333, 0.012500000000004558, 0.0022321428568053718, 0.00043402778744976297,
           8.877826873111747e-05, 1.8781213458201444e-05, 4.063154360856609e-06, 9.156091926262446e-07,
           1.6786076519288395e-07, 7.707617574664846e-08),
).typed(np.float64)  # fmt: skip

FLOAT32 = Constants(
    magic=1.5 * 2.0**23 + 127.0,
    saturated=10.0,
    vanished=-52.0,
    inverse_step=2.88539,
    step=0.3465736,
    step_high=0.3465576171875,
    step_low=1.5973092e-05,
    tanh_n=(0.3333333, 0.009428749),
    tanh_p=(1.0, 0.094949916),
    exp_q=(1.0, 0.3333331, -0.022158315),
    log_l=(0.083333336, 0.012499908, 0.002233778, 0.00042395655, 0.00011340005),
).typed(np.float32)

_BY_TYPE = {types.float64: FLOAT64, types.float32: FLOAT32}


@intrinsic
def constants_of(typingctx, x):
    """Constants in the type of x."""
    if x not in _BY_TYPE:
        return None
    values = _BY_TYPE[x]
    kind = typeof(values)

    def codegen(context, builder, signature, arguments):
        return context.get_constant_generic(builder, kind, values)

    return kind(x), codegen


def _horner(builder, w, coefficients):
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = builder.fadd(builder.fmul(value, w), coefficient)
    return value


@intrinsic
def _polynomial(typingctx, w, coefficients):
    """Horner's scheme, lowest coefficient first; long ones in two halves in w**2, which do not wait for each other."""

    def codegen(context, builder, signature, arguments):
        x, c = arguments[0], cgutils.unpack_tuple(builder, arguments[1])
        if len(c) < 8:
            return _horner(builder, x, c)
        square = builder.fmul(x, x)
        return _horner(builder, x, [_horner(builder, square, c[0::2]), _horner(builder, square, c[1::2])])

    return w(w, coefficients), codegen


@intrinsic
def _power_of_two(typingctx, shifted):
    """2**n from n + magic."""
    bits, mantissa = (32, 23) if shifted == types.float32 else (64, 52)

    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(bits)
        exponent = builder.shl(builder.bitcast(arguments[0], integer), integer(mantissa))
        return builder.bitcast(exponent, arguments[0].type)

    return shifted(shifted), codegen


@intrinsic
def _with_sign_of(typingctx, magnitude, x):
    """A number without sign bit gets that of x. The C function would not know that there is none, and clear it."""
    bits = 32 if magnitude == types.float32 else 64

    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(bits)
        unsigned, signed = (builder.bitcast(argument, integer) for argument in arguments)
        sign = builder.and_(signed, integer(1 << (bits - 1)))
        return builder.bitcast(builder.or_(unsigned, sign), arguments[0].type)

    return magnitude(magnitude, x), codegen


@kernel
def tanh(x):
    """Hyperbolic tangent, within 2 units in the last place, exactly odd, of magnitude at most 1; in the type of x."""
    c = constants_of(x)
    a = abs(x)
    small = a < c.reach
    base = a if small else c.one
    a = c.saturated if a > c.saturated else a  # NaN stays: it compares as false, here and below
    shifted = c.magic if small else a * c.inverse_step + c.magic
    r = a - (shifted - c.magic) * c.step
    w = r * r
    n = _polynomial(w, c.tanh_n)
    p = _polynomial(w, c.tanh_p)
    h = p + w * n
    down = h - r * p
    total = _power_of_two(shifted) * (h + r * p) + down  # 2 H if small
    return _with_sign_of(base - c.two * (((r * w) * n if small else down) / total), x)


@kernel
def _exp_fraction(half_x, c):
    """Numerator and denominator of exp(2 half_x), for half_x up to c.saturated. The denominator is near 1."""
    half_x = c.vanished if half_x < c.vanished else half_x
    shifted = half_x * c.inverse_step + c.magic
    n = shifted - c.magic
    r = half_x - n * c.step_high - n * c.step_low
    down = _polynomial(r * r, c.exp_q) - r
    up = down + c.two * r  # not Q + r: a rounding error that both have counts less
    lowest = c.magic + c.vanished
    first = lowest if shifted < lowest else shifted
    return up * _power_of_two(first) * _power_of_two(shifted - first + c.magic), down


@kernel
def logistic(x):
    """1 / (1 + exp(-x)) within 2.5 units in the last place, subnormal results included; in the type of x."""
    c = constants_of(x)
    half_x = x * c.half
    up, down = _exp_fraction(c.saturated if half_x > c.saturated else half_x, c)
    return up / (up + down)


@kernel
def softplus(x):
    """log(1 + exp(x)) within 4 units in the last place, subnormal results included; in the type of x."""
    c = constants_of(x)
    up, down = _exp_fraction(-c.half * abs(x), c)
    y = up / (down + c.half * up)
    v = y * y
    return (x if x > c.zero else c.zero) + (y + y * (v * _polynomial(v, c.log_l)))

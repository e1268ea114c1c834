"""The planar system y' = eps J grad H, H = log cosh y_1 + log cosh y_2: the period of its orbits, in closed form."""

import numpy as np

from pyham import _check


def period(energy: float, eps: float = 1.0) -> float:
    """Period P(E) of the planar system y' = eps J grad H, H = log cosh y_1 + log cosh y_2, on the level H = E > 0.

    An eighth of the orbit lies between an axis and a diagonal, where dt = du / tanh(y_2), cosh u cosh y_2 = exp E:

        eps P = 8 int_0^{arccosh exp(E/2)} du / tanh(arccosh(exp(E) / cosh u)) = 4 K(m),   m = 1 - exp(-2 E)

    The second form, a complete elliptic integral, follows from a quarter of the orbit by sinh u = sqrt(exp(2 E) - 1)
    sin theta, and is correct to a few eps for 0 < E <= 350. P(0+) = 2 pi / eps.
    """
    from scipy.special import ellipkm1  # here, because importing pyham should not import SciPy

    return float(4 / _check.positive("eps", eps) * ellipkm1(_complement(energy)))


def period_derivative(energy: float, eps: float = 1.0) -> float:
    """P'(E) of ``period``: with m' = 2 (1 - m) and dK/dm = (E(m) - (1 - m) K(m)) / (2 m (1 - m)), K and E complete,

        eps P' = 4 (E(m) - (1 - m) K(m)) / m = (4/3) (1 - m) R_D(0, 1, 1 - m)

    in Carlson's form (DLMF 19.25.1), which does not cancel at small energies. P'(0+) = pi / eps. P' > 0, so that
    neighbouring orbits drift apart.
    """
    from scipy.special import elliprd

    q = _complement(energy)
    return float(4 / 3 / _check.positive("eps", eps) * q * elliprd(0.0, 1.0, q))


def _complement(energy: float) -> float:
    """1 - m = exp(-2 E), which does not underflow."""
    if _check.positive("energy", energy) > 350:
        raise ValueError(f"energy: expected a number up to 350, got {energy}")
    return float(np.exp(-2 * energy))

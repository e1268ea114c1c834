"""What a network's design promises: its J, and whether its sensitivities are symplectic for it, up to a factor c."""

from typing import Any

import numpy as np

from pyham.architectures.interface import ArchitectureBase
from pyham.network import Network
from pyham.verification import bounds, rounding, symplectic

Array = np.ndarray[Any, Any]


def symplectic_by_design(net: Network) -> bool:
    """Whether theory makes every Phi_j symplectic, or with damping Phi_j / sqrt(c_j).

    H2 and MS3 always, MS1 while all layers share their weights.
    """
    net = net.settled
    return bool(net.stages().shears) and (net.arch.J is not None or structure(net) is not None)


def structure(net: Network) -> Array | None:
    """J (n, n) if the network has one that is the same in all layers, else None.

    MS1 and MS2 have J = K^-T, which is None, too, where K is singular to rounding.
    """
    net = net.settled
    if net.arch.J is not None:
        J = np.asarray(net.arch.J, np.float64)
        return J if J.ndim == 2 and J.any() else None
    of_weights = type(net.arch).effective_J is not ArchitectureBase.effective_J
    if not of_weights or not net.arch.depth or not (net.K[0] == net.K).all():
        return None
    return inverse_transpose(net.K[0].astype(np.float64))


def log_factors(net: Network) -> Array:
    """log c_j (N + 1,), where theory says Phi_j^T J Phi_j = c_j J: 0, unless the network is damped.

    What the architecture says of itself, or what its stages' ``keep`` amounts to if it says nothing.
    """
    net = net.settled
    stages = net.stages()
    if not stages.shears:
        return np.zeros(stages.depth + 1)
    by_layer = net.arch.log_factors()
    if by_layer is None:
        by_layer = np.log(bounds.keeps(stages)).sum(axis=1)
    return rounding.behind(by_layer)


def error_of(net: Network) -> float:
    """The relative error ||J^ - J|| / ||J|| of ``structure(net)``: 0 where J is the architecture's own."""
    net = net.settled
    if net.arch.J is not None or structure(net) is None:
        return 0.0
    K = net.K[0].astype(np.float64)
    first, extended = (len(K) * float(np.linalg.cond(K)) * rounding.unit(t) for t in (np.float64, np.longdouble))
    return 2 * (rounding.U + 2 * extended + first**2)


def inverse_transpose(K: Array) -> Array | None:
    """K^-T (n, n); None if K is singular to rounding.

    A step of Newton's method in extended precision squares the error of a first inverse, n cond(K) u. What is left is
    rounding in extended precision, times the condition, and that of the result: ``error_of``.
    """
    sigma = np.linalg.svd(K, compute_uv=False)
    if not sigma[-1] > 1e-3 / np.sqrt(len(K)) * np.sqrt(rounding.U) * sigma[0]:
        return None
    first, wide = np.linalg.inv(K), K.astype(np.longdouble)
    rest = np.eye(len(K)) - wide @ first
    return np.asarray((first + first @ rest).T.astype(np.float64))


def defect(phi: Array, net: Network, *, norm: str = "fro") -> Array:
    """rho (...) of phi (..., n, n) for the J of ``net``, which is the same in all layers.

    Where J = K^-T (MS1), the equivalent Phi K^T Phi^T = K^T is tested: inverting an ill-conditioned K would add errors
    that are not Phi's.
    """
    net = net.settled
    if net.arch.J is None:
        return symplectic.defect(phi.swapaxes(-1, -2), net.K[0].T, norm=norm)
    return symplectic.defect(phi, net.arch.J, norm=norm)

"""Is a matrix symplectic, and what follows when it is.

Phi is symplectic with respect to J when Phi^T J Phi = J. For nonsingular J it follows that det Phi = 1, that
eigenvalues come in pairs (l, 1/l), hence that the spectral radius and with it every matrix norm is at least 1; for
orthogonal J the singular values pair as well, so that sigma_min = 1 / sigma_max.

Every residual here is normalised so that a matrix known with relative error e, ||Phi^ - Phi|| = e ||Phi||, has a
residual of a few e, however large Phi is. So residuals compare with a multiple of eps. Functions act on the last two
axes, work in double precision (single precision input is exact in it), and give inf for a matrix that is not finite.
"""

from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.interconnection import real

Array = np.ndarray[Any, Any]

NORMS = ("1", "2", "inf", "fro", "nuc")


def defect(phi: object, J: object, *, norm: str = "fro") -> Array:
    """rho = ||Phi^T J Phi - J|| / (||J|| max(1, ||Phi||^2)), in the Frobenius ("fro") or spectral ("2") norm.

    The absolute defect of a product computed in floating point grows with ||Phi||^2, rho does not.

    Parameters
    ----------
    phi (..., n, n) : matrices, such as ``net.sensitivity(x)``
    J (n, n) : nonzero

    Returns
    -------
    rho (...) : one number a matrix

    Raises
    ------
    TypeError, ValueError
        If phi and J are not real matrices of one size, or J is zero.
    """
    P, n = _matrices(phi)
    structure = real("J", J, n).astype(np.float64)
    if not structure.any():
        raise ValueError("J: expected a nonzero matrix, got zeros")
    finite = _finite(P)
    if _check.choice("norm", norm, ("fro", "2")) == "fro":
        from pyham.engines.compiled.matrices import (
            symplectic_defect,  # here, because importing pyham should not import Numba
        )

        flat = np.ascontiguousarray(P.reshape(-1, n, n))
        rho = np.empty(len(flat))
        symplectic_defect(flat, structure, rho)
        rho = rho.reshape(P.shape[:-2]) / np.linalg.norm(structure)
    else:
        scaled, s, ratio = _scaled(np.where(finite[..., None, None], P, 0.0))
        rho = _spectral(scaled.swapaxes(-1, -2) @ structure @ scaled - structure / s / s) * ratio / _spectral(structure)
    return np.where(finite, rho, np.inf)


def norms(phi: object) -> dict[str, Array]:
    """The matrix norms 1, 2, inf, Frobenius ("fro") and nuclear ("nuc") of phi (..., n, n), each (...)."""
    P, _ = _matrices(phi)
    magnitude = np.where(_finite(P)[..., None, None], np.abs(P), np.inf)
    sigma = _singular_values(P)
    scale = np.where((sigma[..., 0] > 0) & np.isfinite(sigma[..., 0]), sigma[..., 0], 1)  # squares would overflow
    return {
        "1": magnitude.sum(axis=-2).max(axis=-1),
        "2": sigma[..., 0],
        "inf": magnitude.sum(axis=-1).max(axis=-1),
        "fro": scale * np.linalg.norm(sigma / scale[..., None], axis=-1),
        "nuc": sigma.sum(axis=-1),
    }


def determinant(phi: object) -> tuple[Array, Array]:
    """det Phi, and the residual |det Phi - 1| / max(n, ||Phi||_F ||adj Phi||_F), each (...).

    The denominator is the determinant's condition: d(det) = tr(adj(Phi) dPhi), and adj Phi = Phi^-1 where det Phi = 1.
    It is taken from products of n - 1 singular values, which are known to the accuracy that matters, as Phi^-1 is not.
    """
    P, n = _matrices(phi)
    finite = _finite(P)
    safe: Array = np.where(finite[..., None, None], P, np.eye(n))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        det, log_det = np.linalg.det(safe), np.linalg.slogdet(safe)[1]
        log_gap = np.where(log_det > 100, log_det, np.log(np.abs(det - 1)))
        log_sigma = np.log(_singular_values(safe))
        one = np.zeros_like(log_sigma[..., :1])
        before = np.concatenate([one, log_sigma[..., :-1].cumsum(axis=-1)], axis=-1)
        after = np.concatenate([log_sigma[..., :0:-1].cumsum(axis=-1)[..., ::-1], one], axis=-1)
        log_condition = _log_norm(log_sigma) + _log_norm(before + after)
        residual = np.exp(log_gap - np.maximum(np.log(n), log_condition))
    return np.where(finite, det, np.nan), np.where(finite, residual, np.inf)


def eigenvalue_pairing(phi: object, J: object) -> Array:
    """How far 1/l is from being an eigenvalue, for the worst eigenvalue l: a residual (...).

    It is max over l of |l| sigma_min(Phi - I/l) / (cond(J) ||Phi||_2^2). For symplectic Phi,
    Phi - I/l = -(1/l) Phi J^-1 (Phi^T - l I) J, so the residual is a few times the relative error with which l is
    known. Eigenvalues themselves may be ill conditioned; this backward error is not.
    """
    P, n = _matrices(phi)
    structure = real("J", J, n).astype(np.float64)
    sigma = np.linalg.svd(structure, compute_uv=False)
    if sigma[-1] <= n * np.finfo(np.float64).eps * sigma[0]:
        raise ValueError(
            f"J: expected a nonsingular matrix, got singular values from {sigma[0]:.3g} to {sigma[-1]:.3g}"
        )
    finite = _finite(P)
    scaled, s, ratio = _scaled(np.where(finite[..., None, None], P, np.eye(n)))
    eigenvalues = np.linalg.eigvals(scaled)
    shifted = eigenvalues[..., None, None] * scaled[..., None, :, :] - (np.eye(n) / s / s)[..., None, :, :]
    smallest = np.linalg.svd(shifted, compute_uv=False)[..., -1]  # of l (Phi - I/l) / s^2
    return np.where(finite, smallest.max(axis=-1) * ratio / (sigma[0] / sigma[-1]), np.inf)


def singular_value_pairing(phi: object) -> Array:
    """max over i of |sigma_i sigma_{n+1-i} - 1| / max(1, ||Phi||_2^2): a residual (...), small for orthogonal J."""
    P, _ = _matrices(phi)
    finite = _finite(P)
    scaled, s, ratio = _scaled(np.where(finite[..., None, None], P, 0.0))
    sigma = _singular_values(scaled)
    residual = np.abs(sigma * sigma[..., ::-1] - 1 / s[..., 0] / s[..., 0]).max(axis=-1)
    return np.where(finite, residual * ratio, np.inf)


def is_orthogonal(J: object) -> bool:
    """Whether J^T J = I to a few rounding errors."""
    structure = np.asarray(J)
    n = structure.shape[-1]
    return bool(np.abs(structure.T @ structure - np.eye(n)).max() <= 8 * n * np.finfo(np.float64).eps)


def _matrices(phi: object) -> tuple[Array, int]:
    """phi as real float64 (..., n, n), and n."""
    P = np.asarray(phi)
    if P.dtype.kind not in "fiub":
        raise TypeError(f"phi: expected real numbers, got dtype {P.dtype}")
    if P.ndim < 2 or P.shape[-1] != P.shape[-2] or P.shape[-1] == 0:
        raise ValueError(f"phi: expected shape (..., n, n), got {P.shape}")
    return P.astype(np.float64, copy=False), P.shape[-1]


def _scaled(P: Array) -> tuple[Array, Array, Array]:
    """P / s, s (..., 1, 1) and (s / max(1, ||P||_2))^2 (...), for a power of two s, so that P / s is exact and small.

    Products of P / s do not overflow; the last number turns division by s^2 into division by max(1, ||P||^2).
    """
    size = np.maximum(1, _spectral(P))
    s = np.exp2(np.floor(np.log2(size)))
    return P / s[..., None, None], s[..., None, None], (s / size) ** 2


def _log_norm(logs: Array) -> Array:
    """log of the 2-norm of exp(logs), over the last axis."""
    return np.logaddexp.reduce(2 * logs, axis=-1) / 2


def _singular_values(P: Array) -> Array:
    """Singular values (..., n), largest first; inf for a matrix that is not finite."""
    finite = _finite(P)
    safe: Array = np.where(finite[..., None, None], P, 0.0)
    return np.where(finite[..., None], np.linalg.svd(safe, compute_uv=False), np.inf)


def _finite(P: Array) -> Array:
    """Whether all entries are finite, for each matrix (...)."""
    return np.asarray(np.isfinite(P).all(axis=(-1, -2)))


def _spectral(P: Array) -> Array:
    return _singular_values(P)[..., 0]

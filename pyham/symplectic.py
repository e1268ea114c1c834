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
    structure = _check.array("J", J, (n, n)).astype(np.float64)
    if not structure.any():
        raise ValueError("J: expected a nonzero matrix, got zeros")
    if _check.choice("norm", norm, ("fro", "2")) == "fro":
        from pyham import kernels  # here, because importing pyham should not import Numba

        sizes = np.empty((P.size // (n * n), 2))
        kernels.symplectic_defect(np.ascontiguousarray(P).reshape(-1, n, n), structure, sizes)
        absolute, size = sizes.T.reshape(2, *P.shape[:-2])
        scale = np.linalg.norm(structure)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            absolute = _spectral(P.swapaxes(-1, -2) @ structure @ P - structure)
        size, scale = _spectral(P), np.linalg.norm(structure, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        rho = absolute / np.maximum(1, size) / np.maximum(1, size) / scale
    return np.where(np.isfinite(rho) & np.isfinite(size), rho, np.inf)


def norms(phi: object) -> dict[str, Array]:
    """The matrix norms 1, 2, inf, Frobenius ("fro") and nuclear ("nuc") of phi (..., n, n), each (...)."""
    P, _ = _matrices(phi)
    magnitude = np.abs(P)
    sigma = _singular_values(P)
    return {
        "1": magnitude.sum(axis=-2).max(axis=-1),
        "2": sigma[..., 0],
        "inf": magnitude.sum(axis=-1).max(axis=-1),
        "fro": np.linalg.norm(sigma, axis=-1),
        "nuc": sigma.sum(axis=-1),
    }


def determinant(phi: object) -> tuple[Array, Array]:
    """det Phi, and the residual |det Phi - 1| / (||Phi||_F ||Phi^-1||_F), each (...).

    The residual's denominator is the determinant's condition number: d(det) = det tr(Phi^-1 dPhi).
    """
    P, n = _matrices(phi)
    sigma = _singular_values(P)
    det = np.linalg.det(np.where(np.isfinite(P), P, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        condition = np.linalg.norm(sigma, axis=-1) * np.linalg.norm(1 / sigma, axis=-1)
        residual = np.where(np.isfinite(condition), np.abs(det - 1) / condition, np.abs(det - 1) / n)
    finite = _finite(P)
    return np.where(finite, det, np.nan), np.where(finite, residual, np.inf)


def eigenvalue_pairing(phi: object, J: object) -> Array:
    """How far 1/l is from being an eigenvalue, for the worst eigenvalue l: a residual (...).

    It is max over l of |l| sigma_min(Phi - I/l) / (cond(J) ||Phi||_2^2). For symplectic Phi,
    Phi - I/l = -(1/l) Phi J^-1 (Phi^T - l I) J, so the residual is a few times the relative error with which l is
    known. Eigenvalues themselves may be ill conditioned; this backward error is not.
    """
    P, n = _matrices(phi)
    structure = _check.array("J", J, (n, n)).astype(np.float64)
    finite = _finite(P)
    safe = np.where(finite[..., None, None], P, np.eye(n))
    eigenvalues = np.linalg.eigvals(safe)
    with np.errstate(divide="ignore", invalid="ignore"):
        shifted = eigenvalues[..., None, None] * safe[..., None, :, :] - np.eye(n)  # l (Phi - I/l)
    smallest = np.linalg.svd(shifted, compute_uv=False)[..., -1]
    size = _spectral(safe)
    residual = smallest.max(axis=-1) / (np.linalg.cond(structure) * np.maximum(1, size) ** 2)
    return np.where(finite, residual, np.inf)


def singular_value_pairing(phi: object) -> Array:
    """max over i of |sigma_i sigma_{n+1-i} - 1| / max(1, ||Phi||_2^2): a residual (...), small for orthogonal J."""
    P, _ = _matrices(phi)
    sigma = _singular_values(P)
    with np.errstate(over="ignore", invalid="ignore"):
        residual = np.abs(sigma * sigma[..., ::-1] - 1).max(axis=-1) / np.maximum(1, sigma[..., 0]) ** 2
    return np.where(np.isfinite(residual), residual, np.inf)


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

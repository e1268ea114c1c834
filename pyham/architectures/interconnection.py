"""Skew-symmetric interconnection matrices J, the ``J`` of y' = J grad H(y, t).

Signs, stated once and tested: J1 has +I above the diagonal, J(X) has -X^T above it. So J(I) = -J1.
"""

from typing import Any, NamedTuple

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]


def J1(width: int) -> Array:
    """[[0, I], [-I, 0]] (n, n), orthogonal: p' = dH/dq, q' = -dH/dp. ``width`` n is even."""
    m = half(width)
    return from_block(-np.eye(m))


class Entries(NamedTuple):
    """Rows, columns and values of the entries of a matrix that are not 0."""

    rows: Array
    columns: Array
    values: Array


def entries_of_J1(width: int, sign: float = 1.0) -> Entries:
    """Those of ``sign`` times J1: n of them."""
    m = half(width)
    i = np.arange(width)
    return Entries(i, (i + m) % width, np.where(i < m, sign, -sign))


def entries(matrix: Array) -> Entries:
    """Those of a matrix that has been made."""
    rows, columns = np.nonzero(matrix)
    return Entries(rows, columns, matrix[rows, columns])


def J2(width: int) -> Array:
    """+1 above the diagonal, -1 below it (n, n); nonsingular for even n, singular for odd n."""
    n = _check.integer("width", width, 1)
    return np.triu(np.ones((n, n)), 1) - np.tril(np.ones((n, n)), -1)


def from_block(X: object) -> Array:
    """[[0, -X^T], [X, 0]] (2m, 2m) for X (m, m): p' = -X^T dH/dq, q' = X dH/dp."""
    block = np.asarray(X)
    m = block.shape[0] if block.ndim else 0
    block = _check.array("X", block, (m, m))
    zero = np.zeros_like(block)
    return np.block([[zero, -block.T], [block, zero]])


def real(argument: str, value: object, size: int) -> Array:
    """``value`` (n, n), checked to be a real, finite matrix of that size."""
    checked = _check.array(argument, value, (size, size))
    if checked.dtype.kind == "c":
        raise TypeError(f"{argument}: expected a real matrix, got dtype {checked.dtype}")
    return checked


def skew(J: object, width: int) -> Array:
    """``J`` (n, n), checked to be real, finite and exactly skew-symmetric: J^T = -J.

    Exactly, because a rounding error in J would show as a defect of every network built on it.
    """
    checked = real("interconnection", J, width)
    asymmetry = np.abs(checked + checked.T)
    if asymmetry.any():
        i, j = (int(k) for k in np.unravel_index(int(asymmetry.argmax()), asymmetry.shape))
        raise ValueError(
            "interconnection: expected a skew-symmetric matrix (J^T = -J), "
            f"got J[{i}, {j}] = {checked[i, j]} and J[{j}, {i}] = {checked[j, i]}"
        )
    return checked


def invertible(X: object, size: int) -> Array:
    """``X`` (m, m), checked to be real and numerically nonsingular: sigma_min > m eps sigma_max."""
    checked = real("X", X, size)
    singular_values = np.linalg.svd(checked.astype(np.float64), compute_uv=False)
    if singular_values[-1] <= size * np.finfo(np.float64).eps * singular_values[0]:
        raise ValueError(
            f"X: expected a nonsingular matrix, got singular values from {singular_values[0]:.3g} "
            f"down to {singular_values[-1]:.3g}"
        )
    return checked


def inverse_transpose(K: Array) -> Array:
    """J = K^-T of MS1 and MS2 (N, n, n), or (n, n) when it is the same in all layers.

    Raises
    ------
    numpy.linalg.LinAlgError
        If some K_j is singular: then no J satisfies J K_j^T = I.
    """
    if len(K) and (K[0] == K).all():
        return np.linalg.inv(K[0]).T
    return np.linalg.inv(K).swapaxes(1, 2)


def half(width: int) -> int:
    """m = n / 2, the size of p and of q, for an even state width n >= 2."""
    n = _check.integer("width", width, 2)
    if n % 2:
        raise ValueError(f"width: expected an even number (the state is y = (p, q)), got {n}")
    return n // 2

"""Damping and dissipation: how fast a state fades, and what of the field is lost, as numbers that are checked once.

A part of the state that fades at the rate g while a constant f drives it, y' = -g y + f, is after the time t

    exp(-g t) y + t phi(g t) f        phi(z) = (1 - exp(-z)) / z,  phi(0) = 1

``kept`` is the first factor, and ``driven`` the second, t phi(g t).
"""

from typing import Any

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]

MOST = 40.0  # |rate| h of a stage, at most: exp(40) and exp(-40) are far from the ends of float32


def kept(rates: Array, time: float) -> Array:
    """exp(-g t)."""
    return np.asarray(np.exp(-rates * time))


def driven(rates: Array, time: float) -> Array:
    """t phi(g t)."""
    z = rates * time
    safe = np.where(z == 0, 1.0, z)
    return np.where(z == 0, time, time * -np.expm1(-safe) / safe)


def checked_damping(value: Any, depth: int) -> Any:
    """``damping`` as it is kept: a number, a pair of numbers, or an array (N, 2).

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or not finite.
    """
    words = f"damping: expected a finite number, a pair (of p, of q), or an array ({depth}, 2) or ({depth}, 1)"
    try:
        rates = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{words}, got {value!r}") from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{words}, got {value!r}")
    if rates.shape not in ((), (2,), (depth, 2), (depth, 1)):
        raise ValueError(f"{words}, got shape {rates.shape}")
    if not np.isfinite(rates).all():
        raise ValueError(f"{words}, got {rates.tolist()}")
    if rates.ndim == 2:
        return _check.read_only(np.ascontiguousarray(np.broadcast_to(rates, (depth, 2))))
    return float(rates) if rates.ndim == 0 else (float(rates[0]), float(rates[1]))


def limited(rates: Array, step: float) -> None:
    """Refuse rates with which one layer would leave the range of numbers."""
    largest = np.abs(rates).max(initial=0) * step
    if largest > MOST:
        raise ValueError(f"damping: expected rates of at most {MOST:g} / step, got {largest / step:.6g}")


def checked_dissipation(value: Any, width: int) -> Any:
    """``dissipation`` as it is kept: None for none, a number r >= 0 for r I, or a matrix R (n, n).

    Raises
    ------
    TypeError, ValueError
        If it is no such number, and no real, exactly symmetric and positive semidefinite matrix.
    """
    if value is None:
        return None
    if np.ndim(value) == 0:
        return _check.not_negative("dissipation", value) or None
    R = _check.array("dissipation", value, (width, width))
    if R.dtype.kind == "c":
        raise TypeError(f"dissipation: expected a real matrix, got dtype {R.dtype}")
    gap = np.abs(R - R.T)
    if gap.any():
        i, j = (int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
        raise ValueError(
            f"dissipation: expected a symmetric matrix, got R[{i}, {j}] = {R[i, j]} and R[{j}, {i}] = {R[j, i]}"
        )
    eigenvalues = np.linalg.eigvalsh(R.astype(np.float64))
    if eigenvalues[0] < -width * float(np.finfo(np.float64).eps) * max(abs(eigenvalues[-1]), abs(eigenvalues[0])):
        raise ValueError(
            f"dissipation: expected a positive semidefinite matrix, got the eigenvalue {eigenvalues[0]:.6g}"
        )
    return _check.read_only(R)

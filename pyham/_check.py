"""Checks of arguments: every message names the argument, what was expected and what came."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def choice(argument: str, value: object, allowed: Iterable[str]) -> str:
    """``value`` if it is one of the allowed names."""
    names = tuple(allowed)
    expected = ", ".join(repr(name) for name in names)
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected one of {expected}, got {type(value).__name__}")
    if value not in names:
        raise ValueError(f"{argument}: expected one of {expected}, got {value!r}")
    return value


def integer(argument: str, value: object, minimum: int) -> int:
    """``value`` as an int, at least ``minimum``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{argument}: expected an integer >= {minimum}, got {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{argument}: expected an integer >= {minimum}, got {value}")
    return int(value)


def positive(argument: str, value: object) -> float:
    """``value`` as a positive finite float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{argument}: expected a positive finite number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not 0 < number < np.inf:
        raise ValueError(f"{argument}: expected a positive finite number, got {value}")
    return number


def read_only(value: Array) -> Array:
    """A copy that cannot be written to."""
    copy = value.copy()
    copy.flags.writeable = False
    return copy


def generator(rng: object) -> np.random.Generator:
    """A numpy Generator from one, from an int seed, or from None (fresh entropy)."""
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(None if rng is None else integer("rng", rng, 0))


def array(argument: str, value: object, shape: tuple[int | str, ...] | None, *, finite: bool = True) -> Array:
    """``value`` as a numeric array of that shape; a name such as "B" in ``shape`` matches any length, None any shape.

    Integers and booleans are converted to float64; floating and complex dtypes are kept.
    """
    expected = "numbers" if shape is None else f"shape {spell(shape)}"
    try:
        result = np.asarray(value)
    except ValueError:
        raise ValueError(f"{argument}: expected {expected}, got nested sequences of unequal lengths") from None
    if result.dtype.kind in "biu":
        result = result.astype(np.float64)
    if result.dtype.kind not in "fc":
        raise TypeError(f"{argument}: expected numbers, got dtype {result.dtype}")
    if shape is not None and (
        len(shape) != result.ndim
        or any(isinstance(want, int) and want != have for want, have in zip(shape, result.shape, strict=True))
    ):
        raise ValueError(f"{argument}: expected {expected}, got {result.shape}")
    if finite and not np.isfinite(result).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        raise ValueError(f"{argument}: expected finite numbers, got {result[bad]} at index {bad}")
    return result


def spell(shape: tuple[int | str, ...]) -> str:
    """A shape as NumPy prints it, names without quotes."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"

"""Checks of arguments: every message names the argument, what was expected and what came."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PART = 1 << 20  #: numbers of a large array that are looked at, or computed with, at a time: 8 MB in float64


def choice(argument: str, value: object, allowed: Iterable[str]) -> str:
    """``value`` if it is one of the allowed names."""
    names = tuple(allowed)
    if isinstance(value, str) and value in names:
        return value
    expected = ", ".join(repr(name) for name in names)
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected one of {expected}, got {type(value).__name__}")
    raise ValueError(f"{argument}: expected one of {expected}, got {value!r}")


def integer(argument: str, value: object, minimum: int) -> int:
    """``value`` as an int, at least ``minimum``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{argument}: expected an integer >= {minimum}, got {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{argument}: expected an integer >= {minimum}, got {value}")
    return int(value)


def integer_of_bits(argument: str, value: object, bits: int) -> int:
    """``value`` as an integer from 0 to 2**bits - 1."""
    if (number := integer(argument, value, 0)) >> bits:
        raise ValueError(f"{argument}: expected an integer of at most {bits} bits, got more")
    return number


def positive(argument: str, value: object) -> float:
    """``value`` as a positive finite float."""
    return _real(argument, value, "a positive finite number", lambda number: 0 < number < np.inf)


def number(argument: str, value: object) -> float:
    """``value`` as a finite float."""
    return _real(argument, value, "a finite number", lambda number: -np.inf < number < np.inf)


def not_negative(argument: str, value: object) -> float:
    """``value`` as a float >= 0, infinity included."""
    return _real(argument, value, "a number >= 0", lambda number: number >= 0)


def _real(argument: str, value: Any, expected: str, fits: Callable[[float], bool]) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{argument}: expected {expected}, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf if value > 0 else -np.inf  # type: ignore[operator]
    if not fits(number):
        raise ValueError(f"{argument}: expected {expected}, got {value}")
    return number


def affordable(argument: str, numbers: int) -> None:
    """Refuse what does not fit into this machine's memory, before the system kills a process for trying.

    Raises
    ------
    MemoryError
        If so many numbers of 8 bytes are more than there is.
    """
    pages = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    memory = os.sysconf(pages[0]) * os.sysconf(pages[1]) if set(pages) <= set(os.sysconf_names) else sys.maxsize
    if 8 * numbers > memory:
        came = f"{8 * numbers / 1e9:.3g}" if numbers < 1e300 else "more than 1e300"
        raise MemoryError(f"{argument}: expected at most the {memory / 1e9:.3g} GB that there are, got {came} GB")


def read_only(value: Array) -> Array:
    """A copy that cannot be written to."""
    copy = value.copy()
    copy.flags.writeable = False
    return copy


def double(value: Array) -> Array:
    """``value`` in float64, or in complex128 where it is complex."""
    return value.astype(np.complex128 if value.dtype.kind == "c" else np.float64, copy=False)


def generator(rng: object) -> np.random.Generator:
    """A numpy Generator from one, from an int seed, or from None (fresh entropy)."""
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(None if rng is None else integer("rng", rng, 0))


def array(
    argument: str,
    value: object,
    shape: tuple[int | str, ...] | None,
    *,
    finite: bool = True,
    multiprecision: bool = False,
) -> Array:
    """``value`` as a numeric array of that shape; a name such as "B" in ``shape`` matches any length, None any shape.

    Integers and booleans are converted to float64; floating and complex dtypes are kept, and with ``multiprecision``
    arrays of ``mpmath.mpf`` too.
    """
    try:
        result = np.asarray(value)
    except ValueError:
        raise ValueError(f"{argument}: expected {_expected(shape)}, got nested sequences of unequal lengths") from None
    result = native(result)
    objects = multiprecision and _is_multiprecision(result)
    like(argument, result, shape, objects=objects)
    if finite:
        all_finite(argument, result)
    return result


def native(value: Array) -> Array:
    """``value`` in the machine's byte order, integers and booleans in float64; itself if it is so already."""
    if value.dtype.kind in "biu":
        return value.astype(np.float64)
    return value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))


def like(argument: str, value: Array, shape: tuple[int | str, ...] | None, *, objects: bool = False) -> None:
    """Refuse what has no numbers or another shape, without a look at the numbers; ``objects`` may be such."""
    if value.dtype.kind not in "biufc" and not objects:
        raise TypeError(f"{argument}: expected numbers, got dtype {value.dtype}")
    if shape is not None and shape != value.shape and not _fits(shape, value.shape):
        raise ValueError(f"{argument}: expected {_expected(shape)}, got {value.shape}")


def all_finite(argument: str, value: Array) -> None:
    """Refuse NaN and infinity; a large array is looked at in parts, so that nothing of its size is made."""
    parts = runs(len(value), value.size // len(value)) if value.size > PART else (...,)
    for run in parts:
        part = value[run]
        within = np.abs(part) < np.inf if part.dtype.kind == "O" else np.isfinite(part)
        if not within.all():
            bad = tuple(int(i) for i in np.argwhere(~within)[0])
            place = bad if run is ... else (bad[0] + run.start, *bad[1:])
            raise ValueError(f"{argument}: expected finite numbers, got {part[bad]} at index {place}")


def runs(count: int, numbers: int) -> Iterator[slice]:
    """Slices of ``count`` rows, each for about ``PART`` numbers if a row has so many; one, empty, of no rows.

    All have the same power of two of rows, 64 at least, the last one up to twice as many. Kernels take 64 samples at a
    time, and BLAS a few: a row's result is the same, to the last bit, as if all rows had been computed at once.
    """
    step = 1 << max(6, (PART // max(1, numbers)).bit_length() - 1)
    starts = range(0, max(1, count - step + 1), step)
    for start in starts:
        yield slice(start, count if start == starts[-1] else start + step)


def parameters(argument: str, values: object, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Copies, not to be written to, of arrays with exactly these names and shapes and one dtype."""
    if not isinstance(values, Mapping) or set(values) != set(shapes):
        came = ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"{argument}: expected the names {', '.join(shapes)}, got {came}")
    arrays = {name: array(f"{argument}[{name!r}]", values[name], shape) for name, shape in shapes.items()}
    if len({value.dtype for value in arrays.values()}) > 1:
        raise TypeError(f"{argument}: expected one dtype, got {', '.join(str(v.dtype) for v in arrays.values())}")
    return {name: read_only(value) for name, value in arrays.items()}


def _is_multiprecision(value: Array) -> bool:
    """Whether ``value`` is an array of mpmath.mpf; nobody can have made one without importing mpmath."""
    mpmath = sys.modules.get("mpmath")
    return value.dtype == object and mpmath is not None and all(isinstance(v, mpmath.mpf) for v in value.flat)


def multiprecision(value: Array) -> Array:
    """Real ``value`` (...) as an array of mpmath.mpf, in mpmath's current precision."""
    import mpmath  # here, because only those who bring such arrays need it

    if value.dtype == object:
        return np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(value))
    high = value.astype(np.float64)
    low = (value - high).astype(np.float64)  # of longdouble, what float64 does not hold
    return np.asarray(np.frompyfunc(lambda a, b: mpmath.mpf(a) + b, 2, 1)(high, low))


def _fits(wanted: tuple[int | str, ...], shape: tuple[int, ...]) -> bool:
    return len(wanted) == len(shape) and all(
        want == have or isinstance(want, str) for want, have in zip(wanted, shape, strict=True)
    )


def _expected(shape: tuple[int | str, ...] | None) -> str:
    return "numbers" if shape is None else f"shape {spell(shape)}"


def spell(shape: tuple[int | str, ...]) -> str:
    """A shape as NumPy prints it, names without quotes."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"

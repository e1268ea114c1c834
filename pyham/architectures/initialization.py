"""Initial parameters: standard normal, as in the papers; scaled normal; or given arrays."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]


def draw(
    shapes: Mapping[str, tuple[int, ...]],
    scales: Callable[[str], Mapping[str, float]],
    rng: np.random.Generator | int | None = None,
    initialization: str | Mapping[str, Any] = "normal",
    dtype: Any = np.float64,
) -> dict[str, Array]:
    """Arrays of these ``shapes``, drawn or given.

    Parameters
    ----------
    shapes : of the parameters, by name
    scales : the standard deviations by name, for the two names below; k is the number of inputs that a stage reads (n,
        or m where p and q alternate)
    rng : numpy Generator, int seed, or None for fresh entropy
    initialization : one of

        - "normal": every parameter from N(0, 1), as in the papers;
        - "scaled-normal": from N(0, 1 / k), so that K y + b keeps its size when the width grows;
        - a mapping from parameter names to arrays, each broadcast to the parameter's shape (so ``{"A": A0}`` with A0
          (m, m) gives MS1 the same weights in all layers); names that it lacks are drawn from N(0, 1).
    dtype : of the parameters

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    MemoryError
        If they would not fit into this machine's memory.
    """
    generator = _check.generator(rng)
    try:
        wanted: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype: expected a floating or complex dtype, got {dtype!r}") from None
    if wanted.kind not in "fc":
        raise TypeError(f"dtype: expected a floating or complex dtype, got {wanted}")
    given: Mapping[str, Any] = {}
    kind = "normal"
    if isinstance(initialization, Mapping):
        given = {_check.choice("initialization", name, shapes): value for name, value in initialization.items()}
    else:
        kind = _check.choice("initialization", initialization, ("normal", "scaled-normal"))
    _check.affordable("depth, width", sum(map(prod, shapes.values())))
    scale = scales(kind)
    params = {
        name: _given(name, given[name], shape, wanted)
        if name in given
        else scale[name] * generator.standard_normal(shape)
        for name, shape in shapes.items()
    }
    return {name: value.astype(wanted) for name, value in params.items()}


def _given(name: str, value: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    argument = f"initialization[{name!r}]"
    array = _check.array(argument, value, None, finite=False)  # the network looks at the numbers
    if array.dtype.kind == "c" and dtype.kind == "f":
        raise TypeError(f"{argument}: expected a real dtype, as the network is {dtype}, got {array.dtype}")
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{argument}: expected shape {shape}, got {array.shape}") from None

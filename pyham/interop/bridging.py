"""What the bridges to PyTorch and to JAX share: dimensions before those of a sample, and stages made of parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyham.architectures.interface import ArchitectureBase

Array = np.ndarray[Any, Any]


def leading(x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of x (.., n) before those of a sample, whose shape this is.

    Raises
    ------
    ValueError
        If its samples have another shape.
    """
    at = x.ndim - len(shape)
    if at < 0 or x.shape[at:] != shape:
        expected = ", ".join(["..", *map(str, shape)])
        raise ValueError(f"x: expected shape ({expected}), got {tuple(x.shape)}")
    before: tuple[int, ...] = x.shape[:at]
    return before


class Lowering:
    """Stages made of parameters, and kept until a number changes."""

    def __init__(self, arch: ArchitectureBase) -> None:
        self.arch, self.names = arch, tuple(arch.shapes)
        self._last: tuple[Any, Any, Any] = None, None, None

    def stages(self, arrays: Sequence[Array], dtype: Any) -> Any:
        """The stages of these parameters in this dtype.

        Lowered anew where a number has changed, which is looked for in all of them: writers need not tell.
        """
        numbers, dtypes = [a.tobytes() for a in arrays], [dtype, *[a.dtype for a in arrays]]
        last_numbers, last_dtypes, stages = self._last
        if numbers != last_numbers or dtypes != last_dtypes:
            own = [np.frombuffer(n, a.dtype).reshape(a.shape) for n, a in zip(numbers, arrays, strict=True)]
            stages = lowered(self.arch, self.names, own, dtype)
            self._last = numbers, dtypes, stages  # at once, as threads may share this
        return stages


def lowered(arch: ArchitectureBase, names: Sequence[str], params: Sequence[Array], dtype: Any) -> Any:
    """The stages in this dtype, lowered in the wider of that and the parameters' own, as a network does it."""
    values = dict(zip(names, params, strict=True))
    if any([p.dtype != dtype for p in params]):
        wide = np.result_type(dtype, *[p.dtype for p in params])
        values = {name: p.astype(wide, copy=False) for name, p in values.items()}
    return arch.lower(values).astype(dtype)

"""Samples in a memory-mapped file, of which a batch or a part is read when it is needed: ``Stored``.

What a training does to all samples before it begins (another dtype, scaling, further channels) is done to those that
are read. Every such step takes sample by sample, so the numbers are those of a training in memory, to the last bit.
"""

import math
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]


class Stored:
    """Samples (B, ...), of which ``stored[rows]`` reads some, as an array in memory.

    Parameters
    ----------
    source : an array (B, ...) in a memory-mapped file
    convert : what is done to the rows that are read, to each row alone

    Attributes
    ----------
    shape, dtype : of the samples once they are converted
    """

    def __init__(self, source: Array, convert: Callable[[Array], Array]) -> None:
        self._source, self._convert = source, convert
        none = self[:0]
        self.shape: tuple[int, ...] = (len(source), *none.shape[1:])
        self.dtype = none.dtype

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, rows: Any) -> Array:
        found = self._source[rows]
        return self._convert(found if found.flags.owndata else found.copy())  # of a slice, a view of the file

    def then(self, convert: Callable[[Array], Array]) -> "Stored":
        """The same samples, converted further."""
        return Stored(self._source, lambda rows: convert(self._convert(rows)))


def mapped(value: object) -> bool:
    """Whether ``value`` is an array in a memory-mapped file."""
    while isinstance(value, np.ndarray):
        value = value.base
    return isinstance(getattr(value, "obj", value), mmap.mmap)  # of a memoryview, what it looks at


def checked(argument: str, value: object, shape: tuple[int | str, ...] | None) -> Array | Stored:
    """``value`` as ``pyham._check.array`` has it; in a memory-mapped file it is looked at in parts, and ``Stored``."""
    if not mapped(value):
        return _check.array(argument, value, shape)
    source = np.asarray(value)
    _check.like(argument, source, shape)
    _check.all_finite(argument, source)
    return Stored(source, _check.native)


def converted(samples: Array | Stored, convert: Callable[[Array], Array]) -> Any:
    """``convert(samples)``, at once or whenever some are read."""
    return samples.then(convert) if isinstance(samples, Stored) else convert(samples)


def parts(samples: Array | Stored) -> Iterator[Array]:
    """All samples, some at a time."""
    for run in _check.runs(len(samples), math.prod(samples.shape[1:])):
        yield samples[run]


def of_parts(function: Callable[[Array], Array], samples: Array | Stored, numbers: int) -> Array:
    """function(samples), of one part at a time, with so many numbers on the way for each sample."""
    first, *rest = _check.runs(len(samples), numbers)
    found = function(samples[first])
    if not rest:
        return found
    whole = np.empty((len(samples), *found.shape[1:]), found.dtype)
    whole[first] = found
    for run in rest:
        whole[run] = function(samples[run])
    return whole

"""Memory that is used again.

Fresh memory costs a page fault for every 4 KiB, which can take longer than filling it.
"""

import math
from collections import deque
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WORTHWHILE = 1 << 20  # bytes: smaller arrays come from memory that the process has anyway

_free: deque[Array] = deque(maxlen=3)


class Buffer:
    """``count`` numbers, not cleared, in ``array`` (count,).

    When nobody holds the buffer any more, its memory is kept for the next one.
    """

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        self._bytes = _take(count * dtype.itemsize)
        self.array: Array = self._bytes[: count * dtype.itemsize].view(dtype)

    def __del__(self, free: deque[Array] = _free) -> None:  # bound now: at the end of a process the name may be gone
        if len(self._bytes) >= WORTHWHILE:
            free.append(self._bytes)


def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros. NumPy asks the system for large pages in np.empty and not in np.zeros, which takes 20 times as long."""
    if math.prod(shape) * dtype.itemsize < WORTHWHILE:
        return np.zeros(shape, dtype)
    result = np.empty(shape, dtype)
    result.fill(0)
    return result


def _take(size: int) -> Array:
    """``size`` bytes, or up to twice as many where kept memory is that large."""
    for _ in range(len(_free) if size >= WORTHWHILE else 0):
        try:
            found = _free.popleft()
        except IndexError:  # another thread was faster
            break
        if size <= len(found) <= 2 * size:
            return found
        _free.append(found)
    return np.empty(size, np.uint8)

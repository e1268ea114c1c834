"""Memory that nobody has written to yet holds what was there before: with a fault that shows, anything at all.

So that what a check finds is the same on every machine and in every run, ``np.empty`` gives memory with every bit set
while checks run: NaN as floating point, -1 as an integer. The package as it is must not notice.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from numba.core.dispatcher import Dispatcher

Array = np.ndarray[Any, Any]


@contextmanager
def memory() -> Iterator[None]:
    """For the time of a ``with`` statement, fresh memory of the package's Python code has every bit set.

    Modules of jitted code keep NumPy itself, which their compiler knows; faults there are run by Python, on memory of
    its own (``.interpreter``).
    """
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "pyham" and vars(module).get("np") is np and not _jitted(module):
                stack.enter_context(mock.patch.object(module, "np", _NUMPY))
        yield


def _empty(shape: Any, dtype: Any = float, order: Any = "C") -> Array:
    return _all_bits_set(np.empty(shape, dtype, order))


def _empty_like(like: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None) -> Array:
    return _all_bits_set(np.empty_like(like, dtype, order, subok, shape))


def _all_bits_set(array: Array) -> Array:
    array[...] = np.frombuffer(b"\xff" * array.itemsize, array.dtype)[0]
    return array


def _jitted(module: ModuleType) -> bool:
    """Whether functions of the module itself are compiled."""
    return any(isinstance(value, Dispatcher) and value.__module__ == module.__name__ for value in vars(module).values())


def _numpy() -> ModuleType:
    """NumPy, but for its fresh memory."""
    copy = ModuleType(np.__name__)
    vars(copy).update(vars(np))
    vars(copy).update(empty=_empty, empty_like=_empty_like)
    return copy


_NUMPY = _numpy()

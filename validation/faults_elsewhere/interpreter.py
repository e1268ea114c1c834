"""The compiled engine's loops as Python runs them: the same sources, on addresses that know how far they reach.

``pyham.kernels``, ``_passes`` and ``_stagewise`` are run as they stand, and of ``_blocks`` the functions that go
through a matrix block by block. What these are built on is put in place of itself, by its definition: an address is an
array and a place in it, and reading or writing outside raises IndexError; a register block is a product or a sum in
NumPy; tanh and its kin are those of the C library. So machine code is not looked at here. The tests hold the blocks
against NumPy, and the elementary functions against multiple precision.
"""

import ast
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from pyham import _blocks, _passes, _stagewise, compiled, kernels

Array = np.ndarray[Any, Any]

MODULES = ("_blocks", "_stagewise", "_passes", "kernels")
LANES = 2  # of a vector: so few that a short tile holds wide blocks, narrow blocks and a rest


class Address:
    """The place ``at`` in a C-contiguous array of any shape, whose numbers are read and written by their distance."""

    __slots__ = ("at", "flat", "numbers")

    def __init__(self, flat: Array, at: int = 0) -> None:
        buffer: Any = flat
        self.flat, self.at, self.numbers = flat, at, memoryview(buffer)  # one by one faster than NumPy

    def __getitem__(self, distance: int) -> Any:
        return self.numbers[self._inside(distance)]

    def __setitem__(self, distance: int, value: Any) -> None:
        self.numbers[self._inside(distance)] = value

    def _inside(self, distance: int) -> int:
        if self.at + distance < 0:  # beyond the end, the array notices
            raise IndexError(f"{self.at + distance} lies before the array")
        return self.at + distance

    def matrix(self, first: int, rows: int, row: int, columns: int, column: int) -> tuple[Array, Array]:
        """Entries (rows, columns), first + i row + j column from here: their places in ``flat``, and their values."""
        places = self.at + first + np.arange(rows)[:, None] * row + np.arange(columns) * column
        if places.size and places.min() < 0:
            raise IndexError(f"{places.min()} lies before the array")
        return places, self.flat[places]


def address(array: Array) -> Address:
    assert array.flags.c_contiguous
    return Address(array.reshape(-1))


def shift(address: Address, count: int) -> Address:
    return Address(address.flat, address.at + count)


def product_block(R: int, V: int) -> Callable[..., None]:
    """As ``_blocks.product_block``."""

    def block(
        start: Address, M: Address, row: int, column: int, y: Address, out: Address, k: int, T: int, i: int, t: int
    ) -> None:
        places, total = out.matrix(i * T + t, R, T, V * LANES, 1)
        if start.flat is not out.flat or start.at != out.at:
            total = start.matrix(i, R, 1, 1, 0)[1]
        out.flat[places] = total + M.matrix(i * row, R, row, k, column)[1] @ y.matrix(t, k, T, V * LANES, 1)[1]

    return block


def outer_block(R: int, C: int) -> Callable[..., None]:
    """As ``_blocks.outer_block``."""

    def block(u: Address, v: Address, out: Address, k: int, T: int, i: int, l: int) -> None:
        places, total = out.matrix(i * k + l, R, k, C, 1)
        out.flat[places] = total + u.matrix(i * T, R, T, T, 1)[1] @ v.matrix(l * T, C, T, T, 1)[1].T

    return block


def empty(size: int, dtype: Any) -> Array:
    """Not cleared: full of NaN, so that no result may depend on what was there."""
    return np.full(size, np.nan, dtype)


#: What the sources below import, or find compiled in their module
GIVEN: dict[str, Any] = {
    "np": SimpleNamespace(empty=empty, zeros=np.zeros, int64=np.int64, inf=np.inf),
    "Any": Any,
    "NamedTuple": NamedTuple,
    "kernel": lambda function: function,
    "part": lambda function: function,
    "address": address,
    "aligned": lambda address: address,
    "shift": shift,
    "hold": lambda array: None,
    "lanes": lambda address: LANES,
    "tanh": math.tanh,
    "logistic": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    **{f"_PRODUCT_{R}x{V}": product_block(R, V) for R in (1, 2, 4) for V in (1, 4)},
    **{f"_OUTER_{R}x{C}": outer_block(R, C) for R in (1, 2, 4) for C in (1, 2, 4)},
}


@contextmanager
def running(old: str = "", new: str = "") -> Iterator[None]:
    """The compiled engine on loops that Python runs, with the text ``old`` of their source exchanged for ``new``."""
    with mock.patch.object(compiled, "kernels", _loops(old, new)):
        yield


def idle() -> bool:
    """Whether the compiled engine runs machine code."""
    return vars(compiled)["kernels"] is kernels


def _loops(old: str, new: str) -> Any:
    names = dict(GIVEN)
    sources = [inspect.getsource(function.py_func) for function in (_blocks.product, _blocks.add_outer)]
    sources += [inspect.getsource(module) for module in (_stagewise, _passes, kernels)]
    for text in sources:
        tree = ast.parse(text.replace(old, new))
        tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
        exec(compile(tree, "<the compiled engine's loops>", "exec"), names)
    return SimpleNamespace(**names)

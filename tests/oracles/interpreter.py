"""The compiled engine's loops as Python runs them: with NUMBA_DISABLE_JIT=1, on addresses that know how far they reach.

What the loops are built on is put in place of itself, by its definition: an address is an array and a place in it, and
reading or writing outside raises IndexError; a register block is a product or a sum in NumPy; fresh memory is NaN. So
machine code is not looked at here. Other tests hold the register blocks and the elementary functions against NumPy and
multiple precision.
"""

import math
import sys
from types import SimpleNamespace

import numpy as np

LANES = 1  # numbers in a vector: so few that a short tile holds a wide block and a narrow one
LINE = 2  # numbers in a line of the cache


class Address:
    """The place ``at`` in a C-contiguous array of any shape, whose numbers are read and written by their distance."""

    __slots__ = ("at", "flat", "numbers")

    def __init__(self, flat, at=0):
        self.flat, self.at, self.numbers = flat, at, memoryview(flat)  # one by one faster than NumPy

    def __getitem__(self, distance):
        return self.numbers[self._inside(distance)]

    def __setitem__(self, distance, value):
        self.numbers[self._inside(distance)] = value

    def _inside(self, distance):
        if self.at + distance < 0:  # beyond the end, the array notices
            raise IndexError(f"{self.at + distance} lies before the array")
        return self.at + distance

    def place(self):
        """The address as a number."""
        return self.flat.ctypes.data + self.at * self.flat.itemsize

    def matrix(self, first, rows, row, columns, column):
        """Entries (rows, columns), first + i row + j column from here: their places in ``flat``, and their values."""
        places = self.at + first + np.arange(rows)[:, None] * row + np.arange(columns) * column
        if places.size and places.min() < 0:
            raise IndexError(f"{places.min()} lies before the array")
        return places, self.flat[places]


def address(array):
    assert array.flags.c_contiguous
    return Address(array.reshape(-1))


def shift(address, count):
    return Address(address.flat, address.at + count)


def _whole(count):
    return -(-count // LINE) * LINE


def room(like, sizes):
    return sum(map(_whole, sizes))


def carve(memory, sizes):
    """Each piece is an array of its own, so that nothing may run on into the next."""
    assert room(memory, sizes) <= memory.size
    starts = np.cumsum([0, *map(_whole, sizes)])
    return tuple(Address(memory[start : start + size]) for start, size in zip(starts[:-1], sizes, strict=True))


def carve_beside(memory, sizes):
    """Pieces of one array, for loops that may read a little before and behind a piece."""
    starts = np.cumsum([0, *map(_whole, sizes)])
    return tuple(Address(memory, int(start)) for start in starts[:-1])


def product_blocks(V):
    def blocks(start, M, row, column, y, out, r, k, T, t):
        places, total = out.matrix(t, r, T, V * LANES, 1)
        if start.place() != out.place():
            total = start.matrix(0, r, 1, 1, 0)[1]
        out.flat[places] = total + M.matrix(0, r, row, k, column)[1] @ y.matrix(t, k, T, V * LANES, 1)[1]

    return blocks


def gathered_blocks(V, transposed):
    def blocks(start, M, entries, places, y, out, first, R, L, T, t):
        targets, total = out.matrix(first * T + t, R, T, V * LANES, 1)
        if start.place() != out.place():
            total = start.matrix(first, R, 1, 1, 0)[1]
        rows = [y.matrix(places[l] * T + t, 1, 1, V * LANES, 1)[1][0] for l in range(L)]
        m = [M.matrix(*((entries[l], R, 1) if transposed else (l, R, L)), 1, 0)[1][:, 0] for l in range(L)]
        out.flat[targets] = total + sum((np.outer(*pair) for pair in zip(m, rows, strict=True)), 0.0)

    return blocks


def gathered_outer(u, v, entries, places, out, first, R, L, T):
    columns = v.matrix(first * T, R, T, T, 1)[1]
    for l in range(L):
        targets, before = out.matrix(entries[l], 1, 1, R, 1)
        out.flat[targets] = before + u.matrix(places[l] * T, 1, 1, T, 1)[1] @ columns.T


def outer(u, v, out, r, k, T):
    places, total = out.matrix(0, r, k, k, 1)
    out.flat[places] = total + u.matrix(0, r, T, T, 1)[1] @ v.matrix(0, k, T, T, 1)[1].T


def _empty(size, dtype=float):
    return np.full(size, np.nan if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max, dtype)


def _bits(x):
    return (np.int32, 23) if x.dtype == np.float32 else (np.int64, 52)


def _power_of_two(shifted):
    integer, mantissa = _bits(shifted)
    return (shifted.view(integer) << integer(mantissa)).view(shifted.dtype)


def _polynomial(w, coefficients):
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * w + coefficient
    return value


#: By module, what its code finds in place of what LLVM would compile
EVERYWHERE = {
    "address": address, "aligned": lambda address: address, "shift": shift, "hold": lambda array: None,
    "lanes": lambda address: LANES, "room": room, "carve": carve, "tanh": math.tanh,
    "logistic": lambda x: 1 / (1 + math.exp(-x)), "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "_WIDE": product_blocks(4), "_NARROW": product_blocks(1), "_outer": outer,
    "in_large_pages": lambda array: None,
    "fetch": lambda address, count: address.matrix(0, 1, 1, count, 1), "_gathered_outer": gathered_outer,
    "_GATHERED_WIDE": gathered_blocks(4, False), "_GATHERED": gathered_blocks(1, False),
    "_TRANSPOSED_WIDE": gathered_blocks(4, True), "_TRANSPOSED": gathered_blocks(1, True),
}  # fmt: skip
ELEMENTARY = {"_power_of_two": _power_of_two, "_polynomial": _polynomial, "_with_sign_of": np.copysign}


def install():
    """Let the modules with loops run on these for the rest of the process."""
    from pyham.engines.compiled import elementary

    ELEMENTARY["_constants"] = lambda x: elementary.FLOAT32 if x.dtype == np.float32 else elementary.FLOAT64
    numpy = SimpleNamespace(**{**vars(np), "empty": _empty})
    for name, module in list(sys.modules.items()):
        if name.startswith("pyham.engines.compiled."):
            given = ELEMENTARY if module is elementary else EVERYWHERE | {"np": numpy}
            given = given | {"carve": carve_beside} if name.endswith("image_kernels") else given
            vars(module).update({key: value for key, value in given.items() if key in vars(module)})

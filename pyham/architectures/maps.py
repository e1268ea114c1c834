"""Kinds of linear maps: what A and W of a stage y[dst] <- keep y[dst] + W sigma(A y[src] + c) can be.

A kind is four functions. ``M`` are the numbers of one map, y (..., k, *space) what it is applied to and g (..., r,
*space) a gradient with respect to M y; ``space`` is nothing for vectors and (rows, columns) for images. Leading axes
are samples, and in the recursion of sensitivities the columns of a matrix too.

============  ==============================================  ========================
function      for a matrix M                                  used by
============  ==============================================  ========================
apply         M y                                             forward pass
transposed    M^T g                                           adjoint
outer         sum over samples of g y^T, the gradient of M    adjoint
add           a + c, c (r,)                                   forward pass
============  ==============================================  ========================

A class with these four runs on the reference engine. To be the map of an architecture it also says what M A^T is
(``composed``), since W = f h J A^T in a Hamiltonian network, and what the identity is.
"""

import weakref
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.convolution import convolve, kernel_gradient
from pyham.architectures.convolution import transposed as transposed_kernels

Array = np.ndarray[Any, Any]

RUNS = 8  # of a matrix that is applied run by run, at most
LARGE = 1 << 12  # numbers: of fewer, columns are picked


class Map(ABC):
    """A kind of linear map. ``space`` is how many axes a state has behind its channels."""

    space: ClassVar[int] = 0

    @abstractmethod
    def apply(self, M: Array, y: Array) -> Array:
        """M y (..., r, *space) of y (..., k, *space)."""

    @abstractmethod
    def transposed(self, M: Array, g: Array) -> Array:
        """M^T g (..., k, *space) of g (..., r, *space)."""

    @abstractmethod
    def outer(self, g: Array, y: Array) -> Array:
        """The gradient of M, shaped like M, from g (B, r, *space) and y (B, k, *space): summed over the samples."""

    def add(self, a: Array, c: Array) -> Array:
        """a + c for a (..., r, *space) and c (r,)."""
        return a + c.reshape(c.shape + (1,) * self.space)

    def total(self, g: Array) -> Array:
        """The transpose of ``add`` in c: the sum of g (B, r, *space) over samples and space, (r,)."""
        return np.asarray(g.sum(axis=(0, *range(2, g.ndim))))

    def channels(self, part: slice) -> tuple[Any, ...]:
        """The index of the channels ``part`` of a state (..., n, *space)."""
        return (..., part, *(slice(None),) * self.space)

    # What an architecture asks of its map

    def composed(self, factor: Any, A: Array) -> Array:
        """The stack of maps W = factor A^T, (S, ...), for a matrix ``factor`` (d, k) and the stack A (S, ...)."""
        raise self._without("composed")

    def composed_transposed(self, factor: Any, dW: Array) -> Array:
        """The transpose of ``composed`` in A: the gradient of A (S, ...) from that of W (S, ...)."""
        raise self._without("composed_transposed")

    def identity(self, size: int, dtype: np.dtype[Any]) -> Array:
        """The numbers of the identity on ``size`` channels."""
        raise self._without("identity")

    def dense(self, M: Array) -> Array:
        """Matrices (S, r, k) of a stack of maps (S, ...)."""
        raise self._without("dense")

    def from_dense(self, matrices: Array) -> Array:
        """The inverse of ``dense``; ValueError if it has none, as an entry that does not exist is not 0."""
        raise self._without("from_dense")

    def _without(self, function: str) -> Exception:
        return NotImplementedError(f"expected maps with the function {function!r}, got {type(self).__name__}")

    def norm(self, M: Array) -> Array:
        """Upper bounds of the 2-norms (S,) of a stack of maps, in float64, but for LAPACK's rounding errors."""
        return np.asarray(np.linalg.svd(_check.double(self.dense(M)), compute_uv=False)[..., 0])

    def terms(self, M: Array) -> int:
        """How many products the longest sum in M y or M^T g has, for a stack of maps (S, ...)."""
        return max(self.dense(M).shape[-2:])


class Dense(Map):
    """Matrices M (r, k)."""

    def apply(self, M: Array, y: Array) -> Array:
        return y @ M.T

    def transposed(self, M: Array, g: Array) -> Array:
        return g @ M

    def outer(self, g: Array, y: Array) -> Array:
        return g.T @ y

    def composed(self, factor: Array, A: Array) -> Array:
        return _times(A, factor.T, _picks(factor)[1]).swapaxes(1, 2)

    def composed_transposed(self, factor: Array, dW: Array) -> Array:
        return _times(dW.swapaxes(1, 2), factor, _picks(factor)[0])

    def identity(self, size: int, dtype: np.dtype[Any]) -> Array:
        return np.eye(size, dtype=dtype)

    def dense(self, M: Array) -> Array:
        return M

    def from_dense(self, matrices: Array) -> Array:
        return matrices


class Convolution(Map):
    """Kernels M (r, k, t, t) with t = ``size`` odd, zeros outside an image: ``pyham.architectures.convolution``."""

    space = 2

    def __init__(self, size: int) -> None:
        self.size = size

    def apply(self, M: Array, y: Array) -> Array:
        flat = convolve(y.reshape(-1, *y.shape[-3:]), M)
        return flat.reshape(*y.shape[:-3], *flat.shape[1:])

    def transposed(self, M: Array, g: Array) -> Array:
        return self.apply(transposed_kernels(M), g)

    def outer(self, g: Array, y: Array) -> Array:
        return kernel_gradient(y, g, self.size)

    def composed(self, factor: Array, A: Array) -> Array:
        return _channels_times(factor, _picks(factor)[1], transposed_kernels(A))

    def composed_transposed(self, factor: Array, dW: Array) -> Array:
        return transposed_kernels(_channels_times(factor.T, _picks(factor)[0], dW))

    def identity(self, size: int, dtype: np.dtype[Any]) -> Array:
        kernel = np.zeros((size, size, self.size, self.size), dtype)
        kernel[:, :, self.size // 2, self.size // 2] = np.eye(size, dtype=dtype)
        return kernel

    def norm(self, M: Array) -> Array:
        """The sum over the entries of a kernel of the norms of their matrices (r, k): what each of them moves."""
        matrices = np.moveaxis(_check.double(M), (1, 2), (-2, -1))
        return np.asarray(np.linalg.svd(matrices, compute_uv=False)[..., 0].sum(axis=(1, 2)))

    def terms(self, M: Array) -> int:
        return max(M.shape[1:3]) * self.size**2


DENSE = Dense()


def _channels_times(factor: Array, pick: "Pick | None", kernels: Array) -> Array:
    """Kernels (S, d, r, t, t) whose outputs are ``factor`` (d, k) times those of kernels (S, k, r, t, t)."""
    last = np.moveaxis(kernels, 1, -1)
    product = _times(last.reshape(len(last), -1, last.shape[-1]), factor.T, pick)
    return np.moveaxis(product.reshape(*last.shape[:-1], len(factor)), -1, 1)


class Pick(NamedTuple):
    """A matrix (b, c) whose columns have one entry other than 0 each: its row, the entry; and runs of such columns.

    A run: columns, their rows, which follow each other too, and the one entry that they have.
    """

    rows: Array
    entries: Array
    runs: tuple[tuple[slice, slice, Any], ...]

    @classmethod
    def of(cls, M: Array) -> "Pick | None":
        """None if a column has others."""
        if not M.size or (np.count_nonzero(M, axis=0) != 1).any():
            return None
        rows = np.abs(M).argmax(axis=0)
        entries = M[rows, np.arange(M.shape[1])]
        changes = 1 + np.flatnonzero((np.diff(rows) != 1) | (entries[1:] != entries[:-1]))
        ends = [0, *map(int, changes), len(rows)]
        runs = ((slice(i, j), slice(int(rows[i]), int(rows[i]) + j - i), entries[i].item()) for i, j in pairwise(ends))
        return cls(rows, entries, tuple(runs))

    def times(self, stack: Array) -> Array:
        """Each of the matrices (N, a, b) times this one; in runs where that is faster than picking columns."""
        if stack.size < LARGE or len(self.runs) > RUNS:
            return stack[..., self.rows] * self.entries
        N, a, _ = stack.shape
        result, transposed = np.empty((N, len(self.rows), a), stack.dtype), stack.swapaxes(1, 2)
        for columns, rows, entry in self.runs:
            np.multiply(transposed[:, rows], entry, out=result[:, columns])
        return result.swapaxes(1, 2)


def _times(stack: Array, M: Array, pick: Pick | None) -> Array:
    """Each of the matrices (N, a, b) times M (b, c), which may be known as a ``pick``."""
    if pick is not None:
        return pick.times(stack)
    N, a, b = stack.shape
    return (stack.reshape(N * a, b) @ M).reshape(N, a, M.shape[1])


def _picks(M: Array) -> tuple[Pick | None, Pick | None]:
    """Of M and of its transpose; kept for as long as M is, if that cannot change.

    Often J or X has one entry in each row and column, as J1 and I do: then rows are picked and scaled. That is
    faster, and it leaves the cores alone: after a product, the threads of BLAS go on waiting actively, on cores that
    the kernels need.
    """
    if M.dtype.kind == "O":
        return None, None
    matrix, picks = _known.get(id(M), (None, None))
    if matrix is not None and matrix() is M:
        return picks
    picks = Pick.of(M), Pick.of(M.T)
    if not M.flags.writeable:
        place = id(M)
        _known[place] = weakref.ref(M, lambda _: _known.pop(place, None)), picks
    return picks


_known: dict[int, tuple[Any, Any]] = {}

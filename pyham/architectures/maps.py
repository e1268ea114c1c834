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

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from pyham import _check
from pyham.architectures.convolution import convolve, kernel_gradient
from pyham.architectures.convolution import transposed as transposed_kernels

Array = np.ndarray[Any, Any]


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
        return _times(A, factor.T).swapaxes(1, 2)

    def composed_transposed(self, factor: Array, dW: Array) -> Array:
        return _times(dW.swapaxes(1, 2), factor)

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
        return _channels_times(factor, transposed_kernels(A))

    def composed_transposed(self, factor: Array, dW: Array) -> Array:
        return transposed_kernels(_channels_times(factor.T, dW))

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


def _channels_times(factor: Array, kernels: Array) -> Array:
    """Kernels (S, d, r, t, t) whose outputs are ``factor`` (d, k) times those of kernels (S, k, r, t, t)."""
    last = np.moveaxis(kernels, 1, -1)
    product = _times(last.reshape(len(last), -1, last.shape[-1]), factor.T)
    return np.moveaxis(product.reshape(*last.shape[:-1], len(factor)), -1, 1)


def _times(stack: Array, M: Array) -> Array:
    """Each of the matrices (N, a, b) times M (b, c).

    Often each column of M has one entry other than 0, as with J1 or X = I: then columns are picked and scaled. That is
    faster, and it leaves the cores alone: after a product, the threads of BLAS go on waiting actively, on cores that
    the kernels need.
    """
    if M.dtype.kind != "O":
        picked = _picked(M.tobytes(), M.shape, M.dtype)
        if picked is not None:
            rows, factors = picked
            return (stack if rows is None else stack[..., rows]) * factors
    N, a, b = stack.shape
    return (stack.reshape(N * a, b) @ M).reshape(N, a, M.shape[1])


@lru_cache(maxsize=64)
def _picked(content: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> tuple[Array | None, Array] | None:
    """The row of the one entry of each column, None for 0, 1, 2 .., and the entries; None if a column has others."""
    M = np.frombuffer(content, dtype).reshape(shape)
    if (np.count_nonzero(M, axis=0) != 1).any():
        return None
    rows = np.abs(M).argmax(axis=0)
    factors = M[rows, np.arange(shape[1])]
    return (None if shape[0] == shape[1] and (rows == np.arange(shape[1])).all() else rows), factors

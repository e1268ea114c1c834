"""Matrices with entries on the edges of a graph only: ``Edges``, a pattern of entries and what is computed with it.

A pattern is the list of the E entries (row, column) that exist, sorted by rows and then by columns. A matrix of that
pattern is the flat array M (E,) of its entries in this order, so memory grows with E and never with the product of the
two sizes. With rows r(e) and columns k(e),

    apply        a[r] = sum of M[e] y[k(e)] over the entries e of row r                M y
    transposed   t[k] = sum of M[e] g[r(e)] over the entries e of column k             M^T g
    outer        dM[e] = sum over samples of g[r(e)] y[k(e)]                           the gradient of <g, M y>

Sums run in the order of the entries. SciPy's sparse products are 10 to 20 times as fast as gathering, multiplying and
adding with NumPy, but know neither half precision nor multiprecision numbers: those take the other way.
"""

from functools import cached_property
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CHUNK = 1 << 15  # numbers: temporary arrays of about this size stay in the cache and bound the memory
SCIPY = "fdgFDG"  # dtypes that SciPy's sparse matrices have


class Edges:
    """The pattern of matrices with ``shape`` (r, k).

    Parameters
    ----------
    rows, columns (E,) : of the entries, in any order; given twice, an entry exists once

    Attributes
    ----------
    rows, columns (E,) : sorted
    starts (r + 1,) : entries ``starts[i]`` to ``starts[i + 1]`` are those of row i
    by_column (E,) : the entries sorted by columns, then by rows
    """

    def __init__(self, rows: Array, columns: Array, shape: tuple[int, int]) -> None:
        r, k = shape
        keys = np.sort(rows.astype(np.int64) * k + columns)
        keys = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
        self.shape = (int(r), int(k))
        self.rows, self.columns = np.divmod(keys, k)
        self.starts = np.searchsorted(self.rows, np.arange(r + 1))

    def __len__(self) -> int:
        """Entries E."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Edges, {len(self)} entries of {self.shape}>"

    @classmethod
    def identity(cls, size: int) -> "Edges":
        """The pattern of diagonal matrices."""
        i = np.arange(size)
        return cls(i, i, (size, size))

    @cached_property
    def by_column(self) -> Array:
        return np.argsort(self.columns, kind="stable")

    @cached_property
    def column_starts(self) -> Array:
        """As ``starts``, of the entries sorted by columns (k + 1,)."""
        return np.searchsorted(self.columns[self.by_column], np.arange(self.shape[1] + 1))

    @cached_property
    def transpose(self) -> "Edges":
        """The pattern of the transposed matrices; the entries of M^T are ``M[by_column]``."""
        return Edges(self.columns, self.rows, self.shape[::-1])

    def find(self, rows: Array, columns: Array) -> Array:
        """Where these entries are among the E, -1 for those that do not exist."""
        k = self.shape[1]
        keys, wanted = self.rows * k + self.columns, np.asarray(rows) * k + columns
        place = np.minimum(np.searchsorted(keys, wanted), max(len(self) - 1, 0))
        return np.where(keys[place] == wanted, place, -1) if len(self) else np.full(np.shape(wanted), -1)

    # The four functions of a linear map

    def apply(self, M: Array, y: Array) -> Array:
        """M y (..., r) of M (E,) and y (..., k)."""
        if len(self) == self.shape[0] and self._one_a_row:
            return y[..., self.columns] * M
        if np.result_type(M, y).char not in SCIPY:
            return _summed(y, self.columns, M, self.starts)
        return _product(self._sparse(M, transposed=False), y)

    def transposed(self, M: Array, g: Array) -> Array:
        """M^T g (..., k) of M (E,) and g (..., r)."""
        if np.result_type(M, g).char not in SCIPY:
            return _summed(g, self.rows[self.by_column], M[self.by_column], self.column_starts)
        return _product(self._sparse(M, transposed=True), g)

    def outer(self, g: Array, y: Array) -> Array:
        """Of every entry, the sum over samples of g[row] y[column] (E,), from g (..., r) and y (..., k)."""
        first, second = (np.ascontiguousarray(_rows(v).T) for v in (g, y))
        result = np.empty(len(self), np.result_type(g, y))
        step = max(1, CHUNK // max(1, first.shape[1]))
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            left, right = first[self.rows[part]], second[self.columns[part]]
            objects = result.dtype.kind == "O"
            result[part] = (left * right).sum(axis=1) if objects else np.einsum("eb,eb->e", left, right)
        return result

    def add(self, a: Array, c: Array) -> Array:
        """a + c of a (..., r) and c (r,)."""
        return a + c

    # Dense matrices, for small ones

    def to_dense(self, M: Array) -> Array:
        """The matrices (..., r, k) with entries M (..., E)."""
        result = np.zeros((*M.shape[:-1], *self.shape), M.dtype)
        result[..., self.rows, self.columns] = M
        return result

    def from_dense(self, matrix: Array, name: str = "K") -> Array:
        """The entries (..., E) of matrices (..., r, k).

        Raises
        ------
        ValueError
            If an entry that is not in the pattern is not 0: it names the first.
        """
        off = matrix != 0
        off[..., self.rows, self.columns] = False
        if off.any():
            where = tuple(int(i) for i in np.argwhere(off)[0])
            words = ", ".join(map(str, where))
            raise ValueError(f"{name}: expected 0 off the edges of the graph, got {name}[{words}] = {matrix[where]}")
        return matrix[..., self.rows, self.columns]

    # Ways

    @cached_property
    def _one_a_row(self) -> bool:
        return bool((np.diff(self.starts) == 1).all())

    @cached_property
    def _small_indices(self) -> tuple[Array, Array]:
        """Columns and starts as SciPy wants them, so that it does not convert them in every call."""
        fits = max(len(self), *self.shape) < 2**31
        return (self.columns.astype(np.int32), self.starts.astype(np.int32)) if fits else (self.columns, self.starts)

    def _sparse(self, M: Array, transposed: bool) -> Any:
        from scipy.sparse import csc_array, csr_array  # here, because importing pyham should not import SciPy

        if transposed:
            return csc_array((M, *self._small_indices), self.shape[::-1])
        return csr_array((M, *self._small_indices), self.shape)


def _product(matrix: Any, y: Array) -> Array:
    """A SciPy matrix (a, b) times the last axis of y (..., b)."""
    flat = np.ascontiguousarray(_rows(y).T)
    return (matrix @ flat).T.reshape(*y.shape[:-1], matrix.shape[0])


def _summed(y: Array, places: Array, factors: Array, starts: Array) -> Array:
    """Of each run of entries ``starts[i]`` to ``starts[i + 1]``, the sum of factors * y[..., places], for any dtype."""
    result = np.zeros((*y.shape[:-1], len(starts) - 1), np.result_type(y, factors))
    kept = np.flatnonzero(starts[1:] > starts[:-1])  # reduceat gives an empty run its neighbour's first entry
    if not len(kept):
        return result
    flat, sums = _rows(y), _rows(result)
    step = max(1, CHUNK // max(1, len(places)))
    for first in range(0, len(flat), step):
        part = flat[first : first + step]
        sums[first : first + step, kept] = np.add.reduceat(part[:, places] * factors, starts[kept], axis=1)
    return result


def _rows(y: Array) -> Array:
    """y (..., k) as (samples, k)."""
    return y.reshape(prod(y.shape[:-1]), y.shape[-1])


class Composition:
    """W = M A^T for matrices A (r, k) of one pattern and sparse matrices M (d, k) of another, and its transpose.

    The entry (i, j) of W is the sum of M[i, c] A[j, c] over the columns c that row i of M and row j of A share. For a
    permutation with signs, as J1 or X = I, that is one product for every entry, and W has as many entries as A.

    Parameters
    ----------
    M, A : their patterns

    Attributes
    ----------
    edges : W's pattern
    """

    def __init__(self, M: Edges, A: Edges) -> None:
        counts = np.diff(A.column_starts)[M.columns]  # of each entry [i, c] of M, how many entries column c of A has
        of_M = np.repeat(np.arange(len(M)), counts)
        place = np.arange(len(of_M)) - np.repeat(np.cumsum(counts) - counts, counts)
        of_A = A.by_column[A.column_starts[M.columns[of_M]] + place]
        rows, columns = M.rows[of_M], A.rows[of_A]
        self.edges = Edges(rows, columns, (M.shape[0], A.shape[0]))
        target = self.edges.find(rows, columns)
        order = np.lexsort((of_A, target))
        self._mix = Edges(target, of_A, (len(self.edges), len(A)))  # W = mix(M) A, as a map of the entries of A
        self._of_M = of_M[order]

    def numbers(self, M: Array, A: Array) -> Array:
        """W (..., E_W) of M (E_M,) and A (..., E_A)."""
        return self._mix.apply(M[self._of_M], A)

    def gradient(self, M: Array, dW: Array) -> Array:
        """The transpose of ``numbers``: dA (..., E_A) of dW (..., E_W)."""
        return self._mix.transposed(M[self._of_M], dW)

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

from pyham import _check
from pyham.architectures.graphs import Graph
from pyham.architectures.maps import Map

Array = np.ndarray[Any, Any]

EXACT = 1 << 20  # entries of a dense matrix: the norm of a larger one is bounded
CHUNK = 1 << 15  # numbers: temporary arrays of about this size stay in the cache and bound the memory
SCIPY = "fdgFDG"  # dtypes that SciPy's sparse matrices have


class Edges(Map):
    """The pattern of matrices with ``shape`` (r, k): a kind of linear map whose numbers are the entries (E,).

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
    def diagonal(cls, size: int) -> "Edges":
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

    @cached_property
    def places(self) -> tuple[Array, ...]:
        """What compiled loops need: where blocks of rows begin, starts, columns; the same of columns; by_column.

        A block are neighbouring rows with entries in the same columns, as those of one node of a graph, so its entries
        are a dense matrix (R, L), row by row. Its first row is ``[0][i]``, that of the next block ``[0][i + 1]``.
        """
        rows_by_column = self.rows[self.by_column]
        of_rows = _alike(self.starts, self.columns), self.starts, self.columns
        of_columns = _alike(self.column_starts, rows_by_column), self.column_starts, rows_by_column
        return *of_rows, *of_columns, self.by_column

    def find(self, rows: Array, columns: Array) -> Array:
        """Where these entries are among the E, -1 for those that do not exist."""
        k = self.shape[1]
        keys, wanted = self.rows * k + self.columns, np.asarray(rows) * k + columns
        place = np.minimum(np.searchsorted(keys, wanted), max(len(self) - 1, 0))
        return np.where(keys[place] == wanted, place, -1) if len(self) else np.full(np.shape(wanted), -1)

    def identity(self, size: int, dtype: np.dtype[Any]) -> Array:
        return np.ones(size, dtype)

    # The functions of a linear map

    def apply(self, M: Array, y: Array) -> Array:
        if self._one_a_row:
            return y[..., self.columns] * M
        if np.result_type(M, y).char not in SCIPY:
            return _summed(y, self.columns, M, self.starts)
        return _product(self._sparse(M, transposed=False), y)

    def transposed(self, M: Array, g: Array) -> Array:
        if self._one_a_column:
            return (g[..., self.rows] * M)[..., self.by_column]
        if np.result_type(M, g).char not in SCIPY:
            return _summed(g, self.rows[self.by_column], M[self.by_column], self.column_starts)
        return _product(self._sparse(M, transposed=True), g)

    def outer(self, g: Array, y: Array) -> Array:
        first, second = (np.ascontiguousarray(_rows(v).T) for v in (g, y))
        result = np.empty(len(self), np.result_type(g, y))
        step = max(1, CHUNK // max(1, first.shape[1]))
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            result[part] = np.einsum("eb,eb->e", first[self.rows[part]], second[self.columns[part]])
        return result

    # Dense matrices, for small ones

    def dense(self, M: Array) -> Array:
        result = np.zeros((*M.shape[:-1], *self.shape), M.dtype)
        result[..., self.rows, self.columns] = M
        return result

    def from_dense(self, matrices: Array) -> Array:
        off = matrices != 0
        off[..., self.rows, self.columns] = False
        if off.any():
            where = tuple(int(i) for i in np.argwhere(off)[0])
            words = ", ".join(map(str, where))
            raise ValueError(f"K: expected 0 off the edges of the graph, got K[{words}] = {matrices[where]}")
        return matrices[..., self.rows, self.columns]

    def norm(self, M: Array) -> Array:
        """Of small matrices the 2-norm, else the root of the largest sums of absolute values of a row and a column."""
        if prod(self.shape) <= EXACT:
            return super().norm(M)
        r, k = self.shape
        sizes = np.abs(_check.double(M))
        sums = [(self.apply(m, np.ones(k)).max(), self.transposed(m, np.ones(r)).max()) for m in sizes]
        return np.array([np.sqrt(of_row * of_column) for of_row, of_column in sums])

    # Ways

    @cached_property
    def _one_a_row(self) -> bool:
        return bool((np.diff(self.starts) == 1).all())

    @cached_property
    def _one_a_column(self) -> bool:
        return bool((np.diff(self.column_starts) == 1).all())

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


def _alike(starts: Array, columns: Array) -> Array:
    """Where blocks of rows with the same columns begin, and at last how many rows there are."""
    counts = np.diff(starts)
    row = np.repeat(np.arange(len(counts)), counts)
    before = np.maximum(np.arange(len(columns)) - counts[row], 0)  # the same entry of the row before, if as long
    others = np.bincount(row[columns != columns[before]], minlength=len(counts))
    new = (others[1:] > 0) | (counts[1:] != counts[:-1])
    return np.concatenate([[0], 1 + np.flatnonzero(new), [len(counts)]])


class Composition(Edges):
    """The pattern of W = M A^T for matrices A (r, k) of one pattern and M (d, k) of another.

    The entry (i, j) of W is the sum of M[i, c] A[j, c] over the columns c that row i of M and row j of A share. For a
    permutation with signs, as J1 or X = I, that is one product for every entry, and W has as many entries as A. The
    first argument of ``composed`` are the entries of M (E_M,).
    """

    def __init__(self, M: Edges, A: Edges) -> None:
        counts = np.diff(A.column_starts)[M.columns]  # of each entry [i, c] of M, how many entries column c of A has
        place, of_M = runs(A.column_starts[M.columns], counts)
        of_A = A.by_column[place]
        rows, columns = M.rows[of_M], A.rows[of_A]
        super().__init__(rows, columns, (M.shape[0], A.shape[0]))
        target = self.find(rows, columns)
        self._mix = Edges(target, of_A, (len(self), len(A)))  # its numbers are M[_of_M]: it maps A's entries to W's
        self._of_M = of_M[np.lexsort((of_A, target))]

    def composed(self, factor: Array, A: Array) -> Array:
        return self._mix.apply(factor[self._of_M], A)

    def composed_transposed(self, factor: Array, dW: Array) -> Array:
        return self._mix.transposed(factor[self._of_M], dW)


def runs(starts: Array, counts: Array) -> tuple[Array, Array]:
    """The numbers start, start + 1, .. of every run, one run behind the other, and for each number its run."""
    run = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(run)) + np.repeat(starts - (np.cumsum(counts) - counts), counts), run


def between_neighbours(graph: Graph, rows: Array, columns: Array) -> Edges:
    """The pattern of matrices whose row i, owned by node ``rows[i]``, reads what its neighbours own.

    Parameters
    ----------
    graph : who hears whom
    rows (r,), columns (k,) : the nodes that own the rows and the columns
    """
    degrees, counts = np.diff(graph.starts), np.bincount(columns, minlength=graph.nodes)
    edge, row = runs(graph.starts[rows], degrees[rows])
    sender = graph.senders[edge]
    place, pair = runs((np.cumsum(counts) - counts)[sender], counts[sender])
    return Edges(row[pair], np.argsort(columns)[place], (len(rows), len(columns)))


def count_between_neighbours(graph: Graph, rows: Array, columns: Array) -> int:
    """How many entries that pattern has, without making it."""
    heights, widths = (np.bincount(owners, minlength=graph.nodes) for owners in (rows, columns))
    return int(heights[graph.receivers] @ widths[graph.senders])

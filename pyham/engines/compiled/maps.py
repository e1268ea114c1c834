"""The linear maps of a stage as the loops see them, each a ``kind`` and the address of its numbers M.

A kind is None for matrices M (r, k), or ``EdgePlaces``, the pattern of matrices on the edges of a graph, M (E,). The
functions are those of ``pyham.architectures.maps``, on a tile of samples: y (k, T), g, a (r, T), T a multiple of the
vector length.

A network on a graph has more rows than a cache holds. It is worked through in bands of rows, or of columns, so that
what is computed of a band is still in the cache when the next operation wants it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import types
from numba.extending import overload

from pyham.engines.compiled.addresses import address, shift
from pyham.engines.compiled.edge_blocks import add_gathered_outer, gathered_product, gathered_transposed
from pyham.engines.compiled.register_blocks import add_outer, product
from pyham.engines.compiled.settings import part

BAND = 16  # blocks of rows or columns


class EdgePlaces(NamedTuple):
    """Addresses of what ``pyham.architectures.edges.Edges.places`` lists, and how many blocks there are of either.

    The entries from ``next_entry`` to ``next_end`` belong to the band after this one.
    """

    row_blocks: Any
    rows: Any
    starts: Any
    columns: Any
    column_blocks: Any
    columns_of_blocks: Any
    column_starts: Any
    rows_by_column: Any
    by_column: Any
    next_entry: Any
    next_end: Any


def _either(matrix: Callable[..., Any], edges: Callable[..., Any]) -> Callable[..., Any]:
    """``matrix`` where the first argument is None, else ``edges``.

    Numba knows which of the two before it compiles, so the choice takes no time when a loop runs.
    """

    def chosen(kind, *rest):
        return (matrix if kind is None else edges)(kind, *rest)

    @overload(chosen)
    def of_types(kind, *rest):
        own = matrix if isinstance(kind, types.NoneType) else edges
        return lambda kind, *rest: own(kind, *rest)

    return chosen


@part
def _no_kind(places):
    return None


@part
def _kind_of_edges(places):
    rows, starts, columns, columns_of_blocks, column_starts, rows_by_column, by_column = places
    return EdgePlaces(
        len(rows) - 1, address(rows), address(starts), address(columns), len(columns_of_blocks) - 1,
        address(columns_of_blocks), address(column_starts), address(rows_by_column), address(by_column), 0, 0,
    )  # fmt: skip


@part
def _sizes_of_matrix(places, M):
    return M.shape[1], M.shape[2], M.shape[1] * M.shape[2]


@part
def _sizes_of_edges(places, M):
    return len(places[1]) - 1, len(places[4]) - 1, M.shape[1]


@part
def _one_band(kind):
    return 1


@part
def _whole_matrix(kind, number, size):
    return None, 0, size


@part
def _row_bands(kind):
    return -(-kind.row_blocks // BAND)


@part
def _row_band(kind, number, r):
    rows = shift(kind.rows, number * BAND)
    blocks = min(BAND, kind.row_blocks - number * BAND)
    band = EdgePlaces(
        blocks, rows, kind.starts, kind.columns, kind.column_blocks, kind.columns_of_blocks, kind.column_starts,
        kind.rows_by_column, kind.by_column,
        kind.starts[rows[blocks]], kind.starts[kind.rows[min((number + 2) * BAND, kind.row_blocks)]],
    )  # fmt: skip
    return band, rows[0], rows[blocks]


@part
def _column_bands(kind):
    return -(-kind.column_blocks // BAND)


@part
def _column_band(kind, number, k):
    columns = shift(kind.columns_of_blocks, number * BAND)
    blocks = min(BAND, kind.column_blocks - number * BAND)
    band = EdgePlaces(
        kind.row_blocks, kind.rows, kind.starts, kind.columns, blocks, columns, kind.column_starts,
        kind.rows_by_column, kind.by_column, kind.column_starts[columns[blocks]],
        kind.column_starts[kind.columns_of_blocks[min((number + 2) * BAND, kind.column_blocks)]],
    )  # fmt: skip
    return band, columns[0], columns[blocks]


@part
def _apply_matrix(kind, start, M, y, out, r, k, T):
    product(start, M, k, 1, y, out, r, k, T)


@part
def _apply_edges(kind, start, M, y, out, r, k, T):
    gathered_product(kind, start, M, y, out, k, T)


@part
def _transposed_matrix(kind, start, M, g, out, r, k, T):
    product(start, M, 1, k, g, out, k, r, T)


@part
def _transposed_edges(kind, start, M, g, out, r, k, T):
    gathered_transposed(kind, start, M, g, out, T)


@part
def _outer_of_matrix(kind, g, y, dM, r, k, T):
    add_outer(g, y, dM, r, k, T)


@part
def _outer_of_edges(kind, g, y, dM, r, k, T):
    add_gathered_outer(kind, g, y, dM, r, T)


#: kind_of(places): the kind that an entry of the kernels' argument ``stages`` describes, None or a pattern's arrays.
kind_of = _either(_no_kind, _kind_of_edges)
#: sizes_of(places, M): r, k, and how many numbers one of the maps M (S, r, k) or (S, E) has.
sizes_of = _either(_sizes_of_matrix, _sizes_of_edges)
#: row_bands(kind): in how many bands of rows the map is to be applied, which are kinds of maps themselves.
row_bands = _either(_one_band, _row_bands)
#: row_band(kind, number, r): that band, the first of its rows, and the row behind its last one.
row_band = _either(_whole_matrix, _row_band)
#: column_bands(kind), column_band(kind, number, k): the same of columns, for ``transposed`` and ``outer``.
column_bands = _either(_one_band, _column_bands)
column_band = _either(_whole_matrix, _column_band)
#: apply(kind, start, M, y, out, r, k, T): out (r, T) <- start + M y; ``start`` is out itself, or r numbers.
apply = _either(_apply_matrix, _apply_edges)
#: transposed(kind, start, M, g, out, r, k, T): out (k, T) <- start + M^T g; ``start`` is out itself, or k numbers.
transposed = _either(_transposed_matrix, _transposed_edges)
#: outer(kind, g, y, dM, r, k, T): dM += the gradient of M, sums over the samples of g y^T.
outer = _either(_outer_of_matrix, _outer_of_edges)

"""Networks on graphs on compiled kernels: those of ``pyham.engines.compiled.dense``, on the entries of the edges.

All nodes are computed in one call, by threads that share the samples. Time and memory grow with the edges. A tile has
as many samples as leave its state in the cache, but not fewer than a wide block of the products, below which looking up
the entries takes longer than the arithmetic. Tiles and blocks are so few and so small that what they need besides the
batch takes no more memory than some batches of states.
"""

from typing import Any

from pyham.engines.compiled import dense
from pyham.engines.compiled.dense import VECTOR, CompiledDense, _plain, _recorded
from pyham.engines.compiled.threads import Cut

CACHE = 128 << 10  # bytes of a tile's state: with its adjoint and what is recorded it takes some times as much
WIDE = 4  # vectors of a wide block
ROOM = 512 << 20  # bytes for the sums and the scratch memory of all blocks, or as many as BATCHES states of the batch
BATCHES = 8


class CompiledEdges(CompiledDense):
    """The engine of networks whose maps are matrices on the edges of a graph."""

    def arguments(self, stages: Any) -> tuple[Any, ...]:
        A, W = stages.maps
        return *_plain(stages)[:-2], A.places, W.places

    def blocks(self, stages: Any, batch: int, columns: int = 1) -> Cut:
        return _cut(stages, batch, columns)


def _cut(stages: Any, batch: int, columns: int) -> Cut:
    """As that of ``dense``, with room for all blocks' scratch memory too: a tile of a large network takes much."""
    n, S, r, itemsize = stages.width, stages.count, stages.c.shape[1], stages.dtype.itemsize
    vector, numbers = VECTOR // itemsize, stages.A.shape[1] + r + stages.W.shape[1]
    room = max(ROOM, BATCHES * batch * n * itemsize)
    of_sample = (S * _recorded(stages) + 4 * n) * itemsize
    fitting = max(WIDE * vector, CACHE // (n * itemsize))
    most = min(dense.TILE, fitting, room // (2 * of_sample)) // columns // vector * vector
    tiles = max(1, -(-batch // max(vector, most)))
    tile = max(1, -(-batch // (tiles * vector))) * vector
    work = batch * columns * S * (numbers + 20 * r)
    return Cut(batch, tile, work=work, partial=S * numbers * itemsize + tile * of_sample, room=room)

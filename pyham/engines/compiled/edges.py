"""Networks on graphs on compiled kernels: those of ``pyham.engines.compiled.dense``, on the entries of the edges.

All nodes are computed in one call. Time and memory grow with the edges: a tile has so few samples that its rows of all
nodes stay in the cache, if that is possible, and the blocks of samples, each of which has sums of its own for every
entry, are so few that these sums take no more memory than a few batches of states.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from pyham.engines.compiled.dense import TILE, VECTOR, CompiledDense, _plain
from pyham.engines.compiled.threads import Cut

Array = np.ndarray[Any, Any]

CACHE = 512 << 10  # bytes: the rows of a tile of this size stay in the second-level cache
STEP = 4  # vectors: a wide block of the products


class CompiledEdges(CompiledDense):
    """The engine of networks whose maps are matrices on the edges of a graph."""

    def arguments(self, stages: Any) -> tuple[Any, ...]:
        A, W = stages.maps
        return *_plain(stages)[:-2], A.places, W.places

    def blocks(self, stages: Any, batch: int, columns: int = 1) -> Cut:
        entries = stages.A.shape[1] + stages.W.shape[1]
        return _cut(batch, columns, stages.width, stages.c.shape, entries, stages.dtype.itemsize)


@lru_cache(maxsize=256)
def _cut(batch: int, columns: int, n: int, c: tuple[int, int], entries: int, itemsize: int) -> Cut:
    """Tiles of about equal size, whole vectors long; blocks of tiles, with work enough for a thread."""
    vector, (S, r) = VECTOR // itemsize, c
    fitting = CACHE // (4 * n * columns * itemsize) // vector * vector
    most = max(vector, min(TILE, fitting))
    tiles = max(1, -(-batch // most))
    tile = max(1, -(-batch // (tiles * vector))) * vector
    work = batch * columns * S * (entries + 20 * r)
    return Cut(batch, tile, work=work, partial=S * (entries + r) * itemsize)

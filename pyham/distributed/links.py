"""The two things that nodes do with each other, each the transpose of the other: ``spread`` and ``collect``.

A link is a block pattern P (M, M) at work: entry [m, k] says that node m reads node k's block.

- ``spread`` : node k sends its block to every m that reads it; m has the blocks that it reads, stacked.
- ``collect`` : node m sends back to every k that it reads a part for k's block; k adds up what arrives.

So a product with a matrix of pattern P, whose rows the nodes own, is a ``spread`` and a local product; with its
transpose, a local product and a ``collect``. Sums run in the order of the senders: their bits do not depend on where
nodes live.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyham.distributed.transport import Hop, Place, Transport

Array = np.ndarray[Any, Any]
ByNode = dict[int, Array]


class Via(NamedTuple):
    """How a round is held: by which transport, at which place, with how many columns (samples) in every message."""

    transport: Transport
    place: Place
    columns: int


@dataclass(frozen=True, eq=False)
class Link:
    """Pattern P (M, M) for blocks of ``rows[k]`` rows.

    Attributes
    ----------
    reads, read_by : of every node, the nodes whose blocks it reads, or who read its block, ascending; blocks without
        rows are left out
    cuts : of every node, where in its stack are the blocks that it reads
    along, back : the messages of a spread and of a collect
    local : whether nobody reads another's block: then no message travels, and no round is held
    """

    pattern: Array
    rows: tuple[int, ...]

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(k for k in np.flatnonzero(line).tolist() if self.rows[k]) for line in self.pattern)

    @cached_property
    def read_by(self) -> tuple[tuple[int, ...], ...]:
        readers: list[list[int]] = [[] for _ in self.rows]
        for m, reads in enumerate(self.reads):
            for k in reads:
                readers[k].append(m)
        return tuple(map(tuple, readers))

    @cached_property
    def cuts(self) -> tuple[tuple[slice, ...], ...]:
        ends = [np.cumsum([0, *(self.rows[k] for k in reads)]).tolist() for reads in self.reads]
        return tuple(tuple(map(slice, e[:-1], e[1:])) for e in ends)

    @cached_property
    def height(self) -> tuple[int, ...]:
        """Rows of every node's stack."""
        return tuple(sum(self.rows[k] for k in reads) for reads in self.reads)

    @cached_property
    def along(self) -> tuple[Hop, ...]:
        return tuple(Hop(k, m, self.rows[k]) for k, readers in enumerate(self.read_by) for m in readers if m != k)

    @cached_property
    def back(self) -> tuple[Hop, ...]:
        return tuple(Hop(m, k, self.rows[k]) for m, reads in enumerate(self.reads) for k in reads if k != m)

    @property
    def local(self) -> bool:
        return not self.along


def spread(link: Link, name: str, blocks: Mapping[int, Array], via: Via) -> ByNode:
    """Of every node that lives here, the blocks (rows, columns) that it reads, one above the other."""
    nodes = via.transport.nodes
    arrived: Mapping[tuple[int, int], Array] = {}
    if not link.local:
        outbox = {(k, m): blocks[k] for k in nodes for m in link.read_by[k] if m != k}
        arrived = via.transport.exchange(name, link.along, via.place, via.columns, outbox)
    stacks = {}
    for m in nodes:
        pieces = [blocks[m] if k == m else arrived[k, m] for k in link.reads[m]]
        # a single block too is copied: what a node keeps must not change with what its neighbour then does
        stacks[m] = np.concatenate(pieces) if pieces else np.empty((0, via.columns), blocks[m].dtype)
    return stacks


def collect(link: Link, name: str, stacks: Mapping[int, Array], via: Via) -> ByNode:
    """Of every node that lives here, the sum of what those who read its block send back for it."""
    nodes = via.transport.nodes
    parts = {(m, k): stacks[m][cut] for m in nodes for k, cut in zip(link.reads[m], link.cuts[m], strict=True)}
    arrived: Mapping[tuple[int, int], Array] = parts
    if not link.local:
        outbox = {pair: part for pair, part in parts.items() if pair[0] != pair[1]}
        arrived = via.transport.exchange(name, link.back, via.place, via.columns, outbox)
    sums = {}
    for k in nodes:
        total = np.zeros((link.rows[k], via.columns), stacks[k].dtype)
        for m in link.read_by[k]:
            total += parts[k, k] if m == k else arrived[m, k]
        sums[k] = total
    return sums

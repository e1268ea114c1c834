"""Who owns what of an architecture's state and weights, and which links its stages need: ``Layout``.

Node i owns the entries of y that ``Ownership`` gives it, and with them the rows of K, b and J with the same indices.
``parts`` and ``steps`` are those of ``pyham.architectures.base``: the part (dst, rows, src) evaluates those rows of K y
+ b, which read y[src], and updates y[dst]; here each of the three is a slice of every node's own block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.base import Architecture, Part
from pyham.architectures.graphs import Graph, graph, union
from pyham.architectures.on_graph import OnGraph
from pyham.architectures.patterns import Missing, Ownership, block_by_block, one_round
from pyham.distributed.links import Link

Array = np.ndarray[Any, Any]

ENTRIES = ("H1", "H2", "MS3", "MLP", "ResNet")  # their parameters are entries of K, each in one node's rows


@dataclass(frozen=True, eq=False)
class NodeStage:
    """A stage of one layer, for all nodes.

    Parameters
    ----------
    part : which part of the field, and so which of a node's weights
    src, rows, dst : of every node, its share of the part's slices, within its own block
    K : the link of K's pattern; J : that of J's, or None where the field is sigma(K y + b)
    M : of every node, its rows of h J[dst, src] for the stack that ``J`` brings;  h : the step, 1 without ``keep``
    columns : of every node, which columns of its weights belong to this layer's pattern
    keep : the factor of y[dst], 0 where it is replaced
    """

    part: int
    src: tuple[slice, ...]
    rows: tuple[slice, ...]
    dst: tuple[slice, ...]
    K: Link
    J: Link | None
    M: tuple[Array, ...]
    h: float
    columns: tuple[Any, ...]
    keep: float


class Layout:
    """An architecture on a graph.

    Parameters
    ----------
    arch : H1, H2, MS3, ResNet or MLP: in MS1 and MS2 an entry of K is another node's, too
    graph : what ``graphs.graph`` takes, or a sequence of them, one for each layer
    nodes : M; needed for a graph given by its name
    blocks : ``Ownership``, or None for that of a network on a graph, and to cut p and q of others evenly
    pattern : block pattern R (M, M) of K, or (N, M, M), one for each layer; None for the edges that a network on a
        graph has its K on, and for those that the layer's graph has both ways of others

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; among others, if the patterns of K and J need a message
        over a missing edge: the first such entries are named.

    Attributes
    ----------
    graphs (N + 1) : of each layer, and for what comes after the last, the union of all
    patterns (N, M, M), F (M, M) or None : block patterns of K and J
    """

    def __init__(
        self, arch: Architecture, graph: object, *, nodes: int | None = None, blocks: Ownership | None = None,
        pattern: object = None,
    ) -> None:  # fmt: skip
        if arch.name not in ENTRIES:
            raise ValueError(f"arch: expected one of {', '.join(ENTRIES)}, got {arch.name}, which ties entries of K")
        self.arch = arch
        if any(np.ndim(arch.amount(*substep)) for substep in arch.steps):
            raise ValueError(
                "damping: expected rates that are the same in all layers of a distributed network, got others"
            )
        each = _each_layer(graph, nodes, max(1, arch.depth))
        self.graphs = (*each[: arch.depth], union(each))
        self.on_graph = arch if isinstance(arch, OnGraph) and arch.graph is not None else None
        own = None if self.on_graph is None else self.on_graph.ownership
        self.blocks = blocks or own or Ownership.even(arch.width, self.nodes)
        if self.blocks.nodes != self.nodes or len(self.blocks.owner) != arch.width:
            raise ValueError(
                f"blocks: expected owners of {arch.width} entries among {self.nodes} nodes, "
                f"got {len(self.blocks.owner)} among {self.blocks.nodes}"
            )
        if own is not None and not (own.nodes == self.nodes and np.array_equal(own.owner, self.blocks.owner)):
            raise ValueError("blocks: expected those of the network, whose K is on the edges of a graph, got others")
        self.patterns = self._patterns(pattern)
        self.F = None if arch.coupling is None else self.blocks.pattern(arch.coupling)
        self._refuse("pattern", block_by_block)

    @property
    def nodes(self) -> int:
        return len(self.graphs[-1])

    def missing(self, condition: Any) -> list[tuple[int, Missing]]:
        """(layer, entry) that a condition of ``patterns`` (``one_round`` or ``block_by_block``) finds wanting."""
        found = [
            (j, entry)
            for j, R in enumerate(self.patterns)
            for part in self.arch.parts
            for entry in condition(self.graphs[j], self._link(R, part).pattern, self._interconnection(part))
        ]
        return list(dict.fromkeys(found))

    @property
    def one_round(self) -> bool:
        """Whether one round a pass would do in every layer, with copies of neighbours' weights."""
        return self.F is not None and not self.missing(one_round)

    def check_one_round(self) -> None:
        """Raise ValueError unless one round would do: it names the first entries that stand against it."""
        if self.F is None:
            raise ValueError(f"one_round: expected a network with J K^T, got {self.arch.name}, which has one anyway")
        self._refuse("one_round", one_round)

    def _refuse(self, argument: str, condition: Any) -> None:
        if missing := self.missing(condition):
            words = "; ".join(f"layer {j}: {entry}" for j, entry in missing[:3])
            more = f"; and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ValueError(f"{argument}: expected entries whose messages have edges, got {words}{more}")

    @cached_property
    def own(self) -> tuple[Array, ...]:
        """Of every node, the entries of y that it owns."""
        return tuple(self.blocks.of(i) for i in range(self.nodes))

    @cached_property
    def mask(self) -> Array:
        """Which entries of K (N, n, n) are within the pattern."""
        n = self.arch.width
        return np.array([self.blocks.mask(R) for R in self.patterns], dtype=bool).reshape(-1, n, n)

    @cached_property
    def union(self) -> tuple[Link, ...]:
        """For each part, the link whose stacks hold the blocks that some layer reads: the columns of the weights."""
        R = np.any([*self.patterns, np.zeros((self.nodes,) * 2, dtype=bool)], axis=0)
        return tuple(self._link(R, part) for part in self.arch.parts)

    @cached_property
    def columns(self) -> tuple[tuple[Array, ...], ...]:
        """For each part and node, which columns of K (n, n) the columns of its weights are."""
        return tuple(self._read(link, part) for link, part in zip(self.union, self.arch.parts, strict=True))

    @cached_property
    def stages(self) -> tuple[tuple[NodeStage, ...], ...]:
        """The stages of each layer; layers of one pattern share them."""
        different = {R.tobytes(): R for R in self.patterns}
        made = {key: tuple(self._stage(R, s) for s in range(len(self.arch.steps))) for key, R in different.items()}
        return tuple(made[R.tobytes()] for R in self.patterns)

    def _stage(self, R: Array, s: int) -> NodeStage:
        number, fraction = self.arch.steps[s]
        part = self.arch.parts[number]
        h = self.arch.amount(number, fraction) if self.arch.keep else 1.0
        keep = float(np.broadcast_to(self.arch.keeps(), self.arch.depth * len(self.arch.steps))[s])
        shares = {name: self._share(getattr(part, name)) for name in ("src", "rows", "dst")}
        K = self._link(R, part)
        columns = tuple(self._columns(number, K, i) for i in range(self.nodes))
        J: Link | None = None
        M: tuple[Array, ...] = ()
        F = self._interconnection(part)
        if self.arch.coupling is not None and F is not None:
            J = Link(F, K.rows)
            places = zip(self.own, shares["dst"], self._read(J, part), strict=True)
            M = tuple(h * self.arch.coupling[np.ix_(own[dst], read)] for own, dst, read in places)
        return NodeStage(number, **shares, K=K, J=J, M=M, h=h, columns=columns, keep=keep)

    def _read(self, link: Link, part: Part) -> tuple[Array, ...]:
        """Of every node, which entries of y are in the stack that a link of a part brings."""
        shares = [own[share] for own, share in zip(self.own, self._share(part.src), strict=True)]
        return tuple(np.concatenate([np.zeros(0, int), *(shares[k] for k in reads)]) for reads in link.reads)

    def _link(self, R: Array, part: Part) -> Link:
        """K's link in a part: only between nodes that own some of its rows and some of what they read."""
        rows, columns = (np.array([s.stop - s.start for s in self._share(of)]) for of in (part.rows, part.src))
        return Link(R & (rows > 0)[:, None] & (columns > 0), tuple(columns.tolist()))

    def _interconnection(self, part: Part) -> Array | None:
        """The block pattern of J[dst, src]."""
        if self.arch.coupling is None:
            return None
        M = np.zeros_like(self.arch.coupling)
        M[part.dst, part.src] = self.arch.coupling[part.dst, part.src]
        return self.blocks.pattern(M)

    def _columns(self, number: int, K: Link, i: int) -> Any:
        """Where the blocks that node i reads in this layer are among those that it ever reads: all, or indices."""
        whole = self.union[number]
        if K.reads[i] == whole.reads[i]:
            return slice(None)
        where, stack = dict(zip(whole.reads[i], whole.cuts[i], strict=True)), np.arange(whole.height[i])
        return np.concatenate([stack[:0], *(stack[where[k]] for k in K.reads[i])])

    def _share(self, part: slice) -> tuple[slice, ...]:
        """Of every node, the entries of its own block that lie in a slice of y."""
        return tuple(slice(*np.searchsorted(own, (part.start, part.stop)).tolist()) for own in self.own)

    def _patterns(self, pattern: object) -> tuple[Array, ...]:
        N, M = self.arch.depth, self.nodes
        own = None if self.on_graph is None else self.on_graph.neighbours.adjacency
        if pattern is None:
            return tuple(g.mutual.adjacency if own is None else own for g in self.graphs[:-1])
        given = np.asarray(pattern)
        checked = _check.array("pattern", given, (N, M, M) if given.ndim == 3 else (M, M)) != 0
        if own is not None and (checked & ~own).any():
            i, k = np.argwhere(checked & ~own)[0][-2:].tolist()
            raise ValueError(f"pattern: expected entries on the edges that K has, got one at [{i}, {k}]")
        return tuple(np.broadcast_to(checked, (N, M, M)))


def _each_layer(value: object, nodes: int | None, depth: int) -> tuple[Graph, ...]:
    """The graph of each layer."""
    several = isinstance(value, (list, tuple)) and any(not isinstance(v, Sequence) or isinstance(v, str) for v in value)
    if not several:
        return (graph(value, nodes),) * depth
    found = tuple(graph(v, nodes) for v in value)  # type: ignore[attr-defined]
    if len(found) != depth:
        raise ValueError(f"graph: expected one graph, or one for each of {depth} layers, got {len(found)}")
    if len({len(g) for g in found}) > 1:
        raise ValueError(f"graph: expected graphs of one number of nodes, got {sorted({len(g) for g in found})}")
    return found

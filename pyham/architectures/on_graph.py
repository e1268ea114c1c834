"""Networks on a graph: what H1, H2, MS3, MLP and ResNet are given to have K on the edges of a graph only.

Nodes own entries of the state y, and with them the rows of K and b. The rows of a node read what it owns itself and
what its neighbours own, so the parameters K, K1, K2, Kp and Kq are not matrices but the list (N, E) of the entries that
exist, row by row and in a row by ascending columns (``arch.maps[0]`` has ``rows`` and ``columns``). Memory and time
grow with E, never with n^2.

An edge counts if messages may go both ways, as the backward pass sends along it in the other direction. J may couple
neighbours only: else a layer would carry y between nodes that exchange no messages.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.base import Architecture
from pyham.architectures.edges import Composition, Edges, between_neighbours, count_between_neighbours
from pyham.architectures.graphs import Graph, graph
from pyham.architectures.interconnection import Entries
from pyham.architectures.maps import Map
from pyham.architectures.patterns import Ownership

Array = np.ndarray[Any, Any]
OPTIONS = ("graph", "nodes", "blocks")


@dataclass(frozen=True, eq=False, repr=False)
class OnGraph(Architecture):
    """An architecture that may be on a graph.

    Parameters
    ----------
    graph : a graph's name, its adjacency matrix, or whatever else ``pyham.architectures.graphs.graph`` takes; None for
        a network whose nodes all read each other
    nodes : M; needed for a graph given by its name or by a list of edges
    blocks : states of every node, one number or a list of M; None cuts the state evenly. Where p and q exist the
        numbers are even, as half of a node's states are in p and half in q. MLP, ResNet, and H1 with another J than J1
        are cut in the same way if all the numbers are even, else as a whole.

    Raises
    ------
    TypeError, ValueError
        If it is no graph, the blocks do not add up to the width, or J couples nodes that are no neighbours.
    """

    graph: Any = field(default=None, kw_only=True)
    nodes: int | None = field(default=None, kw_only=True)
    blocks: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.graph is None:
            for name in ("nodes", "blocks"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: expected none without a graph, got {getattr(self, name)!r}")
            return
        named = isinstance(self.graph, str)
        if named and _check.integer("nodes", self.nodes, 1) > self.width:  # so that no larger graph is made
            raise ValueError(f"nodes: expected at most the width, {self.width}, got {self.nodes}")
        found = graph(self.graph, self.nodes).mutual
        object.__setattr__(self, "nodes", len(found))
        object.__setattr__(self, "graph", self.graph if named else found)
        object.__setattr__(self, "blocks", self._checked_blocks(len(found)))

    def _checked_blocks(self, M: int) -> int | list[int] | None:
        """The states of every node: one number, or one for each if they differ, or None for even ones."""
        n, least = self.width, 2 if self.halves else 1
        if self.blocks is None:
            if n < least * M:
                raise ValueError(f"width: expected at least {least} for each of {M} nodes, got {n}")
            return None
        each = [self.blocks] * M if np.ndim(self.blocks) == 0 else self.blocks
        sizes = [_check.integer("blocks", size, 0) for size in each]
        if len(sizes) != M or sum(sizes) != n:
            came = f"{len(sizes)} that add up to {sum(sizes)}"
            raise ValueError(f"blocks: expected {M} numbers that add up to the width, {n}, got {came}")
        odd = [size for size in sizes if size % 2]
        if odd and self.halves:
            raise ValueError(f"blocks: expected even numbers, half of the states in p and half in q, got {odd[0]}")
        return sizes[0] if len(set(sizes)) == 1 else sizes

    @property
    def halves(self) -> bool:
        """Whether every node must own as many entries of p as of q: in networks that are applied in these two parts."""
        return len(self.parts) > 1

    @property
    def entries_of_J(self) -> Entries | None:
        """The entries of J other than 0, for those who should not make a matrix (n, n) of it; None where G = I."""
        return None

    @property
    def entries_of_coupling(self) -> Entries | None:
        """Those of ``coupling``."""
        return self.entries_of_J

    @property
    def interconnected(self) -> bool:
        return self.entries_of_J is not None if self.graph is not None else super().interconnected

    # Where the entries are

    @cached_property
    def neighbours(self) -> Graph:
        """The edges that K has entries on, of a network on a graph."""
        return graph(self.graph, self.nodes).mutual

    @cached_property
    def ownership(self) -> Ownership | None:
        """Which node owns which entries of the state; None without a graph."""
        if self.graph is None:
            return None
        n, M = self.width, len(self.neighbours)
        if self.blocks is not None:
            sizes = np.broadcast_to(self.blocks, M)
            return Ownership.of_sizes(sizes // 2, sizes // 2) if (sizes % 2 == 0).all() else _whole(sizes)
        return Ownership.even(n, M) if n % 2 == 0 and n >= 2 * M else _whole(np.diff(np.arange(M + 1) * n // M))

    @property
    def _owners(self) -> tuple[Array, Array]:
        """The nodes that own the rows and the columns of a part's block of K: the same in every part."""
        assert self.ownership is not None
        _, rows, src = self.parts[0]
        return self.ownership.owner[rows], self.ownership.owner[src]

    @cached_property
    def maps(self) -> tuple[Map, Map]:
        if self.graph is None:
            return super().maps
        A = between_neighbours(self.neighbours, *self._owners)
        return A, Edges.diagonal(self.width) if self._coupling is None else Composition(self._coupling, A)

    @cached_property
    def _coupling(self) -> Edges | None:
        """The pattern that J[dst, src] has in some part; None where G = I."""
        if self.entries_of_coupling is None:
            return None
        blocks = [self._entries_of_block(part) for part in range(len(self.parts))]
        rows, columns = (np.concatenate([block[i] for block in blocks]) for i in (0, 1))
        dst, _, src = self.parts[0]
        return Edges(rows, columns, (dst.stop - dst.start, src.stop - src.start))

    def _entries_of_block(self, part: int) -> Entries:
        """The entries of J[dst, src], counted from the block's corner."""
        dst, _, src = self.parts[part]
        assert self.entries_of_coupling is not None
        rows, columns, values = self.entries_of_coupling
        here = (rows >= dst.start) & (rows < dst.stop) & (columns >= src.start) & (columns < src.stop)
        return Entries(rows[here] - dst.start, columns[here] - src.start, values[here])

    def _check_coupling(self, argument: str, matrix: Entries, first_row: int = 0) -> None:
        """Refuse a matrix that couples nodes without an edge; its row 0 belongs to the entry ``first_row`` of y."""
        if self.graph is None:
            return
        assert self.ownership is not None
        owner = self.ownership.owner
        to, of = owner[matrix.rows + first_row], owner[matrix.columns]
        astray = np.flatnonzero(~self.neighbours.joins(of, to))
        if len(astray):
            (row, column, value), i = (part[astray[0]] for part in matrix), astray[0]
            raise ValueError(
                f"{argument}: expected entries on the edges of the graph, got {argument}[{row}, {column}] = {value} "
                f"between the nodes {to[i]} and {of[i]}"
            )

    def _check_J2(self, argument: str) -> None:
        """``_check_coupling`` of J2, full off its diagonal: the first entry that has no edge is +1, above it."""
        if self.graph is None:
            return
        assert self.ownership is not None
        owned = np.bincount(self.ownership.owner, minlength=len(self.neighbours))
        read = np.add.reduceat(owned[self.neighbours.senders], self.neighbours.starts[:-1])
        few = np.flatnonzero(read[self.ownership.owner] < self.width)
        if len(few):
            columns = np.arange(self.width)
            self._check_coupling(argument, Entries(np.full_like(columns, few[0]), columns, np.ones_like(columns)))

    # What an architecture says about itself

    def __repr__(self) -> str:
        return str(self)

    @property
    def block_shape(self) -> tuple[int, ...]:
        if self.graph is None:
            return super().block_shape
        return (count_between_neighbours(self.neighbours, *self._owners),)

    def scales(self, initialization: str) -> dict[str, Any]:
        """On a graph "scaled-normal" draws the entries of a row, and its b, from N(0, 1 / entries of that row)."""
        if self.graph is None or initialization == "normal":
            return super().scales(initialization)
        edges = self.maps[0]
        assert isinstance(edges, Edges)
        of_row = np.maximum(np.diff(edges.starts), 1) ** -0.5
        of_b = np.tile(of_row, self.width // len(of_row))
        found: dict[str, Any] = {name: of_b if name == "b" else of_row[edges.rows] for name in self.shapes}
        return found | dict.fromkeys(self.shapes_of_learnt(), 1.0)

    def options(self) -> dict[str, Any]:
        found = super().options()
        of_graph = {name: found.pop(name) for name in OPTIONS}
        return found if self.graph is None else found | of_graph

    def config(self) -> dict[str, Any]:
        found = super().config()
        if isinstance(self.graph, Graph):
            found["graph"] = self.graph.undirected.ravel().tolist()
        return found

    def _block_of_J(self, part: int) -> Array:
        if self.graph is None or self._coupling is None:
            return super()._block_of_J(part)
        rows, columns, values = self._entries_of_block(part)
        M = np.zeros(len(self._coupling))
        M[self._coupling.find(rows, columns)] = values
        return M


def _whole(sizes: Array) -> Ownership:
    """Node i owns the next ``sizes[i]`` entries of y."""
    return Ownership.of_sizes(sizes, np.zeros_like(sizes))

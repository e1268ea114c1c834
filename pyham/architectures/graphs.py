"""Graphs of nodes that exchange messages: ``Graph``, the usual ones by name, and any other from what describes it.

An edge k -> i says that node i hears node k, so messages go from k to i. Every node hears itself. A graph is the list
of its edges: memory and time grow with their number, never with the square of the number of nodes, so that a ring of
100 000 nodes is made in milliseconds.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]

DENSE = 10_000  # nodes: of a larger graph no matrix with an entry for every pair of nodes is made


class Graph:
    """M nodes and who hears whom.

    Parameters
    ----------
    adjacency (M, M) : an array or a SciPy sparse one; entries other than 0 are edges k -> i at [i, k]

    Attributes
    ----------
    nodes : M
    starts (M + 1,), senders (E,) : node i hears ``senders[starts[i]:starts[i + 1]]``, ascending, itself included
    receivers (E,) : who hears, for each of the senders, ascending

    Raises
    ------
    TypeError, ValueError
        If it is no square matrix of numbers, or has no node.
    """

    nodes: int
    starts: Array
    senders: Array

    def __init__(self, adjacency: object) -> None:
        nodes, receivers, senders = _entries(adjacency)
        self._set(nodes, senders, receivers)

    @classmethod
    def from_edges(cls, nodes: int, senders: object, receivers: object) -> "Graph":
        """A graph with the edges ``senders[e]`` -> ``receivers[e]``; edges may be given twice, and self-loops not."""
        result = cls.__new__(cls)
        result._set(nodes, senders, receivers)
        return result

    def _set(self, nodes: int, senders: object, receivers: object) -> None:
        if _check.integer("nodes", nodes, 0) == 0:
            raise ValueError("graph: expected at least one node, got none")
        itself = np.arange(nodes)
        keys = [np.asarray(ends, np.int64).ravel() for ends in (receivers, senders)]
        for ends in keys:
            if len(ends) and not (ends.min() >= 0 and ends.max() < nodes):
                wrong = ends[(ends < 0) | (ends >= nodes)][0]
                raise ValueError(f"graph: expected nodes from 0 to {nodes - 1}, got {wrong}")
        edges = np.sort(np.concatenate([keys[0] * nodes + keys[1], itself * (nodes + 1)]))
        edges = edges[np.append(True, edges[1:] != edges[:-1])]
        counts = np.bincount(edges // nodes)  # at least one each: itself
        self.nodes = int(nodes)
        self.starts = _check.read_only(np.concatenate([[0], np.cumsum(counts)]))
        self.senders = _check.read_only(edges % nodes)

    def __len__(self) -> int:
        """Nodes M."""
        return self.nodes

    def __repr__(self) -> str:
        return f"<Graph, {self.nodes} nodes, {len(self.senders) - self.nodes} directed edges>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.senders, other.senders)

    def __hash__(self) -> int:
        return hash((self.nodes, self.senders.tobytes()))

    @property
    def receivers(self) -> Array:
        return np.repeat(np.arange(self.nodes), np.diff(self.starts))

    @cached_property
    def adjacency(self) -> Array:
        """The same as a matrix (M, M) of booleans: [i, k] says that i hears k. For small graphs only."""
        self._small("adjacency")
        matrix = np.zeros((self.nodes, self.nodes), dtype=bool)
        matrix[self.receivers, self.senders] = True
        matrix.flags.writeable = False
        return matrix

    def heard_by(self, node: int) -> Array:
        """The nodes that ``node`` hears, ascending, itself included."""
        return self.senders[self.starts[node] : self.starts[node + 1]]

    def has(self, sender: int, receiver: int) -> bool:
        """Whether messages may go sender -> receiver."""
        return sender == receiver or (sender, receiver) in self._pairs

    @cached_property
    def _pairs(self) -> frozenset[tuple[int, int]]:
        return frozenset(self.edges)

    def joins(self, senders: Array, receivers: Array) -> Array:
        """Whether messages may go ``senders[e]`` -> ``receivers[e]``, as booleans."""
        keys, wanted = (to * self.nodes + of for to, of in ((self.receivers, self.senders), (receivers, senders)))
        return np.isin(wanted, keys)

    @property
    def undirected(self) -> Array:
        """The pairs (E, 2) of different nodes that hear each other, the smaller number first."""
        both = self.mutual
        kept = both.senders < both.receivers
        return np.stack([both.senders[kept], both.receivers[kept]], axis=1)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(sender, receiver) of every directed edge between different nodes."""
        reverse = self.transposed()  # by sender, as here by receiver
        pairs = zip(reverse.receivers.tolist(), reverse.senders.tolist(), strict=True)
        return tuple((k, i) for k, i in pairs if k != i)

    def transposed(self) -> "Graph":
        """The graph with all edges turned round."""
        return Graph.from_edges(self.nodes, self.receivers, self.senders)

    @cached_property
    def mutual(self) -> "Graph":
        """The edges along which messages may go both ways, as those of a backward pass must."""
        there, back = (g.receivers * g.nodes + g.senders for g in (self, self.transposed()))
        both = np.intersect1d(there, back)
        return self if len(both) == len(there) else Graph.from_edges(self.nodes, both % self.nodes, both // self.nodes)

    def distance(self) -> Array:
        """Edges on a shortest way (M, M), entry [i, k] from k to i; infinite where there is none. For small graphs."""
        from scipy.sparse import csr_array  # here, because importing pyham should not import SciPy
        from scipy.sparse.csgraph import dijkstra

        self._small("distance")
        return dijkstra(csr_array((np.ones(len(self.senders)), self.senders, self.starts), (self.nodes,) * 2))

    def _small(self, what: str) -> None:
        if self.nodes > DENSE:
            raise ValueError(f"{what}: expected a graph of at most {DENSE} nodes, got {self.nodes}; see Graph.senders")


def _entries(adjacency: Any) -> tuple[int, Array, Array]:
    """Number of rows, and rows and columns of the entries other than 0, of a dense or sparse square matrix."""
    if hasattr(adjacency, "tocoo"):
        sparse = adjacency.tocoo()
        M = sparse.shape[0]
        if sparse.shape != (M, M):
            raise ValueError(f"graph: expected shape ({M}, {M}), got {sparse.shape}")
        kept = _check.array("graph", sparse.data, None) != 0
        return M, sparse.coords[0][kept], sparse.coords[1][kept]
    given = np.asarray(adjacency)
    M = given.shape[0] if given.ndim else 0
    rows, columns = np.nonzero(_check.array("graph", given, (M, M)))
    return M, rows, columns


def graph(value: object, nodes: int | None = None) -> Graph:
    """A graph from what describes one.

    Parameters
    ----------
    value : one of

        - a ``Graph``;
        - a name of ``NAMES``, with the number of nodes;
        - an adjacency matrix (M, M), dense or a SciPy sparse one: entry [i, k] is an edge k -> i;
        - a list of edges, integers (E, 2), or the same numbers one after the other (2 E,), with the number of nodes:
          the two nodes of each hear each other. (2, 2) with two nodes is an adjacency matrix;
        - a networkx graph, whose nodes are numbered in its own order; an edge u -> v of a directed one lets v hear u.

    nodes : M; needed for a name and for a list of edges, else compared

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or has another number of nodes.
    """
    result = _graph(value, nodes)
    if nodes is not None and len(result) != nodes:
        raise ValueError(f"graph: expected {nodes} nodes, got {len(result)}")
    return result


def _graph(value: Any, nodes: int | None) -> Graph:
    if isinstance(value, Graph):
        return value
    if isinstance(value, str):
        return NAMES[_check.choice("graph", value, NAMES)](_check.integer("nodes", nodes, 1))
    if hasattr(value, "adjacency"):  # networkx, without importing it
        number = {node: i for i, node in enumerate(value)}
        listeners = [heard_by for _, heard_by in value.adjacency()]
        receivers = np.fromiter(map(number.__getitem__, chain.from_iterable(listeners)), np.int64)
        return Graph.from_edges(len(number), np.repeat(np.arange(len(number)), list(map(len, listeners))), receivers)
    if nodes is not None and not hasattr(value, "tocoo"):
        given = np.asarray(value)
        a_list = given.ndim in (1, 2) and given.size % 2 == 0 and given.shape[1:] in ((), (2,))
        if a_list and given.shape != (nodes, nodes) and (given.dtype.kind in "iu" or not given.size):
            first, second = given.astype(np.int64).reshape(-1, 2).T
            return _undirected(_check.integer("nodes", nodes, 1), first, second)
    return Graph(value)


def ring(nodes: int) -> Graph:
    """Every node hears the one before and the one after it, the last and the first are neighbours."""
    i = np.arange(_check.integer("nodes", nodes, 1))
    return _undirected(len(i), i, (i + 1) % len(i))


def path(nodes: int) -> Graph:
    """A ring without the edge between the last and the first."""
    i = np.arange(_check.integer("nodes", nodes, 1) - 1)
    return _undirected(len(i) + 1, i, i + 1)


def star(nodes: int) -> Graph:
    """Node 0 and every other one hear each other."""
    i = np.arange(1, _check.integer("nodes", nodes, 1))
    return _undirected(len(i) + 1, np.zeros_like(i), i)


def pairs(nodes: int) -> Graph:
    """Nodes 0 and 1, 2 and 3, and so on: a matching, with which one round of messages a layer suffices."""
    i = np.arange(0, _check.integer("nodes", nodes, 1) - 1, 2)
    return _undirected(nodes, i, i + 1)


def other_pairs(nodes: int) -> Graph:
    """Nodes 1 and 2, 3 and 4, and so on, the last and the first: with ``pairs``, in turns, the ring."""
    i = np.arange(1, _check.integer("nodes", nodes, 1), 2)
    return _undirected(nodes, i, (i + 1) % nodes)


def full(nodes: int) -> Graph:
    """Everybody hears everybody."""
    i = np.arange(_check.integer("nodes", nodes, 1))
    return Graph.from_edges(nodes, np.tile(i, nodes), np.repeat(i, nodes))


def grid(rows: int, columns: int) -> Graph:
    """Node r * columns + c hears those above, below, left and right of it."""
    i = np.arange(_check.integer("rows", rows, 1) * _check.integer("columns", columns, 1)).reshape(rows, columns)
    first = np.concatenate([i[:-1].ravel(), i[:, :-1].ravel()])
    second = np.concatenate([i[1:].ravel(), i[:, 1:].ravel()])
    return _undirected(i.size, first, second)


def squarest_grid(nodes: int) -> Graph:
    """The grid of that many nodes with the fewest more columns than rows."""
    count = _check.integer("nodes", nodes, 1)
    rows = max(r for r in range(1, int(count**0.5) + 1) if count % r == 0)
    return grid(rows, count // rows)


def union(graphs: Sequence[Graph]) -> Graph:
    """All edges of graphs with the same nodes."""
    ends = [np.concatenate([getattr(g, name) for g in graphs]) for name in ("senders", "receivers")]
    return Graph.from_edges(len(graphs[0]), *ends)


def _undirected(nodes: int, first: Array, second: Array) -> Graph:
    return Graph.from_edges(nodes, np.concatenate([first, second]), np.concatenate([second, first]))


NAMES: dict[str, Callable[[int], Graph]] = {
    "ring": ring,
    "path": path,
    "grid": squarest_grid,
    "star": star,
    "pairs": pairs,
    "other-pairs": other_pairs,
    "full": full,
}

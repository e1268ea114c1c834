"""Graphs of nodes that exchange messages: ``Graph``, the usual ones by name, and any other from what describes it.

Adjacency (M, M): entry [i, k] says that node i hears node k, so messages go k -> i. Every node hears itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """M nodes and who hears whom.

    Parameters
    ----------
    adjacency (M, M) : entries other than 0 are edges k -> i at [i, k]; the diagonal is set

    Raises
    ------
    TypeError, ValueError
        If it is no square matrix of numbers, or has no node.
    """

    adjacency: Array

    def __post_init__(self) -> None:
        given = np.asarray(self.adjacency)
        M = given.shape[0] if given.ndim else 0
        matrix = _check.array("graph", given, (M, M)) != 0
        if not M:
            raise ValueError("graph: expected at least one node, got none")
        object.__setattr__(self, "adjacency", _check.read_only(matrix | np.eye(M, dtype=bool)))

    def __len__(self) -> int:
        """Nodes M."""
        return len(self.adjacency)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and np.array_equal(self.adjacency, other.adjacency)

    def __hash__(self) -> int:
        return hash(self.adjacency.tobytes())

    def has(self, sender: int, receiver: int) -> bool:
        """Whether messages may go sender -> receiver."""
        return bool(self.adjacency[receiver, sender])

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(sender, receiver) of every directed edge between different nodes."""
        found = np.argwhere(self.adjacency & ~np.eye(len(self), dtype=bool))
        return tuple(sorted((int(k), int(i)) for i, k in found))

    def distance(self) -> Array:
        """Edges on a shortest way (M, M), entry [i, k] from k to i; infinite where there is none."""
        from scipy.sparse import csr_array  # here, because importing pyham should not import SciPy
        from scipy.sparse.csgraph import dijkstra

        return dijkstra(csr_array(self.adjacency.T.astype(float)), unweighted=True).T


def graph(value: object, nodes: int | None = None) -> Graph:
    """A graph from a ``Graph``, a name with a number of nodes, an adjacency matrix, a SciPy sparse matrix or array, or
    a networkx graph, whose nodes are numbered in its own order; an edge u -> v of a directed one lets v hear u.

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
    if hasattr(value, "is_directed") and hasattr(value, "adjacency"):  # networkx, without importing it
        number = {node: i for i, node in enumerate(value)}
        matrix = np.zeros((len(number), len(number)), dtype=bool)
        for node, heard_by in value.adjacency():
            for other in heard_by:
                matrix[number[other], number[node]] = True
        return Graph(matrix)
    return Graph(value.toarray() if hasattr(value, "toarray") else value)


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
    return Graph(np.ones((_check.integer("nodes", nodes, 1),) * 2))


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
    return Graph(np.any([g.adjacency for g in graphs], axis=0))


def _undirected(nodes: int, first: Array, second: Array) -> Graph:
    matrix = np.zeros((nodes, nodes), dtype=bool)
    matrix[first, second] = matrix[second, first] = True
    return Graph(matrix)


NAMES: dict[str, Callable[[int], Graph]] = {
    "ring": ring,
    "path": path,
    "grid": squarest_grid,
    "star": star,
    "pairs": pairs,
    "other-pairs": other_pairs,
    "full": full,
}

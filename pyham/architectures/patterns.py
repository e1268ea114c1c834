"""Which entries of K and J need which messages: block patterns, and the conditions of the theorem on distribution.

Nodes own blocks of the state y and the rows of K y + b with the same indices. R (M, M) is the block pattern of K, F
that of J: entry [i, k] says that the block of node i's rows and node k's columns may have entries other than 0. In

    y <- y + h J K^T sigma(K y + b)

node i's block of J K^T sigma(K y + b) depends on node k's block of y exactly where (F R^T R)[i, k] is set (for weights
without further zeros), and the adjoint depends the other way round. G is the adjacency of the graph. So

- one round of messages in each pass suffices if and only if F R^T R and its transpose are within G;
- block by block, K y takes a message k -> i for every entry [i, k] of R, K^T sigma one i -> k, and J one k -> i for
  every entry of F, each followed by its transpose in the backward pass. This is possible if and only if R, F and their
  transposes are within G. Where F is block diagonal, as with J1 when every node owns p and q with the same places,
  J takes no messages, and two rounds suffice; else it takes a third, as y then moves up to three edges in a layer.

Source: Galimberti et al., IEEE TAC 2023, theorem on distributed H-DNNs (one round).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.graphs import Graph

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Ownership:
    """Who owns which entries of y.

    Parameters
    ----------
    owner (n,) : the node that owns each entry
    nodes : M
    """

    owner: Array
    nodes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _check.integer("nodes", self.nodes, 1))
        given = np.asarray(self.owner)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            came = f"{given.dtype}{given.shape}"
            raise TypeError(f"blocks: expected the owner of each entry as integers (n,), got {came}")
        if len(given) and not (given.min() >= 0 and given.max() < self.nodes):
            wrong = given[(given < 0) | (given >= self.nodes)][0]
            raise ValueError(f"blocks: expected owners from 0 to {self.nodes - 1}, got {wrong}")
        object.__setattr__(self, "owner", _check.read_only(given.astype(np.int64)))

    @classmethod
    def of_sizes(cls, p: object, q: object) -> "Ownership":
        """Node i owns the next p[i] entries of p and the next q[i] entries of q, y = (p, q)."""
        sizes = [_check.array(name, value, ("M",)).astype(np.int64) for name, value in (("p", p), ("q", q))]
        if len(sizes[0]) != len(sizes[1]) or min(s.min(initial=0) for s in sizes) < 0:
            came = f"{sizes[0].tolist()} and {sizes[1].tolist()}"
            raise ValueError(f"p, q: expected as many sizes >= 0 for p as for q, got {came}")
        return cls(np.concatenate([np.repeat(np.arange(len(s)), s) for s in sizes]), len(sizes[0]))

    @classmethod
    def even(cls, width: int, nodes: int) -> "Ownership":
        """p and q each cut into as equal parts as can be; an odd width has no p and q and is cut as a whole."""
        half, rest = divmod(_check.integer("width", width, 1), 2)
        sizes = np.array([len(part) for part in np.array_split(np.arange(width if rest else half), nodes)])
        return cls.of_sizes(sizes, np.zeros_like(sizes) if rest else sizes)

    def of(self, node: int) -> Array:
        """The entries of y that the node owns, ascending."""
        return np.flatnonzero(self.owner == node)

    def pattern(self, matrix: Array) -> Array:
        """The block pattern (M, M) of a matrix (n, n)."""
        found = np.zeros((self.nodes, self.nodes), dtype=bool)
        rows, columns = np.nonzero(matrix)
        found[self.owner[rows], self.owner[columns]] = True
        return found

    def mask(self, pattern: Array) -> Array:
        """Which entries (n, n) a block pattern (M, M) allows."""
        return np.asarray(pattern, dtype=bool)[np.ix_(self.owner, self.owner)]


class Missing(NamedTuple):
    """A message that entry [row, column] of a pattern needs and a graph does not let through."""

    matrix: str
    row: int
    column: int
    sender: int
    receiver: int
    purpose: str

    def __str__(self) -> str:
        return (
            f"{self.matrix}[{self.row}, {self.column}] needs a message {self.sender} -> {self.receiver} for "
            f"{self.purpose}, and the graph has no such edge"
        )


def one_round(graph: Graph, R: Array, F: Array) -> list[Missing]:
    """What stands against one round a pass: entries of F R^T R that need a missing edge, forward or backward."""
    product = F.astype(int) @ R.T.astype(int) @ R.astype(int) > 0
    return _missing(graph, "F R^T R", product, "the forward pass", "the backward pass")


def block_by_block(graph: Graph, R: Array, F: Array | None) -> list[Missing]:
    """What stands against a round for each of K, K^T and J: entries of R and F that need a missing edge.

    Without F the field is sigma(K y + b), and K^T is in the backward pass only.
    """
    if F is None:
        return _missing(graph, "R", R, "K y", "K^T in the backward pass")
    return _missing(graph, "R", R, "K y", "K^T sigma") + _missing(graph, "F", F, "J", "J^T in the backward pass")


def _missing(graph: Graph, name: str, pattern: Array, along: str, back: str) -> list[Missing]:
    """Entries [i, k] for which k -> i, needed for ``along``, or i -> k, needed for ``back``, is no edge."""
    forward = np.argwhere(pattern & ~graph.adjacency).tolist()
    backward = np.argwhere(pattern & ~graph.adjacency.T).tolist()
    found = [Missing(name, i, k, k, i, along) for i, k in forward]
    return found + [Missing(name, i, k, i, k, back) for i, k in backward]

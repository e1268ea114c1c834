"""The output layer of a distributed network: every node that is read owns its columns of it, one node adds them up.

    z = sum over the nodes i that are read of w_i y_N,i + mu            at the reader

Partial sums travel up a tree of shortest ways to the reader, and the loss's derivative dz down the same tree; every
node then has its own dw_i = dz y_i^T and delta_i = w_i^T dz. So any nodes can be read, and messages still travel along
edges only; each is one number for every sample and class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.graphs import Graph
from pyham.distributed.layout import Layout
from pyham.distributed.links import ByNode, Link, Via, collect, spread
from pyham.distributed.transport import Place, Transport
from pyham.training.losses import of_rows

Array = np.ndarray[Any, Any]


class Readout:
    """Which nodes are read, and the ways to the reader.

    Parameters
    ----------
    layout : its last graph, the union of all layers', carries the messages
    reads : the nodes whose blocks of y_N the classifier reads; None for all
    reader : the node that has the bias mu and the labels; None for the first of ``reads``
    outputs : C logits
    loss : its name

    Raises
    ------
    TypeError, ValueError
        If a node is none of the layout's, or there is no way from it to the reader and back.
    """

    def __init__(
        self, layout: Layout, reads: Sequence[int] | None, reader: int | None, outputs: int, loss: str
    ) -> None:
        M = layout.nodes
        every = [_check.integer("reads", i, 0) for i in (range(M) if reads is None else reads)]
        if not every or max(every) >= M:
            raise ValueError(f"reads: expected nodes from 0 to {M - 1}, at least one, got {every}")
        self.reads = tuple(sorted(set(every)))
        self.reader = _check.integer("reader", self.reads[0] if reader is None else reader, 0)
        if self.reader >= M:
            raise ValueError(f"reader: expected a node from 0 to {M - 1}, got {self.reader}")
        self.layout, self.outputs, self.loss = layout, outputs, loss
        self.levels = tree(layout.graphs[-1], self.reader, self.reads, outputs)
        #: of every node, the columns of (w, mu) that it has: its own where it is read, mu at the reader
        self.columns = tuple(
            np.append(own if i in self.reads else own[:0], [layout.arch.width] * (i == self.reader)).astype(int)
            for i, own in enumerate(layout.own)
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of the output layer at each node."""
        return tuple(self.outputs * len(columns) for columns in self.columns)

    def views(self, nodes: Sequence[int], flat: Array) -> dict[int, Array]:
        """Each node's part (C, width) of the output layer: rows (w_c, and at the reader mu_c)."""
        parts = np.split(flat, np.cumsum([self.sizes[i] for i in nodes])[:-1])
        return {i: part.reshape(self.outputs, -1) for i, part in zip(nodes, parts, strict=True)}

    def head(
        self, transport: Transport, layers: dict[int, Array], y: ByNode, labels: Array, gradients: dict[int, Array]
    ) -> tuple[float, float, ByNode]:
        """Mean loss, the number of samples classified right, and dLoss/dy_N by node; fills the layer's gradients.

        Loss and number are known where the reader lives; elsewhere they are 0.
        """
        N, B = self.layout.arch.depth, len(labels)
        up, down = (Via(transport, Place(name, N), B) for name in ("forward pass", "backward pass"))
        z = {i: self._logits(i, layers[i], y[i]) for i in transport.nodes}
        for level in self.levels:
            sums = collect(level, "partial logits", z, up)
            z = {i: z[i] + sums[i] for i in z}
        loss, right, dz = 0.0, 0.0, {i: np.zeros_like(z[i]) for i in z}
        if self.reader in z:
            loss, right, slopes = of_rows(self.loss, z[self.reader], labels)
            dz[self.reader] = np.ascontiguousarray(slopes)
        for level in reversed(self.levels):
            heard = spread(level, "dLoss/dlogits", dz, down)
            dz = {i: heard[i] if level.reads[i] else dz[i] for i in dz}
        delta = {}
        for i, layer in layers.items():
            width = len(self.layout.own[i])
            if i in self.reads:
                gradients[i][:, :width] = dz[i] @ y[i].T
            if i == self.reader:
                gradients[i][:, -1] = dz[i].sum(axis=1)
            delta[i] = layer[:, :width].T @ dz[i] if i in self.reads else np.zeros_like(y[i])
        return loss, right, delta

    def _logits(self, i: int, layer: Array, y: Array) -> Array:
        width = len(self.layout.own[i])
        z = layer[:, :width] @ y if i in self.reads else np.zeros((self.outputs, y.shape[1]), y.dtype)
        return z + layer[:, -1:] if i == self.reader else z


def tree(graph: Graph, reader: int, reads: Sequence[int], rows: int) -> list[Link]:
    """Links of shortest ways from ``reads`` to the reader, the farthest level first; in each, children read parents.

    A ``collect`` adds to every parent what its children have; a ``spread`` gives every child what its parent has.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order  # here, because importing pyham should not import SciPy

    both = graph.mutual
    edges = csr_array((np.ones(len(both.senders)), both.senders, both.starts), (both.nodes, both.nodes))
    _, parents = breadth_first_order(edges, reader)
    depth: dict[int, int] = {}
    for node in reads:
        way = [node]
        while way[-1] != reader:
            if parents[way[-1]] < 0:
                raise ValueError(f"reads: expected nodes with a way to the reader, node {reader}, got node {node}")
            way.append(int(parents[way[-1]]))
        depth |= {k: len(way) - 1 - place for place, k in enumerate(way)}
    levels = []
    for d in range(max(depth.values()), 0, -1):
        pattern = np.zeros((both.nodes, both.nodes), dtype=bool)
        for child in (k for k, at in depth.items() if at == d):
            pattern[child, parents[child]] = True
        levels.append(Link(pattern, (rows,) * len(graph)))
    return levels

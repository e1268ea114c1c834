"""A network whose nodes own their blocks and exchange messages: ``DistributedNetwork``, and ``distribute``."""

from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.activations import activation
from pyham.architectures.patterns import Ownership
from pyham.distributed import stepping, weights
from pyham.distributed.layout import Layout
from pyham.distributed.links import ByNode, Via, collect, spread
from pyham.distributed.one_round import OneRound
from pyham.distributed.transport import Mailbox, Place, Traffic, Transport
from pyham.engines.results import Adjoint
from pyham.network import Network

Array = np.ndarray[Any, Any]


class Passed:
    """A forward pass of the nodes that live here.

    Attributes
    ----------
    blocks : y_0 .. y_N, for each the blocks (n_i, B) by node
    kept : for every layer and stage, what the way back needs
    held : at each node, its weights, or in one-round networks copies of all that it needs
    states (N + 1, B, n) : the same gathered from all nodes;  output (B, n)
    """

    def __init__(
        self, net: "DistributedNetwork", blocks: list[ByNode], kept: list[list[stepping.Kept]], held: Any
    ) -> None:
        self._net, self.blocks, self.kept, self.held = net, blocks, kept, held

    @property
    def states(self) -> Array:
        return np.stack([self._net.gather_samples(blocks) for blocks in self.blocks])

    @property
    def output(self) -> Array:
        return self._net.gather_samples(self.blocks[-1])


class DistributedNetwork:
    """Nodes with their weights, and a transport between them; it computes what ``pyham.Network`` does.

    Parameters
    ----------
    layout : who owns what, and who reads what
    params : of the whole network, 0 outside the pattern; each node takes its rows
    transport : None for one process
    one_round : hold one round a pass and layer, with copies of neighbours' weights; refused where the patterns do not
        allow it

    Attributes
    ----------
    theta (P,) : the weights of the nodes that live here, changed in place while training
    weights : views of theta by node

    Methods that return dense arrays gather them from all nodes; over MPI all ranks must call them together.
    """

    def __init__(
        self, layout: Layout, params: Any, transport: Transport | None = None, *, one_round: bool = False
    ) -> None:
        self.one_round = OneRound(layout) if one_round else None
        self._way: Any = self.one_round or stepping
        self.layout = layout
        self.arch = layout.arch
        self.transport = Mailbox(layout.graphs) if transport is None else transport
        whole = Network(layout.arch, params)  # checks names, shapes and numbers
        if whole.dtype not in (np.float32, np.float64):
            raise TypeError(f"params: expected float32 or float64, got {whole.dtype}")
        self.transport.dtype = whole.dtype
        self.theta = weights.cut(layout, self.nodes, whole.params)
        self.weights = weights.views(layout, self.nodes, self.theta)
        self._sigma = activation(layout.arch.activation)

    def __repr__(self) -> str:
        return f"<DistributedNetwork {self.arch}, {self.layout.nodes} nodes, {len(self.nodes)} of them here>"

    @property
    def nodes(self) -> tuple[int, ...]:
        """Those that live here."""
        return self.transport.nodes

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.theta.dtype

    # What the nodes do

    def forward(self, x: ByNode) -> Passed:
        """All states from the blocks (n_i, B) of y_0."""
        blocks, kept = [x], []
        columns = next(iter(x.values())).shape[1]
        y = x
        held = self._held()
        for j, stages in enumerate(self.layout.stages):
            via = Via(self.transport, Place("forward pass", j), columns)
            inner = []
            for stage in stages:
                y, seen = self._way.forward(stage, self._sigma, held, j, y, via)
                inner.append(seen)
            blocks.append(y)
            kept.append(inner)
        return Passed(self, blocks, kept, held)

    def backward(self, passed: Passed, delta: ByNode, gradient: Array) -> list[ByNode]:
        """dLoss/dy_0 .. dLoss/dy_N by node, from that of y_N; fills ``gradient``, laid out as theta."""
        gradient[:] = 0
        stacks: ByNode = {}
        sums: Any = weights.views(self.layout, self.nodes, gradient)
        if self.one_round is not None:
            stacks = {i: np.zeros((self.one_round.weights.height[i], 1), self.dtype) for i in self.nodes}
            sums = self.one_round.parts(stacks)
        columns = next(iter(delta.values())).shape[1]
        deltas = [delta]
        for j in reversed(range(self.arch.depth)):
            via = Via(self.transport, Place("backward pass", j), columns)
            for stage, seen in reversed(list(zip(self.layout.stages[j], passed.kept[j], strict=True))):
                delta = self._way.backward(stage, self._sigma, passed.held, sums, j, seen, delta, via)
            deltas.append(delta)
        if self.one_round is not None:
            last = Via(self.transport, Place("backward pass", self.arch.depth), 1)
            own = collect(self.one_round.weights, "gradients", stacks, last)
            gradient[:] = np.concatenate([own[i].ravel() for i in self.nodes])
        return deltas[::-1]

    # What users see: samples are rows, whole states

    def __call__(self, x: object) -> Array:
        """y_N (B, n) from x (B, n)."""
        return self.trace(x).output

    def trace(self, x: object) -> Passed:
        """A forward pass from x (B, n), rounded to the weights' dtype; every node takes its own entries."""
        return self.forward(self.own_samples(_check.array("x", x, ("B", self.arch.width))))

    def adjoint(self, passed: Passed, g: object) -> Adjoint:
        """Backpropagation of g = dLoss/dy_N (B, n): ``.delta`` (N + 1, B, n), ``.params`` as those of ``gather()``."""
        batch = next(iter(passed.blocks[-1].values())).shape[1]
        own = self.own_samples(_check.array("g", g, (batch, self.arch.width)))
        gradient = np.empty_like(self.theta)
        deltas = self.backward(passed, own, gradient)
        whole = weights.join(self.layout, self.gather_weights(gradient))
        return Adjoint(np.stack([self.gather_samples(delta) for delta in deltas]), whole)

    def sensitivity(self, x: object) -> Array:
        """Backward sensitivity matrices (N + 1, B, n, n) as of ``Network.sensitivity``; node i computes its rows.

        Column c is what backpropagation makes of the c-th unit vector: each sample is passed through n times.
        """
        samples = _check.array("x", x, ("B", self.arch.width))
        B, n = samples.shape
        units = np.tile(np.eye(n), (B, 1))
        deltas = self.adjoint(self.trace(np.repeat(samples, n, axis=0)), units).delta
        return deltas.reshape(-1, B, n, n).swapaxes(2, 3)

    def gather(self) -> Network:
        """The whole network, a copy."""
        return Network(self.arch, weights.join(self.layout, self.gather_weights(self.theta)))

    @property
    def traffic(self) -> Traffic:
        """What all nodes have sent so far."""
        return self.transport.total()

    def _held(self) -> Any:
        """The weights that each node needs, as they are now; in a one-round network, copies that it is sent."""
        if self.one_round is None:
            return self.weights
        sizes = weights.sizes(self.layout)
        own = np.split(self.theta[:, None], np.cumsum([sizes[i] for i in self.nodes])[:-1])
        via = Via(self.transport, Place("forward pass", self.arch.depth), 1)
        flat = spread(self.one_round.weights, "weights", dict(zip(self.nodes, own, strict=True)), via)
        return self.one_round.parts(flat)

    # Between the two

    def own_samples(self, x: Array) -> ByNode:
        """Of x (B, n), the blocks (n_i, B) of the nodes that live here."""
        return {i: np.ascontiguousarray(x[:, self.layout.own[i]].T, dtype=self.dtype) for i in self.nodes}

    def gather_samples(self, blocks: ByNode) -> Array:
        """(B, n) from the blocks (n_i, B) of all nodes."""
        B = next(iter(blocks.values())).shape[1]
        flat = np.concatenate([blocks[i].ravel() for i in self.nodes])
        whole = self.transport.gather(flat, [B * len(own) for own in self.layout.own])
        result = np.empty((B, self.arch.width), self.dtype)
        result[:, np.concatenate(self.layout.own)] = whole.reshape(-1, B).T
        return result

    def gather_weights(self, flat: Array) -> Array:
        """Flat weights, or anything laid out like them, of all nodes, from those of the nodes here."""
        return self.transport.gather(flat, weights.sizes(self.layout))


def distribute(
    net: Network, graph: object, *, nodes: int | None = None, blocks: Ownership | None = None, pattern: object = None,
    restrict: bool = False, transport: Transport | None = None, one_round: bool = False,
) -> DistributedNetwork:  # fmt: skip
    """A network on a graph; the arguments are those of ``Layout`` and ``DistributedNetwork``.

    ``restrict`` sets entries of K outside the pattern to 0; without it, one that is not 0 is refused.
    """
    net = net.settled
    layout = Layout(net.arch, graph, nodes=nodes, blocks=blocks, pattern=pattern)
    params = weights.restrict(layout, net.params) if restrict else net.params
    return DistributedNetwork(layout, params, transport, one_round=one_round)

"""What a distributed training works on: ``DistributedModel``, ``pyham.training.model.PredictorModel`` on a graph."""

from types import ModuleType
from typing import Any

import numpy as np

from pyham.architectures.penalties import smoothness
from pyham.distributed import weights
from pyham.distributed.links import ByNode
from pyham.distributed.network import DistributedNetwork
from pyham.distributed.readout import Readout
from pyham.network import Network
from pyham.training import updates
from pyham.training.head import Head
from pyham.training.history import History
from pyham.training.interface import LayeredModel
from pyham.training.optimizers import Adam, Descent
from pyham.training.protocol import Protocol
from pyham.training.trained import kind_of

Array = np.ndarray[Any, Any]


class DistributedModel(LayeredModel):
    """A distributed network and its output layer. Phases and objective are those of ``PredictorModel``.

    Every node has its share of theta, of the gradient and of what the optimiser remembers; all optimisers of pyham work
    entry by entry. In theta (P,), the weights of the nodes that live here follow each other, then their shares of the
    output layer.
    """

    steps: ModuleType = updates  # plain NumPy: no rank has to compile

    def __init__(self, net: DistributedNetwork, readout: Readout, protocol: Protocol) -> None:
        super().__init__()
        self.net, self.readout, self.protocol = net, readout, protocol
        self.depth = net.arch.depth
        layer = np.zeros(sum(readout.sizes[i] for i in net.nodes), net.dtype)
        self.theta = np.concatenate([net.theta, layer])
        self.split = len(net.theta)
        net.theta = self.theta[: self.split]
        net.weights = weights.views(net.layout, net.nodes, net.theta)
        self.layer = readout.views(net.nodes, self.theta[self.split :])
        self._gradient = np.zeros_like(self.theta)
        self._layer_gradient = readout.views(net.nodes, self._gradient[self.split :])

    def gradient(self, phase: str, x: Array, labels: Array) -> tuple[float, float, Array]:
        passed = self.net.forward(self.net.own_samples(x))
        if phase == "weights":
            self._fit(passed.blocks[-1], labels)
        loss, right, delta = self._head(passed.blocks[-1], labels)
        gradient = self._gradient[: self.split]
        self.net.backward(passed, delta, gradient)
        self._penalties(gradient)
        if phase == "weights":
            return loss, right, gradient
        self._gradient[self.split :] += self.protocol.alpha_c * self.theta[self.split :]
        return loss, right, self._gradient

    def epoch(
        self, phase: str, descent: Descent, x: Array, labels: Array, order: Array, size: int, rates: Array
    ) -> tuple[float, float]:
        if phase != "output layer":
            return self._report(*super().epoch(phase, descent, x, labels, order, size, rates))
        features, total, right = self.features(x), 0.0, 0.0
        for k, rate in enumerate(rates.tolist()):
            rows = order[k * size : (k + 1) * size]
            loss, count, _ = self._head({i: y[:, rows] for i, y in features.items()}, labels[rows])
            gradient = self._gradient[self.split :] + self.protocol.alpha_c * self.theta[self.split :]
            descent.step(gradient, rate)
            total, right = total + loss * len(rows), right + count
        return self._report(total / len(order), right)

    def evaluate(self, phase: str, x: Array, labels: Array) -> tuple[float, float]:
        with np.errstate(over="ignore", invalid="ignore"):  # the run says it, once
            y = self.features(x) if phase == "output layer" else self.outputs(x)
            loss, right, _ = self._head(y, labels)
        return self._report(loss, right)

    def outputs(self, x: Array) -> ByNode:
        """Blocks (n_i, B) of y_N."""
        return self.net.forward(self.net.own_samples(x)).blocks[-1]

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """As of a network in one place; gathered from all nodes."""
        params = weights.join(self.net.layout, self.net.gather_weights(self.theta[: self.split]))
        return {"architecture": self.net.arch.config()}, {**params, "layer": self._whole_layer()}

    def take(self, params: dict[str, Array], layer: Array) -> None:
        """The reverse of ``describe``: every node takes its share.

        Raises
        ------
        ValueError
            If entries that no node owns are not 0.
        """
        self.theta[: self.split] = weights.cut(self.net.layout, self.net.nodes, params)
        if np.delete(layer, np.concatenate(self.readout.columns), axis=1).any():
            raise ValueError(f"layer: expected 0 but for nodes {self.readout.reads}, which are read, got others")
        for i, mine in self.layer.items():
            mine[...] = layer[:, self.readout.columns[i]]

    def classifier(self, history: History) -> Any:
        return kind_of(self.protocol.loss)(self.network(), Head(self._whole_layer(), self.protocol.loss), history)

    def network(self) -> Network:
        """Gathered from all nodes."""
        return self.net.gather()

    # Flat arrays laid out as ``trained(phase)``, of the nodes here and of all

    def gather(self, phase: str, flat: Array) -> Array:
        """Of all nodes: their weights, then their shares of the output layer, whichever the phase trains."""
        cut = {"weights": len(flat), "output layer": 0, "joint": self.split}[phase]
        own = flat[:0] if phase == "output layer" else self.net.gather_weights(flat[:cut])
        layer = flat[:0] if phase == "weights" else self.net.transport.gather(flat[cut:], self.readout.sizes)
        return np.concatenate([own, layer])

    def scatter(self, phase: str, whole: Array) -> Array:
        """The reverse of ``gather``: what belongs to the nodes here."""
        parts, start = [], 0
        sizes = {"weights": weights.sizes(self.net.layout), "output layer": self.readout.sizes}
        for name in ("weights", "output layer") if phase == "joint" else (phase,):
            ends = start + np.cumsum([0, *sizes[name]])
            parts += [whole[ends[i] : ends[i + 1]] for i in self.net.nodes]
            start = int(ends[-1])
        if start != len(whole):
            raise ValueError(f"optimizer: expected arrays of {start} entries, got {len(whole)}")
        return np.concatenate(parts)

    def _whole_layer(self) -> Array:
        """(C, n + 1), as of a network in one place: 0 where nobody reads."""
        flat = self.net.transport.gather(self.theta[self.split :], self.readout.sizes)
        layer = np.zeros((self.readout.outputs, self.net.arch.width + 1), self.theta.dtype)
        for i, mine in self.readout.views(range(self.net.layout.nodes), flat).items():
            layer[:, self.readout.columns[i]] = mine
        return layer

    def _head(self, y: ByNode, labels: Array) -> tuple[float, float, ByNode]:
        return self.readout.head(self.net.transport, self.layer, y, labels, self._layer_gradient)

    def _fit(self, y: ByNode, labels: Array) -> None:
        """A fresh output layer, as ``pyham.training.updates.fit`` makes it."""
        layer, protocol = self.theta[self.split :], self.protocol
        layer[:] = 0
        descent = Descent(Adam(), layer)
        for _ in range(protocol.inner_steps):
            self._head(y, labels)
            descent.step(self._gradient[self.split :] + protocol.alpha_c * layer, protocol.layer_rate)

    def _penalties(self, gradient: Array) -> None:
        """Adds the gradients of smoothness and decay: every node's own rows, and in them what its layers may have."""
        alpha = self.protocol.alpha * self.net.arch.step
        sums = weights.views(self.net.layout, self.net.nodes, gradient)
        for i, mine in self.net.weights.items() if alpha and self.depth > 1 else ():
            masks: tuple[Any, ...] = *weights.allowed(self.net.layout, i), 1
            for value, total, mask in zip((*mine.K, mine.b), (*sums[i].K, sums[i].b), masks, strict=True):
                _, (slope,) = smoothness([value], 1.0)
                total += alpha * slope * mask
        if self.protocol.decay:
            gradient += self.protocol.decay * self.net.theta

    def _report(self, loss: float, right: float) -> tuple[float, float]:
        """Loss and count, from where the reader lives: for the history and for nothing that nodes compute."""
        here = self.readout.reader in self.net.nodes
        flat = np.array([loss, right] if here else [], np.float64)
        known = self.net.transport.gather(flat, [2 * (i == self.readout.reader) for i in range(self.net.layout.nodes)])
        return float(known[0]), float(known[1])

"""What a training works on: ``Model``, parameters with the gradient of an objective; and ``NetworkModel``.

The loop over epochs, batches, rates and files (``pyham.training.loop``) knows models only; another kind of network
brings another model.
"""

from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

import numpy as np

from pyham.architectures.base import Architecture
from pyham.architectures.stages import Stages
from pyham.engines.choice import Backend, select
from pyham.engines.results import Trace
from pyham.network import Network
from pyham.training import multilevel, updates
from pyham.training.classifier import Classifier
from pyham.training.history import History
from pyham.training.losses import LOSSES
from pyham.training.optimizers import Adam, Descent
from pyham.training.protocol import Protocol

Array = np.ndarray[Any, Any]


class Model(ABC):
    """Parameters and the gradient of an objective in them.

    Attributes
    ----------
    theta (P,) : all parameters, changed in place while training
    depth : layers, for the history
    steps : ``pyham.training.updates`` or its compiled twin, which the optimiser uses
    """

    theta: Array
    depth: int
    steps: ModuleType

    @abstractmethod
    def trained(self, phase: str) -> Array:
        """The part of theta that this phase trains, a view."""

    @abstractmethod
    def gradient(self, phase: str, x: Array, labels: Array) -> tuple[float, int, Array]:
        """Of a batch: the mean loss, the number of samples classified right, the objective's gradient in trained()."""

    @abstractmethod
    def evaluate(self, phase: str, x: Array, labels: Array) -> tuple[float, int]:
        """Mean loss on x (B, ...) and the number of samples classified right."""

    def begin(self, phase: str) -> None:  # noqa: B027  most models have nothing to prepare
        """Prepare for that phase, from whatever came before."""

    def deepen(self, prolongation: str) -> "Model":
        """The model of twice the depth."""
        raise ValueError(f"levels: expected 1, since {type(self).__name__} has no other depths, got more")

    @abstractmethod
    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain data and named arrays: all that is to be kept in a file."""

    @abstractmethod
    def classifier(self, history: History) -> Any:
        """What users get, a copy that further training leaves alone; ``net`` is the network in it."""

    def epoch(
        self, phase: str, descent: Descent, x: Array, labels: Array, order: Array, size: int, rates: Array
    ) -> tuple[float, int]:
        """One pass over the samples in the order ``order``, one step for every batch of ``size``.

        Returns the mean loss and the number of samples classified right, each measured before the step that follows.
        """
        total, right = 0.0, 0
        for k, rate in enumerate(rates.tolist()):
            rows = order[k * size : (k + 1) * size]
            loss, count, gradient = self.gradient(phase, x[rows], labels[rows])
            descent.step(gradient, rate)
            total, right = total + loss * len(rows), right + count
        return total / len(order), right


class NetworkModel(Model):
    """A network and a linear output layer on y_N.

    Phases: "weights", the papers' scheme: for every batch a fresh output layer is fitted to the fixed features, and the
    gradient is that of the weights through it; "output layer", which keeps the weights; "joint", which trains all.

    Attributes
    ----------
    theta (P,) : the parameters in the order of arch.shapes, then the layer
    params : views of theta by name;  layer (C, n + 1) : a view, rows (w_c, mu_c)
    """

    def __init__(self, net: Network, outputs: int, protocol: Protocol, backend: Backend = "numba") -> None:
        self.arch: Architecture = net.arch
        self.depth = net.arch.depth
        self.protocol, self.backend = protocol, backend
        self.engine, self.steps = select(backend, net.dtype), updates.select(backend)
        self.code = list(LOSSES).index(protocol.loss)
        n, shapes = self.arch.width, self.arch.shapes
        layer = np.zeros((outputs, n + 1), net.dtype)
        self.theta = np.concatenate([net.params[name].ravel() for name in shapes] + [layer.ravel()])
        ends = np.cumsum([net.params[name].size for name in shapes])
        *pieces, last = np.split(self.theta, ends)
        self.params = {name: piece.reshape(shapes[name]) for name, piece in zip(shapes, pieces, strict=True)}
        self.weights, self.layer = self.theta[: ends[-1]], last.reshape(layer.shape)
        self._gradient = np.empty_like(self.theta)
        self._layer_gradient = self._gradient[ends[-1] :].reshape(layer.shape)
        self._inner = Adam()
        self._features: dict[int, tuple[Array, Array]] = {}

    def network(self) -> Network:
        """The network as it is now, a copy."""
        return Network(self.arch, self.params)

    def trained(self, phase: str) -> Array:
        return {"weights": self.weights, "output layer": self.layer.reshape(-1), "joint": self.theta}[phase]

    def begin(self, phase: str) -> None:
        self._features.clear()
        if phase == "output layer":
            self.layer[:] = 0

    def gradient(self, phase: str, x: Array, labels: Array) -> tuple[float, int, Array]:
        stages, passed = self._forward(x)
        y = np.ascontiguousarray(passed.output.T)
        if phase == "weights":
            self._fit(y, labels)
        delta = np.empty_like(y)
        loss, right = self.steps.head(self.code, self.layer, y, labels, self._layer_gradient, delta)
        self._backward(stages, passed, delta.T)
        if phase == "joint":
            self._layer_gradient += self.protocol.alpha_c * self.layer
        return loss, right, self._gradient[: len(self.weights)] if phase == "weights" else self._gradient

    def epoch(
        self, phase: str, descent: Descent, x: Array, labels: Array, order: Array, size: int, rates: Array
    ) -> tuple[float, int]:
        if phase != "output layer":
            return super().epoch(phase, descent, x, labels, order, size, rates)
        adam, slots = self._inner, (s.reshape(self.layer.shape) for s in descent.slots.values())
        result = self.steps.fit_epoch(
            self.code, self.layer, *slots, self.features(x), labels, order, size, descent.t, rates,
            self.protocol.alpha_c, adam.betas, adam.eps,
        )  # fmt: skip
        descent.t += len(rates)
        return result

    def evaluate(self, phase: str, x: Array, labels: Array) -> tuple[float, int]:
        y = self.features(x) if phase == "output layer" else self._output(x)
        return self.steps.head(self.code, self.layer, y, labels, np.empty_like(self.layer), np.empty_like(y))

    def deepen(self, prolongation: str) -> "NetworkModel":
        deeper = NetworkModel(
            multilevel.prolong(self.network(), prolongation), len(self.layer), self.protocol, self.backend
        )
        deeper.layer[:] = self.layer
        return deeper

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        return {"architecture": self.arch.config()}, {**self.params, "layer": self.layer}

    def classifier(self, history: History) -> Classifier:
        w, mu = self.layer[:, :-1].T.copy(), self.layer[:, -1].copy()
        if self.protocol.loss == "logistic":
            return Classifier(self.network(), w[:, 0], float(mu[0]), history.loss, history)
        return Classifier(self.network(), w, mu, history.loss, history)

    def features(self, x: Array) -> Array:
        """y_N (n, B), kept for the array x until the next phase."""
        if id(x) not in self._features:
            self._features[id(x)] = x, self._output(x)  # with x, whose identity would otherwise be another array's
        return self._features[id(x)][1]

    def _fit(self, y: Array, labels: Array) -> None:
        protocol, adam = self.protocol, self._inner
        self.steps.fit(
            self.code, self.layer, y, labels, protocol.inner_steps, protocol.layer_rate, protocol.alpha_c, adam.betas,
            adam.eps,
        )  # fmt: skip

    # The engine's calls, all of them

    def _output(self, x: Array) -> Array:
        return np.ascontiguousarray(self.engine.forward(self.arch.lower(self.params), x).T)

    def _forward(self, x: Array) -> tuple[Stages, Trace]:
        stages = self.arch.lower(self.params)
        return stages, self.engine.run(stages, x)

    def _backward(self, stages: Stages, passed: Trace, delta: Array) -> None:
        """The weights' part of the gradient, from delta = dLoss/dy_N (B, n), with the penalties."""
        _, _, stage_gradients = self.engine.back(stages, passed, delta)
        gradients = self.arch.pullback(stage_gradients)
        weights = self._gradient[: len(self.weights)]
        np.concatenate([gradients[name].ravel() for name in self.arch.shapes], out=weights)
        if self.protocol.alpha:
            _, penalty = self.arch.smoothness(self.params)
            weights += self.protocol.alpha * np.concatenate([penalty[name].ravel() for name in self.arch.shapes])
        if self.protocol.decay:
            weights += self.protocol.decay * self.weights

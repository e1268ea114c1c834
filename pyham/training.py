"""Training a network with a linear output layer on two classes, by the papers' alternating scheme.

For every batch a fresh output layer (w, mu), started at zero, is fitted to the fixed features y_N by a few Adam steps;
then the weights take one Adam step through it. After all epochs the output layer alone is trained. The objective is

    mean over the batch of log(1 + exp z) - label z,  z = y_N w + mu
    + alpha * smoothness(K, b) + decay / 2 ||parameters||^2 + alpha_c / 2 (||w||^2 + mu^2)

The public implementation of the papers resets Adam's step counter to the epoch's number, for its first two tensors
only; here Adam is the plain method.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyham import _check, losses, regularization
from pyham.engine import Backend, select
from pyham.lowering import Architecture
from pyham.network import Network
from pyham.optimizers import Adam

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Protocol:
    """Hyperparameters; the defaults are the papers'."""

    epochs: int = 50
    batch: int = 125
    rate: float = 0.05
    inner_steps: int = 10
    output_epochs: int = 50
    alpha: float = 5e-4
    alpha_c: float = 1e-4
    decay: float = 0.0

    def __post_init__(self) -> None:
        for name, minimum in (("epochs", 0), ("batch", 1), ("inner_steps", 1), ("output_epochs", 0)):
            _check.integer(name, getattr(self, name), minimum)
        _check.positive("rate", self.rate)


class Epoch(NamedTuple):
    """What a callback hears: epochs done, of how many, the mean objective's data part, and the phase.

    ``network()`` is the network as it is now, a copy that further training leaves alone.
    """

    done: int
    total: int
    loss: float
    phase: str
    network: Callable[[], Network]


@dataclass(frozen=True)
class Classifier:
    """A network and its output layer: logits are net(x) @ w + mu."""

    net: Network
    w: Array
    mu: float
    losses: Array

    def logits(self, x: object, *, backend: Backend = "numba") -> Array:
        """z (B,) of x (B, n)."""
        return np.asarray(self.net(x, backend=backend) @ self.w + self.mu)

    def accuracy(self, x: object, labels: Array, *, backend: Backend = "numba") -> float:
        """Share of samples on the right side of z = 0."""
        return float(((self.logits(x, backend=backend) > 0) == labels).mean())


def train(
    net: Network,
    x: object,
    labels: object,
    *,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    callback: Callable[[Epoch], None] | None = None,
    backend: Backend = "numba",
) -> Classifier:
    """Train ``net`` on x (B, n) and labels (B,) in {0, 1}; the parameters' dtype is that of the computation.

    Returns
    -------
    Classifier, with ``losses`` (epochs + output_epochs,), the mean data part of the objective in each epoch

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    settings = protocol or Protocol()
    data = _check.array("x", x, ("B", net.arch.width)).astype(net.dtype)
    target = _check.array("labels", labels, (len(data),))
    if not np.isin(target, (0, 1)).all():
        raise ValueError(f"labels: expected 0 and 1, got {target[~np.isin(target, (0, 1))][0]}")
    if not len(data):
        raise ValueError("x: expected at least one sample, got none")
    target = target.astype(net.dtype)
    generator = _check.generator(rng)
    total = settings.epochs + settings.output_epochs
    history = []

    def report(loss: float, phase: str) -> None:
        history.append(loss)
        if callback:
            callback(Epoch(len(history), total, loss, phase, model.network))

    model = _Trainable(net.arch, net.params, select(backend, net.dtype))
    adam = Adam(model.theta, settings.rate)
    for _ in range(settings.epochs):
        loss = 0.0
        for rows in _batches(generator, len(data), settings.batch):
            loss += len(rows) / len(data) * _alternate(model, adam, data[rows], target[rows], settings)
        report(loss, "weights")

    features = model.network()(data, backend=backend)
    layer = np.zeros(net.arch.width + 1, net.dtype)
    adam = Adam(layer, settings.rate)
    for _ in range(settings.output_epochs):
        loss = 0.0
        for rows in _batches(generator, len(data), settings.batch):
            loss += len(rows) / len(data) * _fit(layer, adam, features[rows], target[rows], settings.alpha_c)
        report(loss, "output layer")
    return Classifier(model.network(), layer[:-1], float(layer[-1]), np.array(history))


class _Trainable:
    """An architecture's parameters as one flat array ``theta`` with named views: an optimiser sees one array."""

    def __init__(self, arch: Architecture, params: Any, engine: Any) -> None:
        self.arch, self.engine = arch, engine
        self.theta = np.concatenate([params[name].ravel() for name in arch.shapes])
        ends = np.cumsum([params[name].size for name in arch.shapes])
        pieces = np.split(self.theta, ends[:-1])
        self.params = {
            name: piece.reshape(shape) for (name, shape), piece in zip(arch.shapes.items(), pieces, strict=True)
        }

    def network(self) -> Network:
        return Network(self.arch, self.params)

    def flat(self, gradients: Any) -> Array:
        return np.concatenate([gradients[name].ravel() for name in self.arch.shapes])


def _alternate(model: _Trainable, adam: Adam, x: Array, labels: Array, settings: Protocol) -> float:
    """Fit a fresh output layer to the features of this batch, then one step of the weights through it."""
    stages = model.arch.lower(model.params)
    states = model.engine.trace(stages, x)
    y = np.ascontiguousarray(states[-1])
    layer = np.zeros(y.shape[1] + 1, y.dtype)
    inner = Adam(layer, settings.rate)
    for _ in range(settings.inner_steps):
        _fit(layer, inner, y, labels, settings.alpha_c)
    loss, dz = losses.logistic(y @ layer[:-1] + layer[-1], labels)
    _, gradients = model.engine.adjoint(stages, states, dz[:, None] * layer[:-1])
    _, penalty = regularization.smoothness(model.arch, model.params)
    weights = model.flat(model.arch.pullback(gradients)) + settings.alpha * model.flat(penalty)
    adam.step(weights + settings.decay * model.theta)
    return loss


def _fit(layer: Array, adam: Adam, y: Array, labels: Array, alpha_c: float) -> float:
    """One step of the output layer (w, mu) on fixed features y (B, n); returns the loss before it."""
    loss, dz = losses.logistic(y @ layer[:-1] + layer[-1], labels)
    adam.step(np.append(dz @ y, dz.sum()) + alpha_c * layer)
    return loss


def _batches(generator: np.random.Generator, count: int, size: int) -> list[Array]:
    order = generator.permutation(count)
    return [order[start : start + size] for start in range(0, count, size)]

"""The training of a network between what makes its state and an output layer: ``PredictorModel``."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.chain import AnyStages
from pyham.architectures.lift import DenseLift, Lift
from pyham.engines.choice import Backend, select
from pyham.engines.results import Parts, Pixels
from pyham.network import Network
from pyham.training import multilevel, updates
from pyham.training.head import Head, scaled
from pyham.training.history import History
from pyham.training.interface import LayeredModel, Samples, Targets
from pyham.training.losses import CLASSES, LOSSES, Loss, Weighted, of_rows
from pyham.training.optimizers import Adam, Descent
from pyham.training.predictor import Predictor
from pyham.training.protocol import Protocol
from pyham.training.stored import Stored

Array = np.ndarray[Any, Any]

PIECE = 1000  # images whose logits are computed at once


class PredictorModel(LayeredModel):
    """A classifier or a regression in training: lift, network and output layer.

    Of points x is what ``Predictor.prepared`` gives. Labels are integers (B,), or values (B, C); or ``Weighted``. Both
    may be ``Stored``: then nothing of their size is kept, the features of the output layer's phase neither.

    With ``shift`` s, every image of an epoch is moved by a random number of pixels from -s to s, down and to the right.
    The shifts, and the noise of the protocol, are drawn from a generator seeded with the epoch's order of samples,
    which decides them: a training that goes on from a file has the same ones.

    Attributes
    ----------
    theta (P,) : the lift, the parameters in the order of arch.shapes, then the output layer
    params : views of the network's part by name;  layer (C, n + 1) : a view, rows (w_c, mu_c)
    lift : views, or None
    """

    def __init__(self, first: Predictor, protocol: Protocol, backend: Backend = "numba", shift: int = 0) -> None:
        super().__init__()
        self.first = first
        self.arch, self.depth = first.net.arch, first.net.arch.depth
        self.protocol, self.backend, self.gain, self.shift = protocol, backend, first.head.gain, shift
        self.engine, self.steps = select(backend, first.net.dtype), updates.select(backend)
        self.code = list(LOSSES).index(protocol.loss)
        values = first.describe()[1]
        self.theta = np.concatenate([value.ravel() for value in values.values()])
        self._gradient = np.empty_like(self.theta)
        self._views, slopes = (_cut(flat, values) for flat in (self.theta, self._gradient))
        self.layer, self._layer_gradient = self._views["layer"], slopes["layer"]
        self.params = {name: self._views[name] for name in self.arch.shapes}
        self.lift = None if first.lift is None else type(first.lift)(self._views["lift"], self._views["lift_bias"])
        self.split = self.theta.size - self.layer.size
        self._start = sum(part.size for part in self.lift or ())  # of the network's parameters
        self._inner = Adam()

    def network(self) -> Network:
        """The network as it is now, a copy."""
        return Network(self.arch, self.params)

    def batches(self, x: Samples, labels: Targets, order: Array, size: int) -> Iterator[tuple[Any, ...]]:
        drawn = np.random.default_rng(order[:16].tolist())
        if not self.first.images:
            for rows, truth in super().batches(x, labels, order, size):
                noise = self.protocol.noise
                yield (rows + noise * drawn.standard_normal(rows.shape, x.dtype) if noise else rows), truth
            return
        shifts = drawn.integers(-self.shift, self.shift, (len(order), 2), endpoint=True)
        for k, batch in enumerate(super().batches(x, labels, order, size)):
            yield *batch, shifts[k * size : (k + 1) * size]

    def gradient(
        self, phase: str, x: Array, labels: Targets, shifts: Array | None = None
    ) -> tuple[float, float, Array]:
        stages = self.arch.lower(self.params)
        of_lift: Lift | DenseLift | None
        if isinstance(self.lift, Lift):
            moved = np.zeros((len(x), 2), np.int64) if shifts is None else shifts
            loss, right, of_lift, found = self._of_images(self.lift, stages, x, labels, moved)
        else:
            loss, right, of_lift, found = self._of_points(phase, stages, x, labels)
        if of_lift is not None:
            found |= {"lift": of_lift.kernel, "lift_bias": of_lift.bias}
        weights = self._gradient[: self.split]
        names = [name for name in self._views if name != "layer"]
        np.concatenate([found[name].ravel() for name in names], out=weights)
        if self.protocol.alpha:
            _, penalty = self.arch.smoothness(self.params)
            slopes = [penalty[name].ravel() for name in self.arch.shapes]
            weights[self._start :] += self.protocol.alpha * np.concatenate(slopes)
        if self.protocol.decay:
            weights += self.protocol.decay * self.theta[: self.split]
        if phase == "weights":
            return loss, right, weights
        self._layer_gradient += self.protocol.alpha_c * self.layer
        return loss, right, self._gradient

    def _of_points(
        self, phase: str, stages: AnyStages, x: Array, labels: Targets
    ) -> tuple[float, float, DenseLift | None, dict[str, Array]]:
        """Loss, number of right ones and the gradients of lift and network; fills the output layer's."""
        passed = self.engine.run(stages, self._entering(x))
        y = np.ascontiguousarray(passed.output.T)
        if phase == "weights":
            self._fit(y, labels)
        delta = np.empty_like(y)
        loss, right = self._head_of(labels).head(self.code, self.layer, y, labels, self._layer_gradient, delta)
        _, delta_0, sums = self.engine.back(stages, passed, delta.T)
        found = self.arch.gradients(sums, self.params, passed.output, delta.T)
        return loss, right, self.lift.gradient(x, delta_0) if isinstance(self.lift, DenseLift) else None, found

    def _entering(self, x: Array) -> Array:
        """y_0 of points."""
        return x if self.lift is None else self.lift.apply(x)

    def _head_of(self, labels: Targets) -> ModuleType:
        """What computes the output layer: compiled for plain classes, in NumPy for values and weights."""
        return self.steps if self.protocol.loss in CLASSES and not isinstance(labels, Weighted) else updates

    def _of_images(
        self, lift: Lift, stages: AnyStages, x: Array, labels: Targets, shifts: Array
    ) -> tuple[float, float, Lift, dict[str, Array]]:  # fmt: skip
        """As ``_of_points``, and the gradient of the lift; an engine may do all of it in one kernel."""
        loss_of, rows = LOSSES[self.protocol.loss], np.arange(len(x))
        parts = Parts(lift, stages, *scaled(self.layer, self.gain))
        truth = labels
        if isinstance(labels, Weighted):
            truth, loss_of = labels.values, _weighted(loss_of, labels.weights)
        loss, right, sums = self.engine.classifier_gradient(parts, loss_of, Pixels(x, truth, shifts, rows))
        gain = np.asarray(self.gain, self.theta.dtype)
        self._layer_gradient[:, :-1] = gain * sums.layer
        self._layer_gradient[:, -1] = gain * sums.mu
        C = self.arch.output_shape[0]
        ends = (sums.layer * parts.layer).sum(axis=0).reshape(C, -1).sum(axis=1)  # dLoss/dy_N y_N of all samples
        return loss, right, sums.lift, self.arch.gradients_at(sums.stages, self.params, ends)

    def epoch(
        self, phase: str, descent: Descent, x: Samples, labels: Targets, order: Array, size: int, rates: Array
    ) -> tuple[float, float]:
        if phase != "output layer":
            return super().epoch(phase, descent, x, labels, order, size, rates)
        adam, slots = self._inner, [s.reshape(self.layer.shape) for s in descent.slots.values()]
        first, total, right = descent.t, 0.0, 0
        for y, truth, rows in self._fixed(x, labels, order, size):
            some = rates[descent.t - first :][: -(-len(rows) // size)]
            total, right = self._head_of(labels).fit_epoch(
                self.code, self.layer, *slots, y, truth, rows, size, descent.t, some, self.protocol.alpha_c,
                adam.betas, adam.eps, total, right,
            )  # fmt: skip
            descent.t += len(some)
        return total / max(1, len(order)), right

    def _fixed(self, x: Samples, labels: Targets, order: Array, size: int) -> Iterator[tuple[Array, Targets, Array]]:
        """Features y_N (n, ..), labels, and in which order they are trained on: all, or of ``Stored`` some batches."""
        if not (isinstance(x, Stored) or isinstance(labels, Stored)):
            yield self.features(x), labels, order
            return
        several = size * max(1, _check.PART // (self._numbers(x) * size))
        for start in range(0, len(order), several):
            rows = order[start : start + several]
            yield self.outputs(x[rows]), labels[rows], np.arange(len(rows))

    def evaluate(self, phase: str, x: Samples, labels: Targets) -> tuple[float, float]:
        if not self.first.images:
            steps, z = self._head_of(labels), np.empty((len(self.layer), len(x)), self.theta.dtype)
            kept = self.features(x) if phase == "output layer" and not isinstance(x, Stored) else None
            for run in _check.runs(len(x), self._numbers(x)):
                y = self.outputs(x[run]) if kept is None else np.ascontiguousarray(kept[:, run])
                steps.logits(self.layer, y, part := np.empty((len(z), y.shape[1]), z.dtype))
                z[:, run] = part
            return steps.value(self.code, z, labels[:])
        parts = Parts(self.lift, self.arch.lower(self.params), *scaled(self.layer, self.gain))
        pieces = [x[start : start + PIECE] for start in range(0, len(x), PIECE)]
        z = np.concatenate([self.engine.logits(parts, piece) for piece in pieces])
        loss, right, _ = of_rows(self.protocol.loss, z.T, labels[:])
        return loss, right

    def deepen(self, prolongation: str) -> "PredictorModel":
        deeper = replace(self.classifier(History.of([])), net=multilevel.prolong(self.network(), prolongation))
        return PredictorModel(deeper, self.protocol, self.backend, self.shift)

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        return self.first.describe()[0], self._views

    def classifier(self, history: History) -> Any:
        head = Head(self.layer.copy(), self.protocol.loss, self.gain)
        lift = None if self.lift is None else type(self.lift)(*(part.copy() for part in self.lift))
        return replace(self.first, net=self.network(), head=head, history=history, lift=lift)

    def _numbers(self, x: Samples) -> int:
        """How many a sample has, before the network or in it, whichever are more."""
        return max(math.prod(x.shape[1:]), math.prod(self.arch.shape))

    def outputs(self, x: Array) -> Array:
        """y_N (n, B)."""
        return np.ascontiguousarray(self.engine.forward(self.arch.lower(self.params), self._entering(x)).T)

    def _fit(self, y: Array, labels: Targets) -> None:
        protocol, adam = self.protocol, self._inner
        self._head_of(labels).fit(
            self.code, self.layer, y, labels, protocol.inner_steps, protocol.layer_rate, protocol.alpha_c, adam.betas,
            adam.eps,
        )  # fmt: skip


def _weighted(loss: Loss, weights: Array) -> Loss:
    """A loss of samples with these weights."""
    return lambda z, labels: loss(z, labels, weights)


def _cut(flat: Array, like: Mapping[str, Array]) -> dict[str, Array]:
    """Views of a flat array (P,), by name and in the shapes of ``like``."""
    ends = np.cumsum([value.size for value in like.values()])
    pieces = np.split(flat, ends[:-1])
    return {name: piece.reshape(value.shape) for (name, value), piece in zip(like.items(), pieces, strict=True)}

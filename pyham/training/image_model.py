"""``ImageModel``: an image network and the gradient of its objective, for the loop over epochs.

The objective is the mean softmax loss of a batch

    + alpha * smoothness(K, b) + decay / 2 ||lift, K, b||^2 + alpha_c / 2 (||layer||^2 + ||mu||^2)

With ``shift`` s, every image of an epoch is moved by a random number of pixels from -s to s, down and to the right. The
shifts are drawn from a generator seeded with the epoch's order of images, which decides them: a training that goes on
from a file has the same ones.
"""

from typing import Any

import numpy as np

from pyham.architectures.image_base import head_of, lift_of
from pyham.engines.choice import Backend
from pyham.training import updates
from pyham.training.history import History
from pyham.training.image_network import ImageClassifier, ImageNetwork, engine
from pyham.training.losses import softmax
from pyham.training.model import Model
from pyham.training.optimizers import Descent
from pyham.training.protocol import Protocol

Array = np.ndarray[Any, Any]

PIECE = 1000  # images whose logits are computed at once


class ImageModel(Model):
    """An image network in training; the one phase is "joint".

    Attributes
    ----------
    theta (P,) : the parameters in the order of arch.shapes;  params : views of it by name
    """

    def __init__(self, net: ImageNetwork, protocol: Protocol, shift: int, backend: Backend = "numba") -> None:
        self.arch, self.depth, self.protocol, self.shift = net.arch, net.arch.depth, protocol, shift
        self.engine, self.steps = engine(backend, net.dtype), updates.select(backend)
        self.theta = np.concatenate([net.params[name].ravel() for name in self.arch.shapes])
        self.params = self._views(self.theta)
        self._gradient = np.empty_like(self.theta)
        self._slopes = self._views(self._gradient)

    def trained(self, phase: str) -> Array:
        return self.theta

    def gradient(self, phase: str, x: Array, labels: Array) -> tuple[float, int, Array]:
        rows = np.arange(len(x))
        return self.objective(x, labels, np.zeros((len(x), 2), np.int64), rows)

    def objective(self, x: Array, labels: Array, shifts: Array, rows: Array) -> tuple[float, int, Array]:
        """Of the images ``rows`` of x, moved by ``shifts``: mean loss, how many are right, the objective's gradient."""
        params, protocol, slopes = self.params, self.protocol, self._slopes
        loss, right, sums = self.engine.gradient(
            lift_of(params), self.arch.lower(params), *head_of(self.arch, params), x, labels, shifts, rows
        )
        found = self.arch.pullback(sums.groups)
        found |= {"lift": sums.lift.kernel, "lift_bias": sums.lift.bias}
        gain = np.asarray(self.arch.gain, self.theta.dtype)
        found |= {"layer": gain * sums.layer, "mu": gain * sums.mu}
        penalty = self.arch.smoothness(params)[1] if protocol.alpha else {}
        for name, slope in slopes.items():
            slope[...] = found[name]
            if name in penalty:
                slope += protocol.alpha * penalty[name]
            factor = protocol.alpha_c if name in ("layer", "mu") else protocol.decay
            if factor:
                slope += factor * params[name]
        return loss, right, self._gradient

    def epoch(
        self, phase: str, descent: Descent, x: Array, labels: Array, order: Array, size: int, rates: Array
    ) -> tuple[float, int]:
        total, right = 0.0, 0
        drawn = np.random.default_rng(order[:16].tolist())
        shifts = drawn.integers(-self.shift, self.shift, (len(order), 2), endpoint=True)
        for k, rate in enumerate(rates.tolist()):
            part = slice(k * size, (k + 1) * size)
            loss, count, gradient = self.objective(x, labels, shifts[part], order[part])
            descent.step(gradient, rate)
            total, right = total + loss * len(order[part]), right + count
        return total / len(order), right

    def evaluate(self, phase: str, x: Array, labels: Array) -> tuple[float, int]:
        head = head_of(self.arch, self.params)
        lift, groups = lift_of(self.params), self.arch.lower(self.params)
        pieces = [x[start : start + PIECE] for start in range(0, len(x), PIECE)]
        z = np.concatenate([self.engine.logits(lift, groups, *head, piece) for piece in pieces])
        return softmax(z, labels)[0], int((z.argmax(axis=1) == labels).sum())

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        return {"architecture": self.arch.config()}, self.params

    def classifier(self, history: History) -> ImageClassifier:
        return ImageClassifier(ImageNetwork(self.arch, self.params), history.loss, history)

    def _views(self, flat: Array) -> dict[str, Array]:
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.arch.shapes.values()])
        pieces = np.split(flat, ends[:-1])
        return {name: p.reshape(shape) for (name, shape), p in zip(self.arch.shapes.items(), pieces, strict=True)}

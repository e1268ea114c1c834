"""Monitors of a training: callbacks that measure sensitivities and gradients, per sample, with their bounds.

    watch = Sensitivities(x, every=5)
    train(net, ..., callback=watch)
    watch.norms[2]        # ||dy_N/dy_0||_2 of every sample after epoch watch.epochs[2]

Norms are of single samples, since the norm of a batch's mean hides what happens in it. ``Monitors`` combines several.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.training import losses
from pyham.training.saver import Epoch
from pyham.verification import bounds
from pyham.verification.atlas import atlas

Array = np.ndarray[Any, Any]


class Monitors:
    """Several callbacks as one: each hears every epoch."""

    def __init__(self, *callbacks: Callable[[Epoch], None]) -> None:
        self.callbacks = callbacks

    def __call__(self, epoch: Epoch) -> None:
        for callback in self.callbacks:
            callback(epoch)


class _Monitor(ABC):
    """What monitors share: they look after every ``every`` epochs; ``epochs`` says when they have looked."""

    def __init__(self, x: object, every: int, backend: Backend) -> None:
        self.x = _check.array("x", x, ("B", "n"))
        if not len(self.x):
            raise ValueError("x: expected at least one sample, got none")
        self.every, self.backend = _check.integer("every", every, 1), backend
        self._epochs: list[int] = []

    @property
    def epochs(self) -> Array:
        """Epochs done at each look (looks,)."""
        return np.array(self._epochs, dtype=np.int64)

    def __call__(self, epoch: Epoch) -> None:
        if epoch.done % self.every == 0:
            self._look(epoch)
            self._epochs.append(epoch.done)

    @abstractmethod
    def _look(self, epoch: Epoch) -> None:
        """Measure after this epoch."""


class Sensitivities(_Monitor):
    """Norms ||Phi_0||_2 = ||dy_N/dy_0||_2 of the samples x (B, n) along a training, and the bounds from the weights.

    Attributes
    ----------
    norms (looks, B) : of every sample;  smallest (looks, B) : its smallest singular value
    log_upper, log_lower (looks,) : natural logarithms of the sharp bounds, which hold for every singular value of every
        sample; log_lower is NaN for networks that have none (``pyham.bounds``)
    """

    def __init__(self, x: object, *, every: int = 1, backend: Backend = "numba") -> None:
        super().__init__(x, every, backend)
        self._rows: list[tuple[Array, Array, float, float]] = []

    def _look(self, epoch: Epoch) -> None:
        found = atlas(epoch.network(), self.x, backend=self.backend)
        values = found.singular_values[0]
        lower = np.nan if found.log_lower is None else float(found.log_lower[0])
        self._rows.append((values[:, 0].copy(), values[:, -1].copy(), float(found.log_upper["sharp"][0]), lower))

    @property
    def norms(self) -> Array:
        return np.array([row[0] for row in self._rows]).reshape(-1, len(self.x))

    @property
    def smallest(self) -> Array:
        return np.array([row[1] for row in self._rows]).reshape(-1, len(self.x))

    @property
    def log_upper(self) -> Array:
        return np.array([row[2] for row in self._rows])

    @property
    def log_lower(self) -> Array:
        return np.array([row[3] for row in self._rows])


class Gradients(_Monitor):
    """Norms of the loss's gradients delta_j = dLoss/dy_j of the samples x (B, n) along a training.

    The loss is that of single samples, so delta_j is a row of each sample's own. Labels (B,) are classes, or values
    (B, C) in the units that the network is trained on.

    Attributes
    ----------
    norms (looks, N + 1, B) : ||delta_j||_2, j = 0 .. N; looks at networks of different depth make a list
    ratios (looks, N + 1, B) : ||delta_j|| / ||delta_N||, which lies between the bounds
    log_upper, log_lower (looks, N + 1) : natural logarithms of the bounds on the ratios; log_lower is NaN where a
        network has none
    """

    def __init__(self, x: object, labels: object, *, every: int = 1, backend: Backend = "numba") -> None:
        super().__init__(x, every, backend)
        self.labels = _check.array("labels", labels, None)
        if self.labels.shape[:1] != (len(self.x),):
            raise ValueError(f"labels: expected {len(self.x)} of them, got shape {self.labels.shape}")
        self.norms: list[Array] = []
        self.ratios: list[Array] = []
        self.log_upper: list[Array] = []
        self.log_lower: list[Array] = []

    def _look(self, epoch: Epoch) -> None:
        classifier = epoch.classifier()
        net = classifier.net
        trace = net.trace(self.x, backend=self.backend)
        logits, loss = trace.output @ classifier.w + classifier.mu, classifier.head.loss
        labels = self.labels.astype(np.int64) if loss in losses.CLASSES else self.labels.reshape(len(self.x), -1)
        _, dz = losses.LOSSES[loss](logits, labels)
        output = len(self.x) * (np.outer(dz, classifier.w) if dz.ndim == 1 else dz @ classifier.w.T)
        delta = net.adjoint(trace, output, backend=self.backend).delta
        self.norms.append(np.linalg.norm(delta.astype(np.float64), axis=-1))
        self.ratios.append(bounds.gradient_ratio(delta))
        upper, lower = bounds.log_upper(net), bounds.log_lower(net)
        self.log_upper.append(upper)
        self.log_lower.append(np.full_like(upper, np.nan) if lower is None else lower)

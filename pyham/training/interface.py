"""What a training works on: ``Model``, parameters with the gradient of an objective; and ``LayeredModel``.

The loop over epochs, batches, rates and files (``pyham.training.loop``) knows models only; another kind of network
brings another model.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from pyham.training.history import History
from pyham.training.optimizers import Descent

Array = np.ndarray[Any, Any]
Samples = Any  # an array (B, ...), or ``pyham.training.stored.Stored``
Targets = Any  # labels (B,), values (B, C), or either ``Weighted``


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
    def gradient(self, phase: str, x: Array, labels: Targets) -> tuple[float, float, Array]:
        """Of a batch: the mean loss, the number of samples classified right, the objective's gradient in trained()."""

    @abstractmethod
    def evaluate(self, phase: str, x: Samples, labels: Targets) -> tuple[float, float]:
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

    def network(self) -> Any:
        """The network alone, a copy too."""
        return self.classifier(History.of([])).net

    def batches(self, x: Samples, labels: Targets, order: Array, size: int) -> Iterator[tuple[Any, ...]]:
        """What ``gradient`` is given, batch by batch: samples, labels, and what else a model may want."""
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield x[rows], labels[rows]

    def epoch(
        self, phase: str, descent: Descent, x: Samples, labels: Targets, order: Array, size: int, rates: Array
    ) -> tuple[float, float]:
        """One pass over the samples in the order ``order``, one step for every batch of ``size``.

        Returns the mean loss and the number of samples classified right, each measured before the step that follows.
        """
        total, right = 0.0, 0.0
        for batch, rate in zip(self.batches(x, labels, order, size), rates.tolist(), strict=True):
            loss, count, gradient = self.gradient(phase, *batch)
            descent.step(gradient, rate)
            total, right = total + loss * len(batch[1]), right + count
        return total / len(order), right


class LayeredModel(Model):
    """A model whose theta ends with an output layer on y_N, from the index ``split`` on.

    Phases: "weights", the papers' scheme: for every batch a fresh output layer is fitted to the fixed features, and the
    gradient is that of the weights through it; "output layer", which keeps the weights; "joint", which trains all.
    """

    split: int

    def __init__(self) -> None:
        self._features: dict[int, tuple[Array, Any]] = {}

    @abstractmethod
    def outputs(self, x: Array) -> Any:
        """y_N of the samples x (B, ...), samples last."""

    def trained(self, phase: str) -> Array:
        parts = {"weights": self.theta[: self.split], "output layer": self.theta[self.split :], "joint": self.theta}
        return parts[phase]

    def begin(self, phase: str) -> None:
        self._features.clear()
        if phase == "output layer":
            self.trained(phase)[:] = 0

    def features(self, x: Array) -> Any:
        """``outputs``, kept for the array x until the next phase."""
        if id(x) not in self._features:
            self._features[id(x)] = x, self.outputs(x)  # with x, whose identity would otherwise be another array's
        return self._features[id(x)][1]

"""``Classifier``: a trained network that tells classes apart; of points, rows of tables and images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pyham.architectures.activations import ACTIVATIONS
from pyham.engines.choice import Backend
from pyham.training.losses import CLASSES
from pyham.training.predictor import Predictor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Classifier(Predictor):
    __doc__ = f"A classifier, with classes 0 .. C - 1. {Predictor.__doc__}"

    LOSSES = CLASSES
    KIND: ClassVar[str] = "classifier"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units is not None:
            raise ValueError("units: expected none for classes, got a scaling")

    def __repr__(self) -> str:
        return f"<Classifier {self.net.arch}, {self.classes} classes, {self.net.dtype}>"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return 2 if self.head.loss == "logistic" else len(self.head.layer)

    def predict(self, x: object, *, backend: Backend = "numba") -> Array:
        """Classes (B,): the sign of z, or the largest."""

        def chosen(z: Array) -> Array:
            return (z > 0).astype(np.int64) if z.ndim == 1 else z.argmax(axis=1)

        return self._of_logits(chosen, x, backend)

    def probabilities(self, x: object, *, backend: Backend = "numba") -> Array:
        """The probability of every class (B, C), as the loss understands the logits."""
        z = self.logits(x, backend=backend)
        if z.ndim == 1:
            logistic = ACTIVATIONS["logistic"].sigma
            return np.stack([logistic(-z), logistic(z)], axis=1)
        odds = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def accuracy(self, x: object, labels: object, *, backend: Backend = "numba") -> float:
        """Share of samples classified right."""
        return float((self.predict(x, backend=backend) == np.asarray(labels)).mean())

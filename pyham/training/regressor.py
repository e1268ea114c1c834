"""``Regressor``: a trained network whose outputs are values."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.training.losses import VALUES
from pyham.training.predictor import Predictor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Regressor(Predictor):
    __doc__ = f"A regression, of C values. {Predictor.__doc__}"

    LOSSES = VALUES
    KIND: ClassVar[str] = "regressor"

    def __repr__(self) -> str:
        count = len(self.head.layer)
        return f"<Regressor {self.net.arch}, {count} value{'s' * (count > 1)}, {self.net.dtype}>"

    def predict(self, x: object, *, backend: Backend = "numba") -> Array:
        """Values (B, C): z in the units of the training data, or after the Poisson loss the means exp(z)."""
        z = self.logits(x, backend=backend)
        if self.head.loss == "poisson":
            return np.exp(z)
        return z if self.units is None else self.units.undo(z).astype(z.dtype)

    def score(self, x: object, values: object, *, backend: Backend = "numba") -> float:
        """R^2, the mean over the outputs: 1 minus the squared errors' sum over that of the distances from the mean."""
        found = self.predict(x, backend=backend).astype(np.float64)
        truth = _check.array("values", values, None).astype(np.float64).reshape(found.shape)
        errors, spread = ((truth - part) ** 2 for part in (found, truth.mean(axis=0)))
        return float((1 - errors.sum(axis=0) / spread.sum(axis=0)).mean())

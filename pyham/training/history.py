"""What a training was like, epoch by epoch: ``History``. No times, so that equal trainings have equal histories."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

COLUMNS = ("loss", "accuracy", "rate", "validation_loss", "validation_accuracy")


@dataclass(frozen=True, eq=False)
class History:
    """Arrays (E,), one entry for each of the E epochs done so far.

    Parameters
    ----------
    phase : names, "weights", "output layer" or "joint"
    depth : layers of the network trained
    loss, accuracy : on the training data, the mean over the batches, each before the step that it led to
    rate : learning rate at the epoch's beginning
    validation_loss, validation_accuracy : after the epoch; NaN without validation data. While the weights are trained
        alternatingly, with the output layer that the last batch was fitted with
    """

    phase: tuple[str, ...]
    depth: Array
    loss: Array
    accuracy: Array
    rate: Array
    validation_loss: Array
    validation_accuracy: Array

    def __len__(self) -> int:
        """Epochs E."""
        return len(self.phase)

    @classmethod
    def of(cls, rows: list[Mapping[str, Any]]) -> "History":
        """From one mapping of the names above for each epoch."""
        columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in COLUMNS}
        depth = np.array([row["depth"] for row in rows], dtype=np.int64)
        return cls(tuple(str(row["phase"]) for row in rows), depth, **columns)

    def to_dict(self) -> dict[str, list[Any]]:
        """Lists, with None for NaN: plain data for JSON."""
        plain = {name: [v if np.isfinite(v) else None for v in getattr(self, name).tolist()] for name in COLUMNS}
        return {"phase": list(self.phase), "depth": self.depth.tolist()} | plain

"""What a training was like, epoch by epoch: ``History``. No times, so that equal trainings have equal histories."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham import _check

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

    def plain(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain data and arrays, as files have them, from which ``rows`` reads the history back."""
        header = {"phases": list(self.phase), "depths": self.depth.tolist()}
        return header, {f"history/{name}": getattr(self, name) for name in COLUMNS}


def rows(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[Mapping[str, Any]]:
    """The rows of a history, one for each epoch, from what ``History.plain`` gave.

    Raises
    ------
    KeyError, TypeError, ValueError
        If header and arrays have none.
    """
    phases, depths = header["phases"], header["depths"]
    if not isinstance(phases, list) or not isinstance(depths, list) or len(phases) != len(depths):
        raise ValueError("phases, depths: expected two lists of one length")
    columns: dict[str, list[Any]] = {"phase": list(map(str, phases))}
    columns["depth"] = [_check.integer_of_bits("depths", depth, 53) for depth in depths]
    for name in COLUMNS:
        values = _check.array(f"history/{name}", arrays[f"history/{name}"], (len(phases),), finite=False)
        columns[name] = values.astype(np.float64).tolist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

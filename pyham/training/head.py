"""The output layer, which is linear in y_N: ``Head``."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Head:
    """The output layer: z = gain (y_N w^T + mu), y_N (B, n) flat: logits of classes, or values.

    A step of Adam changes every parameter by about its rate, and z by a sum of such changes over n features; a gain
    below 1 trains the output layer more slowly than what is before it.

    Parameters
    ----------
    layer (C, n + 1) : rows (w_c, mu_c); C = 1 for the logistic loss
    loss : a name of ``pyham.training.losses``
    gain : a positive number
    """

    layer: Array
    loss: str = "softmax"
    gain: float = 1.0

    @property
    def scaled(self) -> tuple[Array, Array]:
        """gain w (C, n) and gain mu (C,)."""
        return scaled(self.layer, self.gain)


def scaled(layer: Array, gain: float) -> tuple[Array, Array]:
    """gain w (C, n) and gain mu (C,) of a layer (C, n + 1)."""
    whole = np.asarray(gain, layer.dtype) * layer
    return np.ascontiguousarray(whole[:, :-1]), whole[:, -1].copy()

"""Losses of a linear output layer, with their gradients."""

from typing import Any

import numpy as np

from pyham.activations import ACTIVATIONS

Array = np.ndarray[Any, Any]

_logistic, _softplus = ACTIVATIONS["logistic"].sigma, ACTIVATIONS["softplus"].sigma


def logistic(logits: Array, labels: Array) -> tuple[float, Array]:
    """Mean binary cross-entropy of logits z (B,) and labels l (B,) in {0, 1}, and its gradient dLoss/dz (B,).

    Per sample log(1 + exp z) - l z, which does not overflow; the gradient is (1 / (1 + exp(-z)) - l) / B.
    """
    loss = (_softplus(logits) - labels * logits).mean() if len(logits) else 0.0
    return float(loss), (_logistic(logits) - labels) / max(1, len(logits))

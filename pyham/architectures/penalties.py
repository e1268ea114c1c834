"""Penalties on the weights, with their gradients."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def smoothness(weights: Sequence[Array], step: float) -> tuple[Any, list[Array]]:
    """(h / 2) sum_j ||K_{j+1} - K_j||_F^2 over several K (N, ...), and its gradients.

    The weights are values of functions of time, and this asks them to change slowly. The penalty is a float, or complex
    for complex weights (squares, not moduli: a complex step goes through).
    """
    penalty: Any = 0.0
    gradients = []
    for K in weights:
        steps = K[1:] - K[:-1]
        penalty = penalty + (steps * steps).sum()
        gradient = np.zeros_like(K)  # the transpose of the difference
        gradient[:-1] -= steps
        gradient[1:] += steps
        gradients.append(np.asarray(step, K.dtype) * gradient)
    return (step / 2 * penalty).item(), gradients

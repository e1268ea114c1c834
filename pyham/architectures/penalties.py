"""Penalties on the weights, with their gradients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyham.architectures.base import Architecture

Array = np.ndarray[Any, Any]


def smoothness(arch: Architecture, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
    """(h / 2) sum_j ||K_{j+1} - K_j||_F^2 + ||b_{j+1} - b_j||^2, and its gradients, named as the parameters.

    The weights are values of functions of time, and this asks them to change slowly. K is the assembled matrix. The
    penalty is a float, or complex for complex parameters (squares, not moduli: a complex step goes through).
    """
    K_steps = np.diff(arch.assemble(params), axis=0)
    b_steps = np.diff(params["b"], axis=0)
    penalty = arch.step / 2 * ((K_steps * K_steps).sum() + (b_steps * b_steps).sum())
    gradients = arch.collect(arch.step * _transposed_difference(K_steps, arch.depth))
    return penalty.item(), {**gradients, "b": arch.step * _transposed_difference(b_steps, arch.depth)}


def _transposed_difference(steps: Array, count: int) -> Array:
    """The transpose of ``np.diff`` along the first axis: (N - 1, ...) to (N, ...), N = ``count``."""
    result = np.zeros((count, *steps.shape[1:]), steps.dtype)
    result[:-1] -= steps
    result[1:] += steps
    return result

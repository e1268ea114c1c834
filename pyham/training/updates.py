"""What training does apart from the network: steps of optimisers, and the linear output layer. In plain NumPy.

``pyham.engines.compiled.updates`` is this file compiled: same names, same arguments, same steps, for integer labels
without weights. ``select`` chooses.

Symbols
-------
theta, gradient (P,) : parameters and the gradient of the objective; everything named first is changed in place
layer (C, n + 1) : the output layer, rows (w_c, mu_c); logits z_c = w_c^T y + mu_c. C = 1 for the logistic loss
y (n, B), labels : features, samples last; and integer labels (B,), values (B, C), or either with weights
code : index of the loss in ``pyham.training.losses.LOSSES``
"""

import sys
from typing import Any

import numpy as np

from pyham.engines.choice import Backend
from pyham.training.losses import LOSSES, Weighted, of_rows

Array = np.ndarray[Any, Any]


def select(backend: Backend) -> Any:
    """This module or its compiled twin: the latter for the compiled engine alone."""
    if backend != "numba":
        return sys.modules[__name__]

    from pyham.engines.compiled import (
        updates as compiled_updates,  # here, because importing pyham should not import Numba
    )

    return compiled_updates


def sgd(theta: Array, velocity: Array, gradient: Array, rate: float, momentum: float, nesterov: bool) -> None:
    """velocity <- momentum velocity + gradient; theta <- theta - rate (velocity, or gradient + momentum velocity)."""
    velocity *= momentum
    velocity += gradient
    theta -= rate * (gradient + momentum * velocity if nesterov else velocity)


def adam(
    theta: Array, m: Array, v: Array, gradient: Array, t: int, rate: float, betas: tuple[float, float], eps: float,
    decay: float,
) -> None:  # fmt: skip
    """Step t = 1, 2, .. of Adam, with decoupled weight decay.

    theta <- (1 - rate decay) theta
    m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
    theta <- theta - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
    """
    beta1, beta2 = betas
    theta *= 1 - rate * decay
    m += (1 - beta1) * (gradient - m)
    v += (1 - beta2) * (gradient * gradient - v)
    theta -= rate / (1 - beta1**t) * m / (np.sqrt(v / (1 - beta2**t)) + eps)


def head(
    code: int, layer: Array, y: Array, labels: Array | Weighted, gradient: Array, delta: Array
) -> tuple[float, float]:  # fmt: skip
    """Loss and number of samples classified right; gradient (C, n + 1) <- dLoss/dlayer, delta (n, B) <- dLoss/dy."""
    z = np.empty((len(layer), y.shape[1]), y.dtype)
    logits(layer, y, z)
    loss, right, dz = of_rows(list(LOSSES)[code], z, labels)
    gradient[:, :-1] = dz @ y.T
    gradient[:, -1] = dz.sum(axis=1)
    delta[:] = layer[:, :-1].T @ dz
    return loss, right


def fit(
    code: int, layer: Array, y: Array, labels: Array | Weighted, steps: int, rate: float, alpha_c: float,
    betas: tuple[float, float], eps: float,
) -> None:  # fmt: skip
    """layer <- what ``steps`` steps of Adam make of 0 on the fixed features y, with alpha_c / 2 ||layer||^2."""
    layer[:] = 0
    m, v, gradient, delta = np.zeros_like(layer), np.zeros_like(layer), np.empty_like(layer), np.empty_like(y)
    for t in range(1, steps + 1):
        head(code, layer, y, labels, gradient, delta)
        adam(layer, m, v, gradient + alpha_c * layer, t, rate, betas, eps, 0.0)


def fit_epoch(
    code: int, layer: Array, m: Array, v: Array, y: Array, labels: Array | Weighted, order: Array, size: int, t: int,
    rates: Array, alpha_c: float, betas: tuple[float, float], eps: float, total: float, right: float,
) -> tuple[float, float]:  # fmt: skip
    """An epoch of Adam on fixed features, or a part of one, in batches of ``size`` in the order ``order`` (B,).

    Before it were t steps, whose losses had the sum ``total`` over their samples, of which ``right`` were classified
    right. ``rates`` has one rate for each batch. Returns both sums afterwards; a loss is taken before the step that it
    leads to.
    """
    gradient = np.empty_like(layer)
    for k, start in enumerate(range(0, len(order), size)):
        rows = order[start : start + size]
        batch = y[:, rows]
        loss, count = head(code, layer, batch, labels[rows], gradient, np.empty_like(batch))
        total, right = total + loss * len(rows), right + count
        adam(layer, m, v, gradient + alpha_c * layer, t + k + 1, rates[k], betas, eps, 0.0)
    return total, right


def logits(layer: Array, y: Array, z: Array) -> None:
    """z (C, B) <- w y + mu."""
    z[:] = layer[:, :-1] @ y + layer[:, -1:]


def value(code: int, z: Array, labels: Array | Weighted) -> tuple[float, float]:
    """Mean loss of the logits z (C, B), and how many samples they classify right."""
    loss, right, _ = of_rows(list(LOSSES)[code], z, labels)
    return loss, right

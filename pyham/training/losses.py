"""Losses of a classifier, with their gradients.

Both are means over the samples of -log(probability of the right class). They work on complex logits too (the branches
look at real parts only), so that a complex step through them gives exact derivatives.

=========  ====================  ==========================  =================================================
name       logits                per sample                  gradient times B
=========  ====================  ==========================  =================================================
logistic   z (B,), two classes   log(1 + exp(s z))           s / (1 + exp(-s z)) with s = 1 - 2 l = +-1
softmax    z (B, C), C classes   log(sum_c exp z_c) - z_l    exp z_c / (sum_k exp z_k), minus 1 where c = l
=========  ====================  ==========================  =================================================

Written with s, and with the sum over the wrong classes in place of p - 1, no difference of nearly equal numbers is
taken where a sample is classified with confidence: every entry of the gradients is accurate, not only the largest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pyham.architectures.activations import ACTIVATIONS

Array = np.ndarray[Any, Any]

_logistic, _softplus = ACTIVATIONS["logistic"].sigma, ACTIVATIONS["softplus"].sigma


def logistic(logits: Array, labels: Array) -> tuple[Any, Array]:
    """Mean binary cross-entropy of logits z (B,) and labels l (B,) in {0, 1}, and its gradient dLoss/dz (B,).

    Neither overflows. The loss is a float, or complex for complex logits; of no samples it is 0.
    """
    sign = (1 - 2 * labels).astype(logits.real.dtype)
    loss = _softplus(sign * logits).sum() / max(1, len(logits))
    return loss.item(), sign * _logistic(sign * logits) / max(1, len(logits))


def softmax(logits: Array, labels: Array) -> tuple[Any, Array]:
    """Mean cross-entropy of logits z (B, C) and labels l (B,) in 0 .. C - 1, and its gradient dLoss/dz (B, C).

    Neither overflows. The loss is a float, or complex for complex logits; of no samples it is 0.
    """
    samples = np.arange(len(logits))
    shifted = logits - logits.real.max(axis=1, keepdims=True)  # the largest exponential is 1
    gradient = np.exp(shifted)
    right = gradient[samples, labels]
    gradient[samples, labels] = 0
    wrong = gradient.sum(axis=1)
    loss = (np.log(wrong + right) - shifted[samples, labels]).sum() / max(1, len(logits))
    gradient[samples, labels] = -wrong
    return loss.item(), gradient / (wrong + right)[:, None] / max(1, len(logits))


def of_rows(name: str, z: Array, labels: Array) -> tuple[Any, int, Array]:
    """Mean loss, how many samples are classified right, and dLoss/dz (C, B), from logits z (C, B), samples last."""
    if name == "logistic":
        loss, dz = logistic(z[0], labels)
        return loss, int(((z[0] > 0) == (labels == 1)).sum()), dz[None]
    loss, dz = softmax(z.T, labels)
    return loss, int((z.argmax(axis=0) == labels).sum()), dz.T


#: By name. The order is that of the branches in ``pyham.engines.compiled.updates``.
LOSSES: dict[str, Callable[[Array, Array], tuple[Any, Array]]] = {"logistic": logistic, "softmax": softmax}

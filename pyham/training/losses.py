"""Losses, with their gradients: of classifiers, and of regression with any number of outputs.

All are means over the samples, and work on complex logits too (the branches look at real parts only), so that a complex
step through them gives exact derivatives. Classes are numbers l; values are t (B, C), one column for each output.

=========  ====================  ==================================  =================================================
name       logits                per sample                          gradient times B
=========  ====================  ==================================  =================================================
logistic   z (B,), two classes   log(1 + exp(s z))                   s / (1 + exp(-s z)) with s = 1 - 2 l = +-1
softmax    z (B, C), C classes   log(sum_c exp z_c) - z_l            exp z_c / (sum_k exp z_k), minus 1 where c = l
squared    z (B, C), C values    1/2 sum_c (z_c - t_c)^2             z_c - t_c
huber      z (B, C), C values    sum_c of r^2 / 2 where |r| <= 1,    r = z_c - t_c, cut off at -1 and 1
                                 |r| - 1/2 elsewhere
poisson    z (B, C), log means   sum_c exp z_c - t_c - t_c (z_c -    exp z_c - t_c
                                 log t_c), half the deviance
=========  ====================  ==================================  =================================================

With weights w (B,) the loss is the mean of w times the sample's loss; ``Weighted`` makes their mean 1. A network whose
values are scaled to unit variance sees Huber's threshold at one standard deviation.

For classes, written with s, and with the sum over the wrong classes in place of p - 1, no difference of nearly equal
numbers is taken where a sample is classified with confidence: every entry of the gradients is accurate, not only the
largest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham.architectures.activations import ACTIVATIONS

Array = np.ndarray[Any, Any]
Loss = Callable[..., tuple[Any, Array]]

_logistic, _softplus = ACTIVATIONS["logistic"].sigma, ACTIVATIONS["softplus"].sigma


@dataclass(frozen=True, eq=False)
class Weighted:
    """Labels or values (B, ..) of samples that count with weights (B,), which have the mean 1 over the whole set.

    Values may be ``pyham.training.stored.Stored``; those of some rows are an array.
    """

    values: Any
    weights: Array

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "Weighted":
        return Weighted(self.values[rows], self.weights[rows])


def logistic(logits: Array, labels: Array, weights: Array | None = None) -> tuple[Any, Array]:
    """Mean binary cross-entropy of logits z (B,) and labels l (B,) in {0, 1}, and its gradient dLoss/dz (B,).

    Neither overflows. The loss is a float, or complex for complex logits; of no samples it is 0.
    """
    sign = (1 - 2 * labels).astype(logits.real.dtype)
    return _mean(_softplus(sign * logits), sign * _logistic(sign * logits), weights)


def softmax(logits: Array, labels: Array, weights: Array | None = None) -> tuple[Any, Array]:
    """Mean cross-entropy of logits z (B, C) and labels l (B,) in 0 .. C - 1, and its gradient dLoss/dz (B, C).

    Neither overflows. The loss is a float, or complex for complex logits; of no samples it is 0.
    """
    samples = np.arange(len(logits))
    shifted = logits - logits.real.max(axis=1, keepdims=True)  # the largest exponential is 1
    gradient = np.exp(shifted)
    right = gradient[samples, labels]
    gradient[samples, labels] = 0
    wrong = gradient.sum(axis=1)
    losses = np.log(wrong + right) - shifted[samples, labels]
    gradient[samples, labels] = -wrong
    return _mean(losses, gradient / (wrong + right)[:, None], weights)


def squared(outputs: Array, values: Array, weights: Array | None = None) -> tuple[Any, Array]:
    """Mean of half the squared distance of outputs z (B, C) from values t (B, C), and its gradient dLoss/dz (B, C)."""
    rest = outputs - values
    return _mean((rest * rest).sum(axis=1) / 2, rest, weights)


def huber(outputs: Array, values: Array, weights: Array | None = None) -> tuple[Any, Array]:
    """Mean of the sum of Huber's function of z - t (B, C), and its gradient: none exceeds 1."""
    rest = outputs - values
    sign, near = np.sign(rest.real), np.abs(rest.real) <= 1
    losses = np.where(near, rest * rest / 2, sign * rest - rest.dtype.type(0.5))
    return _mean(losses.sum(axis=1), np.where(near, rest, sign), weights)


def poisson(outputs: Array, values: Array, weights: Array | None = None) -> tuple[Any, Array]:
    """Mean of half the Poisson deviance of means exp(z) (B, C) and counts t >= 0 (B, C), and its gradient dLoss/dz.

    Close to exp(z) = t, rounding errors are those of numbers of the size of t: its differences are taken as they stand.
    """
    means = np.exp(outputs)
    logs = np.log(np.where(values > 0, values, 1)).astype(values.dtype)
    return _mean((means - values - values * (outputs - logs)).sum(axis=1), means - values, weights)


def _mean(losses: Array, slopes: Array, weights: Array | None) -> tuple[Any, Array]:
    """The mean of losses (B,), and slopes (B, ..) divided by B, both weighted."""
    if weights is not None:
        losses = weights * losses
        slopes = weights.reshape(-1, *[1] * (slopes.ndim - 1)) * slopes
    count = max(1, len(losses))
    return (losses.sum() / count).item(), slopes / count


#: Of classes. The order is that of the branches in ``pyham.engines.compiled.updates``.
CLASSES: dict[str, Loss] = {"logistic": logistic, "softmax": softmax}
#: Of values, in regression.
VALUES: dict[str, Loss] = {"squared": squared, "huber": huber, "poisson": poisson}
LOSSES: dict[str, Loss] = CLASSES | VALUES


def of_rows(name: str, z: Array, targets: Array | Weighted) -> tuple[Any, float, Array]:
    """Mean loss, how many samples are classified right, and dLoss/dz (C, B), from logits z (C, B), samples last.

    The number is NaN for losses of values.
    """
    weights = targets.weights if isinstance(targets, Weighted) else None
    truth = targets.values if isinstance(targets, Weighted) else targets
    if name == "logistic":
        loss, dz = logistic(z[0], truth, weights)
        return loss, int(((z[0] > 0) == (truth == 1)).sum()), dz[None]
    loss, dz = LOSSES[name](z.T, truth, weights)
    return loss, int((z.argmax(axis=0) == truth).sum()) if name in CLASSES else np.nan, dz.T

"""``Classifier``: a network with a linear output layer; and the checks of the samples that one is trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.network import Network
from pyham.training.history import History

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Classifier:
    """A network and its output layer: logits are net(x) @ w + mu.

    Parameters
    ----------
    w, mu : (n,) and a number after the logistic loss, (n, C) and (C,) after softmax
    losses (E,) : the mean loss in each epoch;  history : these and more
    """

    net: Network
    w: Array
    mu: Any
    losses: Array
    history: History | None = None

    def logits(self, x: object, *, backend: Backend = "numba") -> Array:
        """z (B,), or (B, C) after softmax, of x (B, n)."""
        return np.asarray(self.net(x, backend=backend) @ self.w + self.mu)

    def predict(self, x: object, *, backend: Backend = "numba") -> Array:
        """Classes (B,) of x (B, n): the sign of z, or the largest."""
        z = self.logits(x, backend=backend)
        return (z > 0).astype(np.int64) if z.ndim == 1 else z.argmax(axis=1)

    def accuracy(self, x: object, labels: Array, *, backend: Backend = "numba") -> float:
        """Share of samples classified right."""
        return float((self.predict(x, backend=backend) == labels).mean())


def samples(
    x_name: str, labels_name: str, x: object, labels: object, net: Network, loss: str, classes: int | None = None
) -> tuple[Array, Array]:
    """x (B, n) in the network's dtype and labels (B,) as integers: 0 and 1, or each of 0 .. C - 1 at least once.

    With ``classes`` they are C known ones, of which some may be missing.
    """
    data = _check.array(x_name, x, ("B", net.arch.width)).astype(net.dtype)
    given = _check.array(labels_name, labels, (len(data),))
    if loss == "logistic" and not np.isin(given, (0, 1)).all():
        raise ValueError(f"{labels_name}: expected 0 and 1, got {given[~np.isin(given, (0, 1))][0]:g}")
    if not len(data):
        raise ValueError(f"{x_name}: expected at least one sample, got none")
    top = classes or min(given.max() + 1, len(given))
    wrong = given[~np.isin(given, np.arange(top))]
    if loss == "softmax" and len(wrong):
        raise ValueError(f"{labels_name}: expected integers from 0 to C - 1, got {wrong[0]:g} among {len(given)}")
    if loss == "softmax" and not classes and len(np.unique(given)) < top:
        raise ValueError(f"{labels_name}: expected every class from 0 to {given.max():g} at least once")
    return data, given.astype(np.int64)

"""Gradient descent methods. They update a flat array of parameters in place."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Adam:
    """Adam (Kingma and Ba, 2015): steps of about ``rate`` against the gradient, scaled entry by entry.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        theta <- theta - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Parameters
    ----------
    theta (P,) : the parameters, changed in place by ``step``
    """

    def __init__(
        self, theta: Array, rate: float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        self.theta, self.rate, self.beta1, self.beta2, self.eps = theta, rate, beta1, beta2, eps
        self.m, self.v = np.zeros_like(theta), np.zeros_like(theta)
        self.t = 0

    def step(self, gradient: Array) -> None:
        """One step against ``gradient`` (P,)."""
        self.t += 1
        self.m += (1 - self.beta1) * (gradient - self.m)
        self.v += (1 - self.beta2) * (gradient * gradient - self.v)
        size = np.sqrt(self.v / (1 - self.beta2**self.t)) + self.eps
        self.theta -= self.rate / (1 - self.beta1**self.t) * self.m / size

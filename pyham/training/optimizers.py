"""Methods of gradient descent as data, and ``Descent``, one of them at work on a flat array of parameters.

======  ==========================================================================  ===================================
name    step                                                                        source
======  ==========================================================================  ===================================
SGD     u <- momentum u + g; theta <- theta - rate u, or rate (g + momentum u)      Polyak 1964, Nesterov 1983
Adam    m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2,               Kingma and Ba 2015
        theta <- theta - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
AdamW   theta <- (1 - rate decay) theta, then as Adam                               Loshchilov and Hutter 2019
======  ==========================================================================  ===================================
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from pyham import _check
from pyham.training import updates

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SGD:
    """Steps of ``rate`` against the gradient, with ``momentum``, looking ahead if ``nesterov``."""

    momentum: float = 0.0
    nesterov: bool = False

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    def __post_init__(self) -> None:
        _fraction("momentum", self.momentum)
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"nesterov: expected True or False, got {type(self.nesterov).__name__}")

    def step(self, steps: ModuleType, theta: Array, slots: list[Array], gradient: Array, t: int, rate: float) -> None:
        """Step t = 1, 2, .. of theta (P,) and the slots (P,), in place, by ``updates`` or its compiled twin."""
        steps.sgd(theta, *slots, gradient, rate, self.momentum, self.nesterov)


@dataclass(frozen=True)
class Adam:
    """Steps of about ``rate`` against the gradient, scaled entry by entry."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    decay: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _fraction("beta1", self.beta1)
        _fraction("beta2", self.beta2)
        _check.positive("eps", self.eps)

    @property
    def betas(self) -> tuple[float, float]:
        return float(self.beta1), float(self.beta2)

    def step(self, steps: ModuleType, theta: Array, slots: list[Array], gradient: Array, t: int, rate: float) -> None:
        """Step t = 1, 2, .. of theta (P,) and the slots (P,), in place, by ``updates`` or its compiled twin."""
        steps.adam(theta, *slots, gradient, t, rate, self.betas, self.eps, self.decay)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam, and ``decay``: every step also shrinks the parameters by the factor 1 - rate decay."""

    decay: float = 0.01  # type: ignore[misc]  # here a field

    def __post_init__(self) -> None:
        super().__post_init__()
        if _check.number("decay", self.decay) < 0:
            raise ValueError(f"decay: expected a number >= 0, got {self.decay}")


Optimizer = SGD | Adam

OPTIMIZERS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in (SGD, Adam, AdamW)}


class Descent:
    """A method at work: ``step`` changes theta (P,) in place. What it remembers is in ``slots`` and ``t``.

    Parameters
    ----------
    method : the optimiser
    theta (P,) : the parameters
    steps : ``pyham.training.updates`` (plain NumPy, the default) or its compiled twin

    Attributes
    ----------
    slots : the method's arrays by name, (P,) each, zero at first
    t : steps taken
    """

    def __init__(self, method: Optimizer, theta: Array, steps: ModuleType = updates) -> None:
        self.method, self.theta, self.steps = method, theta, steps
        self.slots = {name: np.zeros_like(theta) for name in method.slots}
        self.t = 0
        self._slots = list(self.slots.values())

    def step(self, gradient: Array, rate: float) -> None:
        """One step of size ``rate`` against ``gradient`` (P,)."""
        self.t += 1
        self.method.step(self.steps, self.theta, self._slots, gradient, self.t, rate)


def _fraction(argument: str, value: object) -> None:
    if not 0 <= _check.number(argument, value) < 1:
        raise ValueError(f"{argument}: expected a number from 0 to below 1, got {value}")

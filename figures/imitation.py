"""What the papers' public implementation does otherwise than their protocol, imitated: ten seeds of it in a minute.

Before every step it sets Adam's counter to the epoch, for its first two arrays of parameters: K and b, of MS3 K1 and
K2. The correction for the first steps thus never ends: after a few epochs steps are about a quarter as long as plain
Adam's. And the entries of MS2's K are differences theta_ij - theta_ji of two parameters each: they are drawn with
variance 2, and changed by two steps at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from pyham.network import Network
from pyham.training import Classifier, Epoch
from pyham.training.experiment import Experiment
from pyham.training.optimizers import Adam

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class EpochCounted(Adam):
    """Adam, which counts epochs of ``steps`` steps for all but the last ``plain`` parameters.

    The first ``twice`` of them have twice the rate.
    """

    steps: int = 1
    twice: int = 0
    plain: int = 0

    def step(self, steps: ModuleType, theta: Array, slots: list[Array], gradient: Array, t: int, rate: float) -> None:
        epoch, end = (t - 1) // self.steps, len(theta) - self.plain
        parts = (0, self.twice, epoch + 1, 2 * rate), (self.twice, end, epoch + 1, rate), (end, len(theta), t, rate)
        for first, last, count, own in parts:
            part = slice(first, last)
            super().step(steps, theta[part], [slot[part] for slot in slots], gradient[part], count, own)


class Imitation(Experiment):
    """An experiment as the public implementation does it."""

    def network(self) -> Network:
        net = super().network()
        if self.architecture != "MS2":
            return net
        return net.replace(dict(net.params) | {"K_upper": np.sqrt(2) * net.params["K_upper"]})

    def train(self, callback: Callable[[Epoch], None] | None = None) -> Classifier:
        steps = -(-(self.samples // 2) // self.protocol.batch)
        params = self.network().params
        twice = params["K_upper"].size if self.architecture == "MS2" else 0
        plain = params["b"].size if self.architecture == "MS3" else 0
        protocol = replace(self.protocol, optimizer=EpochCounted(steps=steps, twice=twice, plain=plain))
        return Experiment.train(replace(self, protocol=protocol), callback)


def accuracies(config: Mapping[str, Any]) -> dict[str, float]:
    """As ``pyham.experiment.accuracies``."""
    return Imitation.from_config(config).accuracies()

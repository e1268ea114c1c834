"""Schedules: which fraction of the learning rate is used when. Each is data, called with the time in epochs."""

import math
from dataclasses import dataclass
from typing import Any

from pyham import _check


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""

    def __call__(self, epoch: float, epochs: int) -> float:
        """1 at any ``epoch`` (with fractions, 0 <= epoch < epochs) of ``epochs``."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """The rate times ``factor`` whenever ``every`` epochs have passed."""

    factor: float = 0.8
    every: int = 1

    def __post_init__(self) -> None:
        _check.positive("factor", self.factor)
        _check.integer("every", self.every, 1)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The fraction of the rate at ``epoch`` (with fractions, 0 <= epoch < epochs) of ``epochs``."""
        return float(self.factor ** (int(epoch) // self.every))


@dataclass(frozen=True)
class Cosine:
    """From 1 to ``final`` along half a cosine: final + (1 - final) (1 + cos(pi epoch / epochs)) / 2."""

    final: float = 0.0

    def __post_init__(self) -> None:
        if _check.number("final", self.final) < 0 or self.final > 1:
            raise ValueError(f"final: expected a number from 0 to 1, got {self.final}")

    def __call__(self, epoch: float, epochs: int) -> float:
        """The fraction of the rate at ``epoch`` (with fractions, 0 <= epoch < epochs) of ``epochs``."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * epoch / epochs)) / 2


Schedule = Constant | Step | Cosine

SCHEDULES: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in (Constant, Step, Cosine)}

"""``Setup``: all that the arrays of a figure follow from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyham import _check


@dataclass(frozen=True)
class Setup:
    """What a figure is to be made from.

    Parameters
    ----------
    quick : fewer seeds, samples, epochs and layers: does it run, and does it look as it should?
    seed : of a figure that shows one network; the first of those that show several
    seeds : how many those are
    jobs : processes of a sweep;  folder : where it keeps its outcomes; arrays do not depend on either
    """

    quick: bool = False
    seed: int = 0
    seeds: int = 10
    jobs: int = 1
    folder: Path = Path("figures/results/data")

    def __post_init__(self) -> None:
        for name, minimum in (("seed", 0), ("seeds", 1), ("jobs", 1)):
            _check.integer(name, getattr(self, name), minimum)

    @property
    def all_seeds(self) -> range:
        """The seeds of a table."""
        return range(self.seed, self.seed + self.seeds)

    def rng(self, name: str) -> np.random.Generator:
        """A generator of the figure's own, so that the order in which figures are made does not matter."""
        return np.random.default_rng([self.seed, *name.encode()])

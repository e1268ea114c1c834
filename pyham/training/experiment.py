"""``Experiment``: one training on points in the plane as plain data, which a sweep can send, keep and repeat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.vectors import ARCHITECTURES, architecture
from pyham.data import plane as datasets
from pyham.network import Network
from pyham.training.classifier import Classifier
from pyham.training.protocol import Protocol
from pyham.training.saver import Epoch
from pyham.training.trainer import train

Array = np.ndarray[Any, Any]

DATA: Mapping[str, Callable[..., tuple[Array, Array]]] = {
    "swiss-roll": datasets.swiss_roll,
    "double-moons": datasets.double_moons,
    "double-circles": datasets.double_circles,
}


@dataclass(frozen=True)
class Experiment:
    """A network to be trained on even rows of a data set and tested on the odd ones.

    Parameters
    ----------
    data : "swiss-roll", "double-moons" or "double-circles";  samples : of which half are for testing
    architecture : a name of ``pyham.ARCHITECTURES``;  options : further ones of the architecture, as JSON data
    width, depth, final_time : n, N and T = N h
    protocol : how to train
    seed : of data, weights and batches

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """

    data: str = "swiss-roll"
    architecture: str = "H2"
    options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 4
    depth: int = 64
    final_time: float = 2.0
    protocol: Protocol = field(default_factory=Protocol)
    samples: int = 8000
    seed: int = 0

    def __post_init__(self) -> None:
        _check.choice("data", self.data, DATA)
        _check.choice("architecture", self.architecture, ARCHITECTURES)
        _check.integer("depth", self.depth, 1)
        _check.integer("samples", self.samples, 4)
        _check.integer("seed", self.seed, 0)
        _check.positive("final_time", self.final_time)
        if not isinstance(self.protocol, Protocol):
            raise TypeError(f"protocol: expected a Protocol, got {type(self.protocol).__name__}")

    def config(self) -> dict[str, Any]:
        """JSON data from which ``Experiment.from_config`` makes an equal experiment."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"options": dict(self.options), "protocol": self.protocol.config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Experiment":
        """The experiment of ``config()``; what is left out has its default.

        Raises
        ------
        TypeError, ValueError, KeyError
            If the data describe no experiment.
        """
        given = dict(config)
        if isinstance(given.get("protocol"), Mapping):
            given["protocol"] = Protocol.from_config(given["protocol"])
        return cls(**given)

    def split(self) -> tuple[Array, Array, Array, Array]:
        """x (B, n) and labels (B,) to train on, and those to test with."""
        points = DATA[self.data](self.samples, width=self.width, rng=self._stream(0))
        return datasets.train_test_split(*points)

    def network(self) -> Network:
        """The network before training."""
        step = self.final_time / self.depth
        arch = architecture(self.architecture, width=self.width, depth=self.depth, step=step, **self.options)
        return arch.init(self._stream(2))

    def train(self, callback: Callable[[Epoch], None] | None = None) -> Classifier:
        """The trained network with its output layer.

        Raises
        ------
        FloatingPointError
            If training diverges.
        """
        x, labels, _, _ = self.split()
        return train(self.network(), x, labels, protocol=self.protocol, rng=self._stream(3), callback=callback)

    def accuracies(self) -> dict[str, float]:
        """Train: shares of training samples ("train") and of test samples ("test") right, and the last "loss".

        Raises
        ------
        FloatingPointError
            If training diverges.
        """
        x, labels, x_test, labels_test = self.split()
        classifier = self.train()
        return {
            "train": classifier.accuracy(x, labels),
            "test": classifier.accuracy(x_test, labels_test),
            "loss": float(classifier.losses[-1]) if len(classifier.losses) else float(np.log(2)),
        }

    def _stream(self, number: int) -> np.random.Generator:
        """A generator of its own for data (0), weights (2) and batches (3), as ``python -m pyham train`` has them."""
        return np.random.default_rng([self.seed, number])


def accuracies(config: Mapping[str, Any]) -> dict[str, float]:
    """``Experiment.accuracies`` of the experiment of ``config``, as a sweep calls it."""
    return Experiment.from_config(config).accuracies()

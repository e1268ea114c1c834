"""How to train, as data: ``Protocol``. Its defaults are the papers'."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from pyham import _check
from pyham.training.losses import LOSSES
from pyham.training.optimizers import OPTIMIZERS, SGD, Adam, Optimizer
from pyham.training.schedules import SCHEDULES, Constant, Cosine, Schedule, Step

LARGEST = 2**31 - 1  # of counts: they end in compiled loops, whose integers are bounded
#: Every level doubles the depth; the inner steps of a batch are one compiled loop, which Ctrl-C cannot end.
MOST = {"levels": 16, "inner_steps": 100_000}


class Phase(NamedTuple):
    """A part of a training: what is trained, for how many epochs at most, after how many doublings of the depth."""

    name: str
    epochs: int
    level: int


@dataclass(frozen=True)
class Protocol:
    """Hyperparameters; the defaults are those of the papers' experiments in the plane.

    Parameters
    ----------
    epochs : of the weights, at every level
    batch : samples per step, the last of an epoch may be smaller
    rate : learning rate
    inner_rate : that of the output layers in the alternating scheme, None for ``rate``
    inner_steps : steps of Adam that fit a fresh output layer to every batch (alternating scheme)
    output_epochs : of the output layer alone, at the end (alternating scheme)
    alpha : factor of the smoothness penalty;  alpha_c : of ||output layer||^2 / 2;  decay : of ||weights||^2 / 2
    noise : standard deviation of normal numbers that are added to the features in every epoch, new ones each time, but
        not while the output layer alone is trained: a small one makes the result smooth in the features (C. M. Bishop,
        Neural Computation 7(1), 1995)
    scheme : "alternating" or "joint"
    loss : "logistic" for two classes or "softmax" for any number; "squared", "huber" or "poisson" for values
    optimizer : of the weights, and in the joint scheme of all; output layers of the alternating scheme have Adam
    schedule : of the rate, over the epochs of each phase; inner steps have the full rate
    levels : 1, or how many depths to train, each twice the one before, from the given network's
    prolongation : "repeat" or "linear", how weights are carried to twice the depth
    patience : None, or after how many epochs without a lower validation loss a phase ends; the weights of the lowest
        one are then kept

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """

    epochs: int = 50
    batch: int = 125
    rate: float = 0.05
    inner_steps: int = 10
    output_epochs: int = 50
    alpha: float = 5e-4
    alpha_c: float = 1e-4
    decay: float = 0.0
    scheme: str = "alternating"
    loss: str = "logistic"
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: Schedule = field(default_factory=Constant)
    levels: int = 1
    prolongation: str = "repeat"
    patience: int | None = None
    inner_rate: float | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        counts = {"epochs": 0, "batch": 1, "inner_steps": 1, "output_epochs": 0, "levels": 1}
        for name, minimum in counts.items() | ({"patience": 1}.items() if self.patience is not None else set()):
            most = MOST.get(name, LARGEST)
            if _check.integer(name, getattr(self, name), minimum) > most:
                raise ValueError(f"{name}: expected at most {most}, got more")
        _check.positive("rate", self.rate)
        if self.inner_rate is not None:
            _check.positive("inner_rate", self.inner_rate)
        for name in ("alpha", "alpha_c", "decay", "noise"):
            _check.number(name, getattr(self, name))
        if self.noise < 0:
            raise ValueError(f"noise: expected a number >= 0, got {self.noise}")
        _check.choice("scheme", self.scheme, ("alternating", "joint"))
        _check.choice("loss", self.loss, LOSSES)
        _check.choice("prolongation", self.prolongation, ("repeat", "linear"))
        for name, kinds in (("optimizer", (SGD, Adam)), ("schedule", (Constant, Step, Cosine))):
            if not isinstance(getattr(self, name), kinds):
                names = ", ".join(kind.__name__ for kind in kinds)
                raise TypeError(f"{name}: expected one of {names}, got {type(getattr(self, name)).__name__}")

    @property
    def layer_rate(self) -> float:
        """The learning rate of the output layers in the alternating scheme."""
        return self.rate if self.inner_rate is None else self.inner_rate

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What is done in turn; phases without epochs are left out."""
        name = "joint" if self.scheme == "joint" else "weights"
        phases = [Phase(name, self.epochs, level) for level in range(self.levels)]
        if self.scheme == "alternating":
            phases.append(Phase("output layer", self.output_epochs, self.levels - 1))
        return tuple(phase for phase in phases if phase.epochs)

    def config(self) -> dict[str, Any]:
        """Plain data from which ``Protocol.from_config`` makes an equal protocol."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("optimizer", "schedule"):
            plain[name] = {"name": type(plain[name]).__name__.lower()} | asdict(plain[name])
        return plain

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Protocol":
        """The protocol of ``config()``.

        Raises
        ------
        TypeError, ValueError, KeyError
            If the data describe no protocol.
        """
        options = dict(config)
        for name, kinds in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if name in options:
                inner = dict(options[name])
                options[name] = kinds[_check.choice(name, inner.pop("name"), kinds)](**inner)
        return cls(**options)


#: For points in the plane, with final time T = 3; chosen by the accuracy on held-out samples, the same for H1 and H2,
#: for all three data sets and from 4 to 64 layers. A rate that falls to 0 ends the noise in which a fixed one ends, and
#: an output layer that is trained along gives gradients of one objective, not of a new one for every batch. At 0.05 one
#: seed in ten or twenty is lost by a bad beginning.
RECOMMENDED = Protocol(epochs=200, rate=0.02, scheme="joint", schedule=Cosine())

"""What a claim works with and what it returns: ``Lab``, ``Result``, and how claims are found."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.data import plane as datasets
from pyham.training import Classifier, Epoch, Protocol, train

Array = np.ndarray[Any, Any]


CORE = ("V2", "V3", "V4", "V5", "V7", "V8", "V11", "V17")


@dataclass(frozen=True)
class Result:
    """One number of a claim beside its tolerance, and the same number where the claim must be violated.

    ``measured`` <= ``tolerance`` passes; ``control`` > ``tolerance`` shows that the check would notice.
    """

    network: str
    measured: float
    tolerance: float
    control: float
    control_case: str
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("measured", "tolerance", "control"):
            object.__setattr__(self, name, float(getattr(self, name)))  # NumPy scalars are not JSON

    @property
    def passed(self) -> bool:
        return self.measured <= self.tolerance

    @property
    def control_failed(self) -> bool:
        return self.control > self.tolerance


@dataclass(frozen=True)
class Finding:
    """A result under the name of its claim, as the report lists it."""

    id: str
    statement: str
    result: Result

    @property
    def ok(self) -> bool:
        return self.result.passed and self.result.control_failed

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, where infinity is spelled as a string."""
        numbers = asdict(self.result)
        plain = {key: str(v) if isinstance(v, float) and not np.isfinite(v) else v for key, v in numbers.items()}
        verdict = {"passed": self.result.passed, "control_failed": self.result.control_failed}
        return {"id": self.id, "statement": self.statement} | plain | verdict


class Lab:
    """The networks and samples that claims share, made from one seed.

    ``classifier`` is a 64-layer H2 network trained on the Swiss roll by the papers' protocol; claims look at it as well
    as at random networks. Quick mode trains for fewer epochs and looks at fewer samples and depths, full mode looks at
    more random networks; tolerances stay.
    """

    def __init__(
        self,
        seed: int = 0,
        quick: bool = False,
        listen: Callable[[Epoch], None] | None = None,
        *,
        full: bool = False,
    ) -> None:
        self.seed, self.quick, self.full = seed, quick, full
        self._listen = listen

    def rng(self, claim: str) -> np.random.Generator:
        """A generator of the claim's own, so that the order in which claims run does not matter."""
        return np.random.default_rng([self.seed, *claim.encode()])

    @cached_property
    def protocol(self) -> Protocol:
        return Protocol(epochs=5, output_epochs=5) if self.quick else Protocol()

    @cached_property
    def data(self) -> tuple[Array, Array, Array, Array]:
        """Swiss roll: x and labels for training, x and labels for testing."""
        return datasets.train_test_split(*datasets.swiss_roll(rng=self.seed))

    @cached_property
    def untrained(self) -> pyham.Network:
        """H2, n = 4, 64 layers, h = 0.015, standard normal weights."""
        return pyham.H2(width=4, depth=64, step=0.015).init(self.seed)

    @cached_property
    def classifier(self) -> Classifier:
        x, labels, _, _ = self.data
        return train(self.untrained, x, labels, protocol=self.protocol, rng=self.seed, callback=self._listen)

    @property
    def trained(self) -> pyham.Network:
        return self.classifier.net

    @cached_property
    def samples(self) -> Array:
        """Test samples (B, 4)."""
        return self.data[2][: 50 if self.quick else 500 if self.full else 200]

    @property
    def accuracy(self) -> float:
        """Test accuracy of the trained network."""
        return self.classifier.accuracy(self.data[2], self.data[3])


def modules(only: list[str] | None = None, *, core: bool = False) -> dict[str, ModuleType]:
    """The claims by id ("V2"), in order; all of them, those named in ``only``, or the ``core``, without which no
    newcomer should leave: symplecticity, norms, bounds, exact backpropagation, and their contrast.

    Raises
    ------
    ValueError
        If ``only`` names a claim that does not exist.
    """
    import validation

    found = {}
    for info in pkgutil.iter_modules(validation.__path__):
        if match := re.fullmatch(r"v(\d+)_\w+", info.name):
            found[int(match[1])] = importlib.import_module(f"validation.{info.name}")
    claims = {f"V{number}": found[number] for number in sorted(found)}
    unknown = [name for name in only or [] if name.upper() not in claims]
    if unknown:
        raise ValueError(f"--only: expected claims among {' '.join(claims)}, got {' '.join(unknown)}")
    wanted = [name.upper() for name in only or (CORE if core else claims)]
    return {name: module for name, module in claims.items() if name in wanted}


def figures(module: ModuleType, lab: Lab) -> Iterator[tuple[str, Figure]]:
    """(caption, figure) pairs of a claim, where it has any."""
    return module.figures(lab) if hasattr(module, "figures") and not missing(module) else iter(())


def missing(module: ModuleType) -> str:
    """What a claim that needs an extra lacks on this machine; "" if nothing. Without it the claim has no findings."""
    return str(module.missing()) if hasattr(module, "missing") else ""


def run(name: str, module: ModuleType, lab: Lab) -> Iterator[Finding]:
    """The findings of one claim."""
    for result in () if missing(module) else module.check(lab):
        yield Finding(name, module.STATEMENT, result)


def worst(results: list[tuple[float, float, str]]) -> tuple[float, float, str]:
    """The (measured, tolerance, label) that comes closest to its tolerance; NaN counts as worst."""
    return max(results, key=lambda r: np.inf if np.isnan(r[0]) else r[0] / r[1])

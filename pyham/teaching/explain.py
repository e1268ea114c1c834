"""One sample, one backward pass, every quantity with a name, a formula, a value, a place in the code, and a check.

    e = net.explain(x)                     # the loss is 1/2 ||y_N - target||^2, target 0; or delta_N=dLoss/dy_N
    print(e)                               # as a table; e.text(100, projector=True) for a wall
    e["delta0"].value, e["δ₀"].formula     # a quantity by its key or its symbol
    e.to_html("pass.html"); e.draw("pass.png")
    puzzle = e.plant_a_fault(3)            # one formula is wrong: which? puzzle.check_answer("g0.1")

Every quantity is computed a second time: by its formula in plain NumPy, from the numbers that are shown, and every
derivative by a complex step through the reference engine's forward pass as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np

from pyham import _check
from pyham.network import Network
from pyham.teaching.explain_checks import checked
from pyham.teaching.explain_faults import FAULTS, PlantedFault
from pyham.teaching.explain_passes import ExplainedPasses
from pyham.teaching.explain_quantities import Agreement, Quantity, plain
from pyham.teaching.explain_structure import LayerOfNetwork, layers_of

Array = np.ndarray[Any, Any]

VISIBLE = 1e-2  # relative to the largest entry: a planted fault changes its quantity by more


@dataclass(frozen=True, eq=False)
class Explanation:
    """The quantities of one forward and one backward pass; ``print`` it.

    Attributes
    ----------
    net : the network
    x, target, delta_N (1, ...) : the sample and the loss: one of the last two is None
    layers : numbers of the layers that are shown
    quantities : in the order in which they are computed
    fault : None, or the wrong formula of ``plant_a_fault``
    revealed : whether checks and a planted fault are shown
    """

    net: Network
    x: Array
    target: Array | None
    delta_N: Array | None
    layers: tuple[int, ...]
    quantities: tuple[Quantity, ...]
    fault: PlantedFault | None = None
    revealed: bool = True

    def __repr__(self) -> str:
        return f"<Explanation of {self.net.arch}, {len(self.quantities)} quantities>"

    def __getitem__(self, name: str) -> Quantity:
        if name not in self._by_name:
            raise KeyError(f"expected one of {', '.join(q.key for q in self.quantities)}, got {name!r}")
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Quantity]:
        return {q.symbol: q for q in self.quantities} | {q.key: q for q in self.quantities}

    def __iter__(self) -> Iterator[Quantity]:
        return iter(self.quantities)

    @cached_property
    def structure(self) -> tuple[LayerOfNetwork, ...]:
        """All layers and their stages."""
        return tuple(layers_of(self.net, self.x.dtype))

    @property
    def passed(self) -> bool:
        """Whether every quantity agrees with what it was compared with."""
        return all(q.passed for q in self.quantities)

    @property
    def checks(self) -> dict[str, tuple[Agreement, ...]]:
        """By key, what each quantity was compared with, and by how much it deviates."""
        return {q.key: q.agreements for q in self.quantities if q.agreements}

    @property
    def worst(self) -> float:
        """The largest deviation of all comparisons in which rounding errors leave digits to compare."""
        return float(np.max([a.deviation for found in self.checks.values() for a in found if a.decided], initial=0.0))

    @property
    def loss(self) -> str:
        """The loss in words."""
        return self["loss"].formula

    def plant_a_fault(self, seed: int) -> "Explanation":
        """The same passes with one wrong formula: one sign, or one factor that is missing.

        Everything behind it follows from what it gives, so one formula is wrong and no other. Checks are hidden until
        ``reveal()``.

        Raises
        ------
        ValueError
            If no fault would be visible, as without layers and with a gradient of 0.
        """
        number = _check.integer("seed", seed, 0)
        candidates = [
            PlantedFault(q.key, wrong)
            for q in self.quantities
            if q.part == "backward" and q.inputs
            for wrong in FAULTS.get(q.kind, ())
        ]
        for i in np.random.default_rng(number).permutation(len(candidates)):
            found = self.with_fault(candidates[i])
            if found is not None:
                return found
        raise ValueError("seed: expected a pass in which some fault changes a number, got one in which none does")

    def with_fault(self, fault: PlantedFault) -> "Explanation | None":
        """The same passes with this fault, or None where it would not be seen."""
        with np.errstate(all="ignore"):
            passes = ExplainedPasses(self.net, self.x, self.target, self.delta_N, fault)
            value = passes.found[fault.key].value
            right = ExplainedPasses(self.net, self.x, self.target, self.delta_N).found[fault.key].value
            scale = max(np.abs(value).max(initial=0), np.abs(right).max(initial=0))
            if not np.abs(value - right).max(initial=0) > VISIBLE * scale > 0:
                return None
        quantities = checked(passes, self.target, self.delta_N, self.layers)
        return replace(self, quantities=quantities, fault=fault, revealed=False)

    def check_answer(self, answer: str) -> bool:
        """Whether ``answer``, a key or a symbol, is the quantity whose formula is wrong.

        Raises
        ------
        KeyError
            If it is none of the quantities shown.
        ValueError
            If no fault was planted.
        """
        if self.fault is None:
            raise ValueError("answer: expected an explanation with a planted fault, got one without")
        return self[answer].key == self.fault.key

    def reveal(self) -> "Explanation":
        """The same with checks, and the fault told."""
        return replace(self, revealed=True)

    @property
    def question(self) -> str:
        """What is asked of a planted fault."""
        if self.fault is None:
            return ""
        return (
            "One formula of the backward pass was computed wrongly: a sign, or a missing factor. What follows from it "
            "is consistent. Which quantity is it?"
        )

    @property
    def answer(self) -> str:
        """What is wrong, and what would be right."""
        if self.fault is None:
            return ""
        from pyham.teaching.explain_text import numbers

        q = self[self.fault.key]
        right = ExplainedPasses(self.net, self.x, self.target, self.delta_N).found[q.key]
        return (
            f"{q.symbol} ({q.key}), {q.name}: {self.fault.wrong}. {q.symbol} = {q.formula} is "
            f"{', '.join(numbers(right.value))}, shown was {', '.join(numbers(q.value))}."
        )

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None, *, projector: bool = False) -> str:
        """The table for a terminal of so many columns (this one's); ``projector``: larger steps, one page."""
        from pyham.teaching.explain_text import table, wall

        return wall(self, width) if projector else table(self, width)

    def to_dict(self, full: bool = False) -> dict[str, Any]:
        """Plain data, fit for JSON; with ``full`` every number, else of large arrays the beginning and the norms."""
        shown = self.fault is None or self.revealed
        quantities = [q.to_dict(full) for q in self.quantities]
        if not shown:
            quantities = [q | {"verdict": "hidden", "checks": []} for q in quantities]
        fault = None if self.fault is None else {"question": self.question}
        if self.fault is not None and shown:
            fault = self.fault._asdict() | {"question": self.question, "answer": self.answer}
        return {
            "network": str(self.net.arch), "dtype": str(self.x.dtype), "loss": self.loss, "layers": list(self.layers),
            "passed": self.passed if shown else None, "worst": plain(self.worst) if shown else None, "fault": fault,
            "quantities": quantities,
        }  # fmt: skip

    def draw(self, path: str | PathLike[str] | None = None) -> Any:
        """A picture: states forward, adjoints backward, gradients, their norms as bars. Returns Matplotlib's figure."""
        from pyham.teaching.explain_drawing import draw

        return draw(self, path)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """A page that steps through the passes, by buttons and arrow keys; it needs no network. Returns its text."""
        from pyham.teaching.explain_page import page

        return page(self, path)


def explain(
    net: Network,
    x: object,
    *,
    target: object = None,
    delta_N: object = None,
    layers: int | Sequence[int] | None = None,
) -> Explanation:
    """The passes of one sample x, (n,) or (1, n), or of one image, quantity by quantity, in x's dtype.

    Parameters
    ----------
    target : of the loss 1/2 ||y_N - target||^2, shaped like the output; 0 unless given
    delta_N : dLoss/dy_N, shaped like the output, in place of a target; the loss is then <delta_N, y_N>
    layers : which layers to show, one number or several; negative ones count from the end; all unless given

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    net = net.settled
    sample = _one("x", x, net.arch.shape)
    if sample.dtype.kind != "f":
        raise TypeError(f"x: expected real numbers, got dtype {sample.dtype}")
    if target is not None and delta_N is not None:
        raise ValueError("delta_N: expected none beside a target, got one")
    given = {"target": target, "delta_N": delta_N}
    of_output = {
        name: None if value is None else _one(name, value, net.arch.output_shape).astype(sample.dtype)
        for name, value in given.items()
    }
    if target is None and delta_N is None:
        of_output["target"] = np.zeros((1, *net.arch.output_shape), sample.dtype)
    shown = _layers(net.arch.depth, layers)
    with np.errstate(all="ignore"):  # what overflows does not hold, and is shown as inf or NaN
        passes = ExplainedPasses(net, sample, of_output["target"], of_output["delta_N"])
        quantities = checked(passes, of_output["target"], of_output["delta_N"], shown)
    return Explanation(net, sample, of_output["target"], of_output["delta_N"], shown, quantities)


def _one(argument: str, value: object, shape: tuple[int, ...]) -> Array:
    """One sample with the axis of samples."""
    found = _check.array(argument, value, None)
    return _check.array(argument, found[None] if found.ndim == len(shape) else found, (1, *shape))


def _layers(depth: int, layers: int | Sequence[int] | None) -> tuple[int, ...]:
    if layers is None:
        return tuple(range(depth))
    numbers = layers if isinstance(layers, Sequence | np.ndarray) else [layers]
    found = set()
    for layer in numbers:
        j = _check.integer("layers", layer, -depth)
        if j >= depth:
            raise ValueError(f"layers: expected integers from {-depth} to {depth - 1}, got {j}")
        found.add(j % depth)
    return tuple(sorted(found))

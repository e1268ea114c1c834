"""The formulas of the backward pass, and what each becomes when one sign is wrong or one factor is missing.

``RULES`` are the formulas as ``pyham.engines.reference`` and ``pyham.architectures.base`` compute them; ``FAULTS`` has
for each kind of quantity the wrong ones, by what is wrong with them in words.
"""

# ruff: noqa: RUF001  formulas have the letters of mathematics

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.stages import Stage
from pyham.engines.reference import kept

Array = np.ndarray[Any, Any]
Rule = Callable[..., Any]

SIGN = "its sign is wrong"


class PlantedFault(NamedTuple):
    """The formula of the quantity ``key`` is the wrong one called ``wrong``."""

    key: str
    wrong: str


def of_g(stage: Stage, slope: Any, delta: Array) -> Array:
    """g = dLoss/da = sigma'(a) * W^T delta[dst]."""
    return slope * stage.maps[1].transposed(stage.W, delta[stage.dst])


def of_delta(stage: Stage, delta: Array, g: Array, sign: int = 1, keep: bool = True) -> Array:
    """delta before a stage: keep delta, and A^T g added to the entries that the stage reads."""
    found = delta.copy()
    found[stage.dst] = kept(stage, found[stage.dst]) if keep else 0
    found[stage.src] += sign * stage.maps[0].transposed(stage.A, g)
    return found


def of_Phi(
    steps: Sequence[tuple[Stage, Array]], columns: Array, leave: Rule, slopes: bool = True, **wrong: Any
) -> Array:
    """The columns of Phi_j from those of Phi_{j+1}: what delta does, stage by stage."""
    for stage, slope in reversed(steps):
        columns = of_delta(stage, columns, of_g(stage, slope if slopes else 1, columns), **wrong)
    n, batch, *shape = columns.shape
    found: Array = leave(columns.reshape(n * batch, *shape))
    return found.reshape(n, batch, *found.shape[1:])


def of_block(
    of_stages: Sequence[tuple[Array, Array]], lifts: Sequence[Any], kind: Any, direct: bool = True, sign: int = 1
) -> Array:
    """dK[rows, src] = the sum over the stages of dA + (f h dW)^T M; without J, of dA alone."""
    total: Any = 0
    for (dA, dW), lift in zip(of_stages, lifts, strict=True):
        block = dA if direct else np.zeros_like(dA)
        if lift is not None:
            block = block + sign * kind.composed_transposed(lift, dW[None])[0]
        total = total + block
    return total


RULES: dict[str, Rule] = {
    "delta_N": lambda value: value,
    "g": of_g,
    "dW": lambda stage, delta, s, a: stage.maps[1].outer(delta[stage.dst], s),
    "dA": lambda stage, g, y: stage.maps[0].outer(g, y[stage.src]),
    "dc": lambda stage, g: stage.maps[0].total(g),
    "delta": of_delta,
    "Phi": of_Phi,
    "dK": of_block,
    "db": lambda parts, total: sum_into(parts, total),
    "dparameter": lambda value: value,
}


def sum_into(parts: Sequence[tuple[slice, Array]], total: Array) -> Array:
    """db: the sum of the stages' dc, each in its rows."""
    for rows, dc in parts:
        total[rows] += dc
    return total


def _negative(kind: str) -> Rule:
    return lambda *arguments: -RULES[kind](*arguments)


FAULTS: dict[str, dict[str, Rule]] = {
    kind: {SIGN: _negative(kind)} for kind in ("delta_N", "g", "dW", "dA", "dc", "db", "dparameter")
}
FAULTS["g"]["the factor σ′(a) is missing"] = lambda stage, slope, delta: of_g(stage, 1, delta)
FAULTS["dW"]["it has a in the place of σ(a)"] = lambda stage, delta, s, a: RULES["dW"](stage, delta, a, a)
FAULTS["dW"]["the factor σ(a) is missing"] = lambda stage, delta, s, a: RULES["dW"](stage, delta, np.ones_like(s), a)
FAULTS["dA"]["the factor y is missing"] = lambda stage, g, y: RULES["dA"](stage, g, np.ones_like(y))
FAULTS["delta"] = {
    "the sign of Aᵀ g is wrong": lambda stage, delta, g: of_delta(stage, delta, g, sign=-1),
    "what the stage keeps is missing": lambda stage, delta, g: of_delta(stage, delta, g, keep=False),
}
FAULTS["Phi"] = {
    "the factor σ′(a) is missing": partial(of_Phi, slopes=False),
    "the sign of Aᵀ is wrong": partial(of_Phi, sign=-1),
}
FAULTS["dK"] = {
    SIGN: _negative("dK"),
    "the sign of the term with dW is wrong": partial(of_block, sign=-1),
    "the term with dW is missing": partial(of_block, sign=0),
    "the term dA is missing": partial(of_block, direct=False),
}

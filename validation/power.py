"""Faults in the reference engine's recursion, and what the checks of ``pyham.gradcheck`` and ``pyham.symplectic`` see.

A check that never failed proves nothing. The operators of ``validation.faults`` break every term of the recursion in
turn: zero, the wrong sign, a transpose, another slice of the state, a stage further on, a sum without a term. Some
faults show in some networks only: keep in the MLP, slices and the order of stages where a layer has several, transposes
where W is not symmetric. A fault is caught when a check exceeds its tolerance on one network of ``networks()``; the
right engine passes all checks on all of them.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from pyham import H1, H2, MLP, MS1, Network, symplectic
from pyham.verification import gradcheck
from validation.claim import Array
from validation.faults.operators import Mutant
from validation.faults.planting import RECURSION, Source, put

EPS = float(np.finfo(np.float64).eps)
#: The right engine's residuals are up to 9 eps (sums of some ten terms through up to nine stages, relative to the
#: largest entry); the tolerance leaves room for another machine's tanh and order of summation.
ROUNDING = 256 * EPS
#: The functions of the recursion that each pass runs through. Each stage calls Dense.transposed twice, for W and for A,
#: so that in the sensitivities, which need nothing in between, its sign does not matter.
PASSES = {
    "adjoint": ("Reference.adjoint", "before", "kept", "Dense.transposed", "Dense.outer", "Map.total"),
    "sensitivity": ("Reference.sensitivity", "before", "kept"),
}
KINDS = ("zero", "sign", "transpose")


class Sample(NamedTuple):
    """A network with an input x (B, n) and a gradient g (B, n) at its output; J (n, n) if it is symplectic for one."""

    net: Network
    x: Array
    g: Array
    J: Array | None


class FaultRow(NamedTuple):
    """A line of the table: a fault, the checks that caught it, and the largest residual."""

    fault: str
    checks: tuple[str, ...]
    residual: float


Measure = Callable[[Sample], float]


def networks() -> list[Sample]:
    """Width 4, depth 3, 3 samples: keep 0 and 1; src, dst equal and disjoint; 1 to 3 stages a layer; W of each kind."""
    X = np.array([[1.0, -0.4], [0.9, 0.7]])  # neither symmetric nor orthogonal, so that no transpose hides
    hamiltonian = H1(4, 3, 0.5, interconnection="J2"), MS1(4, 3, 0.5), H2(4, 3, 0.5, X=X)
    architectures = MLP(4, 3), *hamiltonian, H2(4, 3, 0.5, X=X, scheme="verlet")
    cases = []
    for seed, arch in enumerate(architectures):
        rng = np.random.default_rng(seed)
        net, (x, g) = arch.init(rng), rng.standard_normal((2, 3, 4))
        cases.append(Sample(net, x, g, arch.J if isinstance(arch, H2) else None))
    return cases


def complex_step(case: Sample) -> float:
    return largest(gradcheck.complex_step(case.net, case.x, case.g, backend="reference").values())


def sensitivity(case: Sample) -> float:
    return gradcheck.sensitivity(case.net, case.x, backend="reference")


def dot_product(case: Sample) -> float:
    return largest(gradcheck.dot_product(case.net, case.x, backend="reference").values())


def symplecticity(case: Sample) -> float:
    if case.J is None:
        return 0.0
    phi = case.net.sensitivity(case.x, backend="reference")
    return largest(symplectic.defect(phi, case.J, norm="2").ravel())  # norm="2" runs in NumPy: nothing to compile


_checks = complex_step, sensitivity, dot_product, symplecticity
CHECKS = dict(zip(("complex step", "sensitivity", "dot products", "symplectic"), _checks, strict=True))


def largest(values: Iterable[float]) -> float:
    """The largest, and inf if one is NaN (which Python's max would lose)."""
    found = float(np.max(list(values)))
    return np.inf if np.isnan(found) else found


def unwritten(shape: Any, dtype: Any = float, **options: Any) -> Any:
    """``np.empty`` whose floating numbers are NaN, so that what is never written shows and is not left to chance."""
    array = _empty(shape, dtype, **options)
    if array.dtype.kind in "fc":
        array.fill(np.nan)
    return array


_empty = np.empty


def residual(measure: Measure, enough: float = np.inf) -> float:
    """The largest over the networks, or one that is ``enough``; inf where it raises, which anyone notices."""
    found = 0.0
    for case in networks():
        try:
            with np.errstate(all="ignore"), patch.object(np, "empty", unwritten):
                found = max(found, largest([measure(case)]))
            if found >= enough:
                break
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return np.inf
    return found


@cache
def faults(of: str, kinds: tuple[str, ...] = ()) -> list[tuple[Source, Mutant]]:
    """The faults of a pass; of all kinds if none are named."""
    sources = [Source(module) for module in RECURSION]
    for source in sources:
        source.look()
    found = [(source, mutant) for source in sources for mutant in source.mutants]
    return [(s, m) for s, m in found if m.function in PASSES[of] and (not kinds or m.operator in kinds)]


def seen(source: Source, mutant: Mutant, measures: Iterable[Measure], enough: float = np.inf) -> list[float]:
    """The residuals of these measures with that fault in the engine."""
    undo = source.plant(mutant)
    try:
        return [residual(measure, enough) for measure in measures]
    finally:
        put(undo)


def hardest(of: str, measure: Measure) -> float:
    """The smallest residual that a term of a pass leaves when it is zero, transposed, or has the wrong sign."""
    smallest = np.inf
    for fault in faults(of, KINDS):
        smallest = min(smallest, *seen(*fault, [measure], smallest))
    return smallest


@cache
def table() -> list[FaultRow]:
    """A row for every fault of both passes."""
    rows = {}
    for source, mutant in faults("adjoint") + faults("sensitivity"):
        if mutant.name not in rows:
            found = dict(zip(CHECKS, seen(source, mutant, CHECKS.values()), strict=True))
            caught = tuple(name for name, value in found.items() if value > ROUNDING)
            rows[mutant.name] = FaultRow(mutant.name, caught, max(found.values()))
    return list(rows.values())

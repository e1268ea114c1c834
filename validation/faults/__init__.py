"""Planted faults in the engine: what the checks of ``pyham.gradcheck`` and ``pyham.symplectic`` are worth.

A check that never failed proves nothing. Here every term of the engine's recursions is broken in turn: set to zero,
given the wrong sign, transposed, applied to the wrong slice of the state, and bent in the ways in which people slip
(sigma for sigma', mean for sum, one layer or stage off, a stale state, a buffer overwritten). A fault is text: a piece
of a function of ``pyham.engines.reference`` and what to put in its place, so the table cannot drift away from the
source unnoticed: ``validation.faults.engine``. ``plant`` compiles the broken source to an engine, which every
``backend=`` of the package accepts.

Oracles run on the true reference engine in complex arithmetic, out of a fault's reach. Some faults show in some
networks only: keep in the MLP, slices and the order of stages where a layer has several, transposes where W is not
symmetric. A fault is caught when a check exceeds its tolerance on one network of ``networks()``; the right engine must
pass all checks on all of them.
``python -m validation.faults`` prints both tables.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np

from pyham import H1, H2, MLP, MS1, Network, symplectic
from pyham.engines import reference
from pyham.engines.contract import Backend, Engine
from pyham.verification import gradcheck
from validation.faults.engine import FAULTS, Fault

Array = np.ndarray[Any, Any]

EPS = float(np.finfo(np.float64).eps)


class Case(NamedTuple):
    """A network with an input x (B, n) and a gradient g (B, n) at its output; J (n, n) if it is symplectic for one."""

    name: str
    net: Network
    x: Array
    g: Array
    J: Array | None


class Check(NamedTuple):
    """A public check: its residual on a network, the tolerance, and which functions of the engine it calls."""

    residual: Callable[[Case, Backend], float]
    tolerance: float
    calls: tuple[str, ...]


class Row(NamedTuple):
    """A line of the table: the checks that caught a fault, the networks that showed it, and the largest residual."""

    fault: str
    where: str
    what: str
    checks: tuple[str, ...]
    networks: tuple[str, ...]
    residual: float


@cache
def networks() -> tuple[Case, ...]:
    """Width 4, depth 3, 3 samples: keep 0 and 1; src, dst equal and disjoint; 1 to 3 stages a layer; W of each kind."""
    X = np.array([[1.0, -0.4], [0.9, 0.7]])  # neither symmetric nor orthogonal, so that no transpose hides
    architectures = {
        "MLP": MLP(4, 3),
        "H1": H1(4, 3, 0.5, interconnection="J2"),
        "MS1": MS1(4, 3, 0.5),
        "H2": H2(4, 3, 0.5, X=X),
        "H2 verlet": H2(4, 3, 0.5, X=X, scheme="verlet"),
    }
    cases = []
    for seed, (name, arch) in enumerate(architectures.items()):
        rng = np.random.default_rng(seed)
        net = arch.init(rng)
        x, g = rng.standard_normal((2, 3, 4))
        cases.append(Case(name, net, x, g, arch.J if isinstance(arch, H2) else None))
    return tuple(cases)


def _complex_step(case: Case, backend: Backend) -> float:
    return _largest(gradcheck.complex_step(case.net, case.x, case.g, backend=backend).values())


def _sensitivity(case: Case, backend: Backend) -> float:
    return gradcheck.sensitivity(case.net, case.x, backend=backend)


def _dot_product(case: Case, backend: Backend) -> float:
    return _largest(gradcheck.dot_product(case.net, case.x, backend=backend).values())


def _taylor(case: Case, backend: Backend) -> float:
    first, second = gradcheck.orders(gradcheck.taylor(case.net, case.x, case.g, backend=backend))
    return _largest((abs(first - 1), abs(second - 2)))


def _symplectic(case: Case, backend: Backend) -> float:
    if case.J is None:
        return 0.0
    phi = case.net.sensitivity(case.x.copy(), backend=backend)
    return _largest(symplectic.defect(phi, case.J, norm="2").ravel())  # norm="2" runs in NumPy: nothing to compile


#: The right engine's residuals are up to 9 eps (sums of some ten terms through up to nine stages, relative to the
#: largest entry); the tolerance leaves room for another machine's tanh and order of summation. Orders are read off
#: remainders down to t = 2^-14, to within 0.05 (the next term of the series); a wrong gradient is off by 1.
ROUNDING, ORDER = 256 * EPS, 0.1
CHECKS: dict[str, Check] = {
    "complex_step": Check(_complex_step, ROUNDING, ("trace", "adjoint")),
    "sensitivity": Check(_sensitivity, ROUNDING, ("trace", "sensitivity")),
    "dot_product": Check(_dot_product, ROUNDING, ("forward", "trace", "adjoint", "sensitivity")),
    "taylor": Check(_taylor, ORDER, ("trace", "adjoint")),
    "symplectic": Check(_symplectic, ROUNDING, ("trace", "sensitivity")),
}


def source(function: str) -> str:
    """The source text of that function of ``pyham.engines.reference``."""
    return inspect.getsource(getattr(reference, function))


def plant(fault: Fault) -> Engine:
    """The reference engine with that fault: a fresh module, which serves as ``backend=`` everywhere.

    Raises
    ------
    ValueError
        If the fault's ``old`` text does not occur exactly once in its function: then the table is out of date.
    """
    module, right = inspect.getsource(reference), source(fault.function)
    if (count := right.count(fault.old)) != 1:
        raise ValueError(f"{fault.name}: expected once in {fault.function}, found {count} times: {fault.old!r}")
    text = module.replace(right, right.replace(fault.old, fault.new))
    engine = ModuleType(f"pyham.reference with a fault ({fault.name})")
    exec(compile(text, f"<{engine.__name__}>", "exec"), engine.__dict__)
    return cast(Engine, engine)


def residuals(engine: Backend, function: str | None = None) -> dict[tuple[str, str], float]:
    """(check, network) -> residual, inf for NaN; and ("raises", network) -> inf where a check ended in an exception.

    With ``function``, only of the checks that call it; ``layer`` and ``of_layer`` are called by all.
    """
    found = {}
    for name, check in CHECKS.items():
        if function in ("forward", "trace", "adjoint", "sensitivity") and function not in check.calls:
            continue
        for case in networks():
            try:
                found[name, case.name] = _largest((check.residual(case, engine),))
            except (ArithmeticError, LookupError, TypeError, ValueError):
                found["raises", case.name] = np.inf
    return found


def failures(engine: Backend, function: str | None = None) -> dict[tuple[str, str], float]:
    """The ``residuals`` above their check's tolerance: none for the right engine."""
    return {
        (name, network): residual
        for (name, network), residual in residuals(engine, function).items()
        if name == "raises" or residual > CHECKS[name].tolerance
    }


@cache
def row(fault: Fault) -> Row:
    """The table's line for that fault."""
    failed = failures(plant(fault), fault.function)
    checks, names = (tuple(dict.fromkeys(key[i] for key in failed)) for i in (0, 1))
    return Row(fault.name, fault.where, fault.what, checks, names, max(failed.values(), default=0.0))


def caught_by(fault: Fault) -> dict[str, float]:
    """Check -> largest residual over the networks, for the checks that caught the fault; "raises" -> inf."""
    caught: dict[str, float] = {}
    for (check, _), residual in failures(plant(fault), fault.function).items():
        caught[check] = max(residual, caught.get(check, 0.0))
    return caught


def table() -> list[Row]:
    """A row for every fault of the engine."""
    return [row(fault) for fault in FAULTS]


def _largest(values: Iterable[float]) -> float:
    """The largest, and inf if one is NaN (which Python's max would lose)."""
    largest = float(np.max(list(values)))
    return np.inf if np.isnan(largest) else largest

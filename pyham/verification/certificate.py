"""What holds for one network on given samples, by how much, and that the checks would notice if it did not.

Every check states a number, its tolerance and a control: a neighbouring network (``pyham.verification.neighbours``) on
which the same check must report a violation. Tolerances come from rounding: a backward sensitivity matrix is the
product of one factor a stage, each of which adds a relative error of a few eps, so with s stages the residuals of
``pyham.symplectic`` may reach c eps s, c = 4.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pyham.engines.choice import Backend
from pyham.network import Network
from pyham.verification import bounds, neighbours, symplectic
from pyham.verification.measurements import Evidence, structure, symplectic_by_design

Array = np.ndarray[Any, Any]

INDISTINCT = 1e4  # tolerances: a neighbour that differs by less may pass a check, which tells nothing


@dataclass(frozen=True)
class Check:
    """One statement about a network.

    ``guaranteed`` says whether theory promises it for this network; ``holds`` whether it was found. ``control`` names
    the neighbouring case, ``control_measured`` the same number there, and ``control_failed`` whether it violated the
    tolerance as it must; the three are None where there is nothing to break (no layers, no samples, every unit off).
    """

    name: str
    statement: str
    guaranteed: bool
    measured: float
    tolerance: float
    holds: bool
    control: str | None = None
    control_measured: float | None = None
    control_failed: bool | None = None


@dataclass(frozen=True)
class Certificate:
    """The checks of one network; ``print`` it. ``passed``: all that is guaranteed holds, and every control failed.

    ``facts`` are numbers about Phi_0 without a verdict: norms over the samples, the norm of their mean, and the bounds.
    """

    network: str
    samples: int
    dtype: str
    checks: tuple[Check, ...]
    facts: dict[str, float]

    @property
    def passed(self) -> bool:
        return all(check.holds and check.control_failed is not False for check in self.checks if check.guaranteed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON: infinity and NaN, which JSON lacks, as strings."""
        checks = [
            {key: str(v) if isinstance(v, float) and not np.isfinite(v) else v for key, v in asdict(check).items()}
            for check in self.checks
        ]
        facts = {key: v if np.isfinite(v) else str(v) for key, v in self.facts.items()}
        return asdict(self) | {"checks": checks, "facts": facts, "passed": self.passed}

    def __str__(self) -> str:
        rows = [("check", "measured", "tolerance", "verdict", "control", "measured")]
        for c in self.checks:
            verdict = ("holds" if c.holds else "VIOLATED") if c.guaranteed else "holds*" if c.holds else "not promised"
            control, value = c.control or "-", ""
            if c.control_measured is not None:
                value = f"{c.control_measured:.1e} {'fails' if c.control_failed else 'DOES NOT FAIL'}"
            rows.append((c.statement, f"{c.measured:.1e}", f"{c.tolerance:.1e}", verdict, control, value))
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        head = f"{self.network}, {self.samples} samples, {self.dtype}: {'PASSED' if self.passed else 'NOT PASSED'}"
        foot = ["* found on these samples, not promised by theory"] if any("holds*" in line for line in lines) else []
        facts = ", ".join(f"{name} {value:.3g}" for name, value in self.facts.items())
        return "\n".join([head, "-" * max(map(len, lines)), *lines, *foot, f"at the input: {facts}"])


def certify(net: Network, x: object, *, backend: Backend = "numba") -> Certificate:
    """Certificate of ``net`` on the samples x (B, n), in x's dtype.

    Checks symplecticity, determinant, eigenvalue and singular-value pairing, norms >= 1, forward Euler's closed-form
    defect (H1), the upper and the two-sided gradient bound, and that backpropagation gives delta_j = Phi_j delta_N: in
    all layers, for all samples.

    Raises
    ------
    TypeError, ValueError
        As ``net.sensitivity(x)`` does.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    evidence = Evidence(net, x, backend)
    batch, dtype = evidence.states.shape[1], evidence.states.dtype
    if dtype.kind == "c":
        raise TypeError(f"x: expected real samples, got dtype {dtype}")
    breakable = evidence.moves()
    eps = max(float(np.finfo(dtype).eps), float(np.finfo(np.float64).eps))  # what is measured is measured in double
    tolerance = allowed(eps, net.stages().count)
    checks = []
    for question in _questions(net, evidence):
        with np.errstate(all="ignore"):  # what overflows does not hold, and is shown as inf or NaN
            measured = question.measure()
            control = question.control() if breakable and question.control else None
            if control is not None and not control > tolerance and question.effect() <= INDISTINCT * tolerance:
                control = None  # what is broken and what is not are the same to rounding: tiny steps, units saturated
        checks.append(
            Check(
                name=question.name,
                statement=question.statement,
                guaranteed=question.guaranteed,
                measured=measured,
                tolerance=tolerance,
                holds=measured <= tolerance,
                control=question.neighbour if control is not None else None,
                control_measured=control,
                control_failed=None if control is None else control > tolerance,
            )
        )
    with np.errstate(all="ignore"):
        facts = evidence.facts()
    return Certificate(str(net.arch), batch, str(dtype), tuple(checks), facts)


def allowed(eps: float, stages: int) -> float:
    """The tolerance c eps s, c = 4, for s stages."""
    return 4 * eps * max(1, stages)


class _Question(NamedTuple):
    """A check before it is measured."""

    name: str
    statement: str
    guaranteed: bool
    measure: Callable[[], float]
    neighbour: str = ""
    control: Callable[[], float] | None = None
    effect: Callable[[], float] = lambda: np.inf  # of what the control does, to order of magnitude


def _questions(net: Network, evidence: Evidence) -> Iterator[_Question]:
    x, backend = evidence.x, evidence.backend
    exact = symplectic_by_design(net)
    J = structure(net)
    if J is not None:
        twin = Evidence(neighbours.forward_euler(net), x, backend)

        def euler_effect() -> float:
            return min(twin.euler_order(), evidence.distance(twin))

        measures: list[tuple[str, str, Callable[[Evidence], float]]] = [
            ("symplectic", "Phi^T J Phi = J", lambda e: e.defect(net)),
        ]
        if np.linalg.matrix_rank(J) == len(J):
            measures.append(("determinant", "det Phi = 1", Evidence.determinant))
            measures.append(("eigenvalues", "eigenvalues in pairs l, 1/l", lambda e: e.eigenvalues(J)))
        if symplectic.is_orthogonal(J):
            measures.append(("singular values", "singular values in pairs s, 1/s", Evidence.singular_values))
        for name, statement, measure in measures:
            found, control = partial(measure, evidence), partial(measure, twin) if exact else None
            yield _Question(name, statement, exact, found, "forward Euler, same weights", control, euler_effect)
    mlp = Evidence(neighbours.contracting_mlp(net), x, backend).shortfall if exact else None
    halved = "MLP that halves sensitivities"
    yield _Question("norms", "every norm of Phi >= 1", exact, evidence.shortfall, halved, mlp)
    if net.arch.name == "H1":
        statement, control = "D J D^T - J = h^2 (JS) J (JS)^T", partial(evidence.euler, transpose=False)
        without = "last transpose left out"
        yield _Question("euler defect", statement, True, evidence.euler, without, control, evidence.last_layer)
    log_upper = bounds.log_upper(net)
    stretched = Evidence(neighbours.Stretched(net, evidence.stretch(log_upper)), x, backend)

    def stretch_effect() -> float:
        return min(evidence.last_layer(), evidence.distance(stretched))

    scaled = "last layer scaled after bounding"
    found, control = partial(evidence.above, log_upper), partial(stretched.above, log_upper)
    yield _Question("upper bound", "||Phi_j|| <= sharp bound", True, found, scaled, control, stretch_effect)
    if net.stages().shears:
        found, control = (partial(e.outside, -log_upper, log_upper) for e in (evidence, stretched))
        statement = "1/bound <= |delta_j|/|delta_N| <= bound"
        yield _Question("gradients", statement, True, found, scaled, control, stretch_effect)
    flipped = partial(evidence.backpropagation, sign=-1)
    statement, flip = "delta_j = Phi_j delta_N", "sign of delta_N flipped"
    yield _Question("backpropagation", statement, True, evidence.backpropagation, flip, flipped)

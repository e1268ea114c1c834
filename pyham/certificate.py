"""What holds for one network on given samples, by how much, and that the checks would notice if it did not.

Every check states a number, its tolerance and a control: a neighbouring network (``pyham.controls``) on which the same
check must report a violation. Tolerances come from rounding: a backward sensitivity matrix is the product of one factor
a stage, each of which adds a relative error of a few eps, so with s stages the residuals of ``pyham.symplectic`` may
reach c eps s, c = 4.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from pyham import bounds, controls, euler, symplectic
from pyham.engine import Backend, Trace
from pyham.network import Network

Array = np.ndarray[Any, Any]

CONSTANT = 4  # c of the tolerances c eps s
STRETCH = 1000  # how far a control leaves the network whose bound was computed


@dataclass(frozen=True)
class Check:
    """One statement about a network.

    ``guaranteed`` says whether theory promises it for this network; ``holds`` whether it was found. ``control`` names
    the neighbouring case, ``control_measured`` the same number there, and ``control_failed`` whether it violated the
    tolerance as it must; the three are None where there is nothing to break (no layers, no samples).
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
    """The checks of one network; ``print`` it. ``passed``: all that is guaranteed holds, and every control failed."""

    network: str
    samples: int
    dtype: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.holds and check.control_failed is not False for check in self.checks if check.guaranteed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON."""
        return asdict(self) | {"checks": [asdict(check) for check in self.checks], "passed": self.passed}

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
        return "\n".join([head, "-" * max(map(len, lines)), *lines, *foot])


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
    breakable = batch > 0 and net.arch.depth > 0
    tolerance = CONSTANT * float(np.finfo(dtype).eps) * max(1, len(net.stages().A))
    checks = []
    for question in _questions(net, evidence):
        measured = question.measure()
        control = question.control() if breakable and question.control else None
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
    return Certificate(str(net.arch), batch, str(dtype), tuple(checks))


class Evidence:
    """What one network does on given samples: states, BSMs, a backward pass, and the numbers that checks compare."""

    def __init__(self, net: Network, x: object, backend: Backend) -> None:
        self.net, self.x, self.backend = net, x, backend

    @cached_property
    def states(self) -> Array:
        return self.net.trace(self.x, backend=self.backend).states

    @cached_property
    def phi(self) -> Array:
        return self.net.sensitivity(self.x, backend=self.backend)

    @cached_property
    def size(self) -> Array:
        """||Phi_j||_2 (N + 1, B)."""
        return symplectic.norms(self.phi)["2"]

    @cached_property
    def output_gradient(self) -> Array:
        return np.random.default_rng(0).standard_normal(self.states.shape[1:]).astype(self.states.dtype)

    @cached_property
    def delta(self) -> Array:
        """delta_j (N + 1, B, n)."""
        return self.net.adjoint(Trace(self.states), self.output_gradient, backend=self.backend).delta

    def defect(self, of: Network) -> float:
        return largest(defect(self.phi, of))

    def determinant(self) -> float:
        return largest(symplectic.determinant(self.phi)[1])

    def eigenvalues(self, J: Array) -> float:
        return largest(symplectic.eigenvalue_pairing(self.phi, J))

    def singular_values(self) -> float:
        return largest(symplectic.singular_value_pairing(self.phi))

    def shortfall(self) -> float:
        """By how much the smallest of all norms of Phi_0 .. Phi_{N-1} falls below 1 (Phi_N = I tells nothing)."""
        return largest(1 - np.min(list(symplectic.norms(self.phi[:-1]).values()), axis=0))

    def euler(self, transpose: bool = True) -> float:
        return largest(euler.residual(self.net, self.x, transpose=transpose, backend=self.backend))

    def above(self, log_upper: Array) -> float:
        """By how much log ||Phi_j|| exceeds ``log_upper`` (N + 1,), over j < N."""
        with np.errstate(divide="ignore"):
            return largest((np.log(self.size) - log_upper[:, None])[:-1])

    def outside(self, log_lower: Array, log_upper: Array) -> float:
        """By how much log(||delta_j|| / ||delta_N||) leaves [log_lower, log_upper] (N + 1,), over j < N."""
        with np.errstate(divide="ignore"):
            ratio = np.log(bounds.gradient_ratio(self.delta))
        return largest(np.maximum(ratio - log_upper[:, None], log_lower[:, None] - ratio)[:-1])

    def backpropagation(self, sign: int = 1) -> float:
        """||delta_j - Phi_j delta_N|| / (||Phi_j|| ||delta_N||), which rounding keeps at a few eps a stage."""
        predicted = np.einsum("jbac,bc->jba", self.phi, sign * self.output_gradient)
        difference = np.linalg.norm((self.delta - predicted).astype(np.float64), axis=-1)
        return largest(difference / (self.size * np.linalg.norm(self.output_gradient, axis=-1)))


class _Question(NamedTuple):
    """A check before it is measured."""

    name: str
    statement: str
    guaranteed: bool
    measure: Callable[[], float]
    neighbour: str = ""
    control: Callable[[], float] | None = None


def _questions(net: Network, evidence: Evidence) -> Iterator[_Question]:
    x, backend = evidence.x, evidence.backend
    exact = symplectic_by_design(net)
    J = structure(net)
    if J is not None:
        twin = Evidence(controls.forward_euler(net), x, backend)
        measures: list[tuple[str, str, Callable[[Evidence], float]]] = [
            ("symplectic", "Phi^T J Phi = J", lambda e: e.defect(net)),
            ("determinant", "det Phi = 1", Evidence.determinant),
            ("eigenvalues", "eigenvalues in pairs l, 1/l", lambda e: e.eigenvalues(J)),
        ]
        if symplectic.is_orthogonal(J):
            measures.append(("singular values", "singular values in pairs s, 1/s", Evidence.singular_values))
        for name, statement, measure in measures:
            control = partial(measure, twin) if exact else None
            yield _Question(name, statement, exact, partial(measure, evidence), "forward Euler, same weights", control)
    mlp = Evidence(controls.contracting_mlp(net), x, backend)
    yield _Question(
        "norms",
        "every norm of Phi >= 1",
        exact,
        evidence.shortfall,
        "MLP that halves sensitivities",
        mlp.shortfall if exact else None,
    )
    if net.arch.name == "H1":
        yield _Question(
            "euler defect",
            "D J D^T - J = h^2 (JS) J (JS)^T",
            True,
            evidence.euler,
            "last transpose left out",
            partial(evidence.euler, transpose=False),
        )
    log_upper = bounds.log_upper(net)
    stretched = Evidence(controls.Stretched(net, STRETCH), x, backend)
    yield _Question(
        "upper bound",
        "||Phi_j|| <= sharp bound",
        True,
        partial(evidence.above, log_upper),
        f"last layer x {STRETCH} after bounding",
        partial(stretched.above, log_upper),
    )
    if net.stages().shears:
        yield _Question(
            "gradients",
            "1/bound <= |delta_j|/|delta_N| <= bound",
            True,
            partial(evidence.outside, -log_upper, log_upper),
            f"last layer x {STRETCH} after bounding",
            partial(stretched.outside, -log_upper, log_upper),
        )
    yield _Question(
        "backpropagation",
        "delta_j = Phi_j delta_N",
        True,
        evidence.backpropagation,
        "sign of delta_N flipped",
        partial(evidence.backpropagation, sign=-1),
    )


def symplectic_by_design(net: Network) -> bool:
    """Whether theory makes every Phi_j symplectic: H2 and MS3 always, MS1 while all layers share their weights."""
    return net.stages().shears and (net.arch.J is not None or structure(net) is not None)


def structure(net: Network) -> Array | None:
    """J (n, n) if the network has one that is the same in all layers, else None."""
    if net.arch.J is None and (not net.arch.depth or np.linalg.matrix_rank(net.K).min() < net.arch.width):
        return None  # J = K^-T does not exist
    J = net.interconnection
    return J if J is not None and J.ndim == 2 else None


def defect(phi: Array, net: Network, *, norm: str = "fro") -> Array:
    """rho (...) of phi (..., n, n) for the J of ``net``.

    Where J = K^-T (MS1), the equivalent Phi K^T Phi^T = K^T is tested: inverting an ill-conditioned K would add errors
    that are not Phi's.

    Raises
    ------
    ValueError
        If the network has no J that is the same in all layers.
    """
    J = structure(net)
    if J is None:
        raise ValueError(f"net: expected a network with the same J in all layers, got {net.arch}")
    if net.arch.J is None:
        return symplectic.defect(phi.swapaxes(-1, -2), net.K[0].T, norm=norm)
    return symplectic.defect(phi, J, norm=norm)


def largest(values: Array) -> float:
    """The largest entry as a float: NaN if one is NaN, 0 if there is none."""
    return float(np.max(values)) if np.size(values) else 0.0

"""What holds for one network on given samples, by how much, and that the checks would notice if it did not.

Networks of vectors, of images and on graphs are asked the same questions:

===============  ==============================================  =======================================================
check            statement                                       promised for
===============  ==============================================  =======================================================
forward pass     y_{j+1} = F_j(y_j), by the reference            all
sensitivities    Phi_j = X_j^T Phi_{j+1}                         all; X_j = dy_{j+1}/dy_j by a complex step through the
backpropagation  delta_j = X_j^T delta_{j+1}                     reference's forward pass
symplectic       Phi^T J Phi = J                                 H2, MS3, ConvH2, and MS1 while its layers are the same
eigenvalues      Phi^T J v = J v / l for every Phi v = l v       the same, J nonsingular: 1/l is an eigenvalue as l is
singular values  in pairs s, 1/s                                 the same, J orthogonal
two-form         (Phi u)^T J (Phi v) = u^T J v                   the same; where not all samples have their whole Phi
determinant      det Phi = 1                                     networks of shears: H2, MS1, MS3, ConvH2
norms            every norm of Phi >= 1                          the same
euler defect     D J D^T - J = (D - I) J (D - I)^T               H1: the defect of a layer is h^2 (J S) J (J S)^T
upper bound      ||Phi_j|| <= sharp bound                        all
gradients        1/bound <= |delta_j| / |delta_N| <= bound       networks of shears
===============  ==============================================  =======================================================

With damping they are said with the factor c_j = exp(-h (gp + gq) (N - j)) that the rates amount to: Phi^T J Phi = c J,
eigenvalues in pairs l, c/l, singular values in pairs s, c/s, det Phi = c^(n/2), every norm of Phi >= sqrt(c).

A check states the number that comes nearest to its tolerance, of all layers and samples, and that tolerance, which
follows from the error analysis of ``pyham.verification.rounding`` for this layer and this sample. It also states a
control: a neighbouring network, on which the same check must report a violation. The first neighbour that does is
shown; the last that is tried does by construction (outputs multiplied by a number), so that a check whose control does
not fail is a check that sees nothing. Where there is nothing to break, or the tolerance exceeds what is measured, the
reason is stated instead.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.images import Pixelwise
from pyham.engines.choice import Backend
from pyham.network import Network
from pyham.verification import regions
from pyham.verification.balls import Proof, prove
from pyham.verification.matrices import LARGE
from pyham.verification.measurements import UNDECIDED
from pyham.verification.questions import Question, Subject, questions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Check:
    """One statement about a network.

    ``guaranteed`` says whether theory promises it for this network; ``holds`` whether it was found, and ``decided``
    whether the tolerance, relative to what is measured, was small enough for that to mean something. ``measured`` and
    ``tolerance`` are those of ``layer`` and ``sample``, where they come nearest to each other. ``control`` names the
    neighbouring case, ``control_measured`` the same number there, and ``control_failed`` whether it violated its
    tolerance as it must; where there is none, ``reason`` says why. ``proof`` is "proven", "excluded" or "undecided"
    where ball arithmetic was asked.
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
    decided: bool = True
    layer: int = 0
    sample: int = 0
    reason: str | None = None
    proof: str | None = None

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.proof == "proven" and self.holds:
            return "proven"
        if not self.guaranteed:
            return "holds*" if self.holds and self.decided else "not promised"
        if not self.holds:
            return f"VIOLATED (layer {self.layer}, sample {self.sample})"
        return "holds" if self.decided else "undecided"


@dataclass(frozen=True)
class Certificate:
    """The checks of one network; ``print`` it. ``passed``: all that is guaranteed holds, and every control failed.

    ``undecided`` counts the checks of what is guaranteed that rounding errors may hide: they neither pass nor fail.
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

    @property
    def undecided(self) -> int:
        return sum(check.guaranteed and check.holds and not check.decided for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON: infinity and NaN, which JSON lacks, as strings."""
        checks = [
            {key: str(v) if isinstance(v, float) and not np.isfinite(v) else v for key, v in asdict(check).items()}
            for check in self.checks
        ]
        facts = {key: v if np.isfinite(v) else str(v) for key, v in self.facts.items()}
        return asdict(self) | {"checks": checks, "facts": facts, "passed": self.passed, "undecided": self.undecided}

    def __str__(self) -> str:
        rows = [("check", "measured", "tolerance", "verdict", "control", "measured")]
        for c in self.checks:
            control, value = c.control or f"({c.reason or 'none'})", ""
            if c.control_measured is not None:
                value = f"{c.control_measured:.1e} {'fails' if c.control_failed else 'DOES NOT FAIL'}"
            rows.append((c.statement, f"{c.measured:.1e}", f"{c.tolerance:.1e}", c.verdict, control, value))
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        verdict = "PASSED" if self.passed else "NOT PASSED"
        if self.undecided:
            verdict += f", {self.undecided} undecided"
        head = f"{self.network}, {self.samples} samples, {self.dtype}: {verdict}"
        foot = ["* found on these samples, not promised by theory"] if any("holds*" in line for line in lines) else []
        facts = ", ".join(f"{name} {value:.3g}" for name, value in self.facts.items())
        return "\n".join([head, "-" * max(map(len, lines)), *lines, *foot, f"at the input: {facts}"])


def certify(
    net: Network,
    x: object,
    *,
    full: int | None = None,
    arithmetic: str = "float",
    digits: int = 40,
    radius: float | None = None,
    channels: Sequence[int] | None = None,
    backend: Backend = "numba",
) -> Certificate:
    """Certificate of ``net`` on the samples x (B, n), or images (B, C, rows, columns), in x's dtype.

    Parameters
    ----------
    full : how many samples have their whole sensitivities Phi_0 .. Phi_N computed; at first all, and one where a state
        has more than 512 numbers. The others are checked along random directions. A network at every pixel of images
        is certified on the states of the pixels of these images.
    arithmetic : "float", or "balls": what ``pyham.verification.balls.prove`` proves of the exact network to ``digits``
        digits is then "proven", not only measured, and among the facts are the true rounding errors of both engines,
        relative to max(1, ||Phi||). Needs python-flint, and networks of vectors or on graphs.
    radius, channels : of regions around the samples, in the infinity norm, in which these channels vary (all). What
        ``pyham.regions.enclose`` proves of every input in them stands among the facts: how large ||Phi_0|| and how
        small a gradient can be.

    Raises
    ------
    TypeError, ValueError
        As ``net.sensitivity(x)`` does.
    ImportError
        If balls are asked for, and python-flint is not installed.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    _check.choice("arithmetic", arithmetic, ("float", "balls"))
    named, net = str(net.arch), net.settled
    y = _check.array("x", x, ("B", *net.arch.shape))
    if y.dtype.kind == "c":
        raise TypeError(f"x: expected real samples, got dtype {y.dtype}")
    whole = len(y) if y[:1].size <= LARGE else min(1, len(y))
    if full is not None:
        whole = _check.integer("full", full, 0)
        if whole > len(y):
            raise ValueError(f"full: expected an integer from 0 to the {len(y)} samples, got {full}")
    if isinstance(net.arch, Pixelwise):
        whole *= net.arch.rows * net.arch.columns
        y = np.moveaxis(y, 1, -1).reshape(-1, net.arch.network.width)
        net = Network(net.arch.network, net.params)
        named = str(net.arch)
    with np.errstate(all="ignore"):  # what overflows does not hold, and is shown as inf or NaN
        subject = Subject(net, y, whole, backend)
        checks = [_checked(question, subject) for question in questions(subject)]
        facts = subject.facts()
    if arithmetic == "balls":
        proof = prove(net, y[:whole], digits=digits)
        checks = [_proved(check, proof) for check in checks]
        facts |= {f"true error of {name}": float(error.max()) for name, error in proof.errors.items()}
    if radius is not None:
        region = regions.enclose(net, y[:whole], radius, channels=channels)
        facts |= {f"within {radius:g} {name}": value for name, value in _of_region(region).items()}
    elif channels is not None:
        raise ValueError(f"channels: expected none without a radius, got {channels!r}")
    return Certificate(named, len(y), str(y.dtype), tuple(checks), facts)


def _of_region(region: regions.Region) -> dict[str, float]:
    """Bounds of ||Phi_0|| and of gradients for all inputs of all regions, if there are any."""
    if not region.norms.size:
        return {}
    found = {"every norm at most": float(region.norms[0].max())}
    if region.gradient_lower is not None:
        found["every gradient at least"] = float(region.gradient_lower[0].min())
    return found


def _proved(check: Check, proof: Proof) -> Check:
    """The check with the answer of a proof, if it answers that question."""
    answer = {"symplectic": proof.symplectic, "determinant": proof.determinant, "norms": proof.norms}.get(check.name)
    if answer is None:
        return check
    holds = check.holds and (answer.verdict != "excluded" or not check.guaranteed)
    return replace(check, proof=answer.verdict, holds=holds)


def _checked(question: Question, subject: Subject) -> Check:
    measured, tolerance, layer, sample = question.measure().worst()
    holds, decided = bool(measured <= tolerance), bool(tolerance <= UNDECIDED)
    reason: str | None = None
    control: tuple[str | None, float | None, bool | None] = (None, None, None)
    if not subject.net.arch.depth or not len(subject.passes.x):
        reason = "no layers" if len(subject.passes.x) else "no samples"
    elif not question.guaranteed:
        reason = "not promised"
    elif not decided:
        reason = f"rounding errors in {subject.passes.x.dtype} may exceed it"
    else:
        for name, neighbour in question.controls:
            reading = neighbour()
            value, limit, *_ = reading.worst()
            control = name, value, not value <= limit
            if control[2]:
                break
        if control[2] is False and not subject.phi.found["fro"][:-1].any():
            reason, control = "all sensitivities are 0", (None, None, None)
        elif control[2] is False and not reading.decisive():
            reason, control = question.blind, (None, None, None)
    return Check(
        question.name, question.statement, question.guaranteed, measured, tolerance, holds, *control,
        decided, layer, sample, reason,
    )  # fmt: skip

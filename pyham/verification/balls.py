"""Proofs instead of tolerances: states and sensitivities as enclosures, in ball arithmetic.

A network and a sample, taken as the exact binary numbers that they are, define exact matrices Phi_j. The recursion of
``pyham.engines.reference`` encloses them when it computes with balls, midpoint and radius, of python-flint's ``arb``
(Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic", IEEE Transactions on Computers 66,
2017); ``pyham.verification.ball_stages`` has the stages in balls. The recursion carries R_j = Phi_j - I, of one stage

    R <- L + R + L R        L = A^T diag(sigma') W^T, in the rows that the stage reads and the columns that it updates

so the smallest effect of a stage is known to many digits, which Phi itself would lose beside the 1 of the identity;
and ``pyham.verification.ball_questions`` asks about Phi in R, or, of a damped network, about Phi / sqrt(c).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.network import Network
from pyham.verification.ball_activations import Ball, flint
from pyham.verification.ball_questions import Verdict, ask, down, error_bound, summary, verdict_of
from pyham.verification.ball_stages import BallStages, lower, matrix, precision

__all__ = ["BallStages", "Balls", "Proof", "Verdict", "enclose", "examine", "lower", "precision", "prove"]

Array = np.ndarray[Any, Any]
Matrix = Any  # flint.arb_mat

DOUBLINGS = 6  # of the bits, while a question is undecided
ENGINES = ("numba", "reference")


class Balls(NamedTuple):
    """One sample: states y_0 .. y_N (n, 1), Phi_0 .. Phi_N (n, n), Phi_j - I, and sigma' (r numbers) of every stage.

    Every entry is a ball that contains the exact number. Compute with them inside ``precision(bits)``: python-flint
    rounds to 53 bits otherwise, which leaves the results true but wide.
    """

    states: list[Matrix]
    phi: list[Matrix]
    deviations: list[Matrix]
    slopes: list[list[Ball]]


@dataclass(frozen=True)
class Proof:
    """What ball arithmetic says of every Phi_0 .. Phi_N of every sample; ``proven`` if that is "proven" throughout.

    Parameters
    ----------
    samples : how many
    digits, bits : decimal digits that were asked for, and the most bits that were needed
    symplectic : Phi_j^T J Phi_j = J; "proven" if the enclosure of the difference contains 0 and is narrower than
        10^(6 - digits) ||J|| max(1, ||Phi||^2). None where the network has no J that is the same in all layers.
    norms : ||Phi_j||_2 >= 1 (with damping all three are said of Phi_j / sqrt(c_j), c_j the product of the stages' keep)
    determinant : det Phi_j = 1; "proven" if the enclosure contains 1 and is narrower than 10^(6 - digits)
    errors : for each engine (N + 1,), the largest ||Phi_engine - Phi||_F / max(1, ||Phi||_2) over the samples, rounded
        upwards: the engine's true rounding error in the samples' dtype
    """

    samples: int
    digits: int
    bits: int
    symplectic: Verdict | None
    norms: Verdict
    determinant: Verdict
    errors: dict[str, Array]

    @property
    def proven(self) -> bool:
        asked = (self.symplectic, self.norms, self.determinant)
        return all(answer.verdict == "proven" for answer in asked if answer is not None)


def prove(net: Network, x: object, *, digits: int = 40) -> Proof:
    """Proofs for ``net`` on the samples x (B, n), and the engines' true rounding errors in x's dtype.

    The precision is doubled for a sample as long as a question about it is undecided, up to 64 times the bits.

    Raises
    ------
    TypeError, ValueError
        If x is not real or has another shape, and as ``lower(net, digits)`` does.
    ImportError
        If python-flint is not installed.
    """
    stages = lower(net, digits)
    samples = _check.array("x", x, ("B", net.arch.width))
    if samples.dtype.kind != "f":
        raise TypeError(f"x: expected real samples, got dtype {samples.dtype}")
    engines = ENGINES if samples.dtype.itemsize in (4, 8) else ENGINES[1:]
    with np.errstate(all="ignore"):  # what overflows has an infinite error
        return examine(stages, samples, {name: net.sensitivity(samples, backend=name) for name in engines})


def enclose(stages: BallStages, x_row: Array, bits: int | None = None) -> Balls:
    """States and sensitivities of one sample x_row (n,), computed with ``bits``; without, with ``stages.bits``."""
    mat, n = flint().arb_mat, stages.width
    with precision(stages.bits if bits is None else bits):
        y, slopes = matrix(x_row[:, None]), []
        states = [y]
        for s, (A, c, W, keep) in enumerate(stages.sequence):
            pairs = [stages.sigma(a) for a in (A * y + c).entries()]
            update = W * mat(len(pairs), 1, [sigma for sigma, _ in pairs])
            y = (y if keep is None else keep * y) + update
            slopes.append([slope for _, slope in pairs])
            if (s + 1) % stages.per_layer == 0:
                states.append(y)
        identity = matrix(np.eye(n))
        R = mat(n, n)
        deviations = [R]
        for s, (A, c, W, keep) in reversed(list(enumerate(stages.sequence))):
            scale = mat(c.nrows(), c.nrows())
            for i, slope in enumerate(slopes[s]):
                scale[i, i] = slope
            L = A.transpose() * scale * W.transpose()
            R = L + R + L * R if keep is None else (keep + L) * (identity + R) - identity
            if s % stages.per_layer == 0:
                deviations.append(R)
        deviations.reverse()
        return Balls(states, [identity + R for R in deviations], deviations, slopes)


def _scaled(balls: Balls, stages: BallStages) -> list[Matrix]:
    """Phi_j / sqrt(c_j) - I, which is asked about in a damped network; Phi_j - I in all others."""
    if stages.factors is None:
        return balls.deviations
    identity = matrix(np.eye(stages.width))
    return [phi / c.sqrt() - identity for phi, c in zip(balls.phi, stages.factors, strict=True)]


def examine(stages: BallStages, x: Array, computed: Mapping[str, Array] | None = None) -> Proof:
    """``prove`` for stages in balls, whoever changed them; ``computed`` are the Phi (N + 1, B, n, n) of engines."""
    depth, found = len(stages.sequence) // stages.per_layer, []
    errors = {name: np.zeros(depth + 1) for name in computed or {}}
    most = stages.bits
    for i, row in enumerate(x):
        for doubling in range(DOUBLINGS + 1):
            bits = stages.bits << doubling
            with precision(bits):
                balls = enclose(stages, row, bits)
                answers = ask(_scaled(balls, stages), stages.J, stages.inverse, stages.digits)
                if "undecided" not in {verdict_of(question) for question in zip(*answers, strict=True)}:
                    break
        most = max(most, bits)
        found.append(answers)
        with precision(bits):
            for name, phi in (computed or {}).items():
                for j, enclosure in enumerate(balls.phi):
                    root = 1.0 if stages.factors is None else down(stages.factors[j].sqrt()) * (1 - 1e-15)
                    error = error_bound(phi[j, i], enclosure, answers[j][1].number * root)
                    errors[name][j] = max(errors[name][j], error)
    symplectic, norms, determinant = (
        summary([[answers[question] for answers in layers] for layers in found], question == 1) for question in range(3)
    )
    return Proof(len(x), stages.digits, most, None if stages.J is None else symplectic, norms, determinant, errors)

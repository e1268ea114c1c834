"""V21. Proof instead of tolerance: in ball arithmetic, enclosures of the exact sensitivities decide the claims.

Statement: for H2, MS3 and constant-A MS1 with their weights as they are, exact binary numbers, the enclosure of
Phi_j^T J Phi_j - J contains 0 and that of det Phi_j contains 1, both narrower than 10^(6 - digits); ||Phi_j||_2 >= 1
from a proven lower bound; and the true rounding errors of both engines are small. Source: Galimberti et al., IEEE TAC
2023 (theorem); Johansson, IEEE Transactions on Computers 2017 (arithmetic). Oracle: python-flint's arb, every operation
of which encloses its exact result. Number: the widest enclosure over layers and samples, in the units of
``pyham.verification.balls.Proof``; 1 - the smallest proven lower bound of a norm; the largest ||Phi_engine - Phi||_F /
max(1, ||Phi||_2). What is not proven counts as infinite. Tolerance: 10^(6 - digits), with 40 digits; 0 for norms. For
rounding errors c eps (stages) max(1, ||Phi||), c = 4: each stage's factor is known to a few eps, and its error is
multiplied by sensitivities on both sides, hence the second ||Phi||. Control: 0 must be excluded if W is rounded to
float64 first, if A or W, the two places where a weight stands, is moved by one ulp in one entry of one stage, if a sign
is flipped there (the smallest proven violation is shown; of MS1, where W = h I is a float64 number, without W); norms
of an MLP and determinants of forward Euler, disproved; errors of the next smaller dtype. The step is no power of two:
h K^T would then be float64 numbers, and rounding them no fault.
"""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.verification import balls, neighbours
from pyham.verification.ball_activations import flint
from pyham.verification.ball_questions import ask
from pyham.verification.ball_stages import one_ulp
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, GREY, PURPLE, RED, panels
from validation.v18_precision import PrecisionCase

STATEMENT = "proven in balls of 40 digits: Phi^T J Phi = J, ||Phi|| >= 1, det Phi = 1; true rounding errors"

DIGITS, CONSTANT = 40, 4
LIMIT = 10.0 ** (6 - DIGITS)
SMALLER: dict[type[np.floating[Any]], tuple[type[np.floating[Any]], str]] = {
    np.float64: (np.float32, "numba"),
    np.float32: (np.float16, "reference"),
}


def missing() -> str:
    """What this claim lacks: python-flint is an extra."""
    return "" if importlib.util.find_spec("flint") else 'python-flint is not installed: pip install "pyham[rigorous]"'


def check(lab: Lab) -> Iterator[Result]:
    contracting = balls.examine(balls.lower(pyham.MLP(width=4, depth=64).init(lab.rng("V21"))), lab.samples[:1])
    for label, net, x in cases(lab):
        stages = balls.lower(net, DIGITS)
        proof = balls.examine(stages, x)
        assert proof.symplectic is not None
        control = min(violation(faulty, x[:1]) for faulty in faults(stages, net).values())
        measured = decided(proof.symplectic, proof.symplectic.worst, "proven")
        note = f"{proof.bits} bits"
        yield Result(f"{label}, symplectic", measured, LIMIT, control, "rounded W, ulps, a sign: smallest", note)
        measured = decided(proof.norms, 1 - proof.norms.worst, "proven")
        control = decided(contracting.norms, 1 - contracting.norms.worst, "excluded")
        yield Result(f"{label}, norms", measured, 0, control, "MLP, 64 layers", f"smallest {proof.norms.worst:.6f}")
        measured = decided(proof.determinant, proof.determinant.worst, "proven")
        euler = balls.examine(balls.lower(neighbours.forward_euler(net), DIGITS), x[:1]).determinant
        control = decided(euler, euler.worst, "excluded")
        yield Result(f"{label}, determinant", measured, LIMIT, control, "forward Euler")
        for dtype, (smaller, backend) in SMALLER.items():
            rounded = x.astype(dtype)
            phi = {name: net.sensitivity(rounded, backend=name) for name in balls.ENGINES}
            phi["smaller"] = net.sensitivity(x.astype(smaller), backend=backend)
            errors = {name: error.max() for name, error in balls.examine(stages, rounded, phi).errors.items()}
            measured = max(errors[name] for name in balls.ENGINES)
            note = ", ".join(f"{name} {errors[name] / np.finfo(dtype).eps:.1f} eps" for name in balls.ENGINES)
            words = f"errors of {smaller.__name__}"
            limit = tolerance(net, phi["reference"])
            yield Result(f"{label}, {dtype.__name__} errors", measured, limit, errors["smaller"], words, note)


def cases(lab: Lab) -> list[PrecisionCase]:
    """The trained network, and random ones with any X, other schemes and other architectures."""
    rng = lab.rng("V21")
    depth, samples = (16, 1) if lab.quick else (64, 8)
    X = rng.standard_normal((2, 2)) + 2 * np.eye(2)
    random: dict[str, pyham.Architecture] = {
        "H2, any X": pyham.H2(width=4, depth=depth, step=0.9 / depth, X=X, scheme="yoshida4", order="q-first"),
        "MS3, Verlet": pyham.MS3(width=4, depth=depth, step=0.9 / depth, scheme="verlet"),
        "MS1, one A": pyham.MS1(width=4, depth=depth, step=0.9 / depth),
    }
    found = [PrecisionCase("H2 trained", lab.trained, lab.samples[: 2 * samples])]
    for label, arch in random.items():
        start = {"A": rng.standard_normal((2, 2))} if arch.name == "MS1" else "normal"
        found.append(PrecisionCase(label, arch.init(rng, initialization=start), rng.standard_normal((samples, 4))))
    return found


def decided(answer: balls.Verdict, number: float, verdict: str) -> float:
    """``number`` if this is the verdict; else what a check must not pass with, or a control fail with."""
    return number if answer.verdict == verdict else np.inf if verdict == "proven" else -np.inf


def tolerance(net: pyham.Network, phi: Array) -> float:
    """c eps (stages) max(1, ||Phi||) for the largest of phi (N + 1, B, n, n)."""
    size = np.linalg.norm(phi.astype(np.float64), ord=2, axis=(-2, -1)).max()
    return float(CONSTANT * np.finfo(phi.dtype).eps * net.stages().count * max(1, size))


def violation(faulty: list[balls.BallStages], x: Array) -> float:
    """The largest proven lower bound of the defect that the same fault has at several places; -inf if 0 is possible."""
    found = [balls.examine(stages, x).symplectic for stages in faulty]
    return max(decided(answer, answer.worst, "excluded") for answer in found if answer is not None)


def faults(stages: balls.BallStages, net: pyham.Network) -> dict[str, list[balls.BallStages]]:
    """Faults by name: each at the largest entry of the first, the middle and the last stage, or in all of W."""
    arrays, one_place = net.stages(np.float64), net.arch.name == "MS1"
    found: dict[str, list[balls.BallStages]] = {}
    if not one_place:
        found["W rounded to float64"] = [stages.changed("W", lambda w: flint().arb(float(w.mid())))]
    changes: list[tuple[str, str, Callable[[Any], Any]]] = [("one ulp in W", "W", one_ulp)] * (not one_place)
    changes += [("one ulp in A", "A", one_ulp), ("one sign flipped", "A", lambda a: -a)]
    for label, name, change in changes:
        M = getattr(arrays, name)
        places = [(s, *np.unravel_index(np.abs(M[s]).argmax(), M[s].shape)) for s in (0, len(M) // 2, len(M) - 1)]
        found[label] = [stages.changed(name, change, (int(s), int(i), int(k))) for s, i, k in places]
    return found


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    net, x = lab.trained, lab.samples[:1]
    stages, layers = balls.lower(net, DIGITS), np.arange(net.arch.depth)
    figure, (left, right) = panels(2, width=5.4)
    left.plot(layers, defects(stages, x, "proven"), color=BLUE, label="the network: 0 is enclosed, upper bound")
    for (label, faulty), colour in zip(faults(stages, net).items(), (RED, PURPLE, GREEN, GREY), strict=True):
        excluded = defects(faulty[len(faulty) // 2], x, "excluded")  # of the three places the one in the middle
        style = "--" if "in A" in label else "-"  # it lies on that of W
        left.plot(layers, excluded, style, color=colour, label=f"{label}: 0 is excluded, lower bound")
    left.axhline(LIMIT, color="black", linestyle=":", linewidth=0.8)
    left.annotate(r"$10^{6 - \mathrm{digits}}$", (0, LIMIT), (0, 3), textcoords="offset points")
    left.set(yscale="log", xlabel="layer j", ylabel=r"$\|\Phi^T J \Phi - J\| \, / \, \|J\| \|\Phi\|^2$")
    for dtype, style in ((np.float32, "--"), (np.float64, "-")):
        rounded = x.astype(dtype)
        for (name, error), colour in zip(balls.prove(net, rounded).errors.items(), (RED, BLUE), strict=True):
            right.plot(layers, error[:-1], style, color=colour, label=f"{name}, {dtype.__name__}")
    right.set(yscale="log", xlabel="layer j", ylabel=r"$\|\Phi_\mathrm{engine} - \Phi\| \, / \, \max(1, \|\Phi\|)$")
    left.legend(frameon=False, fontsize=7, loc=(0.03, 0.1))
    right.legend(frameon=False, fontsize=7)
    yield (
        "What enclosures of 40 digits decide, for one sample of the trained network. Left, the defect of "
        "symplecticity: that of the network is 0 to more than 50 digits, while one weight that is wrong in its last "
        "bit, in one stage, is told from 0 in all layers before it. Right, the true rounding errors of both engines.",
        figure,
    )


def defects(stages: balls.BallStages, x: Array, verdict: str) -> list[float]:
    """Bounds of the normalised defect of Phi_0 .. Phi_{N-1} of the one sample x (1, n); NaN under other verdicts."""
    with balls.precision(stages.bits):
        answers = ask(balls.enclose(stages, x[0]).deviations, stages.J, stages.inverse, stages.digits)
    return [answer.number if answer.verdict == verdict else np.nan for answer, _, _ in answers[:-1]]

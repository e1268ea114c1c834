"""V23. X of H2, J and R of H1 and rates of damping may be learnt: every law holds at each step of a training.

Statement: with parameters in the place of X, J = S - S^T, R = L L^T or rates log(1 + exp(theta)), the network that has
certain values is the fixed one with these values, so Phi_j^T J Phi_j = c_j J holds at every step of a training, and the
gradients are dX = dC[q, p] - dC[p, q]^T, dS = dC - dC^T, dL = -(dC + dC^T) L with dC = sum of a dW A, and those of the
rates by <dW, W> and <delta, y>. Source: the chain rule; ``pyham.architectures.learnt``. Oracle: a complex step through
the reference's forward pass, in a random direction of each parameter. Numbers: (a) rho of V2 for Phi_j / sqrt(c_j) with
the X of that step, the largest of all epochs; (b) the difference of the derivatives, relative to the sizes of the terms
that add up to them. Tolerance: (a) c eps (stages), c = 4; (b) eps (stages + samples + n), since sums over stages,
samples and entries err by their number of terms. Controls: (a) X moved by 1 % after W was computed; (b) the gradient
transposed; for rates the derivative without what they do to keep.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import pyham
from pyham.engines.reference import Reference
from pyham.training import Epoch, Protocol, train
from pyham.verification import symplectic
from validation.claim import Array, Lab, Result
from validation.v19_damping import normalised

STATEMENT = "learnt X, J, R, rates: symplectic at every step of a training; gradients equal a complex step's"


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V23")
    yield along_a_training(lab, rng)
    cases: dict[str, Any] = {
        "X": pyham.H2(4, 16, 0.1, X="learnt"),
        "S of J = S - S^T": pyham.H1(4, 16, 0.1, interconnection="learnt"),
        "L of R = L L^T": pyham.H1(4, 16, 0.1, dissipation="learnt"),
        "rates of H2, Verlet": pyham.H2(4, 16, 0.1, scheme="verlet", damping="learnt"),
        "rate of H1": pyham.H1(4, 16, 0.1, damping="learnt"),
    }
    names = dict(zip(cases, ("X", "S", "L", "damping", "damping"), strict=True))
    for label, arch in cases.items():
        name, net = names[label], arch.init(rng)
        net = net.replace({name: net.params[name] + 0.3 * rng.standard_normal(net.params[name].shape)})
        x, g = rng.standard_normal((2, 20, 4))
        yield against_complex_step(label, net, name, x, g, rng)


def along_a_training(lab: Lab, rng: np.random.Generator) -> Result:
    """rho at every epoch of a short training in which X and the rates are learnt."""
    x, labels, test, _ = lab.data
    arch = pyham.H2(4, 16, 0.1, X="learnt", damping="learnt")
    found: list[tuple[float, float]] = []

    def look(epoch: Epoch) -> None:
        net = epoch.classifier().net
        phi, settled = net.sensitivity(test[:20]), net.settled
        scaled = normalised(phi, settled)
        moved = np.asarray(settled.arch.X) + 0.01 * np.linalg.norm(settled.arch.X) * rng.standard_normal((2, 2))
        controls = pyham.interconnection.from_block(moved)
        found.append(
            (float(symplectic.defect(scaled, settled.arch.J).max()), float(symplectic.defect(scaled, controls).max()))
        )

    epochs = 3 if lab.quick else 10
    train(arch.init(rng), x[:1000], labels[:1000], protocol=Protocol(scheme="joint", epochs=epochs, output_epochs=0),
          rng=lab.seed, callback=look)  # fmt: skip
    limit = 4 * float(np.finfo(float).eps) * 2 * arch.depth
    note = f"{len(found)} epochs; the least control of all is shown"
    measured, control = max(row[0] for row in found), min(row[1] for row in found)
    return Result("H2, X and rates learnt", measured, limit, control, "X moved after W was computed", note)


def against_complex_step(
    label: str, net: pyham.Network, name: str, x: Array, g: Array, rng: np.random.Generator
) -> Result:
    """The derivative in a random direction of one parameter."""
    value = net.params[name]
    direction = rng.standard_normal(value.shape)
    others = {key: other.astype(complex) for key, other in net.params.items()}
    stepped = net.replace(others | {name: value + 1e-100j * direction})
    expected = float((stepped(x.astype(complex), backend="reference") * g).sum().imag / 1e-100)
    found = net.gradient(x, g)
    size = float(np.abs(found.params[name] * direction).sum())
    if name == "damping":
        driven = replace(stepped.stages(), keep=net.stages().keep.astype(complex))  # keep as if it were no rate's
        output = Reference().forward(driven, x.astype(complex))
        wrong, case = float((output * g).sum().imag / 1e-100), "what rates do to keep left out"
    else:
        wrong, case = float((found.params[name].T * direction).sum()), "the gradient transposed"
    measured, control = abs((found.params[name] * direction).sum() - expected) / size, abs(wrong - expected) / size
    limit = float(np.finfo(float).eps) * (net.stages().count + len(x) + 4)
    return Result(label, measured, limit, control, case)

"""V2. Backward sensitivity matrices of H2, MS3 and constant-A MS1 are symplectic, to rounding, at any depth.

Statement: Phi_j^T J Phi_j = J for every j, any weights, any X, either update order, semi-implicit Euler, Verlet,
Yoshida. Source: Galimberti et al., IEEE TAC 2023, theorem on non-vanishing gradients of H2; Chang et al. 2018 (MS3);
for MS1 J = K^-T. Oracle: the definition itself, evaluated in double precision on matrices that the engine computed.
Number: rho = ||Phi^T J Phi - J|| / (||J|| max(1, ||Phi||^2)) over all layers and samples, in the Frobenius norm, and in
the spectral norm for up to 128 layers and 20 samples; the larger. Tolerance: each stage multiplies Phi by a factor
known to a few eps, so rho <= c eps (stages), c = 4. Control: the same weights by forward Euler; one layer driven by
another J; one sign flipped in one layer. The number shown is the smallest of the three.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import pyham
from pyham.engines.compiled import dense as compiled
from pyham.verification import neighbours
from pyham.verification.structure import defect
from validation.claim import Array, Lab, Result, worst

STATEMENT = "Phi_j^T J Phi_j = J for H2, MS3 and constant-A MS1, every layer j"

CONSTANT = 4
SPECTRAL = 20  # samples for the spectral norm: each takes three singular value decompositions a layer


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V2")
    for dtype in (np.float64, np.float32):
        for label, net in (("trained", lab.trained), ("before training", lab.untrained)):
            measured = rho(net, lab.samples.astype(dtype))
            control = min(violations(net, lab.samples[:SPECTRAL].astype(dtype), rng))
            case, limit = f"H2 {label}, {dtype.__name__}", tolerance(net, dtype)
            yield Result(case, measured, limit, control, "3 faults, smallest")
    for name in ("H2", "MS3", "MS1"):
        for dtype in (np.float64, np.float32):
            cases = []
            for net, x in networks(name, lab, rng):
                cases.append((rho(net, x.astype(dtype)), tolerance(net, dtype), describe(net)))
            measured, limit, case = worst(cases)
            broken = random_network(name, 6, 64, rng)
            control = min(violations(broken, rng.standard_normal((8, 6)).astype(dtype), rng))
            note = f"{len(cases)} random networks, widths 2-32, depths to {depths(lab)[-1]}; the worst: {case}"
            yield Result(f"{name} random, {dtype.__name__}", measured, limit, control, "3 faults, smallest", note)


def rho(net: pyham.Network, x: Array) -> float:
    """The larger of the Frobenius and spectral residuals, over all layers and samples."""
    return rho_of(net.sensitivity(x), net)


def rho_of(phi: Array, net: pyham.Network) -> float:
    frobenius, spectral = defect(phi, net), defect(spread(phi)[:, :SPECTRAL], net, norm="2")
    return float(max(frobenius.max(), spectral.max()))


def spread(phi: Array, layers: int = 128) -> Array:
    """Phi_0 and evenly spaced others, at most ``layers`` in all: singular values of thousands of matrices take long."""
    return phi[:: max(1, -(-len(phi) // layers))]


def tolerance(net: pyham.Network, dtype: type) -> float:
    return CONSTANT * float(np.finfo(dtype).eps) * len(net.stages().A)


def depths(lab: Lab) -> tuple[int, ...]:
    return (1, 16, 256) if lab.quick else (1, 16, 256, 4096)


def networks(name: str, lab: Lab, rng: np.random.Generator) -> Iterator[tuple[pyham.Network, Array]]:
    """Random networks over widths, depths, schemes, orders and X, with samples."""
    for depth in depths(lab):
        for width in (2, 4, 8, 32) if depth < 1000 else (2, 4, 32):
            samples = 1 if depth > 1000 else 4
            yield random_network(name, width, depth, rng), rng.standard_normal((samples, width))
    for scheme in ("verlet", "yoshida4"):
        for order in ("p-first", "q-first"):
            yield random_network(name, 6, 32, rng, scheme, order), rng.standard_normal((4, 6))


def random_network(
    name: str, width: int, depth: int, rng: np.random.Generator, scheme: str = "semi-implicit", order: str = "p-first"
) -> pyham.Network:
    """T = h N = 1; weights N(0, 1 / m), so that norms stay moderate at every width."""
    m = width // 2
    options: dict[str, Any] = {"scheme": scheme, "order": order}
    if name == "H2":
        options["X"] = np.linalg.qr(rng.standard_normal((m, m)))[0] @ np.diag(rng.uniform(0.5, 2, m))
    arch = pyham.architecture(name, width=width, depth=depth, step=1 / depth, **options)
    if name == "MS1":
        return arch.init(rng, initialization={"A": rng.standard_normal((m, m)) / np.sqrt(m)})
    return arch.init(rng, initialization="scaled-normal")


def violations(net: pyham.Network, x: Array, rng: np.random.Generator) -> Iterator[float]:
    """rho of forward Euler on the same weights, of one layer with another J, and of one layer with one sign flipped.

    The layer is that of five evenly spaced ones in which the fault does most: in a trained network some units are
    saturated on all samples, and there a fault does nothing; and rho is relative to the growth of all later layers.
    """
    yield rho_of(neighbours.forward_euler(net).sensitivity(x), net)
    stages = net.stages(x.dtype)
    other_J, flipped = [], []
    for s in np.unique(np.linspace(0, len(stages.A) - 1, 5).astype(int)):
        W, A = stages.W.copy(), stages.A.copy()
        W[s] = (rng.standard_normal(W[s].shape) * net.arch.step) @ stages.A[s].T
        A[s][np.unravel_index(np.abs(A[s]).argmax(), A[s].shape)] *= -1
        other_J.append(float(defect(sensitivity(replace(stages, W=W), x), net).max()))
        flipped.append(float(defect(sensitivity(replace(stages, A=A), x), net).max()))
    yield max(other_J)
    yield max(flipped)


def sensitivity(stages: pyham.Stages, x: Array) -> Array:
    return compiled.DENSE.sensitivity(stages, compiled.DENSE.trace(stages, x))


def describe(net: pyham.Network) -> str:
    return f"n = {net.arch.width}, N = {net.arch.depth}, {net.arch.config().get('scheme', 'forward Euler')}"

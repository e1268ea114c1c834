"""V3. Backward sensitivity matrices of symplectic networks have norm >= 1 at every depth: gradients cannot vanish.

Statement: ||Phi_j|| >= 1 in the norms 1, 2, inf, Frobenius and nuclear, because |det Phi_j| = 1 forces a spectral
radius >= 1. Source: Galimberti et al., IEEE TAC 2023, corollary of the symplecticity of the sensitivities. Number: 1 -
min norm, over j < N, samples and norms. Tolerance: a computed Phi has relative error c eps (stages), so its spectral
radius is at least |det|^(1/n) = 1 - c eps (stages), c = 4. Control: an MLP with standard normal weights.
"""

from collections.abc import Iterator

import numpy as np

import pyham
from pyham.verification import symplectic
from validation.claim import Lab, Result, worst
from validation.v02_symplectic import networks, spread, tolerance

STATEMENT = "||Phi_j|| >= 1 in the norms 1, 2, inf, Frobenius, nuclear (measured: 1 - smallest norm)"


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V3")
    mlp = pyham.MLP(width=4, depth=64).init(rng)
    vanished = shortfall(mlp.sensitivity(lab.samples[:50]))
    for label, net in (("trained", lab.trained), ("before training", lab.untrained)):
        measured = shortfall(net.sensitivity(lab.samples))
        note = f"smallest norm {1 - measured:.6f}"
        yield Result(f"H2 {label}", measured, tolerance(net, np.float64), vanished, "MLP, 64 layers", note)
    for name in ("H2", "MS3", "MS1"):
        for dtype in (np.float64, np.float32):
            cases = []
            for net, x in networks(name, lab, rng):
                phi = net.sensitivity(x.astype(dtype))
                cases.append((shortfall(phi), tolerance(net, dtype), ""))
            measured, limit, _ = worst(cases)
            note = f"{len(cases)} random networks"
            yield Result(f"{name} random, {dtype.__name__}", measured, limit, vanished, "MLP, 64 layers", note)


def shortfall(phi: np.ndarray) -> float:
    """1 - the smallest of all norms of Phi_0 .. Phi_{N-1} (of up to 128 layers)."""
    return 1 - min(float(norm.min()) for norm in symplectic.norms(spread(phi[:-1])).values())

"""V8. MS1 is symplectic while its weights are constant, and not when they vary; MS3 with any weights.

Statement: MS1 is Hamiltonian with J = K^-T, so its sensitivities are symplectic for J only if J, hence A, is the same
in all layers; MS3 has J1 whatever its weights. Source: Haber & Ruthotto 2017, Chang et al. 2018, as unified in
Galimberti et al. 2021. Number and tolerance: rho <= 4 eps (stages), as in V2. Control for MS1: the same network with A
varying from layer to layer, tested with the J of the layer that Phi_j starts from. Control for MS3: forward Euler.
"""

from collections.abc import Iterator

import numpy as np

import pyham
from pyham.verification import neighbours, symplectic
from validation.claim import Lab, Result
from validation.v02_symplectic import rho, rho_of, tolerance

STATEMENT = "MS1: symplectic with constant A, not with varying A; MS3: with any weights"


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V8")
    for width in (4, 8):
        x = rng.standard_normal((20, width))
        arch = pyham.MS1(width=width, depth=64, step=1 / 64)
        constant = arch.init(rng, initialization={"A": rng.standard_normal((width // 2, width // 2))})
        varying = arch.init(rng)
        phi = varying.sensitivity(x)[:-1].swapaxes(-1, -2)
        defects = [symplectic.defect(phi[j], varying.K[j].T).max() for j in range(arch.depth)]
        label, limit = f"MS1 constant A, n = {width}", tolerance(constant, np.float64)
        yield Result(label, rho(constant, x), limit, float(max(defects)), "A varying")
        ms3 = pyham.MS3(width=width, depth=64, step=1 / 64).init(rng)
        broken = rho_of(neighbours.forward_euler(ms3).sensitivity(x), ms3)
        label, limit = f"MS3 varying weights, n = {width}", tolerance(ms3, np.float64)
        yield Result(label, rho(ms3, x), limit, broken, "forward Euler")

"""V17. Contrast: the sensitivities of an MLP fall exponentially with depth, through 1e-16, same initialisation.

Statement: ||Phi_0||_2 of y <- tanh(K y + b), K and b standard normal, n = 4, is below eps from some depth on, the fall
being exponential, while H2 with weights from the same distribution stays above 1. Source: the motivation of Galimberti
et al., IEEE TAC 2023. Number: the largest norm over samples at the last depth. Tolerance: eps of float64 (2.2e-16),
below which a gradient no longer changes a weight of size 1. Control: H2. The note gives the rate and the straightness
of log norm against depth (R^2 of the fit over all depths).
"""

from collections.abc import Iterator

import numpy as np

import pyham
from pyham import symplectic
from validation.claim import Lab, Result

STATEMENT = "MLP: ||Phi_0|| falls exponentially with depth, through 1e-16; H2: it does not"

DEPTH = 512


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V17")
    x = rng.standard_normal((20, 4))
    norm = symplectic.norms(pyham.MLP(width=4, depth=DEPTH).init(rng).sensitivity(x))["2"].max(axis=1)
    kept = symplectic.norms(pyham.H2(width=4, depth=DEPTH, step=1 / DEPTH).init(rng).sensitivity(x))["2"].min(axis=1)
    layers = DEPTH - np.arange(DEPTH + 1)
    visible = norm > np.finfo(np.float64).tiny  # below it, numbers lose digits
    slope, _ = np.polyfit(layers[visible], np.log10(norm[visible]), 1)
    straight = np.corrcoef(layers[visible], np.log10(norm[visible]))[0, 1] ** 2
    crossing = layers[norm < 1e-16].min(initial=DEPTH + 1)
    note = f"factor {10**slope:.2f} a layer (R^2 = {straight:.3f}), below 1e-16 from depth {crossing} on"
    eps = float(np.finfo(np.float64).eps)
    yield Result(f"MLP, n = 4, {DEPTH} layers", float(norm[0]), eps, float(kept[0]), "H2, same weights' law", note)

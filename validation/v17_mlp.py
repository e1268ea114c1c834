"""V17. Contrast: the sensitivities of an MLP fall exponentially with depth, through 1e-16, same initialisation.

Statement: ||Phi_0||_2 of y <- tanh(K y + b), K and b standard normal, n = 4, is below eps from some depth on, the fall
being exponential, while H2 with weights from the same distribution stays above 1. Source: the motivation of Galimberti
et al., IEEE TAC 2023. Number: the largest norm over samples at the last depth. Tolerance: eps of float64 (2.2e-16),
below which a gradient no longer changes a weight of size 1. Control: H2. The note gives the rate and the straightness
of log norm against depth (R^2 of the fit over all depths).
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.verification import symplectic
from validation.claim import Lab, Result
from validation.look import BLUE, GREY, RED, panels

STATEMENT = "MLP: ||Phi_0|| falls exponentially with depth, through 1e-16; H2: it does not"

DEPTH = 512


def check(lab: Lab) -> Iterator[Result]:
    norm, kept = norms(lab)
    layers = DEPTH - np.arange(DEPTH + 1)
    visible = norm > np.finfo(np.float64).tiny  # below it, numbers lose digits
    slope, _ = np.polyfit(layers[visible], np.log10(norm[visible]), 1)
    straight = np.corrcoef(layers[visible], np.log10(norm[visible]))[0, 1] ** 2
    crossing = layers[norm < 1e-16].min(initial=DEPTH + 1)
    note = f"factor {10**slope:.2f} a layer (R^2 = {straight:.3f}), below 1e-16 from depth {crossing} on"
    eps = float(np.finfo(np.float64).eps)
    yield Result(f"MLP, n = 4, {DEPTH} layers", float(norm[0]), eps, float(kept[0]), "H2, same weights' law", note)


def norms(lab: Lab) -> tuple[np.ndarray, np.ndarray]:
    """||Phi_j||_2 (N + 1,): the largest over samples of the MLP, the smallest of H2."""
    rng = lab.rng("V17")
    x = rng.standard_normal((20, 4))
    mlp, h2 = pyham.MLP(width=4, depth=DEPTH).init(rng), pyham.H2(width=4, depth=DEPTH, step=1 / DEPTH).init(rng)
    falling, kept = (symplectic.norms(net.sensitivity(x))["2"] for net in (mlp, h2))
    return falling.max(axis=1), kept.min(axis=1)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    """Norms against the number of layers between a state and the output."""
    figure, (axis,) = panels(1, width=6)
    distance = DEPTH - np.arange(DEPTH + 1)
    for norm, colour, label in zip(norms(lab), (RED, BLUE), ("MLP, largest", "H2, smallest"), strict=True):
        axis.plot(distance, norm, color=colour, label=f"{label} over 20 samples")
    axis.axhline(1e-16, color=GREY, linewidth=1, linestyle=":")
    axis.annotate("1e-16", (DEPTH, 1e-16), (0, 4), textcoords="offset points", ha="right", color=GREY)
    axis.set(yscale="log", xlabel="layers between state and output, N - j", ylabel=r"$\|\partial y_N/\partial y_j\|_2$")
    axis.legend(frameon=False, loc="lower left")
    yield "Depth: an MLP's sensitivities fall by a constant factor a layer, those of H2 stay at or above 1.", figure

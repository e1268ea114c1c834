"""V6. Sensitivities are per sample: the mean of the matrices over a batch hides their growth, and is not symplectic.

Statement: ||mean Phi_j|| <= mean ||Phi_j|| over the samples of a batch, in the norms 1, 2, inf, Frobenius and nuclear,
strictly where samples differ; every Phi_j is symplectic and has norm >= 1, while their mean is not symplectic and can
have norm < 1. Source: the triangle inequality, and V2 and V3, which hold sample by sample; published figures show the
norm of the mean. Oracle: both sides from the same matrices. Number: the largest log(||mean|| / mean of norms), j < N;
rho as in V2; 1 - the smallest norm as in V3. Tolerance: a mean of B matrices has a relative error of B eps in terms of
the entries' sizes, whose norms exceed the matrices' at most sqrt(n) times, and singular values add 4 n eps: sqrt(n) (B
+ 4 n) eps; for symplecticity and norms that of V2, for every sample. Control: the inequality the other way round,
which would hold if averaging hid nothing; the mean matrix itself in the checks of V2 and V3. The latter needs matrices
that cancel: those of nonlinear oscillators, which turn by different angles in the same time.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pyham
from pyham.verification import symplectic
from pyham.verification.atlas import Atlas, atlas
from validation.claim import Array, Lab, Result
from validation.look import BLUE, RED, panels
from validation.v02_symplectic import rho_of, tolerance

STATEMENT = "||mean Phi_j|| <= mean ||Phi_j|| <= max; every Phi_j is symplectic with norm >= 1, their mean is not"

QUANTILES = (0, 0.05, 0.5, 0.95, 1)


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V6")
    cases = [("H2 trained", lab.trained, lab.samples), ("H2 before training", lab.untrained, lab.samples)]
    swings = [(f"oscillators, n = {n}", *oscillators(n, 100 if lab.quick else 200, rng)) for n in (2, 4)]
    for label, net, x in cases + swings:
        found, phi = atlas(net, x), net.sensitivity(x)
        limit = float(np.finfo(np.float64).eps * np.sqrt(net.arch.width) * (len(x) + 4 * net.arch.width))
        yield Result(label, excess(found), limit, hidden(found), "mean of norms <= norm of mean", describe(found))
        measured, control = rho_of(phi, net), rho_of(phi.mean(axis=1, keepdims=True), net)
        yield Result(f"{label}, symplectic", measured, tolerance(net, np.float64), control, "mean over samples")
    for label, net, x in swings:
        found = atlas(net, x)
        single = 1 - min(float(norm[:-1].min()) for norm in found.norms.values())
        mean = 1 - min(float(norm[:-1].min()) for norm in found.norms_of_mean.values())
        note = f"smallest norm of the mean {1 - mean:.3f}, of all samples {1 - single:.6f}"
        yield Result(f"{label}, norms", single, tolerance(net, np.float64), mean, "mean over samples", note)


def oscillators(width: int, samples: int, rng: np.random.Generator) -> tuple[pyham.Network, Array]:
    """p' = -tanh q, q' = tanh p in every plane, T = 25.6, and samples: the larger the swing, the slower."""
    unit = np.eye(width // 2)
    start = {"Kp": unit, "Kq": unit, "b": np.zeros(width)}
    net = pyham.H2(width=width, depth=256, step=0.1).init(rng, initialization=start)
    return net, 2 * rng.standard_normal((samples, width))


def excess(found: Atlas) -> float:
    """The largest log(norm of the mean / mean of norms) over layers j < N and norms."""
    return float(max(-np.log(found.hidden(norm)[:-1]).min() for norm in symplectic.NORMS))


def hidden(found: Atlas) -> float:
    """The largest log(mean of norms / norm of the mean) over layers j < N and norms."""
    return float(max(np.log(found.hidden(norm)[:-1]).max() for norm in symplectic.NORMS))


def describe(found: Atlas) -> str:
    """The layer in which averaging hides most, in the 2-norm."""
    j = int(found.hidden().argmax())
    levels = " / ".join(f"{value:.3g}" for value in found.quantiles(QUANTILES)[:, j])
    names = " / ".join(f"{100 * q:g}" for q in QUANTILES)
    return (
        f"j = {j}: norms {levels} ({names} % of samples), their mean {found.mean_of_norms()[j]:.3g}, "
        f"norm of the mean {found.norms_of_mean['2'][j]:.3g}"
    )


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    rng = lab.rng("V6")
    cases = [("H2 trained on the Swiss roll", lab.trained, lab.samples)]
    cases.append(("nonlinear oscillators, n = 2", *oscillators(2, 200, rng)))
    figure, axes = panels(2)
    for axis, (title, net, x) in zip(axes, cases, strict=True):
        draw(axis, atlas(net, x))
        axis.set_title(title, loc="left", fontsize=10)
    axes[0].set_ylabel(r"$\|\partial y_N/\partial y_j\|_2$")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    yield (
        "Norms of backward sensitivity matrices by layer. The norm of the mean over the batch lies below the mean of "
        "the norms, hides the largest of them, and can fall below 1, which no single one does.",
        figure,
    )


def draw(axis: Axes, found: Atlas) -> None:
    layers = np.arange(found.depth + 1)
    low, five, _, ninety_five, high = found.quantiles(QUANTILES)
    axis.fill_between(layers, low, high, color=BLUE, alpha=0.15, linewidth=0, label="all samples")
    axis.fill_between(layers, five, ninety_five, color=BLUE, alpha=0.3, linewidth=0, label="5 to 95 % of samples")
    axis.plot(layers, found.mean_of_norms(), color=BLUE, label="mean of norms")
    axis.plot(layers, found.norms_of_mean["2"], color=RED, linestyle="--", label="norm of the mean")
    axis.axhline(1, color="#4d4d4d", linewidth=0.8, label="lower bound 1")
    axis.set(yscale="log", xlim=(0, found.depth), xlabel="layer j (the input is on the left)")

"""The picture of the main job: norms of backward sensitivity matrices, layer by layer."""

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pyham
from pyham.files.replacing import replace_file
from pyham.verification import bounds, symplectic
from validation.claim import Array, Lab
from validation.look import BLUE, GREY, RED

QUANTILES = (0, 5, 25, 50, 75, 95, 100)
CEILING = 1e9  # of the axes: after training, the upper bounds lead far beyond what a picture can show
NAMES = {"paper": "exponential", "product": "product", "sharp": "sharp"}

CAPTION = (
    "How much the output of a 64-layer network depends on the state of each layer: the norm of dy_N/dy_j for every "
    "sample, layer by layer. In a Hamiltonian network it cannot fall below 1, whatever the weights; in an MLP it does."
)


def draw(lab: Lab) -> Figure:
    """||Phi_j||_2 of H2 before and after training and of an MLP, quantiles over samples, with bounds."""
    mlp = pyham.MLP(width=4, depth=64).init(lab.seed)
    panels = [
        ("H2 before training", lab.untrained, BLUE),
        (f"H2 trained, {100 * lab.accuracy:.1f} % of test samples right", lab.trained, BLUE),
        ("MLP, same initialisation", mlp, RED),
    ]
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, 3, figsize=(11, 4.4), layout="constrained")
        for axis, (title, net, colour) in zip(axes, panels, strict=True):
            panel(axis, net, lab.samples, colour)
            axis.set_title(title, fontsize=10, loc="left")
        for axis in axes[:2]:
            axis.set_ylim(0.3, CEILING)
        axes[0].set_ylabel(r"$\|\partial y_N/\partial y_j\|_2$, one matrix per sample")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
        count = len(lab.samples)
        figure.suptitle(
            f"Backward sensitivity matrices of 64-layer networks on {count} Swiss-roll samples", fontsize=11
        )
    return figure


def save(figure: Figure, path: Path) -> None:
    """A PNG, written at once or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, buffer.getvalue())


def panel(axis: Axes, net: pyham.Network, x: Array, colour: str) -> None:
    """One network: bands of quantiles, the lower bound 1, the upper bounds and where they lead."""
    layers = np.arange(net.arch.depth + 1)
    norm = symplectic.norms(net.sensitivity(x))["2"]
    quantile = dict(zip(QUANTILES, np.percentile(norm, QUANTILES, axis=1), strict=True))
    for low, high, alpha in ((0, 100, 0.15), (5, 95, 0.3), (25, 75, 0.5)):
        label = "all samples" if low == 0 else f"{low} to {high} % of samples"
        axis.fill_between(layers, quantile[low], quantile[high], color=colour, alpha=alpha, linewidth=0, label=label)
    axis.plot(layers, quantile[50], color=colour, linewidth=1.5, label="median")
    axis.axhline(1, color=GREY, linewidth=1, label="lower bound 1" if net.arch.keep else "1")
    axis.set(yscale="log", xlim=(0, net.arch.depth), xlabel="layer j (the input is on the left)")
    if not net.arch.keep:
        axis.annotate("1: Hamiltonian networks stay above", (2, 1), (0, 4), textcoords="offset points", color=GREY)
        axis.set_ylim(top=1e2)
        return
    leads = []
    for kind, style in zip(bounds.KINDS, (":", "--", "-."), strict=True):
        log10 = bounds.log_upper(net, kind) / np.log(10)
        visible = log10 <= np.log10(CEILING) + 1
        label = f"upper bound: {NAMES[kind]}"
        axis.plot(layers[visible], 10 ** log10[visible], style, color="black", linewidth=1.2, label=label)
        size = f"10$^{{{log10[0]:.0f}}}$" if log10[0] > 3 else f"{10 ** log10[0]:.0f}"
        leads.append(f"{NAMES[kind]} {size}")
    found = f"largest measured: {norm[0].max():.3g}\nupper bounds:\n" + "\n".join(leads)
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}  # over lines that come too near
    text = f"at the input\n{found}"
    falling = bounds.log_upper(net, "paper")[0] <= np.log(
        10 * CEILING
    )  # all bounds begin inside, and fall to the right
    place, side = (0.98, "right") if falling else (0.02, "left")
    axis.text(place, 0.98, text, transform=axis.transAxes, va="top", ha=side, fontsize=8, color=GREY, bbox=paper)

"""Reach at depth: the gradient at the first of 1 to 10^6 layers, over that at the output, for MLP, ResNet, H1 and H2.

||delta_0|| / ||delta_N|| of every sample, weights standard normal, gradients computed in little memory
(``net.gradient(memory="reversible")`` for H2, "checkpoint" for the others). Three ways to grow deep: T = N h = 1, where
a deeper network is a finer step; h = 0.1 with weights of its own in every layer; h = 0.1 with the same weights in all.
Symplectic layers exclude that sensitivities vanish; that they grow with the final time they do not exclude.
"""

import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from figures import command, style
from figures.setup import Setup
from pyham.verification import bounds

Array = np.ndarray[Any, Any]

CAPTION = "Gradients of Hamiltonian networks reach the first of a million layers; an MLP's vanish within a hundred."
NETWORKS = {"MLP": "MLP", "ResNet": "ResNet", "H1, J1": "H1", "H2": "H2"}
WAYS = ("T = 1", "h = 0.1", "h = 0.1, constant")
STEP = 0.1
SAMPLES = 16
LEVELS = (0, 0.5, 1)


def compute(setup: Setup) -> dict[str, Array]:
    """Quantiles of the ratios (ways, networks, depths, 3), NaN beyond the largest numbers; log of H2's bound, T = 1."""
    depths = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
    if not setup.quick:
        depths += [30_000, 100_000, 300_000, 1_000_000]
    rng = setup.rng("reach")
    x, g = rng.standard_normal((2, SAMPLES, 4))
    ratios = np.full((len(WAYS), len(NETWORKS), len(depths), len(LEVELS)), np.nan)
    bound = np.empty(len(depths))
    for w, way in enumerate(WAYS):
        for k, name in enumerate(NETWORKS.values()):
            for d, depth in enumerate(depths):
                if way == "h = 0.1" and depth > 100_000:
                    continue  # ratios exceed the largest float64
                net = network(name, depth, way, setup.seed)
                found = net.gradient(x, g, memory="reversible" if name == "H2" else "checkpoint").input
                ratio = bounds.gradient_ratio(np.stack([found, g]))[0]
                ratios[w, k, d] = np.quantile(ratio, LEVELS) if np.isfinite(ratio).all() else np.nan
                if way == "T = 1" and name == "H2":
                    bound[d] = bounds.log_upper(net)[0]
    return {"depths": np.array(depths), "ratios": ratios, "log bound": bound}


def network(name: str, depth: int, way: str, seed: int) -> pyham.Network:
    """A network of that depth."""
    step = 1 / depth if way == "T = 1" else STEP
    arch = pyham.architecture(name, width=4, depth=depth, step=step)
    if not way.endswith("constant"):
        return arch.init(seed)
    one = pyham.architecture(name, width=4, depth=1, step=step).init(seed)
    return arch.init(seed, initialization={key: np.repeat(value, depth, axis=0) for key, value in one.params.items()})


def plot(arrays: dict[str, Array]) -> Figure:
    """One panel for each way to grow deep: median and range over the samples."""
    titles = (
        "$T = Nh = 1$: finer and finer steps",
        "$h = 0.1$: longer and longer times,\nweights of each layer's own",
        "$h = 0.1$: longer and longer times,\nthe same weights in all layers",
    )
    limits = ((1e-20, 1e4), (1e-20, 1e20), (1e-4, 1e6))
    depths = arrays["depths"]
    figure, axes = style.panels(1, 3, width=3.9, height=3.7)
    for w, (axis, title, limit) in enumerate(zip(axes[0], titles, limits, strict=True)):
        for k, name in enumerate(NETWORKS):
            low, middle, high = arrays["ratios"][w, k].T.clip(1e-320)
            line = style.LINES[name] | {"markersize": 4}
            axis.fill_between(depths, low, high, color=line["color"], alpha=0.15, linewidth=0)
            axis.plot(depths, middle, label=name, linewidth=1.4, **line)
        if w == 0:
            for sign in (1, -1):
                axis.plot(depths, np.exp(sign * arrays["log bound"]), ":", color=style.BLACK, linewidth=1,
                          label="H2: bounds from the weights" if sign == 1 else None)  # fmt: skip
        axis.axhline(np.finfo(float).eps, color=style.GREY, linewidth=0.7)
        axis.set(xscale="log", yscale="log", xlabel="layers $N$", xlim=(1, depths[-1]), ylim=limit)
        axis.set_title(title)
        if limit[0] < 1e-16:
            axis.annotate("eps: lost in rounding", (depths[-1], np.finfo(float).eps), (0, 3), ha="right", fontsize=8,
                          textcoords="offset points", color=style.GREY)  # fmt: skip
    axes[0, 0].set_ylabel(r"gradient at the input / at the output, $\|\delta_0\|/\|\delta_N\|$")
    entries = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=5)
    figure.suptitle(f"Median and range over {SAMPLES} samples, $n$ = 4, standard normal weights", fontsize=9)
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "reach")


if __name__ == "__main__":
    sys.exit(main())

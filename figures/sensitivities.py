"""Norms of backward sensitivity matrices per layer and along training: MLPs, H1 and H2 on the double moons.

Upper row, after training, against the layer j: ||dy_N/dy_j||_2 of every sample, the lower bound 1 of symplectic
networks, the upper bounds from the weights (``pyham.bounds``), and the norm of the mean of the matrices over the
samples, which is what published figures show. Lower row, at the input, along training. The MLPs have the baseline of
the papers: n = 6, rate 0.05, weight decay 1e-4; H1 and H2 their protocol for the plane, n = 4.
The MLP of 32 layers does not learn: its gradients are so small that weight decay alone acts, and the bound shows how
the weights go to 0.
"""

import sys
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pyham
from figures import command, protocols, style
from figures.setup import Setup
from pyham.data import plane as datasets
from pyham.training import Epoch, Protocol, train
from pyham.verification import atlas

Array = np.ndarray[Any, Any]

CAPTION = "An MLP's sensitivities vanish; those of H2 cannot fall below 1, and H1's do not, whatever the weights learn."
USES = (protocols,)
LEVELS = (0, 0.05, 0.5, 0.95, 1)
KINDS = {"paper": ":", "product": "--", "sharp": "-."}
NAMES = {"paper": "exponential", "product": "product", "sharp": "sharp"}
BASELINE = Protocol(decay=1e-4, alpha=0.0)
SAMPLES = 200
FLOOR, CEILING = 1e-16, 1e8  # of the axes: bounds lead far beyond what a picture can show
TINY = 1e-300  # in place of 0, which has no logarithm


class ShownNetwork(NamedTuple):
    """A network to train."""

    title: str
    name: str
    width: int
    depth: int
    protocol: Protocol


def cases(setup: Setup) -> list[ShownNetwork]:
    """The four networks."""
    deep = 16 if setup.quick else 64
    public = protocols.PUBLIC.protocol
    return [
        ShownNetwork("MLP, 8 layers", "MLP", 6, 8, BASELINE),
        ShownNetwork("MLP, 32 layers", "MLP", 6, 32, BASELINE),
        ShownNetwork(f"H1, J1, {deep} layers", "H1", 4, deep, public),
        ShownNetwork(f"H2, {deep} layers", "H2", 4, deep, public),
    ]


def compute(setup: Setup) -> dict[str, Array]:
    """For each case: quantiles of norms (5, N + 1) and along training (5, looks), norms of means, logs of bounds."""
    found: dict[str, Array] = {}
    every = 1 if setup.quick else 2
    for number, case in enumerate(cases(setup)):
        points = datasets.double_moons(2000 if setup.quick else 8000, width=case.width, rng=setup.seed)
        x, labels, x_test, labels_test = datasets.train_test_split(*points)
        options: dict[str, Any] = {"interconnection": "J1"} if case.name == "H1" else {}
        step = protocols.PUBLIC.final_time / case.depth if case.name != "MLP" else 1.0
        net = pyham.architecture(case.name, width=case.width, depth=case.depth, step=step, **options).init(setup.seed)
        looks: list[tuple[float, ...]] = []

        def look(epoch: Epoch, looks: list[tuple[float, ...]] = looks, x_test: Array = x_test) -> None:
            if epoch.phase == "weights" and epoch.done % every == 0:
                looks.append(at_the_input(epoch.network(), x_test[:SAMPLES], epoch.done))

        looks.append(at_the_input(net, x_test[:SAMPLES], 0))
        protocol = case.protocol if not setup.quick else Protocol(epochs=6, output_epochs=2, decay=case.protocol.decay)
        classifier = train(net, x, labels, protocol=protocol, rng=setup.seed, callback=look)
        after = atlas.atlas(classifier.net, x_test[:SAMPLES])
        found[f"{number} layers"] = after.quantiles(LEVELS)
        found[f"{number} mean"] = after.norms_of_mean["2"]
        for kind, values in after.log_upper.items():
            found[f"{number} log {kind}"] = values
        found[f"{number} training"] = np.array(looks).T
        found[f"{number} accuracy"] = np.array(100 * classifier.accuracy(x_test, labels_test))
        found[f"{number} title"] = np.array(case.title)
    return found


def at_the_input(net: pyham.Network, x: Array, done: int) -> tuple[float, ...]:
    """Epochs, quantiles of ||Phi_0||_2 (5), norm of the mean, log of the sharp bound."""
    now = atlas.atlas(net, x)
    levels = now.quantiles(LEVELS)[:, 0].tolist()
    return (done, *levels, float(now.norms_of_mean["2"][0]), float(now.log_upper["sharp"][0]))


def plot(arrays: dict[str, Array]) -> Figure:
    """Two rows of four panels; the first two share a scale, and so do the others."""
    count = sum(name.endswith(" title") for name in arrays)
    figure, axes = style.panels(2, count, width=3.1, height=2.9, sharey="col")
    for number in range(count):
        mlp = arrays[f"{number} title"].item().startswith("MLP")
        colour = style.RED if mlp else style.BLUE
        upper, lower = axes[:, number]
        layers = np.arange(arrays[f"{number} layers"].shape[1])
        style.bands(upper, layers, np.maximum(arrays[f"{number} layers"], TINY), color=colour)
        upper.plot(layers, np.maximum(arrays[f"{number} mean"], TINY), color="black", linewidth=1.2,
                   label="norm of the batch's mean")  # fmt: skip
        for kind, line in KINDS.items():
            if (name := f"{number} log {kind}") in arrays:
                bound(upper, layers, arrays[name], line, f"upper bound: {NAMES[kind]}")
        epochs, *levels, mean, log_sharp = arrays[f"{number} training"]
        style.bands(lower, epochs, np.maximum(levels, TINY), color=colour)
        lower.plot(epochs, np.maximum(mean, TINY), color="black", linewidth=1.2)
        bound(lower, epochs, log_sharp, KINDS["sharp"], "")
        for axis, end in ((upper, layers[-1]), (lower, epochs[-1])):
            axis.axhline(1, color=style.GREY, linewidth=1, label="lower bound 1 of symplectic networks")
            axis.set(yscale="log", xlim=(0, end), ylim=(FLOOR / 3, 1e4) if mlp else (0.1, CEILING))
        upper.set_xlabel("layer $j$ (input on the left)")
        lower.set_xlabel("epochs")
        accuracy = arrays[f"{number} accuracy"].item()
        upper.set_title(f"{arrays[f'{number} title'].item()}\ntest accuracy {accuracy:.1f} %")
        least, most = levels[0][-1], levels[-1][-1]
        span = f"{number_of(least)} to {number_of(most)}" if most else "0, as numbers underflow"
        lower.set_title(f"in the end {span},\nnorm of the mean {number_of(mean[-1])}", fontsize=9)
        if not mlp:
            leads = [f"{NAMES[kind]} $10^{{{arrays[f'{number} log {kind}'][0] / np.log(10):.0f}}}$" for kind in KINDS]
            upper.text(0.04, 0.97, "bounds at the input:\n" + "\n".join(leads), transform=upper.transAxes, va="top",
                       fontsize=8, color=style.GREEN,
                       bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1})  # fmt: skip
    axes[0, 0].set_ylabel(r"$\|\partial y_N/\partial y_j\|_2$ after training")
    axes[1, 0].set_ylabel(r"$\|\partial y_N/\partial y_0\|_2$ along training")
    entries: dict[str, Any] = {}
    for axis in axes[0]:
        entries |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
    return figure


def number_of(value: float) -> str:
    """Three digits, with a power of ten where it is small or large."""
    if 0.01 <= value < 1e4:
        return f"{value:.3g}"
    exponent = int(np.floor(np.log10(value))) if value > 0 else -324
    return rf"${value / 10.0**exponent:.1f}\cdot 10^{{{exponent}}}$" if value > 0 else "0"


def bound(axis: Axes, x: Array, log: Array, line: str, label: str) -> None:
    """A bound as far as the axes show it."""
    visible = log <= np.log(CEILING) + 2
    axis.plot(x[visible], np.exp(log[visible]), line, color=style.GREEN, linewidth=1.3, label=label)


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "sensitivities")


if __name__ == "__main__":
    sys.exit(main())

"""Decision regions of every network on every planar data set, with test points and accuracy.

The networks are those of ``figures.protocols`` at the largest depth of the tables, trained by the best protocol. Logits
are those of points of the plane, placed in the first and the last channel of a zero state like the samples.
"""

import sys
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from figures import command, protocols, style
from figures.setup import Setup

Array = np.ndarray[Any, Any]

CAPTION = "What each network makes of each data set: regions of the two classes, and test points."
USES = (protocols,)
DOMAINS = {
    "swiss-roll": ((-1.2, 1.2), (-1.2, 1.2)),
    "double-moons": ((-2.0, 5.0), (-1.0, 2.0)),
    "double-circles": ((-5.0, 5.0), (-5.0, 5.0)),
}
SHOWN = 500  # test points


def compute(setup: Setup) -> dict[str, Array]:
    """Probabilities of class 1 (networks, data sets, G, G), accuracies in % (networks, data sets), points, labels."""
    resolution = 60 if setup.quick else 240
    networks, data = list(protocols.NETWORKS), list(protocols.DEPTHS)
    found: dict[str, Array] = {
        "networks": np.array(networks),
        "data": np.array(data),
        "depths": np.array([4 if setup.quick else depths[-1] for depths in protocols.DEPTHS.values()]),
        "probability": np.empty((len(networks), len(data), resolution, resolution), np.float32),
        "accuracy": np.empty((len(networks), len(data))),
    }
    for d, name in enumerate(data):
        grid = plane(*DOMAINS[name], resolution)
        for k, network in enumerate(networks):
            one = protocols.experiment(setup, "best", network, name, int(found["depths"][d]), setup.seed)
            classifier = one.train()
            _, _, x, labels = one.split()
            found["accuracy"][k, d] = 100 * classifier.accuracy(x, labels)
            z = np.clip(classifier.logits(grid), -30, 30).reshape(resolution, resolution)
            found["probability"][k, d] = 1 / (1 + np.exp(-z))
        found[f"points {name}"], found[f"labels {name}"] = x[:SHOWN, [0, -1]], labels[:SHOWN]
    return found


def plane(horizontal: tuple[float, float], vertical: tuple[float, float], resolution: int) -> Array:
    """States (G G, 4) of a grid of points."""
    u, v = np.meshgrid(np.linspace(*horizontal, resolution), np.linspace(*vertical, resolution))
    states = np.zeros((u.size, 4))
    states[:, 0], states[:, -1] = u.ravel(), v.ravel()
    return states


def plot(arrays: dict[str, Array]) -> Figure:
    """One panel for each network and data set."""
    networks, data = arrays["networks"].tolist(), arrays["data"].tolist()
    shades = LinearSegmentedColormap.from_list("classes", [style.CLASSES[0], "white", style.CLASSES[1]])
    figure, axes = style.panels(len(data), len(networks), width=2.05, height=2.15)
    for d, name in enumerate(data):
        points, labels = arrays[f"points {name}"], arrays[f"labels {name}"]
        extent = (*DOMAINS[name][0], *DOMAINS[name][1])
        for k, network in enumerate(networks):
            axis = axes[d, k]
            share = arrays["probability"][k, d]
            axis.imshow(share, origin="lower", extent=extent, cmap=shades, vmin=-0.25, vmax=1.25, aspect="auto",
                        interpolation="bilinear")  # fmt: skip
            if share.min() < 0.5 < share.max():
                axis.contour(share, levels=[0.5], extent=extent, colors="black", linewidths=0.9)
            for value, marker in ((0, "o"), (1, "^")):
                chosen = points[labels == value]
                axis.plot(*chosen.T, marker, color=style.CLASSES[value], markersize=2.2, markeredgecolor="black",
                          markeredgewidth=0.2)  # fmt: skip
            axis.set(xlim=extent[:2], ylim=extent[2:], xticks=extent[:2], yticks=extent[2:])
            axis.tick_params(labelsize=7, length=2)
            axis.set_title(f"{network}: {arrays['accuracy'][k, d]:.2f} %", fontsize=9)
            if k:
                axis.set_yticklabels([])
        depth = arrays["depths"][d]
        axes[d, 0].set_ylabel(f"{protocols.TITLES[name]}\n{depth} layers", fontsize=9)
    figure.suptitle(
        "Regions that the networks give to class 0 (blue, circles) and class 1 (orange, triangles), and the share of "
        "test samples that they get right",
        fontsize=10,
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "decision_regions")


if __name__ == "__main__":
    sys.exit(main())

"""Hidden features on their way through the layers, in a basis in which the classifier is a vertical line.

A network with a linear output layer w, mu classifies by the sign of w^T y_N + mu. The first basis vector is w / ||w||;
the second is the direction, among those orthogonal to w, in which the outputs y_N vary most. Every y_j is shown in this
basis, so that a sample ends to the right of the line if and only if it is taken for class 1.
"""

import sys
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import command, protocols, style
from figures.setup import Setup

Array = np.ndarray[Any, Any]

CAPTION = "Two spirals untangle layer by layer, until a straight line tells them apart."
USES = (protocols,)
NETWORKS = ("H1, J1", "H2")
DATA = "swiss-roll"
SHOWN = 800


def compute(setup: Setup) -> dict[str, Array]:
    """Coordinates (networks, N + 1, samples, 2), where the line is (networks,), labels and accuracies in %."""
    depth = 16 if setup.quick else 64
    features, lines, accuracy = [], [], []
    for network in NETWORKS:
        one = protocols.experiment(setup, "best", network, DATA, depth, setup.seed)
        classifier = one.train()
        _, _, x, labels = one.split()
        states = classifier.net.trace(x[:SHOWN]).states
        features.append((states @ basis(classifier.w, states[-1])).astype(np.float32))
        lines.append(-classifier.mu / np.linalg.norm(classifier.w))
        accuracy.append(100 * classifier.accuracy(x, labels))
    return {
        "features": np.array(features),
        "line": np.array(lines),
        "labels": labels[:SHOWN],
        "accuracy": np.array(accuracy),
    }


def basis(w: Array, output: Array) -> Array:
    """Two orthonormal columns (n, 2): w / ||w||, and the main direction of the outputs (B, n) across it."""
    first = w / np.linalg.norm(w)
    centred = output - output.mean(axis=0)
    centred = centred - np.outer(centred @ first, first)
    second = np.linalg.svd(centred, full_matrices=False)[2][0]
    second *= np.sign(second[np.abs(second).argmax()])  # the decomposition leaves the sign open
    return np.stack([first, second], axis=1)


def plot(arrays: dict[str, Array]) -> Figure:
    """Stills at five depths, one row for each network."""
    depth = arrays["features"].shape[1] - 1
    layers = [depth * k // 4 for k in range(5)]
    figure, axes = style.panels(len(NETWORKS), len(layers), width=2.4, height=2.5)
    for k, network in enumerate(NETWORKS):
        for axis, j in zip(axes[k], layers, strict=True):
            scatter(axis, arrays, k, j, size=5)
            axis.set_title(f"$y_{{{j}}}$" + (", the input" if j == 0 else ", the output" if j == depth else ""))
            frame(axis, arrays["features"][k, j], float(arrays["line"][k]) if j == depth else None)
            axis.set_xlabel("across the line", fontsize=8)
        axes[k, 0].set_ylabel(f"{network}: {arrays['accuracy'][k]:.2f} %\n\nalong the line", fontsize=9)
    figure.suptitle(
        f"Features of {len(arrays['labels'])} Swiss-roll test samples in {depth} layers; line: the classifier. "
        "Scales follow the features",
        fontsize=10,
    )
    return figure


def animation(arrays: dict[str, Array]) -> style.Animation:
    """Both networks side by side, layer after layer."""
    figure, axes = style.panels(1, len(NETWORKS), width=3.4, height=3.6)
    depth = arrays["features"].shape[1] - 1

    def draw(j: int) -> None:
        for k, network in enumerate(NETWORKS):
            axis = axes[0, k]
            axis.clear()
            scatter(axis, arrays, k, j, size=6)
            near = arrays["features"][k, max(0, j - 4) : j + 5]  # so that the scale changes smoothly
            frame(axis, near, float(arrays["line"][k]))
            axis.set_title(f"{network}, layer {j} of {depth}")
            axis.set(xlabel="across the classifier's line", xticks=[], yticks=[])  # scales change as it goes
        axes[0, 0].set_ylabel("along it")

    step = 4 if depth <= 16 else 2
    return style.Animation(figure, draw, [*[0] * 6, *range(0, depth, step), *[depth] * 14], rate=8)


def scatter(axis: Axes, arrays: dict[str, Array], k: int, j: int, size: float) -> None:
    """The samples of both classes after j layers of network k."""
    points, labels = arrays["features"][k, j], arrays["labels"]
    for value, marker in ((0, "o"), (1, "^")):
        u, v = points[labels == value].T
        axis.scatter(u, v, s=size, c=style.CLASSES[value], marker=marker, linewidths=0, alpha=0.8)


def frame(axis: Axes, points: Array, line: float | None) -> None:
    """Limits that hold all points, and the line."""
    flat = points.reshape(-1, 2)
    low, high = flat.min(axis=0), flat.max(axis=0)
    margin = 0.06 * (high - low)
    (left, bottom), (right, top) = low - margin, high + margin
    if line is not None:
        axis.axvline(line, color="black", linewidth=1)
        left, right = min(left, line - 0.1), max(right, line + 0.1)
    axis.set(xlim=(left, right), ylim=(bottom, top))
    axis.tick_params(labelsize=7)


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "features")


if __name__ == "__main__":
    sys.exit(main())

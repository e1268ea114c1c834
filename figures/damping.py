"""Gradients at a chosen rate: sensitivities by depth for damping rates from -1 to 1, before and after training.

H2, n = 4, 64 layers, T = 4, on the Swiss roll: p and q are damped at the same rate. det dy_N/dy_j is c_j^(n/2) with c_j
= exp(-2 rate (T - t_j)), whatever the weights are, so its n-th root lies on a line; every norm is above it. Each rate
is trained with the same weights to begin with, the same batches and the same number of epochs. On the right how far the
roots are from their lines, relatively, for all rates, samples and layers, beside 4 eps times the number of stages and
the condition ||Phi|| ||Phi^-1|| = ||Phi||^2 / c.
"""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from figures import command, style
from figures.setup import Setup
from pyham.data import plane
from pyham.training.protocol import Protocol
from pyham.training.trainer import train

Array = np.ndarray[Any, Any]

CAPTION = "Gradients fade or grow at the rate of damping that is chosen: determinants to rounding, norms no faster."
RATES = (-1.0, -0.5, 0.0, 0.5, 1.0)
DEPTH, FINAL_TIME, SAMPLES = 64, 4.0, 100
EPOCHS = 30


def compute(setup: Setup) -> dict[str, Array]:
    """Norms and n-th roots of determinants (2, rates, N + 1, samples), before and after training, and accuracies."""
    count, epochs = (400, 2) if setup.quick else (8000, EPOCHS)
    x, labels, test, truth = plane.train_test_split(*plane.swiss_roll(count, rng=setup.seed))
    first = pyham.H2(4, DEPTH, FINAL_TIME / DEPTH).init(setup.seed, initialization="scaled-normal")
    protocol = Protocol(scheme="joint", epochs=epochs, output_epochs=0, alpha=0.0)
    norms, roots, accuracy = [], [], []
    for rate in RATES:
        net = pyham.Network(replace(first.arch, damping=rate), first.params)
        classifier = train(net, x, labels, protocol=protocol, rng=setup.seed)
        accuracy.append(100 * classifier.accuracy(test, truth))
        for one in (net, classifier.net):
            phi = one.sensitivity(test[:SAMPLES])
            norms.append(np.linalg.norm(phi, 2, axis=(-2, -1)))
            roots.append(np.abs(np.linalg.det(phi)) ** 0.25)
    shape = len(RATES), 2, DEPTH + 1, -1
    both = {name: np.array(of).reshape(shape).swapaxes(0, 1) for name, of in (("norms", norms), ("roots", roots))}
    return both | {"accuracy": np.array(accuracy)}


def plot(arrays: dict[str, Array]) -> Figure:
    """Norms as bands and roots as markers on their lines, before and after training; and the deviations."""
    figure, axes = style.panels(1, 3, width=4.2, height=3.7)
    layers = np.arange(DEPTH + 1)
    left = FINAL_TIME * (1 - layers / DEPTH)
    colours = (style.RED, style.ORANGE, style.GREY, style.GREEN, style.BLUE)
    for panel, title in enumerate(("Before training", "After training")):
        axis = axes[0, panel]
        for k, (rate, colour) in enumerate(zip(RATES, colours, strict=True)):
            norms, roots = arrays["norms"][panel, k], arrays["roots"][panel, k]
            low, middle, high = np.quantile(norms, (0, 0.5, 1), axis=1)
            axis.fill_between(layers, low, high, color=colour, alpha=0.15, linewidth=0)
            axis.plot(layers, middle, "--", color=colour, linewidth=1)
            axis.plot(layers, np.exp(-rate * left), color=colour, linewidth=1.2)
            label = f"{rate:g}" if panel == 0 else f"{rate:g}: {arrays['accuracy'][k]:.1f} %"
            axis.plot(layers[::4], roots.mean(axis=1)[::4], "o", color=colour, markersize=3.5, label=label)
        axis.set(yscale="log", xlabel="layer $j$", xlim=(0, DEPTH))
        axis.set_title(title)
        axis.legend(
            title="rate" if panel == 0 else "rate: test accuracy", fontsize=8, title_fontsize=8, loc="upper right"
        )
    axes[0, 0].set_ylabel(r"$\partial y_N / \partial y_j$: norms, $|\det|^{1/n}$ (markers)")
    lower = min(axis.get_ylim()[0] for axis in axes[0, :2])
    upper = 50 * max(axis.get_ylim()[1] for axis in axes[0, :2])
    for axis in axes[0, :2]:
        axis.set_ylim(lower, upper)
    lines = np.exp(-np.multiply.outer(RATES, left))[None, :, :, None]
    off = np.abs(arrays["roots"] / lines - 1).max(axis=(0, 1, 3))
    axis, eps = axes[0, 2], np.finfo(float).eps
    axis.plot(layers, off, ".", color=style.BLUE, markersize=4, label="largest of all rates and samples")
    limit = 4 * eps * 2 * (DEPTH - layers) * ((arrays["norms"] / lines) ** 2).max(axis=(0, 1, 3))
    label = r"4 eps (stages) $\|\Phi_j\|\,\|\Phi_j^{-1}\|$, largest"
    axis.plot(layers[:-1], limit[:-1], color=style.GREY, linewidth=1, label=label)
    axis.set(yscale="log", xlabel="layer $j$", xlim=(0, DEPTH), ylim=(eps / 4, None))
    axis.set_title("Roots of determinants off their lines")
    axis.legend(fontsize=8, loc="best")
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "damping")


if __name__ == "__main__":
    sys.exit(main())

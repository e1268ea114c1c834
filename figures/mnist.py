"""Test accuracy on MNIST by architecture and depth, by the papers' hyperparameters and by our own.

A convolution lifts an image to 8 channels, the network acts on the channels of every pixel, and a linear layer reads
all pixels. Every training is a run of a sweep. Quick mode has ten kinds of stripes in place of digits, so that it needs
no files.
"""

import importlib
import importlib.util
import sys
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import command, protocols, style, tables
from figures.setup import Setup
from pyham import sweep
from pyham.data import plane as datasets
from pyham.training.protocol import Protocol

Array = np.ndarray[Any, Any]

CAPTION = "Test accuracy on MNIST after two epochs, by architecture and depth, every seed a dot."
USES = (protocols,)
REHEARSAL = "Rehearsal (--quick): stripes in ten directions in place of MNIST's digits. Not the figure's numbers."
#: Test accuracy in % of the papers' public implementation, corrected to build what it names: 4 layers, seed 0.
PUBLISHED = {"MS1": 90.1, "H1, J1": 92.6, "H1, J2": 92.8}


def missing() -> str:
    """What this figure needs and does not find."""
    return "" if importlib.util.find_spec("pyham.images") else "pyham.images"


def rows() -> list[tuple[str, str]]:
    """(recipe, network)."""
    return [("public", name) for name in protocols.MNIST_PUBLIC] + [("best", name) for name in protocols.MNIST_BEST]


def compute(setup: Setup) -> dict[str, Array]:
    """Accuracies in % (rows, depths, seeds), NaN where a training diverged."""
    seeds = setup.all_seeds[: 1 if setup.quick else protocols.MNIST_SEEDS]
    depths = protocols.MNIST_DEPTHS[:1] if setup.quick else protocols.MNIST_DEPTHS
    places = list(np.ndindex(len(rows()), len(depths), len(seeds)))
    runs = [run(*rows()[r], depths[d], seeds[s], setup.quick) for r, d, s in places]
    setup.folder.mkdir(parents=True, exist_ok=True)
    outcomes = sweep.run(accuracies, runs, setup.folder / "mnist.jsonl", jobs=setup.jobs)
    found = {kind: np.full((len(rows()), len(depths), len(seeds)), np.nan) for kind in ("test", "train")}
    for place, outcome in zip(places, outcomes, strict=True):
        if outcome.error is None:
            for kind in found:
                found[kind][place] = 100 * outcome.result[kind]
    return found | {"rows": np.array(rows()), "depths": np.array(depths), "seeds": np.array(seeds)}


def run(recipe: str, network: str, depth: int, seed: int, quick: bool) -> dict[str, Any]:
    """One training as plain data."""
    if recipe == "public":
        step, decay, alpha = protocols.MNIST_PUBLIC[network]
        protocol = protocols.mnist_public(decay, alpha)
    else:
        step, protocol = protocols.MNIST_BEST[network], importlib.import_module("pyham.images").RECOMMENDED
    name, options = protocols.NETWORKS[network]
    return {
        "architecture": {"name": name, "step": step, **options, "depth": depth},
        "initialization": "normal" if recipe == "public" else "scaled-normal",
        "protocol": protocol.config(),
        "shift": protocols.MNIST_SHIFT[recipe],
        "seed": seed,
        "digits": not quick,
    }


def accuracies(run: dict[str, Any]) -> dict[str, float]:
    """Train one network: shares of training and of test images right."""
    images = importlib.import_module("pyham.images")
    train_images, train_labels, test_images, test_labels = digits() if run["digits"] else stripes()
    arch = images.image_architecture(**run["architecture"])
    first = images.untrained(arch, run["seed"], initialization=run["initialization"])
    protocol = Protocol.from_config(run["protocol"])
    classifier = images.train(
        first, train_images, train_labels, protocol=protocol, rng=run["seed"] + 1, shift=run["shift"]
    )
    return {
        "train": float(classifier.accuracy(train_images, train_labels)),
        "test": float(classifier.accuracy(test_images, test_labels)),
    }


@lru_cache(maxsize=1)  # a worker trains several networks
def digits() -> tuple[Array, ...]:
    """MNIST: images and labels to train on, images and labels to test with."""
    return tuple(datasets.load_mnist())


def stripes() -> tuple[Array, ...]:
    """Ten directions of stripes, with noise, in the form of MNIST: 1000 images to train on, 500 to test with."""
    rng = np.random.default_rng(0)
    labels = np.arange(1500) % 10
    u, v = np.meshgrid(np.arange(28), np.arange(28))
    angle, phase = np.pi * labels / 10, rng.uniform(0, 0.5, len(labels))
    wave = np.cos(np.multiply.outer(np.cos(angle), u) + np.multiply.outer(np.sin(angle), v) + phase[:, None, None])
    pixels = np.clip(128 + 90 * wave + 30 * rng.standard_normal(wave.shape), 0, 255).astype(np.uint8)
    labels = labels.astype(np.uint8)
    return pixels[:1000], labels[:1000], pixels[1000:], labels[1000:]


def plot(arrays: dict[str, Array]) -> Figure:
    """A panel for each depth: seeds as dots, their mean as a bar, the public implementation as crosses."""
    names, depths = arrays["rows"].tolist(), arrays["depths"].tolist()
    width = 4.6 if len(depths) > 1 else 7.0
    figure, axes = style.panels(1, len(depths), width=width, height=4.0, sharex=True, sharey=True)
    for d, axis in enumerate(axes[0]):
        for row, (recipe, network) in enumerate(names):
            found = arrays["test"][row, d]
            colour = style.ORANGE if recipe == "public" else style.BLUE
            axis.plot(found, np.full(len(found), row), "o", color=colour, markersize=5, alpha=0.5, markeredgewidth=0)
            if np.isfinite(found).any():
                axis.plot(np.nanmean(found), row, "|", color=colour, markersize=15, markeredgewidth=2)
                axis.text(1.02, row, f"{np.nanmean(found):.2f}", transform=axis.get_yaxis_transform(), va="center",
                          fontsize=8, color=colour)  # fmt: skip
            if recipe == "public" and depths[d] == 4 and not arrays.get("rehearsal") and not np.isnan(found).all():
                axis.plot(PUBLISHED[network], row + 0.25, "x", color=style.GREY, markersize=5)
        axis.set_title(f"{depths[d]} layers")
        axis.set(xlabel="test accuracy, %", ylim=(len(names) - 0.5, -0.7))
        axis.margins(x=0.08)
    titles = [f"{network}, papers' way" if recipe == "public" else network for recipe, network in names]
    axes[0, 0].set_yticks(range(len(names)), titles)
    theirs = "" if arrays.get("rehearsal") else "; crosses: public implementation, seed 0"
    figure.suptitle(f"Dots: {tables.seeds(arrays['seeds'])}, bar and number: their mean{theirs}", fontsize=9)
    return figure


def texts(arrays: dict[str, Array]) -> dict[str, str]:
    """The tables."""
    names, depths, seeds = (arrays[name].tolist() for name in ("rows", "depths", "seeds"))
    titles = {"public": "The papers' hyperparameters", "best": "Our own"}
    columns = [f"{depth} layers" for depth in depths]
    found = []
    for name, title in titles.items():
        chosen = [r for r, (recipe, _) in enumerate(names) if recipe == name]
        found.append(tables.Table(title, [names[r][1] for r in chosen], columns, arrays["test"][chosen]))
    rehearsal = bool(arrays.get("rehearsal"))
    notes = (
        f"{'Stripes' if rehearsal else 'MNIST'}, test accuracy in % after two epochs: mean ± standard deviation "
        f"(lowest) of {tables.seeds(seeds)}. Made by `python -m figures.mnist`."
    )
    lines = [
        {"recipe": recipe, "network": network, "depth": depth, "seed": seed,
         "train": round(float(arrays["train"][r, d, s]), 4), "test": round(float(arrays["test"][r, d, s]), 4)}
        for r, (recipe, network) in enumerate(names)
        for d, depth in enumerate(depths)
        for s, seed in enumerate(seeds)
    ]  # fmt: skip
    theirs = "; ".join(f"{network} {value}" for network, value in PUBLISHED.items())
    last = f"\nPublic implementation, corrected to build what it names, 4 layers, seed 0: {theirs}.\n"
    return {
        ".md": tables.markdown(found, notes) + ("" if rehearsal else last),
        ".tex": tables.latex(found, notes),
        ".csv": tables.comma_separated(lines),
    }


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "mnist")


if __name__ == "__main__":
    sys.exit(main())

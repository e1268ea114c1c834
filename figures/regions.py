"""Certificates for regions: how far around samples the class is proven, and where attacks change it.

H2 networks of 64 layers, trained on the Swiss roll and on the double circles by ``pyham.protocol.RECOMMENDED``. The
distance to the nearest input of another class lies between the certified radius, below which ``pyham.regions`` proves
that there is none, and the distance of the nearest one that gradient attacks find. Regions in the plane of the data,
infinity norm.
"""

import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import command, style
from figures.setup import Setup
from pyham.training.experiment import Experiment
from pyham.training.protocol import RECOMMENDED
from pyham.verification import affine, boxes, decisions, regions, slopes
from validation import v22_regions as claim
from validation.v05_bounds import singular_values

Array = np.ndarray[Any, Any]

CAPTION = "How far around each sample its class is proven, how near attacks change it, and how narrow bounds are."
USES = (affine, boxes, decisions, regions, slopes, claim)
DATA = {"swiss-roll": "Swiss roll", "double-circles": "double circles"}
ATTACKS = 12  # each begins within what the one before found
TRIED = 64  # inputs of a region


def compute(setup: Setup) -> dict[str, Array]:
    """Certified radii and attacks' distances (data, samples); norms over the sample's (data, radii, samples)."""
    samples, depth, splits = (20, 16, 4) if setup.quick else (200, 64, regions.SPLITS)
    radii = np.logspace(-5, -1.5, 4 if setup.quick else 15)
    rng = setup.rng("regions")
    arrays: dict[str, list[Array]] = {"certified": [], "attacked": [], "proven": [], "found": [], "accuracy": []}
    for data in DATA:
        experiment = Experiment(data=data, depth=depth, final_time=3.0, protocol=RECOMMENDED, seed=setup.seed)
        _, _, x, labels = experiment.split()
        classifier = experiment.train()
        arrays["accuracy"].append(np.asarray(classifier.accuracy(x, labels)))
        x, net, channels = x[:samples], classifier.net, claim.CHANNELS
        certified = regions.certified_radius(classifier, x, channels=channels, splits=splits)
        distance = np.full(samples, 1.0)
        for _ in range(ATTACKS):
            found = regions.attack(classifier, x, distance, channels=channels, rng=rng).distance
            distance = np.minimum(distance, found)
        norms = singular_values(net, x)[0, :, 0]
        proven = [regions.enclose(net, x, r, channels=channels, splits=splits).norms[0] / norms for r in radii]
        points = np.array([claim.drawn(x, r, channels, TRIED, rng) for r in radii])
        sizes = [singular_values(net, near.reshape(-1, x.shape[1]))[0, :, 0].reshape(TRIED, -1) for near in points]
        arrays["certified"].append(certified)
        arrays["attacked"].append(distance)
        arrays["proven"].append(np.array(proven))
        arrays["found"].append(np.array([size.max(axis=0) for size in sizes]) / norms)
    return {name: np.array(values) for name, values in arrays.items()} | {"radii": radii}


def plot(arrays: dict[str, Array]) -> Figure:
    """Shares of test samples against the radius, one panel for each data set; and ratios of norms."""
    figure, axes = style.panels(1, 3, width=3.7, height=3.4)
    samples = arrays["certified"].shape[1]
    share = np.concatenate([[samples], np.arange(samples, -1, -1)]) / samples * 100  # of radii at least as large
    for axis, name, certified, attacked, accuracy in zip(
        axes[0], DATA.values(), arrays["certified"], arrays["attacked"], arrays["accuracy"], strict=False
    ):
        ends = [np.concatenate([[0], np.sort(radii), [radii.max()]]) for radii in (certified, attacked)]
        grid = np.unique(np.concatenate(ends))
        below, above = ((100 * (radii[:, None] >= grid).mean(axis=0)) for radii in (certified, attacked))
        axis.fill_between(grid, below, above, step="pre", color=style.GREY, alpha=0.25, linewidth=0)
        axis.step(ends[0], share, where="pre", color=style.BLUE, label="proven: no input has another class")
        axis.step(ends[1], share, where="pre", color=style.RED, linestyle="--", label="attacks find no such input")
        axis.set(xlabel="radius of the region", xlim=0, ylim=(0, 102))
        middle = np.median(certified / attacked)
        axis.set_title(f"{name}, {100 * float(accuracy):.1f} % right\nproven / found radius: median {middle:.3f}")
    axes[0, 0].set_ylabel("% of test samples")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    last = axes[0, 2]
    for name, proven, found, colour in zip(
        DATA.values(), arrays["proven"], arrays["found"], (style.BLUE, style.ORANGE), strict=True
    ):
        low, middle, high = np.quantile(proven, (0.05, 0.5, 0.95), axis=1)
        last.fill_between(arrays["radii"], low, high, color=colour, alpha=0.2, linewidth=0)
        last.plot(arrays["radii"], middle, color=colour, label=f"{name}: proven")
        last.plot(
            arrays["radii"], np.median(found, axis=1), "--", color=colour, label=f"{name}: found by {TRIED} inputs"
        )
    last.set(xscale="log", yscale="log", xlabel="radius of the region")
    last.set_title(
        "Largest $\\|\\partial y_N/\\partial y_0\\|_2$ in the region\nover that at the sample: median, 5 to 95 %"
    )
    last.legend(loc="upper left")
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "regions")


if __name__ == "__main__":
    sys.exit(main())

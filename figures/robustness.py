"""How much a network bears: right answers under noise in the inputs and under attack, and what is proven of them.

Three networks with n = 4 and T = 3, trained by ``pyham.protocol.RECOMMENDED`` with ten seeds on the papers' three data
sets. *H2* has 64 layers; *H2, damped* the same with both p and q damped at the rate 0.5. *H1, contracting* is y' =
-K^T sigma(K y + b) - y / 10, which is H1 with J = 0, R = I and the damping 0.1: its Jacobian -K^T diag(sigma') K - I /
10 is symmetric with eigenvalues of at most -1/10, so that any two solutions approach each other, whatever the weights
are. An explicit Euler step keeps this where h ||K||^2 <= 2, which is why it has 256 layers; training makes some K
larger than that, and those steps may spread nearby samples.

*Noise*: normal numbers are added to the two coordinates of every test sample. The grey line is the class of the nearest
training sample. *Attack*: a sample counts as right at a radius if its class is right and ``pyham.regions.attack``,
called again and again within what it found before, knows no input within the radius, in the infinity norm, that has
another class; as *certified* if ``pyham.regions.certified_radius`` proves that there is none. The grey line is half the
distance to the nearest sample of the other class: where a classifier is right on both, one of the two radii is at most
that.
"""

import sys
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from figures import command, style
from figures.setup import Setup
from pyham.training.classifier import Classifier
from pyham.training.experiment import Experiment
from pyham.training.protocol import RECOMMENDED
from pyham.verification import affine, boxes, decisions, regions, slopes

Array = np.ndarray[Any, Any]

CAPTION = (
    "Noise and attacks: damped and contracting networks bear about as much as the papers', up to the data's limit."
)
USES = (affine, boxes, decisions, regions, slopes)
DATA = ("swiss-roll", "double-moons", "double-circles")
CHANNELS = (0, 3)  # of the data
LARGEST = {"swiss-roll": 0.3, "double-moons": 0.6, "double-circles": 0.9}  # standard deviation of noise, and radius
ATTACKS = 6  # each begins within what the one before found


class Kind(NamedTuple):
    """A network of the figure."""

    architecture: str
    options: dict[str, Any]
    depth: int = 64


KINDS = {
    "H2": Kind("H2", {}),
    "H2, damped": Kind("H2", {"damping": 0.5}),
    "H1, contracting": Kind(
        "H1", {"interconnection": np.zeros((4, 4)).tolist(), "dissipation": 1.0, "damping": 0.1}, 256
    ),
}


def compute(setup: Setup) -> dict[str, Array]:
    """Accuracies under noise, radii and norms, all (data, networks, seeds, ..); references (data, ..).

    "noisy" (.., levels); "right", "attacked", "certified" (.., samples) for the first test samples; "norms" (..,
    samples). Radii are at most the largest of the data set; those of samples that are wrong from the start count too.
    """
    count, depth, samples, seeds = (400, 8, 5, 1) if setup.quick else (8000, None, 30, setup.seeds)
    protocol = replace(RECOMMENDED, epochs=20) if setup.quick else RECOMMENDED
    shares = np.linspace(0, 1, 5 if setup.quick else 16)
    found: dict[str, list[Array]] = {name: [] for name in ("noisy", "right", "attacked", "certified", "norms")}
    near: dict[str, list[Array]] = {"neighbours": [], "halves": []}
    for data in DATA:
        for kind in KINDS.values():
            for seed in range(setup.seed, setup.seed + seeds):
                experiment = Experiment(
                    data=data, architecture=kind.architecture, options=kind.options, depth=depth or kind.depth,
                    final_time=3.0, protocol=protocol, samples=count, seed=seed,
                )  # fmt: skip
                classifier, rng = experiment.train(), np.random.default_rng([seed, 4])
                train, labels, x, truth = experiment.split()
                noise = shares[:, None, None] * LARGEST[data] * rng.standard_normal((len(x), 2))
                noisy = np.tile(x, (len(shares), 1, 1))
                noisy[..., CHANNELS] += noise
                found["noisy"].append(np.array([classifier.accuracy(points, truth) for points in noisy]))
                some = x[:samples]
                found["right"].append(classifier.predict(some) == truth[:samples])
                found["attacked"].append(attacked(classifier, some, LARGEST[data], rng))
                found["certified"].append(
                    decisions.certified_radius(classifier, some, channels=CHANNELS, largest=LARGEST[data])
                )
                found["norms"].append(np.linalg.norm(classifier.net.sensitivity(x[:200])[0], 2, axis=(-2, -1)))
        tree = KDTree(train[:, CHANNELS])
        near["neighbours"].append(
            np.array([(labels[tree.query(points[:, CHANNELS])[1]] == truth).mean() for points in noisy])
        )
        others = [KDTree(x[truth != label][:, CHANNELS]) for label in (0, 1)]
        distances = [others[t].query(point[CHANNELS,], p=np.inf)[0] for point, t in zip(x, truth, strict=True)]
        near["halves"].append(np.array(distances) / 2)
    shape = len(DATA), len(KINDS), seeds, -1
    every = {name: np.array(values).reshape(shape) for name, values in found.items()}
    return every | {name: np.array(values) for name, values in near.items()} | {"shares": shares}


def attacked(classifier: Classifier, x: Array, largest: float, rng: np.random.Generator) -> Array:
    """Distances (B,) of the nearest inputs of another class that attacks find; ``largest`` where they find none."""
    distance = np.full(len(x), largest)
    for _ in range(ATTACKS):
        found = decisions.attack(classifier, x, distance, channels=CHANNELS, rng=rng).distance
        distance = np.minimum(distance, found)
    return distance


def plot(arrays: dict[str, Array]) -> Figure:
    """A column for each data set: noise above, attacks and certificates below; means and deviations over the seeds."""
    figure, axes = style.panels(2, len(DATA), width=3.7, height=3.1, sharey="row")
    colours = (style.BLACK, style.BLUE, style.ORANGE)
    for k, data in enumerate(DATA):
        levels = arrays["shares"] * LARGEST[data]
        radii = np.linspace(0, LARGEST[data], 200, endpoint=False)
        above, below = axes[:, k]
        above.plot(
            levels,
            100 * arrays["neighbours"][k],
            color=style.GREY,
            label="class of the nearest training sample; below: half the way to the other class",
        )
        below.plot(radii, 100 * (arrays["halves"][k][:, None] >= radii).mean(axis=0), color=style.GREY)
        for j, (name, colour) in enumerate(zip(KINDS, colours, strict=True)):
            spread(above, levels, arrays["noisy"][k, j], colour, "-", name)
            right = arrays["right"][k, j][..., None]
            spread(below, radii, (right & (arrays["attacked"][k, j][..., None] >= radii)).mean(axis=1), colour, "-")
            spread(below, radii, (right & (arrays["certified"][k, j][..., None] >= radii)).mean(axis=1), colour, "--")
        above.set(title=data.replace("-", " "), xlabel="standard deviation of the noise", xlim=(0, levels[-1]))
        below.set(xlabel="radius", xlim=(0, LARGEST[data]))
        above.set_ylim(45, 101)
        below.set_ylim(0, 101)
    axes[0, 0].set_ylabel("% of test samples right")
    axes[1, 0].set_ylabel("% right within the radius:\nattacks (—), proven (- -)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def spread(axis: Any, x: Array, values: Array, colour: str, line: str, label: str | None = None) -> None:
    """The mean of ``values`` (seeds, len(x)), which are shares, in per cent, and a band of one standard deviation."""
    mean, deviation = 100 * values.mean(axis=0), 100 * values.std(axis=0)
    axis.fill_between(x, mean - deviation, np.minimum(mean + deviation, 100), color=colour, alpha=0.15, linewidth=0)
    axis.plot(x, mean, line, color=colour, label=label)


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "robustness")


if __name__ == "__main__":
    sys.exit(main())

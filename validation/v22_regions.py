"""V22. What is proven of all inputs within a radius of a sample holds for those that are tried, and is narrow.

Statement: for all inputs within r of a sample (infinity norm, the channels of the data) y_N lies in an interval, each
``||Phi_j||_2`` below a bound, and every singular value above its reciprocal where Phi_j is symplectic for an orthogonal
J; no input within the certified radius has another class. Source: affine arithmetic (Stolfi & Figueiredo 1997) with
rounding directed outwards, as ``pyham.verification.affine`` derives it. Oracle: the engine and LAPACK at random
inputs of the regions, half of them in corners, and a gradient attack. Number: the largest of ``|y - middle|`` / half
the width - 1, log(norm / bound) and log(lower bound / sigma_min) / condition; the median over samples of bound /
measured norm; the largest certified radius / distance of an input of another class. Tolerance: engines' rounding, c
eps (stages) with c = 4, times the norm and ``||y||`` / half the width; of the median 1.1, 2 and 5 at r = 1e-5, 1e-4
and 1e-3, a hundred times less than what is known a priori; 1. Control: a region half as large as the points that are
drawn; straight lines without their rest; the bound from the weights alone (V5); certified radii doubled.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.training import Classifier
from pyham.training.head import Head
from pyham.training.history import History
from pyham.verification import bounds, regions, slopes
from pyham.verification.regions import Region
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREY, RED, panels
from validation.v02_symplectic import tolerance
from validation.v05_bounds import singular_values

STATEMENT = "y_N, Phi_j, gradients and classes lie within what is proven for all inputs near a sample (log excess)"

CHANNELS = (0, 3)  # of the data
TOP = 1e6  # of the picture's axis
LARGEST = 0.25  # radius of which it is asked whether the class is constant
TARGETS = {1e-5: 1.1, 1e-4: 2.0, 1e-3: 5.0}  # radius -> median of bound / measured


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V22")
    x = lab.samples[: 20 if lab.quick else 100]
    count = 8 if lab.quick else 1000 if lab.full else 100
    for radius in (1e-5, 1e-3):
        points = drawn(x, radius, CHANNELS, count, rng)
        region = regions.enclose(lab.trained, x, radius, channels=CHANNELS)
        measured, limit = excess(lab.trained, region, points)
        for enclosure, size, case in ((slopes.enclose, 0.5, "region half as large"), (bare, 1.0, "lines without rest")):
            other = regions.enclose(lab.trained, x, size * radius, channels=CHANNELS, splits=1, enclosure=enclosure)
            control, _ = excess(lab.trained, other, points)
            note = f"{points[..., 0].size} inputs"
            yield Result(f"H2 trained, inputs, r = {radius:.0e}", measured, limit, control, case, note)
    for label, net in (("trained", lab.trained), ("before training", lab.untrained)):
        norms = singular_values(net, x)[0, :, 0]
        known = float(np.median(bounds.upper(net)[0] / norms))
        for radius, target in TARGETS.items():
            found = regions.enclose(net, x, radius, channels=CHANNELS).norms[0] / norms
            note = f"median of bound / measured; largest {found.max():.3g}"
            case = "from the weights alone"
            yield Result(f"H2 {label}, ratio, r = {radius:.0e}", np.median(found), target, known, case, note)
    yield many(1000 if lab.full else 12 if lab.quick else 300, rng)
    yield of_classes(lab, x[: 4 if lab.quick else 20], rng)


def many(count: int, rng: np.random.Generator) -> Result:
    """The largest excess, in units of its tolerance, of random networks of all kinds, radii and activations."""
    measured: list[float] = []
    halved: list[float] = []
    for _ in range(count):
        name, activation = str(rng.choice(list(pyham.ARCHITECTURES))), str(rng.choice(list(pyham.ACTIVATIONS)))
        width, depth, radius = 2 * int(rng.integers(1, 4)), int(rng.integers(1, 13)), 10 ** rng.uniform(-8, -1)
        step = rng.uniform(0.1, 2) / depth
        arch = pyham.architecture(name, width=width, depth=depth, step=step, activation=activation)
        net, x = arch.init(rng, initialization="scaled-normal"), rng.standard_normal((2, width))
        points = drawn(x, radius, range(width), 8, rng)
        for found, size in ((measured, 1.0), (halved, 0.5)):
            over, limit = excess(net, regions.enclose(net, x, size * radius, splits=4), points)
            found.append(over / limit)
    return Result(f"{count} random networks, tolerances", max(measured), 1.0, max(halved), "region half as large")


def of_classes(lab: Lab, x: Array, rng: np.random.Generator) -> Result:
    """The largest certified radius / distance of the nearest input of another class that was found."""
    head = getattr(lab.classifier, "head", None) or Head(rng.standard_normal((1, 5)), "logistic")
    classifier = Classifier(lab.trained, head, History.of([]))
    splits, distance = 4 if lab.quick else 16, np.full(len(x), LARGEST)
    certified = regions.certified_radius(classifier, x, channels=CHANNELS, largest=LARGEST, splits=splits)
    for _ in range(5):  # each from nearer by
        distance = np.minimum(distance, regions.attack(classifier, x, distance, channels=CHANNELS, rng=rng).distance)
    ratio = certified / distance
    note = f"certified radius, median {np.median(certified):.2g}, {np.median(ratio):.2f} of the distance found"
    return Result("H2 trained, classes", ratio.max(), 1.0, 2 * ratio.max(), "certified radii doubled", note)


def drawn(x: Array, radius: float, channels: Any, count: int, rng: np.random.Generator) -> Array:
    """Inputs (count, B, n) within the radius of x (B, n): every other one in a corner of the region."""
    moves = rng.uniform(-1, 1, (count, len(x), len(channels)))
    moves[::2] = np.sign(moves[::2])
    points = np.repeat(x[None], count, axis=0)
    points[..., list(channels)] += radius * moves
    return points


def excess(net: pyham.Network, region: Region, points: Array) -> tuple[float, float]:
    """By how much points (M, B, n) exceed what is proven of B regions, and for how much of it rounding may account."""
    flat = points.reshape(-1, points.shape[-1])
    sigma = singular_values(net, flat).reshape(-1, *points.shape)
    y = net(flat).reshape(points.shape)
    middle, half = (region.upper + region.lower) / 2, (region.upper - region.lower) / 2
    over = [(np.abs(y - middle) / half - 1).max()]
    with np.errstate(divide="ignore", invalid="ignore"):
        over.append(np.log(sigma[..., 0] / region.norms[:, None])[:-1].max())
        if region.gradient_lower is not None:
            below = np.log(region.gradient_lower[:, None] / sigma[..., -1]) / (sigma[..., 0] / sigma[..., -1])
            over.append(below[:-1].max())
    size = (1 + sigma[0, ..., 0].max(axis=0))[:, None] * (1 + np.abs(y).max(axis=(0, 2)))[:, None] / half
    return float(np.max(over)), tolerance(net, np.float64) * max(1.0, float(size.max()))


def bare(name: str, a: Array, rho: Array) -> tuple[slopes.Line, slopes.Line]:
    """The control's enclosure of an activation and its derivative: straight lines without their rest."""
    sigma, derivative = slopes.enclose(name, a, rho)
    return sigma._replace(rest=0 * a), derivative._replace(rest=0 * a)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    """Bounds and the largest norm that was found in the regions, over the norm at the sample, by radius."""
    figure, axes = panels(2, width=4.5, sharey=True)
    radii, rng = np.logspace(-4, -1.5, 4 if lab.quick else 10), lab.rng("V22")
    x = lab.samples[: 10 if lab.quick else 100]
    for axis, (label, net) in zip(axes, (("before training", lab.untrained), ("trained", lab.trained)), strict=True):
        norms = singular_values(net, x)[0, :, 0]
        found = np.array([regions.enclose(net, x, r, channels=CHANNELS, splits=1).norms[0] for r in radii]) / norms
        points = np.array([drawn(x, r, CHANNELS, 16, rng) for r in radii])
        tried = singular_values(net, points.reshape(-1, 4))[0, :, 0].reshape(points.shape[:-1]).max(axis=1) / norms
        for values, colour, word in ((found, RED, "proven"), (tried, BLUE, "found by 16 inputs")):
            low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), axis=1)
            axis.fill_between(radii, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(radii, middle, color=colour, label=word)
        known = float(np.median(bounds.upper(net)[0] / norms))
        if known < TOP:
            axis.axhline(known, color=GREY, linestyle="--", label="from the weights alone")
        axis.set(xscale="log", yscale="log", xlabel="radius of the region", ylim=(0.7, TOP))
        axis.set_title(f"H2 {label}; from the weights alone: {known:.2g}", loc="left", fontsize=10)
    axes[0].set_ylabel(r"largest $\|\Phi_0\|$ of the region / $\|\Phi_0\|$ at the sample")
    axes[0].legend(frameon=False, loc="center left")
    yield (
        "What is proven of the norms of all inputs within a radius of a sample, and the largest of 16 inputs each: "
        "median and 5 to 95 % of the samples, regions not divided. The bound from the weights is the same for all.",
        figure,
    )

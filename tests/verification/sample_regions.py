"""Regions of a trained network against many inputs in them: ``python -m tests.verification.sample_regions``.

Trains the 64-layer H2 of the README on the Swiss roll and, for every radius, encloses the regions of 100 test samples,
draws random inputs of them (half are on the boundary) and adversarial ones (ascent on the norm of Phi_0, and on
the output in random directions, by the sign of the gradient), and prints how far the bounds are from the norms of the
samples themselves, and how near to the bounds the inputs come.
"""

import argparse
import sys
import time

import numpy as np

from pyham import regions
from pyham.training import train
from pyham.training.experiment import Experiment
from pyham.training.protocol import RECOMMENDED
from pyham.training.samples import split

CHANNELS = (0, 3)  # those of the data
STEPS = 10  # of an ascent


def excess(net, x, radius, channels, region, count, rng, *, adversarial=False):
    """The largest measured / bound - 1 of about ``count`` inputs, of outputs and of the norms of Phi_j of four layers.

    Of an output y in [lower, upper]: ``|y - middle|`` / half the width. Engines' rounding is allowed for, 4 eps for
    each stage: of the norm, and of the output times the norm.
    """
    worst, each = -np.inf, max(1, count // len(x))
    stages, eps = max(1, net.stages().count), np.finfo(float).eps
    middle, half = (region.upper + region.lower) / 2, (region.upper - region.lower) / 2
    for start in range(0, each, 20):
        points = np.repeat(x[None], min(20, each - start), axis=0)
        moves = rng.uniform(-1, 1, (*points.shape[:2], len(channels)))
        moves[::2] = np.sign(moves[::2])
        if adversarial:
            moves = ascended(net, x, radius, channels, moves, rng)
        points[..., channels] += radius * moves
        flat = points.reshape(-1, x.shape[1])
        layers = range(0, net.arch.depth, max(1, net.arch.depth // 4))
        norms = norm(net.sensitivity(flat, layers=layers)).reshape(-1, *points.shape[:2])
        allowed = 4 * eps * stages * (1 + norms[0])[..., None] * np.abs(middle).max(axis=-1, keepdims=True)
        outputs = (np.abs(net(flat).reshape(points.shape) - middle) - allowed) / half
        over = norms * (1 - 4 * eps * stages) / region.norms[layers, None]
        worst = max(worst, outputs.max() - 1, over.max() - 1)
    return float(worst)


def ascended(net, x, radius, channels, moves, rng):
    """Moves (M, B, K) after ascents on the norm of Phi_0 (the first half) and on outputs (the others)."""
    middle = len(moves) // 2
    direction = rng.standard_normal((*moves.shape[:2], x.shape[1]))

    def points(moved):
        found = np.repeat(x[None], len(moved), axis=0)
        found[..., channels] += radius * moved
        return found.reshape(-1, x.shape[1])

    for step in range(STEPS):
        slope = np.empty_like(moves)
        if middle:
            for k in range(len(channels)):
                aside = np.zeros(len(channels))
                aside[k] = 1e-3
                sides = [norm(net.sensitivity(points(moves[:middle] + s * aside), layers=[0]))[0] for s in (1, -1)]
                slope[:middle, :, k] = (sides[0] - sides[1]).reshape(moves[:middle].shape[:2])
        flat = direction[middle:].reshape(-1, x.shape[1])
        slope[middle:] = net.gradient(points(moves[middle:]), flat).input[:, channels].reshape(moves[middle:].shape)
        moves = np.clip(moves + (1 - step / STEPS) * np.sign(slope), -1, 1)
    return moves


def norm(phi):
    """``||Phi||_2``."""
    return np.linalg.svd(phi, compute_uv=False)[..., 0]


def main(argv=None):
    """0 if no input exceeds a bound, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.verification.sample_regions", description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="random inputs for each radius (1000000)")
    parser.add_argument("--adversarial", type=int, default=10_000, help="ascents for each radius (10000)")
    parser.add_argument("--samples", type=int, default=100, help="test samples (100)")
    parser.add_argument("--radii", type=float, nargs="+", default=[1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    parser.add_argument("--all-channels", action="store_true", help="regions in all four channels, not two")
    parser.add_argument("--splits", type=int, default=regions.SPLITS, help=f"parts of a region ({regions.SPLITS})")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    experiment = Experiment(final_time=3.0, seed=options.seed)
    x, labels, x_test, labels_test = experiment.split()
    fitting, validation = split(x, labels, 0.1, np.random.default_rng([options.seed, 1]))  # as the README's command
    rng = np.random.default_rng([options.seed, 3])
    classifier = train(experiment.network(), *fitting, protocol=RECOMMENDED, rng=rng, validation=validation)
    net, x = classifier.net, x_test[: options.samples]
    channels = list(range(4)) if options.all_channels else list(CHANNELS)
    print(f"{net.arch}: {100 * classifier.accuracy(x_test, labels_test):.2f} % right; channels {channels}")
    measured = norm(net.sensitivity(x, layers=[0]))[0]
    code = 0
    for radius in options.radii:
        start = time.perf_counter()
        region = regions.enclose(net, x, radius, channels=channels, splits=options.splits)
        seconds = time.perf_counter() - start
        ratio = np.quantile(region.norms[0] / measured, (0.5, 0.9, 1))
        rng = np.random.default_rng([options.seed, 1])
        random = excess(net, x, radius, channels, region, options.points, rng)
        chosen = excess(net, x, radius, channels, region, options.adversarial, rng, adversarial=True)
        code |= random > 0 or chosen > 0
        print(
            f"radius {radius:.0e}: bound / measured, median {ratio[0]:.6f}, 90 % {ratio[1]:.6f}, "
            f"largest {ratio[2]:.4g}; {region.parts.mean():.2f} parts, {len(x) / seconds:.0f} samples/s; "
            f"measured / bound - 1 at most {random:.1e} (random), {chosen:.1e} (adversarial)",
            flush=True,
        )
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

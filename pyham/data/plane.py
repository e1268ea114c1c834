"""Data sets of the papers: points in the plane from a seeded generator, and MNIST.

The planar sets have two classes, 0 and 1, and put the two coordinates into two channels of a zero state. Angles are
drawn at random; the papers' public code takes them evenly spaced, in random order.
"""

from typing import Any

import numpy as np

from pyham import _check
from pyham.data.idx import read_idx, write_idx
from pyham.data.mnist import MNIST, load_mnist

__all__ = [
    "MNIST",
    "double_circles",
    "double_moons",
    "load_mnist",
    "read_idx",
    "swiss_roll",
    "train_test_split",
    "write_idx",
]

Array = np.ndarray[Any, Any]
Channels = tuple[int, int]
Seed = np.random.Generator | int | None


def swiss_roll(
    samples: int = 8000, *, width: int = 4, channels: Channels = (0, -1), rng: Seed = None
) -> tuple[Array, Array]:
    """Two interleaved spirals, one per class: angles theta in [0, 4 pi), radii theta / (4 pi) and 0.2 more, no noise.

    Parameters
    ----------
    samples : B, half of them (rounded down) of class 1
    width : n of the states
    channels : where the two coordinates go; the other channels are 0
    rng : numpy Generator, int seed, or None for fresh entropy

    Returns
    -------
    x (B, n), in random order, coordinates within [-1.2, 1.2]; labels (B,), 0 or 1

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    labels, turn, _ = _drawn(samples, width, 2, rng)
    radius = turn + 0.2 * labels
    angle = 4 * np.pi * turn
    return _embed(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), width, channels), labels


def double_circles(
    samples: int = 8000, *, width: int = 4, channels: Channels = (0, -1), rng: Seed = None
) -> tuple[Array, Array]:
    """Four concentric circles with noise: r (cos theta, sin theta) + e, radii r = 1, 2, 3, 4 of classes 0, 1, 0, 1.

    theta is uniform in [0, 2 pi), and each coordinate of e in [-0.3, 0.3): a width of 0.6, as in the public code. The
    classes do not overlap, |e| <= 0.3 sqrt(2) < 1/2. Half of the samples are of class 1, and as many on each circle, to
    within one; x (B, n) has coordinates within [-4.3, 4.3] (drawn on [-5, 5]^2). Parameters, results and errors are
    else those of ``swiss_roll``.
    """
    circle, turn, generator = _drawn(samples, width, 4, rng)
    angle = 2 * np.pi * turn
    points = (circle + 1)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _embed(points + generator.uniform(-0.3, 0.3, points.shape), width, channels), circle % 2


def double_moons(
    samples: int = 8000, *, width: int = 4, channels: Channels = (0, -1), rng: Seed = None
) -> tuple[Array, Array]:
    """Two pairs of interleaved half circles with noise, one half circle of each pair per class.

    Class 0 lies on (cos theta, sin theta) + s + e and class 1 on (1 - cos theta, 1/2 - sin theta) + s + e, with theta
    uniform in [0, pi), s = (0, 0) for the first pair and (2, 0) for the second, and each coordinate of e uniform in
    [-0.15, 0.15): a width of 0.3, as in the public code. The classes do not overlap: their curves are 1/2 apart, and
    |e| <= 0.15 sqrt(2) < 1/4. Half of the samples are of class 1, and as many on each half circle, to within one; x
    (B, n) has its first coordinate within [-1.15, 4.15] and the second within [-0.65, 1.15] (drawn on [-2, 5] x
    [-1, 2]). Parameters, results and errors are else those of ``swiss_roll``.
    """
    moon, turn, generator = _drawn(samples, width, 4, rng)
    labels, shift = moon % 2, 2 * (moon // 2)
    sign, angle = 1 - 2 * labels, np.pi * turn
    points = np.stack([labels + sign * np.cos(angle) + shift, labels / 2 + sign * np.sin(angle)], axis=1)
    return _embed(points + generator.uniform(-0.15, 0.15, points.shape), width, channels), labels


def train_test_split(x: Array, labels: Array) -> tuple[Array, Array, Array, Array]:
    """(x_train, labels_train, x_test, labels_test): even and odd rows, as in the papers."""
    return x[::2], labels[::2], x[1::2], labels[1::2]


def _drawn(samples: int, width: int, curves: int, rng: Seed) -> tuple[Array, Array, np.random.Generator]:
    """On which curve each sample is, as many on each; how far along it, from 0 to below 1; and the generator."""
    count = _check.integer("samples", samples, 0)
    _check.affordable("samples", (4 + _check.integer("width", width, 2)) * count)
    generator = _check.generator(rng)
    return generator.permutation(np.arange(count) % curves), generator.random(count), generator


def _embed(features: Array, width: int, channels: tuple[int, int]) -> Array:
    n = _check.integer("width", width, 2)
    places = [_check.integer("channels", c, -n) for c in channels]
    if len(places) != 2 or max(places) >= n or places[0] % n == places[1] % n:
        raise ValueError(f"channels: expected two different indices of a state of width {n}, got {channels}")
    x = np.zeros((len(features), n))
    x[:, places] = features
    return x

"""Data sets of the papers, from a seeded generator: two features put into two channels of a zero state."""

from typing import Any

import numpy as np

from pyham import _check

Array = np.ndarray[Any, Any]


def swiss_roll(
    samples: int = 8000,
    *,
    width: int = 4,
    channels: tuple[int, int] = (0, -1),
    rng: np.random.Generator | int | None = None,
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
    count = _check.integer("samples", samples, 0)
    generator = _check.generator(rng)
    labels = generator.permutation(np.arange(count) % 2)
    turn = generator.random(count)
    radius = turn + 0.2 * labels
    angle = 4 * np.pi * turn
    return _embed(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), width, channels), labels


def train_test_split(x: Array, labels: Array) -> tuple[Array, Array, Array, Array]:
    """(x_train, labels_train, x_test, labels_test): even and odd rows, as in the papers."""
    return x[::2], labels[::2], x[1::2], labels[1::2]


def _embed(features: Array, width: int, channels: tuple[int, int]) -> Array:
    n = _check.integer("width", width, 2)
    places = [_check.integer("channels", c, -n) for c in channels]
    if len(places) != 2 or max(places) >= n or places[0] % n == places[1] % n:
        raise ValueError(f"channels: expected two different indices of a state of width {n}, got {channels}")
    x = np.zeros((len(features), n))
    x[:, places] = features
    return x

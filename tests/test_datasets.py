"""The Swiss roll is what its formula says, and reproducible."""

import numpy as np
import pytest

from pyham import datasets


def test_swiss_roll_lies_on_its_spirals():
    x, labels = datasets.swiss_roll(1000, rng=0)
    radius = np.hypot(x[:, 0], x[:, -1])
    turn = radius - 0.2 * labels
    assert ((turn >= -1e-15) & (turn < 1)).all()
    on_spiral = radius * np.exp(4j * np.pi * turn)
    assert np.abs(x[:, 0] + 1j * x[:, -1] - on_spiral).max() < 100 * np.finfo(float).eps  # angles up to 4 pi, rounded
    assert np.abs(x).max() <= 1.2


def test_swiss_roll_is_balanced_shuffled_and_zero_elsewhere():
    x, labels = datasets.swiss_roll(4001, width=16, channels=(0, 12), rng=1)
    assert x.shape == (4001, 16) and labels.sum() == 2000
    assert not np.delete(x, [0, 12], axis=1).any()
    runs = np.count_nonzero(np.diff(labels)) + 1
    assert abs(runs - 2000) < 5 * np.sqrt(1000)  # runs in a random order: mean B/2, variance B/4


def test_swiss_roll_repeats_with_its_seed():
    first, second, other = (datasets.swiss_roll(100, rng=seed)[0] for seed in (3, np.random.default_rng(3), 4))
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_split_takes_even_and_odd_rows():
    x, labels = datasets.swiss_roll(7, rng=0)
    parts = datasets.train_test_split(x, labels)
    assert [len(part) for part in parts] == [4, 4, 3, 3]
    assert np.array_equal(parts[0], x[::2]) and np.array_equal(parts[3], labels[1::2])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"samples": -1}, ValueError, "samples: expected an integer >= 0, got -1"),
        ({"width": 1}, ValueError, "width: expected an integer >= 2, got 1"),
        ({"channels": (0, 4)}, ValueError, r"channels: expected two different indices .* width 4, got \(0, 4\)"),
        ({"channels": (0, -4)}, ValueError, r"channels: expected two different indices .* got \(0, -4\)"),
        ({"rng": "seed"}, TypeError, "rng: expected an integer >= 0, got str"),
    ],
)
def test_swiss_roll__raises_on_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        datasets.swiss_roll(**options)

"""The planar sets are what their formulas say, balanced and reproducible."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from pyham.data import idx, mnist
from pyham.data import plane as datasets

SETS = (datasets.swiss_roll, datasets.double_circles, datasets.double_moons)


class Still(np.random.Generator):
    """All angles are 0, so that what is drawn is noise around a few points."""

    def random(self, size):
        return np.zeros(size)


class Quiet(np.random.Generator):
    """No noise, so that what is drawn lies on its curves."""

    def uniform(self, low, high, size):
        return np.zeros(size)


def test_swiss_roll_lies_on_its_spirals():
    x, labels = datasets.swiss_roll(1000, rng=0)
    radius = np.hypot(x[:, 0], x[:, -1])
    turn = radius - 0.2 * labels
    assert ((turn >= -1e-15) & (turn < 1)).all()
    on_spiral = radius * np.exp(4j * np.pi * turn)
    assert np.abs(x[:, 0] + 1j * x[:, -1] - on_spiral).max() < 100 * np.finfo(float).eps  # angles up to 4 pi, rounded
    assert np.abs(x).max() <= 1.2


def test_double_circles_are_rings_of_alternating_class():
    x, labels = datasets.double_circles(4000, rng=0)
    radius = np.hypot(x[:, 0], x[:, -1])
    circle = np.rint(radius).astype(int)  # right for every sample, because noise moves none by more than 0.3 sqrt(2)
    assert np.array_equal(np.bincount(circle), [0, 1000, 1000, 1000, 1000])
    assert np.array_equal(labels, (circle + 1) % 2)
    assert np.abs(radius - circle).max() <= 0.3 * np.sqrt(2)
    assert np.abs(x).max() <= 4.3


def test_double_moons_are_half_circles_of_alternating_class():
    x, labels = datasets.double_moons(4000, rng=0)
    points = x[:, [0, -1]]
    distance = np.stack([distance_to_moon(points, label, shift) for shift in (0, 2) for label in (0, 1)])
    assert np.array_equal(labels, distance.argmin(axis=0) % 2)  # for every sample: the classes are 1/2 apart
    assert distance.min(axis=0).max() <= 0.15 * np.sqrt(2)
    assert (points >= [-1.15, -0.65]).all() and (points <= [4.15, 1.15]).all()


def distance_to_moon(points, label, shift):
    """From points (B, 2) to the upper half circle around (shift, 0), or the lower one around (shift + 1, 1/2)."""
    x, y = ((points - [shift + label, label / 2]) * [1, 1 - 2 * label]).T
    ends = np.minimum(np.hypot(x - 1, y), np.hypot(x + 1, y))
    return np.where(y >= 0, np.abs(np.hypot(x, y) - 1), ends)


def test_curves_of_the_moons_are_half_a_unit_apart():
    x, labels = datasets.double_moons(8000, width=2, rng=Quiet(np.random.PCG64(0)))
    to = [np.min([distance_to_moon(x, label, shift) for shift in (0, 2)], axis=0) for label in (0, 1)]
    other = np.where(labels == 0, to[1], to[0])
    assert 0.5 - 1e-15 <= other.min() < 0.501


@pytest.mark.parametrize(
    ("draw", "noise", "places"),
    [
        (datasets.double_circles, 0.3, [(1, 0), (2, 0), (3, 0), (4, 0)]),
        (datasets.double_moons, 0.15, [(1, 0), (0, 0.5), (3, 0), (2, 0.5)]),
    ],
)
def test_noise_is_uniform_on_its_square(draw, noise, places):
    x, labels = draw(4000, width=2, rng=Still(np.random.PCG64(0)))
    for place, label in zip(places, (0, 1, 0, 1), strict=True):
        offset = (x - place)[(np.abs(x - place) <= noise).all(axis=1)]
        assert len(offset) == 1000
        assert (labels[(np.abs(x - place) <= noise).all(axis=1)] == label).all()
        for coordinate in offset.T:
            assert stats.kstest(coordinate, stats.uniform(-noise, 2 * noise).cdf).pvalue > 1e-6
        assert abs(np.corrcoef(offset.T)[0, 1]) < 5 / np.sqrt(1000)


@pytest.mark.parametrize(
    ("draw", "turn", "centre"),
    [
        (datasets.double_circles, 2, [(0, 0)] * 4),
        (datasets.double_moons, 1, [(0, 0), (1, 0.5), (2, 0), (3, 0.5)]),
    ],
)
def test_angles_are_uniform_on_their_arcs(draw, turn, centre):
    x, labels = draw(4000, width=2, rng=Quiet(np.random.PCG64(0)))
    generator = np.random.default_rng(np.random.PCG64(0))
    curve = generator.permutation(np.arange(4000) % 4)  # as the sets draw it
    for number in range(4):
        z = (x - centre[number])[curve == number] @ [1, 1j]
        radius = number + 1 if turn == 2 else 1
        assert np.abs(np.abs(z) - radius).max() < 4 * radius * np.finfo(float).eps
        if turn == 1 and number % 2:
            z = -z  # 1 - cos, 1/2 - sin: the lower half
        assert stats.kstest(np.angle(z) % (2 * np.pi), stats.uniform(0, turn * np.pi).cdf).pvalue > 1e-6
        assert (labels[curve == number] == number % 2).all()


@pytest.mark.parametrize("draw", SETS)
def test_sets_are_balanced_shuffled_and_zero_elsewhere(draw):
    x, labels = draw(4001, width=16, channels=(0, 12), rng=1)
    assert x.shape == (4001, 16) and labels.shape == (4001,) and labels.sum() == 2000
    assert x.dtype == np.float64 and labels.dtype.kind == "i"
    assert not np.delete(x, [0, 12], axis=1).any()
    runs = np.count_nonzero(np.diff(labels)) + 1
    assert abs(runs - 2000) < 5 * np.sqrt(1000)  # runs in a random order: mean B/2, variance B/4


@pytest.mark.parametrize("draw", SETS)
def test_sets_repeat_with_their_seed_and_have_eight_thousand_samples_by_default(draw):
    x, labels = draw(rng=0)
    assert x.shape == (8000, 4) and np.array_equal(np.bincount(labels), [4000, 4000])
    assert not x[:, 1:3].any() and x[:, [0, 3]].any(axis=0).all()
    (x, labels), (again, same), (other, _) = (draw(100, rng=seed) for seed in (3, np.random.default_rng(3), 4))
    assert np.array_equal(x, again) and np.array_equal(labels, same) and not np.array_equal(x, other)
    assert not np.array_equal(draw(100)[0], draw(100)[0])  # fresh entropy


@pytest.mark.parametrize("draw", SETS)
@given(
    samples=st.integers(0, 20),
    width=st.integers(2, 9),
    places=st.lists(st.integers(0, 10**6), min_size=2, max_size=2),
    negative=st.booleans(),
)
def test_width_and_channels_only_say_where_the_points_go(draw, samples, width, places, negative):
    first = places[0] % width
    second = (first + 1 + places[1] % (width - 1)) % width
    channels = (first - width * negative, second)
    points, labels = draw(samples, width=2, rng=7)
    x, same = draw(samples, width=width, channels=channels, rng=7)
    assert x.shape == (samples, width) and np.array_equal(labels, same)
    assert np.array_equal(x[:, [first, second]], points) and np.count_nonzero(x) == np.count_nonzero(points)


def test_files_are_read_by_public_names():
    assert datasets.load_mnist is mnist.load_mnist and datasets.MNIST is mnist.MNIST
    assert datasets.read_idx is idx.read_idx and datasets.write_idx is idx.write_idx


def test_split_takes_even_and_odd_rows():
    x, labels = datasets.swiss_roll(7, rng=0)
    parts = datasets.train_test_split(x, labels)
    assert [len(part) for part in parts] == [4, 4, 3, 3]
    assert np.array_equal(parts[0], x[::2]) and np.array_equal(parts[3], labels[1::2])


@pytest.mark.parametrize("draw", SETS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"samples": -1}, ValueError, "samples: expected an integer >= 0, got -1"),
        ({"width": 1}, ValueError, "width: expected an integer >= 2, got 1"),
        ({"channels": (0, 4)}, ValueError, r"channels: expected two different indices .* width 4, got \(0, 4\)"),
        ({"channels": (0, -4)}, ValueError, r"channels: expected two different indices .* got \(0, -4\)"),
        ({"channels": (0, 1, 2)}, ValueError, r"channels: expected two different indices .* got \(0, 1, 2\)"),
        ({"channels": (0, 1.0)}, TypeError, "channels: expected an integer >= -4, got float"),
        ({"samples": 1.5}, TypeError, "samples: expected an integer >= 0, got float"),
        ({"rng": "seed"}, TypeError, "rng: expected an integer >= 0, got str"),
    ],
)
def test_sets__raise_on_wrong_options(draw, options, error, message):
    with pytest.raises(error, match=message):
        draw(**options)


@pytest.mark.parametrize("draw", [datasets.swiss_roll, datasets.double_circles, datasets.double_moons])
def test_more_samples_than_fit_into_memory_are_refused_at_once(draw):
    with pytest.raises(MemoryError, match=r"^samples: expected at most the .* GB that there are, got "):
        draw(10**14)

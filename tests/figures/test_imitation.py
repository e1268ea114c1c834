"""Steps of the papers' public implementation, against the same written out."""

import numpy as np
import pytest

from figures import imitation
from figures.imitation import EpochCounted, Imitation
from pyham.training import updates
from pyham.training.experiment import Experiment, accuracies
from pyham.training.optimizers import Adam, Descent
from pyham.training.protocol import Protocol

STEPS, RATE = 3, 0.05
ROUNDING = 1e-14  # twelve steps from numbers of order 1, each rounded to 1e-16, on a function of slope up to 4


class Written:
    """Adam as its authors have it, with a counter that can be set."""

    def __init__(self, size):
        self.m, self.v, self.t = np.zeros(size), np.zeros(size), 0

    def step(self, theta, gradient):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        return theta - RATE * (self.m / (1 - 0.9**self.t)) / (np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8)


def slope(theta):
    """The gradient of a function that is not quadratic."""
    return np.sin(3 * theta) + theta


@pytest.mark.parametrize("steps", [updates, updates.select("numba")], ids=["numpy", "numba"])
def test_counter_is_set_to_the_epoch_but_for_the_last_parameters(steps):
    start = np.random.default_rng(0).standard_normal(7)
    theta = start.copy()
    descent = Descent(EpochCounted(steps=STEPS, plain=2), theta, steps)
    counted, plain, a, b = Written(5), Written(2), start[:5], start[5:]
    for k in range(4 * STEPS):
        descent.step(slope(theta), RATE)
        counted.t = k // STEPS
        a, b = counted.step(a, slope(a)), plain.step(b, slope(b))
        np.testing.assert_allclose(theta, np.concatenate([a, b]), rtol=0, atol=ROUNDING)


def test_entries_of_two_parameters_each_move_by_both():
    theta = np.random.default_rng(1).standard_normal(4)
    upper, lower = theta + 0.25, np.full(4, 0.25)  # K = upper - lower
    descent = Descent(EpochCounted(steps=STEPS, twice=4), theta)
    both = Written(4), Written(4)
    for k in range(4 * STEPS):
        gradient = slope(upper - lower)
        descent.step(slope(theta), RATE)
        both[0].t = both[1].t = k // STEPS
        upper, lower = both[0].step(upper, gradient), both[1].step(lower, -gradient)
        np.testing.assert_allclose(theta, upper - lower, rtol=0, atol=ROUNDING)


def test_one_step_an_epoch_is_plain_adam():
    theta = np.random.default_rng(2).standard_normal(5)
    other = theta.copy()
    one, two = Descent(EpochCounted(), theta), Descent(Adam(), other)
    for _ in range(5):
        one.step(slope(theta), RATE)
        two.step(slope(other), RATE)
    assert np.array_equal(theta, other)


def test_K_of_MS2_is_drawn_with_variance_2():
    for name in ("MS2", "MS3"):
        plain, other = (kind(architecture=name, depth=8).network().params for kind in (Experiment, Imitation))
        assert all(
            np.array_equal(other[key], plain[key] * np.sqrt(2) if key == "K_upper" else plain[key]) for key in plain
        )


@pytest.mark.parametrize("name, twice, plain", [("MS2", 12, 0), ("MS3", 0, 8), ("H2", 0, 0)])
def test_counter_counts_the_epochs_of_the_experiment(name, twice, plain, monkeypatch):
    found = []
    monkeypatch.setattr(EpochCounted, "step", lambda self, *_: found.append((self, *_)))
    protocol = Protocol(epochs=2, output_epochs=1, batch=30)
    Imitation(architecture=name, depth=2, samples=200, protocol=protocol).train()
    assert len(found) == 2 * 4  # a last batch of ten
    assert {method for method, *_ in found} == {EpochCounted(steps=4, twice=twice, plain=plain)}


def test_accuracies_are_those_of_another_training():
    config = Experiment(architecture="H1", depth=4, samples=400, protocol=Protocol(epochs=3)).config()
    found, plain = imitation.accuracies(config), accuracies(config)
    assert found.keys() == plain.keys() and found["loss"] != plain["loss"]
    assert found == imitation.accuracies(config)

"""Training: the papers' protocol on the Swiss roll, joint and multilevel training, and what it refuses."""

import numpy as np
import pytest

import pyham
from pyham import datasets
from pyham.training import Protocol, train


def roll(seed=0, samples=8000):
    return datasets.train_test_split(*datasets.swiss_roll(samples, rng=seed))


def test_protocol_reaches_95_percent_on_the_swiss_roll_with_64_layers():
    x, labels, x_test, labels_test = roll()
    classifier = train(pyham.H2(width=4, depth=64, step=0.015).init(0), x, labels, rng=0)
    assert classifier.accuracy(x_test, labels_test) >= 0.95
    assert classifier.losses.shape == (100,) and classifier.losses[-1] < classifier.losses[0]


def test_training_repeats_bit_for_bit_with_its_seed():
    x, labels, _, _ = roll(samples=500)
    net, protocol = pyham.H1(width=4, depth=8, step=0.1).init(0), Protocol(epochs=2, output_epochs=2, batch=60)
    first, second = (train(net, x, labels, protocol=protocol, rng=7) for _ in range(2))
    assert all(np.array_equal(first.net.params[k], second.net.params[k]) for k in net.params)
    assert np.array_equal(first.w, second.w) and np.array_equal(first.losses, second.losses)
    other = train(net, x, labels, protocol=protocol, rng=8)
    assert not np.array_equal(first.w, other.w)


def test_backends_take_the_same_first_steps():
    x, labels, _, _ = roll(samples=240)
    net, protocol = pyham.H2(width=4, depth=6, step=0.1).init(0), Protocol(epochs=1, output_epochs=1, batch=60)
    a, b = (train(net, x, labels, protocol=protocol, rng=0, backend=e) for e in ("numba", "reference"))
    for name in net.params:  # 2 steps of Adam, which divides by small numbers: far above eps, far below a step of 0.05
        assert np.abs(a.net.params[name] - b.net.params[name]).max() < 1e-9


def test_training_leaves_the_network_alone_and_reports_every_epoch():
    x, labels, _, _ = roll(samples=100)
    net = pyham.MS2(width=4, depth=3, step=0.1).init(0, dtype=np.float32)
    before = {name: value.copy() for name, value in net.params.items()}
    heard = []
    classifier = train(net, x, labels, protocol=Protocol(epochs=2, output_epochs=1), rng=0, callback=heard.append)
    assert all(np.array_equal(net.params[name], before[name]) for name in before)
    assert [(e.done, e.total, e.phase) for e in heard] == [(1, 3, "weights"), (2, 3, "weights"), (3, 3, "output layer")]
    assert classifier.net.dtype == np.float32
    assert not np.array_equal(classifier.net.params["b"], before["b"])


@pytest.mark.parametrize(
    ("x", "labels", "error", "message"),
    [
        (np.zeros((3, 5)), [0, 1, 0], ValueError, r"x: expected shape \(B, 4\), got \(3, 5\)"),
        (np.zeros((3, 4)), [0, 1], ValueError, r"labels: expected shape \(3,\), got \(2,\)"),
        (np.zeros((3, 4)), [0, 1, 2], ValueError, "labels: expected 0 and 1, got 2"),
        (np.zeros((0, 4)), [], ValueError, "x: expected at least one sample, got none"),
        (np.zeros((3, 4)), ["a", "b", "c"], TypeError, "labels: expected numbers, got dtype"),
    ],
)
def test_train__raises_on_wrong_data(x, labels, error, message):
    with pytest.raises(error, match=message):
        train(pyham.H2(width=4, depth=2).init(0), x, labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs: expected an integer >= 0, got -1"),
        ({"batch": 0}, "batch: expected an integer >= 1, got 0"),
        ({"rate": 0.0}, "rate: expected a positive finite number, got 0.0"),
    ],
)
def test_protocol__raises_on_impossible_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)

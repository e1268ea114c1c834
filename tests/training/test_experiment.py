"""Experiments: plain data and back, and the same training wherever it runs."""

import json
import re

import numpy as np
import pytest

import pyham
from pyham import sweep
from pyham.training.experiment import DATA, Experiment, accuracies
from pyham.training.protocol import Protocol


def test_experiment_is_plain_data_and_back():
    experiment = Experiment(architecture="H1", options={"interconnection": "J2"}, depth=4, protocol=Protocol(epochs=2))
    again = Experiment.from_config(json.loads(json.dumps(experiment.config())))
    assert again == experiment
    assert again.network().arch.config() == experiment.network().arch.config()


@pytest.mark.seldom
def test_experiments_of_a_sweep_are_the_trainings_of_one_process(tmp_path):
    protocol = Protocol(epochs=1, output_epochs=1).config()
    runs = sweep.grid(architecture=["H1", "H2"], depth=2, samples=200, protocol=protocol, seed=range(2))
    for outcome in sweep.run(accuracies, runs, tmp_path / "results.jsonl", jobs=2, progress=False):
        assert outcome.result == accuracies(outcome.run)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"data": "moons"}, "data: expected one of 'swiss-roll', 'double-moons', 'double-circles', got 'moons'"),
        ({"depth": 0}, "depth: expected an integer >= 1, got 0"),
        ({"architecture": "H3"}, "architecture: expected one of"),
        ({"samples": 3}, "samples: expected an integer >= 4, got 3"),
        ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
        ({"protocol": {}}, "protocol: expected a Protocol, got dict"),
        ({"final_time": -1.0}, "final_time: expected a positive finite number, got -1.0"),
    ],
)
def test_experiment__raises_on(options, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        Experiment(**options)


@pytest.mark.parametrize("data", DATA)
def test_split_is_even_and_odd_rows(data):
    one = Experiment(data=data, samples=4, width=6, seed=5)
    x, labels, x_test, labels_test = one.split()
    whole, classes = DATA[data](4, width=6, rng=np.random.default_rng([5, 0]))
    assert np.array_equal(x, whole[::2]) and np.array_equal(x_test, whole[1::2])
    assert np.array_equal(labels, classes[::2]) and np.array_equal(labels_test, classes[1::2])


def test_network_has_the_final_time_and_standard_normal_weights():
    net = Experiment(architecture="MS3", depth=200, final_time=3.0, seed=1).network()
    assert isinstance(net, pyham.Network)
    assert net.arch.step * net.arch.depth == pytest.approx(3.0, rel=1e-15)
    assert abs(net.params["b"].std() - 1) < 0.1  # of 800 numbers: four standard deviations


def test_callback_hears_every_epoch():
    heard = []
    one = Experiment(depth=2, samples=100, protocol=Protocol(epochs=2, output_epochs=1))
    classifier = one.train(heard.append)
    assert [epoch.done for epoch in heard] == [1, 2, 3] and len(classifier.losses) == 3
    nothing = Protocol(epochs=0, output_epochs=0)
    assert Experiment(depth=2, samples=100, protocol=nothing).accuracies()["loss"] == np.log(2)
    assert one.accuracies()["loss"] == classifier.losses[-1]

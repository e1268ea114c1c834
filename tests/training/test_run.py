"""The loop over epochs knows models only: another model, on images, trains, stops and goes on."""

from itertools import chain

import numpy as np
import pytest

from pyham.training import updates
from pyham.training.interface import Model
from pyham.training.loop import Run
from pyham.training.losses import softmax
from pyham.training.optimizers import SGD, AdamW
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine


class Means(Model):
    """Logits are linear in the mean and the spread of an image (rows, columns)."""

    depth, steps = 1, updates

    def __init__(self):
        self.theta = np.zeros(6)

    def trained(self, phase):
        return self.theta

    def _features(self, x):
        return np.stack([x.mean(axis=(1, 2)), x.std(axis=(1, 2)), np.ones(len(x))], axis=1)

    def gradient(self, phase, x, labels):
        features = self._features(x)
        z = features @ self.theta.reshape(2, 3).T
        loss, dz = softmax(z, labels)
        return loss, int((z.argmax(axis=1) == labels).sum()), (dz.T @ features).ravel()

    def evaluate(self, phase, x, labels):
        return self.gradient(phase, x, labels)[:2]

    def classifier(self, history):
        return self.theta.copy(), history

    def describe(self):
        return {"kind of model": "means"}, {"theta": self.theta}


def images(count):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    return rng.standard_normal((count, 5, 4)) * (1 + labels)[:, None, None], labels


def begin(**options):
    x, labels = images(150)
    options = {"epochs": 6, "batch": 20, "rate": 0.3, "scheme": "joint", "loss": "softmax"} | options
    protocol = Protocol(**{"schedule": Cosine()} | options)
    return Run(Means(), x[:100], labels[:100], protocol, np.random.default_rng(1), (x[100:], labels[100:]))


def finish(run):
    while not run.finished:
        run.advance()
    return run


@pytest.mark.parametrize("options", [{}, {"optimizer": SGD(0.9)}, {"optimizer": AdamW(), "patience": 2}])
def test_any_model_trains_stops_and_goes_on_bitwise(options):
    whole = finish(begin(**options))
    assert whole.history.validation_accuracy[-1] >= 0.9 and whole.history.depth.tolist() == [1] * len(whole.rows)
    for epoch in range(len(whole.rows) + 1):
        first = begin(**options)
        for _ in range(epoch):
            first.advance()
        state = first.state()
        finish(first)  # what the state has are copies
        second = begin(**options)
        second.restore(*state)
        finish(second)
        for run in (first, second):
            np.testing.assert_array_equal(run.model.theta, whole.model.theta)
            np.testing.assert_array_equal(run.history.loss, whole.history.loss)


def test_batches_have_all_samples_in_every_epoch_and_its_loss_is_their_mean():
    seen, losses = [], []

    class Watched(Means):
        def gradient(self, phase, x, labels):
            seen.append(x[:, 0, 0].tolist())
            loss, right, gradient = super().gradient(phase, x, labels)
            losses.append(loss * len(x) / 100)
            return loss, right, gradient

    run = begin(batch=30)
    run.model = Watched()
    run.validation = None
    finish(run)
    assert [len(batch) for batch in seen] == [30, 30, 30, 10] * 6
    for epoch in range(6):
        assert sorted(chain(*seen[4 * epoch : 4 * epoch + 4])) == sorted(run.x[:, 0, 0])
    assert seen[0] != seen[4]
    np.testing.assert_allclose(run.history.loss, np.sum(np.reshape(losses, (6, 4)), axis=1), rtol=1e-14)


class Recording(Means):
    """Hears the rates, becomes infinite if asked to, and may become deeper."""

    def __init__(self, rates, broken=False):
        super().__init__()
        self.rates, self.broken = rates, broken

    def epoch(self, phase, descent, x, labels, order, size, rates):
        self.rates.append(rates)
        self.theta[-1] = np.inf if self.broken else 0
        return 0.5, len(order) // 2

    def deepen(self, prolongation):
        deeper = Recording(self.rates)
        deeper.depth = 2 * self.depth
        return deeper


def recording(protocol, broken=False):
    x, labels = images(100)
    return Run(Recording([], broken), x, labels, protocol, np.random.default_rng(1))


@pytest.mark.parametrize("steps_before", [0, 3, 6])
def test_rates_follow_the_schedule_in_time_and_the_output_layer_has_its_own(steps_before):
    protocol = Protocol(epochs=2, output_epochs=2, batch=40, rate=0.3, inner_rate=0.7, levels=2, schedule=Cosine())
    first = recording(protocol)
    for _ in range(steps_before):
        first.advance()
    run = recording(protocol)
    run.model = first.model
    run.restore(*first.state())
    finish(run)
    times = [[0, 1 / 3, 2 / 3], [1, 4 / 3, 5 / 3]]
    expected = [[top * Cosine()(t, 2) for t in ts] for top in (0.3, 0.3, 0.7) for ts in times]
    np.testing.assert_allclose(run.model.rates, expected, rtol=1e-14)
    assert run.history.depth.tolist() == [1, 1, 2, 2, 2, 2] and run.history.accuracy.tolist() == [0.5] * 6


def test_advance__raises_where_one_parameter_is_infinite_and_the_loss_is_not():
    with pytest.raises(FloatingPointError, match="rate: expected one at which training converges, got"):
        recording(Protocol(), broken=True).advance()


def test_restore__raises_on_phases_that_the_protocol_does_not_have():
    run = recording(Protocol(epochs=1, output_epochs=1))
    run.advance()
    header, arrays = run.state()
    for phase, over, message in ((2, True, "at most 1, got 2"), (-1, False, "at most 1, got -1"), (-2, True, "")):
        with pytest.raises(ValueError, match=f"phase: expected {message}"):
            recording(run.protocol).restore(header | {"phase": phase, "over": over}, arrays)


def test_fingerprints_tell_shapes_apart_and_not_orders_in_memory():
    x, labels = images(20)
    prints = [
        Run(Means(), data, labels, Protocol(), np.random.default_rng(1)).fingerprint
        for data in (x, x.reshape(20, 4, 5), np.asfortranarray(x), x.view(np.int64))
    ]
    assert prints[0] == prints[2] and len(set(prints)) == 3


def test_levels__raise_where_a_model_has_no_other_depths():
    run = begin(levels=2)
    with pytest.raises(ValueError, match="levels: expected 1, since Means has no other depths, got more"):
        finish(run)

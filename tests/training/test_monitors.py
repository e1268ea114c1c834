"""Monitors measure what they say, per sample, and within both bounds; they change nothing of a training."""

import numpy as np
import pytest

import pyham
from pyham.data import plane as datasets
from pyham.training import Protocol, losses, train
from pyham.training.monitors import Gradients, Monitors, Sensitivities
from pyham.verification.atlas import atlas

PROTOCOL = Protocol(epochs=4, output_epochs=2, batch=30)


@pytest.fixture(scope="module")
def data():
    return datasets.swiss_roll(90, rng=0)


def watched(data, net, *monitors, **options):
    x, labels = data
    networks = []
    callbacks = Monitors(*monitors, lambda epoch: networks.append(epoch.classifier()))
    return train(net, x, labels, protocol=Protocol(epochs=4, output_epochs=2, batch=30, **options), rng=0,
                 callback=callbacks), networks  # fmt: skip


@pytest.mark.parametrize("name", ["H2", "H1", "MLP"])
def test_sensitivities_are_norms_of_single_samples_within_both_bounds(name, data):
    watch = Sensitivities(data[0][:7], every=2)
    net = pyham.architecture(name, width=4, depth=5, step=0.2).init(0)
    _, classifiers = watched(data, net, watch)
    assert watch.epochs.tolist() == [2, 4, 6] and watch.norms.shape == watch.smallest.shape == (3, 7)
    for look, done in enumerate(watch.epochs):
        phi = classifiers[done - 1].net.sensitivity(data[0][:7])[0]
        np.testing.assert_allclose(watch.norms[look], np.linalg.norm(phi, 2, axis=(1, 2)), rtol=1e-12)
        np.testing.assert_allclose(watch.smallest[look], np.linalg.norm(phi, -2, axis=(1, 2)), rtol=1e-9)
    assert (np.log(watch.norms) <= watch.log_upper[:, None] + 1e-12).all()
    if name == "H2":
        assert (np.log(watch.smallest) >= watch.log_lower[:, None] - 1e-9).all()
    else:
        assert np.isnan(watch.log_lower).all()


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("scheme", ["joint", "alternating"])
def test_gradients_are_those_of_each_sample_s_own_loss(scheme, loss, data):
    if loss in losses.VALUES:
        data = data[0], np.stack([data[1], 2 * data[1]], axis=1).astype(float)
    x, labels = data[0][:5], data[1][:5]
    watch = Gradients(x, labels, every=3)
    _, classifiers = watched(data, pyham.H2(4, 3, 0.2).init(0), watch, scheme=scheme, loss=loss)
    assert watch.epochs.tolist() == ([3] if scheme == "joint" else [3, 6])
    for look, done in enumerate(watch.epochs):
        classifier = classifiers[done - 1]
        for i in range(5):
            for c in range(4):

                def value(t, i=i, c=c, classifier=classifier):
                    moved = x[i : i + 1].copy()
                    moved[0, c] += t
                    return losses.LOSSES[loss](classifier.logits(moved), labels[i : i + 1])[0]

                slope = (value(1e-5) - value(-1e-5)) / 2e-5
                assert abs(slope) <= watch.norms[look][0, i] * (1 + 1e-6) + 1e-9
        norms, ratios = watch.norms[look], watch.ratios[look]
        assert norms.shape == ratios.shape == (4, 5)
        np.testing.assert_allclose(ratios, norms / norms[-1], rtol=1e-12)
        assert (np.log(ratios) <= watch.log_upper[look][:, None] + 1e-12).all()
        assert (np.log(ratios) >= watch.log_lower[look][:, None] - 1e-12).all()


def test_monitors_change_nothing_and_follow_a_network_that_gets_deeper(data):
    x, labels = data
    net = pyham.H2(4, 2, 0.2).init(0)
    plain, _ = watched(data, net, levels=2)
    gradients, sensitivities = Gradients(x[:4], labels[:4]), Sensitivities(x[:4])
    found, _ = watched(data, net, gradients, sensitivities, levels=2)
    assert np.array_equal(plain.w, found.w) and np.array_equal(plain.net.b, found.net.b)
    assert [len(norms) for norms in gradients.norms] == [3] * 4 + [5] * 6
    assert sensitivities.norms.shape == (10, 4)


def test_monitors_use_their_backend_and_know_no_lower_bound_of_a_network_without_shears(data, monkeypatch):
    x, labels = data
    asked = []
    for name in ("trace", "adjoint"):
        exact = getattr(pyham.Network, name)
        monkeypatch.setattr(
            pyham.Network, name, lambda *a, exact=exact, **k: (asked.append(k.get("backend")), exact(*a, **k))[1]
        )
    monkeypatch.setattr(
        "pyham.training.monitors.atlas", lambda *a, backend="numba": (asked.append(backend), atlas(*a))[1]
    )
    watch = Gradients(x[:3], labels[:3], backend="reference")
    watched(data, pyham.H1(4, 2, 0.2).init(0), watch, Sensitivities(x[:3], backend="reference"))
    assert set(asked) == {"reference"}
    assert np.isnan(watch.log_lower[0]).all() and watch.log_lower[0].shape == (3,)


def test_monitors__raise_on_wrong_samples(data):
    with pytest.raises(ValueError, match="x: expected at least one sample, got none"):
        Sensitivities(np.zeros((0, 4)))
    with pytest.raises(ValueError, match=r"labels: expected 3 of them, got shape \(2,\)"):
        Gradients(np.zeros((3, 4)), [0, 1])
    with pytest.raises(ValueError, match="every: expected an integer >= 1, got 0"):
        Sensitivities(np.zeros((3, 4)), every=0)

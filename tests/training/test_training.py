"""Training: the papers' protocol on the Swiss roll, joint and multilevel training, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham.data import plane as datasets
from pyham.engines.compiled import threads
from pyham.training.losses import LOSSES
from pyham.training.optimizers import SGD, AdamW
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine, Step
from pyham.training.trainer import train
from tests.oracles.refusals import refused


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


def test_a_classifier_goes_on_from_where_it_is():
    x, labels, _, _ = roll(samples=200)
    joint = Protocol(epochs=1, batch=50, scheme="joint", optimizer=SGD())
    first = train(pyham.H1(4, 4, 0.2).init(0), x, labels, protocol=joint, rng=np.random.default_rng(0))
    kept = first.head.layer.copy()
    generator = np.random.default_rng(0)
    generator.uniform(size=5)  # the output layer of a training that begins with a network
    generator.permutation(len(x))
    second = train(first, x, labels, protocol=joint, rng=generator)
    whole = train(pyham.H1(4, 4, 0.2).init(0), x, labels, protocol=replace(joint, epochs=2), rng=0)
    np.testing.assert_array_equal(second.head.layer, whole.head.layer)
    np.testing.assert_array_equal(first.head.layer, kept)
    for options, message in (
        ({"protocol": Protocol(loss="softmax")}, "loss: expected 'logistic', as the classifier has, got 'softmax'"),
        ({"shift": 1}, "shift: expected 0 for points, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            train(first, x, labels, **options)


def test_the_joint_scheme_begins_with_an_output_layer_of_the_size_of_its_inputs():
    x, labels, _, _ = roll(samples=20)
    first = train(pyham.H1(4, 2).init(0), x, labels, protocol=Protocol(epochs=0, scheme="joint"), rng=3)
    expected = np.random.default_rng(3).uniform(-1, 1, (1, 5)) / np.sqrt(4)
    np.testing.assert_array_equal(first.head.layer, expected)


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


def refuses(x, labels, error, message, net=None, **options):
    """A row of the table below: ``train`` with these data and options."""
    network = pyham.H2(4, 2).init(0) if net is None else net
    options = {"protocol": Protocol(**options.pop("with_", {}))} | options
    return (lambda given: train(network, *given, **options)), (x, labels), error, message


THREE, FOUR, SOFTMAX = np.zeros((3, 4)), np.zeros((4, 4)), {"with_": {"loss": "softmax"}}
test_train__raises_on_what_cannot_be_trained = refused(
    [
        refuses(np.zeros((3, 5)), [0, 1, 0], ValueError, r"x: expected shape \(B, 4\), got \(3, 5\)"),
        refuses(THREE, [0, 1], ValueError, r"labels: expected shape \(3,\), got \(2,\)"),
        refuses(THREE, [0, 1, 2], ValueError, "labels: expected 0 and 1, got 2"),
        refuses(np.zeros((0, 4)), [], ValueError, "x: expected at least one sample, got none"),
        refuses(THREE, [0, 1, 0.5], ValueError, "labels: expected 0 and 1, got 0.5"),
        refuses(THREE, ["a", "b", "c"], TypeError, "labels: expected numbers, got dtype .*"),
        refuses(FOUR, [0, 1, 3, 1], ValueError, "labels: expected every class from 0 to 3 at least once", **SOFTMAX),
        *(
            refuses(
                FOUR, [0, 1, wrong, 1], ValueError,
                f"labels: expected integers from 0 to C - 1, got {wrong} among 4", **SOFTMAX,
            )
            for wrong in (7, 1.5, -1)
        ),
        refuses(
            THREE, [0, 1, 2], ValueError, r"validation x: expected shape \(B, 4\), got \(3, 3\)", **SOFTMAX,
            validation=(np.zeros((3, 3)), [0, 1, 2]),
        ),
        refuses(
            THREE, [0, 1, 2], ValueError, "validation labels: expected integers from 0 to 2, got 3 among 3", **SOFTMAX,
            validation=(THREE, [0, 1, 3]),
        ),
        refuses(
            THREE, [0, 1, 1], ValueError, r"validation: expected samples .* as the protocol has patience, got None",
            with_={"patience": 2},
        ),
        refuses(
            THREE, [0, 1, 1], ValueError, "levels: expected 1, as an MLP discretises no equation, got 2",
            net=pyham.MLP(4, 2).init(0), with_={"levels": 2},
        ),
        refuses(
            THREE, [0, 1, 1], TypeError, "net: expected real parameters, got complex128",
            net=pyham.H2(4, 2).init(0, dtype=complex), backend="reference",
        ),
    ]
)  # fmt: skip
test_protocol__raises_on_impossible_numbers = refused(
    (lambda options: Protocol(**options), options, error, message)
    for options, error, message in [
        ({"alpha": np.nan}, ValueError, "alpha: expected a finite number, got nan"),
        ({"scheme": "both"}, ValueError, "scheme: expected one of 'alternating', 'joint', got 'both'"),
        ({"loss": "hinge"}, ValueError, "loss: expected one of 'logistic', 'softmax', 'squared', .* got 'hinge'"),
        ({"prolongation": "cubic"}, ValueError, "prolongation: expected one of 'repeat', 'linear', got 'cubic'"),
        ({"levels": 17}, ValueError, "levels: expected at most 16, got more"),
        ({"inner_steps": 100_001}, ValueError, "inner_steps: expected at most 100000, got more"),
        ({"epochs": 2**31}, ValueError, "epochs: expected at most 2147483647, got more"),
        ({"patience": 0}, ValueError, "patience: expected an integer >= 1, got 0"),
        ({"noise": -0.1}, ValueError, "noise: expected a number >= 0, got -0.1"),
        ({"epochs": -1}, ValueError, "epochs: expected an integer >= 0, got -1"),
        ({"batch": 0}, ValueError, "batch: expected an integer >= 1, got 0"),
        ({"inner_rate": -1.0}, ValueError, "inner_rate: expected a positive finite number, got -1.0"),
        ({"rate": 0.0}, ValueError, "rate: expected a positive finite number, got 0.0"),
        ({"optimizer": "adam"}, TypeError, "optimizer: expected one of .*, got str"),
        ({"schedule": "adam"}, TypeError, "schedule: expected one of .*, got str"),
    ]
)


def test_train__raises_when_numbers_overflow():
    x, labels, _, _ = roll(samples=100)
    protocol = Protocol(epochs=30, optimizer=SGD(), rate=1e200, scheme="joint")
    with pytest.raises(FloatingPointError, match=r"rate: expected one at which training converges, got 1e\+200: after"):
        train(pyham.H1(4, 8, 1.0).init(0), x, labels, protocol=protocol, rng=0)


JOINT = Protocol(epochs=40, rate=0.02, scheme="joint", optimizer=AdamW(), schedule=Cosine())


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_joint_training_learns_the_swiss_roll(loss):
    x, labels, x_test, labels_test = roll()
    net = pyham.H1(width=4, depth=16, step=0.1).init(0)
    classifier = train(net, x, labels, protocol=replace(JOINT, loss=loss), rng=0)
    assert classifier.accuracy(x_test, labels_test) >= 0.9
    assert classifier.w.shape == ((4,) if loss == "logistic" else (4, 2))


def test_many_classes_are_learnt():
    """The handwritten digits that ship with scikit-learn, 8 x 8 pixels."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    x, labels = digits.data / 16 - 0.5, digits.target
    net = pyham.H2(width=64, depth=4, step=0.2).init(0, initialization="scaled-normal")
    protocol = Protocol(epochs=10, batch=50, rate=0.01, scheme="joint", loss="softmax", alpha=0.0)
    classifier = train(net, x[::2], labels[::2], protocol=protocol, rng=0)
    assert classifier.logits(x[1::2]).shape == (898, 10)
    assert classifier.accuracy(x[1::2], labels[1::2]) >= 0.93


def test_multilevel_training_goes_on_where_the_shallow_network_was():
    x, labels, x_test, labels_test = roll()
    protocol = replace(JOINT, epochs=12, levels=3)
    classifier = train(pyham.H1(width=4, depth=8, step=0.2).init(0), x, labels, protocol=protocol, rng=0)
    assert classifier.net.arch == pyham.H1(width=4, depth=32, step=0.05)
    history = classifier.history
    assert history.depth.tolist() == [8] * 12 + [16] * 12 + [32] * 12
    # a deeper network starts from what the shallow one has learnt, and not anew
    for first in (12, 24):
        assert history.loss[first] < (history.loss[0] + history.loss[first - 1]) / 2
    assert classifier.accuracy(x_test, labels_test) >= 0.9


def test_patience_ends_a_phase_and_keeps_the_weights_of_the_lowest_validation_loss():
    x, labels, x_test, labels_test = roll(samples=400)
    protocol = Protocol(epochs=60, output_epochs=0, rate=0.2, patience=3, scheme="joint")
    networks = []
    classifier = train(
        pyham.H1(4, 8, 0.2).init(0), x, labels, protocol=protocol, rng=0, validation=(x_test, labels_test),
        callback=lambda epoch: networks.append(epoch.classifier()),
    )  # fmt: skip
    losses = classifier.history.validation_loss
    best = int(losses.argmin())
    assert best < len(losses) - 1 < 59 and len(losses) == best + 1 + 3
    np.testing.assert_array_equal(classifier.net.b, networks[best].net.b)
    assert classifier.accuracy(x_test, labels_test) == classifier.history.validation_accuracy[best]


def test_the_last_epoch_may_be_the_best():
    x, labels, x_test, labels_test = roll(samples=400)
    options = {"rng": 0, "validation": (x_test, labels_test)}
    protocol = Protocol(epochs=5, output_epochs=0, rate=0.003, scheme="joint")
    net = pyham.H1(4, 8, 0.2).init(0)
    plain = train(net, x, labels, protocol=protocol, **options)
    assert plain.history.validation_loss.argmin() == 4
    patient = train(net, x, labels, protocol=replace(protocol, patience=5), **options)
    np.testing.assert_array_equal(plain.net.b, patient.net.b)


def test_history_measures_what_it_says():
    x, labels, x_test, labels_test = roll(samples=400)
    heard = []
    protocol = Protocol(epochs=3, output_epochs=2, schedule=Step(0.5), rate=0.04)
    classifier = train(
        pyham.H2(4, 4, 0.3).init(0), x, labels, protocol=protocol, rng=0, validation=(x_test, labels_test),
        callback=heard.append,
    )  # fmt: skip
    history = classifier.history
    assert len(history) == 5 and history.phase == ("weights",) * 3 + ("output layer",) * 2
    np.testing.assert_allclose(history.rate, [0.04, 0.02, 0.01, 0.04, 0.02])
    np.testing.assert_array_equal(history.loss, classifier.losses)
    for column in ("loss", "accuracy", "rate", "validation_loss", "validation_accuracy"):
        assert getattr(history, column).tolist() == [getattr(epoch, column) for epoch in heard]
    assert history.validation_accuracy[-1] == classifier.accuracy(x_test, labels_test)
    expected, _ = LOSSES["logistic"](classifier.logits(x_test), labels_test)
    assert history.validation_loss[-1] == pytest.approx(expected)
    assert history.to_dict()["rate"] == history.rate.tolist()


def test_validation_data_change_nothing_of_the_training():
    x, labels, x_test, labels_test = roll(samples=300)
    net, protocol = pyham.H2(4, 4, 0.3).init(0), Protocol(epochs=2, output_epochs=2)
    plain = train(net, x, labels, protocol=protocol, rng=0)
    watched = train(net, x, labels, protocol=protocol, rng=0, validation=(x_test, labels_test))
    assert np.array_equal(plain.w, watched.w) and np.array_equal(plain.net.b, watched.net.b)
    assert np.isnan(plain.history.validation_loss).all() and plain.history.to_dict()["validation_loss"] == [None] * 4


@pytest.mark.parametrize("scheme", ["alternating", "joint"])
def test_threads_do_not_change_a_bit(scheme, small_blocks, monkeypatch):
    x, labels = datasets.swiss_roll(600, rng=0)
    protocol = Protocol(epochs=2, output_epochs=2, batch=300, scheme=scheme)
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "_threads", count)
        trained = train(pyham.H1(4, 8, 0.1).init(0), x, labels, protocol=protocol, rng=0)
        found.append([array.tobytes() for array in (*trained.net.params.values(), trained.w)])
    assert found[0] == found[1] == found[2]

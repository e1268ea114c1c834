"""Gradients of the whole objective, loss and penalties through network and output layer, against the complex step."""

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures.lift import DenseLift, normalise, shifted
from pyham.training.classifier import Classifier
from pyham.training.history import History
from pyham.training.losses import LOSSES, VALUES, Weighted
from pyham.training.model import PredictorModel, _cut
from pyham.training.optimizers import Adam, Descent
from pyham.training.protocol import Protocol
from pyham.training.trained import kind_of

POINTS = {name: pyham.architecture(name, width=4, depth=3, step=0.3) for name in pyham.ARCHITECTURES}
IMAGES = {
    "ConvH2": images.ConvH2(8, 8, width=2, depths=(2, 1), step=0.4, activation="tanh"),
    "H1 at every pixel": images.image_architecture("H1", rows=4, columns=5, width=4, depth=2, step=0.3),
    "MLP at every pixel": images.image_architecture("MLP", rows=3, columns=4, width=3, depth=2),
}


def objective(params, first, x, labels, protocol):
    """In complex arithmetic, by the formula of ``pyham.training.trainer``."""
    arch, layer, y = first.net.arch, params["layer"], x
    if first.lift is not None:
        y = type(first.lift)(params["lift"], params["lift_bias"]).apply(x)
    inner = {name: params[name] for name in arch.shapes}
    y_N = pyham.Network(arch, inner)(y.astype(complex), backend="reference").reshape(len(y), -1)
    z = first.head.gain * (y_N @ layer[:, :-1].T + layer[:, -1])
    truth, weights = (labels.values, labels.weights) if isinstance(labels, Weighted) else (labels, None)
    loss, _ = LOSSES[protocol.loss](z[:, 0] if protocol.loss == "logistic" else z, truth, weights)
    smooth, _ = arch.smoothness(inner)
    squares = {name: (value * value).sum() for name, value in params.items()}
    last = squares.pop("layer")
    return loss + protocol.alpha * smooth + protocol.decay / 2 * sum(squares.values()) + protocol.alpha_c / 2 * last


def complex_steps(model, first, gradient, places, *data):
    """Whether the gradient is the complex step in these entries of theta; the objective is more than the loss."""
    flat = model.theta.astype(complex)  # with the layer that the phase "weights" has fitted
    params = _cut(flat, model.describe()[1])
    for i in places:
        flat[i] += 1e-100j
        step = objective(params, first, *data).imag / 1e-100
        flat[i] = flat[i].real
        assert abs(gradient[i] - step) <= 1e-13 * np.abs(gradient).max()
    return objective(params, first, *data).real


@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("phase", ["joint", "weights"])
@pytest.mark.parametrize("name", POINTS)
def test_gradient_of_the_objective_is_its_complex_step(name, phase, loss, backend, rng):
    """With a learnt matrix from three features before H2, and weighted samples where the loss is of values."""
    protocol = Protocol(alpha=0.3, alpha_c=0.2, decay=0.1, loss=loss)
    outputs = 1 if loss == "logistic" else 3
    lift = DenseLift(rng.standard_normal((4, 3)), rng.standard_normal(4)) if name == "H2" else None
    first = kind_of(loss).untrained(POINTS[name].init(rng), outputs, loss, lift=lift)
    model = PredictorModel(first, protocol, backend)
    model.layer[:] = rng.standard_normal(model.layer.shape)
    x, labels = rng.standard_normal((6, 3 if lift else 4)), rng.integers(0, max(2, outputs), 6)
    if loss in VALUES or name == "H1":
        truth = rng.poisson(1.0, (6, 3)).astype(float) if loss in VALUES else labels
        labels = Weighted(truth, rng.random(6))
    value, _, gradient = model.gradient(phase, x, labels)
    assert gradient.size == model.trained(phase).size
    assert value < complex_steps(model, first, gradient, range(gradient.size), x, labels, protocol)


@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("name", IMAGES)
def test_gradient_of_the_objective_of_images_is_its_complex_step(name, backend, rng):
    """Through the lift, with images moved, and an output layer whose gain is not 1."""
    protocol = Protocol(loss="softmax", scheme="joint", alpha=0.3, alpha_c=0.2, decay=0.1)
    first = images.untrained(IMAGES[name], rng, classes=3, gain=0.7, initialization="scaled-normal", dtype=np.float64)
    first.head.layer[:] = rng.standard_normal(first.head.layer.shape)
    model = PredictorModel(first, protocol, backend, shift=2)
    pixels = rng.integers(0, 256, (7, *first.net.arch.shape[1:])).astype(np.uint8)
    labels, shifts = rng.integers(0, 3, 7), rng.integers(-2, 3, (7, 2))
    value, _, gradient = model.gradient("joint", pixels, labels, shifts)
    x = normalise(shifted(pixels, shifts), np.float64)
    places = rng.permutation(gradient.size)[:150]
    assert value < complex_steps(model, first, gradient, places, x, labels, protocol)


def test_images_are_moved_by_shifts_that_follow_from_the_order(rng):
    first = images.untrained(IMAGES["ConvH2"], 0, classes=3)
    model = PredictorModel(first, images.RECOMMENDED, shift=2)
    pixels, labels, order = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8), np.arange(5), rng.permutation(5)
    found = [list(model.batches(pixels, labels, order, 2)) for _ in range(2)]
    assert [len(batch[1]) for batch in found[0]] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in found[0]]), order)
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in found[0]]), pixels[order])
    moved = [np.concatenate([batch[2] for batch in batches]) for batches in found]
    np.testing.assert_array_equal(*moved)
    others = np.concatenate([batch[2] for batch in model.batches(pixels, labels, np.arange(5), 2)])
    assert np.abs(moved[0]).max() == 2 and not np.array_equal(moved[0], others)


def test_noise_follows_from_the_order_and_is_new_in_every_epoch(rng):
    first = kind_of("squared").untrained(POINTS["H2"].init(rng), 1, "squared")
    x, values, order = rng.standard_normal((4000, 4)), np.zeros((4000, 1)), rng.permutation(4000)
    noisy, still = (PredictorModel(first, Protocol(loss="squared", noise=noise)) for noise in (0.3, 0.0))

    def seen(model, order):
        return np.concatenate([rows for rows, _ in model.batches(x, values, order, 100)])

    noise = seen(noisy, order) - x[order]
    assert abs(noise.std() - 0.3) < 0.01 and abs(noise.mean()) < 0.01 and not (seen(still, order) - x[order]).any()
    np.testing.assert_array_equal(seen(noisy, order) - x[order], noise)
    assert np.abs(np.corrcoef(noise.ravel(), (seen(noisy, order[::-1]) - x[order[::-1]]).ravel())[0, 1]) < 0.05


def test_images_are_evaluated_in_pieces_of_any_size(rng, monkeypatch):
    first = images.untrained(IMAGES["ConvH2"], 0, classes=3, dtype=np.float64)
    first.head.layer[:] = rng.standard_normal(first.head.layer.shape)
    pixels, labels = rng.integers(0, 256, (5, 8, 8)).astype(np.uint8), rng.integers(0, 3, 5)
    z, model = first.logits(pixels), PredictorModel(first, images.RECOMMENDED)
    for piece in (2, 4, 1000):
        monkeypatch.setattr("pyham.training.model.PIECE", piece)
        loss, right = model.evaluate("joint", pixels, labels)
        assert loss == pytest.approx(LOSSES["softmax"](z, labels)[0], rel=1e-12)
        assert right == (z.argmax(axis=1) == labels).sum()


def test_adam_counts_the_steps_of_all_epochs_of_the_output_layer(rng):
    model = PredictorModel(Classifier.untrained(POINTS["H1"].init(rng), 2), Protocol(loss="softmax"))
    descent, x = Descent(Adam(), model.trained("output layer"), model.steps), rng.standard_normal((6, 4))
    for epoch in (1, 2):
        model.epoch("output layer", descent, x, np.arange(6) % 2, np.arange(6), 2, np.full(3, 0.1))
        assert descent.t == 3 * epoch
    loss, right = model.epoch("output layer", descent, x, np.arange(6) % 2, np.arange(6), 2, np.zeros(3))  # no step
    assert (pytest.approx(loss, rel=1e-12), right) == model.evaluate("output layer", x, np.arange(6) % 2)
    wide = Classifier.untrained(POINTS["H1"].init(rng, dtype=np.longdouble), 2)
    with pytest.raises((TypeError, ValueError), match="float"):
        PredictorModel(wide, Protocol())


def test_features_are_kept_until_the_next_phase(rng):
    model = PredictorModel(Classifier.untrained(POINTS["H1"].init(rng), 2), Protocol(loss="softmax"))
    x, kept = rng.standard_normal((6, 4)), []
    for phase in ("weights", "output layer"):
        model.begin(phase)
        kept.append(model.features(x))
        model.theta[:] *= 2
        assert model.features(x) is kept[-1]
    assert not np.array_equal(*kept) and not model.layer.any()


def test_parameters_are_views_of_one_array():
    net = pyham.H2(4, 3).init(0)
    model = PredictorModel(Classifier.untrained(net, 2), Protocol(loss="softmax"))
    model.theta[:] = 7
    assert all((value == 7).all() for value in model.params.values()) and (model.layer == 7).all()
    assert model.theta.size == sum(v.size for v in net.params.values()) + 2 * 5
    assert all(np.shares_memory(model.trained(name), model.theta) for name in ("weights", "joint", "output layer"))


def test_a_classifier_is_left_alone_by_further_training():
    model = PredictorModel(images.untrained(IMAGES["ConvH2"], 0, classes=3), images.RECOMMENDED)
    found = model.classifier(History.of([]))
    model.theta[:] = 7
    assert not any((array == 7).any() for array in found.describe()[1].values())


@pytest.mark.parametrize("prolongation", ["repeat", "linear"])
def test_a_deeper_model_has_the_prolonged_network_and_the_same_layer(prolongation):
    from pyham.training.multilevel import prolong

    net = pyham.H1(4, 3, 0.2).init(0)
    model = PredictorModel(Classifier.untrained(net, 2, "logistic"), Protocol())
    model.layer[:] = 3
    deeper = model.deepen(prolongation)
    assert deeper.depth == 6 and (deeper.layer == 3).all()
    for name, value in prolong(net, prolongation).params.items():
        np.testing.assert_array_equal(deeper.params[name], value)

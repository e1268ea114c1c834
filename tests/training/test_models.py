"""Gradients of the whole objective, loss and penalties through network and output layer, against the complex step."""

import numpy as np
import pytest

import pyham
from pyham.training.classifier import Classifier
from pyham.training.losses import LOSSES
from pyham.training.model import ClassifierModel
from pyham.training.protocol import Protocol

NAMES = ["MS1", "MS2", "MS3", "H1", "H2", "MLP", "ResNet"]


def objective(net, layer, x, labels, protocol):
    """In complex arithmetic, by the formula of ``pyham.training``."""
    z = net(x.astype(complex), backend="reference") @ layer[:, :-1].T + layer[:, -1]
    loss, _ = LOSSES[protocol.loss](z[:, 0] if protocol.loss == "logistic" else z, labels)
    smooth, _ = net.arch.smoothness(net.params)
    squares = sum((value * value).sum() for value in net.params.values())
    return loss + protocol.alpha * smooth + protocol.decay / 2 * squares + protocol.alpha_c / 2 * (layer * layer).sum()


def split(theta, net, layer):
    """Network and layer from a complex theta."""
    params, start = {}, 0
    for name, shape in net.arch.shapes.items():
        params[name] = theta[start : start + np.prod(shape)].reshape(shape)
        start += np.prod(shape)
    return pyham.Network(net.arch, params), theta[start:].reshape(layer.shape)


@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("phase", ["joint", "weights"])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_the_objective_is_its_complex_step(name, phase, loss, backend, rng):
    protocol = Protocol(alpha=0.3, alpha_c=0.2, decay=0.1, loss=loss)
    net = pyham.architecture(name, width=4, depth=3, step=0.3).init(rng)
    outputs = 1 if loss == "logistic" else 3
    model = ClassifierModel(Classifier.untrained(net, outputs, loss), protocol, backend)
    model.layer[:] = rng.standard_normal(model.layer.shape)
    x, labels = rng.standard_normal((6, 4)), rng.integers(0, max(2, outputs), 6)
    value, _, gradient = model.gradient(phase, x, labels)
    assert gradient.size == model.trained(phase).size
    plain = model.theta.astype(complex)  # with the layer that the phase "weights" has fitted
    penalised = objective(*split(plain, net, model.layer), x, labels, protocol)
    assert value < penalised.real
    for i in range(gradient.size):
        moved = plain.copy()
        moved[i] += 1e-100j
        step = objective(*split(moved, net, model.layer), x, labels, protocol).imag / 1e-100
        assert abs(gradient[i] - step) <= 1e-13 * np.abs(gradient).max()


def test_parameters_are_views_of_one_array():
    net = pyham.H2(4, 3).init(0)
    model = ClassifierModel(Classifier.untrained(net, 2), Protocol(loss="softmax"))
    model.theta[:] = 7
    assert all((value == 7).all() for value in model.params.values()) and (model.layer == 7).all()
    assert model.theta.size == sum(v.size for v in net.params.values()) + 2 * 5
    assert all(np.shares_memory(model.trained(name), model.theta) for name in ("weights", "joint", "output layer"))


@pytest.mark.parametrize("prolongation", ["repeat", "linear"])
def test_a_deeper_model_has_the_prolonged_network_and_the_same_layer(prolongation):
    from pyham.training.multilevel import prolong

    net = pyham.H1(4, 3, 0.2).init(0)
    model = ClassifierModel(Classifier.untrained(net, 2, "logistic"), Protocol())
    model.layer[:] = 3
    deeper = model.deepen(prolongation)
    assert deeper.depth == 6 and (deeper.layer == 3).all()
    for name, value in prolong(net, prolongation).params.items():
        np.testing.assert_array_equal(deeper.params[name], value)

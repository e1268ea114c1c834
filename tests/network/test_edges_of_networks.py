"""Networks at the edges: no layers, one number for a state, complex weights, energies far below zero."""

import mpmath
import numpy as np
import pytest

import pyham
from pyham import images
from pyham.distributed import network
from pyham.distributed.training import train
from pyham.training.protocol import Protocol
from pyham.verification import bounds


@pytest.mark.parametrize("name", ["H1", "H2", "MS3", "MLP", "ResNet"])
def test_a_network_without_layers_is_distributed_and_trained(name, rng):
    x = rng.standard_normal((6, 4))
    net = network.distribute(pyham.architecture(name, width=4, depth=0).init(0), "ring", nodes=2)
    trace = net.trace(x)
    np.testing.assert_array_equal(net(x), x)
    np.testing.assert_array_equal(net.adjoint(trace, x).input, x)
    protocol = Protocol(epochs=1, output_epochs=1, scheme="joint")
    assert train(net, x, np.arange(6) % 2, protocol=protocol, rng=0).net.arch.depth == 0


@pytest.mark.parametrize("J", ["J1", "J2", np.zeros((1, 1))], ids=str)
def test_h1_needs_two_numbers_because_no_other_matrix_of_size_one_is_skew_symmetric(J):
    with pytest.raises(ValueError, match=r"^width: expected an integer >= 2, got 1"):
        pyham.H1(1, 3, interconnection=J)


@pytest.mark.parametrize("name", ["H2", "H1", "ResNet"])
def test_bounds_of_complex_networks_count_the_imaginary_parts(name):
    net = pyham.architecture(name, width=4, depth=3, step=0.1).init(0)
    turned = net.replace({key: value * 1j for key, value in net.params.items()})
    for bound in (bounds.excursions, bounds.upper):
        np.testing.assert_allclose(bound(turned), bound(net), rtol=1e-13)
    assert np.iscomplexobj(turned.K) and (bounds.spectral_norm(turned.K) > 0.1).all()
    images_ = images.ConvH2(4, 4, width=2, depths=(1,)).init(0)
    turned = images_.replace({key: value * 1j for key, value in images_.params.items()})
    np.testing.assert_allclose(bounds.excursions(turned), bounds.excursions(images_), rtol=1e-13)


def test_bounds_of_complex_networks_on_graphs_count_them_too(monkeypatch):
    monkeypatch.setattr("pyham.architectures.edges.EXACT", 0)  # as for a large one
    net = pyham.H2(12, 2, 0.1, graph="ring", nodes=6).init(0)
    turned = net.replace({key: value * 1j for key, value in net.params.items()})
    np.testing.assert_allclose(bounds.excursions(turned), bounds.excursions(net), rtol=1e-13)


def test_energy_of_softplus_keeps_its_digits_far_below_zero():
    """-Li2(-e^a), by mpmath; SciPy states its own dilogarithm to be right within 3.9e-15."""
    a = np.concatenate([-np.geomspace(1e-3, 700, 60), np.geomspace(1e-3, 700, 30), [0.0]])
    with mpmath.workdps(40):
        exact = [float(-mpmath.polylog(2, -mpmath.exp(mpmath.mpf(v)))) for v in a]
    np.testing.assert_allclose(pyham.ACTIVATIONS["softplus"].integrand(a), exact, rtol=4e-15)
    net = pyham.H2(2, 1, activation="softplus").init(0, initialization={"Kp": 0.0, "Kq": 0.0, "b": -39.3})
    assert net.energy(np.zeros((1, 2)))[0, 0] == pytest.approx(2 * np.exp(-39.3), rel=1e-14)

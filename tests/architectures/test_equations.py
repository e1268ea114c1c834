"""Networks compute what the equations of their docstrings say, and the pullback is exact, by complex step."""

import numpy as np
import pytest

import pyham
from pyham.verification import gradcheck
from tests.oracles import equations
from tests.oracles.rounding import eps

ROUNDING = 256 * eps(np.float64)  # sums of some ten terms, through up to 14 stages, are right to some 10 eps


@pytest.mark.parametrize("name", equations.architectures())
def test_weights_structure_and_output_follow_the_equations(name):
    net, x, _ = equations.network(name)
    assert np.array_equal(net.K, equations.weights(net))
    J = equations.structure(net)
    if J is not None:
        np.testing.assert_allclose(np.asarray(net.interconnection), J, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(net(x, backend="reference"), equations.output(net, x), rtol=0, atol=ROUNDING * 10)


@pytest.mark.parametrize("arch", [pyham.MS1(4, 3), pyham.MS2(4, 3)], ids=lambda arch: arch.name)
def test_the_interconnection_of_manifold_networks_undoes_K(arch):
    net = arch.init(0)
    same = net.replace({key: np.broadcast_to(value[0], value.shape) for key, value in net.params.items()})
    for of in (net, same):
        product = np.asarray(of.interconnection) @ of.K.swapaxes(1, 2)
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(4), product.shape), rtol=0, atol=ROUNDING * 10)


@pytest.mark.parametrize("name", ["MLP", "ResNet", "H1 J2 logistic", "MS1 verlet", "MS2", "MS3 q-first", "H2 verlet"])
def test_gradients_are_those_of_a_complex_step(name):
    net, x, g = equations.network(name)
    assert max(gradcheck.complex_step(net, x, g, backend="reference").values()) <= ROUNDING


@pytest.mark.parametrize("scheme", ["semi-implicit", "verlet"])
def test_structure_that_picks_columns(scheme):
    """X with one entry in every column: no involution, and one row in its place."""
    X = np.zeros((4, 4))
    X[[1, 2, 0, 3], [0, 1, 2, 3]] = 2.0, -3.0, 0.5, 1.5
    net = pyham.H2(8, 2, 0.25, scheme=scheme, X=X).init(0)
    x, g = np.random.default_rng(1).standard_normal((2, 2, 8))
    np.testing.assert_allclose(net(x, backend="reference"), equations.output(net, x), rtol=0, atol=ROUNDING * 10)
    assert max(gradcheck.complex_step(net, x, g, backend="reference").values()) <= ROUNDING

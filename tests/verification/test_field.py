"""The field of the equation behind a network, against energy, network and complex step; weights between layers."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import pyham
from pyham.verification import continuous
from pyham.verification.continuous import WEIGHTS, Field
from tests.oracles import equations
from tests.oracles.rounding import eps
from tests.oracles.strategies import SMOOTH, variant

EPS = eps(np.float64)
N, n, B, h = 3, 4, 3, 0.4
HAMILTONIAN = ("H1-J1", "H1-J2", "H1-skew", "H2-plain", "H2-verlet-q-first", "MS3-semi-implicit-p-first")
PLAIN = ("MS1-semi-implicit-p-first", "MS2", "ResNet")  # J K^T = I
TIMES = (0.0, 0.1, h, 2.5 * h, N * h)


def network(key="H2-plain", activation="tanh", depth=N, step=h, seed=1):
    return variant(key, width=n, depth=depth, step=step, activation=activation).init(
        seed, initialization="scaled-normal"
    )


def samples(batch=B, width=n):
    return np.random.default_rng(2).standard_normal((batch, width))


# The field


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("key", [*HAMILTONIAN, *PLAIN])
def test_field_is_J_times_the_gradient_of_the_energy_written_out(key, activation):
    net, x = network(key, activation), samples()
    J = equations.structure(net)
    for j, (K, b) in enumerate(zip(equations.weights(net), net.b, strict=True)):
        s = equations.SIGMA[activation](x @ K.T + b)
        expected = s if J is None else s @ K @ J.T
        np.testing.assert_allclose(Field.of(net)((j + 0.5) * h, x), expected, rtol=0, atol=20 * n * EPS)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("key", ["H1-J2", "H2-plain", "MS2"])
def test_jacobian_equals_the_complex_step_of_the_field(key, activation, weights):
    field, x = Field.of(network(key, activation), weights), samples()
    for t in TIMES:
        columns = [field(t, x + 1e-100j * e).imag * 1e100 for e in np.eye(n)]
        # Two products of length n, and sigma' by two formulas
        assert np.abs(field.jacobian(t, x) - np.stack(columns, axis=-1)).max() <= 100 * EPS


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("key", ["H1-J2", "MS1-semi-implicit-p-first"])
def test_adjoint_equation_is_dual_to_the_variational_one(key, weights):
    field, x, rng = Field.of(network(key), weights), samples(), np.random.default_rng(0)
    X, delta = rng.standard_normal((B, n, n)), rng.standard_normal((B, n))
    for t in TIMES:  # d/dt <delta, X v> = 0 for every v
        change = np.einsum("bi,bij->bj", field.adjoint(t, x, delta), X)
        change += np.einsum("bi,bij->bj", delta, field.variation(t, x, X))
        assert np.abs(change).max() <= 100 * n * EPS


def test_a_sample_alone_and_a_batch_agree_and_scipy_takes_the_field():
    field, x = Field.of(network()), samples()
    np.testing.assert_allclose(field(0.3, x[0]), field(0.3, x)[0], rtol=10 * n * EPS)
    np.testing.assert_allclose(field.jacobian(0.3, x[0]), field.jacobian(0.3, x)[0], rtol=10 * n * EPS, atol=EPS)
    linear = Field.of(network(), "linear")  # no jumps, so that one solve may pass over all layers
    solved = solve_ivp(linear, (0, linear.nodes[-1]), x[0], "Radau", jac=linear.jacobian, rtol=1e-6, atol=1e-6)
    assert np.abs(solved.y[:, -1] - continuous.flow(linear, x[:1])[-1, 0]).max() <= 1e-4  # 100 steps or fewer


# Weights between layers


@pytest.mark.parametrize("depth, step", [(3, 0.4), (1000, 0.1), (1000, 1 / 3)])
def test_constant_weights_are_those_of_the_layer_whose_interval_begins_there(depth, step):
    field = Field.of(pyham.ResNet(width=1, depth=depth, step=step).init(0))
    inside = [field.at(t)[0] for t in field.nodes[:-1]]
    before = [field.at(t)[0] for t in np.nextafter(field.nodes[1:], 0)]
    np.testing.assert_array_equal(inside, field.K)  # at j h itself, which floor(t / h) may miss
    np.testing.assert_array_equal(before, field.K)
    np.testing.assert_array_equal(field.at(field.nodes[-1])[0], field.K[-1])


def test_linear_weights_meet_the_layers_at_their_midpoints_and_the_mean_of_two_between():
    net = network()
    field, K = Field.of(net, "linear"), net.K
    close = {"rtol": 10 * EPS, "atol": 10 * EPS}
    for j in range(N):
        for have, want in zip(field.at((j + 0.5) * h), (K[j], field.G[j], net.b[j]), strict=True):
            np.testing.assert_allclose(have, want, **close)
    np.testing.assert_allclose(field.at(h)[0], (K[0] + K[1]) / 2, **close)
    np.testing.assert_allclose(field.at(1.25 * h)[0], K[0] / 4 + 3 * K[1] / 4, **close)
    np.testing.assert_array_equal(field.at(0.0)[0], K[0])
    np.testing.assert_array_equal(field.at(N * h)[0], K[-1])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_pieces_cover_every_layer_and_read_its_own_weights_up_to_the_end(weights):
    field = Field.of(network(), weights)
    for j in range(N):
        pieces = field.pieces(j)
        assert pieces[0][1] == field.nodes[j] and pieces[-1][2] == field.nodes[j + 1]
        assert all(first[2] == second[1] for first, second in pairwise(pieces))
        if weights == "constant":
            np.testing.assert_array_equal(pieces[0][0].at(field.nodes[j + 1])[0], field.K[j])

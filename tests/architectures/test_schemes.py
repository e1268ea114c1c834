"""Schemes: the tables, and the order with which the engine approaches the flow of y' = J grad H(y)."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import pyham
from pyham.architectures import schemes
from pyham.architectures.schemes import SPLITTINGS
from tests.oracles.strategies import ORDERS, SCHEMES

EPS = np.finfo(np.float64).eps
OBSERVED = {"euler": 1, "semi-implicit": 1, "verlet": 2, "yoshida4": 4}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_parts_alternate_and_their_coefficients_sum_to_one(scheme):
    assert set(SPLITTINGS) == set(SCHEMES)
    parts = [step.part for step in SPLITTINGS[scheme]]
    assert all(first != second for first, second in pairwise(parts))
    for part in (0, 1):
        coefficients = [step.coefficient for step in SPLITTINGS[scheme] if step.part == part]
        assert sum(coefficients) == pytest.approx(1, rel=len(coefficients) * 2 * EPS)  # of size <= 2, one rounding each
    symmetric = SPLITTINGS[scheme] == SPLITTINGS[scheme][::-1]
    assert symmetric == (scheme != "semi-implicit")  # those of second and fourth order


def test_yoshida_is_three_verlet_steps_by_weights_that_cancel_the_third_order_error():
    w1, w0 = SPLITTINGS["yoshida4"][1].coefficient, SPLITTINGS["yoshida4"][3].coefficient
    assert 2 * w1 + w0 == pytest.approx(1, rel=4 * EPS)
    assert abs(2 * w1**3 + w0**3) <= 8 * EPS * abs(w0**3)  # Yoshida 1990
    assert schemes._yoshida(w1) == SPLITTINGS["yoshida4"]
    joined: list[tuple[int, float]] = []  # neighbouring halves
    for part, coefficient in [(part, w * f) for w in (w1, w0, w1) for part, f in SPLITTINGS["verlet"]]:
        if joined and joined[-1][0] == part:
            coefficient += joined.pop()[1]
        joined.append((part, coefficient))
    np.testing.assert_allclose(SPLITTINGS["yoshida4"], joined, rtol=4 * EPS)


def network(scheme, order, activation, depth, T=1.0):
    """H2 with weights that are the same in all layers, n = 4; "euler": H1 with the same K, b and J."""
    rng = np.random.default_rng(3)
    Kp, Kq, b = rng.standard_normal((2, 2)), rng.standard_normal((2, 2)), rng.standard_normal(4)
    shared = {"width": 4, "depth": depth, "step": T / depth, "activation": activation}
    if scheme == "euler":
        J = pyham.interconnection.from_block(np.eye(2))
        K = np.block([[Kp, np.zeros((2, 2))], [np.zeros((2, 2)), Kq]])
        return pyham.H1(**shared, interconnection=J).init(0, initialization={"K": K, "b": b})
    arch = pyham.H2(**shared, scheme=scheme, order=order)
    return arch.init(0, initialization={"Kp": Kp, "Kq": Kq, "b": b})


@pytest.mark.parametrize("activation", ["tanh", "identity"])  # nonlinear oscillators; harmonic ones, with a force
@pytest.mark.parametrize("scheme, order", [("euler", None)] + [(s, o) for s in SCHEMES for o in ORDERS])
def test_observed_order_of_convergence(scheme, order, activation):
    start = np.array([[0.5, -0.3, 0.8, 0.2]])
    K, b = (part[0] for part in (network("euler", None, activation, 1).K, network("euler", None, activation, 1).b))
    J = pyham.interconnection.from_block(np.eye(2))
    sigma = pyham.ACTIVATIONS[activation].sigma
    exact = solve_ivp(lambda _, y: J @ K.T @ sigma(K @ y + b), (0, 1), start[0], "DOP853", rtol=1e-13, atol=1e-14)
    depths = [64, 128, 256]  # fourth order: errors from 1e-7 to 1e-10, far above the oracle's
    errors = [
        np.linalg.norm(network(scheme, order, activation, N)(start, backend="reference") - exact.y[:, -1])
        for N in depths
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, OBSERVED[scheme], atol=0.1)  # the next term of the expansion, of size h


def test_harmonic_oscillator_is_rotated():
    # n = 2, K = I, sigma = id: H = (p^2 + q^2) / 2 with p' = -q, q' = p, a rotation by T.
    arch = pyham.H2(width=2, depth=256, step=np.pi / 512, activation="identity", scheme="yoshida4")
    net = arch.init(0, initialization={"Kp": 1.0, "Kq": 1.0, "b": 0.0})
    y = net(np.array([[1.0, 0.0]]), backend="reference")
    h = np.pi / 512
    np.testing.assert_allclose(y, [[0, 1]], atol=h**4)  # error constant below 1

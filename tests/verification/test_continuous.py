"""The equation behind a network: its solutions and sensitivities, and what is refused."""

import subprocess
import sys
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

import pyham
from pyham.verification import bounds, continuous, symplectic
from pyham.verification.continuous import RTOL, WEIGHTS, Field
from tests.oracles.refusals import refused
from tests.oracles.rounding import eps
from tests.oracles.strategies import skew
from tests.verification.test_field import HAMILTONIAN, B, N, h, n, network, samples

EPS = eps(np.float64)

#: What a solve may miss: a local error of rtol a step in the root mean square over at most B n (n + 1) numbers, a few
#: steps in each of at most 2 N pieces, magnified by the growth of the solution, which is below 20 for these networks.
SOLVED = 3 * 2 * N * np.sqrt(B * n * (n + 1)) * 20 * RTOL


# Solutions


@pytest.mark.parametrize("key", ["H1-J2", "H2-plain", "MS1-semi-implicit-p-first"])
def test_flow_and_sensitivity_of_a_linear_equation_are_matrix_exponentials(key):
    net, x = network(key, "identity"), samples()
    states, phi = continuous.flow(net, x), continuous.sensitivity(net, x)
    field, y = Field.of(net), x
    jacobians = []
    for j in range(N):  # (y, 1)' = [[G K, G b], [0, 0]] (y, 1)
        generator = np.zeros((n + 1, n + 1))
        generator[:n, :n], generator[:n, n] = field.G[j] @ field.K[j], field.G[j] @ field.b[j]
        exponential = expm(h * generator)
        y = y @ exponential[:n, :n].T + exponential[:n, n]
        jacobians.append(exponential[:n, :n])
        np.testing.assert_allclose(states[j + 1], y, atol=SOLVED)
    product = np.eye(n)
    for j in reversed(range(N)):
        product = product @ jacobians[j]  # dy(T)/dy(t_j)
        np.testing.assert_allclose(phi[j], np.broadcast_to(product.T, (B, n, n)), atol=SOLVED)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("key", ["H1-skew", "MS3-semi-implicit-p-first", "ResNet"])
def test_sensitivity_equals_finite_differences_of_the_flow(key, weights):
    field, x, d = Field.of(network(key), weights), samples(), 1e-4
    phi = continuous.sensitivity(field, x)
    for a in range(n):
        e = d * np.eye(n)[a]
        row = (continuous.flow(field, x + e)[-1] - continuous.flow(field, x - e)[-1]) / (2 * d)
        # d^2 times a third derivative, of size growth^3 at most, and the solver's error over d
        assert np.abs(phi[0, :, a] - row).max() <= 100 * d**2 + SOLVED / d
    np.testing.assert_array_equal(phi[-1], np.broadcast_to(np.eye(n), (B, n, n)))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("key", ["H1-J1", "MS2", "H2-yoshida4-p-first"])
def test_adjoint_solved_backward_equals_sensitivity_times_the_gradient(key, weights):
    field, x = Field.of(network(key), weights), samples()
    g = np.random.default_rng(3).standard_normal((B, n))
    delta = continuous.adjoint(field, x, g)
    expected = np.einsum("jbac,bc->jba", continuous.sensitivity(field, x), g)
    assert delta.shape == (N + 1, B, n)
    assert np.abs(delta - expected).max() <= 2 * n * SOLVED


def test_a_jump_inside_a_step_is_not_stepped_over():
    # Among 100 layers of rest one that moves: a solver whose steps grow while nothing happens would pass over it.
    arch = pyham.ResNet(width=1, depth=101, step=1.0, activation="identity")
    b = np.zeros((101, 1))
    b[50] = 1.0
    net = arch.init(0, initialization={"K": 0.0, "b": b})
    np.testing.assert_allclose(continuous.flow(net, [[0.0]])[:, 0, 0], np.arange(102) > 50, atol=SOLVED)


def test_results_are_those_of_the_network_up_to_its_order():
    fine = pyham.H2(width=n, depth=64, step=1 / 64, scheme="yoshida4").init(0, initialization="scaled-normal")
    x = samples()
    # Fourth order: h^4 = 6e-8, error constants of size 1
    np.testing.assert_allclose(continuous.flow(fine, x), fine.trace(x).states, atol=1e-6)
    np.testing.assert_allclose(continuous.sensitivity(fine, x), fine.sensitivity(x), atol=1e-6)


def test_error_follows_the_callers_tolerance():
    net, x = network(step=20.0, depth=1), samples()
    tolerances = np.array([1e-3, 1e-6, 1e-9])
    exact = continuous.flow(net, x, rtol=1e-13)
    errors = np.array([np.abs(continuous.flow(net, x, rtol=rtol) - exact).max() for rtol in tolerances])
    # A step's error is within the tolerance; some ten steps, and the flow magnifies it. And a loose one does save work.
    assert (errors <= 1e4 * tolerances).all() and (errors[:-1] >= 10 * errors[1:]).all()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_single_precision_no_samples_and_a_single_layer(weights):
    field, x = Field.of(network(), weights), samples().astype(np.float32)
    assert continuous.flow(field, x).dtype == np.float64
    np.testing.assert_array_equal(continuous.flow(field, x), continuous.flow(field, x.astype(np.float64)))
    none = np.empty((0, n))
    assert continuous.flow(field, none).shape == continuous.adjoint(field, none, none).shape == (N + 1, 0, n)
    assert continuous.sensitivity(field, none).shape == (N + 1, 0, n, n)
    one = network(depth=1)
    np.testing.assert_allclose(continuous.flow(Field.of(one, weights), x), continuous.flow(one, x), atol=SOLVED)


def test_sensitivity_of_relu_is_symplectic_too():
    net = network("H1-J2", "relu")
    phi = continuous.sensitivity(net, samples(), rtol=1e-8)
    # At a kink of sigma the variational equation jumps: the error estimate is then of first order only, a digit or two.
    assert symplectic.defect(phi, net.interconnection).max() <= 100 * SOLVED / RTOL * 1e-8


# Growth


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("key", HAMILTONIAN)
def test_norms_stay_below_the_integral_of_the_logarithmic_norm(key, weights):
    net = network(key)
    phi = continuous.sensitivity(Field.of(net, weights), samples(10))
    measured = np.log(np.linalg.norm(phi, 2, axis=(-2, -1))).max(axis=1)
    upper = continuous.log_upper(net, weights)
    assert upper.shape == (N + 1,) and upper[-1] == 0
    assert (measured <= upper + SOLVED).all()


def test_log_upper_by_hand():
    net = network()
    mu = bounds.log_norm(net)
    np.testing.assert_allclose(continuous.log_upper(net)[0], h * mu.sum(), rtol=10 * EPS)
    first = 0.75 * mu[0] + 0.125 * (mu[0] + mu[1])
    linear = continuous.log_upper(net, "linear")
    np.testing.assert_allclose(linear[0] - linear[1], h * first, rtol=100 * EPS)


def test_logarithmic_norm_with_linear_weights_is_below_its_trapezoidal_rule():
    net = network("H1-J2")
    field = Field.of(net, "linear")

    def mu(t):
        return np.linalg.norm(net.interconnection, 2) * np.linalg.norm(field.at(t)[0], 2) ** 2 / 2

    corners = [0.0, *((np.arange(N) + 0.5) * h), N * h]
    integral = sum(quad(mu, s, t)[0] for s, t in pairwise(corners))
    assert integral <= continuous.log_upper(net, "linear")[0] * (1 + 1e-8)  # 1e-8: quad's own tolerance


# Errors

NET, BATCH, MLP, RESNET = network(), samples(), network("MLP"), network("ResNet")
COMPLEX = NET.replace({name: value + 0j for name, value in NET.params.items()})
NO_EQUATION = "net: expected a network that discretises an equation, got MLP"
log_upper, period, derivative = continuous.log_upper, continuous.period, continuous.period_derivative
test_what_is_refused = refused([
    (Field.of, MLP, ValueError, NO_EQUATION),
    (partial(continuous.flow, x=BATCH), MLP, ValueError, NO_EQUATION),
    (partial(continuous.sensitivity, x=BATCH), MLP, ValueError, NO_EQUATION),
    (Field.of, network(depth=0), ValueError, "net: expected at least one layer, got depth 0"),
    (Field.of, COMPLEX, TypeError, "net: expected real parameters, got complex128"),
    (partial(continuous.flow, x=BATCH), "H2", TypeError, "net: expected a Network, got str"),
    (partial(Field.of, NET), "cubic", ValueError, "weights: expected one of 'constant', 'linear', got 'cubic'"),
    (partial(log_upper, NET), "cubic", ValueError, "weights: expected one of .*"),
    (partial(continuous.flow, NET), np.ones((3, 5)), ValueError, r"x: expected shape \(B, 4\), got \(3, 5\)"),
    (partial(continuous.flow, NET), BATCH * np.nan, ValueError, "x: expected finite numbers, got nan at .*"),
    (partial(continuous.sensitivity, NET), BATCH + 0j, TypeError, "x: expected a real dtype, got complex128"),
    (partial(continuous.adjoint, NET, BATCH), np.ones((2, 4)), ValueError, r"g: expected shape \(3, 4\), got \(2, 4\)"),
    (lambda rtol: continuous.flow(NET, BATCH, rtol=rtol), 1e-15, ValueError, "rtol: .* from 2.22e-14 to 1, got 1e-15"),
    (lambda rtol: continuous.flow(NET, BATCH, rtol=rtol), -1, ValueError, "rtol: expected a positive .*, got -1"),
    (lambda rtol: continuous.flow(NET, BATCH, rtol=rtol), "small", TypeError, "rtol: expected a positive .*, got str"),
    (log_upper, RESNET, ValueError, "net: expected a network with one .*, got ResNet"),
    (period, 0, ValueError, "energy: expected a positive finite number, got 0"),
    (derivative, 1000.0, ValueError, "energy: expected a number up to 350, got 1000.0"),
    (period, [1.0], TypeError, "energy: expected a positive .*, got list"),
    (partial(period, 1.0), 0, ValueError, "eps: expected a positive finite number, got 0"),
])  # fmt: skip


def test_flow__raises_where_the_solution_leaves_all_bounds():
    arch = pyham.ResNet(width=1, depth=1, step=10.0, activation="identity")
    net = arch.init(0, initialization={"K": 1e3, "b": 0.0})  # exp(10^4)
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match=r"^the solver stopped at t = .* in layer 0: "):
        continuous.flow(net, [[1.0]], rtol=1e-3)


def test_importing_the_module_does_not_import_scipy():
    code = "import sys, pyham.continuous; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("J", [skew(5, 0), "J2"])
def test_claim_of_symplecticity_notices_an_asymmetric_hessian(J, monkeypatch):
    # S = K^T diag(sigma') K is symmetric; a field G sigma(K y) with another G is not J times a gradient.
    arch = pyham.H1(width=5, depth=3, step=h, interconnection=J)
    net = arch.init(0, initialization="scaled-normal")
    field = Field.of(net)
    G = field.G + 1e-6 * np.random.default_rng(0).standard_normal(field.G.shape)
    phi = continuous.sensitivity(Field(field.K, G, field.b, h, field.activation), samples(width=5))
    from validation.v01_continuous import allowed

    rho = symplectic.defect(phi, net.interconnection)
    assert (rho > allowed(phi)).any()
    exact = continuous.sensitivity(field, samples(width=5))
    assert (symplectic.defect(exact, net.interconnection) <= allowed(exact) + 10 * EPS).all()

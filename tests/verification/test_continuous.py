"""The equation behind a network: its field, its solutions, its sensitivities, and the period of the planar example."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.linalg import expm

import pyham
from pyham.verification import bounds, continuous, symplectic
from pyham.verification.continuous import RTOL, WEIGHTS, Field
from tests.oracles.rounding import eps
from tests.oracles.strategies import SMOOTH, skew, variant
from validation import claim

EPS = eps(np.float64)
N, n, B, h = 3, 4, 3, 0.4
HAMILTONIAN = ("H1-J1", "H1-J2", "H1-skew", "H2-plain", "H2-verlet-q-first", "MS3-semi-implicit-p-first")
PLAIN = ("MS1-semi-implicit-p-first", "MS2", "ResNet")  # J K^T = I
TIMES = (0.0, 0.1, h, 2.5 * h, N * h)

#: What a solve may miss: a local error of rtol a step in the root mean square over at most B n (n + 1) numbers, a few
#: steps in each of at most 2 N pieces, magnified by the growth of the solution, which is below 20 for these networks.
SOLVED = 3 * 2 * N * np.sqrt(B * n * (n + 1)) * 20 * RTOL


def network(key="H2-plain", activation="tanh", depth=N, step=h, seed=1):
    return variant(key, width=n, depth=depth, step=step, activation=activation).init(
        seed, initialization="scaled-normal"
    )


def samples(batch=B, width=n):
    return np.random.default_rng(2).standard_normal((batch, width))


# The field


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("key", HAMILTONIAN)
def test_field_equals_J_times_the_gradient_of_the_energy(key, activation):
    net, x, d = network(key, activation), samples(), 1e-5
    for j in range(N):
        gradient = np.empty_like(x)
        for c in range(n):
            e = d * np.eye(n)[c]
            gradient[:, c] = (net.energy(x + e)[j] - net.energy(x - e)[j]) / (2 * d)
        f = Field.of(net)((j + 0.5) * h, x)
        # Central differences: d^2 from the third derivative, and rounding of energies of size 10, eps / d.
        assert np.abs(f - gradient @ net.interconnection.T).max() <= (10 * d**2 + 100 * EPS / d) * n


@pytest.mark.parametrize("key", [*HAMILTONIAN, *PLAIN])
def test_a_step_of_the_network_is_a_step_along_the_field(key):
    net, x = network(key, step=1e-6, depth=1), samples()
    # Any consistent scheme is the field times h up to h^2; subtracting y leaves eps / h.
    assert np.abs((net(x) - x) / 1e-6 - Field.of(net)(0.0, x)).max() <= 100 * 1e-6


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


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_that_are_the_same_in_all_layers_do_not_depend_on_t(weights):
    net = network()
    net = net.replace({name: np.broadcast_to(value[0], value.shape) for name, value in net.params.items()})
    field = Field.of(net, weights)
    for t in TIMES:
        np.testing.assert_allclose(field.at(t)[0], net.K[0], rtol=4 * EPS)


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


@pytest.mark.parametrize("weights", WEIGHTS)
def test_layers_compose(weights):
    # Cut where neighbours have the same weights, so that linear weights of the parts are those of the whole.
    net, x = network(depth=4), samples()
    net = net.replace({k: np.concatenate([v[:2], v[1:2], v[1:2]]) for k, v in net.params.items()})
    first, second = (pyham.H2(width=n, depth=2, step=h).init(0) for _ in range(2))
    first = first.replace({k: v[:2] for k, v in net.params.items()})
    second = second.replace({k: v[2:] for k, v in net.params.items()})
    whole = continuous.flow(Field.of(net, weights), x)
    middle = continuous.flow(Field.of(first, weights), x)
    np.testing.assert_allclose(whole[:3], middle, atol=SOLVED)
    np.testing.assert_allclose(whole[2:], continuous.flow(Field.of(second, weights), middle[-1]), atol=SOLVED)
    product = continuous.sensitivity(Field.of(first, weights), x)[0]
    product = product @ continuous.sensitivity(Field.of(second, weights), middle[-1])[0]
    np.testing.assert_allclose(continuous.sensitivity(Field.of(net, weights), x)[0], product, atol=SOLVED)


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


def test_float32_input_is_solved_in_double_precision():
    net, x = network(), samples().astype(np.float32)
    assert continuous.flow(net, x).dtype == np.float64
    np.testing.assert_array_equal(continuous.flow(net, x), continuous.flow(net, x.astype(np.float64)))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_no_samples(weights):
    field, x = Field.of(network(), weights), np.empty((0, n))
    assert continuous.flow(field, x).shape == continuous.adjoint(field, x, x).shape == (N + 1, 0, n)
    assert continuous.sensitivity(field, x).shape == (N + 1, 0, n, n)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_single_layer(weights):
    net, x = network(depth=1), samples()
    np.testing.assert_allclose(
        continuous.flow(Field.of(net, weights), x), continuous.flow(network(depth=1), x), atol=SOLVED
    )


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


# The period


@pytest.mark.parametrize("energy", [0.01, 0.3, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_period_equals_that_of_the_integrated_orbit(energy, rate):
    # From the axis y_2 = 0 until y_2 = 0 is crossed again in the same direction
    start = [np.arccosh(np.exp(energy)), 0.0]

    def crossing(t, y):
        return y[1]

    crossing.direction = 1.0
    late = 1.5 * continuous.period(energy, rate)
    solved = solve_ivp(
        lambda t, y: rate * np.array([-np.tanh(y[1]), np.tanh(y[0])]),
        (0, late),
        start,
        "DOP853",
        events=crossing,
        rtol=1e-12,
        atol=1e-13,
    )
    found = [t for t in solved.t_events[0] if t > 0.1 * late]
    # Local errors over some hundred steps; the crossing by a root in the dense output, of seventh order
    assert found[0] == pytest.approx(continuous.period(energy, rate), rel=1e-9)


@pytest.mark.parametrize("energy", [0.01, 0.3, 1.0, 2.5])
def test_period_equals_the_eighth_of_an_orbit_by_quadrature(energy):
    def time(u):
        return 1 / np.tanh(np.arccosh(np.exp(energy) / np.cosh(u)))

    eighth, error = quad(time, 0, np.arccosh(np.exp(energy / 2)), epsabs=0, epsrel=1e-12)
    # arccosh loses digits near 1, where its condition number is 1 / (energy); then quad's own estimate
    assert continuous.period(energy) == pytest.approx(8 * eighth, rel=100 * EPS / energy + 8 * error)


@pytest.mark.parametrize("energy", [0.05, 0.5, 1.0, 3.0, 10.0])
def test_period_derivative_equals_differences_extrapolated(energy):
    def central(d):
        return (continuous.period(energy + d) - continuous.period(energy - d)) / (2 * d)

    d = 1e-2 * min(energy, 1)
    difference = (64 * central(d / 4) - 20 * central(d / 2) + central(d)) / 45  # Richardson: error of order d^6
    rounding = 20 * EPS * continuous.period(energy) / d
    scale = continuous.period_derivative(energy) / min(energy, 1) ** 6
    assert abs(continuous.period_derivative(energy) - difference) <= scale * d**6 + rounding


def test_small_oscillations_are_harmonic_and_large_ones_slow():
    assert continuous.period(1e-12) == pytest.approx(2 * np.pi, rel=1e-12)  # P = 2 pi + pi E
    assert continuous.period_derivative(1e-12) == pytest.approx(np.pi, rel=1e-11)
    # K(m) = log(4 / sqrt(1 - m)) + O((1 - m) log(1 - m)): the orbit becomes a square, run through at unit speed
    assert continuous.period(100.0) == pytest.approx(4 * (np.log(4) + 100), rel=10 * EPS)
    assert continuous.period_derivative(100.0) == pytest.approx(4, rel=10 * EPS)


# Errors


def test_an_mlp_has_no_equation():
    net = network("MLP")
    for call in (
        lambda: Field.of(net),
        lambda: continuous.flow(net, samples()),
        lambda: continuous.sensitivity(net, samples()),
    ):
        with pytest.raises(ValueError, match=r"^net: expected a network that discretises an equation, got MLP$"):
            call()


def bad(net):
    x = samples()
    empty, complex_net = network(depth=0), network().replace({k: v + 0j for k, v in net.params.items()})
    yield ValueError, r"net: expected at least one layer, got depth 0", lambda: Field.of(empty)
    yield TypeError, r"net: expected a Network, got str", lambda: continuous.flow("H2", x)
    yield TypeError, r"net: expected real parameters, got complex128", lambda: Field.of(complex_net)
    yield ValueError, r"weights: expected one of 'constant', 'linear', got 'cubic'", lambda: Field.of(net, "cubic")
    yield ValueError, r"weights: expected one of .*", lambda: continuous.log_upper(net, "cubic")
    yield ValueError, r"x: expected shape \(B, 4\), got \(3, 5\)", lambda: continuous.flow(net, np.ones((3, 5)))
    yield ValueError, r"x: expected finite numbers, got nan at .*", lambda: continuous.flow(net, x * np.nan)
    yield TypeError, r"x: expected a real dtype, got complex128", lambda: continuous.sensitivity(net, x + 0j)
    yield ValueError, r"g: expected shape \(3, 4\), got \(2, 4\)", lambda: continuous.adjoint(net, x, np.ones((2, 4)))
    yield (
        ValueError,
        r"rtol: expected a number from 2.22e-14 to 1, got 1e-15",
        lambda: continuous.flow(net, x, rtol=1e-15),
    )
    yield ValueError, r"rtol: expected a positive .*, got -1", lambda: continuous.flow(net, x, rtol=-1)
    yield TypeError, r"rtol: expected a positive .*, got str", lambda: continuous.flow(net, x, rtol="small")
    yield (
        ValueError,
        r"net: expected a network with one .*, got ResNet",
        lambda: continuous.log_upper(network("ResNet")),
    )
    yield ValueError, r"energy: expected a positive finite number, got 0", lambda: continuous.period(0)
    yield ValueError, r"energy: expected a number up to 350, got 1000.0", lambda: continuous.period_derivative(1000.0)
    yield TypeError, r"energy: expected a positive .*, got list", lambda: continuous.period([1.0])
    yield ValueError, r"eps: expected a positive finite number, got 0", lambda: continuous.period(1.0, 0)


@pytest.mark.parametrize("case", range(17))
def test_continuous__raises_naming_the_argument(case):
    error, message, call = list(bad(network()))[case]
    with pytest.raises(error, match=f"^{message}$"):
        call()


def test_flow__raises_where_the_solution_leaves_all_bounds():
    arch = pyham.ResNet(width=1, depth=1, step=10.0, activation="identity")
    net = arch.init(0, initialization={"K": 1e3, "b": 0.0})  # exp(10^4)
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match=r"^the solver stopped at t = .* in layer 0: "):
        continuous.flow(net, [[1.0]], rtol=1e-3)


def test_importing_the_module_does_not_import_scipy():
    code = "import sys, pyham.continuous; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The claims


def test_claim_of_the_counterexample_notices_a_wrong_period(monkeypatch):
    exact = continuous.period_derivative
    monkeypatch.setattr(continuous, "period_derivative", lambda *arguments: exact(*arguments) * (1 + 1e-6))
    results = list(claim.modules(["V13"])["V13"].check(claim.Lab(0, quick=True)))
    assert [r.passed for r in results] == [False, False, True, False]  # the third is the harmonic oscillator


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

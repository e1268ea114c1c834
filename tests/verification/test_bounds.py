"""A-priori bounds: their formulas, their order, and that no measured norm leaves them until the weights do."""

import numpy as np
import pytest

import pyham
from pyham.verification import bounds, neighbours
from tests.oracles.rounding import eps
from tests.oracles.strategies import ACTIVATIONS, NAMES, SPLIT, VARIANTS, pairs, skew, variant, well_conditioned

EPS = eps(np.float64)
N, n, h = 12, 4, 0.2
SLOPE = {"tanh": 1, "logistic": 0.25, "relu": 1, "softplus": 1, "identity": 1}


def network(key, activation="tanh", depth=N, width=n, step=h, seed=0):
    return variant(key, width=width, depth=depth, step=step, activation=activation, seed=seed).init(seed)


def log_norms(net, x):
    """log ||Phi_j||_2 (N + 1, B)."""
    return np.log(np.linalg.norm(net.sensitivity(x), 2, axis=(-2, -1)))


def rounding_of(net):
    """What s stages may add to the logarithm of a norm: a few eps each."""
    return 4 * EPS * max(1, len(net.stages().A))


# Formulas


@pytest.mark.parametrize("size", [1e-8, 0.1, 1, 10, 1e6])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3)])
def test_norm_of_a_shear_is_exp_asinh_of_half_the_norm_of_its_block(size, shape):
    m = shape[0]
    E = np.random.default_rng(0).standard_normal(shape)
    E *= size / np.linalg.norm(E, 2)
    shear = np.block([[np.eye(m), E], [np.zeros((m, m)), np.eye(m)]])
    assert np.linalg.norm(shear, 2) == pytest.approx(np.exp(np.arcsinh(size / 2)), rel=2 * m * 4 * EPS)


@pytest.mark.parametrize("key", ["H2-semi-implicit-p-first", "MS1-semi-implicit-q-first"])
def test_sharp_bound_of_shears_by_hand(key):
    net = network(key, "logistic", depth=2)
    norm, logs = lambda M: np.linalg.norm(M, 2), []
    for j in range(2):
        P = {name: value[j] for name, value in net.params.items()}
        if net.arch.name == "H2":
            X = net.arch.X
            e = [h * norm(X.T @ P["Kq"].T) * norm(P["Kq"]), h * norm(X @ P["Kp"].T) * norm(P["Kp"])]
        else:
            e = [h * norm(P["A"]), h * norm(P["A"].T)]
        logs.append(sum(np.arcsinh(value / 4 / 2) for value in e))  # S = 1/4
    np.testing.assert_allclose(bounds.log_upper(net), [logs[0] + logs[1], logs[1], 0], rtol=20 * EPS)


def test_bounds_of_forward_euler_by_hand():
    net = network("H1-skew")
    e = np.array([h * np.linalg.norm(net.interconnection @ K.T, 2) * np.linalg.norm(K, 2) for K in net.K])
    product = np.append(np.cumsum(np.log1p(e)[::-1])[::-1], 0)
    np.testing.assert_allclose(bounds.log_upper(net, "product"), product, rtol=50 * EPS)
    np.testing.assert_allclose(bounds.log_upper(net, "sharp"), product, rtol=50 * EPS)  # no shears
    paper = np.log(n) / 2 + e.max() * np.arange(N, -1, -1)
    np.testing.assert_allclose(bounds.log_upper(net, "paper"), paper, rtol=50 * EPS)


def test_bound_of_an_MLP_by_hand():
    net = network("MLP", "logistic")
    e = np.array([np.linalg.norm(K, 2) / 4 for K in net.K])
    np.testing.assert_allclose(bounds.log_upper(net), np.append(np.cumsum(np.log(e)[::-1])[::-1], 0), atol=50 * EPS)


@pytest.mark.parametrize(("key", "activation"), pairs())
def test_excursions_are_slope_times_norms_of_both_matrices(key, activation):
    net = network(key, activation)
    stages = net.stages()
    e = bounds.excursions(net)
    assert e.shape == (N, stages.per_layer)
    for value, A, W in zip(e.ravel(), stages.A, stages.W, strict=True):
        expected = SLOPE[activation] * np.linalg.norm(A, 2) * np.linalg.norm(W, 2)
        assert value == pytest.approx(expected, rel=20 * EPS)


@pytest.mark.parametrize("name", ["H1", "H2", "MS3"])
def test_excursions_are_below_h_times_L(name):
    # As in the bounds' docstring: L_j = S ||J|| ||K_j||^2 over the layer's blocks.
    net = pyham.architecture(name, width=n, depth=N, step=h).init(0)
    L = np.linalg.norm(net.interconnection, 2) * np.linalg.norm(net.K, 2, axis=(1, 2)) ** 2
    assert (bounds.excursions(net) <= h * L[:, None] * (1 + 20 * EPS)).all()


@pytest.mark.parametrize("name", ["H1", "H2", "MS3"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_log_norm_is_half_slope_times_J_times_K_squared(name, activation):
    net = pyham.architecture(name, width=n, depth=N, step=h, activation=activation).init(0)
    J = np.linalg.norm(net.interconnection, 2)
    expected = [SLOPE[activation] / 2 * J * np.linalg.norm(K, 2) ** 2 for K in net.K]
    np.testing.assert_allclose(bounds.log_norm(net), expected, rtol=20 * EPS)


@pytest.mark.parametrize("J", ["J1", "J2", skew(n, 1)], ids=["J1", "J2", "skew"])
def test_log_norm_bounds_the_largest_eigenvalue_of_the_symmetric_part(J):
    net = pyham.H1(width=n, depth=N, step=h, interconnection=J).init(0)
    J, bound = net.interconnection, bounds.log_norm(net)
    tightest = np.inf
    for slopes in np.random.default_rng(0).integers(0, 2, (200, N, n)):  # the extreme sigma' of [0, 1]^n
        JS = J @ net.K.swapaxes(1, 2) @ (slopes[:, :, None] * net.K)
        mu = np.linalg.eigvalsh((JS + JS.swapaxes(1, 2)) / 2)[:, -1]
        assert (mu <= bound * (1 + 20 * EPS)).all()
        tightest = min(tightest, (bound / np.maximum(mu, 1e-300)).min())
    assert tightest < 3  # not a bound that anything satisfies


def test_gradient_ratio_by_hand():
    delta = np.array([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 2.0], [1.0, 0.0]]])
    np.testing.assert_array_equal(bounds.gradient_ratio(delta), [[2.5, 0], [1, 1]])


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_gradient_ratio_neither_overflows_nor_underflows(size):
    delta = np.array([[[3.0, 4.0]], [[1.0, 0.0]]])
    np.testing.assert_allclose(bounds.gradient_ratio(size * delta), [[5], [1]], rtol=8 * EPS)
    delta[0] *= size
    np.testing.assert_allclose(bounds.gradient_ratio(delta), [[5 * size], [1]], rtol=8 * EPS)


def test_gradient_ratio_without_output_gradient_is_not_finite_and_warns_of_nothing():
    delta = np.array([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_array_equal(bounds.gradient_ratio(delta), [[np.inf, np.nan], [np.nan, np.nan]])


def test_spectral_norm_equals_numpy():
    matrices = np.random.default_rng(0).standard_normal((5, 3, 4))
    np.testing.assert_allclose(bounds.spectral_norm(matrices), np.linalg.norm(matrices, 2, axis=(1, 2)), rtol=20 * EPS)
    assert bounds.spectral_norm(np.empty((0, 3, 4))).shape == (0,)


# Order


@pytest.mark.parametrize("key", VARIANTS)
def test_sharp_is_at_most_product_is_at_most_paper(key):
    for seed in range(5):
        net = network(key, seed=seed)
        sharp, product = bounds.log_upper(net, "sharp"), bounds.log_upper(net, "product")
        assert (sharp <= product + rounding_of(net)).all()
        assert (np.diff(product) <= 0).all() or net.arch.name == "MLP"
        if net.arch.name != "MLP":
            assert (product <= bounds.log_upper(net, "paper") + rounding_of(net)).all()


@pytest.mark.parametrize("key", [key for key, (name, _) in VARIANTS.items() if name in SPLIT])
def test_sharp_bound_has_about_half_the_exponent_for_small_steps(key):
    net = network(key, step=1e-4)
    ratio = bounds.log_upper(net, "sharp")[0] / bounds.log_upper(net, "product")[0]
    assert ratio == pytest.approx(0.5, abs=bounds.excursions(net).max())  # asinh(e/2) / log(1 + e) = 1/2 + O(e)


@pytest.mark.parametrize("kind", bounds.KINDS)
def test_bound_at_the_output_is_that_of_the_identity(kind):
    expected = 0.5 * np.log(n) if kind == "paper" else 0
    assert bounds.log_upper(network("H2-plain"), kind)[-1] == expected


@pytest.mark.parametrize("key", VARIANTS)
def test_bounds_without_layers(key):
    net = network(key, depth=0)
    np.testing.assert_array_equal(bounds.upper(net), [1])
    if key != "MLP":
        np.testing.assert_array_equal(bounds.log_upper(net, "paper"), [0.5 * np.log(n)])


# Measured


@pytest.mark.parametrize(("key", "activation"), pairs())
def test_no_measured_norm_is_above_the_bound(key, activation):
    rng = np.random.default_rng(0)
    for seed in range(8):
        net = network(key, activation, seed=seed)
        x = rng.standard_normal((40, n)) * rng.choice([0.01, 1, 3], (40, 1))
        with np.errstate(divide="ignore"):  # all relu of an MLP may be off: log 0
            assert (log_norms(net, x) <= bounds.log_upper(net)[:, None] + rounding_of(net)).all()


def test_one_shear_attains_the_sharp_bound():
    # Kq = 0 leaves the update of q alone: one shear whose singular values are known.
    arch = pyham.H2(width=n, depth=1, step=0.7, activation="identity")
    net = arch.init(0, initialization={"Kq": 0.0, "Kp": np.eye(2)})
    assert log_norms(net, np.zeros((1, n)))[0, 0] == pytest.approx(bounds.log_upper(net)[0], rel=20 * EPS)
    assert bounds.log_upper(net)[0] == pytest.approx(np.arcsinh(0.35), rel=20 * EPS)


@pytest.mark.parametrize(("key", "activation"), pairs(names=SPLIT))
def test_no_singular_value_of_shears_is_below_the_lower_bound(key, activation):
    rng = np.random.default_rng(0)
    for seed in range(8):
        net = network(key, activation, seed=seed, depth=6)
        sigma = np.linalg.svd(net.sensitivity(rng.standard_normal((40, n))), compute_uv=False)
        # The smallest singular value has an absolute error of a few eps ||Phi|| a stage.
        error = rounding_of(net) * sigma[..., 0]
        assert (sigma[..., -1] >= bounds.lower(net)[:, None] - error).all()


@pytest.mark.parametrize("seed", range(5))
def test_lower_bound_holds_for_any_X(seed):
    X = np.diag([1.0, 0.05]) @ well_conditioned(2, seed) * 3  # far from orthogonal: singular values do not pair
    net = pyham.H2(width=n, depth=6, step=h, X=X).init(seed)
    sigma = np.linalg.svd(net.sensitivity(np.random.default_rng(seed).standard_normal((100, n))), compute_uv=False)
    lower = bounds.lower(net)[:, None]
    assert (sigma[..., -1] >= lower - rounding_of(net) * sigma[..., 0]).all()
    assert (sigma[:-1, :, -1] * sigma[:-1, :, 0]).max() > 1 + 1e-3


def test_lower_is_the_reciprocal_of_upper_for_shears_only():
    for key in VARIANTS:
        net = network(key)
        if net.arch.name in SPLIT:
            np.testing.assert_allclose(bounds.lower(net) * bounds.upper(net), 1, rtol=rounding_of(net))
        else:
            assert bounds.lower(net) is None


# Controls


@pytest.mark.parametrize("key", VARIANTS)
def test_bound_is_violated_when_the_weights_are_scaled_after_it_was_computed(key):
    net = network(key, "identity")  # sigma' = S everywhere: no saturation hides the larger weights
    scaled = net.replace({name: 30 * value for name, value in net.params.items()})
    measured = log_norms(scaled, np.random.default_rng(0).standard_normal((20, n)))
    assert (measured[:-1] > bounds.log_upper(net)[:-1, None]).all()
    assert (measured <= bounds.log_upper(scaled)[:, None] + rounding_of(net)).all()


@pytest.mark.parametrize("key", VARIANTS)
def test_bound_is_violated_by_a_stretched_last_layer(key):
    net = network(key)
    stretched = neighbours.Stretched(net, 1000)
    x = np.random.default_rng(0).standard_normal((20, n))
    assert (log_norms(stretched, x) > bounds.log_upper(net)[:, None]).any()


# Range


@pytest.mark.parametrize("name", NAMES)
def test_logarithms_do_not_overflow(name):
    net = pyham.architecture(name, width=4, depth=400, step=1).init(0, initialization={"b": 0.0})
    scaled = net.replace({key: 100 * value for key, value in net.params.items()})
    assert np.isfinite(bounds.log_upper(scaled)).all()
    assert bounds.log_upper(scaled)[0] > 710  # exp of it overflows
    assert bounds.upper(scaled)[0] == np.inf


def test_lower_bound_underflows_to_zero():
    net = pyham.H2(width=4, depth=400, step=1).init(0)
    big = net.replace({"Kp": 100 * net.params["Kp"]})
    assert bounds.lower(big)[0] == 0


def test_bound_of_an_MLP_with_zero_weights_is_zero():
    net = pyham.MLP(width=3, depth=2).init(0, initialization={"K": 0.0})
    np.testing.assert_array_equal(bounds.upper(net), [0, 0, 1])


def test_bounds_of_single_precision_networks_are_in_double():
    net = network("H2-plain")
    single = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    assert bounds.upper(single).dtype == np.float64
    np.testing.assert_allclose(bounds.log_upper(single), bounds.log_upper(net), rtol=50 * eps(np.float32))


# What is refused


@pytest.mark.parametrize("function", [bounds.upper, bounds.log_upper])
@pytest.mark.parametrize(
    ("key", "kind", "error", "message"),
    [
        ("MS2", "best", ValueError, "one of 'paper', 'product', 'sharp', got 'best'"),
        ("MS2", None, TypeError, "one of 'paper', 'product', 'sharp', got NoneType"),
        ("MLP", "paper", ValueError, "'product' or 'sharp' for an MLP, got 'paper'"),
    ],
)
def test_bounds__raise_on_what_is_no_kind_of_this_network(function, key, kind, error, message):
    with pytest.raises(error, match=f"^kind: expected {message}$"):
        function(network(key), kind)


@pytest.mark.parametrize("name", ["MS1", "MS2", "MLP", "ResNet"])
def test_log_norm__raises_without_one_interconnection_matrix(name):
    net = pyham.architecture(name, width=n, depth=N).init(0)
    with pytest.raises(ValueError, match=rf"^net: expected a network with one interconnection matrix, got {name}$"):
        bounds.log_norm(net)

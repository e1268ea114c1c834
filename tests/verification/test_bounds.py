"""A-priori bounds: their formulas, their order, and that no measured norm leaves them until the weights do."""

from functools import partial

import numpy as np
import pytest

import pyham
from pyham.verification import bounds
from tests.oracles import equations
from tests.oracles.equations import norm
from tests.oracles.refusals import refused
from tests.oracles.rounding import eps
from tests.oracles.strategies import NAMES, SPLIT, VARIANTS, pairs, skew, variant, well_conditioned

EPS = eps(np.float64)
N, n, h = 12, 4, 0.2


def network(key, activation="tanh", depth=N, seed=0):
    return variant(key, width=n, depth=depth, step=h, activation=activation, seed=seed).init(seed)


def singular_values(net, x):
    return np.linalg.svd(net.sensitivity(x), compute_uv=False)


def rounding_of(net):
    """What s stages may add to the logarithm of a norm: a few eps each."""
    return 4 * EPS * max(1, len(net.stages().A))


# Formulas


@pytest.mark.parametrize(("key", "activation"), pairs())
def test_bounds_are_products_over_the_stages(key, activation):
    net = network(key, activation)
    e, S = np.array(equations.drives(net)), equations.SLOPE.get(activation, 1.0)
    np.testing.assert_allclose(bounds.excursions(net), e, rtol=100 * EPS)
    assert (bounds.excursions(net) >= e).all()  # rounded upwards
    shears, keeps, k = net.arch.name in SPLIT, net.arch.name != "MLP", equations.kept(net)
    factors = {"sharp": np.log1p(e), "product": np.log(np.maximum(1, k) + e)}
    if shears:  # the norm of [[k, e], [0, 1]]
        factors["sharp"] = np.log(
            [[np.linalg.norm([[a, b], [0, 1]], 2) for a, b in zip(k, row, strict=True)] for row in e]
        )
    if "dissipation" in net.arch.config():  # J1 - r I is normal: its eigenvalues are -r + i and -r - i
        r, half = net.arch.config()["dissipation"], e / 2 / np.hypot(1, net.arch.config()["dissipation"])
        factors["sharp"] = np.log(np.abs(k - half * r + 1j * half) + half * np.hypot(1, r))
    if not keeps:
        factors = dict.fromkeys(factors, np.log(e))
    for kind, factor in factors.items():
        logs = np.append(factor.sum(axis=1)[::-1].cumsum()[::-1], 0)
        sizes = np.append(np.abs(factor).sum(axis=1)[::-1].cumsum()[::-1], 0)  # what outward rounding is relative to
        outwards = (e.size + 16) * EPS * sizes + 128 * EPS * e.shape[1] * np.arange(N, -1, -1)  # of sums, and of norms
        found = bounds.log_upper(net, kind)
        assert (logs - 4 * EPS * sizes <= found).all() and (found <= logs + outwards).all()
        exact = np.exp(bounds.log_upper(net, kind))
        assert (exact <= bounds.upper(net, kind)).all() and (bounds.upper(net, kind) <= exact * (1 + 8 * EPS)).all()
    if shears:
        c = np.prod(k) ** np.arange(N, -1, -1)
        np.testing.assert_allclose(bounds.lower(net) * bounds.upper(net), c, rtol=4 * rounding_of(net))
    else:
        assert bounds.lower(net) is None
    if keeps:
        paper = np.log(n) / 2 + (e + np.maximum(0, np.log(k))).sum(axis=1).max() * np.arange(N, -1, -1)
        np.testing.assert_allclose(bounds.log_upper(net, "paper"), paper, rtol=(e.size + 16 + 128) * EPS)
        assert (bounds.log_upper(net, "paper") >= paper * (1 - 4 * EPS)).all()
        assert (bounds.log_upper(net, "sharp") <= bounds.log_upper(net, "product") + rounding_of(net)).all()
        assert (bounds.log_upper(net, "product") <= paper + rounding_of(net)).all()
    J = equations.structure(net)
    if J is not None:
        C, r = equations.coupling(net), net.arch.config().get("dissipation", 0)
        growth = [S / 2 * (norm(C) - r) * norm(K) ** 2 - min(equations.rates(net)) for K in equations.weights(net)]
        np.testing.assert_allclose(bounds.log_norm(net), growth, rtol=20 * EPS)
        L = [S * norm(J) * norm(K) ** 2 for K in equations.weights(net)]  # as in the bounds' docstring
        beyond = net.arch.config().get("scheme") == "yoshida4" or min(equations.rates(net)) < 0 or r
        assert beyond or (e <= h * np.array(L)[:, None] * (1 + 20 * EPS)).all()


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


@pytest.mark.parametrize(
    ("delta", "ratio"),
    [
        ([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 2.0], [1.0, 0.0]]], [[2.5, 0], [1, 1]]),
        ([[[3.0, 4.0]], [[0.0, 2.0]], [[1.0, 0.0]]], [[5], [2], [1]]),
        ([[[3e200, 4e200]], [[1e200, 0.0]]], [[5], [1]]),
        ([[[3e-200, 4e-200]], [[1e-200, 0.0]]], [[5], [1]]),
        ([[[3e200, 4e200]], [[1.0, 0.0]]], [[5e200], [1]]),
        ([[[3e-200, 4e-200]], [[1e200, 0.0]]], [[0], [1]]),
        ([[[3e200, 4e200]], [[1e-200, 0.0]]], [[np.inf], [1]]),
        ([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], [[np.inf, np.nan], [np.nan, np.nan]]),
    ],
)
def test_gradient_ratio_neither_overflows_nor_underflows_nor_warns(delta, ratio):
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = bounds.gradient_ratio(np.array(delta))
    np.testing.assert_allclose(found, ratio, rtol=8 * EPS)


def test_spectral_norm_equals_numpy():
    matrices = np.random.default_rng(0).standard_normal((5, 3, 4))
    np.testing.assert_allclose(bounds.spectral_norm(matrices), np.linalg.norm(matrices, 2, axis=(1, 2)), rtol=20 * EPS)
    assert bounds.spectral_norm(np.empty((0, 3, 4))).shape == (0,)


@pytest.mark.parametrize("key", VARIANTS)
def test_bounds_without_layers(key):
    net = network(key, depth=0)
    np.testing.assert_array_equal(bounds.upper(net), [1])
    if key != "MLP":
        np.testing.assert_allclose(bounds.log_upper(net, "paper"), [0.5 * np.log(n)], rtol=50 * EPS)


# Measured


@pytest.mark.parametrize(("key", "activation"), pairs())
def test_no_measured_singular_value_leaves_the_bounds(key, activation):
    rng = np.random.default_rng(0)
    for seed in range(8):
        net = network(key, activation, seed=seed)
        x = rng.standard_normal((40, n)) * rng.choice([0.01, 1, 3], (40, 1))
        sigma, lower = singular_values(net, x), bounds.lower(net)
        with np.errstate(divide="ignore"):  # all relu of an MLP may be off: log 0
            assert (np.log(sigma[..., 0]) <= bounds.log_upper(net)[:, None] + rounding_of(net)).all()
        # The smallest singular value has an absolute error of a few eps ||Phi|| a stage.
        assert lower is None or (sigma[..., -1] >= lower[:, None] - rounding_of(net) * sigma[..., 0]).all()


@pytest.mark.parametrize("activation", ["tanh", "logistic", "identity"])
def test_one_shear_at_rest_attains_the_sharp_bound(activation):
    # Kq = 0 leaves the update of q alone: one shear whose singular values are known.
    net = pyham.H2(n, 1, 0.7, activation).init(0, initialization={"Kq": 0.0, "Kp": np.eye(2), "b": 0.0})
    measured = np.log(singular_values(net, np.zeros((1, n)))[0, 0])
    sharp = np.arcsinh(0.35 * equations.SLOPE.get(activation, 1.0))
    assert bounds.log_upper(net)[0] == pytest.approx(sharp, rel=20 * EPS)
    np.testing.assert_allclose(measured, [sharp, sharp, -sharp, -sharp], rtol=20 * EPS)


@pytest.mark.parametrize("seed", range(5))
def test_lower_bound_holds_for_any_X(seed):
    X = np.diag([1.0, 0.05]) @ well_conditioned(2, seed) * 3  # far from orthogonal: singular values do not pair
    net = pyham.H2(width=n, depth=6, step=h, X=X).init(seed)
    sigma = singular_values(net, np.random.default_rng(seed).standard_normal((100, n)))
    assert (sigma[..., -1] >= bounds.lower(net)[:, None] - rounding_of(net) * sigma[..., 0]).all()
    assert (sigma[:-1, :, -1] * sigma[:-1, :, 0]).max() > 1 + 1e-3


# Controls


@pytest.mark.parametrize("key", VARIANTS)
def test_bounds_are_violated_by_larger_weights(key):
    x = np.random.default_rng(0).standard_normal((20, n))
    net = network(key, "identity")  # sigma' = S everywhere: no saturation hides the larger weights
    scaled = net.replace({name: 30 * value for name, value in net.params.items()})
    measured = np.log(singular_values(scaled, x)[..., 0])
    assert (measured[:-1] > bounds.log_upper(net)[:-1, None]).all()
    assert (measured <= bounds.log_upper(scaled)[:, None] + rounding_of(net)).all()


# Range


@pytest.mark.parametrize("name", NAMES)
def test_logarithms_do_not_overflow(name):
    net = pyham.architecture(name, width=4, depth=400, step=1).init(0, initialization={"b": 0.0})
    scaled = net.replace({key: 100 * value for key, value in net.params.items()})
    assert np.isfinite(bounds.log_upper(scaled)).all()
    assert bounds.log_upper(scaled)[0] > 710  # exp of it overflows
    assert bounds.upper(scaled)[0] == np.inf
    assert name not in SPLIT or bounds.lower(scaled)[0] == 0


def test_bound_of_an_MLP_with_zero_weights_is_zero():
    net = pyham.MLP(width=3, depth=2).init(0, initialization={"K": 0.0})
    np.testing.assert_array_equal(bounds.upper(net), [0, 0, 1])


def test_bounds_of_single_precision_networks_are_in_double():
    net = network("H2-plain")
    single = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    assert bounds.upper(single).dtype == np.float64
    np.testing.assert_allclose(bounds.log_upper(single), bounds.log_upper(net), rtol=50 * eps(np.float32))


ONE_OF = "kind: expected one of 'paper', 'product', 'sharp', got {}"
test_what_is_refused = refused([
    *((partial(function, network(key)), kind, error, message)
      for function in (bounds.upper, bounds.log_upper)
      for key, kind, error, message in (
          ("MS2", "best", ValueError, ONE_OF.format("'best'")),
          ("MS2", None, TypeError, ONE_OF.format("NoneType")),
          ("MLP", "paper", ValueError, "kind: expected 'product' or 'sharp' for an MLP, got 'paper'"),
      )),
    *((bounds.log_norm, pyham.architecture(name, width=n, depth=N).init(0), ValueError,
       f"net: expected a network with one interconnection matrix, got {name}")
      for name in ("MS1", "MS2", "MLP", "ResNet")),
])  # fmt: skip

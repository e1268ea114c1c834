"""Architectures: K, b, J and one layer of each against formulas written by hand; transposes."""

import math

import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham.architectures.stages import StageGradients
from tests.oracles.strategies import (
    NAMES,
    SPLIT,
    VARIANTS,
    architectures,
    pairs,
    seeds,
    skew,
    variant,
    well_conditioned,
)

EPS = np.finfo(np.float64).eps
N, n, m, h = 3, 4, 2, 0.3
I, O = np.eye(m), np.zeros((m, m))


def make(name, **options):
    return pyham.architecture(name, **{"width": n, "depth": N, "step": h} | options)


def softplus(a):
    return np.logaddexp(0, a)


BY_HAND = {
    "tanh": np.tanh,
    "logistic": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
    "softplus": softplus,
    "identity": lambda a: a,
}

# K, b and J as the table of networks has them


def upper(k01, k02, k03, k12, k13, k23):
    return np.array([[0, k01, k02, k03], [-k01, 0, k12, k13], [-k02, -k12, 0, k23], [-k03, -k13, -k23, 0]])


K_BY_HAND = {
    "MS1": lambda A: np.block([[O, A], [-A.T, O]]),
    "MS2": lambda K_upper: upper(*K_upper),
    "MS3": lambda K1, K2: np.block([[O, K1], [K2, O]]),
    "H2": lambda Kp, Kq: np.block([[Kp, O], [O, Kq]]),
} | dict.fromkeys(("H1", "MLP", "ResNet"), lambda K: K)
COUNTS = {"MS1": m * m, "MS2": n * (n - 1) // 2} | dict.fromkeys(("MS3", "H2"), 2 * m * m)


@pytest.mark.parametrize("name", NAMES)
def test_K_b_and_numbers_of_parameters(name):
    net = make(name).init(0)
    for j in range(N):
        weights = {key: value[j] for key, value in net.params.items() if key != "b"}
        np.testing.assert_array_equal(net.K[j], K_BY_HAND[name](**weights))
    np.testing.assert_array_equal(net.b, net.params["b"])
    assert net.b.shape == (N, n)
    assert sum(value.size for value in net.params.values()) == N * (COUNTS.get(name, n * n) + n)
    assert {key: value.shape for key, value in net.params.items()} == net.arch.shapes


@pytest.mark.parametrize("name", ["MS1", "MS2"])
def test_J_of_MS1_and_MS2_satisfies_J_K_transposed_is_I(name):
    net = make(name).init(0)
    J, K = net.interconnection, net.K
    assert J.shape == (N, n, n)
    for j in range(N):
        # A backward stable inverse: residual of a few n eps cond(K).
        assert np.abs(J[j] @ K[j].T - np.eye(n)).max() <= 4 * n * EPS * np.linalg.cond(K[j])


@pytest.mark.parametrize("name", ["MS1", "MS2"])
def test_J_of_MS1_and_MS2_is_one_matrix_for_constant_weights(name):
    net = make(name).init(0)
    weights = next(iter(net.arch.shapes))
    constant = net.replace({weights: np.broadcast_to(net.params[weights][0], net.arch.shapes[weights])})
    assert constant.interconnection.shape == (n, n)
    np.testing.assert_allclose(constant.interconnection, net.interconnection[0], rtol=8 * n * EPS)


def test_J_of_MS1_is_a_block_matrix():
    # K = [[0, A], [-A^T, 0]], so K^-T = [[0, A^-T], [-A^-1, 0]].
    net = make("MS1").init(0, initialization={"A": well_conditioned(m, 0)})
    inverse = np.linalg.inv(well_conditioned(m, 0))
    np.testing.assert_allclose(net.interconnection, np.block([[O, inverse.T], [-inverse, O]]), atol=8 * n * EPS)


def test_J_of_MS3_is_J1():
    np.testing.assert_array_equal(make("MS3").init(0).interconnection, np.block([[O, I], [-I, O]]))


def test_J_of_H1():
    np.testing.assert_array_equal(make("H1").init(0).interconnection, np.block([[O, I], [-I, O]]))
    np.testing.assert_array_equal(make("H1", interconnection="J1").J, pyham.interconnection.J1(n))
    np.testing.assert_array_equal(make("H1", interconnection="J2").J, pyham.interconnection.J2(n))
    np.testing.assert_array_equal(make("H1", interconnection=skew(n, 0)).J, skew(n, 0))


def test_J_of_H2():
    X = well_conditioned(m, 0)
    np.testing.assert_array_equal(make("H2").init(0).interconnection, np.block([[O, -I], [I, O]]))
    np.testing.assert_array_equal(make("H2", X=X).init(0).interconnection, np.block([[O, -X.T], [X, O]]))


@pytest.mark.parametrize("name", ["MLP", "ResNet"])
def test_MLP_and_ResNet_have_no_J(name):
    assert make(name).init(0).interconnection is None


# One layer, written out


def whole_layer(net, y, sigma):
    """One layer of MS2, H1, MLP, ResNet in NumPy."""
    K, b, J = net.K[0], net.b[0], net.interconnection
    s = sigma(y @ K.T + b)
    return {
        "MS2": lambda: y + h * s,
        "H1": lambda: y + h * s @ K @ J.T,
        "MLP": lambda: s,
        "ResNet": lambda: y + h * s,
    }[net.arch.name]()


def fields_of_p_and_q(net, sigma):
    """p' as a function of q and q' as a function of p, as the papers write them, for column vectors."""
    b1, b2 = net.b[0, :m, None], net.b[0, m:, None]
    P = {name: value[0] for name, value in net.params.items()}
    if net.arch.name == "MS1":
        return lambda q: sigma(P["A"] @ q + b1), lambda p: sigma(-P["A"].T @ p + b2)
    if net.arch.name == "MS3":
        return (
            lambda q: P["K1"].T @ sigma(P["K1"] @ q + b1),
            lambda p: -P["K2"].T @ sigma(P["K2"] @ p + b2),
        )
    X = I if net.arch.X is None else net.arch.X
    return (
        lambda q: -X.T @ P["Kq"].T @ sigma(P["Kq"] @ q + b2),
        lambda p: X @ P["Kp"].T @ sigma(P["Kp"] @ p + b1),
    )


def split_layer(net, y, sigma):
    """One layer of MS1, MS3, H2 in NumPy, with Yoshida's scheme as three Verlet steps that are not joined."""
    field_of_p, field_of_q = fields_of_p_and_q(net, sigma)
    p, q = y[:, :m].T, y[:, m:].T
    t = h

    def move_p(f):
        nonlocal p
        p = p + f * t * field_of_p(q)

    def move_q(f):
        nonlocal q
        q = q + f * t * field_of_q(p)

    first, second = (move_p, move_q) if net.arch.order == "p-first" else (move_q, move_p)
    if net.arch.scheme == "semi-implicit":
        first(1), second(1)
    else:
        cubic = 2 ** (1 / 3)
        weights = [1] if net.arch.scheme == "verlet" else [1 / (2 - cubic), -cubic / (2 - cubic), 1 / (2 - cubic)]
        for t in (h * w for w in weights):  # noqa: B007  the moves read it
            first(0.5), second(1), first(0.5)
    return np.concatenate([p, q]).T


@pytest.mark.parametrize(("key", "activation"), pairs())
def test_one_layer_equals_its_formula(key, activation, backend, rng):
    net = variant(key, width=n, depth=1, step=h, activation=activation).init(1)
    y = rng.standard_normal((7, n))
    by_hand = split_layer if net.arch.name in SPLIT else whole_layer
    expected = by_hand(net, y, BY_HAND[activation])
    # At most 7 stages of three products of length <= 4 each, with numbers of the size of the result.
    assert np.abs(net(y, backend=backend) - expected).max() <= 50 * EPS * np.abs(expected).max()


@pytest.mark.parametrize("key", VARIANTS)
def test_layers_are_applied_from_first_to_last(key, backend, rng):
    net = variant(key, width=n, depth=N, step=h).init(1)
    y = x = rng.standard_normal((7, n))
    for j in range(N):
        params = {name: value[j : j + 1] for name, value in net.params.items()}
        y = pyham.Network(variant(key, width=n, depth=1, step=h), params)(y, backend=backend)
    np.testing.assert_array_equal(net(x, backend=backend), y)  # the same operations on the same numbers


def test_step_has_no_effect_on_an_MLP(rng):
    x = rng.standard_normal((7, n))
    small, large = (make("MLP", step=step).init(0) for step in (0.1, 10))
    np.testing.assert_array_equal(small(x), large(x))


# Transposes


@pytest.mark.parametrize("key", VARIANTS)
@pytest.mark.parametrize("width", [2, 6])
def test_collect_is_the_transpose_of_assemble(key, width, rng):
    arch = variant(key, width=width, depth=N)
    params = arch.init(0).params
    K = arch.assemble(params)
    dK = rng.standard_normal(K.shape)
    collected = arch.collect(arch.cut(dK))
    assert set(collected) == set(arch.shapes) - {"b"}
    left = np.vdot(K, dK)
    right = sum(np.vdot(params[name], value) for name, value in collected.items())
    assert abs(left - right) <= 4 * math.sqrt(K.size) * EPS * np.linalg.norm(K) * np.linalg.norm(dK)


@given(architectures(max_depth=5, max_width=8), seeds)
def test_pullback_is_the_transpose_of_the_linearised_lowering(arch, seed):
    rng = np.random.default_rng(seed)
    net = arch.init(rng)
    direction = {name: rng.standard_normal(value.shape) for name, value in net.params.items()}
    lowered = arch.lower({name: net.params[name] + 1e-100j * d for name, d in direction.items()})
    tangent = [getattr(lowered, field).imag * 1e100 for field in StageGradients._fields]
    cotangent = StageGradients(*(rng.standard_normal(t.shape) for t in tangent))
    pulled = arch.pullback(cotangent)
    assert {name: value.shape for name, value in pulled.items()} == arch.shapes
    left = sum(np.vdot(u, v) for u, v in zip(tangent, cotangent, strict=True))
    right = sum(np.vdot(direction[name], value) for name, value in pulled.items())
    size = sum(np.linalg.norm(u) * np.linalg.norm(v) for u, v in zip(tangent, cotangent, strict=True))
    # Rounding errors of a sum over `count` products, and of products of length n in W and its transpose.
    count = sum(t.size for t in tangent)
    assert abs(left - right) <= 4 * (math.sqrt(count) + arch.width) * EPS * size

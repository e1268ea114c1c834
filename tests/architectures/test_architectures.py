"""Architectures: K, b, J and one layer of each against formulas written by hand; transposes; what is refused."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham.architectures.stages import StageGradients
from tests.oracles.strategies import (
    ACTIVATIONS,
    NAMES,
    ORDERS,
    SCHEMES,
    SPLIT,
    VARIANTS,
    architectures,
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


def test_K_of_MS1():
    net = make("MS1").init(0)
    for j, A in enumerate(net.params["A"]):
        np.testing.assert_array_equal(net.K[j], np.block([[O, A], [-A.T, O]]))


def test_K_of_MS2():
    net = make("MS2").init(0)
    for j, (k01, k02, k03, k12, k13, k23) in enumerate(net.params["K_upper"]):
        expected = [[0, k01, k02, k03], [-k01, 0, k12, k13], [-k02, -k12, 0, k23], [-k03, -k13, -k23, 0]]
        np.testing.assert_array_equal(net.K[j], expected)


def test_K_of_MS3():
    net = make("MS3").init(0)
    for j, (K1, K2) in enumerate(zip(net.params["K1"], net.params["K2"], strict=True)):
        np.testing.assert_array_equal(net.K[j], np.block([[O, K1], [K2, O]]))


def test_K_of_H2():
    net = make("H2").init(0)
    for j, (Kp, Kq) in enumerate(zip(net.params["Kp"], net.params["Kq"], strict=True)):
        np.testing.assert_array_equal(net.K[j], np.block([[Kp, O], [O, Kq]]))


@pytest.mark.parametrize("name", ["H1", "MLP", "ResNet"])
def test_K_of_H1_MLP_ResNet_is_free(name):
    net = make(name).init(0)
    np.testing.assert_array_equal(net.K, net.params["K"])


@pytest.mark.parametrize("name", NAMES)
def test_b_is_free(name):
    net = make(name).init(0)
    np.testing.assert_array_equal(net.b, net.params["b"])
    assert net.b.shape == (N, n)


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


@pytest.mark.parametrize(
    "name, count",
    [
        ("MS1", m * m + n),
        ("MS2", n * (n - 1) // 2 + n),
        ("MS3", 2 * m * m + n),
        ("H1", n * n + n),
        ("H2", 2 * m * m + n),
        ("MLP", n * n + n),
        ("ResNet", n * n + n),
    ],
)
def test_parameter_counts_per_layer(name, count):
    net = make(name).init(0)
    assert sum(value.size for value in net.params.values()) == N * count
    assert {key: value.shape for key, value in net.params.items()} == net.arch.shapes


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


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("key", VARIANTS)
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


# By name, as data


@pytest.mark.parametrize("name", NAMES)
def test_architecture_by_name_is_the_class(name):
    kind = getattr(pyham, name)
    arch = pyham.architecture(name, width=n, depth=N, step=h)
    assert type(arch) is kind
    assert arch == kind(width=n, depth=N, step=h)
    assert arch.name == name


@given(architectures())
def test_config_is_plain_data_that_builds_an_equal_architecture(arch):
    rebuilt = pyham.architecture(**json.loads(json.dumps(arch.config())))
    assert rebuilt == arch
    assert hash(rebuilt) == hash(arch)
    assert rebuilt.config() == arch.config()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changed", [{"width": 6}, {"depth": 4}, {"step": 7}, {"activation": "relu"}])
def test_architectures_that_differ_are_not_equal(name, changed):
    assert make(name) != make(name, **changed)
    assert make(name) != make("MLP" if name == "ResNet" else "ResNet")


@pytest.mark.parametrize("name", SPLIT)
def test_architectures_differ_by_scheme_and_order(name):
    kinds = [make(name, scheme=scheme, order=order) for scheme in SCHEMES for order in ORDERS]
    assert len(set(kinds)) == len(kinds)


def test_architectures_differ_by_their_matrices():
    assert make("H2", X=well_conditioned(m, 0)) != make("H2", X=well_conditioned(m, 1))
    assert make("H2", X=well_conditioned(m, 0)) == make("H2", X=well_conditioned(m, 0).tolist())
    assert make("H1", interconnection="J1") != make("H1", interconnection="J2")
    assert make("H1", interconnection=skew(n, 0)) != make("H1", interconnection=skew(n, 1))


def test_equal_architectures_hash_alike_whatever_the_sign_of_zero():
    plus = pyham.interconnection.J1(n) + 0.0
    minus = np.where(plus == 0, -0.0, plus)
    one, other = make("H1", interconnection=plus), make("H1", interconnection=minus)
    assert one == other
    assert hash(one) == hash(other)


def test_an_architecture_equals_nothing_else():
    assert make("MLP") != "MLP"
    assert make("MLP") != make("MLP").config()


@pytest.mark.parametrize("name", NAMES)
def test_architectures_are_frozen(name):
    arch = make(name)
    for field in ("width", "depth", "step", "activation"):
        with pytest.raises(AttributeError):
            setattr(arch, field, getattr(arch, field))


@pytest.mark.parametrize("name, option, matrix", [("H2", "X", np.eye(m)), ("H1", "interconnection", skew(n, 0))])
def test_given_matrices_are_copied(name, option, matrix):
    given_matrix = matrix.copy()
    arch = make(name, **{option: given_matrix})
    given_matrix[:] = 7
    np.testing.assert_array_equal(getattr(arch, option), matrix)
    assert np.array_equal(arch.J.T, -arch.J)


@pytest.mark.parametrize("name", ["MS3", "H1", "H2"])
def test_J_is_read_only(name):
    with pytest.raises(ValueError, match="read-only"):
        make(name).init(0).interconnection[0, 0] = 1


def test_integers_and_fractions_are_numbers():
    arch = pyham.MLP(width=np.int64(4), depth=np.uint8(3), step=Fraction(1, 2))
    assert (arch.width, arch.depth, arch.step) == (4, 3, 0.5)
    assert [type(value) for value in (arch.width, arch.depth, arch.step)] == [int, int, float]


@pytest.mark.parametrize("name", NAMES)
def test_str_names_the_architecture_and_its_options(name):
    assert str(make(name)).startswith(f"{name}(width=4, depth=3, step=0.3, activation='tanh'")


# What is refused


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("width", [3, 7])
def test_width__raises_on_odd_where_p_and_q_exist(name, width):
    with pytest.raises(ValueError, match=rf"^width: expected an even number .*, got {width}$"):
        make(name, width=width)


def test_width__raises_on_odd_for_J1():
    with pytest.raises(ValueError, match=r"^width: expected an even number .*, got 5$"):
        make("H1", width=5)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SPLIT and name != "H1"])
def test_odd_widths_are_allowed_elsewhere(name, rng):
    assert make(name, width=5).init(0)(rng.standard_normal((2, 5))).shape == (2, 5)


@pytest.mark.parametrize("J", ["J2", skew(5, 0)], ids=["J2", "skew"])
def test_odd_widths_are_allowed_for_other_J(J, rng):
    assert make("H1", width=5, interconnection=J).init(0)(rng.standard_normal((2, 5))).shape == (2, 5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [0, -4])
def test_width__raises_on_not_positive(name, width):
    with pytest.raises(ValueError, match=rf"^width: expected an integer >= [12], got {width}$"):
        make(name, width=width)


@pytest.mark.parametrize("name", NAMES)
def test_depth__raises_on_negative(name):
    with pytest.raises(ValueError, match=r"^depth: expected an integer >= 0, got -1$"):
        make(name, depth=-1)


@pytest.mark.parametrize("argument", ["width", "depth"])
@pytest.mark.parametrize("value", [True, np.True_, 4.0, "4", None, [4]])
@pytest.mark.parametrize("name", NAMES)
def test_sizes__raise_on_what_is_no_integer(name, argument, value):
    message = rf"^{argument}: expected an integer >= \d, got {type(value).__name__}$"
    with pytest.raises(TypeError, match=message):
        make(name, **{argument: value})


@pytest.mark.parametrize("step", [0, 0.0, -0.1, np.nan, np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_step__raises_on_what_is_not_positive_and_finite(name, step):
    with pytest.raises(ValueError, match=rf"^step: expected a positive finite number, got {step}$"):
        make(name, step=step)


def test_step__raises_on_too_large_for_a_float():
    with pytest.raises(ValueError, match=r"^step: expected a positive finite number, got 1000"):
        make("MLP", step=10**400)


@pytest.mark.parametrize("step", [True, "0.1", None, 1j, [0.1]])
def test_step__raises_on_what_is_no_number(step):
    with pytest.raises(TypeError, match=rf"^step: expected a positive finite number, got {type(step).__name__}$"):
        make("MLP", step=step)


@pytest.mark.parametrize("name", NAMES)
def test_activation__raises_on_unknown_name(name):
    with pytest.raises(ValueError, match=r"^activation: expected one of 'tanh', .*, got 'Tanh'$"):
        make(name, activation="Tanh")


@pytest.mark.parametrize("argument", ["scheme", "order"])
@pytest.mark.parametrize("name", SPLIT)
def test_scheme_and_order__raise_on_unknown_name(name, argument):
    allowed = ", ".join(map(repr, SCHEMES if argument == "scheme" else ORDERS))
    with pytest.raises(ValueError, match=rf"^{argument}: expected one of {allowed}, got 'euler'$"):
        make(name, **{argument: "euler"})


@pytest.mark.parametrize("argument", ["scheme", "order", "activation"])
def test_names__raise_on_what_is_no_string(argument):
    with pytest.raises(TypeError, match=rf"^{argument}: expected one of '.*, got int$"):
        make("H2", **{argument: 1})


def test_architecture__raises_on_unknown_name():
    with pytest.raises(ValueError, match=r"^name: expected one of 'MS1', 'MS2', 'MS3', 'H1', 'H2', .*, got 'H3'$"):
        pyham.architecture("H3", width=4, depth=1)


@pytest.mark.parametrize("name", NAMES)
def test_architecture__raises_on_unknown_option(name):
    message = rf"^layers: expected one of the options of {name} \(width, depth, step, .*\), got "
    with pytest.raises(TypeError, match=message):
        make(name, layers=3)


@pytest.mark.parametrize("name, option", [("MS2", "scheme"), ("MLP", "X"), ("H2", "interconnection"), ("MS3", "X")])
def test_architecture__raises_on_option_of_another(name, option):
    with pytest.raises(TypeError, match=rf"^{option}: expected one of the options of {name} \("):
        make(name, **{option: "J1"})


@pytest.mark.parametrize("missing", ["width", "depth"])
def test_architecture__raises_on_missing_size(missing):
    options = {"width": 4, "depth": 1}
    del options[missing]
    with pytest.raises(TypeError, match=rf"^{missing}: expected an integer, got nothing$"):
        pyham.architecture("H2", **options)


def test_interconnection__raises_on_unknown_name():
    with pytest.raises(ValueError, match=r"^interconnection: expected one of 'J1', 'J2', got 'J3'$"):
        make("H1", interconnection="J3")


@pytest.mark.parametrize(
    "J, error, message",
    [
        (np.eye(n), ValueError, r"expected a skew-symmetric matrix .*got J\[0, 0\] = 1.0 and J\[0, 0\] = 1.0"),
        (pyham.interconnection.J1(2), ValueError, r"expected shape \(4, 4\), got \(2, 2\)"),
        (np.full((n, n), np.nan), ValueError, r"expected finite numbers, got nan at index \(0, 0\)"),
        (skew(n, 0) * 1j, TypeError, r"expected a real matrix, got dtype complex128"),
        (None, TypeError, r"expected numbers, got dtype object"),
    ],
)
def test_interconnection__raises_on_wrong_matrix(J, error, message):
    with pytest.raises(error, match=rf"^interconnection: {message}$"):
        make("H1", interconnection=J)


@pytest.mark.parametrize(
    "X, error, message",
    [
        (np.ones((m, m)), ValueError, r"expected a nonsingular matrix, got singular values from 2 down to \S+"),
        (np.eye(n), ValueError, r"expected shape \(2, 2\), got \(4, 4\)"),
        (np.ones(m), ValueError, r"expected shape \(2, 2\), got \(2,\)"),
        ([[1, 0], [0, np.nan]], ValueError, r"expected finite numbers, got nan at index \(1, 1\)"),
        ([[1, 0], [0, np.inf]], ValueError, r"expected finite numbers, got inf at index \(1, 1\)"),
        (np.eye(m) * 1j, TypeError, r"expected a real matrix, got dtype complex128"),
        ("I", TypeError, r"expected numbers, got dtype <U1"),
    ],
)
def test_X__raises_on_wrong_matrix(X, error, message):
    with pytest.raises(error, match=rf"^X: {message}$"):
        make("H2", X=X)

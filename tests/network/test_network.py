"""Networks: immutable parameters, what they assemble, the Hamiltonian; what is refused."""

from functools import partial

import numpy as np
import pytest

import pyham
from pyham.verification.neighbours import forward_euler
from tests.oracles.refusals import refused
from tests.oracles.rounding import eps
from tests.oracles.strategies import ACTIVATIONS, SPLIT, VARIANTS, variant

EPS = eps(np.float64)
N, n, m, h = 3, 4, 2, 0.3


def network(key="H2-plain", activation="tanh", depth=N, dtype=np.float64, width=n):
    return variant(key, width=width, depth=depth, step=h, activation=activation).init(3, dtype=dtype)


def samples(batch=5):
    return np.random.default_rng(0).standard_normal((batch, n))


# Parameters


@pytest.mark.parametrize("key", VARIANTS)
def test_parameters_are_read_only(key):
    net = network(key)
    for name, value in net.params.items():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0
        with pytest.raises(TypeError):
            net.params[name] = value
    for array in (net.K, net.b):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_parameters_are_copied():
    net = network()
    given = {name: value.copy() for name, value in net.params.items()}
    other = pyham.Network(net.arch, given)
    before = other(samples())
    given["Kp"][:] = 0
    np.testing.assert_array_equal(other(samples()), before)
    assert all(np.array_equal(other.params[name], value) for name, value in net.params.items())


def test_K_b_and_interconnection_have_the_stated_shapes():
    for key, (name, _) in VARIANTS.items():
        net = network(key)
        assert net.K.shape == (N, n, n) and net.b.shape == (N, n)
        if name in ("MLP", "ResNet"):
            assert net.interconnection is None
        else:
            assert net.interconnection.shape == ((N, n, n) if name in ("MS1", "MS2") else (n, n))


@pytest.mark.parametrize("key", ["MS1-verlet-p-first", "MS2"])
def test_interconnection_of_constant_weights_is_one_matrix(key):
    net = network(key)
    weights = next(name for name in net.params if name != "b")
    constant = net.replace({weights: np.broadcast_to(net.params[weights][0], net.params[weights].shape)})
    assert constant.interconnection.shape == (n, n)
    assert network(key, depth=1).interconnection.shape == (n, n)


def test_replace_makes_another_network():
    net = network()
    b = np.ones((N, n))
    other = net.replace({"b": b})
    np.testing.assert_array_equal(other.b, b)
    np.testing.assert_array_equal(other.params["Kp"], net.params["Kp"])
    assert not np.array_equal(net.b, b)
    assert other.arch is net.arch
    assert not np.array_equal(other(samples()), net(samples()))


def test_replace_of_everything_may_change_the_dtype():
    net = network()
    single = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    assert single.dtype == np.float32


def test_repr_names_architecture_options_and_dtype():
    text = repr(network("H2-verlet-q-first", dtype=np.float32))
    assert text.startswith("<Network H2(width=4, depth=3, step=0.3, activation='tanh', scheme='verlet', ")
    assert text.endswith("float32>")


@pytest.mark.parametrize("wide", [np.float64, np.longdouble])
def test_stages_are_computed_in_the_wider_of_both_dtypes(wide):
    # Else W = h J A^T would carry the parameters' rounding errors, and sensitivities would be symplectic to them only.
    single = network("H2-semi-implicit-p-first", dtype=np.float32)
    exact = single.replace({name: value.astype(wide) for name, value in single.params.items()})
    for name in ("A", "c", "W"):
        np.testing.assert_array_equal(getattr(single.stages(wide), name), getattr(exact.stages(), name))
    assert single.stages(wide) is single.stages(wide)


def test_states_are_rebuilt_within_the_stated_budget():
    net, x = network(depth=20), samples()
    store = net.gradient(x, x)
    for given, limit in ((None, EPS ** (2 / 3)), (1e-3, 1e-3)):
        gradient = net.gradient(x, x, memory="reversible", budget=given)
        assert 0 < gradient.drift.error <= gradient.drift.budget == limit
        np.testing.assert_allclose(gradient.input, store.input, rtol=0, atol=1e-6)


# Energy


def energy_gradient(net, y):
    """grad H_j(y) (N, B, n) by central differences of fourth order."""
    t = EPS ** (1 / 5)
    columns = []
    for unit in np.eye(n):
        near = net.energy(y + t * unit) - net.energy(y - t * unit)
        far = net.energy(y + 2 * t * unit) - net.energy(y - 2 * t * unit)
        columns.append((8 * near - far) / (12 * t))
    return np.stack(columns, axis=-1)


# Truncation t^4 H^(5) / 30 and rounding eps H / t are both eps^(4/5) = 3e-13, times H and its derivatives (below 100).
ENERGY_TOLERANCE = 1e3 * EPS**0.8


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("key", ["H1-J1", "H1-J2", "H1-skew", "MS2"])
def test_J_times_gradient_of_energy_is_the_field_of_forward_euler(key, activation):
    net, y = network(key, activation), samples()
    gradient = energy_gradient(net, y)
    for j in range(N):
        one = pyham.Network(variant(key, width=n, depth=1, step=h, activation=activation), layer_of(net, j))
        field = (one(y) - y) / h
        expected = gradient[j] @ one.interconnection.T
        scale = np.linalg.norm(one.interconnection, 2)
        assert np.abs(field - expected).max() <= ENERGY_TOLERANCE * max(1, scale)


def layer_of(net, j):
    return {name: value[j : j + 1] for name, value in net.params.items()}


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("key", [f"{name}-semi-implicit-p-first" for name in SPLIT])
def test_J_times_gradient_of_energy_is_the_field_of_semi_implicit_euler(key, activation):
    net, y = network(key, activation, depth=1), samples()
    J, after = net.interconnection, net(y)
    halfway = np.concatenate([after[:, :m], y[:, m:]], axis=1)  # p first: q' is taken at the new p
    p_field = (energy_gradient(net, y)[0] @ J.T)[:, :m]
    q_field = (energy_gradient(net, halfway)[0] @ J.T)[:, m:]
    scale = max(1, np.linalg.norm(J, 2))
    assert np.abs((after - y)[:, :m] / h - p_field).max() <= ENERGY_TOLERANCE * scale
    assert np.abs((after - y)[:, m:] / h - q_field).max() <= ENERGY_TOLERANCE * scale


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_energy_is_the_sum_of_integrands(activation):
    net, y = network("H1-J1", activation), samples()
    integrand = pyham.ACTIVATIONS[activation].integrand
    by_hand = np.array([[integrand(K @ row + b).sum() for row in y] for K, b in zip(net.K, net.b, strict=True)])
    np.testing.assert_allclose(net.energy(y), by_hand, rtol=50 * EPS)
    assert net.energy(y).shape == (N, 5)
    for dtype in (np.float32, np.float64 if activation == "softplus" else np.longdouble):  # SciPy's spence is in double
        assert net.energy(y.astype(dtype)).dtype == dtype
    assert network(depth=0).energy(y).shape == (0, 5) and net.energy(y[:0]).shape == (N, 0)


def test_energy_is_conserved_by_small_symplectic_steps_and_drifts_with_forward_euler():
    Kp, Kq = np.random.default_rng(0).standard_normal((2, m, m))
    weights = {"Kp": Kp, "Kq": Kq, "b": 0.0}
    net = pyham.H2(width=n, depth=2000, step=0.05).init(0, initialization=weights)
    one = pyham.H2(width=n, depth=1, step=0.05).init(0, initialization=weights)
    energy = np.array([one.energy(y)[0] for y in net.trace(samples()).states])
    assert np.abs(energy - energy[0]).max() <= 0.05 * energy[0].max()  # bounded, of the order of the step
    assert (one.energy(forward_euler(net)(samples()))[0] > 1.5 * energy[0]).all()


# What is refused

EMPTY, GIVEN = pyham.H2(width=n, depth=N), network()
NOT_FINITE = r"params\['b'\]: expected finite numbers, got {} at index \(2, 1\)"
FOUND = [{}, {"b": 0}, {"Kp": 0, "Kq": 0, "b": 0, "c": 0}, None, [1, 2]]


def b_with(value):
    return {"b": np.where(np.arange(N * n).reshape(N, n) == 2 * n + 1, value, GIVEN.b)}


test_what_is_refused = refused([
    *((partial(pyham.Network, params={}), wrong, TypeError, f"arch: .* an Architecture, got {type(wrong).__name__}")
      for wrong in (None, "H2", pyham.H2)),
    *((partial(pyham.Network, EMPTY), names, ValueError, "params: .* the names Kp, Kq, b, got .*") for names in FOUND),
    (GIVEN.replace, {"K": np.ones((N, n, n))}, ValueError, "params: expected the names Kp, Kq, b, got Kp, Kq, b, K"),
    (GIVEN.replace, {"b": np.ones((3, 3))}, ValueError, r"params\['b'\]: expected shape \(3, 4\), got \(3, 3\)"),
    (GIVEN.replace, b_with(np.nan), ValueError, NOT_FINITE.format("nan")),
    (GIVEN.replace, b_with(np.inf), ValueError, NOT_FINITE.format("inf")),
    (GIVEN.replace, {"b": GIVEN.b.astype("f4")}, TypeError, "params: .* one dtype, got float64, float64, float32"),
    *((GIVEN.replace, {"b": wrong}, TypeError, r"params\['b'\]: expected numbers, got dtype .*")
      for wrong in ("b", None, [[None] * n] * N)),
])  # fmt: skip


def test_interconnection__raises_where_weights_are_singular():
    net = pyham.MS2(width=n, depth=N).init(0, initialization={"K_upper": 0.0})
    with pytest.raises(np.linalg.LinAlgError):
        _ = net.interconnection


def test_attributes_cannot_be_set():
    net = network()
    for name in ("dtype", "K", "b", "interconnection"):
        with pytest.raises(AttributeError):
            setattr(net, name, getattr(net, name))

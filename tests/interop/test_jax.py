"""Networks as functions of JAX: pyham's gradients to the bit, JAX's own to rounding, copies, and certificates."""

import numpy as np
import pytest

import pyham
from benchmarks import jax_bridge
from pyham import images
from tests.interop.networks import ARCHITECTURES, NET, X, same, samples
from tests.oracles.refusals import refused

jax = pytest.importorskip("jax")
bridge = pytest.importorskip("pyham.interop.jax")

from tests.interop import jax_networks  # noqa: E402
from tests.interop.jax_functions import both_callbacks, double_precision, passes_of  # noqa: E402, F401

jnp = jax.numpy

F, PARAMS = bridge.to_jax(NET), dict(NET.params)


@pytest.mark.parametrize(
    ("arch", "dtype"), [*((arch, np.float64) for arch in ARCHITECTURES), (ARCHITECTURES[1], np.float32)], ids=str
)
def test_outputs_and_gradients_are_pyhams_to_the_bit(arch, dtype):
    net = arch.init(0, dtype=dtype)
    x, g = samples(arch, dtype)
    y, of_params, of_x = jax.jit(passes_of(bridge.to_jax(net)))(bridge.parameters(net), x, g)
    expected = net.gradient(x, g)
    same([y, of_x], [expected.output, expected.input])
    same([of_params[name] for name in net.params], list(expected.params.values()))


@pytest.mark.usefixtures("both_callbacks")
def test_without_jit_and_for_samples_of_any_leading_dimensions():
    f, params = bridge.to_jax(NET), bridge.parameters(NET)
    x, g = samples(NET.arch)
    y, of_params, of_x = passes_of(f)(params, x.reshape(2, 1, 3, 4), g.reshape(2, 1, 3, 4))
    expected = NET.gradient(x, g)
    same([y.reshape(6, 4), of_x.reshape(6, 4)], [expected.output, expected.input])
    same([of_params[name] for name in NET.params], list(expected.params.values()))
    assert f(params, x[0]).shape == (4,) and f(params, x[None, :0]).shape == (1, 0, 4)
    empty = jax.jit(jax.grad(lambda p: f(p, x[:0]).sum()))(params)
    assert all(not value.any() for value in empty.values())


@pytest.mark.parametrize("arch", [
    pyham.H1(4, 5, 0.3, interconnection="J2"),
    pyham.H2(4, 5, 0.3, X=X, order="q-first", scheme="verlet"),
    pytest.param(pyham.H2(4, 5, 0.3, scheme="yoshida4"), marks=pytest.mark.slow),
    pytest.param(pyham.H2(4, 5, 0.3), marks=pytest.mark.slow),
    pytest.param(pyham.MLP(4, 5), marks=pytest.mark.slow),
    images.ConvH2(rows=4, columns=4, depths=(1, 1), activation="tanh"),
], ids=str)  # fmt: skip
def test_gradients_are_jaxs_own_of_the_same_network_written_in_jax(arch):
    """Within 64 rounding errors of the inputs, as far as this network amplifies those."""
    net = arch.init(0, dtype=np.float32)
    narrow = dict(net.params), *samples(arch, np.float32)
    wide = jax.tree.map(np.float64, narrow)
    written = jax.jit(passes_of(lambda p, x: jax_networks.output(net, p, x)))
    ours, expected = jax.jit(passes_of(bridge.to_jax(net))), written(*wide)
    rng = np.random.default_rng(0)
    tilted = jax.tree.map(lambda v: v * (1 + 1e-9 * rng.choice((-1, 1), v.shape)), wide)
    factor = jax_networks.relative(written(*tilted), expected) / 1e-9
    for inputs, dtype in ((wide, np.float64), (narrow, np.float32)):
        assert jax_networks.relative(ours(*inputs), expected) <= 64 * factor * np.finfo(dtype).eps
    name = next(iter(net.params))
    one = wide[0][name].copy()
    one.flat[0] *= 1 + 1e-9  # of a single weight
    assert jax_networks.relative(ours(wide[0] | {name: one}, *wide[1:]), expected) > 64 * factor * np.finfo(float).eps


def test_computed_in_the_samples_dtype_and_half_precision_in_float32():
    f, params = bridge.to_jax(NET), bridge.parameters(NET)
    x, g = samples(NET.arch)
    single = NET(x.astype(np.float32))
    y, of_params, of_x = passes_of(f)(params, x.astype(np.float32), g.astype(np.float32))
    same([y], [single])
    assert of_x.dtype == np.float32 and {v.dtype for v in of_params.values()} == {np.dtype(np.float64)}
    narrow = jnp.asarray(x, jnp.bfloat16)
    of_params = jax.grad(lambda p: F(p, narrow).sum())({k: jnp.asarray(v, jnp.bfloat16) for k, v in PARAMS.items()})
    assert of_params["b"].dtype == jnp.bfloat16 and jnp.isfinite(of_params["Kp"]).all()
    for half in (jnp.bfloat16, jnp.float16):
        narrow = jnp.asarray(x, half)
        same([f(params, narrow)], [f(params, narrow.astype(np.float32)).astype(half)])
    jax.config.update("jax_enable_x64", False)
    params = bridge.parameters(NET)
    assert params["b"].dtype == np.float32 == f(params, x).dtype
    same([f(params, x)], [bridge.network(f, params)(x.astype(np.float32))])


def test_nothing_is_computed_for_what_needs_no_gradient(monkeypatch):
    f, params = bridge.to_jax(NET), bridge.parameters(NET)
    x, g = samples(NET.arch)
    expected = NET.gradient(x, g)
    found = jax.grad(lambda b: (f(params | {"b": b}, x) * g).sum())(params["b"])
    same([found], [expected.params["b"]])

    def forbidden(self, gradients):
        raise AssertionError("gradients of parameters")

    monkeypatch.setattr(type(NET.arch), "pullback", forbidden)
    same([jax.jit(jax.grad(lambda x: (f(params, x) * g).sum()))(x)], [expected.input])


def test_networks_come_back_and_functions_of_equal_architectures_are_equal():
    f, params = bridge.to_jax(NET), bridge.parameters(NET)
    moved = jax.tree.map(lambda value: value + 1, params)
    for like in (f, NET, NET.arch):
        net = bridge.network(like, moved)
        assert net.arch == NET.arch
        same(list(net.params.values()), [value + 1 for value in NET.params.values()])
    assert bridge.network(f, {k: v.astype(jnp.bfloat16) for k, v in params.items()}).dtype == np.float32
    again = bridge.to_jax(pyham.H2(4, 5, 0.3).init(1))
    assert f == again and hash(f) == hash(again) and f != bridge.to_jax(pyham.H2(4, 6, 0.3).init(1))


@pytest.mark.slow
def test_the_benchmark_trains_the_same_in_both_ways():
    assert jax_bridge.difference("H2") < 1e-14


def shear(K, h, other=None):
    """p <- p - h Kq^T tanh(Kq q), q <- q + h Kp^T tanh(Kp p), or with another matrix for Kp^T."""
    m = K.shape[-1]

    def layer(y):
        p, q = y[:, :m], y[:, m:]
        p = p - h * jnp.tanh(q @ K[0].T) @ K[0]
        return jnp.concatenate((p, q + h * jnp.tanh(p @ K[1].T) @ (K[1] if other is None else other)), axis=1)

    return layer


@pytest.mark.parametrize("ours", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_symplectic_layers_pass_and_of_others_the_layer_is_named(ours):
    rng = np.random.default_rng(0)
    K, x = rng.standard_normal((2, 2, 2, 2)), rng.standard_normal((2, 4))
    layer = shear(K[0], 0.3)
    first = (lambda y: F(PARAMS, y)) if ours else layer
    certificate = bridge.certify([first, layer], x, J=NET.arch.J)
    assert certificate.passed and all(check.control_failed for check in certificate.checks), str(certificate)
    assert {check.name for check in certificate.checks} >= {"layers", "symplectic", "derivatives"}
    certificate = bridge.certify([first, shear(K[0], 0.3, other=K[1, 0])], x, J=NET.arch.J)
    (check,) = (check for check in certificate.checks if check.name == "layers")
    assert not certificate.passed and check.layer == 1 and "VIOLATED (layer 1" in str(certificate)


def test_a_certificate_needs_double_precision():
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(ValueError, match="jax_enable_x64: expected True, as certificates are computed in float64"):
        bridge.certify([jnp.tanh], np.ones((2, 4)))


test_what_does_not_fit_is_refused = refused([
    (bridge.to_jax, NET.arch, TypeError, "net: expected a Network, got H2"),
    (bridge.parameters, NET.arch.init(0, dtype=np.longdouble), TypeError,
     "net: expected parameters of float32 or float64, got .*"),
    (lambda params: F(params, np.ones((2, 4))), [1.0], ValueError,
     "params: expected the names Kp, Kq, b, got list"),
    (lambda params: F(params, np.ones((2, 4))), {"Kp": 1.0}, ValueError,
     "params: expected the names Kp, Kq, b, got Kp"),
    (lambda b: F(PARAMS | {"b": b}, np.ones((2, 4))), np.ones((5, 3)), ValueError,
     r"params\['b'\]: expected shape \(5, 4\), got \(5, 3\)"),
    (lambda b: F(PARAMS | {"b": b}, np.ones((2, 4))), np.ones((5, 4), int), TypeError,
     r"params\['b'\]: expected float64, float32, bfloat16 or float16, got int64"),
    (lambda x: F(PARAMS, x), np.ones((2, 3)), ValueError, r"x: expected shape \(\.\., 4\), got \(2, 3\)"),
    (lambda x: F(PARAMS, x), 1.0, ValueError, r"x: expected shape \(\.\., 4\), got \(\)"),
    (lambda x: F(PARAMS, x), np.ones((2, 4), int), TypeError,
     "x: expected float64, float32, bfloat16 or float16, got int64"),
    (lambda like: bridge.network(like, PARAMS), "H2", TypeError,
     "like: expected an Architecture, a Network or what to_jax made, got str"),
    (lambda params: bridge.network(F, params), {"Kp": np.ones(2)}, ValueError,
     "params: expected the names Kp, Kq, b, got Kp"),
    (lambda layers: bridge.certify(layers, np.ones((2, 4))), jnp.tanh, TypeError,
     "layers: expected a list of functions, got .*"),
    (lambda layers: bridge.certify(layers, np.ones((2, 4))), [jnp.tanh, 3], TypeError,
     r"layers\[1\]: expected a function, got int"),
])  # fmt: skip

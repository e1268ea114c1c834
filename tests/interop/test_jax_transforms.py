"""What JAX does with a function of pyham's: map, differentiate, scan, checkpoint, place on devices."""

import numpy as np
import pytest

from tests.interop.networks import NET, same, samples

jax = pytest.importorskip("jax")
bridge = pytest.importorskip("pyham.interop.jax")

from pyham.engines.compiled.engine import Compiled  # noqa: E402
from tests.interop.jax_functions import both_callbacks, double_precision, passes_of  # noqa: E402, F401

jnp = jax.numpy

F, PARAMS = bridge.to_jax(NET), dict(NET.params)


@pytest.fixture
def calls(monkeypatch):
    """How many samples each call of the engine had."""
    found = []
    for name in ("forward", "gradient"):
        own = getattr(Compiled, name)

        def counted(self, stages, x, *rest, own=own):
            found.append(len(x))
            return own(self, stages, x, *rest)

        monkeypatch.setattr(Compiled, name, counted)
    return found


@pytest.mark.usefixtures("both_callbacks")
def test_mapped_samples_are_one_batch(calls):
    x, g = samples(NET.arch)
    y, (delta_0, _) = NET(x), NET.gradient(x, g)[1:3]
    calls.clear()
    same([jax.vmap(F, (None, 0))(PARAMS, x), jax.vmap(F, (None, 1), 1)(PARAMS, x.reshape(2, 3, 4))],
         [y, y.reshape(2, 3, 4)])  # fmt: skip
    twice = jax.vmap(jax.vmap(F, (None, 0)), (None, 0))
    same([jax.jit(twice)(PARAMS, x.reshape(2, 3, 4))], [y.reshape(2, 3, 4)])
    of_one = jax.grad(lambda x, g: F(PARAMS, x) @ g)
    same([jax.jit(jax.vmap(of_one))(x, g)], [delta_0])
    assert calls == [6] * 4  # nobody asks for y where the last gradient is computed
    phi = jax.jit(jax.vmap(jax.jacrev(lambda x: F(PARAMS, x))))(x).swapaxes(1, 2)
    np.testing.assert_allclose(phi, NET.sensitivity(x)[0], rtol=1e-13, atol=1e-14)


@pytest.mark.usefixtures("both_callbacks")
def test_mapped_parameters_and_gradients_of_parameters_one_by_one(calls):
    x, g = samples(NET.arch)
    each = jax.jit(jax.vmap(jax.grad(lambda p, x, g: F(p, x) @ g), (None, 0, 0)))(PARAMS, x, g)
    nets = [NET.arch.init(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *values: np.stack(values), *[dict(net.params) for net in nets])
    assert calls == [1] * 6
    same([jax.vmap(F, (0, None))(stacked, x)], [np.stack([net(x) for net in nets])])
    biases = PARAMS | {"b": stacked["b"]}  # of which one differs, with samples of their own
    y, of_params, of_x = jax.jit(jax.vmap(passes_of(F), ({"Kp": None, "Kq": None, "b": 0}, 0, 0)))(
        biases, x.reshape(3, 2, 4), g.reshape(3, 2, 4)
    )
    for i, net in enumerate(nets):
        rows = slice(2 * i, 2 * i + 2)
        expected = NET.replace({"b": net.params["b"]}).gradient(x[rows], g[rows])
        same([y[i], of_x[i]], [expected.output, expected.input])
        same([of_params[name][i] for name in NET.params], list(expected.params.values()))
    every = jax.vmap(jax.vmap(F, (None, 0)), (0, None))(stacked, x)  # all samples for all parameters
    same([every], [np.stack([net(x) for net in nets])])
    for i, row in enumerate(x):
        expected = NET.gradient(row[None], g[i : i + 1]).params
        same([each[name][i] for name in NET.params], list(expected.values()))


def test_a_training_in_a_scan_is_the_training_by_the_engine():
    x, target = samples(NET.arch)

    def loss(params):
        return ((F(params, x) - target) ** 2).sum() / 2

    def step(params, _):
        value, found = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, d: p - 0.03 * d, params, found), value

    last, losses = jax.jit(lambda params: jax.lax.scan(step, params, length=40))(PARAMS)
    net = NET
    for value in losses:
        y = net(x)
        np.testing.assert_allclose(value, ((y - target) ** 2).sum() / 2, rtol=1e-11)
        found = net.gradient(x, y - target).params
        net = net.replace({name: net.params[name] - 0.03 * found[name] for name in found})
    for name, value in bridge.network(F, last).params.items():
        np.testing.assert_allclose(value, net.params[name], rtol=1e-10, atol=1e-12)
    assert losses[-1] < losses[0] / 2


def test_checkpointed_branched_and_through_a_jitted_function_of_its_own():
    x, g = samples(NET.arch)
    expected = NET.gradient(x, g)

    def branched(p, x):
        return jax.lax.cond(x[0, 0] > -100, lambda: F(p, x), lambda: 2 * F(p, x))

    for function in (jax.checkpoint(F), jax.jit(F), branched):
        y, of_params, of_x = jax.jit(passes_of(function))(PARAMS, x, g)
        same([y, of_x], [expected.output, expected.input])
        same([of_params[name] for name in NET.params], list(expected.params.values()))
    _, pull = jax.vjp(F, PARAMS, x)  # as often as it is called
    same(*[jax.tree.leaves(pull(jnp.asarray(g))) for _ in range(2)])


def test_on_one_device():
    x, g = samples(NET.arch)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    placed = jax.device_put(PARAMS, whole), jax.device_put(x, rows), jax.device_put(g, rows)
    y, of_params, of_x = jax.jit(passes_of(F), out_shardings=(rows, whole, rows))(*placed)
    expected = NET.gradient(x, g)
    same([y, of_x], [expected.output, expected.input])
    same([of_params[name] for name in NET.params], list(expected.params.values()))
    assert y.sharding.is_equivalent_to(rows, y.ndim)


@pytest.mark.usefixtures("both_callbacks")
def test_only_first_derivatives_and_only_backwards():
    x, g = samples(NET.arch)

    def loss(x):
        return (F(PARAMS, x) ** 2).sum()

    for second in (jax.hessian(loss), jax.grad(lambda x: jax.grad(loss)(x).sum()), jax.jit(jax.jacrev(jax.grad(loss)))):
        with pytest.raises(TypeError, match="expected to be differentiated once, got a second time"):
            second(x)
    for forward in (jax.jacfwd(loss), lambda x: jax.jvp(loss, (x,), (g,)), lambda x: jax.linearize(loss, x)[1](g)):
        with pytest.raises(TypeError, match="forward-mode autodiff"):  # JAX's own words
            forward(jnp.asarray(x))

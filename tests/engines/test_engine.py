"""The two engines against each other, at the edges of a batch, in every dtype; and the door to them."""

import threading

import numpy as np
import pytest

import pyham
from pyham.architectures.activations import Activation
from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled import kernels
from tests.oracles.rounding import eps, relative
from tests.oracles.strategies import ACTIVATIONS, VARIANTS, variant

N, n = 3, 6
EDGES = [0, 1, 2, 63, 64, 65, 128, 129, 1025, 2049]  # around tiles of 64 and blocks of whole tiles


def network(key, activation="tanh", depth=N, width=n, dtype=np.float64):
    arch = variant(key, width=width, depth=depth, step=0.2, activation=activation)
    return arch.init(3, initialization="scaled-normal", dtype=dtype)


def results(net, x, g, backend):
    """Everything that an engine computes, by name."""
    trace = net.trace(x, backend=backend)
    adjoint = net.adjoint(trace, g, backend=backend)
    return {
        "output": net(x, backend=backend),
        "states": trace.states,
        "delta": adjoint.delta,
        "phi": net.sensitivity(x, backend=backend),
    } | adjoint.params


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


# The engines against each other


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_compiled_engine_equals_reference(key, dtype, rng):
    x, g = rng.standard_normal((2, 10, n)).astype(dtype)
    for activation in ACTIVATIONS:
        net = network(key, activation)
        fast, plain = (results(net, x, g, backend) for backend in ("numba", "reference"))
        for name, oracle in plain.items():
            # Up to 21 stages, each with products of length 6 and an elementary function good to a few ulp.
            assert relative(fast[name], oracle) <= 50 * eps(dtype), (activation, name)


@pytest.mark.parametrize(
    ("key", "width", "batch"),
    [(key, width, 10) for key in ("H2-semi-implicit-p-first", "MLP", "H1-J2") for width in (2, 8, 16, 34)]
    + [(key, n, batch) for key in ("MS1-verlet-q-first", "MS2", "MLP") for batch in EDGES],
)
def test_compiled_engine_equals_reference_for_other_widths_and_at_the_edges_of_tiles_and_blocks(
    key, width, batch, rng, small_blocks
):
    x, g = rng.standard_normal((2, batch, width))
    net = network(key, width=width)
    assert (compiled._blocks(net.stages(), batch).count > 1) == (batch > 128)
    fast, plain = (results(net, x, g, backend) for backend in ("numba", "reference"))
    for name, oracle in plain.items():
        # As above; a sum of B terms adds an error of at most B eps relative to the sum of their sizes, and in practice
        # sqrt(B) eps.
        assert relative(fast[name], oracle) <= (50 + np.sqrt(batch)) * eps(np.float64), name


@pytest.mark.parametrize("key", ["MS3-yoshida4-p-first", "ResNet"])
def test_samples_do_not_influence_each_other(key, backend, rng):
    net = network(key)
    x, g = rng.standard_normal((2, 130, n))
    whole = results(net, x, g, backend)
    for i in (0, 63, 64, 129):
        alone = results(net, x[i : i + 1], g[i : i + 1], backend)
        for name in ("states", "delta", "phi"):
            # Not bitwise: a product with one row may be summed in another order (BLAS), or without packed arithmetic.
            assert relative(alone[name][:, 0], whole[name][:, i]) <= 50 * eps(np.float64)


@pytest.mark.parametrize("key", ["H2-plain", "MLP"])
def test_gradients_of_a_batch_are_the_sum_of_those_of_its_parts(key, backend, rng):
    net = network(key)
    x, g = rng.standard_normal((2, 200, n))
    whole = results(net, x, g, backend)
    first, second = results(net, x[:77], g[:77], backend), results(net, x[77:], g[77:], backend)
    for name in net.params:
        assert relative(first[name] + second[name], whole[name]) <= (50 + np.sqrt(200)) * eps(np.float64)


# Shapes and dtypes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_shapes_and_dtype_are_those_stated_and_nothing_is_the_identity(key, dtype, backend, rng):
    for batch, depth in ((0, N), (1, N), (5, 0), (0, 0)):
        net = network(key, depth=depth)
        x, g = rng.standard_normal((2, batch, n)).astype(dtype)
        out = results(net, x, g, backend)
        assert {name: value.dtype for name, value in out.items()} == dict.fromkeys(out, np.dtype(dtype))
        assert {name: value.shape for name, value in out.items()} == {
            "output": (batch, n),
            "states": (depth + 1, batch, n),
            "delta": (depth + 1, batch, n),
            "phi": (depth + 1, batch, n, n),
        } | net.arch.shapes
        assert batch or not any(out[name].any() for name in net.params)
        if depth == 0:
            np.testing.assert_array_equal(out["output"], x)
            np.testing.assert_array_equal(out["states"], x[None])
            np.testing.assert_array_equal(out["delta"], g[None])
            np.testing.assert_array_equal(out["phi"], np.broadcast_to(np.eye(n), (1, batch, n, n)))


def test_trace_starts_with_the_input_and_ends_in_the_output(backend, rng):
    x = rng.standard_normal((5, n))
    trace = network("H1-J1").trace(x, backend=backend)
    np.testing.assert_array_equal(trace.states[0], x)
    np.testing.assert_array_equal(trace.output, trace.states[-1])


def test_output_is_no_view_of_the_input(backend, rng):
    x = rng.standard_normal((5, n))
    for depth in (0, N):
        y = network("H1-J1", depth=depth)(x, backend=backend)
        assert not np.shares_memory(x, y)


def test_arguments_are_not_changed(backend, rng):
    net = network("H2-verlet-p-first")
    x, g = rng.standard_normal((2, 70, n))
    x_before, g_before = x.copy(), g.copy()
    trace = net.trace(x, backend=backend)
    states_before = trace.states.copy()
    net.adjoint(trace, g, backend=backend)
    net.sensitivity(x, backend=backend)
    for now, before in ((x, x_before), (g, g_before), (trace.states, states_before)):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x[::-1][::-1]])
def test_memory_layout_of_the_input_does_not_matter(layout, batch, backend, rng):
    net = network("MS3-verlet-p-first")
    x, g = rng.standard_normal((2, batch, n))
    plain, strange = results(net, x, g, backend), results(net, layout(x), layout(g), backend)
    for name, oracle in plain.items():
        assert relative(strange[name], oracle) <= 50 * eps(np.float64)  # BLAS may sum in another order


def test_read_only_inputs_are_taken(backend, rng):
    net = network("H2-plain")
    x = rng.standard_normal((2, n))
    x.flags.writeable = False
    out = results(net, x, x, backend)
    np.testing.assert_array_equal(out["output"], net(x.copy(), backend=backend))


@pytest.mark.parametrize("batch", [1, 2])
def test_kernels_are_compiled_once_for_each_dtype(batch, rng):
    # Numba compiles anew, for seconds, for arguments of another layout, or that may not be written to.
    net = network("H2-plain")
    for x in (rng.standard_normal((batch, n)), np.broadcast_to(rng.standard_normal(n), (batch, n))):
        x.flags.writeable = False
        results(net, x, x, "numba")
        results(net, np.asfortranarray(x)[::-1], x, "numba")
    for kernel in (kernels.forward, kernels.trace, kernels.adjoint, kernels.sensitivity):
        assert len({str(signature[0][0].dtype) for signature in kernel.signatures}) == len(kernel.signatures)


@pytest.mark.parametrize("name", ["sine", "tanh"])
def test_compiled_engine__raises_on_an_activation_of_the_users_own(name, monkeypatch, rng):
    own = Activation(name, np.sin, np.cos, 1.0, lambda a: 1 - np.cos(a))
    monkeypatch.setitem(pyham.ACTIVATIONS, name, own)
    net, x = pyham.ResNet(width=n, depth=N, activation=name).init(0), rng.standard_normal((2, n))
    with pytest.raises(ValueError, match=rf"^activation: .* another function named '{name}'; backend='reference'"):
        net(x, backend="numba")
    stages, y = net.stages(), x
    for A, c, W in zip(stages.A, stages.c, stages.W, strict=True):
        y = y + np.sin(y @ A.T + c) @ W.T
    assert relative(net(x, backend="reference"), y) <= 50 * eps(np.float64)


def test_lists_and_integers_count_as_float64(backend):
    net = network("H2-plain")
    x = [[1, 0, 2, 0, 0, 3]]
    y = net(x, backend=backend)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, net(np.array(x, dtype=float), backend=backend))


def test_trace_of_one_engine_is_taken_by_the_other(rng):
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 70, n))
    for ours, other in (("numba", "reference"), ("reference", "numba")):
        mixed = net.adjoint(net.trace(x, backend=ours), g, backend=other)
        assert relative(mixed.delta, net.adjoint(net.trace(x), g).delta) <= 50 * eps(np.float64)


@pytest.mark.parametrize("key", VARIANTS)
@pytest.mark.parametrize("dtype", [np.complex128, np.longdouble])
def test_reference_works_in_complex_and_longdouble(key, dtype, rng):
    x, g = rng.standard_normal((2, 5, n))
    net = network(key)
    double = results(net, x, g, "reference")
    other = results(net, x.astype(dtype), g.astype(dtype), "reference")
    for name, value in other.items():
        assert value.dtype == dtype
        assert relative(value, double[name].astype(dtype)) <= 50 * eps(np.float64)


@pytest.mark.parametrize("key", ["MS1-yoshida4-p-first", "H1-J2", "MLP"])
def test_longdouble_is_more_accurate_than_double(key, rng):
    x, g = rng.standard_normal((2, 5, n))
    net = network(key)
    fast = results(net, x, g, "numba")
    exact = results(net, x.astype(np.longdouble), g.astype(np.longdouble), "reference")
    errors = [relative(fast[name].astype(np.longdouble), oracle) for name, oracle in exact.items()]
    assert max(errors) <= 50 * eps(np.float64)
    if eps(np.longdouble) < eps(np.float64):
        assert max(errors) > 0


def test_parameters_are_rounded_to_the_dtype_of_x(rng):
    x = rng.standard_normal((5, n)).astype(np.float32)
    net = network("H1-J1")
    rounded = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    assert relative(net(x), rounded(x)) <= 50 * eps(np.float32)
    assert net(x).dtype == np.float32


# Same bits


@pytest.mark.parametrize("key", ["H2-semi-implicit-p-first", "MLP"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_bitwise_the_same_in_every_run(key, dtype, backend, rng):
    net = network(key)
    x, g = rng.standard_normal((2, 1025, n)).astype(dtype)
    assert_same_bits(results(net, x, g, backend), results(net, x, g, backend))


def test_networks_may_be_used_from_many_threads(rng):
    net = network("H2-plain")
    x = rng.standard_normal((300, n))
    expected = net(x)
    outputs = [None] * 8
    start = threading.Barrier(8)

    def work(i):
        start.wait()
        outputs[i] = network("H2-plain")(x) if i % 2 else net(x)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for output in outputs:
        np.testing.assert_array_equal(output, expected)

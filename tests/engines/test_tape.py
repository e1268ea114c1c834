"""Traces and adjoints that compute late, from tapes; columns that fill up a tile; networks run backwards."""

import numpy as np
import pytest

import pyham
from pyham.engines.compiled import dense as compiled
from pyham.engines.results import Trace
from tests.oracles.rounding import eps, relative
from tests.oracles.strategies import VARIANTS, variant

n, N = 6, 20
SHEARS = [key for key, (name, _) in VARIANTS.items() if name in ("MS1", "MS3", "H2")]
OTHERS = [key for key in VARIANTS if key not in SHEARS]


def network(key, depth=N, dtype=np.float64, activation="tanh", step=0.05):
    arch = variant(key, width=n, depth=depth, step=step, activation=activation)
    return arch.init(3, initialization="scaled-normal", dtype=dtype)


# Traces and adjoints


def test_states_and_delta_are_computed_once_and_late(monkeypatch, rng):
    calls = []

    def watch(name, original):
        def watched(*arguments):
            calls.append(name)
            return original(*arguments)

        monkeypatch.setattr(compiled.DENSE, name, watched)

    watch("trace", compiled.DENSE.trace)
    watch("adjoint", compiled.DENSE.adjoint)
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 9, n))
    trace = net.trace(x)
    adjoint = net.adjoint(trace, g)
    assert (trace.output.shape, adjoint.input.shape, repr(trace)[:6]) == ((9, n), (9, n), "<Trace")
    assert calls == []
    assert adjoint.delta is adjoint.delta
    assert calls == ["trace", "adjoint"]
    assert trace.states is trace.states
    assert calls == ["trace", "adjoint"]


@pytest.mark.parametrize("tape", [0, 32 << 20])
def test_states_and_delta_do_not_depend_on_what_becomes_of_x_and_g(tape, backend, monkeypatch, rng):
    monkeypatch.setattr(compiled, "TAPE", tape)
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 9, n))
    before = net.adjoint(net.trace(x, backend=backend), g, backend=backend)
    expected = before.delta
    given, start = x.copy(), g.copy()
    trace = net.trace(given, backend=backend)
    given[:] = np.nan
    adjoint = net.adjoint(trace, start, backend=backend)
    start[:] = np.nan
    np.testing.assert_array_equal(adjoint.delta, expected)
    np.testing.assert_array_equal(trace.states[0], x)
    np.testing.assert_array_equal(adjoint.input, before.input)
    for name, value in adjoint.params.items():
        np.testing.assert_array_equal(value, before.params[name])


def test_late_results_are_consistent_with_early_ones(backend, rng):
    for key in VARIANTS:
        net = network(key)
        x, g = rng.standard_normal((2, 70, n))
        trace = net.trace(x, backend=backend)
        adjoint = net.adjoint(trace, g, backend=backend)
        np.testing.assert_array_equal(trace.states[-1], trace.output)
        np.testing.assert_array_equal(adjoint.delta[0], adjoint.input)
        np.testing.assert_array_equal(adjoint.delta[-1], g)


def test_a_tape_is_not_used_with_another_network_of_the_same_shape(rng):
    net = network("H2-plain")
    other = net.replace({name: -value for name, value in net.params.items()})
    x, g = rng.standard_normal((2, 9, n))
    trace = net.trace(x)
    found = other.adjoint(trace, g)
    expected = other.adjoint(Trace(trace.states), g)
    np.testing.assert_array_equal(found.delta, expected.delta)
    for name, value in found.params.items():
        np.testing.assert_array_equal(value, expected.params[name])
        assert relative(value, net.adjoint(trace, g).params[name]) > 0.01  # the other's, not its own


def test_a_tape_is_not_used_by_another_engine(rng):
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 9, n))
    trace = net.trace(x)
    found = net.adjoint(trace, g, backend="reference")
    expected = net.adjoint(Trace(trace.states), g, backend="reference")
    np.testing.assert_array_equal(found.delta, expected.delta)
    for name, value in found.params.items():
        np.testing.assert_array_equal(value, expected.params[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 70, 300])
@pytest.mark.parametrize("key", VARIANTS)
def test_results_without_a_tape_are_bitwise_those_with_one(key, batch, dtype, small_blocks, monkeypatch, rng):
    net = network(key)
    x, g = rng.standard_normal((2, batch, n)).astype(dtype)
    trace = net.trace(x)
    taped = net.adjoint(trace, g)
    monkeypatch.setattr(compiled, "TAPE", 0)
    for segment in (1, compiled.SEGMENT):
        monkeypatch.setattr(compiled, "SEGMENT", segment)
        without = net.trace(x)
        assert without._tape.recorded is None and trace._tape.recorded is not None
        found = net.adjoint(without, g)
        np.testing.assert_array_equal(without.output, trace.output)
        np.testing.assert_array_equal(found.input, taped.input)
        np.testing.assert_array_equal(found.delta, taped.delta)
        for name, value in found.params.items():
            np.testing.assert_array_equal(value, taped.params[name], err_msg=name)


def test_a_long_tape_is_not_kept(rng):
    net = network("H2-plain", 300)
    per_sample = compiled._recorded(net.stages()) * len(net.stages().A) * 8
    batch = compiled.TAPE // per_sample + 100
    trace = net.trace(rng.standard_normal((batch, n)))
    assert trace._tape.recorded is None


# Columns beyond the batch


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_a_sample_has_the_same_bits_alone_and_among_others(key, dtype, rng):
    """The columns that fill up a tile make no difference, nor does the tile's length."""
    net = network(key)
    x, g = rng.standard_normal((2, 75, n)).astype(dtype)
    trace = net.trace(x)
    adjoint, phi = net.adjoint(trace, g), net.sensitivity(x)
    sums = dict.fromkeys(net.params, 0)
    for i in (0, 31, 63, 64, 74):
        alone = net.trace(x[i : i + 1])
        back = net.adjoint(alone, g[i : i + 1])
        for whole, single in (
            (trace.output[i], alone.output[0]),
            (trace.states[:, i], alone.states[:, 0]),
            (adjoint.input[i], back.input[0]),
            (adjoint.delta[:, i], back.delta[:, 0]),
            (phi[:, i], net.sensitivity(x[i : i + 1])[:, 0]),
        ):
            np.testing.assert_array_equal(whole, single)
    for i in range(75):
        back = net.adjoint(net.trace(x[i : i + 1]), g[i : i + 1])
        sums = {name: sums[name] + value.astype(float) for name, value in back.params.items()}
    for name, value in adjoint.params.items():
        # A product of length n in each term, and 75 terms
        assert np.abs(value - sums[name]).max() <= (50 + 75) * eps(dtype) * np.abs(sums[name]).max(), name


@pytest.mark.parametrize("activation", ["relu", "identity", "softplus"])
@pytest.mark.parametrize("key", ["H2-plain", "H1-J1", "MS2", "ResNet", "MLP"])
def test_samples_that_overflow_do_not_harm_the_columns_beside_them(key, activation, rng):
    """Where states are inf, sums over samples hold NaN only if one of the samples' own do."""
    net = network(key, 8, np.float32, activation, step=1.0)
    huge = net.replace({name: value * np.float32(1e8) for name, value in net.params.items()})
    x, g = rng.standard_normal((2, 11, n)).astype(np.float32)
    stages = huge.stages()
    output, tape = compiled.DENSE.record(stages, x)
    assert not np.isfinite(output).all()
    delta_0, whole = compiled.DENSE.pull(stages, tape, g)
    bad = [np.zeros(array.shape, bool) for array in whole]
    for i in range(len(x)):
        one = slice(i, i + 1)
        alone_output, alone_tape = compiled.DENSE.record(stages, x[one])
        alone, single = compiled.DENSE.pull(stages, alone_tape, g[one])
        np.testing.assert_array_equal(output[one], alone_output)
        np.testing.assert_array_equal(delta_0[one], alone)
        bad = [mask | ~np.isfinite(array) for mask, array in zip(bad, single, strict=True)]
    for array, mask in zip(whole, bad, strict=True):
        np.testing.assert_array_equal(~np.isfinite(array) & ~mask, False)


def test_columns_beyond_the_batch_stay_zero_where_they_would_overflow():
    """Samples that no layer moves, with biases that would send zeros to infinity."""
    K, b = np.broadcast_to(1e10 * np.eye(3), (4, 3, 3)), np.full((4, 3), 1e300)
    net = pyham.Network(pyham.ResNet(3, 4, 1.0, "relu"), {"K": K, "b": b})
    x = np.full((3, 3), -1e295)
    for memory in ("store", "checkpoint"):
        gradient = net.gradient(x, np.ones((3, 3)), memory=memory)
        np.testing.assert_array_equal(gradient.output, x)
        np.testing.assert_array_equal(gradient.input, 1)
        assert not any(value.any() for value in gradient.params.values())  # and no NaN, which is true


# Inverse


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", SHEARS)
def test_inverse_of_the_output_is_the_input(key, dtype, backend, rng):
    for depth, batch in ((N, 70), (N, 0), (0, 3), (1, 1)):
        net = network(key, depth)
        x = rng.standard_normal((batch, n)).astype(dtype)
        states = net.trace(x, backend=backend).states
        back = net.inverse(states[-1], backend=backend)
        assert back.dtype == dtype and not np.shares_memory(back, states)
        # Up to 140 stages round y[dst] once each way, half an eps, with random signs; errors hardly grow for N h <= 1
        assert np.abs(back - x).max(initial=0) <= 50 * eps(dtype) * np.abs(states).max(initial=0)


@pytest.mark.parametrize("key", OTHERS)
def test_inverse__raises_where_stages_cannot_be_undone(key, backend):
    name = VARIANTS[key][0]
    message = rf"^net: expected a network whose stages can be undone \(MS1, MS3, H2\), got {name}$"
    with pytest.raises(ValueError, match=message):
        network(key).inverse(np.ones((2, n)), backend=backend)


def test_inverse__raises_on_wrong_shape(backend):
    with pytest.raises(ValueError, match=r"^y: expected shape \(B, 6\), got \(2, 5\)$"):
        network("H2-plain").inverse(np.ones((2, 5)), backend=backend)

"""Gradients in every kind of memory, from tapes and without: the adjoint's bits, or the drift that they state."""

import numpy as np
import pytest

from pyham.engines import contract
from pyham.engines.compiled import dense as compiled
from pyham.engines.reference import REFERENCE as reference
from pyham.engines.results import Trace
from tests.oracles.passes import network as shallow
from tests.oracles.rounding import eps, relative
from tests.oracles.strategies import ACTIVATIONS, VARIANTS

n, N = 6, 20  # layers: more than are always run again, so that some are rebuilt
SHEARS = [key for key, (name, _) in VARIANTS.items() if name in ("MS1", "MS3", "H2")]
MEMORIES = ("store", "checkpoint", "reversible")
SOME = ["H2-plain", "MS1-yoshida4-p-first", "H1-J2", "MLP"]


def network(key, depth=N, **options):
    return shallow(key, depth, **{"step": 0.05} | options)


def assert_same_bits(gradient, adjoint, output):
    np.testing.assert_array_equal(gradient.output, output, strict=True)
    np.testing.assert_array_equal(gradient.input, adjoint.input, strict=True)
    assert gradient.params.keys() == adjoint.params.keys()
    for name, value in gradient.params.items():
        np.testing.assert_array_equal(value, adjoint.params[name], err_msg=name, strict=True)


def furthest(gradient, other):
    """The largest difference of a parameter's gradient, relative to its largest entry."""
    return max(relative(value, other.params[name]) for name, value in gradient.params.items())


# Everything kept, or some of it


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 70, 300])
@pytest.mark.parametrize("key", VARIANTS)
def test_gradients_with_a_tape_and_without_are_bitwise_that_of_the_adjoint(
    key, batch, dtype, small_blocks, monkeypatch, rng
):
    net = network(key)
    x, g = rng.standard_normal((2, batch, n)).astype(dtype)
    for backend in ("numba", *["reference"] * (batch == 70)):
        trace = net.trace(x, backend=backend)
        adjoint = net.adjoint(trace, g, backend=backend)
        for late, early in (
            (trace.states[-1], trace.output),
            (adjoint.delta[0], adjoint.input),
            (adjoint.delta[-1], g),
        ):
            np.testing.assert_array_equal(late, early)
        for memory in ("store", "checkpoint"):
            gradient = net.gradient(x, g, memory=memory, backend=backend)
            assert_same_bits(gradient, adjoint, trace.output)
            assert gradient.drift is None
    trace = net.trace(x)
    taped = net.adjoint(trace, g)
    monkeypatch.setattr(compiled, "TAPE", 0)
    for segment in (1, compiled.SEGMENT):
        monkeypatch.setattr(compiled, "SEGMENT", segment)
        without = net.trace(x)
        assert without._tape[1] is None and trace._tape[1] is not None
        found = net.adjoint(without, g)
        assert_same_bits(net.gradient(x, g), found, without.output)
        assert_same_bits(net.gradient(x, g), taped, trace.output)
        np.testing.assert_array_equal(found.delta, taped.delta)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_long_tape_is_not_kept(dtype, monkeypatch, rng):
    net, x = network("H2-plain", 3), rng.standard_normal((100, n)).astype(dtype)
    blocks = compiled._blocks(net.stages(dtype), 100)
    size = blocks.tiles * blocks.tile * 2 * 3 * (3 + 3) * x.itemsize  # two stages in each layer, k = r = 3
    for limit, kept in ((size, True), (size - 1, False)):
        monkeypatch.setattr(compiled, "TAPE", limit)
        _, tape = net.trace(x)._tape
        assert (tape is not None) == kept
        assert not kept or len(tape.array) == size // x.itemsize + 64 // x.itemsize  # room for its alignment


def test_states_and_delta_are_computed_once_and_late(monkeypatch, rng):
    calls = []
    for name in ("trace", "adjoint"):
        original = getattr(compiled.DENSE, name)
        monkeypatch.setattr(compiled.DENSE, name, lambda *a, n=name, f=original: calls.append(n) or f(*a))
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 9, n))
    trace = net.trace(x)
    adjoint = net.adjoint(trace, g)
    assert trace.output.shape == adjoint.input.shape == (9, n)
    assert calls == []
    assert adjoint.delta is adjoint.delta and trace.states is trace.states
    assert calls == ["trace", "adjoint"]


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_a_tape_is_not_used_with_another_network_nor_by_another_engine(backend, rng):
    net = network("H2-plain")
    other = net.replace({name: -value for name, value in net.params.items()}) if backend == "numba" else net
    x, g = rng.standard_normal((2, 9, n))
    trace = net.trace(x)
    found, expected = (other.adjoint(passed, g, backend=backend) for passed in (trace, Trace(trace.states)))
    assert_same_bits(net.gradient(x, g)._replace(params=found.params, input=found.input), expected, trace.output)
    np.testing.assert_array_equal(found.delta, expected.delta)
    assert backend == "reference" or furthest(found, net.adjoint(trace, g)) > 0.01  # the other's, not its own


def test_an_engine_of_ones_own_has_all_kinds_of_memory(rng):
    """Without functions of its own for them."""

    class Own(contract.Engine):
        forward, trace, adjoint, sensitivity = map(
            staticmethod, (reference.forward, reference.trace, reference.adjoint, reference.sensitivity)
        )

    net = network("H2-plain")
    x, g = rng.standard_normal((2, 5, n))
    for memory in MEMORIES:
        own, plain = (net.gradient(x, g, memory=memory, backend=backend) for backend in (Own(), "reference"))
        assert_same_bits(own, plain, plain.output)
    np.testing.assert_array_equal(net.inverse(x, backend=Own()), net.inverse(x, backend="reference"))


# States rebuilt


@pytest.mark.parametrize(
    ("key", "backend", "dtype"),
    [(key, "numba", dtype) for key in SHEARS for dtype in (np.float32, np.float64)]
    + [(key, "reference", (np.float32, np.float64)[i % 2]) for i, key in enumerate(SHEARS)],  # Python takes its time
)
def test_gradient_from_rebuilt_states_is_that_of_the_adjoint_but_for_the_drift(key, dtype, backend, rng):
    net = network(key)
    x, g = rng.standard_normal((2, 70 if backend == "numba" else 5, n)).astype(dtype)
    trace = net.trace(x, backend=backend)
    adjoint = net.adjoint(trace, g, backend=backend)
    gradient = net.gradient(x, g, memory="reversible", backend=backend)
    assert gradient.drift.kept == 0 and gradient.drift.error > 0  # all states were rebuilt, and not exactly
    if backend == "numba":
        np.testing.assert_array_equal(gradient.output, trace.output)
    else:  # each sample by itself: BLAS may sum in another order
        assert relative(gradient.output, trace.output) <= 50 * eps(dtype)
    # A rebuilt state is off by the drift, which so counts as the rounding of a state: each changes a gradient's factors
    # (delta, sigma', s, y) by as much, times a Lipschitz constant near 1. 50 of them, as between the two engines.
    tolerance = 50 * (eps(dtype) + gradient.drift.error)
    assert tolerance < 1e4 * eps(dtype)  # far below the gradients themselves
    assert relative(gradient.input, adjoint.input) <= tolerance
    assert furthest(gradient, adjoint) <= tolerance


@pytest.mark.parametrize("depth", [0, 1, 2, 16, 17, 40])
@pytest.mark.parametrize("key", ["H2-plain", "MS3-verlet-q-first"])
def test_nothing_rebuilt_is_everything_stored(key, depth, rng):
    net = network(key, depth)
    for batch in (0, 1, 7, 64, 65, 129):
        x, g = rng.standard_normal((2, batch, n))
        kept = net.gradient(x, g, memory="reversible", budget=0)
        store = net.gradient(x, g)
        assert_same_bits(kept, store, store.output)
        assert kept.drift.error == kept.drift.budget == 0
        assert kept.drift.most == (int(np.ceil(np.log2(max(1, depth / contract.SHORTEST)))) if batch else 0)


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


# Samples beside each other


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_a_sample_has_the_same_bits_alone_and_among_others(key, dtype, rng):
    """The columns that fill up a tile make no difference, nor does the tile's length."""
    net = network(key)
    x, g = rng.standard_normal((2, 75, n)).astype(dtype)
    trace = net.trace(x)
    adjoint, phi = net.adjoint(trace, g), net.sensitivity(x)
    sums = dict.fromkeys(net.params, 0)
    for i in range(75):
        alone = net.trace(x[i : i + 1])
        back = net.adjoint(alone, g[i : i + 1])
        sums = {name: sums[name] + value.astype(float) for name, value in back.params.items()}
        np.testing.assert_array_equal(adjoint.input[i], back.input[0])
        if i in (0, 31, 63, 64, 74):
            for whole, single in ((trace.states, alone.states), (adjoint.delta, back.delta)):
                np.testing.assert_array_equal(whole[:, i], single[:, 0])
            np.testing.assert_array_equal(phi[:, i], net.sensitivity(x[i : i + 1])[:, 0])
    for name, value in adjoint.params.items():
        # A product of length n in each term, and 75 terms
        assert np.abs(value - sums[name]).max() <= (50 + 75) * eps(dtype) * np.abs(sums[name]).max(), name


def passes(engine, stages, x, g, budget):
    """(delta_0, sums) of all kinds of memory, when the engine is called directly, without the network's checks."""
    with np.errstate(all="ignore"):
        found = {"store": engine.checkpointed(stages, x, g, stages.depth)[1:]}
        found["checkpoint"] = engine.checkpointed(stages, x, g, 4)[1:]
        if stages.shears:
            found["reversible"] = engine.reversible(stages, x, g, budget, 2)[1:3]
        found["tape"] = engine.back(stages, engine.run(stages, x), g)[1:]
        phi = engine.sensitivities(stages, x)
        found["states"] = engine.forward(stages, x), (phi,)
    return found


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "g"])
@pytest.mark.parametrize("engine", [compiled.DENSE, reference], ids=["numba", "reference"])
@pytest.mark.parametrize(("key", "activation"), [*zip(SOME * 2, ACTIVATIONS * 2, strict=False)])
def test_bad_numbers_stay_in_their_sample_and_show_in_the_sums(key, activation, engine, where, bad, rng):
    stages = network(key, 6, activation=activation).stages()
    x, g = rng.standard_normal((2, 70 if engine is compiled.DENSE else 7, n))
    row = len(x) // 2
    others = np.arange(len(x)) != row
    bad_x, bad_g = x.copy(), g.copy()
    (bad_x if where == "x" else bad_g)[row, 3] = bad
    oracle = passes(reference, stages, bad_x, bad_g, 0.0)
    for budget in (0.0, 1e-8):
        clean, dirty = passes(engine, stages, x, g, budget), passes(engine, stages, bad_x, bad_g, budget)
        for memory, (delta_0, gradients) in dirty.items():
            right, sums = oracle[memory]
            if memory == "reversible" and budget:  # the tile of the bad sample is run again, not rebuilt
                assert relative(delta_0[others], clean[memory][0][others]) <= 1e3 * budget
            else:
                np.testing.assert_array_equal(delta_0[others], clean[memory][0][others], err_msg=memory)
            if memory == "states":
                np.testing.assert_array_equal(gradients[0][:, others], clean[memory][1][0][:, others])
            if where == "g" and memory != "states":
                assert not np.isfinite(delta_0[row]).all(), memory
                assert not all(np.isfinite(array).all() for array in gradients), memory
            elif where == "x":
                for found, array in zip((delta_0, *gradients), (right, *sums), strict=True):
                    np.testing.assert_array_equal(np.isnan(found), np.isnan(array), err_msg=memory)


@pytest.mark.parametrize("activation", ["relu", "identity", "softplus"])
@pytest.mark.parametrize("key", ["H2-plain", "H1-J1", "MS2", "ResNet", "MLP"])
def test_samples_that_overflow_do_not_harm_the_columns_beside_them(key, activation, rng):
    """Where states are inf, sums over samples hold NaN only if one of the samples' own do."""
    net = network(key, 8, dtype=np.float32, activation=activation, step=1.0)
    stages = net.replace({name: value * np.float32(1e8) for name, value in net.params.items()}).stages()
    x, g = rng.standard_normal((2, 11, n)).astype(np.float32)

    def both(rows):
        trace = compiled.DENSE.run(stages, x[rows])
        return trace.output, *compiled.DENSE.back(stages, trace, g[rows])[1:]

    output, delta_0, whole = both(slice(None))
    assert not np.isfinite(output).all()
    bad = [np.zeros(array.shape, bool) for array in whole]
    for i in range(len(x)):
        alone_output, alone, single = both(slice(i, i + 1))
        np.testing.assert_array_equal(output[i], alone_output[0])
        np.testing.assert_array_equal(delta_0[i], alone[0])
        bad = [mask | ~np.isfinite(array) for mask, array in zip(bad, single, strict=True)]
    for array, mask in zip(whole, bad, strict=True):
        assert not (~np.isfinite(array) & ~mask).any()

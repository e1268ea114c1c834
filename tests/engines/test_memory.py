"""net.gradient in every kind of memory: the adjoint's bits, or the drift that it states; and what it refuses."""

import numpy as np
import pytest

from pyham.engines import contract
from pyham.engines.compiled import dense as compiled
from pyham.engines.reference import REFERENCE as reference
from tests.oracles.refusals import refused
from tests.oracles.rounding import eps, relative
from tests.oracles.strategies import ACTIVATIONS, VARIANTS, variant

n, N = 6, 20  # layers: more than are always run again, so that some are rebuilt
SHEARS = [key for key, (name, _) in VARIANTS.items() if name in ("MS1", "MS3", "H2")]
OTHERS = [key for key in VARIANTS if key not in SHEARS]
MEMORIES = ("store", "checkpoint", "reversible")
SOME = ["H2-plain", "MS1-yoshida4-p-first", "H1-J2", "MLP"]


def network(key, depth=N, dtype=np.float64, activation="tanh", step=0.05):
    arch = variant(key, width=n, depth=depth, step=step, activation=activation)
    return arch.init(3, initialization="scaled-normal", dtype=dtype)


def assert_same_bits(gradient, adjoint, output):
    np.testing.assert_array_equal(gradient.output, output, strict=True)
    np.testing.assert_array_equal(gradient.input, adjoint.input, strict=True)
    assert gradient.params.keys() == adjoint.params.keys()
    for name, value in gradient.params.items():
        np.testing.assert_array_equal(value, adjoint.params[name], err_msg=name, strict=True)


def furthest(gradient, other):
    """The largest difference of a parameter's gradient, relative to its largest entry."""
    return max(relative(value, other.params[name]) for name, value in gradient.params.items())


# Gradients


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_gradient_is_bitwise_that_of_the_adjoint(key, dtype, backend, rng):
    net = network(key)
    x, g = rng.standard_normal((2, 70, n)).astype(dtype)
    trace = net.trace(x, backend=backend)
    adjoint = net.adjoint(trace, g, backend=backend)
    for memory in ("store", "checkpoint"):
        gradient = net.gradient(x, g, memory=memory, backend=backend)
        assert_same_bits(gradient, adjoint, trace.output)
        assert gradient.drift is None


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
    for name, value in gradient.params.items():
        assert relative(value, adjoint.params[name]) <= tolerance, name


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


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("batch", [0, 1, 7, 65])
def test_shapes_and_dtype_are_those_of_the_adjoint(batch, memory, backend, rng):
    for depth in (0, 1, 20):
        for dtype in (np.float32, np.float64):
            net = network("H2-plain", depth)
            x, g = rng.standard_normal((2, batch, n)).astype(dtype)
            gradient = net.gradient(x, g, memory=memory, backend=backend)
            assert gradient.output.shape == gradient.input.shape == (batch, n)
            assert {name: value.shape for name, value in gradient.params.items()} == net.arch.shapes
            arrays = (gradient.output, gradient.input, *gradient.params.values())
            assert {array.dtype for array in arrays} == {np.dtype(dtype)}
            if depth == 0:
                np.testing.assert_array_equal(gradient.output, x)
                np.testing.assert_array_equal(gradient.input, g)
                assert not any(np.shares_memory(a, b) for a in arrays for b in (x, g))
            if batch == 0:
                assert not any(value.any() for value in gradient.params.values())


@pytest.mark.parametrize("memory", MEMORIES)
def test_g_may_be_a_function_of_the_output(memory, backend, rng):
    net = network("H2-plain")
    x, target = rng.standard_normal((2, 9, n))
    late = net.gradient(x, lambda y: y - target, memory=memory, backend=backend)
    early = net.gradient(x, net(x, backend=backend) - target, memory=memory, backend=backend)
    assert_same_bits(late, early, early.output)


@pytest.mark.parametrize("memory", MEMORIES)
def test_gradient_leaves_its_arguments_alone(memory, backend, rng):
    net = network("H2-plain")
    x, g = rng.standard_normal((2, 70 if backend == "numba" else 5, n))
    for array in (x, g):
        array.flags.writeable = False
    before = x.copy(), g.copy()
    plain = net.gradient(x, g, memory=memory, backend=backend)
    np.testing.assert_array_equal((x, g), before)
    strange = net.gradient(np.asfortranarray(x), np.repeat(g, 2, axis=0)[::2], memory=memory, backend=backend)
    assert relative(strange.input, plain.input) <= 50 * eps(np.float64)  # BLAS may sum in another order
    assert furthest(strange, plain) <= 50 * eps(np.float64)


def test_longdouble_gradients_are_those_of_the_reference(rng):
    net = network("MS3-verlet-p-first")
    x, g = rng.standard_normal((2, 5, n)).astype(np.longdouble)
    exact = net.adjoint(net.trace(x, backend="reference"), g, backend="reference")
    for memory in MEMORIES:
        gradient = net.gradient(x, g, memory=memory, backend="reference")
        assert {value.dtype for value in gradient.params.values()} == {np.dtype(np.longdouble)}
        assert max(relative(gradient.params[name], value) for name, value in exact.params.items()) <= eps(np.float64)


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


# NaN and inf


def passes(engine, stages, x, g, budget):
    """(delta_0, sums) of all kinds of memory, when the engine is called directly."""
    with np.errstate(all="ignore"):
        found = {"store": engine.checkpointed(stages, x, g, stages.depth)[1:]}
        found["checkpoint"] = engine.checkpointed(stages, x, g, 4)[1:]
        if stages.shears:
            found["reversible"] = engine.reversible(stages, x, g, budget, 2)[1:3]
        found["tape"] = engine.back(stages, engine.run(stages, x), g)[1:]
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
    for budget in (0.0, 1e-8):
        clean = passes(engine, stages, x, g, budget)
        bad_x, bad_g = x.copy(), g.copy()
        (bad_x if where == "x" else bad_g)[row, 3] = bad
        dirty = passes(engine, stages, bad_x, bad_g, budget)
        with np.errstate(all="ignore"):
            oracle, sums = reference.adjoint(stages, reference.trace(stages, bad_x), bad_g)
        for memory, (delta_0, gradients) in dirty.items():
            if memory == "reversible" and budget:  # the tile of the bad sample is run again, not rebuilt
                assert relative(delta_0[others], clean[memory][0][others]) <= 1e3 * budget
            else:
                np.testing.assert_array_equal(delta_0[others], clean[memory][0][others], err_msg=memory)
            if where == "g":
                assert not np.isfinite(delta_0[row]).all(), memory
                assert not all(np.isfinite(array).all() for array in gradients), memory
            else:
                np.testing.assert_array_equal(np.isnan(delta_0), np.isnan(oracle[0]), err_msg=memory)
                for found, right in zip(gradients, sums, strict=True):
                    np.testing.assert_array_equal(np.isnan(found), np.isnan(right), err_msg=memory)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradient__raises_on_numbers_that_are_not_finite(bad, backend, rng):
    net = network("H2-plain")
    x = rng.standard_normal((3, n))
    wrong = x.copy()
    wrong[1, 2] = bad
    for memory in MEMORIES:
        for argument, x_given, g in (("x", wrong, x), ("g", x, wrong), ("g", x, lambda y: wrong)):
            with pytest.raises(
                ValueError, match=rf"^{argument}: expected finite numbers, got {bad} at index \(1, 2\)$"
            ):
                net.gradient(x_given, g, memory=memory, backend=backend)
    with pytest.raises(ValueError, match=rf"^y: expected finite numbers, got {bad} at index \(1, 2\)$"):
        net.inverse(wrong, backend=backend)


# What is refused


X = np.ones((2, n))
DTYPES = r"x: expected float32 or float64 for backend='numba', got {}; backend='reference' .*"
REAL = r"g: expected a real dtype, as the trace is float64, got complex128"
BUDGET = "budget: expected a number >= 0, got {}"
OF_MEMORY = "memory: expected one of 'store', 'checkpoint', 'reversible', got {}"


def gradient(given):
    """net.gradient of ones, but for what is given."""
    return network(given.pop("key", "H2-plain")).gradient(**{"x": X, "g": X} | given)


def refusals():
    for backend in ("numba", "reference"):
        for key in OTHERS:
            message = f"memory: expected 'store' or 'checkpoint' for {VARIANTS[key][0]}, got 'reversible'"
            yield {"key": key, "memory": "reversible"}, backend, ValueError, message
        yield {"g": X * 1j}, backend, TypeError, REAL
        yield {"memory": "disk"}, backend, ValueError, OF_MEMORY.format("'disk'")
        yield {"memory": None}, backend, TypeError, OF_MEMORY.format("NoneType")
        for memory in ("store", "checkpoint"):
            message = f"budget: expected none for memory='{memory}', got 0.1"
            yield {"memory": memory, "budget": 0.1}, backend, ValueError, message
        for budget in (-1, -1e-300, np.nan, -np.inf):
            yield {"memory": "reversible", "budget": budget}, backend, ValueError, BUDGET.format(budget)
        for budget in ("0", True, [0], 1j):
            message = BUDGET.format(type(budget).__name__)
            yield {"memory": "reversible", "budget": budget}, backend, TypeError, message
        for g, came in ((np.ones((3, n)), r"\(3, 6\)"), (lambda y: y[:-1], r"\(1, 6\)"), (1.0, r"\(\)")):
            yield {"g": g}, backend, ValueError, rf"g: expected shape \(2, 6\), got {came}"
    for dtype in (np.complex64, np.complex128):
        for memory in MEMORIES:
            message = f"x: expected a real floating dtype, got {np.dtype(dtype)}"
            yield {"x": X.astype(dtype), "g": X.astype(dtype), "memory": memory}, "reference", TypeError, message


test_what_is_refused = refused(
    [(gradient, given | {"backend": backend}, *rest) for given, backend, *rest in refusals()]
    + [
        (function, X.astype(dtype), TypeError, DTYPES.format(np.dtype(dtype)))
        for function in (lambda x: network("H2-plain").gradient(x, x), lambda x: network("H2-plain").inverse(x))
        for dtype in (np.longdouble, np.float16)
    ]
)

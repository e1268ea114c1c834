"""What engines make of numbers that are not finite, and what they refuse."""

import re
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

import pyham
from pyham.engines import choice
from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE as reference
from pyham.engines.reference import Reference
from tests.engines.test_engine import N, n, network
from tests.oracles.refusals import refused
from tests.oracles.strategies import ACTIVATIONS, NAMES

# NaN and inf


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_network__raises_on_x_that_is_not_finite(bad, backend, rng):
    net = network("H2-plain")
    x = rng.standard_normal((3, n))
    x[1, 2] = bad
    for function in (net, net.trace, net.sensitivity):
        with pytest.raises(ValueError, match=rf"^x: expected finite numbers, got {bad} at index \(1, 2\)$"):
            function(x, backend=backend)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_adjoint__raises_on_g_that_is_not_finite(bad, backend, rng):
    net = network("H2-plain")
    g = rng.standard_normal((3, n))
    g[2, 0] = bad
    with pytest.raises(ValueError, match=rf"^g: expected finite numbers, got {bad} at index \(2, 0\)$"):
        net.adjoint(net.trace(np.ones((3, n)), backend=backend), g, backend=backend)


def below(module, stages, x, g):
    """What the engine computes when it is called directly, without the Network's checks."""
    with np.errstate(invalid="ignore"):  # inf - inf in NumPy's products
        states = module.trace(stages, x)
        delta, gradients = module.adjoint(stages, states, g)
        return {
            "output": module.forward(stages, x),
            "states": states,
            "delta": delta,
            "phi": module.sensitivity(stages, states),
        }, gradients._asdict()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("key", ["H2-plain", "MS1-yoshida4-p-first", "H1-J2", "MLP"])
def test_bad_numbers_stay_in_their_sample_and_both_engines_pass_them_on_alike(key, activation, bad, rng):
    stages = network(key, activation).stages()
    x, g = rng.standard_normal((2, 70, n))
    others, found = np.arange(70) != 40, []
    bad_x = x.copy()
    bad_x[40, 3] = bad
    for engine in (compiled.DENSE, reference):
        clean, _ = below(engine, stages, x, g)
        dirty, gradients = below(engine, stages, bad_x, g)
        for name in clean:
            axis = 0 if name == "output" else 1
            here, there = (value[name].compress(others, axis) for value in (dirty, clean))
            np.testing.assert_array_equal(here, there, err_msg=name)
        assert not np.isfinite(dirty["states"][0, 40]).all()
        if np.isnan(bad):
            assert np.isnan(dirty["output"][40]).any()
            assert np.isnan(gradients["W"]).any()  # a sum over samples tells of it
        found.append(dirty | gradients)
    fast, plain = found
    for name, oracle in plain.items():
        np.testing.assert_array_equal(np.isnan(fast[name]), np.isnan(oracle), err_msg=name)
        np.testing.assert_array_equal(np.isinf(fast[name]), np.isinf(oracle), err_msg=name)


@pytest.mark.parametrize("module", [compiled.DENSE, reference], ids=["numba", "reference"])
@pytest.mark.parametrize("key", ["H2-plain", "MLP"])
def test_nan_in_the_output_gradient_stays_in_its_sample(key, module, rng):
    stages = network(key).stages()
    x, g = rng.standard_normal((2, 70, n))
    clean, _ = below(module, stages, x, g)
    g[40, 3] = np.nan
    dirty, gradients = below(module, stages, x, g)
    others = np.arange(70) != 40
    np.testing.assert_array_equal(dirty["delta"][:, others], clean["delta"][:, others])
    assert np.isnan(dirty["delta"][:, 40]).any(axis=-1).all()
    assert all(np.isnan(value).any() for value in gradients.values())


# The door


@pytest.mark.parametrize("name", ["numba", "reference"])
def test_select_by_name(name):
    assert choice.select(name, np.dtype(np.float64)) is {"numba": COMPILED, "reference": reference}[name]


def test_an_engine_of_ones_own_is_taken(rng):
    calls = []

    class Own(Reference):
        def forward(self, stages, x):
            calls.append((stages, x))
            return x + 1

    own = Own()
    net = network("H2-plain")
    x = rng.standard_normal((2, n))
    np.testing.assert_array_equal(net(x, backend=own), x + 1)
    assert calls[0][0] is net.stages()


NET, ONES = network("H2-plain"), np.ones((3, n))
COMPLEX = [pyham.architecture(name, width=n, depth=N).init(0, dtype=np.complex128) for name in NAMES]
ENGINES = ("numba", "reference")


def refusals():
    for dtype in (np.complex128, np.longdouble, np.float16):
        message = f"x: expected float32 or float64 for backend='numba', got {np.dtype(dtype)}; backend='reference' .*"
        for function in (NET, NET.trace, NET.sensitivity):
            yield function, ONES.astype(dtype), TypeError, message
    for wrong in ("torch", "Numba", ""):
        message = f"backend: expected one of 'numba', 'reference', got '{wrong}'"
        yield lambda backend: NET(ONES, backend=backend), wrong, ValueError, message
    for wrong in (None, 1, SimpleNamespace(forward=reference.forward)):
        message = f"backend: expected 'numba', 'reference' or an engine, got {type(wrong).__name__}"
        yield lambda backend: NET(ONES, backend=backend), wrong, TypeError, message
    for shape in ((5, 3), (n,), (1, 5, n), ()):
        message = rf"[xy]: expected shape \(B, {n}\), got {re.escape(str(shape))}"
        yield NET.energy, np.ones(shape), ValueError, message
        for function, backend in product((NET, NET.trace, NET.sensitivity), ENGINES):
            yield partial(function, backend=backend), np.ones(shape), ValueError, message
    for wrong in (None, "x", [["a"] * n], np.full((1, n), None)):
        yield NET, wrong, TypeError, "x: expected numbers, got dtype .*"
    yield NET, [[1, 2], [3]], ValueError, r"x: expected shape \(B, 6\), got nested sequences of unequal lengths"
    for backend in ENGINES:
        trace, other = (net.trace(ONES, backend=backend) for net in (NET, network("H2-plain", depth=N + 1)))
        against = partial(NET.adjoint, g=ONES, backend=backend)
        yield partial(NET.adjoint, trace), ONES[:2], ValueError, r"g: expected shape \(3, 6\), got \(2, 6\)"
        yield against, other, ValueError, r"trace: expected shape \(4, B, 6\), got \(5, 3, 6\)"
        yield against, np.ones((4, 3, n)), TypeError, "trace: expected the Trace of a forward pass, got ndarray"
    message = "g: expected a real dtype, as the trace is float64, got complex128"
    yield partial(NET.adjoint, trace, backend="reference"), ONES * 1j, TypeError, message
    for net in COMPLEX:
        message = "x: expected a complex dtype, as the parameters are complex128, got float64"
        yield partial(net, backend="reference"), ONES, TypeError, message


test_what_is_refused = refused(list(refusals()))

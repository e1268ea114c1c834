"""What a network refuses of its arguments, of whatever function, and the engines that it takes."""

import re
from functools import partial
from itertools import product
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

import pyham
from pyham import _check
from pyham._check import multiprecision
from pyham.engines import choice
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE, Reference
from pyham.engines.results import Trace
from tests.oracles.passes import network
from tests.oracles.refusals import refused
from tests.oracles.strategies import NAMES, VARIANTS

N, n = 3, 6
NET, ONES, ENGINES = network("H2-plain"), np.ones((3, n)), ("numba", "reference")
MEMORIES = ("store", "checkpoint", "reversible")
COMPLEX = [pyham.architecture(name, width=n, depth=N).init(0, dtype=np.complex128) for name in NAMES]
DIGITS = multiprecision(np.arange(1.0, 13).reshape(2, n))
OF_DTYPE = "x: expected float32 or float64 for backend='numba', got {}; backend='reference' .*"


def gradient(given):
    """net.gradient of ones, but for what is given."""
    return network(given.pop("key", "H2-plain")).gradient(**{"x": ONES, "g": ONES} | given)


def of_gradient(backend):
    def row(error, message, **given):
        return gradient, given | {"backend": backend}, error, message

    for key, (name, _) in VARIANTS.items():
        if not network(key).stages().shears:
            message = f"memory: expected 'store' or 'checkpoint' for {name}, got 'reversible'"
            yield row(ValueError, message, key=key, memory="reversible")
            message = rf"net: expected a network whose stages can be undone \(MS1, MS3, H2\), got {name}"
            yield partial(network(key).inverse, backend=backend), ONES, ValueError, message
    for memory, error, came in (("disk", ValueError, "'disk'"), (None, TypeError, "NoneType")):
        message = f"memory: expected one of 'store', 'checkpoint', 'reversible', got {came}"
        yield row(error, message, memory=memory)
    for memory in ("store", "checkpoint"):
        message = f"budget: expected none for memory='{memory}', got 0.1"
        yield row(ValueError, message, memory=memory, budget=0.1)
    for budget in (-1, -1e-300, np.nan, -np.inf, "0", True, [0], 1j):
        wrong = isinstance(budget, (int, float)) and budget is not True
        message = f"budget: expected a number >= 0, got {budget if wrong else type(budget).__name__}"
        yield row(ValueError if wrong else TypeError, message, memory="reversible", budget=budget)
    for g, came in ((np.ones((4, n)), r"\(4, 6\)"), (lambda y: y[:-1], r"\(2, 6\)"), (1.0, r"\(\)")):
        yield row(ValueError, rf"g: expected shape \(3, 6\), got {came}", g=g)
    yield row(TypeError, "g: expected a real dtype, as the trace is float64, got complex128", g=ONES * 1j)
    for dtype, memory in product((np.complex64, np.complex128), MEMORIES):
        if backend == "reference":
            message = f"x: expected a real floating dtype, got {np.dtype(dtype)}"
            yield row(TypeError, message, x=ONES.astype(dtype), g=ONES.astype(dtype), memory=memory)
    for bad, memory in product((np.nan, np.inf, -np.inf), MEMORIES):
        wrong = np.where(np.arange(3 * n).reshape(3, n) == 8, bad, ONES)
        message = rf"{{}}: expected finite numbers, got {bad} at index \(1, 2\)"
        yield row(ValueError, message.format("x"), x=wrong, memory=memory)
        yield row(ValueError, message.format("g"), g=wrong, memory=memory)
        yield row(ValueError, message.format("g"), g=lambda y, wrong=wrong: wrong, memory=memory)
        for function in (NET, NET.trace, NET.sensitivity, NET.inverse):
            yield partial(function, backend=backend), wrong, ValueError, message.format("[xy]")
        yield partial(NET.adjoint, NET.trace(ONES, backend=backend)), wrong, ValueError, message.format("g")


def refusals():
    for dtype in (np.complex128, np.longdouble, np.float16):
        for function in (NET, NET.trace, NET.sensitivity, NET.inverse, lambda x: NET.gradient(x, x)):
            yield function, ONES.astype(dtype), TypeError, OF_DTYPE.format(np.dtype(dtype))
    for wrong in ("torch", "Numba", ""):
        message = f"backend: expected one of 'numba', 'reference', got '{wrong}'"
        yield lambda backend: NET(ONES, backend=backend), wrong, ValueError, message
    for wrong in (None, 1, SimpleNamespace(forward=REFERENCE.forward)):
        message = f"backend: expected 'numba', 'reference' or an engine, got {type(wrong).__name__}"
        yield lambda backend: NET(ONES, backend=backend), wrong, TypeError, message
    for shape in ((5, 3), (n,), (1, 5, n), ()):
        message = rf"[xy]: expected shape \(B, {n}\), got {re.escape(str(shape))}"
        yield NET.energy, np.ones(shape), ValueError, message
        for function, backend in product((NET, NET.trace, NET.sensitivity, NET.inverse), ENGINES):
            yield partial(function, backend=backend), np.ones(shape), ValueError, message
    for wrong in (None, "x", [["a"] * n], np.full((1, n), None)):
        yield NET, wrong, TypeError, "x: expected numbers, got dtype .*"
    yield NET, [[1, 2], [3]], ValueError, r"x: expected shape \(B, 6\), got nested sequences of unequal lengths"
    for backend in ENGINES:
        yield from of_gradient(backend)
        trace, other = (net.trace(ONES, backend=backend) for net in (NET, network("H2-plain", N + 1)))
        against = partial(NET.adjoint, g=ONES, backend=backend)
        yield partial(NET.adjoint, trace), ONES[:2], ValueError, r"g: expected shape \(3, 6\), got \(2, 6\)"
        yield against, other, ValueError, r"trace: expected shape \(4, B, 6\), got \(5, 3, 6\)"
        yield against, np.ones((4, 3, n)), TypeError, "trace: expected the Trace of a forward pass, got ndarray"
        layers = partial(lambda backend, layers: NET.sensitivity(ONES, layers=layers, backend=backend), backend)
        for wrong in (N + 1, 1000):
            yield layers, [0, wrong], ValueError, f"layers: expected integers from {-N - 1} to {N}, got {wrong}"
        yield layers, [0, -N - 2], ValueError, f"layers: expected an integer >= {-N - 1}, got {-N - 2}"
        for wrong in (1.0, "1", None, True):
            message = f"layers: expected an integer >= {-N - 1}, got {type(wrong).__name__}"
            yield layers, [wrong], TypeError, message
    for net in COMPLEX:
        message = "x: expected a complex dtype, as the parameters are complex128, got float64"
        yield partial(net, backend="reference"), ONES, TypeError, message
    wide = NET.trace(ONES.astype(np.longdouble), backend="reference")
    yield partial(NET.adjoint, wide), ONES, TypeError, OF_DTYPE.format(np.dtype(np.longdouble))
    # Numbers of many digits where they are not welcome
    by_reference = partial(NET, backend="reference")
    yield NET, DIGITS, TypeError, OF_DTYPE.format("object")
    yield by_reference, np.full((2, n), None), TypeError, "x: expected numbers, got dtype object"
    yield by_reference, DIGITS[:, :3], ValueError, r"x: expected shape \(B, 6\), got \(2, 3\)"
    yield by_reference, DIGITS * mpmath.inf, ValueError, r"x: expected finite numbers, got \+?inf at index \(0, 0\)"
    yield by_reference, DIGITS * mpmath.nan, ValueError, r"x: expected finite numbers, got nan at index \(0, 0\)"
    yield NET.replace, {"b": np.zeros((N, n), object)}, TypeError, r"params\['b'\]: expected numbers, got dtype object"
    yield partial(NET.adjoint, NET.trace(ONES[:2])), DIGITS, TypeError, "g: expected a real dtype, .* got object"
    yield pyham.symplectic.norms, DIGITS, TypeError, "phi: expected real numbers, got dtype object"


NUMBERS = {  # function, what it expects, numbers that it refuses
    _check.positive: ("a positive finite number", (0, -1.5, np.inf, np.nan, 10**400)),
    _check.number: ("a finite number", (np.inf, -np.inf, np.nan, 10**400)),
    _check.not_negative: ("a number >= 0", (-1e-300, -np.inf, np.nan, -(10**400))),
}


def of_checks():
    for function, (expected, wrong) in NUMBERS.items():
        check = partial(function, "a")
        for value in wrong:
            yield check, value, ValueError, f"a: expected {expected}, got {value}"
        for value in (True, np.bool_(1), "1", None, 1j, [1]):
            yield check, value, TypeError, f"a: expected {expected}, got {type(value).__name__}"
    for value, error, came in ((-1, ValueError, "-1"), (True, TypeError, "bool"), (1.0, TypeError, "float")):
        yield partial(_check.integer, "a", minimum=0), value, error, f"a: expected an integer >= 0, got {came}"
    for value, came in ((10**15, "8e\\+06"), (10**305, "more than 1e300")):
        message = f"a: expected at most the .* GB that there are, got {came} GB"
        yield partial(_check.affordable, "a"), value, MemoryError, message
    bits = partial(_check.integer_of_bits, "a", bits=8)
    yield bits, 256, ValueError, "a: expected an integer of at most 8 bits, got more"
    mixed, plain = np.array([mpmath.mpf(1), None]), partial(_check.array, "a", shape=None)
    for array in (partial(plain, multiprecision=True), plain):
        yield array, mixed, TypeError, "a: expected numbers, got dtype object"
    yield plain, DIGITS, TypeError, "a: expected numbers, got dtype object"
    yield plain, [1, np.nan], ValueError, r"a: expected finite numbers, got nan at index \(1,\)"


test_what_is_refused = refused([*refusals(), *of_checks()])


def test_checks_give_back_what_is_right():
    assert [_check.positive("a", np.float32(0.5)), _check.number("a", -3), _check.not_negative("a", np.inf)] == [
        0.5,
        -3,
        np.inf,
    ]
    assert [_check.integer_of_bits("a", value, 8) for value in (0, 255)] == [0, 255]
    swapped = _check.array("a", np.array([1.0, 2.0], ">f8" if np.dtype(float).isnative else "<f8"), ("B",))
    assert swapped.dtype.isnative and swapped.tolist() == [1, 2]
    assert _check.array("a", DIGITS, None, multiprecision=True) is DIGITS


def test_states_of_another_shape_are_refused_where_input_and_output_differ_too(rng):
    arch = pyham.images.ConvH2(2, 4, width=2, depths=(1, 1))
    net, other = arch.init(0), pyham.images.ConvH2(2, 4, width=2, depths=(2, 1)).init(0)
    x, g = rng.standard_normal((1, *arch.shape)), rng.standard_normal((1, *arch.output_shape))
    with pytest.raises(ValueError, match=r"^trace: expected 3 states beginning with \(B, 2, 2, 4\), got others$"):
        net.adjoint(other.trace(x), g)


def test_an_engine_of_ones_own_is_taken(rng):
    calls = []

    class Own(Reference):
        def forward(self, stages, x):
            calls.append((stages, x))
            return x + 1

    x = rng.standard_normal((2, n))
    np.testing.assert_array_equal(NET(x, backend=Own()), x + 1)
    assert calls[0][0] is NET.stages()
    assert (
        choice.select("numba", np.dtype(float)) is COMPILED and choice.select("reference", np.dtype(float)) is REFERENCE
    )


def test_states_of_many_digits_are_taken_from_anywhere():
    trace = NET.trace(DIGITS, backend="reference")
    found, right = (NET.adjoint(passed, DIGITS, backend="reference") for passed in (Trace(trace.states), trace))
    np.testing.assert_array_equal(found.delta, right.delta)


def test_multiprecision_keeps_every_bit_of_longdouble():
    x = np.array([1 / np.longdouble(3), np.longdouble(2) ** 60 + 1])
    with mpmath.workdps(50):
        back = multiprecision(x)
        assert back[1] == mpmath.mpf(2) ** 60 + (1 if np.finfo(np.longdouble).nmant > 60 else 0)
        assert abs(back[0] - mpmath.mpf(1) / 3) <= float(np.finfo(np.longdouble).eps) / 2

"""Everything that a network computes, of the compiled engine or of the reference, against ``pyham.reference`` alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import numpy as np

import pyham
from pyham import _buffers, compiled, engine, gradcheck, reference, threads
from validation.faults_elsewhere import interpreter
from validation.faults_elsewhere.formulas import networks
from validation.faults_elsewhere.reading import ENGINES, ROUNDING, Reading, difference, reading

Array = np.ndarray[Any, Any]

BATCH, TILE = 350, 64  # six tiles in three blocks, the last tile not full
SHORT = 55, 10  # the same for loops that Python runs; and tiles of a wide and a narrow block of vectors


class Used(_buffers.Buffer):
    """Memory that was used before: full of NaN, so that nothing may depend on what it holds."""

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        super().__init__(count, dtype)
        self.array[:] = np.nan


def sensitivities() -> Iterator[Reading]:
    """The compiled engine's Phi and delta by complex step, on three blocks."""
    for name, net, x, _ in networks(BATCH):
        if name not in ("MLP", "H1 J2 logistic", "MS1", "H2 verlet"):
            continue
        with cut(TILE):
            found = gradcheck.dot_product(net, x)
            yield reading("dot_product", name, np.array(list(found.values())), ROUNDING)
            yield reading("sensitivity", name, np.array(gradcheck.sensitivity(net, x)), ROUNDING)


def compiled_engine() -> Iterator[Reading]:
    """The compiled engine."""
    for name, net, x, g in several(BATCH):
        with cut(TILE):
            yield from readings_of("compiled", name, net, x, g, "numba")


def python_loops() -> Iterator[Reading]:
    """The compiled engine with its loops run by Python: with a fault if one is planted there, else with the right ones.

    Never with machine code, which would write anywhere where a fault makes tiles of no whole vectors, or takes too
    little memory.
    """
    if interpreter.idle():
        with interpreter.running():
            yield from python_loops()
        return
    yield from distances()
    batch, tile = SHORT
    for name, net, x, g in several(batch):
        if name not in ("MS3", "H2 yoshida4"):
            with cut(tile), mock.patch.object(compiled, "VECTOR", 8 * interpreter.LANES):
                for reading in readings_of("compiled, run by Python", name, net, x, g, "numba"):
                    yield reading
                    if reading.wrong:  # one is enough: Python takes its time
                        return


def distances() -> Iterator[Reading]:
    """``_passes.distance`` of states that are NaN somewhere, which must not pass for near, and of equal ones."""
    loops: Any = vars(compiled)["kernels"]
    right = np.arange(1.0, 13.0)
    for i in range(len(right)):
        wrong = right.copy()
        wrong[i] = np.nan
        found = loops.distance(interpreter.address(wrong), interpreter.address(right), 4, 3, 4)
        yield reading("distance of NaN", "", np.array(float(found == found)), 0.0)


def reference_engine() -> Iterator[Reading]:
    """What is made of the reference engine's functions."""
    for name, net, x, g in several(7):
        with cut(TILE):
            yield from readings_of("reference", name, net, x, g, "reference")


def several(batch: int) -> Iterator[tuple[str, pyham.Network, Array, Array]]:
    """(name, network, x, g): every kind of stage and activation; widths of all remainders by 4; two layers, or five."""
    X = np.random.default_rng(0).standard_normal((3, 3))
    kinds: dict[str, pyham.Architecture] = {
        "H1": pyham.H1(5, 2, 0.5, "logistic", interconnection="J2"),
        "MS1": pyham.MS1(6, 2, 0.5, "relu", scheme="verlet"),
        "MLP": pyham.MLP(3, 2, 0.5),
        "ResNet": pyham.ResNet(7, 2, 0.5, "softplus"),
        "MS2": pyham.MS2(4, 2, 0.5, "identity"),
        "MS3": pyham.MS3(4, 3, 0.5, order="q-first"),
        "H2": pyham.H2(6, 5, 0.2, X=X),
        "H2 yoshida4": pyham.H2(6, 2, 0.2, scheme="yoshida4", X=X),
    }
    for seed, (name, arch) in enumerate(kinds.items()):
        rng = np.random.default_rng(seed)
        net = arch.init(rng)
        x, g = rng.standard_normal((2, batch, arch.width))
        yield name, net, x, g
    # Samples that no layer moves; but columns beyond the batch, which hold zeros, would overflow if they were moved
    arch = pyham.ResNet(3, 3, 1.0, "relu")
    net = pyham.Network(arch, {"K": np.broadcast_to(1e10 * np.eye(3), (3, 3, 3)), "b": np.full((3, 3), 1e300)})
    yield "huge", net, np.full((batch, 3), -1e295), np.ones((batch, 3))


@contextmanager
def cut(tile: int) -> Iterator[None]:
    """The caller alone works on small blocks, in memory used again; two layers are enough to be rebuilt."""
    with (
        mock.patch.multiple(threads, WORTHWHILE=1, BLOCKS=4, _threads=1),
        mock.patch.multiple(compiled, TILE=tile, Buffer=Used),
        mock.patch.multiple(_buffers, WORTHWHILE=1),
        mock.patch.multiple(engine, SHORTEST=1),
    ):
        compiled._cut.cache_clear()
        try:
            yield
        finally:
            compiled._cut.cache_clear()


def readings_of(check: str, name: str, net: pyham.Network, x: Array, g: Array, backend: str) -> Iterator[Reading]:
    """Everything against the reference engine."""
    right = _right(name, len(x))
    for key, value in everything(net, x, g, backend):
        oracle = right[key.split(",")[0]]
        # A rebuilt or undone state carries its errors on, through up to five layers
        limit = ROUNDING if "reversible" in key or key == "x" else ENGINES
        yield reading(check, name, difference(value, oracle), limit)


@cache
def _right(name: str, batch: int) -> dict[str, Array]:
    """By name, what the reference engine computes; no fault reaches it that is planted where these checks look."""
    net, x, g = next((net, x, g) for known, net, x, g in several(batch) if known == name)
    stages = net.stages()
    states = reference.trace(stages, x)
    delta, gradients = reference.adjoint(stages, states, g)
    N = stages.depth
    right = {
        "x": x,
        "output": states[-1],
        "states": states,
        "input": delta[0],
        "delta": delta,
        "phi": reference.sensitivity(stages, states),
        "budget kept": np.array(1.0),
        "drift of rounding": np.array(1.0),
        "none kept": np.array([0, 0]),
        "all kept": np.array([N - 1, max(1, (N - 1).bit_length())]),
    }
    other, other_gradients = reference.adjoint(_other(net).stages(), states, g)
    right["other input"] = other[0]
    right |= {f"other {key}": value for key, value in net.arch.pullback(other_gradients).items()}
    right["some phi"] = right["phi"][[N, 0, 1]]
    right["norms"] = np.linalg.norm(right["phi"], axis=(-2, -1))
    return right | net.arch.pullback(gradients)


def _other(net: pyham.Network) -> pyham.Network:
    """A network with other weights: its layers in reverse order."""
    return net.replace({key: value[::-1] for key, value in net.params.items()})


def everything(net: pyham.Network, x: Array, g: Array, backend: str) -> Iterator[tuple[str, Array]]:
    """(name, value) of all results, the name as in ``_right`` and after a comma the way to it."""
    yield "output", net(np.asfortranarray(x), backend=backend)  # whatever the order in memory
    given, start = x.copy(), g.copy()
    trace = net.trace(given, backend=backend)
    adjoint = net.adjoint(trace, start, backend=backend)
    given[:], start[:] = 0, 0  # what is computed later must not depend on them
    yield from (("output, traced", trace.output), ("states", trace.states), ("input", adjoint.input))
    yield from (("delta", adjoint.delta), *adjoint.params.items())
    with mock.patch.multiple(compiled, TAPE=0, SEGMENT=1):
        trace = net.trace(x, backend=backend)
        adjoint = net.adjoint(trace, g, backend=backend)
        yield from (("output, no tape", trace.output), ("states, no tape", trace.states))
        yield from (("input, no tape", adjoint.input), ("delta, no tape", adjoint.delta), *adjoint.params.items())
    adjoint = net.adjoint(engine.Trace(trace.states), g, backend=backend)
    yield from (("input, of states", adjoint.input), ("delta, of states", adjoint.delta), *adjoint.params.items())

    net.trace(x, backend=backend)  # its memory goes to the next, and to that alone
    trace, _ = net.trace(x, backend=backend), net.trace(x[::-1], backend=backend)
    adjoint = _other(net).adjoint(trace, g, backend=backend)
    yield "other input", adjoint.input
    yield from ((f"other {key}", value) for key, value in adjoint.params.items())
    own, stages = engine.select(backend, x.dtype), net.stages()
    for way, passed in (("of this trace", trace), ("of states", engine.Trace(trace.states))):
        delta_0, sums = engine.pull(own, stages, passed, g)
        yield f"input, pulled back {way}", delta_0
        yield from ((f"{key}, {way}", value) for key, value in net.arch.pullback(sums).items())
    yield "phi, of states", own.sensitivity(stages, trace.states)

    shears = net.arch.name in ("MS1", "MS3", "H2")
    for memory, budget in (("store", None), ("checkpoint", None), *[("reversible", b) for b in BUDGETS] * shears):
        gradient = net.gradient(x, g, memory=memory, budget=budget, backend=backend)
        yield from ((f"output, {memory}", gradient.output), (f"input, {memory}", gradient.input))
        yield from ((f"{key}, {memory}", value) for key, value in gradient.params.items())
        if memory == "reversible":
            drift = gradient.drift or engine.Drift(np.nan, 0.0, -1, -1)
            yield "budget kept", np.array(float(drift.error <= drift.budget))
            if budget == 0:
                yield "all kept", np.array([drift.kept, drift.most])
            if budget == np.inf:
                yield "none kept", np.array([drift.kept, drift.most])
                yield "drift of rounding", np.array(float(0 < drift.error <= ROUNDING))
    y_N = net(x, backend=backend)
    # What is passed on must be finite, though with a fault y_N may not be
    gradient = net.gradient(x, lambda y: np.nan_to_num(g + (y - y_N)), backend=backend)
    yield from ((f"{key}, of a function", value) for key, value in gradient.params.items())
    if shears:
        yield "x", net.inverse(np.nan_to_num(gradient.output), backend=backend)

    yield "phi", net.sensitivity(x, backend=backend)
    yield "some phi", net.sensitivity(x, layers=[-1, 0, 1], backend=backend)
    yield "norms", net.sensitivity(x, measure=lambda phi: np.linalg.norm(phi, axis=(-2, -1)), backend=backend)


BUDGETS = (None, 0.0, np.inf)

"""Everything that a network computes, in every way to it, against the recursion written out in the oracles.

Small batches in several blocks of short tiles, so that Python can run the loops as well (``interpreted``).
"""

import copy
import pickle
from dataclasses import replace

import numba
import numpy as np
import pytest

import pyham
from pyham.architectures.edges import Edges
from pyham.architectures.maps import DENSE
from pyham.architectures.stages import StageGradients
from pyham.engines import choice, contract
from pyham.engines.compiled import buffers, dense, image_layout, threads
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.engines.results import Adjoint, Trace
from tests.oracles.recursion import Passes

if numba.config.DISABLE_JIT:
    from tests.oracles import interpreter

    interpreter.install()

EPS = float(np.finfo(float).eps)
BATCH = 19  # three tiles of eight, the last not full
NETWORKS = {
    "H1": pyham.H1(5, 2, 0.5, "logistic", interconnection="J2"),
    "MS1": pyham.MS1(6, 2, 0.5, "relu", scheme="verlet"),
    "MLP": pyham.MLP(3, 3, 0.5, "softplus"),
    "MS3": pyham.MS3(4, 3, 0.5, "identity", order="q-first"),
    "H2": pyham.H2(4, 5, 0.2, X=np.random.default_rng(0).standard_normal((2, 2))),
    "H2 on a path": pyham.H2(10, 2, 0.2, graph="path", nodes=5, damping=(0.3, 0.1), X=np.eye(5) + np.eye(5, k=1) / 5),
    "H1 on a star": pyham.H1(22, 2, 0.3, "softplus", graph="star", nodes=9, blocks=[6, 4, 2, 2, 2, 2, 2, 0, 2]),
    "ConvH2": pyham.images.ConvH2(2, 4, width=2, depths=(2, 1), step=0.4, activation="tanh"),
}


class Used(buffers.Buffer):
    """Memory that was used before: full of NaN, so that nothing may depend on what it holds."""

    def __init__(self, count, dtype):
        super().__init__(count, dtype)
        self.array[:] = np.nan


class Case:
    def __init__(self, name):
        rng = np.random.default_rng(len(name))
        self.net = NETWORKS[name].init(rng)
        batch = BATCH if name != "ConvH2" else 5
        self.x = rng.standard_normal((batch, *self.net.arch.shape))
        self.g = rng.standard_normal((batch, *self.net.arch.output_shape))
        self.passes = Passes(self.sections(self.net), self.x)
        self.states = self.passes.states
        self.deltas, self.params = self.back(self.net, self.passes)
        self.phi = self.passes.sensitivities()
        self.shears = name in ("MS1", "MS3", "H2", "H2 on a path", "ConvH2")

    def sections(self, net):
        """The stages, those on a graph as matrices."""
        stages = net.stages()
        if not isinstance(stages.maps[0], Edges):
            return stages.sections
        A, W = (kind.dense(M) for kind, M in zip(stages.maps, (stages.A, stages.W), strict=True))
        return (replace(stages, A=A, W=W, maps=(DENSE, DENSE)),)

    def back(self, net, passes):
        deltas, sums = passes.back(self.g)
        sums = tuple(StageGradients(*one) for one in sums)
        if isinstance(net.stages().maps[0], Edges):
            dA, dc, dW = sums[0]
            dA, dW = (dM[:, kind.rows, kind.columns] for kind, dM in zip(net.stages().maps, (dA, dW), strict=True))
            sums = (StageGradients(dA, dc, dW),)
        return deltas, net.arch.pullback(sums if len(sums) > 1 else sums[0])


@pytest.fixture(params=NETWORKS, scope="module")
def case(request):
    return Case(request.param)


@pytest.fixture(autouse=True)
def cut(monkeypatch):
    """The caller alone works on small blocks, in memory used again."""
    for module, values in (
        (threads, {"WORTHWHILE": 1, "BLOCKS": 2, "_threads": 1}),
        (dense, {"TILE": 8, "Buffer": Used, "SHORTEST": 1}),
        (buffers, {"WORTHWHILE": 1}),
        (contract, {"SHORTEST": 1}),
        (image_layout, {"IMAGES": 2}),
    ):
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    dense._cut.cache_clear()
    image_layout.layout_of.cache_clear()
    yield
    dense._cut.cache_clear()
    image_layout.layout_of.cache_clear()


def close(found, right, units=200):
    assert len(found) == len(right)
    for one, other in zip(found, right, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=units * EPS * max(1, np.abs(other).max(initial=0)))


def same(found, right, units=200):
    assert list(found) == list(right)
    close(list(found.values()), list(right.values()), units)


def test_passes_of_all_layers(case, backend):
    given, start = case.x.copy(), case.g.copy()
    trace = case.net.trace(given, backend=backend)
    adjoint = case.net.adjoint(trace, start, backend=backend)
    given[:], start[:] = 0, 0  # what is computed later must not depend on them
    close([trace.output, adjoint.input], [case.states[-1], case.deltas[0]])
    close(trace.states, case.states)
    close(adjoint.delta, case.deltas)
    same(adjoint.params, case.params)
    close([case.net(np.asfortranarray(case.x), backend=backend)], [case.states[-1]])
    states = choice.select(backend, case.x.dtype).trace(case.net.stages(), case.x)
    assert not np.shares_memory(states[0], case.x)


def test_passes_from_states_and_with_other_weights(case, backend):
    net = case.net
    other = net.replace({key: value[::-1] for key, value in net.params.items()})
    expected = case.back(other, Passes(case.sections(other), case.x))
    trace, _ = net.trace(case.x, backend=backend), net.trace(case.x[::-1], backend=backend)
    for passed in (Trace(trace.states), trace, copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):
        close([passed.output], [case.states[-1]])
        found = net.adjoint(passed, case.g, backend=backend)
        found = found if passed is trace else pickle.loads(pickle.dumps(found))
        close([found.input, *found.delta], [case.deltas[0], *case.deltas])
        same(found.params, case.params)
    if case.net.arch.depth < 5 and case.net.arch.name == "MLP":  # states of this network, weights of another
        sums = Passes(other.stages().sections, case.x)
        sums.inner = [
            (s, i, np.asarray(y[:, s.src[0]] @ s.A[i].T + s.c[i]), y)
            for (s, i, _, _), y in zip(sums.inner, case.states, strict=False)
        ]
        same(other.adjoint(trace, case.g, backend=backend).params, case.back(other, sums)[1])
    same(other.adjoint(other.trace(case.x, backend=backend), case.g, backend=backend).params, expected[1])


def test_a_long_tape_is_not_kept(case, monkeypatch):
    monkeypatch.setattr(dense, "TAPE", 0)
    monkeypatch.setattr(dense, "SEGMENT", 1)
    trace = case.net.trace(case.x)
    adjoint = case.net.adjoint(trace, case.g)
    close([trace.output, *trace.states], [case.states[-1], *case.states])
    close([adjoint.input, *adjoint.delta], [case.deltas[0], *case.deltas])
    same(adjoint.params, case.params)


@pytest.mark.parametrize("memory", ["store", "checkpoint"])
def test_gradients(memory, case, backend):
    found = case.net.gradient(case.x, case.g, memory=memory, backend=backend)
    close([found.output, found.input], [case.states[-1], case.deltas[0]])
    same(found.params, case.params)
    assert found.drift is None
    y_N = case.states[-1]
    again = case.net.gradient(case.x, lambda y: case.g + (y - y_N), memory=memory, backend=backend)
    same(again.params, case.params)


@pytest.mark.parametrize("budget", [None, 0.0, np.inf])
def test_gradients_from_rebuilt_states(budget, case, backend):
    if not case.shears:
        with pytest.raises(ValueError, match="memory: expected 'store' or 'checkpoint'"):
            case.net.gradient(case.x, case.g, memory="reversible", backend=backend)
        return
    found = case.net.gradient(case.x, case.g, memory="reversible", budget=budget, backend=backend)
    close([found.output, found.input], [case.states[-1], case.deltas[0]], 10_000)
    same(found.params, case.params, 10_000)
    drift, N = found.drift, case.net.arch.depth
    assert drift.error <= drift.budget == (EPS ** (2 / 3) if budget is None else budget)
    if case.net.arch.name != "ConvH2" or backend == "reference":
        assert (drift.kept, drift.most) == ((N - 1, (N - 1).bit_length()) if budget == 0 else (0, 0))
        assert (drift.error > 0) == (budget != 0)
    close([case.net.inverse(case.states[-1], backend=backend)], [case.x], 10_000)


def test_sensitivities(case, backend):
    x, phi = case.x[:3], case.phi[:, :3]
    if case.net.arch.name == "ConvH2":
        x, phi = x[:1], phi[:, :1]
    N = case.net.arch.depth
    close(case.net.sensitivity(x, backend=backend), phi)
    close(case.net.sensitivity(x, layers=[-1, 0, 1], backend=backend), phi[[N, 0, 1]])
    norms = case.net.sensitivity(x, measure=lambda p: np.linalg.norm(p, axis=(-2, -1)), backend=backend)
    close(norms, np.linalg.norm(phi, axis=(-2, -1)))
    engine, stages = choice.select(backend, x.dtype), case.net.stages()
    close(engine.sensitivity(stages, [s[: len(x)] for s in case.states]), phi)
    last = np.random.default_rng(1).standard_normal(phi[-1].shape)
    close(engine.sensitivities(stages, x, last), phi @ last)


def test_sensitivities_in_little_memory(case, backend, monkeypatch):
    monkeypatch.setattr(contract, "MATRICES", 1)
    if case.net.arch.name != "ConvH2":
        close(case.net.sensitivity(case.x, layers=[0, 2], backend=backend), case.phi[[0, 2]])


def test_no_samples_and_no_layers(case, backend):
    net = case.net
    trace = net.trace(case.x[:0], backend=backend)
    adjoint = net.adjoint(trace, case.g[:0], backend=backend)
    assert trace.output.shape == case.g[:0].shape and adjoint.input.shape == case.x[:0].shape
    assert not any(value.any() for value in adjoint.params.values())
    assert net.gradient(case.x[:0], case.g[:0], backend=backend).output.shape == case.g[:0].shape
    if case.shears:
        drift = net.gradient(case.x[:0], case.g[:0], memory="reversible", backend=backend).drift
        assert drift == (0, EPS ** (2 / 3), 0, 0)


@pytest.mark.parametrize("name", ["H1", "H2"])
def test_float32_stays_float32(name, backend):
    case = Case(name)
    x, g = case.x.astype(np.float32), case.g.astype(np.float32)
    trace = case.net.trace(x, backend=backend)
    adjoint = case.net.adjoint(trace, g, backend=backend)
    found = [trace.output, trace.states, adjoint.input, adjoint.delta, *adjoint.params.values()]
    found += [case.net.sensitivity(x, backend=backend), *case.net.gradient(x, g, backend=backend)[:2]]
    assert {array.dtype for array in found} == {np.dtype(np.float32)}
    np.testing.assert_allclose(adjoint.input, case.deltas[0], rtol=0, atol=1e-5)
    with pytest.raises(TypeError, match="x: expected float32 or float64 for backend='numba'"):
        case.net(x.astype(np.longdouble))


def test_an_engine_is_chosen_by_name_or_given():
    assert choice.select("reference", np.dtype(complex)) is REFERENCE
    assert choice.select("numba", np.dtype(np.float32)) is COMPILED is choice.select(COMPILED, np.dtype(complex))
    with pytest.raises(TypeError, match="backend: expected 'numba', 'reference' or an engine, got int"):
        choice.select(3, np.dtype(float))
    assert "gradients of a, b" in repr(Adjoint(np.zeros((1, 2, 3)), {"a": 0, "b": 1}))
    assert "output (2, 3) float64" in repr(Trace(np.zeros((1, 2, 3))))

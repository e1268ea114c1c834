"""The compiled engine's loops, run by Python: NUMBA_DISABLE_JIT=1 python -m pytest -n 0 tests/engines/interpreted.py

Machine code that leaves its arrays may do anything; here it raises (``tests.oracles.interpreter``). Planted faults in
the loops meet these tests: ``python -m validation.faults --only engines``.
"""

from dataclasses import replace

import numba
import numpy as np
import pytest

import pyham
from pyham.architectures.activations import ACTIVATIONS
from pyham.architectures.stages import Stages
from pyham.engines import contract
from pyham.engines.reference import REFERENCE
from tests.oracles import interpreter
from tests.oracles.recursion import Passes

if not numba.config.DISABLE_JIT:
    pytest.skip("NUMBA_DISABLE_JIT is not set: loops would be machine code", allow_module_level=True)

from pyham.engines.compiled import (
    kernels,
)
from pyham.engines.compiled.activations import code_of

interpreter.install()

EPS = float(np.finfo(float).eps)
BATCH, TILE = 11, 5  # three tiles, in the last one sample; a tile is a wide block and a narrow one
X = np.random.default_rng(0).standard_normal((2, 2))
NETWORKS = {
    "H1": pyham.H1(4, 3, 0.5, "logistic", interconnection="J2"),
    "MLP": pyham.MLP(3, 2, 0.5, "softplus"),
    "ResNet": pyham.ResNet(6, 2, 0.5, "relu"),
    "MS1": pyham.MS1(4, 5, 0.5, "identity"),
    "H2": pyham.H2(4, 5, 0.2, X=X, scheme="verlet"),
}


def odd():
    """Stages that read two channels, make three and update one or two, which no architecture has."""
    rng = np.random.default_rng(7)
    A, c, W = rng.standard_normal((6, 3, 2)), rng.standard_normal((6, 3)), rng.standard_normal((6, 1, 3))
    src, dst = (slice(0, 2), slice(2, 4)), (slice(4, 5), slice(1, 2))
    return Stages(A, c, W, src, dst, np.array([1, 0.5, 0, 1, -1, 1]), ACTIVATIONS["tanh"], 5)


class Case:
    """Stages, what their passes are (``tests.oracles.recursion``), and the arguments of the kernels."""

    def __init__(self, name, stages=None, keep=None):
        rng = np.random.default_rng(len(name))
        stages = odd() if name == "odd" else stages or NETWORKS[name].init(rng).stages()
        stages = stages if keep is None else replace(stages, keep=keep)
        self.x, self.g = rng.standard_normal((2, BATCH, stages.width))
        src, dst = (np.array([part.start for part in parts]) for parts in (stages.src, stages.dst))
        code = code_of(stages.activation)
        self.stages = stages.A, stages.c, stages.W, src, dst, np.array(stages.keep), code
        self.depth, self.original = stages.depth, stages
        passes = Passes([stages], self.x)
        self.states = np.array(passes.states)
        deltas, [self.sums] = passes.back(self.g)
        self.deltas, self.phi = np.array(deltas), passes.sensitivities()

    def spans(self):
        return (0, 10, TILE), (10, BATCH, TILE)

    def zeros(self):
        return tuple(np.zeros_like(array) for array in self.stages[:3])

    def close(self, found, right, what=""):
        np.testing.assert_allclose(found, right, rtol=0, atol=100 * EPS * max(1, np.abs(right).max()), err_msg=what)

    def sums_close(self, sums):
        for found, right, name in zip(sums, self.sums, "AcW", strict=True):
            self.close(found, right, f"d{name}")


@pytest.fixture(params=[*NETWORKS, "odd"], scope="module")
def case(request):
    return Case(request.param)


def nothing(like):
    return np.full_like(like, np.nan)


def test_forward_and_trace(case):
    y_N, states = nothing(case.x), nothing(case.states)
    states[0] = case.x
    for span in case.spans():
        kernels.forward(case.stages, span, case.x, y_N)
        kernels.trace(case.stages, span, states)
    case.close(y_N, case.states[-1])
    case.close(states, case.states)


def test_adjoint(case):
    deltas, sums = nothing(case.states), case.zeros()
    deltas[-1] = case.g
    for span in case.spans():
        kernels.adjoint(case.stages, span, case.states, deltas, sums)
    case.close(deltas, case.deltas)
    case.sums_close(sums)


def test_adjoint_of_a_recorded_pass(case):
    A = case.stages[0]
    tape = np.full(-(-BATCH // TILE) * TILE * len(A) * (A.shape[1] + A.shape[2]), np.nan)
    y_N, delta_0, sums = nothing(case.x), nothing(case.x), case.zeros()
    for span in case.spans():
        kernels.forward_recording(case.stages, span, case.x, y_N, tape)
    for span in case.spans()[::-1]:
        kernels.adjoint_recorded(case.stages, span, tape, case.g, delta_0, sums)
    case.close(y_N, case.states[-1])
    case.close(delta_0, case.deltas[0])
    case.sums_close(sums)


@pytest.mark.parametrize("segment", [1, 2, 10])
def test_gradient(segment, case):
    y_N, delta_0, sums = nothing(case.x), nothing(case.x), case.zeros()
    for span in case.spans():
        kernels.gradient(case.stages, span, case.x, case.g, segment, y_N, delta_0, sums)
    case.close(y_N, case.states[-1])
    case.close(delta_0, case.deltas[0])
    case.sums_close(sums)


@pytest.mark.parametrize("name", ["MS1", "H2"])
@pytest.mark.parametrize("budget", [0.0, 1e-10, np.inf, np.nan])
@pytest.mark.parametrize("shortest", [1, 2, 9])
def test_reversible(shortest, budget, name):
    case = Case(name)
    y_N, delta_0, sums, report = nothing(case.x), nothing(case.x), case.zeros(), np.zeros(3)
    for span in case.spans():
        kernels.reversible(case.stages, span, case.x, case.g, (shortest, budget), y_N, delta_0, sums, report)
    case.close(y_N, case.states[-1])
    case.close(delta_0, case.deltas[0])
    case.sums_close(sums)
    nowhere = shortest == 9 or budget > 0
    assert report[1:].tolist() == ([0, 0] if nowhere else {1: [4, 3], 2: [2, 2]}[shortest])
    assert (0 < report[0] <= 1e-13) == (shortest < 9 and budget > 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shortest", [1, 3])
def test_what_reversible_keeps_is_what_the_reference_keeps(shortest, seed, monkeypatch):
    """Sample by sample, for errors of rebuilt states that are drawn at random: what is tried, and what comes of it."""
    case, errors = Case("H2", pyham.H2(4, 21, 0.1).init(1).stages()), []
    monkeypatch.setattr(kernels, "distance", lambda *_: errors.append(kinds.random()) or errors[-1])
    monkeypatch.setattr(contract, "distance", kernels.distance)
    y_N, delta_0, sums = nothing(case.x), nothing(case.x), case.zeros()
    for i in range(BATCH):
        reports, tried = [np.zeros(3)], []
        for reference in (False, True):
            kinds = np.random.default_rng([seed, i])
            if reference:
                one = case.x[i : i + 1], case.g[i : i + 1]
                reports.append(REFERENCE.reversible(case.original, *one, 0.6, shortest)[3][0])
            else:
                span = (i, i + 1, 1)
                kernels.reversible(case.stages, span, case.x, case.g, (shortest, 0.6), y_N, delta_0, sums, reports[0])
            tried.append(errors.copy())
            errors.clear()
        assert tried[0] == tried[1] and reports[0].tolist() == reports[1].tolist()
    case.close(delta_0, case.deltas[0])
    case.sums_close(sums)


@pytest.mark.parametrize("name", ["MS1", "H2"])
@pytest.mark.parametrize("keep", [1.0, -0.5])
def test_states_are_put_right_again_where_rebuilding_failed(name, keep, monkeypatch):
    """A whole tile, for errors that are drawn at random."""
    case, errors = Case(name, keep=keep), np.random.default_rng(3)
    monkeypatch.setattr(kernels, "distance", lambda *_: errors.random())
    y_N, delta_0, sums, report = nothing(case.x), nothing(case.x), case.zeros(), np.zeros(3)
    for span in case.spans() * 2:
        kernels.reversible(case.stages, span, case.x, case.g, (1, 0.5), y_N, delta_0, sums, report)
    case.close(delta_0, case.deltas[0])
    case.sums_close([array / 2 for array in sums])


@pytest.mark.parametrize("name", ["MS1", "H2"])
@pytest.mark.parametrize("keep", [1.0, -0.5])
def test_inverse_undoes_forward(keep, name):
    case = Case(name, keep=keep)
    y_N, y_0 = nothing(case.x), nothing(case.x)
    for span in case.spans():
        kernels.forward(case.stages, span, case.x, y_N)
        kernels.inverse(case.stages, span, y_N, y_0)
    np.testing.assert_allclose(y_0, case.x, rtol=0, atol=1e-9 if keep < 1 else 1e-12)


def test_sensitivity(case):
    n = case.x.shape[1]
    phi = np.full((case.depth + 1, n, n, BATCH), np.nan)
    phi[-1] = np.eye(n)[:, :, None]
    for span in case.spans():
        kernels.sensitivity(case.stages, span, case.x, phi)
    case.close(phi.transpose(0, 3, 1, 2), case.phi)


def test_columns_beyond_the_batch_stay_zero():
    """Where samples move so little that only zeros beside them would overflow."""
    arch = pyham.ResNet(3, 3, 1.0, "relu")
    net = pyham.Network(arch, {"K": np.broadcast_to(1e10 * np.eye(3), (3, 3, 3)), "b": np.full((3, 3), 1e300)})
    stages = net.stages()
    plain = (stages.A, stages.c, stages.W, np.array([0]), np.array([0]), np.ones(3), code_of(stages.activation))
    x, y_N, delta_0 = np.full((BATCH, 3), -1e295), np.full((BATCH, 3), np.nan), np.full((BATCH, 3), np.nan)
    sums = tuple(np.zeros_like(array) for array in plain[:3])
    kernels.gradient(plain, (0, BATCH, TILE), x, np.ones_like(x), 1, y_N, delta_0, sums)
    assert np.array_equal(y_N, x) and np.array_equal(delta_0, np.ones_like(x))
    assert all(np.isfinite(array).all() for array in sums)

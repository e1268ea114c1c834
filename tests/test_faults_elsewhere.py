"""The checks catch every fault planted outside the reference engine and pass the right package, which planting leaves
as it was."""

import numpy as np
import pytest

from pyham import H2, _stagewise, compiled, kernels, schemes, threads
from validation import faults_elsewhere as elsewhere
from validation.faults import EPS
from validation.faults_elsewhere import engines, fresh, interpreter
from validation.faults_elsewhere.reading import reading

REQUIRED = {  # faults at least
    "lowering": 75,
    "architectures": 20,
    "schemes": 8,
    "interconnection": 6,
    "bounds": 15,
    "symplectic": 15,
    "euler": 8,
    "compiled": 40,
    "threads": 5,
    "_buffers": 5,
    "_blocks": 15,
    "_stagewise": 40,
    "_passes": 25,
    "kernels": 55,
    "recompute": 25,
    "engine": 5,
    "network": 8,
    "continuous": 5,
    "distributed.stepping": 40,
    "distributed.links": 15,
    "distributed.one_round": 15,
    "distributed.network": 12,
    "distributed.transport": 8,
    "distributed.graphs": 8,
    "distributed.patterns": 10,
    "distributed.layout": 15,
    "distributed.weights": 10,
    "distributed.readout": 15,
    "distributed.model": 12,
    "images.convolution": 18,
    "images.reference": 55,
    "images.stages": 7,
    "images.architectures": 25,
    "images.base": 6,
    "images.network": 3,
    "images.model": 15,
    "images.certificate": 25,
    "images.compiled": 15,
}


@pytest.mark.parametrize("fault", elsewhere.FAULTS, ids=lambda fault: fault.name)
def test_planted_fault_is_caught(fault):
    assert elsewhere.row(fault).checks


def test_right_package_passes():
    assert elsewhere.failures() == []


@pytest.mark.parametrize("module", REQUIRED)
def test_right_package_passes_with_its_own_source_planted(module):
    """What the checks notice is the fault and not the planting."""
    target = next(fault.target for fault in elsewhere.FAULTS if fault.where == module)
    whole = elsewhere.source(target)
    fault = elsewhere.Fault(target, "", "nothing", whole, whole)
    with elsewhere.planted(fault):
        assert [reading for reading in elsewhere.readings(elsewhere.checks_of(fault)) if reading.wrong] == []


def test_names_are_unique():
    assert len({fault.name for fault in elsewhere.FAULTS}) == len(elsewhere.FAULTS)


@pytest.mark.parametrize("fault", elsewhere.FAULTS, ids=lambda fault: fault.name)
def test_old_text_occurs_exactly_once(fault):
    assert elsewhere.source(fault.target).count(fault.old) == 1
    assert fault.new != fault.old


@pytest.mark.parametrize("old", ["no such text", "self"])
def test_planted__raises_on_text_that_does_not_occur_once(old):
    fault = elsewhere.Fault("lowering.Architecture.lower", "kind", "nothing", old, "0")
    with (
        pytest.raises(ValueError, match=r"lower: kind: expected once in lowering.Architecture.lower, found \d+ times"),
        elsewhere.planted(fault),
    ):
        pass


def test_every_module_is_broken_many_times():
    count = {module: sum(fault.where == module for fault in elsewhere.FAULTS) for module in REQUIRED}
    assert {fault.where for fault in elsewhere.FAULTS} == set(REQUIRED)
    assert all(count[module] >= least for module, least in REQUIRED.items()), count


def test_at_most_ten_faults_raise():
    """But for those that make loops leave their arrays: then raising is what must happen."""
    loops = {fault.name for fault in elsewhere.FAULTS if engines.python_loops in elsewhere.checks_of(fault)}
    assert sum("raises" in row.checks for row in elsewhere.table() if row.fault not in loops) <= 10


def test_faults_stand_far_above_rounding():
    assert min(row.residual for row in elsewhere.table() if not row.checks[0].endswith("control")) > 1e-3


def test_planting_restores_every_function_and_table():
    right = compiled.kernels
    codes = {fault.target: _state(fault.target) for fault in elsewhere.FAULTS}
    for fault in elsewhere.FAULTS:
        with elsewhere.planted(fault):
            assert (_state(fault.target) != codes[fault.target]) != (compiled.kernels is not right), fault.name
        assert compiled.kernels is right
        assert _state(fault.target) == codes[fault.target], fault.name


@pytest.mark.parametrize("name", ["lowering.Architecture.lower: W sign", "schemes.SPLITTINGS: verlet order"])
def test_results_are_bitwise_the_same_after_planting(name):
    x = np.random.default_rng(0).standard_normal((5, 4))
    (fault,) = (fault for fault in elsewhere.FAULTS if fault.name == name)
    before = _output(x)
    with elsewhere.planted(fault):
        assert not np.array_equal(_output(x), before)
    assert np.array_equal(_output(x), before)


def test_planting_restores_when_the_body_raises():
    x = np.random.default_rng(0).standard_normal((5, 4))
    before = _output(x)
    right = compiled.kernels
    for fault in elsewhere.COMPILED[:1] + elsewhere.SCHEMES[2:3] + elsewhere.KERNELS[:1]:
        with pytest.raises(KeyError), elsewhere.planted(fault):
            raise KeyError
    assert compiled.kernels is right
    assert np.array_equal(_output(x), before)


def test_who_imported_the_function_by_name_runs_the_fault():
    recorded, stages = compiled._recorded, H2(4, 3, 0.5).init(0).stages()
    fault = next(fault for fault in elsewhere.COMPILED if fault.name == "compiled._recorded: s alone")
    with elsewhere.planted(fault):
        assert recorded(stages) == 2
    assert recorded(stages) == 4


# Memory that nobody has written to


def test_fresh_memory_is_the_same_everywhere():
    with fresh.memory():
        for array in (compiled.np.empty((2, 3)), compiled.np.empty_like(np.ones(4)), compiled.np.empty(2, np.float32)):
            assert np.isnan(array).all()
        assert (compiled.np.empty_like(np.arange(3)) == -1).all()
        assert _stagewise.np is np  # the compiler knows no other
    assert compiled.np is np


@pytest.mark.parametrize("name", ["threads.Blocks.run: gap", "threads.Blocks.run: one block each"])
def test_results_that_a_fault_leaves_unwritten_are_noticed_as_such(name):
    (fault,) = (fault for fault in elsewhere.FAULTS if fault.name == name)
    found = elsewhere.row(fault)
    assert found.residual == np.inf
    assert "raises" not in found.checks


# The loops that Python runs


@pytest.mark.parametrize("where", [-1, 4])
def test_addresses__raise_outside_their_array(where):
    place = interpreter.shift(interpreter.address(np.arange(6.0).reshape(2, 3)), 2)
    assert [place[i] for i in range(-2, 4)] == list(range(6))
    beyond = interpreter.shift(place, -2) if where < 0 else place
    with pytest.raises(IndexError):
        beyond[where]
    with pytest.raises(IndexError):
        beyond[where] = 1.0
    with pytest.raises(IndexError):
        beyond.matrix(where, 1, 1, 1, 1)


def test_python_runs_the_loops_and_not_the_machine_code():
    net, x = H2(4, 3, 0.5).init(0), np.ones((5, 4))
    with interpreter.running():
        assert compiled.kernels is not kernels
        slow = net(x)
    assert compiled.kernels is kernels
    np.testing.assert_allclose(slow, net(x), rtol=0, atol=64 * EPS)  # another tanh, and sums in another order


@pytest.mark.parametrize("check", [engines.compiled_engine, engines.python_loops])
def test_checks_of_the_compiled_engine_cut_a_batch_into_several_blocks_with_a_rest(check, monkeypatch):
    cuts, run = set(), threads.Blocks.run

    def watched(self, task):
        cuts.add((self.count, self.size // self.tile, self.batch % self.tile > 0))
        run(self, task)

    monkeypatch.setattr(threads.Blocks, "run", watched)
    for _ in check():
        pass
    assert (3, 2, True) in cuts


def test_a_check_that_raises_is_a_reading():
    def check():
        raise ValueError

    assert elsewhere.readings([check]) == [elsewhere.Reading("raises", "", np.inf, True)]


def test_NaN_is_wrong():
    assert reading("check", "", np.array([0, np.nan]), 1.0).wrong


def _state(target):
    """What planting changes: the functions' code, or the table's entries."""
    if target == "schemes.SPLITTINGS":
        return dict(schemes.SPLITTINGS)
    return elsewhere.function_of(target).__code__


def _output(x):
    return H2(4, 3, 0.5, scheme="verlet").init(0)(x)

"""The checks catch every fault planted outside the reference engine and pass the right package, which planting leaves
as it was."""

import numpy as np
import pytest

from pyham import H2, compiled, schemes
from validation import faults_elsewhere as elsewhere

REQUIRED = {  # faults at least
    "lowering": 40,
    "architectures": 20,
    "schemes": 8,
    "interconnection": 6,
    "bounds": 15,
    "symplectic": 15,
    "euler": 8,
    "compiled": 20,
    "continuous": 5,
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


def test_at_most_six_faults_raise():
    assert sum("raises" in row.checks for row in elsewhere.table()) <= 6


def test_faults_stand_far_above_rounding():
    assert min(row.residual for row in elsewhere.table() if not row.checks[0].endswith("control")) > 1e-3


def test_planting_restores_every_function_and_table():
    codes = {fault.target: _state(fault.target) for fault in elsewhere.FAULTS}
    for fault in elsewhere.FAULTS:
        with elsewhere.planted(fault):
            assert _state(fault.target) != codes[fault.target], fault.name
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
    for fault in elsewhere.COMPILED[:1] + elsewhere.SCHEMES[2:3]:
        with pytest.raises(KeyError), elsewhere.planted(fault):
            raise KeyError
    assert np.array_equal(_output(x), before)


def test_who_imported_the_function_by_name_runs_the_fault():
    ordered_sum = compiled._ordered_sum
    fault = next(fault for fault in elsewhere.COMPILED if fault.name == "compiled._ordered_sum: sign")
    with elsewhere.planted(fault):
        assert ordered_sum(np.ones((2, 1))) == [-2]
    assert ordered_sum(np.ones((2, 1))) == [2]


def test_a_check_that_raises_is_a_reading():
    def check():
        raise ValueError

    assert elsewhere.readings([check]) == [elsewhere.Reading("raises", "", np.inf, True)]


def test_NaN_is_wrong():
    assert elsewhere._reading("check", "", np.array([0, np.nan]), 1.0).wrong


def _state(target):
    """What planting changes: the functions' code, or the table's entries."""
    if target == "schemes.SPLITTINGS":
        return dict(schemes.SPLITTINGS)
    return elsewhere.function_of(target).__code__


def _output(x):
    return H2(4, 3, 0.5, scheme="verlet").init(0)(x)

"""The checks catch every planted fault and pass the right engine, and the faults cover the engine line by line."""

import ast
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from pyham.engines import reference
from validation import faults
from validation.faults import every

FUNCTIONS = ("adjoint", "sensitivity", "layer", "of_layer", "forward", "trace")
FOUR = {"zero", "sign", "transpose", "slice"}

# dc and keep are no matrices; dc reads no slice; sigma' acts entrywise
REQUIRED = {
    ("adjoint", "dW"): FOUR | {"mean", "sample", "stage", "sigma missing", "sigma'"},
    ("adjoint", "dA"): FOUR | {"mean", "sample", "stage", "after", "before"},
    ("adjoint", "dc"): {"zero", "sign", "mean", "sample", "stage", "total"},
    ("adjoint", "delta_N"): {"zero", "sign"},
    ("adjoint", "delta"): {"restarts", "in place", "layer", "order"},
    ("sensitivity", "Phi_N"): {"zero", "sign"},
    ("sensitivity", "Phi"): {"restarts", "in place", "layer", "order", "transpose", "swapped", "mean"},
    ("layer", "a"): FOUR | {"stale"},
    ("layer", "W s"): FOUR | {"sigma missing", "sigma'", "stage"},
    ("layer", "keep"): {"zero", "sign", "slice", "missing"},
    ("layer", "y"): {"dropped", "in place"},
    ("of_layer", "stages"): {"slice", "order", "off by one"},
    ("forward", "layers"): {"first missing", "last missing", "order"},
    ("trace", "layers"): {"order"},
} | {
    (function, term): kinds
    for function in ("adjoint", "sensitivity")
    for term, kinds in {
        "a": FOUR | {"stage"},
        "g": FOUR | {"stage"},
        "sigma'": {"missing", "sigma", "of s", "inside"},
        "keep": {"zero", "sign", "slice", "missing", "not", "late"},
        "A^T g": FOUR | {"stage", "overwrites"},
        "y": {"next", "first", "stale", "after"},
        "stages": {"order", "states"},
        "layers": {"order"},
    }.items()
}


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_planted_fault_is_caught(fault):
    assert faults.row(fault).checks


@pytest.mark.parametrize("check", faults.CHECKS)
def test_right_engine_passes(check):
    residual, tolerance, _ = faults.CHECKS[check]
    for case in faults.networks():
        assert residual(case, reference) <= tolerance, case.name


def test_engine_recompiled_without_a_fault_passes():
    whole = faults.source("adjoint")
    assert faults.failures(faults.plant(faults.Fault("adjoint", "", "", "nothing", whole, whole))) == {}


@pytest.mark.parametrize("check", faults.CHECKS)
def test_check_calls_only_what_it_declares(check):
    """A check that is skipped for a fault in a function could not have seen it."""
    _, tolerance, calls = faults.CHECKS[check]
    engine = SimpleNamespace(
        **{
            name: getattr(reference, name) if name in calls else _refuse
            for name in ("forward", "trace", "adjoint", "sensitivity")
        }
    )
    for case in faults.networks():
        assert faults.CHECKS[check].residual(case, engine) <= tolerance, case.name


def test_names_are_unique():
    assert len({fault.name for fault in faults.FAULTS}) == len(faults.FAULTS)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_old_text_occurs_exactly_once(fault):
    assert faults.source(fault.function).count(fault.old) == 1
    assert fault.new != fault.old


@pytest.mark.parametrize("old", ["no such text", "stages"])
def test_plant__raise_on_text_that_does_not_occur_once(old):
    with pytest.raises(ValueError, match=r"adjoint: dW zero: expected once in adjoint, found \d+ times"):
        faults.plant(faults.Fault("adjoint", "dW", "zero", "dW = 0", old, "0"))


def test_plant_leaves_the_reference_engine_alone():
    case = faults.networks()[0]
    before = case.net(case.x, backend="reference")
    fault = next(fault for fault in faults.FAULTS if fault.name == "layer: W s sign")
    assert not np.array_equal(case.net(case.x, backend=faults.plant(fault)), before)
    assert np.array_equal(case.net(case.x, backend="reference"), before)


@pytest.mark.parametrize(("function", "term"), REQUIRED, ids=str)
def test_every_term_is_broken_in_every_manner(function, term):
    kinds = {fault.kind for fault in faults.FAULTS if (fault.function, fault.term) == (function, term)}
    assert kinds >= REQUIRED[function, term]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_line_of_the_engine_is_broken_by_some_fault(function):
    source = faults.source(function)
    broken: set[int] = set()
    for fault in faults.FAULTS:
        if fault.function == function:
            start = source.index(fault.old)
            broken |= set(range(source.count("\n", 0, start) + 1, source.count("\n", 0, start + len(fault.old)) + 2))
    body = ast.parse(textwrap.dedent(source)).body[0]
    statements = {node.lineno for node in ast.walk(body) if isinstance(node, ast.stmt) and node is not body}
    docstring = body.body[0].lineno
    assert statements - broken - {docstring} == set()


def test_at_most_five_faults_raise():
    assert sum("raises" in row.checks for row in faults.table()) <= 5


def test_no_fault_is_seen_by_the_taylor_orders_alone():
    """Their tolerance is coarse: they confirm, and need not decide."""
    assert not [row.fault for row in faults.table() if row.checks == ("taylor",)]


def test_faults_stand_far_above_rounding():
    """Even results kept in single precision, the smallest error here, exceed the tolerance 10^5 times."""
    assert min(row.residual for row in faults.table() if row.checks) > 1e5 * faults.ROUNDING


def test_main_prints_every_fault(capsys):
    status = every.main()
    printed = capsys.readouterr().out
    assert all(fault.name in printed for fault in faults.FAULTS)
    assert status == 0 and "NOTHING" not in printed


def test_main_returns_1_when_a_fault_escapes(capsys, monkeypatch):
    escaped = faults.Row("a fault", "somewhere", "nothing", (), (), 0.0)
    monkeypatch.setattr(every, "everything", lambda: [escaped])
    assert every.main() == 1
    assert "NOTHING" in capsys.readouterr().out


def _refuse(*_):
    raise AssertionError("not declared")

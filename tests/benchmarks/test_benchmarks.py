"""Benchmarks compare the same mathematics, and the documentation shows what they found."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import graphs, mnist, planar, programs, report, timing
from benchmarks.cases import CASES, QUICK, Case

ROOT = Path(__file__).parents[2]

FOUND = json.loads((command.RESULTS / "speed.json").read_text())
SMALL = (Case("H1", 4, 5, 3), Case("H2", 4, 5, 3), Case("H2", 4, 5, 3, dtype="float32"))


@pytest.mark.parametrize("what", ["gradient", "sensitivities"])
@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.name} {case.dtype}")
def test_all_programs_compute_the_same(case, what):
    case = Case(case.architecture, case.width, case.batch, case.depth, case.dtype, what)
    # PyTorch and JAX are compared where they are installed: a peer that cannot be imported is not in the list.
    some = {name: program for name, program in programs.available(case).items() if name not in programs.MODULES}
    timing.agree(case, {name: program(case)() for name, program in some.items()})


@pytest.mark.parametrize("name", programs.MODULES)
def test_peers_compute_the_same(name):
    pytest.importorskip(programs.MODULES[name])
    for case in SMALL:
        for what in ("gradient", "sensitivities"):
            one = Case(case.architecture, case.width, case.batch, case.depth, case.dtype, what)
            found = {key: programs.PROGRAMS[key](one)() for key in ("NumPy", name)}
            timing.agree(one, found)


@pytest.mark.parametrize("factor", [1 + 1e-6, -1.0, 0.0, np.nan])
def test_a_program_that_computes_something_else_is_not_timed(factor):
    right = programs.numpy(SMALL[0])()
    wrong = [*right[:-1], factor * right[-1]]
    with pytest.raises(ArithmeticError, match="H1 4, 5, 3: other differs from NumPy by"):
        timing.agree(SMALL[0], {"NumPy": right, "other": wrong})


@pytest.mark.parametrize("name", graphs.GRAPHS)
def test_networks_on_graphs_are_those_that_are_compared(name, monkeypatch):
    row = graphs.measure(name, 9, 0.0)
    entries = {"ring": 9 * 3, "grid": 9 + 2 * 12, "star": 9 + 2 * 8}
    assert row["entries"] == entries.get(name, row["entries"]) and row["ratio"] > 0 and row["built"] > 0
    monkeypatch.setattr(graphs, "_dense", lambda net, same=graphs._dense: same(net.replace({"b": net.b + 1e-9})))
    with pytest.raises(ArithmeticError, match=f"{name} of 9 nodes: expected the dense engine's gradient, off by"):
        graphs.measure(name, 9, 0.0)


def test_random_graphs_have_three_neighbours_a_node():
    edges = graphs.random_regular(1000)
    assert len(edges) == 1500
    assert np.bincount(edges.ravel()).tolist() == [3] * 1000


def test_exponents_are_those_of_the_rows():
    rows = [
        {"graph": "ring", "nodes": M, "entries": 3 * M, "built": M, "seconds": M**1.5, "bytes": 0}
        for M in (1000, 10_000)
    ]
    assert graphs.exponents(rows)["ring"] == pytest.approx({"built": 1, "seconds": 1.5})


def test_every_program_has_as_many_turns():
    calls = {"a": 0, "b": 0}

    def count(name):
        calls[name] += 1

    found = timing.interleaved({name: lambda name=name: count(name) for name in calls}, seconds=0)
    assert set(found) == set(calls)
    assert all(t.best <= t.median <= t.worst for t in found.values())
    assert min(calls.values()) > 2 * 5  # at least two runs in each of five turns


def test_results_are_of_all_cases_and_depths():
    assert [(case["name"], case["dtype"], case["what"]) for case in FOUND["cases"]] == [
        (case.name, case.dtype, case.what) for case in CASES
    ]
    assert all({"pyham", "NumPy", "PyTorch", "JAX"} <= set(case["median"]) for case in FOUND["cases"])
    assert max(row["depth"] for row in FOUND["deep"]) == 10**6


def test_documentation_shows_the_results():
    page = command.PAGE.read_text()
    assert command.with_section(page, FOUND) == page


def test_table_has_a_row_for_every_case():
    rows = re.findall(r"^\| (H\d [^|]*) \|", report.markdown(FOUND), re.MULTILINE)
    assert len(rows) == len(CASES)
    assert len(set(rows)) == len(rows)


def test_quick_cases_are_small():
    assert all(case.width**2 * case.batch * case.depth < 10**6 for case in QUICK)


def test_the_papers_training_has_a_loss_for_every_epoch():
    losses = planar.with_pyham(planar.FEW)
    assert losses.shape == (2 * planar.FEW,) and losses[0] > losses[-1]


def test_the_papers_training_is_the_same_mathematics_in_pytorch():
    pytest.importorskip("torch")
    np.testing.assert_allclose(planar.with_torch(planar.FEW), planar.with_pyham(planar.FEW), rtol=1e-11)


@pytest.mark.parametrize(("name", "dtype"), [("H1", "float32"), ("H2", "float64")])
def test_mnist_is_the_same_network_for_pytorch(name, dtype, rng):
    pytest.importorskip("torch")
    pixels, labels = rng.integers(0, 256, (150, 28, 28)).astype(np.uint8), rng.integers(0, 10, 150)
    net = mnist.network(name, dtype)
    ours, theirs = (make(net, pixels, labels) for make in (mnist.with_pyham, mnist.with_torch))
    rows = rng.permutation(150)[: mnist.BATCH]
    mnist.agree(ours, theirs, rows, dtype)
    for program in (ours, theirs):
        program.step(rows)
    mnist.agree(ours, theirs, rows, dtype)  # after Adam's step, too
    with pytest.raises(ArithmeticError, match="PyTorch and pyham differ by"):
        mnist.agree(ours, mnist.with_torch(net, pixels, (labels + 1) % 10), rows, dtype)

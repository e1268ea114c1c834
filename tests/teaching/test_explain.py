"""Explanations: the numbers are the engine's, both checks see every planted fault, and places in the code are true."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham.engines.reference import REFERENCE
from pyham.teaching.explain_faults import FAULTS, PlantedFault
from pyham.teaching.explain_quantities import ROOT
from tests.oracles.strategies import VARIANTS, variant

IMAGES = {
    "ConvH2": lambda: pyham.images.ConvH2(2, 2, width=2, depths=(1, 1), activation="tanh"),
    "ConvH2 relu": lambda: pyham.images.ConvH2(2, 3, width=2, depths=(2,)),
    "Pixelwise H2": lambda: pyham.images.image_architecture("H2", rows=2, columns=3, width=4, depth=2, step=0.3),
    "Pixelwise MS1": lambda: pyham.images.image_architecture("MS1", rows=2, columns=2, width=4, depth=1, step=0.3),
}
GRAPHS = {
    name: lambda name=name: pyham.architecture(name, width=8, depth=2, step=0.3, graph="ring", nodes=4)
    for name in ("H1", "H2", "MS3", "MLP", "ResNet")
}
FEW = ("MS1-semi-implicit-q-first", "H2-verlet-p-first", "H1-J2", "MS2", "MLP", "ConvH2", "MS3 on a ring")
CASES = [*VARIANTS, *IMAGES, *(f"{name} on a ring" for name in GRAPHS)]


@cache
def network(case):
    arch = IMAGES.get(case) or GRAPHS.get(case.removesuffix(" on a ring"))
    found = arch() if arch and case not in VARIANTS else variant(case, width=4, depth=3, step=0.3)
    return found.init(1, initialization="scaled-normal")


def sample(net, dtype=np.float64):
    return np.random.default_rng(3).standard_normal(net.arch.shape).astype(dtype)


@cache
def explained(case):
    net = network(case)
    return net.explain(sample(net))


@pytest.mark.parametrize(
    ("case", "dtype"),
    [(case, np.float64) for case in CASES]
    + [pytest.param(case, np.float32, marks=[] if i % 3 == 0 else pytest.mark.slow) for i, case in enumerate(CASES)],
)
def test_numbers_are_those_of_the_reference_engine_and_agree_with_both_checks(case, dtype):
    net = network(case)
    x = sample(net, dtype)
    e = net.explain(x)
    states = net.trace(x[None], backend="reference")
    adjoint = net.adjoint(states, states.output, backend="reference")  # of 1/2 |y_N|^2, whose gradient is y_N
    _, gradients = REFERENCE.adjoint(net.stages(dtype), states.states, states.output)
    phi = None if x.ndim > 1 else net.sensitivity(x[None], backend="reference")
    for layer in e.structure:
        j, of_stages = layer.number, net.stages(dtype).gradients_of_layer(gradients, layer.number)
        assert np.array_equal(e[f"y{j}"].value, states.states[j][0])
        assert np.array_equal(e[f"delta{j}"].value, adjoint.delta[j][0])
        assert phi is None or np.array_equal(e[f"Phi{j}"].value, phi[j, 0])
        for i, of in enumerate(layer.stages):
            for name in ("A", "c", "W"):
                assert np.array_equal(e[f"d{name}{of.key}"].value, getattr(of_stages, name)[i])
        for name in layer.arch.shapes:
            expected = adjoint.params[name + layer.group][layer.local]
            assert np.array_equal(e[layer.parameter(name)[0]].value, expected)
    assert e.passed and all(q.verdict in ("given", "holds") for q in e)
    assert e.worst < (1e-14 if dtype is np.float64 else 1e-14 * 2**29)
    compared = {a.kind for q in e for a in q.agreements}
    assert compared == {"formula", "complex step"}
    for q in e:  # nothing that is computed goes unchecked, and no derivative without a complex step
        kinds = {a.kind for a in q.agreements}
        if q.part == "backward" and q.kind not in ("dK", "unsqueeze") and q.inputs:
            assert kinds == {"formula", "complex step"}, q.key
        assert kinds or not q.inputs


@pytest.mark.parametrize(
    "case", [case if case in FEW else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_checks_find_every_fault_and_one_formula_is_wrong(case, slow):
    """Every fault of every case with --slow; without, every third fault of a few cases in one layer."""
    e = explained(case) if slow else network(case).explain(sample(network(case)), layers=-1)
    places = [(q, wrong) for q in e if q.part == "backward" and q.inputs for wrong in FAULTS.get(q.kind, ())]
    assert {q.kind for q, _ in places} >= {"delta_N", "g", "delta", "dA", "dc", "dW", "Phi", "dK", "db"}
    seen = set()
    for q, wrong in places if slow else places[::3]:
        faulty = e.with_fault(PlantedFault(q.key, wrong))
        if faulty is None:  # it changes nothing, as what an MLP keeps
            continue
        seen.add(q.kind)
        wrong_formulas = [f.key for f in faulty if any(a.kind == "formula" and not a.holds for a in f.agreements)]
        wrong_steps = [f.key for f in faulty if any(a.kind == "complex step" and not a.holds for a in f.agreements)]
        assert wrong_formulas == [q.key], wrong
        assert q.key in wrong_steps or "complex step" not in {a.kind for a in q.agreements}
        assert faulty.check_answer(q.key) and faulty.check_answer(q.symbol) and not faulty.check_answer("y0")
        assert not faulty.passed
    assert len(seen) > 4


@pytest.mark.parametrize("case", ["H2-semi-implicit-p-first", "H2-yoshida4-p-first", "H1-J1", "MLP", "ConvH2"])
def test_an_output_close_to_its_target_is_no_false_alarm(case):
    """Then the loss's gradient is a difference of numbers that are much larger, and keeps few digits."""
    net, rng = network(case), np.random.default_rng(5)
    for size in (1e-1, 1e-3, 1e-6):
        x = sample(net) * rng.choice([0.5, 1, 4])
        target = net(x[None], backend="reference")[0] + size * rng.standard_normal(net.arch.output_shape)
        e = net.explain(x, target=target)
        assert e.passed, [(q.key, q.agreements) for q in e.quantities if not q.passed]


def test_other_losses_activations_and_layers():
    net = pyham.H1(4, 3, 0.3, activation="logistic").init(0)
    x, delta = np.arange(4.0), np.array([0, 1, 0, -1.0])
    e = net.explain(x, delta_N=delta, layers=-1)
    assert e.passed and e.layers == (2,) and e["L"].value == pytest.approx(e["y3"].value @ delta)
    assert "a1" not in e and all(key in e for key in ("a2", "y2", "y3", "delta2", "Phi2", "dK2", "loss"))
    trace = net.trace(x[None], backend="reference")
    assert np.array_equal(e["delta2"].value, net.adjoint(trace, delta[None], backend="reference").delta[2, 0])
    target = trace.output[0]
    assert not net.explain(x, target=target)["delta0"].value.any() and net.explain(x, target=target).passed
    own = pyham.Activation("cut", lambda a: np.clip(a, -1, 1), lambda a: (abs(a) < 1).astype(a.dtype),
                           lambda a: np.where(abs(a) < 1, a * a / 2, abs(a) - 0.5).astype(a.dtype), 1.0)  # fmt: skip
    assert pyham.ResNet(3, 2, 0.3, own).init(0).explain(np.ones(3)).passed
    empty = pyham.H2(4, 0).init(0).explain(x)
    assert empty.passed and np.array_equal(empty["Phi0"].value, np.eye(4))
    saturated = pyham.H1(4, 2, 0.5).init(0).explain(100 * x)
    assert saturated.passed and "undecided" in {q.verdict for q in saturated} and saturated.worst < 1e-13
    assert pyham.H2(4, 2, 1e-320).init(0).explain(x).passed  # W = h J A^T has no digits
    with pytest.raises(ValueError, match="seed: expected a pass in which some fault changes a number"):
        net.explain(x, target=target, layers=[]).plant_a_fault(0)


@pytest.mark.parametrize("case", ["H2-plain", "MS2", "ConvH2", "Pixelwise MS1", "H1 on a ring"])
def test_places_are_lines_of_the_files_and_do_what_is_said(case):
    verbs = {
        "a": "A.add(", "u": "maps[1].apply(", "y": "z[stage.dst] =", "g": "g = stage.activation.derivative(a) *",
        "delta": "delta[stage.src] += A_map.transposed", "dA": "A_map.outer(", "dc": "A_map.total(",
        "dW": "W_map.outer(", "db": "db[", "A": "A[:, s] =", "c": "c[:, s] =", "W": "W[layers, s] =",
        "loss": "value, start =",
    }  # fmt: skip
    places = {q.place: q.kind for q in explained(case) if q.place.line}
    assert len(places) > 10
    for place, kind in places.items():
        line = (ROOT / place.file).read_text().splitlines()[place.line - 1]
        assert line.strip() == place.text and verbs.get(kind, "") in line
        assert not place.text.startswith("def "), place


def test_dictionaries_are_json_and_full_ones_have_every_number():
    for case in ("H2-verlet-p-first", "ConvH2", "MS2"):
        e = explained(case)
        found = json.loads(json.dumps(e.to_dict(full=True), allow_nan=False))
        for q, entry in zip(e, found["quantities"], strict=True):
            assert np.array_equal(np.array(entry["value"]).reshape(q.value.shape), q.value) and entry["whole"]
        assert found["passed"] and found["worst"] == e.worst
    large = pyham.MLP(20, 1).init(0, initialization="scaled-normal").explain(np.ones(20)).to_dict()["quantities"]
    assert [len(q["value"]) for q in large if q["key"] == "dK0"] == [64]  # an excerpt, with the norms
    overflow = pyham.MLP(2, 2, activation="identity").init(0).explain(np.full(2, 1e200))
    assert not overflow.passed and json.dumps(overflow.to_dict(full=True), allow_nan=False)


def test_puzzles_hide_the_answer_until_it_is_revealed():
    e = explained("H2-plain")
    puzzles = [e.plant_a_fault(seed) for seed in range(12)]
    assert len({p.fault for p in puzzles}) > 6
    assert puzzles[3].fault == e.plant_a_fault(3).fault
    for puzzle in puzzles:
        shown, told = str(puzzle), puzzle.reveal()
        assert puzzle.question.split()[0] in shown and "✗" not in shown and "✓" not in shown
        assert puzzle.fault.wrong not in json.dumps(puzzle.to_dict(), ensure_ascii=False)
        assert puzzle.fault.wrong in told.text(120) or puzzle.fault.wrong[:20] in told.text(120)
        assert told.to_dict()["fault"]["key"] == puzzle.fault.key and "✗" in str(told)
    with pytest.raises(ValueError, match="answer: expected an explanation with a planted fault"):
        e.check_answer("y0")
    with pytest.raises(KeyError, match="expected one of"):
        puzzles[0].check_answer("nothing")


@pytest.mark.parametrize("width", [60, 80, 109, 120, 200])
def test_text_keeps_to_its_width(width):
    for case in ("H2-yoshida4-q-first", "ConvH2", "MS2", "H1 on a ring"):
        e = explained(case)
        table, wall = e.text(width), e.text(width, projector=True)
        assert max(map(len, [*table.splitlines(), *wall.splitlines()])) <= width, case
        assert all(q.symbol in table for q in e)


def test_two_layers_of_width_two_fit_a_projector():
    for name, options in [*VARIANTS.values()]:
        if options.get("scheme") != "yoshida4":
            plain = {key: value for key, value in options.items() if value != "random"}
            e = pyham.architecture(name, width=2, depth=2, step=0.5, **plain).init(0).explain([1.0, 2.0])
            lines = e.text(projector=True).splitlines()
            assert len(lines) <= 40 and max(map(len, lines)) <= 100, name
            assert all(symbol in "\n".join(lines) for symbol in ("δ", "Φ", "db", "dA = g yᵀ"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0]}, r"x: expected shape \(1, 4\), got \(1, 1\)"),
        ({"x": np.zeros((2, 4))}, r"x: expected shape \(1, 4\), got \(2, 4\)"),
        ({"x": np.zeros(4) * 1j}, "x: expected real numbers, got dtype complex128"),
        ({"target": [1.0]}, r"target: expected shape \(1, 4\)"),
        ({"target": np.ones(4), "delta_N": np.ones(4)}, "delta_N: expected none beside a target, got one"),
        ({"layers": 3}, "layers: expected integers from -3 to 2, got 3"),
        ({"layers": [0, "a"]}, "layers: expected an integer >= -3, got str"),
    ],
)
def test_refusals_name_the_argument(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        network("H1-J1").explain(**({"x": np.zeros(4)} | arguments))


def test_pictures_are_written_and_others_refused(tmp_path):
    figure = explained("ConvH2").draw(tmp_path / "pass.svg")
    assert len(figure.axes) == 4 and (tmp_path / "pass.svg").read_bytes().startswith(b"<?xml")
    with pytest.raises(ValueError, match=r"path: expected a name that ends in .png, .pdf, .svg, got 'pass.gif'"):
        explained("H2-plain").draw("pass.gif")
    assert not Path("pass.gif").exists()

"""The main job: its report, its exit code, its options; and that it notices."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

import pyham
from validation import __main__ as main
from validation import claim, html, report

INF = float("inf")
KEYS = {"id", "statement", "network", "measured", "tolerance", "control", "passed", "control_failed"}


@pytest.mark.seldom
def test_main_job_passes_and_writes_report_picture_and_a_page_that_says_everything(tmp_path, slow):
    """In full with --slow, and whenever ``python -m validation`` is run."""
    folder = tmp_path / "report"
    options = [] if slow else ["--quick", "--only", *claim.CORE]
    code = main.main([*options, "--json", str(folder / "report.json")])
    entries = json.loads((folder / "report.json").read_text())
    assert code == 0
    assert all(entry.keys() >= KEYS for entry in entries)
    assert all(entry["passed"] and entry["control_failed"] for entry in entries)
    assert {entry["id"] for entry in entries} == set(claim.CORE)
    assert (folder / "sensitivity_norms.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "sensitivity_norms.png"]
    text = (folder / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    kinds = sum(any(name in claim.CORE for name in names) for _, _, names in html.KINDS)
    assert text.count("<tr><td>") == len(entries) + kinds
    assert all(f"--only {name} --seed 0" in text for name in claim.CORE)
    assert "Everything holds" in text and f"pyham {pyham.__version__}" in text


def test_only_selects_claims_in_order():
    assert list(claim.modules(["v7", "V2"])) == ["V2", "V7"]


@pytest.mark.parametrize(
    ("words", "message"),
    [("--only V99", "--only: expected claims among V1 V2 V3"), ("--seed -1", "--seed"), ("--seed x", "--seed")],
)
def test_options__raise_on_what_they_do_not_take(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main.main(words.split())
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


NUMBERS = [
    (0.5, 2, True),
    (2, 3, False),
    (0.5, 0.5, False),
    (np.nan, 2, False),
    (0.5, np.nan, False),
    (1, np.inf, True),
]


@pytest.mark.parametrize(("measured", "control", "ok"), NUMBERS)
def test_a_finding_is_good_only_if_it_passes_and_its_control_fails(measured, control, ok):
    assert claim.Finding("V0", "a statement", claim.Result("net", measured, 1.0, control, "case")).ok is ok


def test_exit_code_is_1_when_a_control_does_not_fail(monkeypatch, tmp_path):
    def check(lab):
        yield claim.Result("net", 0.0, 1.0, 0.5, "a control that passes")

    toothless = SimpleNamespace(STATEMENT="nothing", check=check)
    monkeypatch.setattr(claim, "modules", lambda only=None, core=False: {"V0": toothless})
    trained = property(lambda lab: SimpleNamespace(net=lab.untrained, accuracy=lambda x, labels: 1.0))
    monkeypatch.setattr(claim.Lab, "classifier", trained)
    assert main.main(["--quick", "--json", str(tmp_path / "report.json")]) == 1
    (entry,) = json.loads((tmp_path / "report.json").read_text())
    assert entry["passed"] and not entry["control_failed"]


def test_report_spells_infinity_and_stays_json(tmp_path):
    result = claim.Result("net", 0.0, 1.0, np.inf, "case")
    report.write_json([claim.Finding("V0", "a statement", result)], tmp_path / "new" / "report.json")
    (entry,) = json.loads((tmp_path / "new" / "report.json").read_text())
    assert entry["control"] == "inf" and entry["control_failed"]


def test_rng_of_a_claim_does_not_depend_on_the_others():
    lab = claim.Lab(5)
    first = lab.rng("V2").standard_normal()
    lab.rng("V3").standard_normal()
    assert lab.rng("V2").standard_normal() == first != lab.rng("V3").standard_normal()
    assert isinstance(lab.untrained, pyham.Network)

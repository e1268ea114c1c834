"""The page of an explanation in a browser, by keyboard; and the command that writes it."""

import json
import re

import numpy as np
import pytest

import pyham
from pyham.commands import cli


@pytest.fixture(scope="module")
def explanation():
    return pyham.H2(2, 2, 0.5).init(0).explain([1.0, 2.0])


@pytest.fixture
def opened(session, explanation, tmp_path):
    """Writes the page of an explanation and opens it; afterwards the page must not have complained."""

    def open_(e=explanation):
        e.to_html(tmp_path / "pass.html")
        session.open(tmp_path / "pass.html")
        return session

    yield open_
    assert session.problems() == []
    session.resize(1440, 900)


def words(page, name):
    return page.evaluate(f"document.getElementById('{name}').textContent")


def test_page_is_stepped_through_by_keyboard(opened, explanation):
    page = opened()
    asked = [e["params"]["request"]["url"] for e in page.events if e.get("method") == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:", "about:")) for url in asked)
    look = "[...['symbol', 'formula', 'name', 'place', 'check'].map(id => document.getElementById(id).textContent), "
    look += "pyhamExplanation.step.key, [...document.querySelectorAll('#value td')].map(cell => cell.textContent)]"
    for q in explanation:
        symbol, formula, name, place, check, key, cells = page.evaluate(look)
        assert (key, symbol, formula, name) == (q.key, q.symbol, "= " + q.formula, q.name)
        assert (q.place.text in place and f"{q.place.file}:{q.place.line}" in place) or not q.place.line
        assert [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells] == pytest.approx(
            q.value.ravel(), rel=1e-5
        )
        assert ("✓" in check) == bool(q.agreements)
        page.press("ArrowRight")
    assert page.evaluate("document.getElementById('next').disabled")
    page.press("Home")
    assert page.evaluate("pyhamExplanation.step.key") == "y0"
    page.press("End")
    page.press("ArrowLeft")
    assert page.evaluate("pyhamExplanation.step.key") == list(explanation)[-2].key
    page.evaluate("document.querySelector('#inputs button').focus()")
    page.press("Enter")
    assert page.evaluate("pyhamExplanation.step.key") == list(explanation)[-2].inputs[0]


def test_page_does_not_scroll_sideways(opened):
    images = pyham.images.ConvH2(2, 2, width=2, depths=(1, 1)).init(0)
    page = opened(images.explain(np.ones((2, 2, 2))))
    width = "(pyhamExplanation.show(i), document.documentElement.scrollWidth)"
    for wide in (375, 768, 1440):
        page.resize(wide, 800)
        found = page.evaluate(f"pyhamExplanation.data.quantities.map((q, i) => {width})")
        assert len(found) > 60 and max(found) <= wide


def test_a_fault_is_found_on_the_page(opened, explanation):
    puzzle = explanation.plant_a_fault(3)
    page = opened(puzzle)
    page.press("End")
    assert "hidden" in words(page, "check") and page.evaluate("document.getElementById('puzzle').hidden") is False
    page.evaluate("document.getElementById('wrong').click()")
    assert words(page, "verdict").startswith("No: ")
    page.evaluate(f"pyhamExplanation.show({[q.key for q in puzzle].index(puzzle.fault.key)})")
    page.evaluate("document.getElementById('wrong').click()")
    assert words(page, "verdict") == "Right. " + puzzle.answer and "✗" in words(page, "check")


def test_a_page_is_safe_from_what_stands_in_it(explanation):
    own = pyham.Activation("</script><b>", np.tanh, lambda a: 1 - np.tanh(a) ** 2, lambda a: np.log(np.cosh(a)), 1.0)
    with np.errstate(all="ignore"):
        text = pyham.ResNet(2, 1, 0.5, own).init(0).explain([1.0, 2.0]).to_html()
    assert text.count("</script>") == explanation.to_html().count("</script>")


# The command


def test_command_prints_and_writes(tmp_path, capsys, explanation):
    paths = {name: tmp_path / f"pass.{name}" for name in ("html", "png", "json")}
    out = [f"--{name.replace('png', 'figure')}={path}" for name, path in paths.items()]
    assert cli.main(["explain", "--x", "1,2", "--projector", *out]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("H2(width=2, depth=2") and "all agree" in printed and "dA = g yᵀ" in printed
    found = json.loads(paths["json"].read_text())
    assert [entry["value"] for entry in found["quantities"]] == [q.value.tolist() for q in explanation]
    assert paths["html"].read_text() == explanation.to_html() and paths["png"].read_bytes().startswith(b"\x89PNG")


def test_command_reads_files_and_asks_for_faults(tmp_path, capsys):
    pyham.H1(4, 3, 0.3).init(0).save(tmp_path / "net")
    np.save(tmp_path / "x.npy", np.arange(4.0))
    words = ["explain", str(tmp_path / "net"), "--x", str(tmp_path / "x.npy"), "--delta", "1,0,0,0", "--layer", "1"]
    assert cli.main([*words, "--dtype", "float32"]) == 0
    printed = capsys.readouterr().out
    assert "layer 1" in printed and "layer 0" not in printed and "float32" in printed
    assert cli.main([*words, "--plant-a-fault", "5"]) == 0
    asked = capsys.readouterr().out
    assert "Which quantity is it?" in asked and "The wrong formula" not in asked
    assert cli.main([*words, "--plant-a-fault", "5", "--answer"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"The wrong formula: \S+ \(\w+\)", told) and "✗" in told
    arch = pyham.images.ConvH2(2, 2, width=2, depths=(1,))
    pyham.images.untrained(arch, 0).save(tmp_path / "classifier")
    assert cli.main(["explain", str(tmp_path / "classifier"), "--x", "1,2,3,4,5,6,7,8", "--projector"]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # lines are as wide as the terminal
    assert str(arch) in printed and "all agree" in printed and "norm" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--x 1,a", "--x: expected numbers such as 1,2 or an .npy file, got '1,a'"),
        ("--x 1,2,3", r"--x: expected shape \(2,\), got \(3,\)"),
        ("--target 1", r"--target: expected shape \(2,\), got \(1,\)"),
        ("--layer 2", "--layer: expected integers from -2 to 1, got 2"),
        ("--answer", "--answer: expected --plant-a-fault SEED as well, got none"),
        ("--plant-a-fault -1", "--plant-a-fault: expected an integer >= 0, got -1"),
        ("--figure here.gif", "--figure: expected a name that ends in .png, .pdf, .svg, got here.gif"),
        ("--html -", "--html: expected the name of a file, got -"),
        ("--html /no/where", "No such file or directory: '/no/where'"),
        ("--width 3", r"--width: expected an even number .*, got 3"),
        ("--width 100000", "--width, --depth: expected at most 4194304 numbers, got 20000000000"),
        ("--depth 1000", r"--layer: expected fewer layers of so deep a network \(1000\), got all"),
        ("net --depth 2", "--depth: expected none beside FILE, got 2"),
        ("net --seed -1", "--seed: expected an integer >= 0, got -1"),
        ("empty", "empty: expected a file written by pyham, got an empty one"),
    ],
)
def test_command_says_what_is_wrong_and_returns_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pyham.H1(4, 3, 0.3).init(0).save("net")
    (tmp_path / "empty").touch()
    assert cli.main(["explain", *words.split()]) == 2
    assert re.search(f"python -m pyham explain: .*{message}", capsys.readouterr().err)

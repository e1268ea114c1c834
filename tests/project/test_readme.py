"""The README's examples print what they say, and its commands, numbers and links exist."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from figures import FIGURES
from pyham.commands import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    ("code", "lines"),
    [*zip(EXAMPLES, (4, 2, 1), strict=True)],
    ids=["ten lines", "scikit-learn", "PyTorch"],
)
def test_example_prints_its_comments(code, lines):
    for optional in ("torch", "sklearn"):
        if f"import {optional}" in code:
            pytest.importorskip(optional)
    expected = re.findall(r"^print\(.*\)\s+# (.*)$", code, re.MULTILINE)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), {})
    assert len(expected) == code.count("print(") == lines
    assert output.getvalue().splitlines() == expected


def test_first_example_has_ten_lines_and_quick_start_is_two_commands():
    assert len([line for line in EXAMPLES[0].splitlines() if line and not line.startswith("import")]) == 10
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert commands[:2] == [
        "python -m pip install -e . && python -m validation",
        'python -m pip install -e ".[test]" && python -m pytest',
    ]


def test_it_is_one_page():
    assert README.count("\n") <= 150


def test_commands_are_understood():
    """They run in the tests of the command line; here, that the README's words are its words."""
    commands = [line.split()[3:] for line in README.splitlines() if line.startswith("python -m pyham")]
    commands += [words.split() for words in re.findall(r"`python -m pyham ([^`]+)`", README)]
    assert {words[0] for words in commands} == {"train", "certify", "predict", "playground", "explain"}
    for words in commands:
        with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(io.StringIO()):
            cli.main([*words, "--help"])
        assert stop.value.code == 0


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_gallery_has_six_figures_with_their_commands():
    gallery = README.partition("## Gallery\n")[2].partition("\n## ")[0]
    commands = set(re.findall(r"`python -m figures\.(\w+)`", gallery))
    assert len(commands) == 6 and commands <= set(FIGURES)
    assert set(re.findall(r"figures/results/(\w+)\.", gallery)) == commands


def test_comparison_has_the_measured_numbers():
    """Those of benchmarks/results/speed.json, rounded."""
    cases = json.loads((ROOT / "benchmarks" / "results" / "speed.json").read_text())["cases"]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+ \| [^|]+ \| [^|]+) \|$", README, re.MULTILINE))
    for row, name, what in (
        ("both passes, H2, n = 4, 125 samples, 64 layers", "H2 4, 125, 64", None),
        ("both passes, H1, n = 128, 256 samples, 32 layers", "H1 128, 256, 32", None),
        ("sensitivities of all layers, H1, n = 4", "H1 4, 125, 64", "sensitivities"),
    ):
        case = next(c for c in cases if c["name"] == name and ("sensitiv" in c["what"]) == (what is not None))
        median = case["median"]
        own, torch, jax = (float(re.search(r"[\d.]+", cell)[0]) for cell in rows[row].split(" | "))
        assert own == pytest.approx(1e3 * median["pyham"], rel=0.06)
        assert torch == pytest.approx(median["PyTorch"] / median["pyham"], rel=0.03)
        assert jax == pytest.approx(median["JAX"] / median["pyham"], rel=0.03)

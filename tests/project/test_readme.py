"""The README's example prints what it says, and its commands and links exist."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyham
from figures import FIGURES
from pyham import sweep
from pyham.architectures.vectors import ARCHITECTURES
from pyham.commands import cli
from pyham.training.experiment import Experiment
from validation import claim

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    ("code", "lines"),
    [*zip(EXAMPLES, (4, 3, 1, 2, 1, 1), strict=True)],
    ids=["ten lines", "distributed", "graph", "scikit-learn", "PyTorch", "JAX"],
)
def test_example_prints_its_comments(code, lines):
    for optional in ("networkx", "torch", "jax"):
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


def test_train_command_is_understood():
    """It runs in the tests of the command line; here, that the README's words are its words."""
    commands = [line.split()[3:] for line in README.splitlines() if line.startswith("python -m pyham train")]
    assert len(commands) == 3
    for words in commands:
        with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(io.StringIO()):
            cli.main([*words, "--help"])
        assert stop.value.code == 0


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_network_and_claim_is_listed():
    rows = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted(ARCHITECTURES)
    assert tuple(re.findall(r"^\| \*\*(V\d+)\*\* \|", README, re.MULTILINE)) == claim.CORE
    assert re.findall(r"^\| \**(V\d+)\** \|", README, re.MULTILINE) == list(claim.modules())


def test_sweep_is_a_script_that_runs_experiments(tmp_path):
    """Run as the script that a reader makes of it, smaller: processes import it, and none begins the sweep again."""
    (code,) = re.findall(r"```\n(from pyham import sweep\n.*?)```", README, re.DOTALL)
    small = 'grid(depth=[1, 2], protocol=[{"epochs": 1, "output_epochs": 1}], samples=20)'
    script = re.sub(r"grid\(.*\)\n", f"{small}\n", code) + "    print([outcome.error for outcome in outcomes])\n"
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[None, None]\n"), done.stderr
    runs = eval(re.search(r"sweep\.(grid\(.*\))\n", code)[1], {"grid": sweep.grid})
    assert {Experiment.from_config(run).depth for run in runs} == {4, 16, 64} and len(runs) == 2 * 3 * 10


def test_every_figure_of_the_gallery_has_its_command():
    gallery = README.partition("## Gallery\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`python -m figures\.(\w+)`", gallery)) == set(FIGURES)
    assert set(re.findall(r"figures/results/(\w+)\.", gallery)) == set(FIGURES)


def test_certificate_is_the_printed_one():
    shown = re.search(r"```\n(H2.*?)```", README, re.DOTALL)
    code = EXAMPLES[0]
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "README.md", "exec"), names)
    printed = str(pyham.certify(names["net"], names["x"])).splitlines()
    lines = shown[1].splitlines()
    assert len(lines) == len(printed)
    numbers = re.compile(r"-?\d\.?\d*e[-+]\d\d")  # roundings differ from machine to machine; words do not
    assert [re.sub(r"\s+", " ", numbers.sub("#", line)) for line in lines if "---" not in line] == [
        re.sub(r"\s+", " ", numbers.sub("#", line)) for line in printed if "---" not in line
    ]

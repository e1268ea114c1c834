"""The documentation says what is true: names, networks, claims, examples, commands. ``python -m docs`` builds it."""

import contextlib
import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyham
from docs import offline
from figures import FIGURES
from pyham import _aliases, sweep
from pyham.architectures.vectors import ARCHITECTURES
from pyham.commands import cli
from pyham.training.experiment import Experiment
from validation import claim

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {page.relative_to(DOCS).as_posix(): page.read_text() for page in sorted(DOCS.rglob("*.md"))}
#: Modules whose names in ``__all__`` are public; "" is the package itself.
ROOMS = ("", "training", "verification", "distributed", "sweep", "images", "teaching.exercises")
ESTIMATORS = ("HamiltonianClassifier", "HamiltonianRegressor", "HamiltonianTransformer")
INSIDE = {"Exercise", "Judgement"}  # what ``check`` works with


def public_names():
    """Each public name, and the room that it is in."""
    for room in ROOMS:
        module = importlib.import_module(f"pyham.{room}".rstrip("."))
        for name in (*module.__all__, *(() if room else ESTIMATORS)):
            if name not in INSIDE:
                yield f"pyham.{room}.{name}".replace("..", ".")


def reference():
    """The pages of the reference: what their directives document, and what their executed examples use."""
    text = "\n".join(page for name, page in PAGES.items() if name.startswith("reference/"))
    cells = "\n".join(re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", text, re.DOTALL))
    documented = set(re.findall(r"^\.\. auto\w+:: (?:pyham)?([\w.]+)", text, re.MULTILINE))
    return documented, set(re.findall(r"\w+", cells)), text


@pytest.mark.parametrize("name", list(public_names()))
def test_every_public_name_is_documented_with_an_example_that_runs(name):
    documented, used, text = reference()
    last = name.rpartition(".")[2]
    found = {entry.rpartition(".")[2] for entry in documented} | set(re.findall(r"`pyham[\w.]*\.(\w+)`", text))
    module = _aliases.HOMES.get(last, name).removeprefix("pyham")  # of a short name: documented under its own
    room = any(entry.startswith(f"{module}.") for entry in documented)
    assert last in found or module in documented or room or last == "__version__"
    assert last in used


def test_methods_of_networks_are_used_in_the_example():
    _, used, _ = reference()
    methods = {name for name in vars(pyham.Network) if not name.startswith("_")} - {"arch", "params"}
    assert methods <= used


def test_every_network_and_claim_has_its_place():
    rows = re.findall(r"^\| `(\w+)` \|", PAGES["explanation/model.md"], re.MULTILINE)
    assert sorted(rows) == sorted(ARCHITECTURES)
    claims = {f"explanation/claims/v{int(name[1:]):02d}.md": name for name in claim.modules()}
    assert {name for name in PAGES if name.startswith("explanation/claims/v")} == set(claims)
    for page, name in claims.items():
        text = PAGES[page]
        assert text.startswith(f"# {name}. ") and f"<!-- numbers: {name} -->" in text
        assert "## Statement\n" in text and "## Proof\n" in text
        assert f"[{name}]({Path(page).name})" in PAGES["explanation/claims/index.md"]


def test_links_lead_to_files():
    for name, text in PAGES.items():
        outside_code = re.sub(r"^(`{3,})[^`]*$.*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)", outside_code):
            if ":" not in link:
                assert (DOCS / name).parent.joinpath(link).exists(), (name, link)


def test_guides_are_in_the_index():
    for part in ("how-to", "explanation"):
        listed = set(re.findall(r"^([\w/-]+)$", PAGES[f"{part}/index.md"], re.MULTILINE))
        pages = {name.removeprefix(f"{part}/").removesuffix(".md") for name in PAGES if name.startswith(f"{part}/")}
        assert {page for page in pages if "/" not in page} - {"index"} <= listed


@pytest.mark.parametrize("page", [name for name in PAGES if "python -m pyham " in PAGES[name]])
def test_commands_are_understood(page):
    lines = re.findall(r"^(?:mpiexec -n 4 )?python -m pyham (\w.*?)(?: +#.*)?$", PAGES[page], re.MULTILINE)
    for words in lines:
        with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(io.StringIO()):
            cli.main([*words.split(), "--help"])
        assert stop.value.code == 0, words


@pytest.mark.parametrize(
    ("page", "optional"), [("how-to/pytorch.md", "torch"), ("how-to/jax.md", "jax"), ("how-to/certificate.md", "numpy")]
)
def test_example_prints_its_comments(page, optional):
    """Examples that the site does not execute."""
    pytest.importorskip(optional)
    code = re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)[0]
    expected = re.findall(r"^print\(.*\)\s+# (.*)$", code, re.MULTILINE)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, page, "exec"), {})
    assert len(expected) == code.count("print(")
    assert output.getvalue().splitlines() == expected


@pytest.mark.parametrize("page", ["how-to/graphs.md", "how-to/memory.md", "how-to/tables.md"])
def test_executed_example_prints_its_comments(page):
    cells = re.findall(r"```\{code-cell\}\n(.*?)```", PAGES[page], re.DOTALL)
    names: dict = {}
    for code in cells:
        expected = re.findall(r"^print\(.*\)\s+# (.*)$", code, re.MULTILINE)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, page, "exec"), names)
        assert output.getvalue().splitlines() == expected


@pytest.mark.seldom
def test_sweep_is_a_script_that_runs_experiments(tmp_path):
    """Run as the script that a reader makes of it, smaller: processes import it, and none begins the sweep again."""
    (code,) = [
        code
        for code in re.findall(r"```python\n(.*?)```", PAGES["how-to/sweeps.md"], re.DOTALL)
        if "import sweep" in code
    ]
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


def test_gallery_is_made_of_all_figures():
    assert "<!-- gallery -->" in PAGES["gallery/index.md"]
    assert all((ROOT / "figures" / "results" / f"{name}.png").exists() for name in FIGURES)


def test_certificate_is_the_printed_one():
    shown = re.search(r"```\n(H2.*?)```", PAGES["how-to/certificate.md"], re.DOTALL)
    code = re.findall(r"```python\n(.*?)```", PAGES["how-to/certificate.md"], re.DOTALL)[0]
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "certificate.md", "exec"), names)
    printed = str(pyham.certify(names["net"], names["x"])).splitlines()
    lines = shown[1].splitlines()
    assert len(lines) == len(printed)
    numbers = re.compile(r"-?\d\.?\d*e[-+]\d\d")  # roundings differ from machine to machine; words do not
    assert [re.sub(r"\s+", " ", numbers.sub("#", line)) for line in lines if "---" not in line] == [
        re.sub(r"\s+", " ", numbers.sub("#", line)) for line in printed if "---" not in line
    ]


def test_what_needs_a_network_or_leads_nowhere_is_noticed(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a id="here"></a><script src="https://elsewhere.org/x.js"></script><a href="https://elsewhere.org">fine</a>'
        '<img src="none.png"><a href="b.html#there">x</a><a href="b.html#nowhere">x</a><a href="#here">x</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><link rel="canonical" href="https://elsewhere.org/b">')
    assert offline.problems(tmp_path) == [
        "a.html: b.html#nowhere has no such place",
        "a.html: fetches https://elsewhere.org/x.js",
        "a.html: none.png leads nowhere",
    ]


def test_citation_and_changes_name_the_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == pyham.__version__
    assert pyham.__version__ in re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]

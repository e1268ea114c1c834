"""The findings as one self-contained page: no external files, light and dark, readable when printed."""

import base64
import html
import importlib.metadata
import io
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.files.replacing import replace_file
from validation import claim, power
from validation.claim import Finding
from validation.faults.run import HEADS

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "matplotlib", "mpmath", "python-flint", "torch")

#: What the words in the table of kinds mean, and the claims that are of each kind.
KINDS = (
    (
        "proven",
        "A computer proof about these networks: enclosures of the exact numbers, rounding included, decide the "
        "statement. V21 proves it for single samples, V22 for every input near a sample; V22 takes NumPy's elementary "
        "functions to be right within 8 units in the last place.",
        ("V21", "V22"),
    ),
    (
        "measured",
        "A residual of computed numbers beside a tolerance, which comes from the rounding errors that the computation "
        "can make, and a control that exceeds it. It would show any fault larger than the tolerance on the networks "
        "and samples that were tried, and says nothing about others.",
        (
            "V1",
            "V2",
            "V3",
            "V4",
            "V7",
            "V8",
            "V9",
            "V10",
            "V11",
            "V12",
            "V13",
            "V15",
            "V16",
            "V17",
            "V18",
            "V19",
            "V20",
            "V23",
            "V23",
        ),
    ),
    (
        "only bounded",
        "An inequality that theory promises for every input, from the weights alone. What is measured stays below it, "
        "but how far below is not known beforehand: for trained networks often by many orders of magnitude.",
        ("V5", "V6", "V14"),
    ),
)

STYLE = Path(__file__).with_name("report.css")


@dataclass
class Page:
    """What the page is made of; the report fills it while it runs."""

    seed: int
    mode: str
    command: str
    findings: list[Finding] = field(default_factory=list)
    pictures: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    faults: list[power.FaultRow] = field(default_factory=list)
    rooms: list[tuple[str, ...]] = field(default_factory=list)
    seconds: float = 0.0

    @staticmethod
    def left_out(modules: dict[str, ModuleType]) -> list[str]:
        """A sentence for each claim that needs what is not installed."""
        lacks = {name: claim.missing(module) for name, module in modules.items()}
        return [f"{name} is left out: {words}" for name, words in lacks.items() if words]

    def add_figure(self, name: str, caption: str, figure: Figure) -> None:
        """Keep a figure as PNG, under its claim, and close it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=130, format="png")
        plt.close(figure)
        self.pictures.setdefault(name, []).append((caption, buffer.getvalue()))

    def write(self, path: Path, modules: dict[str, ModuleType]) -> None:
        """The page, written at once or not at all."""
        replace_file(path, self.render(modules).encode())

    def render(self, modules: dict[str, ModuleType]) -> str:
        """The page as text."""
        good = sum(finding.ok for finding in self.findings)
        everything = good == len(self.findings)
        words = "Everything holds, and every control fails."
        if not everything:
            words = f"{len(self.findings) - good} results are not as they must be."
        claims = [name for name in modules if any(f.id == name for f in self.findings)]
        parts = [
            "<h1>Hamiltonian deep neural networks, verified numerically</h1>",
            f'<p class="quiet">pyham {pyham.__version__}, {self.mode} run of {len(claims)} claims, seed {self.seed}, '
            f"{self.seconds:.0f} s, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC</p>",
            f'<p class="verdict{"" if everything else " bad"}"><strong>{words}</strong> {len(self.findings)} results, '
            "each with a tolerance and a control: a neighbouring case in which the same check must fail.</p>",
            *(f'<p class="quiet">{html.escape(line)}</p>' for line in self.left_out(modules)),
            *self.picture(""),
            kinds(claims),
            f"<nav>{''.join(self.link(name, modules[name]) for name in claims)}</nav>",
            *(self.section(name, modules[name]) for name in claims),
            self.faults_table(),
            environment(self.seed, self.command),
        ]
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>pyham: report</title><style>{STYLE.read_text()}</style>"
        )
        body = "\n".join([*parts, f"<script>{OPEN_IN_PRINT}</script>"])
        return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'

    def link(self, name: str, module: ModuleType) -> str:
        return f'<a href="#{name}">{name}: {html.escape(module.STATEMENT)}</a>'

    def section(self, name: str, module: ModuleType) -> str:
        """One claim: statement, numbers, pictures, the documentation of its module, and how to run it alone."""
        rows = "".join(row(finding) for finding in self.findings if finding.id == name)
        numbers = "".join(f'<th class="number">{word}</th>' for word in ("measured", "tolerance", "control"))
        text = html.escape((module.__doc__ or "").strip())
        parts = [
            f'<h2 id="{name}">{name}&ensp;{html.escape(module.STATEMENT)}</h2>',
            f'<div class="scroll"><table class="results"><tr><th>network</th>{numbers}<th>verdict</th>'
            "<th>what the control is</th></tr>"
            f"{rows}</table></div>",
            *self.picture(name),
            f"<details><summary>Statement, source, oracle, tolerance, control</summary><pre>{text}</pre></details>",
            f'<p class="quiet">Alone: <code>python -m validation --only {name} --seed {self.seed}'
            f"{' --' + self.mode if self.mode in ('quick', 'full') else ''}</code></p>",
        ]
        return "\n".join(parts)

    def picture(self, name: str) -> list[str]:
        """The figures of a claim ("" for those of the whole report)."""
        return [
            f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            for caption, png in self.pictures.get(name, [])
        ]

    def faults_table(self) -> str:
        """What the checks notice when the engine is broken on purpose, and what the tests notice in every room."""
        if not self.faults:
            return ""
        caught = sum(bool(line.checks) for line in self.faults)
        return (
            f'<h2 id="faults">Planted faults: {caught} of {len(self.faults)} noticed in the recursion</h2>'
            "<p>A check that never failed proves nothing. Each of these errors was put into the reference engine on "
            "purpose; the last column is the largest residual that a check found. What no check notices changes no "
            "number here: validation/faults/reviewed.txt has the reasons.</p><details><summary>The table</summary>"
            f"{table(('fault', 'noticed by', 'residual'), map(fault_row, self.faults))}</details>"
            "<p>In every room of the package faults meet the tests: <code>python -m validation.faults</code></p>"
            + (table(HEADS, self.rooms) if self.rooms else "")
        )


#: Paper has nothing to click on: what is folded is unfolded for it.
OPEN_IN_PRINT = (
    "let folded = []; "
    "addEventListener('beforeprint', () => { folded = [...document.querySelectorAll('details:not([open])')]; "
    "folded.forEach(part => part.open = true) }); "
    "addEventListener('afterprint', () => folded.forEach(part => part.open = false));"
)


def kinds(claims: list[str]) -> str:
    """What of this report is proven, what is measured, and what is only bounded."""
    lines = [(word, meaning, " ".join(name for name in names if name in claims)) for word, meaning, names in KINDS]
    words = table(("kind", "what it means", "claims here"), [line for line in lines if line[2]])
    return f'<h2 id="kinds">What is proven, what is measured, what is only bounded</h2>{words}'


def table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    cells = ["".join(f"<td>{html.escape(cell)}</td>" for cell in line) for line in lines]
    words = "".join(f"<th>{word}</th>" for word in heads)
    rows = "".join(f"<tr>{line}</tr>" for line in cells)
    return f'<div class="scroll"><table><tr>{words}</tr>{rows}</table></div>'


def fault_row(line: power.FaultRow) -> tuple[str, ...]:
    return line.fault, ", ".join(line.checks) or "nothing", f"{line.residual:.1e}"


def row(finding: Finding) -> str:
    r = finding.result
    verdict = '<span class="good">passed</span>'
    if not r.passed:
        verdict = '<span class="bad">failed</span>'
    elif not r.control_failed:
        verdict = '<span class="bad">control passed</span>'
    note = f'<span class="note">{html.escape(r.note)}</span>' if r.note else ""
    numbers = "".join(f'<td class="number">{value:.1e}</td>' for value in (r.measured, r.tolerance, r.control))
    case = html.escape(r.control_case)
    return f"<tr><td>{html.escape(r.network)}{note}</td>{numbers}<td>{verdict}</td><td>{case}</td></tr>"


def environment(seed: int, command: str) -> str:
    """Versions, machine, arithmetic: what a reader needs to judge or repeat the numbers."""
    versions = {"pyham": pyham.__version__, "Python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    facts = {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "eps": ", ".join(f"{np.dtype(t).name} {np.finfo(t).eps:.3g}" for t in (np.float32, np.float64, np.longdouble)),
        "seed": str(seed),
        "command": command,
    }
    rows = "".join(f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>" for key, value in facts.items())
    return f'<h2 id="environment">Environment</h2><div class="scroll"><table>{rows}</table></div>'

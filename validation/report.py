"""The findings as one table in the terminal and as JSON in a file."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pyham.commands import program
from validation.claim import Finding


def table(findings: Sequence[Finding], network_width: int, header: bool) -> Table:
    """The results of one claim, a row each; all claims' columns have the same widths."""
    result = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=header)
    result.add_column("network", width=network_width, no_wrap=True)
    for name in ("measured", "tolerance", "control"):
        result.add_column(name, width=9, justify="right", no_wrap=True)
    result.add_column("verdict", width=7, no_wrap=True)
    result.add_column("what the control is", overflow="fold", style="dim")
    for finding in findings:
        r = finding.result
        verdict = "[green]passed[/]" if finding.ok else "[red bold]CONTROL[/]" if r.passed else "[red bold]FAILED[/]"
        numbers = (f"{value:.1e}" for value in (r.measured, r.tolerance, r.control))
        result.add_row(r.network, *numbers, verdict, r.control_case)
    return result


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print the table, what was noted beside it, and the count."""
    width = max((len(f.result.network) for f in findings), default=0)
    claims = {f.id: f.statement for f in findings}
    for name, statement in claims.items():
        console.print(f"\n[bold]{name}  {statement}[/]", highlight=False)
        console.print(table([f for f in findings if f.id == name], width, header=name == next(iter(claims))))
    notes = [f for f in findings if f.result.note]
    if notes:
        console.print("\n[bold]notes[/]")
        for f in notes:
            console.print(f"  {f.id}  {f.result.network}: {f.result.note}", highlight=False)
    good = sum(f.ok for f in findings)
    verdict = "all as they must be" if good == len(findings) else f"[red bold]{len(findings) - good} are not[/]"
    console.print(f"\n{len(findings)} results with {len(findings)} controls that must fail: {verdict}", highlight=False)


def write_json(findings: Sequence[Finding], path: Path) -> None:
    """A list of findings, written at once or not at all; to standard output where the path is -."""
    program.try_outputs([path])
    program.write_json(path, [f.to_dict() for f in findings])

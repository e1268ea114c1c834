"""Train, verify, report: ``python -m validation``."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pyham.commands import program
from pyham.training import Epoch
from validation import claim, html, picture, power, report
from validation.faults import run as faults

REPORT = Path(__file__).parent / "report"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program.Parser(
        prog="python -m validation",
        description="Train a 64-layer Hamiltonian network, then verify the theory on it and on random networks: by "
        "default the claims about backpropagation through symplectic networks, with --quick or --full all claims. "
        "Exit code 1 when a claim fails or a control, which must fail, does not.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="all claims: shorter training, fewer samples and depths")
    size.add_argument("--full", action="store_true", help="all claims at full size")
    parser.add_argument("--only", nargs="+", metavar="V", help="claims to check, such as V2 V3")
    parser.add_argument(
        "--json",
        type=Path,
        default=REPORT / "report.json",
        metavar="PATH",
        help="where the report goes (-: standard output)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of data, weights and samples (default 0)")
    options = parser.parse_args(argv)
    if options.seed < 0:
        parser.error(f"--seed: expected an integer >= 0, got {options.seed}")
    try:
        options.claims = claim.modules(options.only, core=not (options.quick or options.full or options.only))
    except ValueError as error:
        parser.error(str(error))
    options.mode = "quick" if options.quick else "full" if options.full else "standard"
    options.command = " ".join(["python -m validation", *(sys.argv[1:] if argv is None else argv)])
    return options


def main(argv: list[str] | None = None) -> int:
    return program.run("python -m validation", verify, arguments(argv))


def verify(options: argparse.Namespace) -> int:
    """Train, check the claims, and write what was found; 1 when a claim or a control is not as it must be."""
    aside = options.json == program.STANDARD_OUTPUT
    folder = REPORT if aside else options.json.parent
    program.try_outputs([options.json, folder / "report.html", folder / "sensitivity_norms.png"])
    console = Console(stderr=aside, width=None if sys.stdout.isatty() else 120)
    started = time.perf_counter()
    page = html.Page(options.seed, options.mode, options.command)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        training = progress.add_task("training", total=None, note="compiling on first use")

        def listen(epoch: Epoch) -> None:
            note = f"epoch {epoch.done}/{epoch.total} ({epoch.phase}), loss {epoch.loss:.3f}"
            progress.update(training, total=epoch.total, completed=epoch.done, note=note)

        lab = claim.Lab(options.seed, options.quick, listen, full=options.full)
        accuracy = lab.accuracy
        progress.update(training, note=f"64-layer H2 on the Swiss roll: {100 * accuracy:.1f} % of test samples right")
        verifying = progress.add_task("verifying", total=len(options.claims), note="")
        for name, module in options.claims.items():
            progress.update(verifying, note=f"{name}: {module.STATEMENT}")
            page.findings.extend(claim.run(name, module, lab))
            for caption, figure in claim.figures(module, lab):
                page.add_figure(name, caption, figure)
            progress.advance(verifying)
        progress.update(verifying, note="drawing")
        figure = picture.draw(lab)
        picture.save(figure, folder / "sensitivity_norms.png")
        page.add_figure("", picture.CAPTION, figure)
        if options.full:
            progress.update(verifying, note="planting faults")
            page.faults, page.rooms = power.table(), faults.known()
        progress.update(verifying, note="done")
    page.seconds = time.perf_counter() - started
    report.write_json(page.findings, options.json)
    page.write(folder / "report.html", options.claims)
    report.show(page.findings, console)
    for sentence in page.left_out(options.claims):
        console.print(sentence, highlight=False, markup=False)
    if page.faults:
        noticed = sum(bool(line.checks) for line in page.faults)
        console.print(f"{len(page.faults)} faults planted in the recursion, {noticed} noticed", highlight=False)
    if page.rooms:
        table = Table(*faults.HEADS)
        for line in page.rooms:
            table.add_row(*line)
        console.print(table)
    for label, name in (("report", options.json), ("page", folder / "report.html")):
        console.print(f"{label}: {name}", highlight=False)
    console.print(f"{page.seconds:.1f} s")
    return 0 if all(finding.ok for finding in page.findings) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Train, verify, report: ``python -m validation``."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pyham.training import Epoch
from validation import claim, picture, report

REPORT = Path(__file__).parent / "report"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m validation",
        description="Train a 64-layer Hamiltonian network, then verify the theory on it and on random networks. "
        "Exit code 1 when a claim fails or a control, which must fail, does not.",
    )
    parser.add_argument("--quick", action="store_true", help="shorter training, fewer samples and depths")
    parser.add_argument("--only", nargs="+", metavar="V", help="claims to check, such as V2 V3")
    parser.add_argument(
        "--json", type=Path, default=REPORT / "report.json", metavar="PATH", help="where the report goes"
    )
    parser.add_argument("--seed", type=int, default=0, help="of data, weights and samples (default 0)")
    options = parser.parse_args(argv)
    if options.seed < 0:
        parser.error(f"--seed: expected an integer >= 0, got {options.seed}")
    try:
        options.claims = claim.modules(options.only)
    except ValueError as error:
        parser.error(str(error))
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    console = Console(width=None if sys.stdout.isatty() else 120)
    started = time.perf_counter()
    findings: list[claim.Finding] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        training = progress.add_task("training", total=None, note="compiling on first use")

        def listen(epoch: Epoch) -> None:
            note = f"epoch {epoch.done}/{epoch.total} ({epoch.phase}), loss {epoch.loss:.3f}"
            progress.update(training, total=epoch.total, completed=epoch.done, note=note)

        lab = claim.Lab(options.seed, options.quick, listen)
        accuracy = lab.accuracy
        progress.update(training, note=f"64-layer H2 on the Swiss roll: {100 * accuracy:.1f} % of test samples right")
        verifying = progress.add_task("verifying", total=len(options.claims), note="")
        for name, module in options.claims.items():
            progress.update(verifying, note=f"{name}: {module.STATEMENT}")
            findings.extend(claim.run(name, module, lab))
            progress.advance(verifying)
        progress.update(verifying, note="drawing")
        picture.draw(lab, options.json.parent / "sensitivity_norms.png")
        progress.update(verifying, note="done")
    report.write_json(findings, options.json)
    report.show(findings, console)
    console.print(f"report: {options.json}\npicture: {options.json.parent / 'sensitivity_norms.png'}", highlight=False)
    console.print(f"{time.perf_counter() - started:.1f} s")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())

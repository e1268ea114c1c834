"""``python -m benchmarks``: speed, memory and first use; a table, a picture and JSON in benchmarks/results/."""

import argparse
import importlib.metadata
import io
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

import pyham
from benchmarks import deep, first_use, programs, report
from benchmarks.cases import CASES, QUICK
from benchmarks.timing import compare, gemm_rate
from pyham.commands import program
from pyham.files.replacing import replace_file

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->\n", "<!-- benchmarks: end -->\n"


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small cases, moderate depths, a second each: does it run?"
    )
    parser.add_argument("--seconds", type=float, help="for each case (8; quick: 1)")
    parser.add_argument("--threads", type=int, help="of pyham and PyTorch (all cores)")
    parser.add_argument("--output", type=Path, default=None, help="folder for the results (benchmarks/results)")
    parser.add_argument(
        "--page", action="store_true", help="put the table into docs/explanation/performance.md as well"
    )
    options = parser.parse_args(argv)
    return program.run("python -m benchmarks", measure, options)


def measure(options: argparse.Namespace) -> int:
    """Measure, write the results, and print them."""
    if options.threads is not None:
        pyham.set_num_threads(options.threads)
    folder = options.output or RESULTS
    files = [folder / "speed.json", folder / "speed.png"] if options.output or not options.quick else []
    program.try_outputs(files)
    console = Console(stderr=True)
    for name in programs.missing():
        console.print(f'{name} is not installed and left out (pip install "pyham\\[peers]")')
    seconds = options.seconds or (1 if options.quick else 8)
    found = run(QUICK if options.quick else CASES, options.quick, seconds, console)
    if files:
        program.write_json(files[0], found)
        image = io.BytesIO()
        report.picture(found).savefig(image, format="png", dpi=130)
        replace_file(files[1], image.getvalue())
    if options.page:
        replace_file(PAGE, with_section(PAGE.read_text(), found).encode())
    Console().print(Markdown(report.markdown(found)))
    first, cached = found["first_use"]["first"], found["first_use"]["cached"]
    program.say([
        report.deepest(found), report.environment(found),
        f"A process to its first gradient: {first:.1f} s, {cached:.2f} s with compiled code on disk",
        *([f"written: {', '.join(map(str, files))}"] if files else []),
    ])  # fmt: skip
    return 0


def run(cases: tuple[Any, ...], quick: bool, seconds: float, console: Console) -> dict[str, Any]:
    """Everything that is measured, as plain data."""
    found: dict[str, Any] = {
        "machine": machine(),
        "threads": pyham.get_num_threads(),
        "versions": versions(),
        "gemm": {},
        "cases": [],
        "deep": [],
    }
    with console.status("") as status:
        for dtype in ("float64", "float32"):
            found["gemm"][dtype] = gemm_rate(dtype, size=512 if quick else 2048)
        for case in cases:
            status.update(f"{case.name} {case.dtype} {case.what}")
            timings = compare(case, seconds=seconds)
            found["cases"].append(
                {"name": case.name, "dtype": case.dtype, "what": case.what, "flops": case.flops}
                | {key: {name: getattr(t, key) for name, t in timings.items()} for key in ("median", "best", "worst")}
            )
        for depth in deep.QUICK_DEPTHS if quick else deep.DEPTHS:
            for memory in deep.MEMORIES:
                status.update(f"depth {depth}, {memory}")
                command = [sys.executable, "-m", "benchmarks.deep", str(depth), memory]
                done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PAGE.parents[2])
                found["deep"].append(json.loads(done.stdout))
        status.update("first use")
        found["first_use"] = first_use.measure()
    return found


def machine() -> str:
    """The processor's name, where the system tells, and how many cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    packages = {"NumPy": "numpy", "Numba": "numba", "PyTorch": "torch", "JAX": "jax"}
    found = {"Python": platform.python_version()}
    for name, package in packages.items():
        if name not in programs.missing():
            found[name] = importlib.metadata.version(package)
    return found


def with_section(page: str, found: dict[str, Any]) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return (
        f"{before}{BEGIN}{report.markdown(found)}\n{report.deepest(found)}\n\n{report.environment(found)}\n{END}{after}"
    )


if __name__ == "__main__":
    sys.exit(main())

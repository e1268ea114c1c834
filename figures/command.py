"""Making figures: ``python -m figures``, and ``python -m figures.NAME`` for one of them."""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from figures import FIGURES, cache, style, tables
from figures.setup import Setup
from pyham.commands import program
from pyham.files.replacing import replace_file

RESULTS = Path(__file__).parent / "results"
QUICK_SEEDS, SEEDS = 2, 10
REHEARSAL = "Rehearsal (--quick): fewer seeds, samples, epochs or layers than the figure has. Not its numbers."


def make(name: str, setup: Setup, output: Path, *, fresh: bool = False) -> list[Path]:
    """Compute, draw and write one figure; returns the files, the first of them the picture."""
    module = importlib.import_module(f"figures.{name}")
    if fresh:
        (setup.folder / f"{name}.jsonl").unlink(missing_ok=True)  # outcomes of a sweep
    arrays, _ = cache.arrays(module, setup, setup.folder / f"{name}.npz", fresh=fresh)
    arrays["rehearsal"] = np.array(setup.quick)
    note = getattr(module, "REHEARSAL", REHEARSAL) if setup.quick else ""
    stem = output / name
    with style.look():
        written = style.save(module.plot(arrays), stem, note)
        if hasattr(module, "animation"):
            written.append(style.save_gif(module.animation(arrays), stem, note=note))
    for suffix, text in module.texts(arrays).items() if hasattr(module, "texts") else ():
        replace_file(stem.with_suffix(suffix), tables.rehearsed(suffix, text, note).encode())
        written.append(stem.with_suffix(suffix))
    return written


def main(argv: Sequence[str] | None = None, alone: str | None = None) -> int:
    """Make all figures, or one alone; 0 if they were made, 130 after Ctrl-C."""
    names = (alone,) if alone else FIGURES
    parser = program.Parser(
        prog=f"python -m figures{'.' + alone if alone else ''}",
        description=sentence(alone) if alone else "Every figure and table: " + ", ".join(names) + ".",
    )
    parser.add_argument("--quick", action="store_true", help="small: does it run, and does it look as it should?")
    parser.add_argument("--seed", type=int, default=0, help="of data, weights and batches (0)")
    parser.add_argument("--seeds", type=int, help=f"how many, of the tables ({SEEDS}; quick: {QUICK_SEEDS})")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes of the sweeps (as many as cores)")
    if not alone:
        parser.add_argument("--only", nargs="+", metavar="NAME", help="figures to make")
    parser.add_argument("--output", type=Path, help=f"folder ({RESULTS.name} of this package; quick: its quick)")
    parser.add_argument("--fresh", action="store_true", help="compute what is already there, too")
    options = parser.parse_args(argv)
    unknown = sorted(set(getattr(options, "only", None) or ()) - set(names))
    if unknown:
        parser.error(f"--only: expected figures among {' '.join(names)}, got {' '.join(unknown)}")
    seeds = (QUICK_SEEDS if options.quick else SEEDS) if options.seeds is None else options.seeds
    try:
        output = options.output or (RESULTS / "quick" if options.quick else RESULTS)
        setup = Setup(options.quick, options.seed, seeds, options.jobs, output / "data")
    except ValueError as error:
        parser.error(f"--{error}")
    return program.run(parser.prog, lambda options: draw(options, setup, names, output), options)


def draw(options: argparse.Namespace, setup: Setup, names: Sequence[str], output: Path) -> int:
    """Make these figures, and say how long each took; 130 after Ctrl-C."""
    chosen = [name for name in names if getattr(options, "only", None) is None or name in options.only]
    program.try_outputs(output / f"{name}.png" for name in chosen)
    console = Console(width=None if sys.stdout.isatty() else 120)
    begun = time.perf_counter()
    for name in chosen:
        start = time.perf_counter()
        if needs := missing(name):
            console.print(f"{name:20}left out, as it needs {needs}", highlight=False)
            continue
        try:
            files = make(name, setup, output, fresh=options.fresh)
        except KeyboardInterrupt:
            console.print(f"stopped in {name}; the same command goes on", highlight=False)
            return 130
        seconds = time.perf_counter() - start
        kinds = " ".join(file.suffix[1:] for file in files)
        index(output, REHEARSAL if options.quick else "")
        console.print(f"{name:20}{seconds:7.1f} s  {output / name} ({kinds})", highlight=False, soft_wrap=True)
    if len(names) > 1:
        console.print(f"{'in all':20}{time.perf_counter() - begun:7.1f} s", highlight=False)
    return 0


def index(output: Path, note: str = "") -> None:
    """``README.md``: what the files of a folder show, and the command that makes each."""
    lines = ["| files | shows | made by |", "|---|---|---|"]
    for name in FIGURES:
        files = sorted(path.name for path in output.glob(f"{name}.*") if path.suffix != ".pdf")
        if files:
            links = ", ".join(f"[{file}]({file})" for file in files)
            lines.append(f"| {links} | {sentence(name)} | `python -m figures.{name}` |")
    head = [note, ""] if note else []
    replace_file(output / "README.md", ("\n".join([*head, *lines]) + "\n").encode())


def sentence(name: str) -> str:
    """What a figure shows."""
    return str(importlib.import_module(f"figures.{name}").CAPTION)


def missing(name: str) -> str:
    """What a figure needs and does not find."""
    module = importlib.import_module(f"figures.{name}")
    return str(module.missing()) if hasattr(module, "missing") else ""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

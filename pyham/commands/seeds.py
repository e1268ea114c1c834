"""``--seeds 0-9``: the same training with several seeds, side by side, as a sweep; and a table of what came."""

import argparse
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import pyham
from pyham import sweep
from pyham.commands import configuration
from pyham.commands.program import say

MOST = 1000  # seeds
SETS = ("train", "validation", "test")
EXECUTOR: Any = None  # of the sweep; None for processes on this machine

Measures = dict[str, float | None]


def add(parser: argparse.ArgumentParser, group: Any, text: str) -> None:
    """Declare the options: --seed, or in its place --seeds, and where its outcomes go."""
    one = group.add_mutually_exclusive_group()
    one.add_argument("--seed", type=int, default=0, metavar="INT", help=f"{text} (0)")
    one.add_argument(
        "--seeds", metavar="SEEDS", help="several, such as 0-9 or 1,3,5-7: a training of each, and a table"
    )
    group = parser.add_argument_group("with --seeds")
    group.add_argument("--jobs", type=int, metavar="INT", help="trainings at a time (as many as cores)")
    group.add_argument(
        "--outcomes", type=Path, metavar="PATH", help="keep outcomes there; a stopped command goes on when repeated"
    )


def parse(text: str) -> list[int]:
    """The seeds in words such as 0-9 or 1,3,5-7, in their order.

    Raises
    ------
    ValueError
        If these are none, too many, or one stands there twice.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})\s*(?:-\s*([0-9]{1,18})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last:
            raise ValueError(f"--seeds: expected seeds such as 0-9 or 1,3,5-7, got {text[:40]!r}")
        if last - first + len(found) >= MOST:
            raise ValueError(f"--seeds: expected at most {MOST}, got more")
        found += range(first, last + 1)
    if len(set(found)) < len(found):
        raise ValueError(f"--seeds: expected each once, got {text[:40]!r}")
    return found


def check(options: argparse.Namespace) -> None:
    """Refuse options that go with one seed only, or with several only.

    Raises
    ------
    ValueError
        Naming the option.
    """
    several = options.seeds is not None
    for name in ("checkpoint", "save", "resume") if several else ("jobs", "outcomes"):
        if getattr(options, name, None) not in (None, False):
            wanted = "a training with one seed, got --seeds" if several else "--seeds as well, got none"
            raise ValueError(f"--{name}: expected {wanted}")
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs: expected an integer >= 1, got {options.jobs}")


def run(
    options: argparse.Namespace, function: Callable[[dict[str, Any]], Any], data: Mapping[str, Any], title: str,
    format: Callable[[float], str],
) -> int:  # fmt: skip
    """Train with every seed, and print the table; 1 if a training failed.

    ``function`` takes the effective configuration and ``data``, as JSON data, and returns ``Measures``.
    """
    seeds = parse(options.seeds)
    base = {name: value for name, value in configuration.effective(options).items() if name != "seed"}
    runs = [{**data, "options": base | {"seed": seed}} for seed in seeds]
    with tempfile.TemporaryDirectory() as folder:
        path = options.outcomes or Path(folder) / "outcomes.jsonl"
        jobs = min(options.jobs, len(runs)) if options.jobs and EXECUTOR is None else None
        outcomes = sweep.run(function, runs, path, executor=EXECUTOR, jobs=jobs)
    measures = {seed: outcome.result for seed, outcome in zip(seeds, outcomes, strict=True)}
    errors = {seed: outcome.error for seed, outcome in zip(seeds, outcomes, strict=True) if outcome.error is not None}
    result = {
        "pyham": pyham.__version__, **data, "configuration": base, "summary": summary(list(measures.values())),
        "runs": [{"seed": seed, "result": measures[seed], "error": errors.get(seed)} for seed in seeds],
    }  # fmt: skip
    lines = [title, drawn(measures, format)] if len(errors) < len(seeds) else [title]
    say([*lines, *(f"seed {seed}: {error}" for seed, error in errors.items())], options.json, result)
    return int(bool(errors))


def summary(found: list[Measures | None]) -> dict[str, dict[str, float]]:
    """Of every measure of the trainings that ended: mean, standard deviation (of one: 0) and the worst, the lowest."""
    ended = [one for one in found if one is not None]
    parts = {}
    for name in sorted(ended[0], key=SETS.index) if ended else ():
        values = np.array([one[name] for one in ended if one[name] is not None])
        if len(values):
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            parts[name] = {"mean": float(values.mean()), "spread": float(spread), "worst": float(values.min())}
    return parts


def drawn(measures: Mapping[int, Measures | None], format: Callable[[float], str]) -> str:
    """The table as text."""
    parts = summary(list(measures.values()))
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("seed", *parts):
        table.add_column(name, justify="right")
    for seed, one in measures.items():
        cells = ["failed"] * len(parts) if one is None else [_cell(one[name], format) for name in parts]
        table.add_row(str(seed), *cells, end_section=seed == list(measures)[-1])
    for row in ("mean", "spread", "worst") if parts else ():
        table.add_row(row, *(format(part[row]) for part in parts.values()))
    console = Console(width=max(80, 14 * (1 + len(parts))), color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n")


def _cell(value: float | None, format: Callable[[float], str]) -> str:
    return "-" if value is None else format(value)

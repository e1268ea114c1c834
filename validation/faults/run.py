"""The rooms of the package, which tests look at them, and the table of what became of their mutants."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from validation.faults.operators import Mutant
from validation.faults.planting import ROOT, Source

TESTS, REVIEWED = ROOT.parent / "tests", Path(__file__).with_name("reviewed.txt")
LEDGER = ROOT.parent / "validation" / "report" / "faults.jsonl"
HEADS = ("room", "mutants", "caught", "reviewed", "unexplained")
CAUGHT = ("caught", "endless", "crashed")
#: Modules of each room, and folders or files of tests that look at them. What those of the engines leave, which run the
#: loops by Python, meets others after a bar, which run machine code.
ROOMS = {
    "files": ("files/*.py loading.py", "files"),
    "architectures": ("architectures/*.py", "architectures images network"),
    "engines": (
        "engines/*.py engines/compiled/*.py",
        "engines/interpreted.py engines/test_everything.py engines/test_engine_pieces.py | engines/test_threads.py "
        "engines/test_memory.py engines/test_everything.py engines/test_engine_pieces.py images",
    ),
    "network": ("network.py _check.py", "network files architectures"),
    "verification": ("verification/*.py", "verification images network"),
    "data": ("data/*.py", "data"),
    "training": ("training/*.py", "training images"),
    "distributed": ("distributed/*.py", "distributed"),
    "sweep": ("sweep/*.py", "sweep"),
    "interop": ("interop/*.py", "interop"),
}


class Count(NamedTuple):
    """A line of the table."""

    room: str
    mutants: int
    caught: int
    reviewed: int
    unexplained: tuple[str, ...]


def sources(room: str, *, every: bool = False) -> dict[str, Source]:
    """The room's modules."""
    paths = sorted(path for pattern in ROOMS[room][0].split() for path in ROOT.glob(pattern))
    return {name: Source(name, every=every) for name in (str(path.relative_to(ROOT)) for path in paths)}


def drawn(found: dict[str, Source], sample: int | None) -> list[Mutant]:
    """All mutants of these modules, or some at random, always the same."""
    mutants = [mutant for source in found.values() for mutant in source.mutants]
    return mutants if sample is None else random.Random(0).sample(mutants, min(sample, len(mutants)))


def outcomes(ledger: Path) -> dict[str, str]:
    """Name -> what became of the mutant, the last time."""
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    return {line["name"]: line["outcome"] for line in map(json.loads, lines)}


def reviewed(name: str) -> bool:
    """Whether the reviewed list has the mutant's name, or its beginning with "..." after it."""
    keys = [line.split(" | ")[0] for line in REVIEWED.read_text(encoding="utf-8").splitlines() if " | " in line]
    return any(name == key or (key.endswith("...") and name.startswith(key[:-3])) for key in keys)


def left(mutants: list[Mutant], found: dict[str, str]) -> list[Mutant]:
    """Mutants that were not caught, and have not been looked at."""
    return [mutant for mutant in mutants if found.get(mutant.name) not in CAUGHT and not reviewed(mutant.name)]


def known(ledger: Path = LEDGER, rooms: Iterable[str] = ROOMS, sample: int | None = None) -> list[Count]:
    """The table of what is in the ledger; nothing is run."""
    found, counts = outcomes(ledger), []
    for room in rooms:
        mutants = drawn(sources(room), sample)
        caught = sum(found.get(mutant.name) in CAUGHT for mutant in mutants)
        names = tuple(f"{m.name}  ({found.get(m.name, 'not run')})" for m in left(mutants, found))
        counts.append(Count(room, len(mutants), caught, len(mutants) - caught - len(names), names))
    return counts if found else []


def rows(counts: list[Count]) -> list[tuple[str, ...]]:
    """The table's lines, as HEADS names them; the last one is for all rooms."""
    lines = [(count.mutants, count.caught, count.reviewed, len(count.unexplained)) for count in counts]
    total = tuple(map(sum, zip(*lines, strict=True)))
    return [(r, *map(str, n)) for r, n in zip([*(count.room for count in counts), "all"], [*lines, total], strict=True)]


def run(room: str, options: argparse.Namespace) -> None:
    """Plant the mutants of a room that are left, in processes of their own."""
    for number in range(len(ROOMS[room][1].split("|"))):
        if left(drawn(sources(room), options.sample), outcomes(options.ledger)):
            by_python = str(int(room == "engines" and number == 0))
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": by_python}
            command = [sys.executable, "-m", "validation.faults", *options.words, "--within", room, str(number)]
            subprocess.run(command, cwd=TESTS.parent, env=environment, check=True)
            for folder in options.ledger.parent.glob("tmp[0-9]*"):
                shutil.rmtree(folder, ignore_errors=True)


def within(room: str, number: str, options: argparse.Namespace) -> int:
    """In a room's own process: the tests of that number, and the mutants in forks of it."""
    import pytest  # here, because reports need no tests

    from validation.faults.session import Judge

    found, tests = sources(room), ROOMS[room][1].split("|")[int(number)]
    todo = left(drawn(found, options.sample), outcomes(options.ledger))
    if number != "0":  # machine code holds no mutants
        todo = [mutant for mutant in todo if "compiled.settings import" not in (ROOT / mutant.module).read_text()]
    words = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=faults"]
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning", *(str(TESTS / p) for p in tests.split())]
    return int(pytest.main(words, plugins=[Judge(found, todo, options.ledger, options.jobs)]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m validation.faults",
        description="Plant faults in the package, one at a time, and see whether the tests notice: operators on the "
        "syntax tree change a sign, drop a term, transpose a matrix, and so on. What became of each mutant is kept in "
        "a file, so that a run that was stopped goes on where it was. Mutants that no test can notice are in "
        "validation/faults/reviewed.txt, each with the reason. Exit code 1 when others survive.",
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of each room, drawn at random")
    parser.add_argument("--only", nargs="+", choices=ROOMS, metavar="ROOM", help="rooms: " + ", ".join(ROOMS))
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at a time (default 2)")
    parser.add_argument("--ledger", type=Path, default=LEDGER, metavar="PATH", help=f"default {LEDGER.name}")
    parser.add_argument("--within", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.within:
        return within(options.within[0], options.within[1], options)
    options.words, started = sys.argv[1:] if argv is None else argv, time.perf_counter()
    options.ledger.parent.mkdir(parents=True, exist_ok=True)
    for room in options.only or ROOMS:
        run(room, options)
    counts, console = known(options.ledger, options.only or ROOMS, options.sample), Console()
    for name in (name for count in counts for name in count.unexplained):
        console.print(name, markup=False, highlight=False, soft_wrap=True)
    table = Table(*HEADS)
    for line in rows(counts):
        table.add_row(*line)
    console.print(table, f"{(time.perf_counter() - started) / 60:.1f} min", highlight=False)
    return 1 if any(count.unexplained for count in counts) else 0

"""Plant faults in the package, one at a time, and see whether the tests notice: operators on the syntax tree change a
sign, drop a term, transpose a matrix, and so on. What became of each mutant is kept in a file: a run that was stopped
goes on. Mutants that no test can notice are in reviewed.txt, with the reason; exit code 1 when others survive.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from validation.faults.operators import Mutant
from validation.faults.planting import ROOT, Source

TESTS, REVIEWED, LISTED = ROOT.parent / "tests", *(Path(__file__).with_name(n) for n in ("reviewed.txt", "rooms.txt"))
LEDGER = ROOT.parent / "validation" / "report" / "faults.jsonl"
HEADS = ("room", "mutants", "caught", "reviewed", "unexplained")
CAUGHT = ("caught", "endless", "crashed")
#: Room -> its modules, and the tests that look at them: those of the engines run the loops by Python, and what they
#: leave meets others, which run machine code.
ROOMS = {name: words for name, *words in (line.split(" | ") for line in LISTED.read_text().splitlines()[1:])}


@cache
def sources(room: str) -> dict[str, Source]:
    """The room's modules."""
    paths = sorted(path for pattern in ROOMS[room][0].split() for path in ROOT.glob(pattern))
    return {name: Source(name) for name in (str(path.relative_to(ROOT)) for path in paths)}


def drawn(room: str, sample: int | None) -> list[Mutant]:
    """All mutants of the room's modules, or some at random, always the same."""
    mutants = [mutant for source in sources(room).values() for mutant in source.mutants]
    return mutants if sample is None else random.Random(0).sample(mutants, min(sample, len(mutants)))


def outcomes(ledger: Path) -> dict[str, str]:
    """Name -> what became of the mutant, the last time."""
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    return {line["name"]: line["outcome"] for line in map(json.loads, lines)}


def reviewed(name: str) -> bool:
    """Whether the reviewed list has the mutant's name, or its beginning with "..." after it."""
    keys = [line.split(" | ")[0] for line in REVIEWED.read_text(encoding="utf-8").splitlines() if " | " in line]
    return any(name == key or (key.endswith("...") and name.startswith(key[:-3])) for key in keys)


def left(room: str, sample: int | None, ledger: Path) -> dict[Mutant, str]:
    """Mutants of the room that were not caught, and have not been looked at; and what became of them."""
    found = outcomes(ledger)
    missing = (m for m in drawn(room, sample) if found.get(m.name) not in CAUGHT and not reviewed(m.name))
    return {mutant: found.get(mutant.name, "not run") for mutant in missing}


def known(ledger: Path = LEDGER, rooms: Iterable[str] = ROOMS, sample: int | None = None) -> list[tuple[str, ...]]:
    """The lines of the table, as HEADS names them, from what is in the ledger; the last one is for all rooms."""
    found, lines = outcomes(ledger), []
    for room in rooms:
        caught = [found.get(mutant.name) in CAUGHT for mutant in drawn(room, sample)]
        missing = len(left(room, sample, ledger))
        lines.append([len(caught), sum(caught), len(caught) - sum(caught) - missing, missing])
    lines.append([sum(column) for column in zip(*lines, strict=True)])
    return [(name, *map(str, line)) for name, line in zip([*rooms, "all"], lines, strict=True)] if found else []


def run(room: str, options: argparse.Namespace) -> None:
    """Plant the mutants of a room that are left, in processes of their own."""
    for number in range(1, len(ROOMS[room])):
        if left(room, options.sample, options.ledger):
            by_python = str(int(room == "engines" and number == 1))
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": by_python}
            given = room, ROOMS[room], number, options.sample, str(options.ledger.absolute()), options.jobs
            command = [sys.executable, "-c", f"from validation.faults import session; session.main{given}"]
            subprocess.run(command, cwd=TESTS.parent, env=environment, check=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m validation.faults", description=__doc__, allow_abbrev=False)
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of each room, drawn at random")
    parser.add_argument("--only", nargs="+", choices=ROOMS, metavar="ROOM", help="rooms: " + ", ".join(ROOMS))
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at a time (default 2)")
    parser.add_argument("--ledger", type=Path, default=LEDGER, metavar="PATH", help=f"default {LEDGER.name}")
    options, started = parser.parse_args(argv), time.perf_counter()
    options.ledger.parent.mkdir(parents=True, exist_ok=True)
    rooms = options.only or list(ROOMS)
    for room in rooms:
        run(room, options)
    unexplained = [pair for room in rooms for pair in left(room, options.sample, options.ledger).items()]
    print(*(f"{mutant.name}  ({outcome})" for mutant, outcome in unexplained), sep="\n")
    for line in [HEADS, *known(options.ledger, rooms, options.sample)]:
        print("".join(f"{word:<14}" for word in line).rstrip())
    print(f"{(time.perf_counter() - started) / 60:.1f} min")
    return int(bool(unexplained))

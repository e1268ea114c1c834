"""``python -m pyham train DATA``: a command for each kind of data."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pyham.commands import images, planar, table
from pyham.commands.configuration import ConfiguredParser
from pyham.data.tables import SUFFIXES

FILE = "FILE"  # the command of paths


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the data sets, each with its options."""
    parser.description = (
        "Train a Hamiltonian network on DATA, the name of a data set or a file with a table (%(prog)s FILE.csv "
        "--target COLUMN); %(prog)s DATA --help lists the options."
    )
    kinds = parser.add_subparsers(dest="data", required=True, metavar="DATA", parser_class=ConfiguredParser)
    for name, (_, summary) in planar.DATA.items():
        planar.add(kinds.add_parser(name, help=summary))
    for name, summary in images.DATA.items():
        images.add(kinds.add_parser(name, help=summary))
    table.add(kinds.add_parser(FILE, help="a table of your own: .csv, .npy or .npz"))


def routed(words: Sequence[str]) -> list[str]:
    """The words of a command line, with FILE before a path in the place of a data set's name, which wins."""
    if len(words) < 2 or words[0] != "train" or words[1] in (*planar.DATA, *images.DATA, FILE):
        return list(words)
    path = words[1]
    if not path.startswith("-") and (path.lower().endswith(SUFFIXES) or _exists(path)):
        return ["train", FILE, *words[1:]]
    return list(words)


def _exists(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):  # no name that a file could have
        return False

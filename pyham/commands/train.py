"""``python -m pyham train DATA``: a command for each kind of data."""

import argparse

from pyham.commands import images, planar


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the data sets, each with its options."""
    parser.description = "Train a Hamiltonian network on DATA; python -m pyham train DATA --help lists the options."
    kinds = parser.add_subparsers(dest="data", required=True, metavar="DATA")
    for name, (_, summary) in planar.DATA.items():
        planar.add(kinds.add_parser(name, help=summary))
    for name, summary in images.DATA.items():
        images.add(kinds.add_parser(name, help=summary))

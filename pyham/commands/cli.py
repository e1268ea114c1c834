"""The command line: ``python -m pyham``."""

import argparse
import sys

import pyham
from pyham.commands import certify, distributed, playground, train


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if what it checks does not hold, 2 for wrong arguments or files."""
    parser = argparse.ArgumentParser(prog="python -m pyham", description="Hamiltonian deep neural networks.")
    parser.add_argument("--version", action="version", version=pyham.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    certify.add(commands.add_parser("certify", help="say what holds for a network on given samples, and by how much"))
    train.add(commands.add_parser("train", help="train a network on a data set; a run that was stopped goes on"))
    distributed.add(commands.add_parser("distributed", help="train a network whose nodes exchange messages on a graph"))
    playground.add(commands.add_parser("playground", help="see in the browser how gradients travel through networks"))
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except (ImportError, OSError, TypeError, ValueError, ArithmeticError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 2

"""The command line: ``python -m pyham``."""

import argparse
import sys

import pyham
from pyham.commands import certify, distributed, explain, playground, program, train, warmup

ELSEWHERE = (
    "Validation, figures and benchmarks are no commands of the installed package, but programs of its source: in a "
    "checkout or an unpacked sdist, python -m validation, python -m figures and python -m benchmarks, each with --help."
)


def parser() -> program.Parser:
    """Commands and their options."""
    parser = program.Parser(prog="python -m pyham", description="Hamiltonian deep neural networks.", epilog=ELSEWHERE)
    parser.add_argument("--version", action="version", version=pyham.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    certify.add(commands.add_parser("certify", help="say what holds for a network on given samples, and by how much"))
    train.add(commands.add_parser("train", help="train a network on a data set; a run that was stopped goes on"))
    distributed.add(commands.add_parser("distributed", help="train a network whose nodes exchange messages on a graph"))
    explain.add(commands.add_parser("explain", help="show every number of one backward pass, with formula and check"))
    playground.add(commands.add_parser("playground", help="see in the browser how gradients travel through networks"))
    warmup.add(commands.add_parser("warmup", help="compile everything once, so that no later call has to"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if what it checks does not hold, 2 for wrong arguments or files, 130 after
    Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in ("validation", "figures", "benchmarks"):
        program.tell(ELSEWHERE)
        return 2
    options = parser().parse_args(words)
    return program.run(f"python -m pyham {options.command}", _run, options)


def _run(options: argparse.Namespace) -> int:
    program.check_outputs(options)
    return int(options.run(options))

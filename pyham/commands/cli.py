"""The command line: ``python -m pyham``, or ``pyham`` where it is installed."""

import argparse
import sys

import pyham
from pyham.commands import (
    certify,
    completion,
    distributed,
    explain,
    info,
    own,
    playground,
    predict,
    program,
    train,
    warmup,
)

ELSEWHERE = (
    "Validation, figures and benchmarks are no commands of the installed package, but programs of its source: in a "
    "checkout or an unpacked sdist, python -m validation, python -m figures and python -m benchmarks, each with --help."
)


def parser(prog: str | None = None) -> program.Parser:
    """Commands and their options; ``prog`` is the program's name, that by which it was called unless given."""
    whole = program.Parser(
        prog=prog or program.called(), description="Hamiltonian deep neural networks.", epilog=ELSEWHERE
    )
    whole.add_argument(
        "--import", metavar="MODULE", help="first of all: import a module that registers architectures of your own"
    )
    whole.add_argument("--version", action="version", version=pyham.__version__)
    completion.add(whole, lambda: parser("pyham"))
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    certify.add(commands.add_parser("certify", help="say what holds for a network on given samples, and by how much"))
    train.add(commands.add_parser("train", help="train a network on a data set; a run that was stopped goes on"))
    predict.add(commands.add_parser("predict", help="what a trained network says of the rows of a table"))
    info.add(commands.add_parser("info", help="what is in a file"))
    distributed.add(commands.add_parser("distributed", help="train a network whose nodes exchange messages on a graph"))
    explain.add(commands.add_parser("explain", help="show every number of one backward pass, with formula and check"))
    playground.add(commands.add_parser("playground", help="see in the browser how gradients travel through networks"))
    warmup.add(commands.add_parser("warmup", help="compile everything once, so that no later call has to"))
    return whole


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if what it checks does not hold, 2 for wrong arguments or files, 130 after
    Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        words = own.imported(words)
    except (ImportError, ValueError) as error:
        program.tell(f"{program.called()}: {error}")
        return 2
    if words and words[0] in ("validation", "figures", "benchmarks"):
        program.tell(ELSEWHERE)
        return 2
    options = parser().parse_args(train.routed(words))
    return program.run(f"{program.called()} {options.command}", _run, options)


def _run(options: argparse.Namespace) -> int:
    program.check_outputs(options)
    return int(options.run(options))

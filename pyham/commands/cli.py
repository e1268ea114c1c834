"""The command line: ``python -m pyham``."""

import pyham
from pyham.commands import certify, distributed, playground, program, train, warmup


def parser() -> program.Parser:
    """Commands and their options."""
    parser = program.Parser(prog="python -m pyham", description="Hamiltonian deep neural networks.")
    parser.add_argument("--version", action="version", version=pyham.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    certify.add(commands.add_parser("certify", help="say what holds for a network on given samples, and by how much"))
    train.add(commands.add_parser("train", help="train a network on a data set; a run that was stopped goes on"))
    distributed.add(commands.add_parser("distributed", help="train a network whose nodes exchange messages on a graph"))
    playground.add(commands.add_parser("playground", help="see in the browser how gradients travel through networks"))
    warmup.add(commands.add_parser("warmup", help="compile everything once, so that no later call has to"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if what it checks does not hold, 2 for wrong arguments or files, 130 after
    Ctrl-C.
    """
    options = parser().parse_args(argv)
    return program.run(f"python -m pyham {options.command}", options.run, options)

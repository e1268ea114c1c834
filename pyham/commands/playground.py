"""``python -m pyham playground``."""

import argparse
from pathlib import Path

from pyham.commands.program import say
from pyham.teaching import playground


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Opens the playground in the browser: choose a network, see how long its gradients are at every layer, whether "
        "it is symplectic, how it moves the plane, and train it. It is one HTML file and needs no network."
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the page there instead of opening it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Open the page, or copy it; 1 if no browser could be started."""
    if options.output:
        playground.copy(options.output)
        say([f"wrote {options.output}"])
        return 0
    if playground.show():
        say([f"opened {playground.PAGE}"])
        return 0
    say([f"No browser could be started here. Open this file in one: {playground.PAGE}"])
    return 1

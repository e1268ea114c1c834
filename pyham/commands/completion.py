"""``--print-completion bash``: what makes the shell complete ``pyham``, its commands and their options."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyham.commands.program import say

SHELLS = ("bash", "zsh", "tcsh")


def add(parser: argparse.ArgumentParser, make: Callable[[], argparse.ArgumentParser]) -> None:
    """Declare the option; ``make`` gives the parser of all that is to be completed."""
    parser.add_argument(
        "--print-completion", action=_Print, make=make, choices=SHELLS,
        help="print a script that completes commands in this shell",
    )  # fmt: skip


class _Print(argparse.Action):
    def __init__(self, make: Callable[[], argparse.ArgumentParser], **options: Any) -> None:
        super().__init__(**options)
        self.make = make

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        try:
            text = script(self.make(), str(values))
        except ImportError as error:
            parser.error(str(error))
        say([text])
        parser.exit()


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script of a parser for one of ``SHELLS``.

    Raises
    ------
    ImportError
        Without shtab, with the command that installs it.
    """
    try:
        import shtab  # here, because only those who ask for completion need it
    except ImportError:
        raise ImportError("--print-completion: expected shtab, got none: python -m pip install shtab") from None
    for action in _actions(parser):
        if action.type is Path and action.choices is None:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options and arguments, of commands too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)

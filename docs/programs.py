"""The command line's page, from its parsers."""

import argparse
import re

from pyham.commands import cli


def commands() -> str:
    """Every command with its arguments and options, in Markdown."""
    parser = cli.parser("pyham")
    (chosen,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found = []
    for name, command in chosen.choices.items():
        help_of = next(a.help for a in chosen._choices_actions if a.dest == name)
        found += [f"## {name}", "", f"{help_of[0].upper()}{help_of[1:]}.", ""]
        if command.description and command.description.rstrip(".") != help_of:
            found += [plain(command.description), ""]
        usage = re.sub(r"\s+", " ", command.format_usage().removeprefix("usage: "))
        found += ["```text", *wrapped(usage), "```", ""]
        rows = [row for action in command._actions for row in [described(action)] if row]
        if rows:
            found += ["| argument | what it is |", "|---|---|", *rows, ""]
        if command.epilog:
            found += [plain(command.epilog), ""]
    return "\n".join(found)


def described(action: argparse.Action) -> str | None:
    """A row of the table, or None for what is hidden."""
    if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
        return None
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper() if action.nargs != 0 else ""
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
    words = f" `{value}`" if action.option_strings and action.nargs != 0 and value else ""
    text = (action.help or "") % {**vars(action), "prog": "pyham"} if action.help else ""
    if action.choices:
        text = (
            f"{text} ({', '.join(map(str, action.choices))})" if str(next(iter(action.choices))) not in text else text
        )
    return f"| {names}{words} | {plain(text)} |"


def plain(text: str) -> str:
    """Text of a parser in Markdown, where a bar would end a cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").replace("$", "\\$").replace("*", "\\*")


def wrapped(text: str, width: int = 84) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent="    ", break_on_hyphens=False)

"""Options of a command from a TOML file, ``--config FILE.toml``, and what they are in the end, as data.

A file has the names of options for keys, with dashes or underscores, without the two at their beginning::

    architecture = "H1"
    final-time = 2.0
    nesterov = true

What the command line says wins. ``effective`` gives the same keys back, so that a result tells how it came, and can be
had again.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyham.commands import program
from pyham.data.tables import nearest
from pyham.files.regular import content

#: Options that say where things go, and not what is computed.
PLACES = ("checkpoint", "config", "help", "jobs", "json", "outcomes", "resume", "save", "save_every", "seeds")
KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "an integer"),
    float: ((int, float), "a number"),
    None: ((str,), "a word"),
    Path: ((str,), "a path"),
}


class ConfiguredParser(program.Parser):
    """A parser that reads ``--config`` first; what it parses has the attribute ``parser``."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options: those of the file, and over them those of the command line."""
        words = list(args or [])
        try:
            words = [*_from_file(self, words), *words]
        except (OSError, TypeError, ValueError, RecursionError) as error:
            self.error(str(error))
        found, rest = super().parse_known_args(words, namespace)
        found.parser = self
        return found, rest


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--config", type=Path, metavar="TOML", help="take options from this file; those of the command line win"
    )


def effective(options: argparse.Namespace) -> dict[str, Any]:
    """JSON data of all options that have a value, defaults included, and are not in ``PLACES``, by their names."""
    found, beaten = {}, set(PLACES)
    for group in options.parser._mutually_exclusive_groups:  # one that is given beats the others' defaults
        names = [action.dest for action in group._group_actions]
        given = [action.dest for action in group._group_actions if getattr(options, action.dest) != action.default]
        beaten |= set(names) - set(given) if given else set()
    for name, action in _actions(options.parser).items():
        value = getattr(options, action.dest, None)
        if action.dest in beaten or value is None or value is False:
            continue
        found[name] = str(value) if isinstance(value, Path) else value
    return found


def words(parser: argparse.ArgumentParser, data: Mapping[str, Any], source: str = "configuration") -> list[str]:
    """The options of ``data`` as a command line has them.

    Raises
    ------
    TypeError, ValueError
        Naming the source and the key, what was expected and what came.
    """
    known, found = _actions(parser), []
    for key, value in data.items():
        name = key.replace("_", "-")
        if name not in known or name in ("config", "help"):
            options = [other for other in known if other not in ("config", "help")]
            raise ValueError(f"{source}: expected names of options, got {key!r}{nearest(name, options)}")
        found += _words(known[name], f"--{name}", value, f"{source}: {key}")
    return found


def _words(action: argparse.Action, option: str, value: Any, where: str) -> list[str]:
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise TypeError(f"{where}: expected true or false, got {value!r}")
        return [option] * value
    several = isinstance(action, argparse._AppendAction)
    found = []
    for one in value if several and isinstance(value, list) else [value]:
        kinds, expected = KINDS[action.type]
        if isinstance(one, bool) or not isinstance(one, kinds):
            raise TypeError(f"{where}: expected {expected}, got {one!r}")
        if action.choices is not None and one not in action.choices:
            raise ValueError(f"{where}: expected one of {', '.join(map(str, action.choices))}, got {one!r}")
        found.append(f"{option}={one}")
    return found


def _from_file(parser: argparse.ArgumentParser, given: Sequence[str]) -> list[str]:
    """The options in the file that ``--config`` names, without those that the command line has, or in their place."""
    path = None
    for word, following in zip(given, [*given[1:], None], strict=True):
        if word == "--config" and following is not None and not following.startswith("--"):
            path = following
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    if path is None:
        return []
    try:
        data = tomllib.loads(content(path, "a file of options").decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected TOML, got another text ({error})") from None
    names = {word.partition("=")[0] for word in given if word.startswith("--")}
    for group in parser._mutually_exclusive_groups:
        options = {option for action in group._group_actions for option in action.option_strings}
        names |= options if options & names else set()
    words(parser, data, path)  # all of it is checked
    return words(parser, {k: v for k, v in data.items() if "--" + k.replace("_", "-") not in names}, path)


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a parser by their long names."""
    return {
        option[2:]: action for action in parser._actions for option in action.option_strings if option.startswith("--")
    }

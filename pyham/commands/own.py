"""Modules of the user's own, which register architectures and activations before a command looks for them.

``python -m pyham --import my_networks train ... --architecture Mine``. The names stand in the environment variable
PYHAM_IMPORT, too, so that the processes of a sweep, which inherit it, import the same modules.
"""

import importlib
import os
import sys

VARIABLE = "PYHAM_IMPORT"


def imported(words: list[str]) -> list[str]:
    """Import what ``--import MODULE``, at the beginning of a command line, and the variable name; the other words.

    Raises
    ------
    ImportError, ValueError
        If there is no such module, or no name behind the option.
    """
    names = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    while words and (words[0] == "--import" or words[0].startswith("--import=")):
        name, words = (words[0].partition("=")[2], words[1:]) if "=" in words[0] else ("".join(words[1:2]), words[2:])
        if not name or name.startswith("-"):
            raise ValueError(f"--import: expected the name of a module, got {name!r}")
        if name not in names:
            names.append(name)
    if names:
        os.environ[VARIABLE] = ",".join(names)
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.insert(0, os.getcwd())
    for name in names:
        importlib.import_module(name)
    return words

"""What the programs of pyham do alike: their options, where results go, and how they end.

Results are written before anything is printed, and every output path is tried before work begins. A reader that has
stopped reading (``| head``) or a standard output that is closed ends nothing and loses nothing.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from pyham.files.replacing import check_writable, replace_file

STANDARD_OUTPUT = Path("-")
OUTPUTS = ("checkpoint", "json", "save", "output", "outcomes")  # options that may name a file to be written

#: What is wrong with arguments, files and numbers, and is told in a sentence.
WRONG = (ArithmeticError, ImportError, MemoryError, OSError, TypeError, ValueError)


def called() -> str:
    """How this program was called: by its name, or as a module."""
    return "pyham" if sys.argv and Path(sys.argv[0]).stem == "pyham" else "python -m pyham"


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations: ``--save`` is refused where there is only ``--save-every``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and end with 2."""
        with contextlib.suppress(OSError):
            self.print_usage(sys.stderr)
        tell(f"{self.prog}: error: {message}")
        raise SystemExit(2)


def run(name: str, work: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """The exit code of ``work(options)``: its own, 2 for what is wrong with arguments or files, or 130 after Ctrl-C."""
    try:
        code = work(options)
    except KeyboardInterrupt:
        path = getattr(options, "checkpoint", None)
        kept = path is not None and path.exists()
        say([f"stopped; {path} has the last whole epoch, --resume goes on" if kept else "stopped"])
        code = 130
    except BrokenPipeError:
        _discard()
        code = 0
    except WRONG as error:
        tell(f"{name}: {str(error) or type(error).__name__}")
        code = 2
    return code if _flushed(name) else 2


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse, before work begins, paths in ``OUTPUTS`` that could not be written.

    Raises
    ------
    OSError
        Naming the path.
    """
    for option in OUTPUTS:
        path = getattr(options, option, None)
        if path is not None and path != STANDARD_OUTPUT:
            check_writable(path)


def try_outputs(paths: Iterable[Path]) -> None:
    """Make the folders of these files, and refuse, before work begins, what could not be written.

    Raises
    ------
    OSError
        Naming the path.
    """
    for path in paths:
        if path != STANDARD_OUTPUT:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_writable(path)


def say(lines: Iterable[object], json_path: Path | None = None, data: object = None) -> None:
    """Write ``data`` to ``json_path``, then print lines: on standard error where the data take standard output."""
    try:
        if json_path is not None:
            write_json(json_path, data)
        for line in lines:
            if json_path == STANDARD_OUTPUT:
                tell(line)
            else:
                print(line, flush=True)
    except BrokenPipeError:
        _discard()


def write_json(path: Path, data: object) -> None:
    """Write data to a file, at once or not at all, or print them where the path is -."""
    text = json.dumps(data, indent=1, allow_nan=False)
    if path == STANDARD_OUTPUT:
        print(text, flush=True)
    else:
        replace_file(path, (text + "\n").encode())


def tell(line: object) -> None:
    """Print a line on standard error, if there is one."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _flushed(name: str) -> bool:
    """Whether all that was printed has arrived, or nobody wants it any more."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        tell(f"{name}: standard output: {error}")
        return False
    return True


def _discard() -> None:
    """Send what is still to be printed nowhere, so that nothing complains when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

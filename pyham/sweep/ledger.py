"""The file of a sweep: one outcome a line, each with its checksum, written by one process at a time.

A line is JSON: {"function": "module:name", "run": {...}, "result": ..., "sha256": "..."}, or with "error" in place of
"result"; the checksum is that of the line without it. The first line says what file it is. A line is on the disk before
the next run is begun in its place; what a kill or a loss of power can leave is one torn line at the end, which is
recognised, cut off, and its run done again. A damaged line anywhere else is no such thing, and refused.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import IO, Any, NamedTuple

from pyham.files.replacing import replace_file
from pyham.sweep.lock import Lock

HEADER = {"format": "pyham sweep", "version": 1}
LINE = re.compile(r'(\{.*), "sha256": "([0-9a-f]{64})"\}')


class Outcome(NamedTuple):
    """What became of a run: ``result``, JSON data, or None and the ``error`` in words."""

    function: str
    run: dict[str, Any]
    result: Any = None
    error: str | None = None

    @property
    def key(self) -> str:
        """What tells this run from others."""
        return key(self.function, self.run)


def key(function: str, run: Mapping[str, Any]) -> str:
    """One text for a function's name and a configuration."""
    return json.dumps([function, run], sort_keys=True, allow_nan=False)


def read(path: str | PathLike[str]) -> list[Outcome]:
    """The outcomes in a sweep's file, in the order in which they came; a torn last line is passed over.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no sweep's, of a newer version, or damaged.
    """
    return _parse(Path(path))[0]


class Ledger:
    """The file of a sweep, open for this process alone; a context manager.

    Raises
    ------
    BlockingIOError
        If another sweep writes to it.
    OSError
        If it cannot be read or written.
    ValueError
        If it is no sweep's, of a newer version, or damaged.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(os.path.realpath(path))  # a link's own file, which is the one that is locked
        self._lock = Lock(self.path)
        try:
            if not self.path.exists():
                replace_file(self.path, _encode(HEADER))
            outcomes, length = _parse(self.path)
            self.outcomes = {outcome.key: outcome for outcome in outcomes}
            self._file: IO[bytes] = open(self.path, "r+b")  # noqa: SIM115  closed with the ledger
            self._file.truncate(length)
            self._file.seek(length)
            self._log = open(self.path.with_name(self.path.name + ".log"), "a", encoding="utf-8")  # noqa: SIM115
        except BaseException:
            self._lock.release()
            raise

    def append(self, outcome: Outcome, note: Mapping[str, Any]) -> None:
        """Write an outcome to the disk, and ``note``, JSON data about how it came, to the log beside it."""
        self._file.write(_encode(_plain(outcome)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.outcomes[outcome.key] = outcome
        self._log.write(json.dumps({"run": outcome.run} | dict(note)) + "\n")
        self._log.flush()

    def forget(self, keys: set[str]) -> None:
        """Take the outcomes of these runs out of the file."""
        if not keys & self.outcomes.keys():
            return
        self.outcomes = {name: outcome for name, outcome in self.outcomes.items() if name not in keys}
        self._file.close()
        replace_file(self.path, b"".join(map(_encode, [HEADER, *map(_plain, self.outcomes.values())])))
        self._file = open(self.path, "ab")  # noqa: SIM115

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        with ExitStack() as closing:  # each of them, also where another one fails, as on a full disk
            closing.callback(self._lock.release)
            closing.callback(self._file.close)
            closing.callback(self._log.close)


def _plain(outcome: Outcome) -> dict[str, Any]:
    """The data of an outcome's line."""
    end = {"result": outcome.result} if outcome.error is None else {"error": outcome.error}
    return {"function": outcome.function, "run": outcome.run} | end


def _encode(plain: Mapping[str, Any]) -> bytes:
    text = json.dumps(plain, sort_keys=True, allow_nan=False)
    return f'{text[:-1]}, "sha256": "{hashlib.sha256(text.encode()).hexdigest()}"}}\n'.encode()


def _decode(line: bytes) -> Any:
    """The data of a whole line, None for a damaged one."""
    try:
        found = LINE.fullmatch(line.decode().removesuffix("\n"))
    except UnicodeDecodeError:
        return None
    if found is None or not line.endswith(b"\n"):
        return None
    text = found[1] + "}"
    return json.loads(text) if hashlib.sha256(text.encode()).hexdigest() == found[2] else None


def _parse(path: Path) -> tuple[list[Outcome], int]:
    """Outcomes, and how many bytes are whole lines."""
    outcomes, length = [], 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        plain = _decode(line)
        if number == 0:
            if plain is None or plain.get("format") != HEADER["format"]:
                raise ValueError(f"{path}: expected the file of a sweep, got another")
            if plain.get("version") != HEADER["version"]:
                raise ValueError(f"{path}: expected version {HEADER['version']}, got {plain.get('version')!r}")
        elif plain is not None:
            outcomes.append(Outcome(plain["function"], plain["run"], plain.get("result"), plain.get("error")))
        elif number < len(lines) - 1:
            raise ValueError(f"{path}: expected the checksum that line {number + 1} states, got another: it is damaged")
        else:
            break
        length += len(line)
    if not lines:
        raise ValueError(f"{path}: expected the file of a sweep, got an empty one")
    return outcomes, length

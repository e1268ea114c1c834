"""``DataTable``: columns with names, as they stand in a file of numbers and words; ``read`` takes .csv, .npy and .npz.

A table is what was read, with nothing changed: the cells of a CSV file are the words between its commas, and arrays are
the arrays. Which columns are numbers, and what becomes of words, is decided by ``pyham.data.columns.Columns``.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from pyham.data.csv_text import parse
from pyham.files.numpy_files import read_npy, read_npz
from pyham.files.regular import content

Array = np.ndarray[Any, Any]
Column = list[str] | Array

SUFFIXES = (".csv", ".npy", ".npz")
#: Names of arrays in .npz files: of the samples, of what belongs to each, and of the columns' names.
SAMPLES, TARGETS, NAMES = ("X", "x"), ("y", "labels", "target", "targets"), "names"
SHOWN = 40  # characters of a cell in a message, at most


@dataclass(frozen=True, eq=False)
class DataTable:
    """Columns of one length, by name.

    Parameters
    ----------
    columns : name -> words, or a one-dimensional array of booleans, integers or floats
    source : what messages call it
    lines : of each row, the line of the file in which it begins; None where there are none, and rows count from 0

    Raises
    ------
    TypeError, ValueError
        Naming the column, what was expected and what came.
    """

    columns: Mapping[str, Column]
    source: str = "table"
    lines: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError(f"{self.source}: expected at least one column, got none")
        first = next(iter(self.columns))
        for name, column in self.columns.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"{self.source}: expected names of columns, got {name!r}")
            if isinstance(column, np.ndarray) and (column.ndim != 1 or column.dtype.kind not in "biuf"):
                came = f"{column.dtype} of shape {column.shape}"
                raise TypeError(f"{self.source}: column {name!r}: expected numbers or words in one row, got {came}")
            if len(column) != len(self):
                came = f"{len(column)}, and {len(self)} in {first!r}"
                raise ValueError(f"{self.source}: column {name!r}: expected as many rows as others have, got {came}")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in their order."""
        return tuple(self.columns)

    def __len__(self) -> int:
        """Rows B."""
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Column:
        """A column.

        Raises
        ------
        ValueError
            If there is none of that name: with the nearest one.
        """
        if name in self.columns:
            return self.columns[name]
        raise ValueError(f"{self.source}: expected a column {name!r}, got none{nearest(name, self.names)}")

    def take(self, rows: Array) -> "DataTable":
        """The rows of these indices (R,), in their order."""
        chosen = rows.tolist()
        columns: dict[str, Column] = {
            name: column[rows] if isinstance(column, np.ndarray) else [column[i] for i in chosen]
            for name, column in self.columns.items()
        }
        lines = None if self.lines is None else tuple(self.lines[i] for i in chosen)
        return DataTable(columns, self.source, lines)

    def where(self, row: int) -> str:
        """Where a row stands in the file."""
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"

    def wrong(self, name: str, row: int, problem: str) -> ValueError:
        """The error that says what is wrong with a cell: file, column, line, and the problem."""
        return ValueError(f"{self.source}: column {name!r}, {self.where(row)}: {problem}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or the first few."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; there are {', '.join(map(repr, names[:8]))}{', ...' * (len(names) > 8)}"


def shown(cell: object) -> str:
    """A cell in a message."""
    text = repr(cell)
    return text if len(text) <= SHOWN else text[: SHOWN - 4] + "..." + text[-1]


def read(path: str | PathLike[str], delimiter: str | None = None) -> DataTable:
    """The table in a file; what kind of file it is, is seen from its beginning.

    CSV is UTF-8, with or without a byte order mark, and has a header with the names. ``delimiter`` is that between its
    cells; None is the first of comma, semicolon and tab that gives every line as many cells as the header, two at
    least. An .npy file has a structured array, whose fields are the columns, or a two-dimensional one, whose columns
    are called x0, x1 and so on. An .npz file has arrays (B,), which are columns by their names, and at most one (B, n)
    of samples: X, x, or the only one; its columns are called x0, x1, ..., or by an array of words ``names``. An array
    y, labels or target may be (B, T), with columns y0, y1, ...

    Raises
    ------
    OSError
        If the file cannot be opened.
    TypeError, ValueError
        If it is no table: naming the line or array, what was expected and what came.
    """
    source = str(path)
    start = content(path, "a table")
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return DataTable(_of_arrays(source, read_npz(path)), source)
    if start[:6] == b"\x93NUMPY":
        return DataTable(_of_array(source, read_npy(path)), source)
    names, rows, lines = parse(start, source, delimiter)
    cells = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    return DataTable(dict(zip(names, cells, strict=True)), source, lines)


def _of_array(source: str, array: Array) -> dict[str, Column]:
    if array.dtype.names and array.ndim == 1:
        return {name: _column(source, name, array[name]) for name in array.dtype.names}
    if array.dtype.names or array.ndim != 2:
        raise ValueError(f"{source}: expected a structured array (B,) or one of shape (B, n), got shape {array.shape}")
    return _several(source, "x", array)


def _of_arrays(source: str, arrays: Mapping[str, Array]) -> dict[str, Column]:
    wide = [name for name, array in arrays.items() if array.ndim == 2 and name not in TARGETS]
    samples = next((name for name in SAMPLES if name in wide), wide[0] if len(wide) == 1 else None)
    names = arrays.get(NAMES) if samples is not None else None
    columns: dict[str, Column] = {}
    for name, array in arrays.items():
        if name == NAMES and names is not None:
            continue
        if name == samples:
            more = _several(source, "x", array, names)
        elif name in TARGETS and array.ndim == 2:
            more = _several(source, name, array)
        elif array.ndim == 1:
            more = {name: _column(source, name, array)}
        else:
            raise ValueError(f"{source}: array {name!r}: expected shape (B,), or (B, n) of X, got {array.shape}")
        if both := columns.keys() & more.keys():
            raise ValueError(f"{source}: expected columns of different names, got {both.pop()!r} twice")
        columns |= more
    return columns


def _several(source: str, name: str, array: Array, names: Array | None = None) -> dict[str, Column]:
    """The columns of an array (B, n), with these names or numbered ones."""
    words = [f"{name}{i}" for i in range(array.shape[1])] if names is None else _column(source, NAMES, names)
    if not isinstance(words, list) or len(words) != array.shape[1] or len(set(words)) < len(words):
        raise ValueError(f"{source}: {NAMES}: expected {array.shape[1]} different words, got another array")
    return {word: _column(source, word, array[:, i]) for i, word in enumerate(words)}


def _column(source: str, name: str, array: Array) -> Column:
    """An array as a column: bytes as UTF-8."""
    kind = array.dtype.kind
    if array.ndim != 1 or kind not in "biufSU" or (kind == "f" and array.dtype.itemsize > 8):
        came = f"{array.dtype} of shape {array.shape}"
        raise TypeError(f"{source}: {name!r}: expected booleans, integers, floats or words (B,), got {came}")
    if kind == "S":
        try:
            return [word.decode() for word in array.tolist()]
        except UnicodeDecodeError as error:
            raise ValueError(f"{source}: {name!r}: expected words in UTF-8, got others ({error})") from None
    if kind == "U":
        return [str(word) for word in array.tolist()]
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))

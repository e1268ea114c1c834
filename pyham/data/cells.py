"""What the cells of a column are: numbers, which are read exactly or refused, or words.

A number is written with digits, at most one decimal point, and an exponent; blanks around it do not matter. What only
looks like one (1,234, 12 %, inf), what float64 has no room for (1e400, 1e-400, integers of more digits than it holds)
and what is missing (nothing, NA, nan) is refused with the column and the line, so that no cell becomes another value or
a class of its own by accident.
"""

import re
from typing import Any

import numpy as np

from pyham.data.tables import DataTable, shown

Array = np.ndarray[Any, Any]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INTEGER = re.compile(r"-?[1-9]\d*|0", re.ASCII)  # as Python writes it
SEPARATORS = ".,'_\\s\u2019"
#: Words that look like numbers: other separators, signs of per cent, infinity, other digits than ASCII's.
NUMBERLIKE = re.compile(
    rf"(?=\D*\d)[-+\u2212]?[\d{SEPARATORS}]*+(?:[eE][-+]?\d+)?\s*+[%\u2030]?|[-+]?inf(?:inity)?", re.IGNORECASE
)
MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null")  # in small letters, without blanks around them
EXACT = 2**53  # up to which float64 has every integer


def numbers(table: DataTable, name: str) -> Array:
    """A column as float64 (B,).

    Raises
    ------
    ValueError
        Naming the column and the line of the first cell that is no finite number.
    """
    column = table.column(name)
    if isinstance(column, list):
        values = np.empty(len(column))
        for row, cell in enumerate(column):
            try:
                values[row] = number(cell)
            except ValueError as error:
                raise table.wrong(name, row, str(error)) from None
        return values
    values = column.astype(np.float64)
    for row in np.flatnonzero(~np.isfinite(values)).tolist():
        raise table.wrong(name, row, f"expected a finite number, got {values[row]}")
    if column.dtype.kind in "iu":
        for row in np.flatnonzero(np.abs(values) >= EXACT).tolist():
            if int(values[row]) != int(column[row]):
                raise table.wrong(name, row, f"expected a number that float64 holds exactly, got {column[row]}")
    return values


def number(cell: str) -> float:
    """The number that a cell is.

    Raises
    ------
    ValueError
        With what was expected and what came.
    """
    word = cell.strip()
    if not NUMBER.fullmatch(word):
        if missing(cell):
            raise ValueError(f"expected a number, got {'an empty cell' if not word else shown(cell)}, a missing value")
        if NUMBERLIKE.fullmatch(word):
            kind = "a finite number" if "inf" in word.lower() else "a number of digits with a decimal point at most"
            raise ValueError(f"expected {kind}, got {shown(cell)}")
        raise ValueError(f"expected a number, got {shown(cell)}")
    value = float(word)
    if not -np.inf < value < np.inf:
        raise ValueError(f"expected a number that float64 holds, at most 1.8e308, got {shown(cell)}")
    if abs(value) < np.finfo(np.float64).tiny and re.search(r"[1-9]", re.split("[eE]", word)[0]):
        raise ValueError(f"expected a number that float64 holds, at least 2.3e-308 or 0, got {shown(cell)}")
    if abs(value) >= EXACT and word.lstrip("+-").isdecimal() and int(word.lstrip("+-0")) != int(abs(value)):
        raise ValueError(f"expected a number that float64 holds exactly, got {shown(cell)}")
    return value


def missing(cell: str) -> bool:
    """Whether a cell stands for no value."""
    return cell.strip().lower() in MISSING


def are_words(table: DataTable, name: str) -> bool:
    """Whether a column is words, and not numbers.

    Raises
    ------
    ValueError
        If it is neither, naming the column and the line of the first cell to blame: a value is missing, words look like
        numbers, or some cells are numbers and some are not.
    """
    column = table.column(name)
    if not isinstance(column, list):
        return False
    words = [not NUMBER.fullmatch(cell.strip()) for cell in column]
    for row, cell in enumerate(column):
        if words[row] and (missing(cell) or NUMBERLIKE.fullmatch(cell.strip())):
            kind = "a value" if missing(cell) else "a number of digits with a decimal point at most, or a word"
            raise table.wrong(name, row, f"expected {kind}, got {shown(cell) if cell.strip() else 'an empty cell'}")
    if all(words) or not any(words):
        return bool(words) and words[0]
    fewer = sum(words) <= len(words) / 2  # words, among numbers
    row, other = words.index(fewer), words.index(not fewer)
    kind = "a number" if fewer else "a word"
    raise table.wrong(name, row, f"expected {kind}, as in {table.where(other)}, got {shown(column[row])}")

"""``Columns``: what a network's inputs and outputs are in a table's terms, learnt from rows to train on.

Numbers stay what they are. A column of words becomes one column for each of its words, in alphabetical order, which is
1 where the word stands and else 0. What is to be told is a class, by one column, or one or more numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyham import _check
from pyham.data.cells import INTEGER, are_words, missing, number, numbers
from pyham.data.tables import DataTable, nearest, shown

Array = np.ndarray[Any, Any]
Label = bool | int | str

LEVELS = 100  # words of a column, at most
SMALLEST, LARGEST = 1e-150, 1e150  # of a column's numbers: squares of others are 0 or infinite
CLASSES = {"words": 1000, "integers": 50}  # at most


@dataclass(frozen=True)
class Columns:
    """Which columns are used, and how.

    Parameters
    ----------
    features : names of the columns that a network sees, in its order
    levels : of those that are words, the words that are known, sorted
    targets : names of the columns that it tells
    classes : the labels of the classes 0 .. C - 1, or None where the targets are numbers

    Raises
    ------
    TypeError, ValueError
        Naming the part, what was expected and what came.
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    classes: tuple[Label, ...] | None = None
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.features or not self.targets:
            raise ValueError("columns: expected at least one to see and one to tell, got none")
        _words("columns", [*self.features, *self.targets])
        for name, known in self.levels.items():
            _words(f"levels of {name!r}", known)
            if name not in self.features or not known:
                raise ValueError(f"levels: expected words of columns that are seen, got those of {name!r}")
        if self.classes is not None:
            kinds = {type(label) for label in self.classes}
            if len(self.targets) != 1 or len(kinds) != 1 or not kinds <= {bool, int, str}:
                raise TypeError("classes: expected labels of one kind, of one column, got others")
            if len(set(self.classes)) < max(2, len(self.classes)):
                raise ValueError(f"classes: expected at least two, all different, got {len(set(self.classes))}")

    @classmethod
    def fit(
        cls, table: DataTable, targets: Sequence[str], *, regression: bool = False, words: Iterable[str] = (),
        drop: Iterable[str] = (),
    ) -> "Columns":  # fmt: skip
        """Learnt from the rows to train on.

        Parameters
        ----------
        table : those rows
        targets : names of what is to be told: one column of classes, or with ``regression`` columns of numbers
        words : columns that are words whatever stands in them, also numbers and what else stands for a missing value
        drop : columns that are not used

        Raises
        ------
        TypeError, ValueError
            Naming the column, and the line if there is one, what was expected and what came.
        """
        words, drop = list(words), list(drop)
        if not len(table):
            raise ValueError(f"{table.source}: expected at least one row, got none")
        for name in (*targets, *words, *drop):
            table.column(name)
        if not targets or len(set(targets)) < len(targets) or set(targets) & set(drop):
            raise ValueError(f"targets: expected different columns that are used, got {', '.join(targets) or 'none'}")
        if len(targets) > 1 and not regression:
            raise ValueError(f"targets: expected one column of classes, got {', '.join(targets)}")
        features = tuple(name for name in table.names if name not in {*targets, *drop})
        if not features:
            raise ValueError(f"{table.source}: expected a column beside {', '.join(targets)}, got none")
        levels = {name: _levels(table, name) for name in features if name in words or are_words(table, name)}
        if regression:
            for name in targets:
                numbers(table, name)
        classes = None if regression else _classes(table, targets[0], targets[0] in words)
        found = cls(features, tuple(targets), classes, levels)
        X = found.encode(table)
        values = X if classes is not None else np.column_stack([X, found.encode_targets(table)])
        for name, largest in zip([*found.names, *targets], np.abs(values).max(axis=0).tolist(), strict=False):
            if largest and not SMALLEST <= largest <= LARGEST:
                expected = f"numbers of which the largest is between {SMALLEST:g} and {LARGEST:g}, or 0"
                raise ValueError(f"{table.source}: column {name!r}: expected {expected}, got {largest:g}")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of X: a number's is its own, a word's is "column=word"."""
        return tuple(
            full for name in self.features
            for full in ([f"{name}={word}" for word in self.levels[name]] if name in self.levels else [name])
        )  # fmt: skip

    def unused(self, table: DataTable) -> tuple[str, ...]:
        """Columns of a table that are neither seen nor told."""
        return tuple(name for name in table.names if name not in {*self.features, *self.targets})

    def encode(self, table: DataTable) -> Array:
        """X (B, features) of a table that has these columns, in any order, and perhaps others.

        Raises
        ------
        MemoryError
            If X does not fit into it.
        ValueError
            Naming the column that is not there, or column and line of a word that is not known or of what is no number.
        """
        _check.affordable("table", len(table) * len(self.names))
        X, place = np.zeros((len(table), len(self.names))), 0
        for name in self.features:
            if name not in self.levels:
                X[:, place] = numbers(table, name)
                place += 1
                continue
            X[np.arange(len(table)), place + _indices(table, name, self.levels[name])] = 1
            place += len(self.levels[name])
        return X

    def encode_targets(self, table: DataTable) -> Array:
        """Classes (B,) from 0 to C - 1, or numbers (B,) of one column and (B, T) of several.

        Raises
        ------
        ValueError
            Naming the column that is not there, or column and line of an unknown class or of what is no number.
        """
        if self.classes is not None:
            return _indices(table, self.targets[0], [str(label) for label in self.classes])
        values = [numbers(table, name) for name in self.targets]
        return values[0] if len(values) == 1 else np.stack(values, axis=1)

    def labels(self, classes: Array) -> list[Label]:
        """The labels of classes (B,) from 0 to C - 1."""
        if self.classes is None:
            raise TypeError("classes: expected columns whose targets are classes, got numbers")
        return [self.classes[index] for index in classes.tolist()]

    def config(self) -> dict[str, Any]:
        """JSON data from which ``Columns.from_config`` makes equal ones."""
        levels = {name: list(known) for name, known in self.levels.items()}
        classes = None if self.classes is None else list(self.classes)
        return {"features": list(self.features), "levels": levels, "targets": list(self.targets), "classes": classes}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Columns":
        """The columns of ``config()``.

        Raises
        ------
        TypeError, ValueError
            If the data describe none.
        """
        expected = {"features": list, "levels": dict, "targets": list, "classes": (list, type(None))}
        if not isinstance(config, Mapping) or set(config) != set(expected):
            raise ValueError(f"columns: expected {', '.join(expected)}, got {shown(config)}")
        for name, kind in expected.items():
            if not isinstance(config[name], kind):  # type: ignore[arg-type]
                raise TypeError(f"columns: {name}: expected a {kind}, got {type(config[name]).__name__}")
        levels = {name: tuple(_words(f"levels of {name!r}", known)) for name, known in config["levels"].items()}
        classes = None if config["classes"] is None else tuple(config["classes"])
        return cls(tuple(config["features"]), tuple(config["targets"]), classes, levels)


def _words(part: str, names: object) -> list[str]:
    """A list of different words."""
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{part}: expected words, got {shown(names)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{part}: expected each once, got {shown(names)}")
    return list(names)


def _cells(table: DataTable, name: str) -> list[str]:
    """A column as words; numbers of an array as Python writes them."""
    column = table.column(name)
    return column if isinstance(column, list) else [str(value) for value in column.tolist()]


def _levels(table: DataTable, name: str) -> tuple[str, ...]:
    """The words in a column to be seen."""
    known = sorted(set(_cells(table, name)))
    _refuse_many(table, name, len(known), LEVELS, "words")
    return tuple(known)


def _classes(table: DataTable, name: str, words: bool) -> tuple[Label, ...]:
    """The labels in a column to be told: booleans and integers as such, if that is how they are written."""
    column, cells = table.column(name), _cells(table, name)
    known: list[Any] = sorted(set(cells))
    if words:
        pass
    elif isinstance(column, list) and are_words(table, name):
        if set(known) <= {"False", "True"}:
            known = [word == "True" for word in known]
    elif not isinstance(column, list) and column.dtype.kind == "b":
        known = [word == "True" for word in known]
    else:
        whole = numbers(table, name)
        for row in np.flatnonzero(whole != np.round(whole)).tolist():
            raise table.wrong(name, row, f"expected a class, a word or an integer, got {cells[row]}, a number")
        known = sorted(known, key=lambda word: (number(word), word))
        if all(INTEGER.fullmatch(word) for word in known):
            known = [int(word) for word in known]
        what = "classes that are integers, more being numbers, for a regression"
        _refuse_many(table, name, len(known), CLASSES["integers"], what)
    _refuse_many(table, name, len(known), CLASSES["words"], "classes")
    if len(known) < 2:
        raise ValueError(f"{table.source}: column {name!r}: expected at least two classes, got only {shown(known[0])}")
    return tuple(known)


def _refuse_many(table: DataTable, name: str, count: int, most: int, what: str) -> None:
    """Refuse a column that has so many words that they tell rows apart, and no more."""
    most = min(most, max(2, len(table) // 2))
    if count > most:
        came = f"{count} different ones in {len(table)} rows"
        raise ValueError(f"{table.source}: column {name!r}: expected at most {most} {what}, got {came}")


def _indices(table: DataTable, name: str, known: Sequence[str]) -> Array:
    """Which of the known words stands in each row (B,)."""
    places = {word: place for place, word in enumerate(known)}
    found = [places.get(cell, -1) for cell in _cells(table, name)]
    if -1 in found:
        row = found.index(-1)
        cell = _cells(table, name)[row]
        what = "an empty cell" if not cell.strip() else shown(cell)
        came = f"{what}, a missing value" if missing(cell) else f"{what}{nearest(cell, known)}"
        raise table.wrong(name, row, f"expected a known word, got {came}")
    return np.array(found, dtype=np.int64).reshape(len(table))

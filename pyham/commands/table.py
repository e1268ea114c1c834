"""``python -m pyham train FILE.csv --target COLUMN``: a table of one's own."""

import argparse
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham.commands import configuration, protocol_options, seeds
from pyham.commands.planar import NETWORK, add_kinds, percent, stream
from pyham.commands.program import say
from pyham.commands.progress import Bar
from pyham.commands.protocol_options import named, option
from pyham.data import tables
from pyham.data.cells import are_words
from pyham.data.columns import Columns
from pyham.data.tables import Column
from pyham.files import archive, regular
from pyham.training.protocol import RECOMMENDED, Protocol

Array = np.ndarray[Any, Any]

EPILOG = (
    "FILE has a header with the names of its columns; .npy and .npz files have arrays. Columns of numbers are scaled "
    "to mean 0 and variance 1; one of words becomes a column for each word. The column --target is a class, a word or "
    "an integer, or with --regression a number. A share of the rows, --test, takes no part in anything but the last "
    "line; of each class the same share. What is not sure is refused, with the column and the line. Everything "
    "follows from --seed. Exit code 0, or 1 when a training of --seeds failed, or 2 for wrong options or files or "
    "numbers that overflow, or 130 after Ctrl-C."
)


class Encoded(NamedTuple):
    """A table as a training takes it: X (R, features) and targets (R,) or (R, T) to train on, and some to test with."""

    columns: Columns
    train: tuple[Array, Array]
    test: tuple[Array, Array] | None


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Train a Hamiltonian network on a table of your own."
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="the table: .csv, .npy or .npz")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--target", action="append", metavar="COLUMN",
        help="what is to be told; with --regression also several (of .npz files: y, labels or target)",
    )  # fmt: skip
    data.add_argument("--regression", action="store_true", help="the target is a number, and no class")
    data.add_argument("--words", action="append", metavar="COLUMN", help="of words, whatever stands in it")
    data.add_argument("--drop", action="append", metavar="COLUMN", help="that is not used")
    data.add_argument("--delimiter", metavar="CHAR", help="between cells (the one that fits: comma, semicolon or tab)")
    data.add_argument("--test", type=float, default=0.2, metavar="FLOAT", help="share of the rows to test with (0.2)")
    data.add_argument(
        "--validation", type=float, default=0.0, metavar="FLOAT", help="share of the others that is held out (0)"
    )
    seeds.add(parser, data, "of the split, weights and batches")
    network = parser.add_argument_group("network")
    network.add_argument("--architecture", choices=tuple(pyham.ARCHITECTURES), default="H2", help="(H2)")
    network.add_argument("--width", type=int, metavar="INT", help="n (by the columns)")
    network.add_argument("--depth", type=int, metavar="INT", help="layers N")
    network.add_argument("--final-time", type=float, metavar="FLOAT", help="T = N h")
    add_kinds(network, "(tanh)")
    network.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="(float64)")
    protocol_options.add(parser, RECOMMENDED)
    parser.set_defaults(loss=None)
    files = parser.add_argument_group("files")
    files.add_argument("--save", type=Path, metavar="PATH", help="write the model there; predict and certify read it")
    files.add_argument("--json", type=Path, metavar="PATH", help="write options, history and results there (-: print)")
    configuration.add(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and print how well the model does."""
    if options.seed < 0:
        raise ValueError(f"--seed: expected an integer >= 0, got {options.seed}")
    found = parts(options)
    measure = "R^2" if found.columns.classes is None else "accuracy"
    where = f"{options.file.name}, {options.architecture}"
    number = format_of(found.columns)
    if options.seeds is not None:
        data = {"data": str(options.file), "sha256": digest(options.file)}
        return seeds.run(options, outcome, data, f"{where}: {measure}", number)
    model = fit(options, found)
    if options.save:
        model.save(options.save)
    values = measures(model, found)
    words = [f"{name} {number(value)}" for name, value in values.items() if value is not None]
    depth, rows = model.net.arch.depth, [len(part[0]) for part in (found.train, found.test) if part is not None]
    line = f"{where}, {depth} layers, seed {options.seed}: {measure} {', '.join(words)}"
    result = {
        "pyham": pyham.__version__, "data": str(options.file), "rows": rows, "columns": found.columns.config(),
        "architecture": model.net.arch.config(), measure: values, "history": model.history.to_dict(),
        "configuration": configuration.effective(options),
    }  # fmt: skip
    say([line, *([f"wrote {options.save}"] if options.save else [])], options.json, result)
    return 0


def outcome(run: dict[str, Any]) -> dict[str, float | None]:
    """Measures of a training in a sweep, from its file and its options."""
    parser = configuration.ConfiguredParser()
    add(parser)
    options = parser.parse_args([*configuration.words(parser, run["options"]), "--", run["data"]])
    options.silent = True
    if digest(options.file) != run["sha256"]:
        raise ValueError(f"{options.file}: expected the file with which the sweep began, got another")
    found = parts(options)
    return measures(fit(options, found), found)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(regular.content(path, "a table")).hexdigest()


def format_of(columns: Columns) -> Any:
    """How measures are printed: shares in per cent, R^2 as it is."""
    return "{:.4f}".format if columns.classes is None else percent


def parts(options: argparse.Namespace) -> Encoded:
    """The table of the options, split and encoded."""
    names = {"targets": "--target", "delimiter": "--delimiter", "test": "--test"}
    table = named(names, tables.read, options.file, options.delimiter)
    targets = options.target or [name for name in tables.TARGETS if name in table.columns and table.lines is None][:1]
    if not targets:
        raise ValueError(f"--target: expected one of {', '.join(map(repr, table.names[:8]))}, got none")
    taken, dropped = options.words or (), options.drop or ()
    for name in (*targets, *taken, *dropped):
        table.column(name)
    seen = [name for name in table.names if name not in {*targets, *dropped}]
    words = [table.columns[name] for name in seen if name in taken or are_words(table, name)]
    told = None if options.regression else table.columns[targets[0]]
    rows = named(names, split, len(table), told, words, options.test, stream(options, 1))
    fitting, test = table.take(rows[0]), table.take(rows[1])
    columns = named(names, Columns.fit, fitting, targets, regression=options.regression, words=taken, drop=dropped)
    held_out = (columns.encode(test), columns.encode_targets(test)) if len(test) else None
    return Encoded(columns, (columns.encode(fitting), columns.encode_targets(fitting)), held_out)


def split(
    count: int, told: Column | None, words: list[Column], share: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Rows to train on and rows to test with, in their order: of each class a share, and one to train on.

    Rows that have a word which no row to train on has, in one of the columns ``words``, go there as well.
    """
    if not 0 <= share < 1:
        raise ValueError(f"test: expected a number from 0 to below 1, got {share}")
    classes: dict[str, list[int]] = {}
    for row in rng.permutation(count).tolist():
        classes.setdefault("" if told is None else str(told[row]), []).append(row)
    tested = np.zeros(count, dtype=bool)
    for rows in classes.values():
        tested[rows[: min(round(share * len(rows)), len(rows) - 1)]] = True
    for column in words:
        seen = {str(column[row]) for row in np.flatnonzero(~tested)}
        tested &= np.array([str(cell) in seen for cell in column], dtype=bool)
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def measures(model: Any, found: Encoded) -> dict[str, float | None]:
    """Share of samples classified right, or R^2, the mean over the targets; None where it is not defined."""
    values: dict[str, float | None] = {}
    for name, part in (("train", found.train), ("test", found.test)):
        if part is None:
            values[name] = None
        elif found.columns.classes is not None:
            values[name] = model.accuracy(*part)
        else:
            truth = part[1].reshape(len(part[1]), -1)
            errors = ((model.predict(part[0]).reshape(truth.shape) - truth) ** 2).sum(axis=0)
            spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
            values[name] = float(np.mean(1 - errors / spread)) if (spread > 0).all() else None
    return values


def fit(options: argparse.Namespace, found: Encoded) -> Any:
    """The trained model, with a bar on the way; what its file keeps is checked before."""
    table = {
        "columns": found.columns.config(), "file": options.file.name, "rows": len(found.train[0]),
        "configuration": configuration.effective(options),
    }  # fmt: skip
    named({"header": "names and words of the table"}, archive.check_header, {"table": table}, 100)
    with Bar(options.architecture, visible=not getattr(options, "silent", False)) as bar:
        return _fit(options, found, table, bar)


def _fit(options: argparse.Namespace, found: Encoded, table: dict[str, Any], callback: Any) -> Any:
    raise NotImplementedError(options, found, table, callback, Protocol, NETWORK, option)

"""``python -m pyham train FILE.csv --target COLUMN``: a table of one's own."""

import argparse
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham.commands import configuration, own, protocol_options, seeds
from pyham.commands.planar import NETWORK, add_kinds, kinds, percent, stream
from pyham.commands.program import say
from pyham.commands.progress import Bar
from pyham.commands.protocol_options import named, option
from pyham.data import tables
from pyham.data.cells import are_words, numbers
from pyham.data.columns import Columns
from pyham.data.tables import Column
from pyham.files import archive, regular
from pyham.training.losses import LOSSES
from pyham.training.tables import LIFTS, RECOMMENDED, REGRESSION
from pyham.training.tables import fit as learn

Array = np.ndarray[Any, Any]

EPILOG = (
    "FILE has a header with the names of its columns; .npy and .npz files have arrays. Columns of numbers are scaled "
    "to mean 0 and variance 1; one of words becomes a column for each word. The column --target is a class, a word or "
    "an integer, or with --regression a number. A share of the rows, --test, takes no part in anything but the last "
    "line; of each class the same share. What is not sure is refused, with the column and the line. Everything "
    "follows from --seed. Exit code 0, or 1 when a training of --seeds failed, or 2 for wrong options or files or "
    "numbers that overflow, or 130 after Ctrl-C."
)


BY_TARGET = ("epochs", "batch", "rate", "noise")  # defaults that are others for values than for classes


class Encoded(NamedTuple):
    """A table as a training takes it: X (R, features) and targets (R,) or (R, T) to train on, and others, if any."""

    columns: Columns
    train: tuple[Array, Array]
    validation: tuple[Array, Array] | None
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
    network.add_argument("--width", type=int, metavar="INT", help="n (64; with --lift zeros as many as needed)")
    network.add_argument("--depth", type=int, default=4, metavar="INT", help="layers N (4)")
    network.add_argument("--final-time", type=float, default=4.0, metavar="FLOAT", help="T = N h (4)")
    network.add_argument(
        "--lift", choices=LIFTS, default="learnt", help="from the columns to n channels: a matrix, or zeros (learnt)"
    )
    add_kinds(network, "(tanh)")
    network.add_argument("--dtype", choices=("float64", "float32"), default="float32", help="(float32)")
    protocol_options.add(parser, RECOMMENDED, LOSSES, "of classes the first two, of values the others")
    parser.set_defaults(loss=None, optimizer=None, **dict.fromkeys(BY_TARGET))  # with --regression others than shown
    files = parser.add_argument_group("files")
    files.add_argument("--save", type=Path, metavar="PATH", help="write the model there; predict and certify read it")
    files.add_argument("--json", type=Path, metavar="PATH", help="write options, history and results there (-: print)")
    configuration.add(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and print how well the model does."""
    if options.seed < 0:
        raise ValueError(f"--seed: expected an integer >= 0, got {options.seed}")
    complete(options)
    seeds.check(options)
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
    rows = {name: len(part[0]) for name, part in found._asdict().items() if isinstance(part, tuple)}
    line = f"{where}, {model.net.arch.depth} layers, seed {options.seed}: {measure} {', '.join(words)}"
    result = {
        "pyham": pyham.__version__, "data": str(options.file), "rows": rows, "columns": found.columns.config(),
        "architecture": model.net.arch.config(), measure: values, "history": model.history.to_dict(),
        "configuration": configuration.effective(options),
    }  # fmt: skip
    say([line, *([f"wrote {options.save}"] if options.save else [])], options.json, result)
    return 0


def outcome(run: dict[str, Any]) -> dict[str, float | None]:
    """Measures of a training in a sweep, from its file and its options."""
    own.imported([])
    parser = configuration.ConfiguredParser()
    add(parser)
    options = parser.parse_args([*configuration.words(parser, run["options"]), "--", run["data"]])
    options.silent = True
    complete(options)
    if digest(options.file) != run["sha256"]:
        raise ValueError(f"{options.file}: expected the file with which the sweep began, got another")
    found = parts(options)
    return measures(fit(options, found), found)


def complete(options: argparse.Namespace) -> None:
    """Choose what was not given: of classes as ``RECOMMENDED`` does, of values as ``REGRESSION``."""
    protocol = REGRESSION if options.regression else RECOMMENDED
    for name in BY_TARGET:
        if getattr(options, name) is None:
            setattr(options, name, getattr(protocol, name))
    if options.optimizer is None:
        usual: Any = protocol.optimizer
        options.optimizer = type(usual).__name__.lower()
        for name, value in (("beta1", usual.beta1), ("beta2", usual.beta2), ("shrink", usual.decay)):
            if getattr(options, name) is None:
                setattr(options, name, value)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(regular.content(path, "a table")).hexdigest()


def format_of(columns: Columns) -> Any:
    """How measures are printed: shares in per cent, R^2 as it is."""
    return "{:.4f}".format if columns.classes is None else percent


def parts(options: argparse.Namespace) -> Encoded:
    """The table of the options, split and encoded."""
    names = {"targets": "--target", "delimiter": "--delimiter", "test": "--test", "validation": "--validation"}
    table = named(names, tables.read, options.file, options.delimiter)
    targets = options.target or [name for name in tables.TARGETS if name in table.columns and table.lines is None][:1]
    if not targets:
        raise ValueError(f"--target: expected one of {', '.join(map(repr, table.names[:8]))}, got none")
    taken, dropped = options.words or (), options.drop or ()
    for name in (*targets, *taken, *dropped):
        table.column(name)
    seen = [name for name in table.names if name not in {*targets, *dropped}]
    words = [table.columns[name] for name in seen if name in taken or are_words(table, name)]
    for name in targets if options.regression else ():
        numbers(table, name)
    told = None if options.regression else table.columns[targets[0]]
    shares = {"test": options.test, "validation": options.validation}
    rows = named(names, split, len(table), told, words, shares, stream(options, 1))
    fitting, *others = (table.take(part) for part in rows)
    columns = named(names, Columns.fit, fitting, targets, regression=options.regression, words=taken, drop=dropped)
    test, validation = ((columns.encode(part), columns.encode_targets(part)) if len(part) else None for part in others)
    return Encoded(columns, (columns.encode(fitting), columns.encode_targets(fitting)), validation, test)


def split(
    count: int, told: Column | None, words: list[Column], shares: dict[str, float], rng: np.random.Generator
) -> list[Array]:
    """Rows to train on, and then those of every share, in their order: of each class as much, and one to train on.

    Rows that have a word which no row to train on has, in one of the columns ``words``, go there as well.
    """
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name}: expected a number from 0 to below 1, got {share}")
    classes: dict[str, list[int]] = {}
    for row in rng.permutation(count).tolist():
        classes.setdefault("" if told is None else str(told[row]), []).append(row)
    part = np.zeros(count, dtype=int)
    for number, share in enumerate(shares.values(), 1):
        for rows in classes.values():
            taken = min(round(share * len(rows)), len(rows) - 1)
            part[rows[:taken]] = number
            del rows[:taken]
    for column in words:
        known = {str(column[row]) for row in np.flatnonzero(part == 0)}
        part[[str(cell) not in known for cell in column]] = 0
    return [np.flatnonzero(part == number) for number in range(len(shares) + 1)]


def measures(model: Any, found: Encoded) -> dict[str, float | None]:
    """Share of samples classified right, or R^2, the mean over the targets; None where it is not defined."""
    values: dict[str, float | None] = {}
    for name in ("train", "validation", "test"):
        part = getattr(found, name)
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
    """The trained model; errors name options."""
    regression = found.columns.classes is None
    options = argparse.Namespace(**vars(options) | {"loss": options.loss or ("squared" if regression else "softmax")})
    if options.loss == "logistic" and found.columns.classes is not None and len(found.columns.classes) > 2:
        raise ValueError(f"--loss: expected softmax for {len(found.columns.classes)} classes, got logistic")
    given = kinds(options)
    if options.width is not None:
        given["width"] = options.width
    plain = (*protocol_options.PLAIN, *NETWORK, "width", "depth", "loss", "lift")
    names = {name: option(name) for name in (*plain, "final_time", "validation")}
    names |= {"features": "table", "targets": f"--target {' '.join(found.columns.targets)}"}
    return named(
        names, learn, *found.train, regression=regression, loss=options.loss,
        protocol=protocol_options.protocol(options), rng=stream(options, 2), validation=found.validation,
        callback=callback, architecture=options.architecture, depth=options.depth, final_time=options.final_time,
        lift=options.lift, table=table, dtype=options.dtype, **given,
    )  # fmt: skip

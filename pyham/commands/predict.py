"""``python -m pyham predict FILE data.csv``."""

import argparse
import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pyham.commands.program import STANDARD_OUTPUT, say
from pyham.commands.saved import columns_of, samples
from pyham.data import tables
from pyham.files.replacing import replace_file
from pyham.loading import load
from pyham.network import Network

Array = np.ndarray[Any, Any]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "What the model in FILE says of every row of a table, as CSV, in the order of the rows: the class, by its "
        "label, or the values. Columns are found by their names, in any order; others are not used. Models that know "
        "no names take all columns in their order."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what train --save wrote, or another training")
    parser.add_argument("data", type=Path, metavar="DATA", help="the table: .csv, .npy or .npz")
    parser.add_argument("--delimiter", metavar="CHAR", help="of DATA (the one that fits: comma, semicolon or tab)")
    parser.add_argument("--probabilities", action="store_true", help="those of all classes, a column for each")
    parser.add_argument(
        "--output", type=Path, default=STANDARD_OUTPUT, metavar="PATH", help="write them there (-: to standard output)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the predictions."""
    model = load(options.file)
    if isinstance(model, Network) or len(model.net.arch.shape) > 1:
        kind = "a network without an output layer" if isinstance(model, Network) else "one of images"
        raise ValueError(f"{options.file}: expected a trained model of numbers, got {kind}")
    names, rows = predictions(model, tables.read(options.data, options.delimiter), options.probabilities)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    if options.output == STANDARD_OUTPUT:
        say([text.getvalue().removesuffix("\n")])
    else:
        replace_file(options.output, text.getvalue().encode())
        say([f"wrote {options.output}"])
    return 0


def predictions(model: Any, table: tables.DataTable, probabilities: bool) -> tuple[list[str], Iterable[list[Any]]]:
    """Names of columns, and of every row of the table a row of what the model says."""
    x, columns = samples(model, table), columns_of(model)
    classifies = hasattr(model, "classes")
    with np.errstate(all="ignore"):
        _refuse_large(model, table, model.lifted(x))
        found = model.predict(x)
        _refuse_large(model, table, np.column_stack([found, model.logits(x)]))
    if probabilities and not classifies:
        raise ValueError("--probabilities: expected a classifier, got a regression")
    if not classifies:
        values = np.column_stack([found])
        count = values.shape[1]
        names = [f"y{i}" for i in range(count)] if columns is None else list(columns.targets)
        return names, values.astype(str).tolist()
    labels = found.tolist() if columns is None else columns.labels(found)
    name = "class" if columns is None else columns.targets[0]
    if not probabilities:
        return [name], [[label] for label in labels]
    known = range(model.classes) if columns is None or columns.classes is None else columns.classes
    shares = model.probabilities(x).astype(str).tolist()  # as short as can be read back
    rows = [[label, *more] for label, more in zip(labels, shares, strict=True)]
    return [name, *(f"probability_{label}" for label in known)], rows


def _refuse_large(model: Any, table: tables.DataTable, values: Array) -> None:
    """Refuse rows (B, ..) that the model's dtype cannot hold."""
    for row in np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        expected = f"numbers near those of the training, which {model.net.dtype} holds on their way"
        raise ValueError(f"{table.source}: {table.where(row)}: expected {expected}, got larger ones")

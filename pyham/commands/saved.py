"""What a saved model has to do with tables: its columns, and the samples that rows are to it."""

from typing import Any

import numpy as np

from pyham.commands.program import tell
from pyham.data.cells import numbers
from pyham.data.columns import Columns
from pyham.data.tables import DataTable
from pyham.network import Network

Array = np.ndarray[Any, Any]


def columns_of(model: Any) -> Columns | None:
    """The columns that the model was trained on, or None if it was no table.

    Raises
    ------
    TypeError, ValueError
        If what the file says of them describes none.
    """
    table = getattr(model, "table", None)
    if table is None or "columns" not in table:
        return None
    columns = Columns.from_config(table["columns"])
    if len(columns.names) != model.features:
        raise ValueError(f"table: expected {model.features} features, as the model has, got {len(columns.names)}")
    outputs = len(columns.targets) if columns.classes is None else len(columns.classes)
    expected = getattr(model, "classes", len(model.head.layer))
    if outputs != expected or (columns.classes is None) == hasattr(model, "classes"):
        raise ValueError(f"table: expected {expected} classes or values, as the model has, got {outputs}")
    return columns


def samples(model: Any, table: DataTable) -> Array:
    """X (B, features) of the rows: by the names of the model's columns, or without such all columns in their order.

    Raises
    ------
    TypeError, ValueError
        Naming the column, and the line if there is one, what was expected and what came.
    """
    columns = columns_of(model)
    if columns is None:
        features = model.arch.width if isinstance(model, Network) else model.features
        if len(table.names) != features:
            expected = f"{features} columns, as many features as the model has, which knows no names"
            raise ValueError(f"{table.source}: expected {expected}, got {len(table.names)}")
        return np.stack([numbers(table, name) for name in table.names], axis=1)
    X = columns.encode(table)
    unused = columns.unused(table)
    if unused:
        tell(f"{table.source}: not used: {', '.join(unused)}")
    return X

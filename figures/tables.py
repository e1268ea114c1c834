"""Tables of accuracies, mean and spread over seeds, as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Table(NamedTuple):
    """Accuracies in % of networks (rows) in columns, with seeds; NaN where a training diverged.

    Parameters
    ----------
    title : of the whole
    rows, columns : their names
    values (rows, columns, seeds)
    """

    title: str
    rows: list[str]
    columns: list[str]
    values: Array

    def cell(self, row: int, column: int) -> str:
        """Mean, standard deviation, and the lowest; what diverged counts as nothing but is said."""
        values = self.values[row, column]
        whole = values[np.isfinite(values)]
        if not len(whole):
            return "diverged"
        spread = whole.std(ddof=1) if len(whole) > 1 else 0.0
        lost = f", {len(values) - len(whole)} diverged" if len(whole) < len(values) else ""
        return f"{whole.mean():.2f} ± {spread:.2f} ({whole.min():.2f}{lost})"


def markdown(tables: list[Table], notes: str) -> str:
    """Tables one below the other."""
    parts = [notes]
    for table in tables:
        lines = [f"**{table.title}**", "", "| | " + " | ".join(table.columns) + " |"]
        lines.append("|---|" + "---:|" * len(table.columns))
        for r, row in enumerate(table.rows):
            lines.append(f"| {row} | " + " | ".join(table.cell(r, c) for c in range(len(table.columns))) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def latex(tables: list[Table], notes: str) -> str:
    """One tabular for each table, for the package booktabs."""
    parts = ["% " + notes.replace("\n", "\n% ")]
    for table in tables:
        lines = [f"% {table.title}", r"\begin{tabular}{l" + "r" * len(table.columns) + "}", r"\toprule"]
        lines += [" & ".join(["", *table.columns]) + r" \\", r"\midrule"]
        for r, row in enumerate(table.rows):
            cells = [table.cell(r, c).replace("±", r"$\pm$") for c in range(len(table.columns))]
            lines.append(" & ".join([row, *cells]) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join(parts) + "\n"


def comma_separated(rows: list[dict[str, Any]]) -> str:
    """One line for every training."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def seeds(values: Sequence[Any] | Array) -> str:
    """How many seeds there are, in words."""
    return f"{len(values)} seed{'s' * (len(values) != 1)}"


def rehearsed(suffix: str, text: str, note: str) -> str:
    """A table's file that says that it is a rehearsal, if there is a ``note`` to that effect."""
    if not note:
        return text
    if suffix == ".csv":
        head, *lines = text.splitlines(keepends=True)
        return "".join([f"rehearsal,{head}", *(f"yes,{line}" for line in lines)])
    return f"% {note}\n{text}" if suffix == ".tex" else f"**{note}**\n\n{text}"

"""The text of a CSV file as names and rows of words: ``parse``. Nothing in it is passed over."""

import csv
import io

DELIMITERS = (",", ";", "\t")

Rows = list[list[str]]


def parse(content: bytes, source: str, delimiter: str | None = None) -> tuple[list[str], Rows, tuple[int, ...]]:
    """Names, rows (B, columns) and the line in which each row begins, counted from 1.

    Parameters
    ----------
    content : UTF-8, with or without a byte order mark; lines may end in any way
    source : what messages call it
    delimiter : between cells; None for the first of comma, semicolon and tab that gives every row as many cells as the
        header has, two at least, or else of one column

    Raises
    ------
    ValueError
        Naming the line, what was expected and what came.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        came = f"the byte 0x{content[error.start]:02x}"
        raise ValueError(f"{source}: line {line}: expected text in UTF-8, got {came}") from None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError(f"delimiter: expected one character, neither a quote nor the end of a line, got {delimiter!r}")
    names, rows, lines = _split(text, source, delimiter)
    if not any(names):
        raise ValueError(f"{source}: expected a header with the names of columns, got an empty one")
    for place, name in enumerate(names):
        if not name:
            raise ValueError(f"{source}: expected names of columns, got none for column {place + 1} of {len(names)}")
        if name in names[:place]:
            raise ValueError(f"{source}: expected columns of different names, got {name!r} twice")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise ValueError(f"{source}: line {line}: expected {len(names)} cells, as in the header, got {len(row)}")
    return names, rows, lines


def _split(text: str, source: str, delimiter: str | None) -> tuple[list[str], Rows, tuple[int, ...]]:
    """Header, rows and lines by the delimiter, or by the one that fits."""
    candidates = DELIMITERS if delimiter is None else (delimiter,)
    found, problem = [], None
    for one in candidates:
        if delimiter is None and one not in text:
            continue
        try:
            found.append(_records(text, source, one))
        except ValueError as error:
            problem = problem or error
            continue
        names, rows, _ = found[-1]
        if len(names) > 1 and all(len(row) == len(names) for row in rows):
            return found[-1]
    if not found and problem is not None:
        raise problem
    if not found:
        found.append(_records(text, source, ","))
    return max(found, key=lambda one: len(one[0]))  # one column, or lines of different lengths


def _records(text: str, source: str, delimiter: str) -> tuple[list[str], Rows, tuple[int, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records, lines, line = [], [], 1
    try:
        for record in reader:
            records.append(record)
            lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{source}: line {reader.line_num}: expected a row of cells, got another text ({error})"
        ) from None
    while records and not records[-1]:  # empty lines at the end
        records.pop()
        lines.pop()
    if not records:
        raise ValueError(f"{source}: expected a header with the names of columns, got an empty file")
    return records[0], records[1:], tuple(lines[1:])

"""Tables: what was written is read back, whoever wrote it, and what is not sure is refused with its column and line."""

import csv
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyham.data import tables
from pyham.data.cells import number
from pyham.data.columns import Columns
from pyham.data.csv_text import parse
from pyham.data.tables import DataTable

WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6)
NAMES = st.lists(WORDS.filter(bool), min_size=2, max_size=5, unique=True).filter(lambda names: names[0][0] != "\ufeff")


@st.composite
def grids(draw):
    """Names and rows of words."""
    names = draw(NAMES)
    return names, draw(st.lists(st.lists(WORDS, min_size=len(names), max_size=len(names)), max_size=5))


@given(grids(), st.sampled_from([(",", None), (",", ","), (";", ";"), ("\t", "\t")]), st.sampled_from(["", "\ufeff"]),
       st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\r\n", "\n"]))  # fmt: skip
def test_what_a_csv_writer_writes_is_read_back(grid, delimiters, mark, quoting, ending):
    """Names and cells with quotes, delimiters, line breaks; every row where it begins."""
    names, rows = grid
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiters[0], quoting=quoting, lineterminator=ending)
    starts = []
    for row in [names, *rows]:
        starts.append(len(re.findall(r"\r\n|\r|\n", text.getvalue())) + 1)
        if any("\r" in cell for cell in row):  # which Python 3.11 does not quote where lines end otherwise
            writer = csv.writer(text, delimiter=delimiters[0], quoting=csv.QUOTE_ALL, lineterminator=ending)
        writer.writerow(row)
    found = parse((mark + text.getvalue()).encode(), "table", delimiters[1])
    assert found == (names, rows, tuple(starts[1:]))


@given(st.data())
def test_delimiters_are_found_where_only_one_fits(data):
    delimiter = data.draw(st.sampled_from(",;\t"))
    plain = st.from_regex(r"[a-z0-9.]{1,5}", fullmatch=True)
    rows = data.draw(st.lists(st.lists(plain, min_size=3, max_size=3), max_size=4))
    text = "\n".join(delimiter.join(row) for row in [["x", "y", "z"], *rows]) + "\n\n"
    assert parse(text.encode(), "table")[:2] == (["x", "y", "z"], rows)


@st.composite
def columns(draw):
    """A table, with the name of a column to be told, and whether it is a number."""
    count = draw(st.integers(4, 9))
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    numbers = st.just(0.0) | st.floats(1e-140, 1e140) | st.floats(-1e140, -1e-140)
    words = st.sampled_from(["a", "b=", "c d"])

    def cells(words_only):
        column = draw(st.lists(words if words_only else numbers, min_size=count, max_size=count))
        if words_only:
            column[:4] = ["a", "a", "b=", "b="]
            return [("a" if word == "c d" and count < 6 else word) for word in column]
        return [repr(value) for value in column]

    found = {f"x{i}": cells(kind) for i, kind in enumerate(kinds)}
    regression = draw(st.booleans())
    return DataTable(found | {"y": cells(not regression)}), regression


@given(columns(), st.randoms(use_true_random=False))
def test_encoders_do_not_depend_on_the_order_of_columns_and_numbers_are_exact(case, random):
    """Against one-hot rows that are built here, cell by cell."""
    table, regression = case
    found = Columns.fit(table, ["y"], regression=regression)
    names = list(table.names)
    random.shuffle(names)
    other = DataTable({name: table.columns[name] for name in names} | {"more": [""] * len(table)})
    X = found.encode(other)
    np.testing.assert_array_equal(X, found.encode(table))
    assert found.unused(other) == ("more",) and Columns.from_config(found.config()) == found
    for row in range(len(table)):
        expected = []
        for name in found.features:
            cell = table.columns[name][row]
            expected += (
                [float(cell == word) for word in sorted(set(table.columns[name]))]
                if cell[0] in "abc"
                else [float(cell)]
            )
        assert X[row].tolist() == expected
    told = found.encode_targets(other)
    if regression:
        assert told.tolist() == [float(cell) for cell in table.columns["y"]]
    else:
        assert found.labels(told) == table.columns["y"]


def table_of(cell, column="a"):
    """Six rows with a cell in line 4 that is to be judged."""
    rows = [{"a": str(i), "b": "uv"[i % 2], "y": "pq"[i % 2]} for i in range(6)]
    rows[2][column] = cell
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["a", "b", "y"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def fit(text, *targets, **options):
    names, rows, lines = parse(text.encode(), "t.csv")
    cells = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return Columns.fit(DataTable(cells, "t.csv", lines), targets or ["y"], **options)


@pytest.mark.parametrize(
    "cell",
    ["1e400", "-1e400", "inf", "-Infinity", "nan", "NA", "", " ", "1,234", "1.234,5", "1'000", "1_000", "1 000", "12 %",
     "1e-400", "9007199254740993", "x", "²", "٣", "0x10", "--1", "1.2.3", "1e", "."],
)  # fmt: skip
def test_a_cell_that_is_no_number_is_refused_with_column_and_line(cell):
    with pytest.raises(ValueError, match=r"\At\.csv: column 'a', line 4: expected .*, got .*\Z"):
        fit(table_of(cell))
    assert fit(table_of("9007199254740992")).features == ("a", "b")  # and one that is a number is none


@pytest.mark.parametrize("cell", ["", "NA", "7", "1,5", "nan"])
def test_a_cell_that_is_no_word_is_refused_with_column_and_line(cell):
    for column in ("b", "y"):
        with pytest.raises(ValueError, match=rf"\At\.csv: column '{column}', line 4: expected .*, got .*\Z"):
            fit(table_of(cell, column))
    assert cell in fit(table_of(cell, "b"), words=["b"]).levels["b"]  # unless it is said that they are words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header with the names of columns, got an empty file"),
        ("a,,y\n1,2,3\n", "expected names of columns, got none for column 2 of 3"),
        ("a,a\n1,2\n", "expected columns of different names, got 'a' twice"),
        ("a,y\n1,p\n2\n", "line 3: expected 2 cells, as in the header, got 1"),
        ("a,y\n1,p\n\n2,q\n", "line 3: expected 2 cells, as in the header, got 0"),
        ('a,y\n1,"p\n2,q\n', "line 3: expected a row of cells, got another text (unexpected end of data)"),
        ("a,y\n", "expected at least one row, got none"),
        ("a,b\n1,2\n", "expected a column 'y', got none; there are 'a', 'b'"),
        ("a,Y\n1,2\n", "expected a column 'y', got none; there are 'a', 'Y'"),
        ("a,y\n1e200,p\n2,q\n", "column 'a': expected numbers of which the largest is between 1e-150 and 1e+150, or 0"),
        ("y\n1\n2\n", "expected a column beside y, got none"),
        ("a,y\n1,p\n2,p\n", "column 'y': expected at least two classes, got only 'p'"),
        ("a,y\n1,1.5\n2,2\n", "column 'y', line 2: expected a class, a word or an integer, got 1.5, a number"),
        (
            "id,y\n" + "".join(f"n{i},{i % 2}\n" for i in range(9)),
            "column 'id': expected at most 4 words, got 9 different ones in 9 rows",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said(text, message):
    with pytest.raises(ValueError, match=re.escape(f"t.csv: {message}")):
        fit(text)


def test_new_rows_are_refused_where_they_are_not_known():
    found = fit(table_of("2"))

    def encode(text):
        names, rows, lines = parse(text.encode(), "new.csv")
        return found.encode(
            DataTable({name: [row[i] for row in rows] for i, name in enumerate(names)}, "new.csv", lines)
        )

    assert encode("b,a\nv,2\n").tolist() == [[2.0, 0.0, 1.0]]
    for text, message in {
        "b,A\nu,1\n": "expected a column 'a', got none; there are 'b', 'A'",
        'b,a\nv,1\n"w",1\n': "column 'b', line 3: expected a known word, got 'w'; there are 'u', 'v'",
        "b,a\nvv,1\n": "column 'b', line 2: expected a known word, got 'vv'; the nearest is 'v'",
        "b,a\nu,one\n": "column 'a', line 2: expected a number, got 'one'",
        "b,a\n,1\n": "column 'b', line 2: expected a known word, got an empty cell, a missing value",
    }.items():
        with pytest.raises(ValueError, match=re.escape(f"new.csv: {message}") + r"\Z"):
            encode(text)
    with pytest.raises(ValueError, match=r"line 2: expected text in UTF-8, got the byte 0xff"):
        parse(b"a,b\n1,\xff\n", "new.csv")


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["10", "9", "10", "9"], (9, 10)), (["True", "False"] * 2, (False, True)),
        (["yes", "no"] * 2, ("no", "yes")), (["true", "false"] * 2, ("false", "true")),
        (["2.0", "10.0"] * 2, ("2.0", "10.0")), (["01", "2"] * 2, ("01", "2")),
    ],
)  # fmt: skip
def test_labels_are_printed_as_they_were_written(cells, labels):
    found = Columns.fit(DataTable({"a": ["1"] * 4, "y": cells}), ["y"])
    assert found.classes == labels and type(found.classes[0]) is type(labels[0])
    assert [str(label) for label in found.labels(found.encode_targets(DataTable({"y": cells})))] == cells


def test_arrays_of_numpy_files_are_columns(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 3)), np.array([0, 1, 1, 0, 1, 0])
    np.save(tmp_path / "a.npy", X)
    assert tables.read(tmp_path / "a.npy").names == ("x0", "x1", "x2")
    record = np.zeros(6, [("u", "f4"), ("w", "U3"), ("y", "?")])
    record["u"], record["w"], record["y"] = X[:, 0], ["a", "b"] * 3, y
    np.save(tmp_path / "b.npy", record)
    found = Columns.fit(table := tables.read(tmp_path / "b.npy"), ["y"])
    assert found.classes == (False, True) and found.names == ("u", "w=a", "w=b")
    np.testing.assert_array_equal(found.encode(table)[:, 0], X[:, 0].astype(np.float32).astype(float))
    np.savez(tmp_path / "c.npz", X=X, labels=y, names=np.array(["u", "v", "w"]))
    found = Columns.fit(table := tables.read(tmp_path / "c.npz"), ["labels"])
    assert found.features == ("u", "v", "w") and found.classes == (0, 1)
    np.testing.assert_array_equal(found.encode(table), X)
    np.savez(tmp_path / "d.npz", data=X, target=X[:, :2])
    found = Columns.fit(table := tables.read(tmp_path / "d.npz"), ["target0", "target1"], regression=True)
    np.testing.assert_array_equal(found.encode_targets(table), X[:, :2])
    X[4, 1] = np.nan
    np.savez(tmp_path / "e.npz", X=X, y=y)
    with pytest.raises(ValueError, match=r"e\.npz: column 'x1', row 4: expected a finite number, got nan"):
        Columns.fit(tables.read(tmp_path / "e.npz"), ["y"])
    for arrays in ({"X": X, "x": X}, {"a": X, "b": X}, {"X": X, "y": y[:3]}, {"X": X, "y": y * 1j}, {"y": X[None]}, {}):
        np.savez(tmp_path / "f.npz", **arrays)
        with pytest.raises((TypeError, ValueError), match=r"f\.npz: .*expected .*, got "):
            tables.read(tmp_path / "f.npz")


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False) | st.integers(-(2**53), 2**53))
def test_a_number_that_python_writes_is_read_as_it_is(value):
    assert number(f" {value!r} ") == value


def test_long_cells_are_judged_in_no_time():
    """A pattern that goes back and forth would need minutes."""
    for cell in ("1" * 100_000 + "x", "1," * 50_000 + "x", "1." * 50_000):
        with pytest.raises(ValueError, match=r"expected a number.*, got '1.*\.\.\.'"):
            number(cell)


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: {}, lambda c: c | {"features": "ab"}, lambda c: c | {"features": [1]}, lambda c: c | {"targets": []},
        lambda c: c | {"levels": {"q": ["u"]}}, lambda c: c | {"levels": {"b": ["u", "u"]}},
        lambda c: c | {"classes": ["p"]}, lambda c: c | {"classes": [[1], [2]]}, lambda c: c | {"classes": ["p", 1]},
        lambda c: c | {"targets": ["a"]}, lambda c: [], lambda c: c | {"levels": {"b": []}},
    ],
)  # fmt: skip
def test_damaged_configurations_are_refused(damage):
    config = fit(table_of("2")).config()
    assert Columns.from_config(config).config() == config
    with pytest.raises((TypeError, ValueError), match=": expected "):
        Columns.from_config(damage(config))

"""From a CSV file to a model that is saved, described and certified, and what it says of new rows."""

import csv
import io
import json
import re

import numpy as np
import pytest

import pyham
from pyham.commands import seeds, table
from pyham.data import tables
from pyham.data.columns import Columns
from tests.commands.own_table import NAMES, QUICK, run, write
from tests.oracles.executors import Here


def printed(capsys):
    return list(csv.reader(io.StringIO(capsys.readouterr().out)))


def test_a_csv_file_becomes_a_model_that_tells_the_classes_of_new_rows(flowers, tmp_path, capsys):
    """Predictions are those of the saved model on rows encoded here; the order of columns and more do not matter."""
    model = tmp_path / "model"
    assert run("train", flowers, "--target", "name", *QUICK, "--save", model, "--json", tmp_path / "a.json") == 0
    result, out = json.loads((tmp_path / "a.json").read_text()), capsys.readouterr().out
    test = re.search(r"flowers\.csv, H2, 3 layers, seed 0: accuracy train [\d.]+ %, test ([\d.]+) %\n", out)
    assert (
        float(test[1]) > 90
        and f"{100 * result['accuracy']['test']:.2f}" == test[1]
        and result["rows"] == {"train": 72, "test": 18}
    )
    data = tables.read(flowers)
    loaded = pyham.load(model)
    assert loaded.table["configuration"] == result["configuration"] and loaded.net.arch.depth == 3
    kinds = np.array(data.columns["kind"])
    numbers = [np.array(data.columns[name], dtype=float) for name in NAMES[:2]]
    X = np.stack([*numbers, kinds == "flat", kinds == "round"], axis=1)
    shares = loaded.probabilities(X)

    names = ["kind", "more", *NAMES[1::-1]]
    rows = [[kinds[i], "?", *(data.columns[name][i] for name in NAMES[1::-1])] for i in range(len(data))]
    for options in ({}, {"delimiter": ";"}, {"delimiter": "\t"}):
        new = write(tmp_path / "new.csv", names, rows, **options)
        words = ["predict", model, new, "--probabilities", *(["--delimiter", *options.values()] if options else [])]
        assert run(*words) == 0
        captured = capsys.readouterr()
        found = list(csv.reader(io.StringIO(captured.out)))
        assert captured.err == f"{new}: not used: more\n"
        assert found[0] == ["name", *(f"probability_{label}" for label in ("small", "tall; é", 'wide "x"'))]
        np.testing.assert_array_equal(np.array([row[1:] for row in found[1:]], dtype=shares.dtype), shares)
        assert [row[0] for row in found[1:]] == [["small", "tall; é", 'wide "x"'][i] for i in shares.argmax(axis=1)]
    assert run("predict", model, new, "--delimiter", "\t", "--output", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "name"
    assert np.mean([row[0] == label for row, label in zip(found[1:], data.columns["name"], strict=True)]) > 0.9


def test_values_are_predicted_in_their_units_several_at_once(tmp_path, capsys):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((120, 2))
    Y = np.stack([1000 + 300 * X[:, 0], X[:, 1] - X[:, 0]], axis=1)
    file = write(tmp_path / "t.csv", ["a", "b", "u", "v"], np.concatenate([X, Y], axis=1).tolist())
    words = ["train", file, "--target", "v", "--target", "u", "--regression", *QUICK, "--dtype", "float64"]
    assert run(*words, "--save", tmp_path / "m", "--json", tmp_path / "a.json", "--validation", 0.2) == 0
    assert re.search(r"R\^2 train 0\.9\d+, validation 0\.9\d+, test 0\.9\d+\n", capsys.readouterr().out)
    assert run("predict", tmp_path / "m", file) == 0
    found = printed(capsys)
    values = np.array(found[1:], dtype=float)
    assert found[0] == ["v", "u"]
    np.testing.assert_array_equal(values, pyham.load(tmp_path / "m").predict(X))
    assert (np.abs(values - Y[:, ::-1]).mean(axis=0) < 0.2 * Y[:, ::-1].std(axis=0)).all()
    assert run("predict", tmp_path / "m", file, "--probabilities") == 2
    assert run("info", tmp_path / "m") == 0
    assert "tells" in (out := capsys.readouterr().out) and "v, u" in out and "regressor" in out


def test_a_split_keeps_classes_and_known_words(rng):
    told = ["a"] * 50 + ["b"] * 20 + ["c"] * 2 + ["d"]
    words = [["x", "y"][i % 2] for i in range(73)]
    words[7] = words[60] = "rare"
    for _ in range(20):
        parts = table.split(73, told, [words], {"test": 0.3, "validation": 0.25}, rng)
        assert sorted(np.concatenate(parts).tolist()) == list(range(73)) and all(
            (np.diff(part) > 0).all() for part in parts
        )
        assert {told[i] for i in parts[0]} == set("abcd")
        assert {words[i] for part in parts[1:] for i in part} <= {words[i] for i in parts[0]}
        counts = [sum(told[i] == "a" for i in part) for part in parts]
        assert abs(counts[1] - 15) <= 1 and abs(counts[2] - 9) <= 1


def test_numpy_files_need_no_target_where_they_name_it(tmp_path, capsys):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((60, 3))
    np.savez(tmp_path / "d.npz", X=X, labels=X[:, 1] > 0)
    assert run("train", tmp_path / "d.npz", *QUICK, "--save", tmp_path / "m") == 0
    capsys.readouterr()
    np.save(tmp_path / "new.npy", X)
    assert run("predict", tmp_path / "m", tmp_path / "new.npy") == 0
    found = printed(capsys)
    assert found[0] == ["labels"] and {row[0] for row in found[1:]} == {"True", "False"}
    assert np.mean([row[0] == str(value > 0) for row, value in zip(found[1:], X[:, 1], strict=True)]) > 0.9


def test_models_without_names_take_columns_in_their_order(tmp_path, capsys):
    words = [
        "train",
        "swiss-roll",
        "--samples",
        "40",
        "--depth",
        "2",
        "--epochs",
        "2",
        "--checkpoint",
        tmp_path / "run",
    ]
    assert run(*words) == 0
    capsys.readouterr()
    x = np.random.default_rng(0).standard_normal((5, 4))
    new = write(tmp_path / "x.csv", list("dcba"), x.tolist())
    assert run("predict", tmp_path / "run", new) == 0
    assert [row[0] for row in printed(capsys)] == ["class", *map(str, pyham.load(tmp_path / "run").predict(x))]
    assert run("predict", tmp_path / "run", write(tmp_path / "y.csv", list("abc"), x[:, :3].tolist())) == 2
    assert (
        "expected 4 columns, as many features as the model has, which knows no names, got 3" in capsys.readouterr().err
    )
    pyham.H2(4, 2).init(0).save(tmp_path / "net")
    assert (
        run("predict", tmp_path / "net", new) == 2
        and "got a network without an output layer" in capsys.readouterr().err
    )
    for samples in (new, tmp_path / "x.npy"):
        np.save(tmp_path / "x.npy", x)
        assert run("certify", tmp_path / "net", "--samples", samples, "--json", tmp_path / "c.json") == 0
        report = json.loads((tmp_path / "c.json").read_text())
        assert report == pyham.certify(pyham.load(tmp_path / "net"), x).to_dict()


def test_rows_that_are_too_large_for_the_model_are_refused(flowers, tmp_path, capsys):
    assert run("train", flowers, "--target", "name", *QUICK, "--save", tmp_path / "m") == 0
    new = write(tmp_path / "new.csv", NAMES, [[100, 0, "flat"], ["1e300", 0, "flat"]])
    assert run("predict", tmp_path / "m", new) == 2
    assert f"{new}: line 3: expected numbers near those of the training, which float32" in capsys.readouterr().err
    assert run("predict", tmp_path / "m", write(tmp_path / "none.csv", NAMES, [])) == 0
    assert capsys.readouterr().out == "name\n"


def test_info_says_what_there_is(flowers, tmp_path, capsys):
    assert run("train", flowers, "--target", "name", *QUICK, "--save", tmp_path / "m") == 0
    capsys.readouterr()
    assert run("info", tmp_path / "m", "--json", tmp_path / "i.json") == 0
    out, found = capsys.readouterr().out, json.loads((tmp_path / "i.json").read_text())
    model = pyham.load(tmp_path / "m")
    assert pyham.architecture(**found["architecture"]) == model.net.arch and found["kind"] == "classifier"
    arrays = model.describe()[1]
    assert found["parameters"]["shapes"] == {name: list(array.shape) for name, array in arrays.items()}
    assert found["parameters"]["count"] == sum(array.size for array in arrays.values())
    assert found["bytes"] == (tmp_path / "m").stat().st_size and found["dtype"] == "float32"
    assert found["training"]["epochs"] == {"joint": 12}
    assert found["training"]["first and last"]["loss"] == [model.losses[0], model.losses[-1]]
    assert Columns.from_config(found["columns"]).classes == ("small", "tall; é", 'wide "x"')
    assert found["table"]["configuration"]["rate"] == 0.02
    words = " ".join(out.split())
    assert "kind (flat, round)" in words and 'small, tall; é, wide "x"' in words and "12 epochs (joint)" in words
    net = pyham.H1(4, 2).init(0)
    net.save(tmp_path / "net")
    np.savez(tmp_path / "a.npz", K=net.K, b=net.b, h=0.1, J=net.arch.J, scheme="euler")
    for name, kind in {"net": "network", "a.npz": "arrays"}.items():
        assert run("info", tmp_path / name, "--json", tmp_path / "i.json") == 0
        assert json.loads((tmp_path / "i.json").read_text())["kind"] == kind
    assert run("info", flowers) == 2 and "expected a file written by pyham" in capsys.readouterr().err


def test_a_training_of_tables_can_be_had_again_from_its_configuration_and_with_several_seeds(
    flowers, tmp_path, monkeypatch, capsys
):
    words = ["--target", "name", *QUICK, "--drop", "mass", "--seed", 3]
    assert run("train", flowers, *words, "--json", tmp_path / "a.json") == 0
    first = json.loads((tmp_path / "a.json").read_text())
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in first["configuration"].items())
    (tmp_path / "again.toml").write_text(text)
    assert run("train", flowers, "--config", tmp_path / "again.toml", "--json", tmp_path / "b.json") == 0
    assert json.loads((tmp_path / "b.json").read_text()) == first and "mass" not in first["columns"]["features"]
    monkeypatch.setattr(seeds, "EXECUTOR", Here)
    assert run("train", flowers, "--config", tmp_path / "again.toml", "--seeds", 3, "--json", tmp_path / "c.json") == 0
    assert json.loads((tmp_path / "c.json").read_text())["runs"][0]["result"] == first["accuracy"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--target: expected one of 'height, cm', 'mass', 'kind', 'name', got none"),
        (["--target", "nam"], "expected a column 'nam', got none; the nearest is 'name'"),
        (["--target", "name", "--target", "kind"], "--target: expected one column of classes, got name, kind"),
        (["--target", "name", "--drop", "names"], "expected a column 'names', got none; the nearest is 'name'"),
        (["--target", "name", "--drop", "name"], "--target: expected different columns that are used, got name"),
        (["--target", "name", "--regression"], "column 'name', line 2: expected a number, got 'small'"),
        (["--target", "mass"], "column 'mass', line 2: expected a class, a word or an integer, got "),
        (
            ["--target", "name", "--words", "mass"],
            r"column 'mass': expected at most \d+ words, got \d+ different ones in",
        ),
        (["--target", "name", "--test", "1"], "--test: expected a number from 0 to below 1, got 1.0"),
        (["--target", "name", "--delimiter", ""], "--delimiter: expected one character"),
        (
            ["--target", "name", "--scheme", "verlet", "--architecture", "H1"],
            "--scheme: expected one of the options of H1",
        ),
        (["--target", "name", "--loss", "huber"], "--loss: expected one of classes, got 'huber'"),
        (["--target", "name", "--loss", "logistic"], "--loss: expected softmax for 3 classes, got logistic"),
        (["--target", "name", "--width", "3"], "--width: expected an even number"),
        (["--target", "name", "--width", "2", "--lift", "zeros"], "--width: expected at least 4, as many as there are"),
        (["--target", "name", "--final-time", "0"], "--final-time: expected a positive finite number, got 0.0"),
        (["--target", "name", "--jobs", "2"], "--jobs: expected --seeds as well, got none"),
        (["--target", "name", "--seed", "-1"], "--seed: expected an integer >= 0, got -1"),
        (["--target", "name", "--seeds", "3-1"], "--seeds: expected seeds such as"),
        (["--target", "name", "--save", "/no/where"], "No such file or directory: '/no/where'"),
    ],
)
def test_train__says_what_is_wrong_with_a_table_or_its_options(words, message, flowers, capsys):
    assert run("train", flowers, *words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.match(rf"python -m pyham train: .*{message}", error), error


def test_names_of_data_sets_win_and_words_that_are_no_path_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "double-moons", ["a", "y"], [["1", "p"]])
    assert run("train", "double-moons", "--samples", "20", "--depth", "1", "--epochs", "1") == 0
    assert "double-moons, H2" in capsys.readouterr().out
    assert run("train", "./double-moons", "--target", "y") == 2  # a path
    assert "double-moons: column 'y': expected at least two classes, got only 'p'" in capsys.readouterr().err
    assert run("train", "none.csv", "--target", "y") == 2 and "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        run("train", "swiss-role")
    assert end.value.code == 2 and "invalid choice: 'swiss-role'" in capsys.readouterr().err


def test_names_that_no_file_can_hold_are_refused_before_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table, "_fit", lambda *arguments: pytest.fail("work had begun"))
    names = [f"{'[' * 60}{i}" for i in range(2)]
    file = write(tmp_path / "t.csv", [*names, "y"], [[i, -i, "pq"[i % 2]] for i in range(9)])
    assert run("train", file, "--target", "y") == 2
    assert "names and words of the table: expected less than" in capsys.readouterr().err

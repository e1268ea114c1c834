"""Files of models of tables: their certificates, and files whose table does not fit the model."""

import json

import numpy as np
import pytest

import pyham
from pyham.data import tables
from pyham.data.columns import Columns
from pyham.files import archive
from tests.commands.own_table import QUICK, run, write


def test_the_certificate_of_a_model_is_that_of_its_network_on_the_states_of_its_rows(flowers, tmp_path, capsys):
    assert run("train", flowers, "--target", "name", *QUICK, "--save", tmp_path / "m") == 0
    assert run("certify", tmp_path / "m", "--samples", flowers, "--json", tmp_path / "c.json") == 0
    model, data = pyham.load(tmp_path / "m"), tables.read(flowers)
    states = model.lifted(Columns.from_config(model.table["columns"]).encode(data), np.float64)
    report = json.loads((tmp_path / "c.json").read_text())
    assert report == pyham.certify(model.net, states).to_dict() and "90 samples" in capsys.readouterr().out
    assert run("certify", tmp_path / "m", "--samples", write(tmp_path / "x.csv", ["mass"], [["1"]])) == 2
    assert "x.csv: expected a column 'height, cm', got none" in capsys.readouterr().err


def test_a_certificate_is_kept_in_the_file_and_the_model_with_it(flowers, tmp_path, capsys):
    model, words = tmp_path / "model", ["--samples", flowers, "--json", tmp_path / "c.json"]
    assert run("train", flowers, "--target", "name", *QUICK, "--save", model) == 0
    before = pyham.load(model)
    assert run("certify", model, *words, "--store") == 0
    header, _ = archive.read(model)
    assert header["certificate"] == json.loads((tmp_path / "c.json").read_text()) and header["certificate"]["passed"]
    for name, value in before.describe()[1].items():
        np.testing.assert_array_equal(pyham.load(model).describe()[1][name], value)
    capsys.readouterr()
    assert run("info", model) == 0 and "passed, on 90 samples in float64" in capsys.readouterr().out
    np.savez(tmp_path / "foreign.npz", K=np.zeros((1, 2, 2)), b=np.zeros((1, 2)), h=0.1)
    assert run("certify", tmp_path / "foreign.npz", "--store") == 2
    assert "--store: expected a file that pyham has written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [
        {"features": ["mass"]}, {"classes": ["p", "q"]}, {"classes": None}, {"levels": {"kind": ["flat"]}},
        {"targets": []}, {"features": None}, None, [],
    ],
)  # fmt: skip
def test_a_file_whose_table_does_not_fit_its_model_is_refused(damage, flowers, tmp_path, capsys):
    assert run("train", flowers, "--target", "name", *QUICK, "--save", tmp_path / "m") == 0
    header, arrays = archive.read(tmp_path / "m")
    columns = header["table"]["columns"]
    header["table"]["columns"] = columns | damage if isinstance(damage, dict) else damage
    archive.write(tmp_path / "m", header, arrays)
    for words in (["predict", tmp_path / "m", flowers], ["info", tmp_path / "m"]):
        assert run(*words) == 2 and ": expected " in capsys.readouterr().err.splitlines()[-1]

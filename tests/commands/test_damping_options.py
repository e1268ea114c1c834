"""--damping and --dissipation: from the command line to the network, its file and a sweep."""

import json

import numpy as np
import pytest

import pyham
from pyham.commands import cli

FEW = ["--depth", "2", "--samples", "40", "--epochs", "1"]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--damping", "0.3"], {"damping": 0.3}),
        (["--damping=-0.3,0.1", "--scheme", "verlet"], {"damping": [-0.3, 0.1]}),
        (["--damping", "learnt"], {"damping": "learnt"}),
        (["--architecture", "H1", "--damping", "1", "--dissipation", "0.5"], {"damping": 1.0, "dissipation": 0.5}),
        (["--architecture", "H1", "--dissipation", "learnt", "--interconnection", "learnt"], {"dissipation": "learnt"}),
    ],
)
def test_networks_are_trained_with_the_options(words, options, tmp_path, capsys):
    path = tmp_path / "run.npz"
    assert cli.main(["train", "double-moons", *FEW, *words, "--json", "-", "--checkpoint", str(path)]) == 0
    text = capsys.readouterr().out
    found = json.loads(text[text.index("{") :])["architecture"]
    assert found | options == found
    config = pyham.load(path).net.arch.config()
    assert json.dumps(config | options) == json.dumps(config)
    assert cli.main(["explain", *words]) == 0 and cli.main(["certify", str(path)]) == 0


def test_a_table_and_a_configuration_take_them(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = ["a,b,kind", *(f"{a:.3f},{b:.3f},{'yes' if a > b else 'no'}" for a, b in rng.standard_normal((40, 2)))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (tmp_path / "o.toml").write_text('damping = "0.5,0.25"\nepochs = 1\n')
    words = ["train", str(tmp_path / "t.csv"), "--target", "kind", "--config", str(tmp_path / "o.toml")]
    assert cli.main([*words, "--save", str(tmp_path / "m.npz")]) == 0
    assert pyham.load(tmp_path / "m.npz").net.arch.damping == (0.5, 0.25)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--damping", "fast"], "--damping: expected a number, or 'learnt', got fast"),
        (["--damping", "1,2,3"], "--damping: expected a finite number, a pair"),
        (["--architecture", "MLP", "--damping", "1"], "--damping: expected one of the options of MLP"),
        (["--dissipation", "1"], "--dissipation: expected one of the options of H2"),
        (["--architecture", "H1", "--dissipation", "-1"], "--dissipation"),
    ],
)
def test_wrong_values_are_refused_by_the_name_of_the_option(words, said, capsys):
    assert cli.main(["train", "double-moons", *FEW, *words]) == 2
    assert said in capsys.readouterr().err

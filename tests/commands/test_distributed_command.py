"""``python -m pyham distributed``: what it prints and writes, that it goes on, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham.commands import cli

SMALL = ["distributed", "swiss-roll", "--samples", "200", "--batch", "20", "--epochs", "2"]
GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "graphs.md").read_text()


def run(capsys, *options):
    code = cli.main([*SMALL, *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_prints_accuracies_and_messages(capsys, tmp_path):
    code, out, _ = run(capsys, "--json", str(tmp_path / "out.json"))
    assert code == 0
    assert re.search(r"swiss-roll, H1, 4 layers on 8 nodes \(ring\), seed 0: accuracy train [\d.]+ %, validation", out)
    assert "a step of 20 samples: 270 messages, 84160 bytes, 24 rounds; over 16 of 16 directed edges, 17 mess" in out
    assert re.search(r"K\^T sigma +4 rounds +64 messages", out)
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["step"] == {"messages": 270, "bytes": 84160, "rounds": 24}
    steps = 2 * 5  # of 90 samples; and in each epoch a forward pass of the 10 of validation
    assert written["training"]["messages"] == steps * 270 + 2 * (2 * 64 + 14)
    assert len(written["history"]["loss"]) == 2


def test_goes_on_bit_by_bit(capsys, tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "run"
    options = ("--architecture", "H2", "--graph", "ring", "star", "--reads", "0", "4")
    assert run(capsys, *options, "--checkpoint", str(whole))[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyham.training.loop.Run, "finished", property(lambda self: len(self.rows) == 1))
        assert run(capsys, *options, "--checkpoint", str(path))[0] == 0
    assert run(capsys, *options, "--checkpoint", str(path), "--resume")[0] == 0
    assert path.read_bytes() == whole.read_bytes()
    K = pyham.load(path).net.params["Kp"]
    assert (K != 0).any() and not K[0][2, 4] and K[1][0].all()  # ring, then star


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--nodes", "0"), "--nodes: expected an integer >= 1, got 0"),
        (("--width", "5"), "--width: expected an even number"),
        (("--step", "0"), "--step: expected a positive finite number, got 0"),
        (("--reads", "9"), "--reads: expected nodes from 0 to 7, at least one, got [9]"),
        (("--reader", "8"), "--reader: expected a node from 0 to 7, got 8"),
        (("--channels", "0", "16"), "--channels: expected two different indices of a state of width 16"),
        (("--resume",), "--resume: expected --checkpoint PATH as well, got none"),
        (("--transport", "mpi", "--timeout", "0"), "--timeout: expected a positive finite number, got 0"),
        (("--one-round",), "--one-round: expected entries whose messages have edges, got layer 0: F R^T R[0, 2] needs"),
        (("--levels", "2"), "levels: expected 1 for a distributed network, got 2"),
    ],
)
def test_wrong_options_are_refused(options, message, capsys):
    code, _, err = run(capsys, *options)
    assert code == 2
    assert f"python -m pyham distributed: {message}" in err


def test_without_mpi4py_says_what_to_install(capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "mpi4py", None)
    code, _, err = run(capsys, "--transport", "mpi")
    assert code == 2 and 'pip install "pyham[mpi]"' in err


def test_more_graphs_and_one_node(capsys):
    for options in (
        ("--graph", "pairs", "other-pairs", "--one-round"),
        ("--graph", "grid"),
        ("--graph", "full", "--nodes", "1"),
        ("--width", "6", "--nodes", "4"),
    ):
        assert run(capsys, *options)[0] == 0
    assert run(capsys, "--loss", "softmax", "--training", "alternating", "--output-epochs", "1")[0] == 0


def test_commands_of_the_guide_are_understood():
    lines = re.findall(r"python -m pyham (distributed .*)$", GUIDE, re.MULTILINE)
    assert lines
    for line in lines:
        with pytest.raises(SystemExit) as stop:
            cli.main([*line.split(), "--help"])
        assert stop.value.code == 0


def test_every_rank_would_draw_the_same_numbers(capsys, tmp_path):
    """The same command twice: the same file, as over MPI every rank relies on."""
    for name in ("a", "b"):
        run(capsys, "--checkpoint", str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert np.isfinite(pyham.load(tmp_path / "a").net.b).all()

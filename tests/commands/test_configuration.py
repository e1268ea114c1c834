"""Options from a TOML file, and what they were in the end; several seeds."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from pyham.commands import cli, configuration, images, planar, program, seeds, table
from pyham.files import archive
from tests.oracles.executors import Here

SMALL = ["train", "swiss-roll", "--samples", "40", "--depth", "2", "--epochs", "2"]


def options_of(monkeypatch, *words):
    """What a command line comes to."""
    found = []
    for module in (planar, images, table):
        monkeypatch.setattr(module, "run", lambda options: found.append(options) or 0)
    assert cli.main(["train", *map(str, words)]) == 0
    return found[0]


@pytest.mark.parametrize("data", [["double-moons"], ["mnist"], ["x.csv"]])
def test_a_file_stands_for_its_options_and_the_command_line_wins(data, tmp_path, monkeypatch):
    """Also what the command line says in place of an option of the file."""
    file = tmp_path / "options.toml"
    file.write_text('epochs = 7\nfinal_time = 2\nrate = 0.5\noptimizer = "sgd"\nmomentum = 0.1\nnesterov = true\n'
                    .replace("final_time", "step" if data == ["mnist"] else "final_time"))  # fmt: skip
    words = ["--epochs", "7", "--rate", "0.5", "--optimizer", "sgd", "--momentum", "0.1", "--nesterov"]
    words += ["--step" if data == ["mnist"] else "--final-time", "2"]
    expected = configuration.effective(options_of(monkeypatch, *data, *words))
    assert configuration.effective(options_of(monkeypatch, *data, "--config", file)) == expected
    found = options_of(monkeypatch, *data, f"--config={file}", "--rate", "0.25", "--optimizer=sgd")
    assert configuration.effective(found) == expected | {"rate": 0.25}
    if data == ["double-moons"]:
        found = options_of(monkeypatch, *data, "--config", file, "--step", "0.5")
        assert configuration.effective(found) == {n: v for n, v in expected.items() if n != "final-time"} | {
            "step": 0.5
        }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dept = 3", "expected names of options, got 'dept'; the nearest is 'depth'"),
        ("config = 'x.toml'", "expected names of options, got 'config'"),
        ("[network]\ndepth = 3", "expected names of options, got 'network'"),
        ("depth = '3'", "depth: expected an integer, got '3'"),
        ("depth = 3.0", "depth: expected an integer, got 3.0"),
        ("depth = true", "depth: expected an integer, got True"),
        ("depth = [1, 2]", "depth: expected an integer, got [1, 2]"),
        ("rate = 'fast'", "rate: expected a number, got 'fast'"),
        ("nesterov = 1", "nesterov: expected true or false, got 1"),
        ("architecture = 'H3'", "architecture: expected one of MS1, MS2, MS3, H1, H2, MLP, ResNet, got 'H3'"),
        ("depth = ", "expected TOML, got another text"),
        ("json = 3", "json: expected a path, got 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text, message, tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text(text)
    with pytest.raises(SystemExit) as end:
        cli.main([*SMALL, "--depth", "3", "--config", str(file)])  # also where the command line would win
    assert end.value.code == 2
    assert f"python -m pyham train swiss-roll: error: {file}: {message}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*SMALL, "--config", str(tmp_path / "none")])
    assert "No such file or directory" in capsys.readouterr().err


def test_a_result_can_be_had_again_from_its_configuration(tmp_path, capsys):
    assert cli.main([*SMALL, "--seed", "3", "--step", "0.25", "--json", str(tmp_path / "a.json")]) == 0
    first = json.loads((tmp_path / "a.json").read_text())
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in first["configuration"].items())
    (tmp_path / "again.toml").write_text(text)
    words = ["train", "swiss-roll", "--config", str(tmp_path / "again.toml"), "--json", str(tmp_path / "b.json")]
    assert cli.main(words) == 0
    assert json.loads((tmp_path / "b.json").read_text()) == first
    assert first["architecture"]["step"] == 0.25 and "final-time" not in first["configuration"]
    assert cli.main([*words, "--checkpoint", str(tmp_path / "run")]) == 0
    assert archive.read(tmp_path / "run")[0]["about"]["configuration"] == first["configuration"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("5", [5]),
        ("1,3,5-7", [1, 3, 5, 6, 7]),
        ("9, 2 - 3", [9, 2, 3]),
        ("0-999", [*range(1000)]),
    ],
)
def test_seeds_are_read(text, found):
    assert seeds.parse(text) == found


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "-1", "3-1", "1,,2", "1,1", "0-3,2", "0-1000", "0-" + "9" * 30, "1.5", "²"]
)
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"\A--seeds: expected "):
        seeds.parse(text)


def test_several_seeds_are_the_trainings_of_each(tmp_path, monkeypatch, capsys):
    """Table, mean, spread and worst are those of the single commands; with --outcomes nothing is done twice."""
    monkeypatch.setattr(seeds, "EXECUTOR", Here)
    single = []
    for seed in (4, 2):
        assert cli.main([*SMALL, "--seed", str(seed), "--json", str(tmp_path / "one.json")]) == 0
        single.append(json.loads((tmp_path / "one.json").read_text())["accuracy"])
    capsys.readouterr()
    words = [*SMALL, "--seeds", "4,2", "--json", str(tmp_path / "all.json"), "--outcomes", str(tmp_path / "runs.jsonl")]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "all.json").read_text())
    assert [run["result"] for run in result["runs"]] == single and [run["seed"] for run in result["runs"]] == [4, 2]
    for name in ("train", "validation", "test"):
        values = np.array([one[name] for one in single])
        expected = {"mean": values.mean(), "spread": values.std(ddof=1), "worst": values.min()}
        assert result["summary"][name] == pytest.approx(expected)
    rows = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines() if "─" not in line and line.strip()]
    assert rows[1] == ["seed", "train", "validation", "test"]
    assert rows[2] == ["4", *(f"{100 * single[0][name]:.2f} %" for name in rows[1][1:])]
    assert [row[0] for row in rows[4:]] == ["mean", "spread", "worst"]
    monkeypatch.setattr(planar, "learnt", lambda *arguments: pytest.fail("done twice"))
    assert cli.main(words) == 0 and capsys.readouterr().out == printed


def test_a_seed_that_fails_is_told_and_ends_with_1(monkeypatch, capsys):
    monkeypatch.setattr(seeds, "EXECUTOR", Here)
    exact = planar.learnt

    def learnt(options, *arguments):
        if options.seed == 1:
            raise FloatingPointError("numbers are not finite")
        return exact(options, *arguments)

    monkeypatch.setattr(planar, "learnt", learnt)
    assert cli.main([*SMALL, "--seeds", "0-1"]) == 1
    printed = capsys.readouterr().out
    assert "seed 1: FloatingPointError: numbers are not finite" in printed and re.search(
        r"1\s+failed\s+failed", printed
    )
    assert cli.main([*SMALL, "--seeds", "0", "--checkpoint", "here"]) == 2
    assert "--checkpoint: expected a training with one seed, got --seeds" in capsys.readouterr().err


def test_seeds_run_in_processes(capsys):
    assert cli.main([*SMALL, "--seeds", "0-1", "--jobs", "1"]) == 0
    assert "mean" in capsys.readouterr().out


def test_the_program_has_the_name_by_which_it_was_called(monkeypatch, capsys):
    for name, shown in {"/usr/bin/pyham": "pyham", "/x/pyham/__main__.py": "python -m pyham"}.items():
        monkeypatch.setattr("sys.argv", [name])
        assert program.called() == shown and cli.main(["certify", "/no/where"]) == 2
        assert capsys.readouterr().err.startswith(f"{shown} certify: ")
        with pytest.raises(SystemExit):
            cli.main(["train", "swiss-roll", "--depth", "deep"])
        assert capsys.readouterr().err.startswith(f"usage: {shown} train swiss-roll ")


def test_completion_is_for_all_commands_or_says_what_it_needs(monkeypatch, capsys):
    parsers = []
    fake = SimpleNamespace(FILE="file", complete=lambda parser, shell: parsers.append(parser) or f"for {shell}")
    monkeypatch.setitem(__import__("sys").modules, "shtab", fake)
    with pytest.raises(SystemExit) as end:
        cli.main(["--print-completion", "zsh"])
    assert end.value.code == 0 and capsys.readouterr().out == "for zsh\n" and parsers[0].prog == "pyham"
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    with pytest.raises(SystemExit) as end:
        cli.main(["--print-completion", "bash"])
    assert end.value.code == 2 and "python -m pip install shtab" in capsys.readouterr().err

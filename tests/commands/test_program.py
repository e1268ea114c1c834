"""How programs end: output that nobody reads, paths that cannot be written, Ctrl-C, memory that there is not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham import _check
from pyham.commands import cli, planar, warmup
from tests.commands import fuzz_commands

ROOT = Path(pyham.__file__).parents[1]
TINY = ["train", "swiss-roll", "--samples", "40", "--depth", "2", "--epochs", "1", "--output-epochs", "1"]


@pytest.fixture
def net(tmp_path):
    """A file with a network, whose certificate passes."""
    pyham.H2(2, 2, 0.1).init(0).save(tmp_path / "net")
    return tmp_path / "net"


def shell(words, redirection, **options):
    """The code and standard error of ``python -m pyham`` in a pipeline."""
    command = f"{sys.executable} -m pyham {words} {redirection}"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False, **options)


@pytest.mark.seldom
@pytest.mark.parametrize("words", ["certify {net}", "train swiss-roll --help", "certify {net} --json -"])
def test_a_reader_that_stops_reading_ends_nothing(words, net):
    done = shell(words.format(net=net), "| true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, "Error" in done.stderr, "Exception" in done.stderr) == (0, False, False)


@pytest.mark.seldom
def test_a_closed_standard_output_is_no_error_and_a_full_one_is(net, tmp_path):
    path = tmp_path / "report.json"
    done = shell(f"certify {net} --json {path}", ">&-")
    assert (done.returncode, done.stderr) == (0, "") and json.loads(path.read_text())["passed"]
    path.unlink()
    done = shell(f"certify {net} --json {path}", "> /dev/full")
    assert done.returncode == 2 and "No space left" in done.stderr and "Traceback" not in done.stderr
    assert json.loads(path.read_text())["passed"]  # the file was written before anything was printed


@pytest.mark.seldom
def test_a_closed_standard_error_is_no_error(net):
    assert shell(f"certify {net}", "2>&-").returncode == 0
    assert shell("certify /no/where", "2>&-").returncode == 2


def test_json_on_standard_output_is_alone_there(net, capsys):
    for words in (["certify", str(net)], TINY, ["distributed", *TINY[1:]]):
        assert cli.main([*words, "--json", "-"]) == 0
        out, error = capsys.readouterr()
        assert json.loads(out) and ("accuracy" in error or "PASSED" in error)
    assert not Path("-").exists()


@pytest.mark.parametrize("option", ["--json", "--checkpoint"])
@pytest.mark.parametrize("command", [TINY, ["distributed", *TINY[1:]]])
def test_paths_are_tried_before_work(option, command, monkeypatch, capsys):
    monkeypatch.setattr(planar, "split", lambda *arguments, **options: pytest.fail("work had begun"))
    assert cli.main([*command, option, "/no/where"]) == 2
    assert "No such file or directory: '/no/where'" in capsys.readouterr().err


def test_options_are_not_abbreviated(capsys):
    for words in (["certify", "net", "--rand", "3"], [*TINY, "--save", "3"], [*TINY, "--epoch", "3"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err


def test_ctrl_c_says_what_there_is(monkeypatch, tmp_path, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(pyham, "certify", interrupt)
    pyham.H2(2, 2).init(0).save(tmp_path / "net")
    assert cli.main(["certify", str(tmp_path / "net")]) == 130
    monkeypatch.setattr(planar, "train", interrupt)
    assert cli.main([*TINY, "--checkpoint", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().out == "stopped\n" * 2  # no file yet
    (tmp_path / "run").write_bytes(b"")
    monkeypatch.setattr(planar, "check_files", lambda options: None)
    assert cli.main([*TINY, "--checkpoint", str(tmp_path / "run"), "--resume"]) == 130
    assert capsys.readouterr().out == f"stopped; {tmp_path / 'run'} has the last whole epoch, --resume goes on\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train swiss-roll --samples 2147483648000", "--samples: expected at most the .* GB that there are, got"),
        ("train swiss-roll --depth 21474836480000", "depth, width: expected at most the .* GB that there are, got"),
        ("train swiss-roll --width 2147483648 --samples 9", "width: expected at most the .* GB that there are, got"),
        ("distributed swiss-roll --nodes 2147483648", "--nodes: expected at most the .* GB that there are, got"),
        ("distributed swiss-roll --width 2147483648", "--depth, --width: expected at most the .* GB .*, got"),
        ("certify {net} --random 21474836480000", "--random: expected at most the .* GB that there are, got"),
        ("train swiss-roll --inner-steps 2147483648", "--inner-steps: expected at most 100000, got more"),
    ],
)  # fmt: skip
def test_what_does_not_fit_into_memory_is_refused_at_once(words, message, net, capsys):
    assert cli.main(words.format(net=net).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m pyham ") and re.search(message, error), error


def test_affordable_is_what_the_machine_has():
    _check.affordable("x", 1000)
    for numbers in (1 << 50, 10**400):
        with pytest.raises(MemoryError, match=r"^x: expected at most the [0-9.]+ GB that there are, got "):
            _check.affordable("x", numbers)


def test_a_distributed_training_of_no_epochs_ends(capsys):
    words = [*TINY[1:-4], "--epochs", "0", "--output-epochs", "0"]
    assert cli.main(["distributed", *words, "--training", "joint"]) == 0
    assert "0 messages" in capsys.readouterr().out


@pytest.mark.seldom
def test_command_lines_with_absurd_values_end_as_they_may(slow):
    few = ["--count", "80", "--jobs", "1", "--seconds", "60"]  # nothing is stopped, so nothing need be compiled before
    assert fuzz_commands.main(["--count", "20000"] if slow else few) == 0


def test_the_fuzzer_notices_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("link", "dangling", "circle"):
        os.symlink("nothing", name)
    Path("locked.json").touch(mode=0o640)
    Path("locked.json").chmod(0o640)

    def after(do):
        monkeypatch.setattr(cli, "main", lambda words: do())
        return fuzz_commands.verdict([], 4.0)[0]

    assert after(lambda: 0) == "0" and after(lambda: sys.exit(3)) == "exit code" and after(lambda: 1 / 0) == "exception"
    assert after(lambda: 2) == "message"  # ends with 2 and does not say why
    assert (
        after(lambda: Path("new.out").write_text('{"half": ') and 0) == "half-written" and not Path("new.out").exists()
    )
    assert after(lambda: Path("new.out").write_text('{"whole": 1}') and 0) == "0"
    assert after(lambda: Path("locked.json").chmod(0o644) or 0) == "mode"
    Path("locked.json").chmod(0o640)
    assert after(lambda: Path(".pyham-x").touch() or 0) == "leftover"


def test_warmup_uses_everything_in_both_dtypes(monkeypatch, capsys):
    used = []
    uses = [(lambda dtype, use=use: used.append((use.__name__, dtype)), dtype) for use, dtype in warmup.USES]
    monkeypatch.setattr(warmup, "USES", uses)
    assert cli.main(["warmup"]) == 0 and "every kernel is compiled" in capsys.readouterr().out
    graphs = ("gradients_on_graphs", "other_passes_on_graphs")
    names = ("classifiers_of_images", *graphs, "gradients", "other_passes", "trainings")
    assert used == [(name, dtype) for name in names for dtype in (np.float64, np.float32)]


@pytest.mark.slow
def test_warmup_compiles_every_kernel():
    """In a process of its own: afterwards every function that is called from Python has code for both dtypes."""
    program = (
        "import importlib, pkgutil\n"
        "from pyham.commands import cli\n"
        "assert cli.main(['warmup']) == 0\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "import pyham.engines.compiled as room\n"
        "names = [f'{room.__name__}.{module.name}' for module in pkgutil.iter_modules(room.__path__)]\n"
        "found = [f for name in names for f in vars(importlib.import_module(name)).values()]\n"
        "kernels = {f for f in found if isinstance(f, Dispatcher)\n"
        "           and not f.targetoptions.get('no_cpython_wrapper')}\n"
        "used = {f for f in kernels if f._cache_hits or f._cache_misses or f.signatures}\n"
        "print(len(kernels), sorted(f.py_func.__qualname__ for f in kernels - used))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    count, unused = done.stdout.splitlines()[-1].split(maxsplit=1)
    assert int(count) >= 30 and {name.rpartition("_")[0] for name in json.loads(unused.replace("'", '"'))} <= PARTS


#: Parts that other kernels call, and tests by themselves.
PARTS = {"tanh", "_exp_fraction", "logistic", "softplus", "add_product", "frobenius", "logits", "value", "slopes",
         "layer_gradient", "add_multiple", "dot", "total"}  # fmt: skip

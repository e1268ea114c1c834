"""Sweeps: every run once, whatever dies; the same file wherever it was made."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyham import sweep
from pyham.sweep import ledger
from pyham.sweep.lock import Lock
from tests.sweep import sweep_runs
from tests.sweep.sweep_runs import go, not_json, odd_fails, square

ROOT = Path(__file__).parents[2]
RUNS = sweep.grid(x=range(12))


def test_grid_is_every_combination():
    assert sweep.grid(a=[1, 2], b=("x", "y"), c=range(2), d="word") == [
        {"a": a, "b": b, "c": c, "d": "word"} for a in (1, 2) for b in ("x", "y") for c in (0, 1)
    ]


def test_outcomes_are_in_the_order_of_the_runs_and_in_json_lines_without_times(path):
    outcomes = go(square, RUNS[::-1], path)
    assert [outcome.result["square"] for outcome in outcomes] == [x**2 for x in range(11, -1, -1)]
    assert {outcome.key for outcome in sweep.read(path)} == {outcome.key for outcome in outcomes}
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert header["format"] == "pyham sweep"
    assert {tuple(line) for line in lines} == {("function", "result", "run", "sha256")}
    log = [json.loads(line) for line in Path(f"{path}.log").read_text().splitlines()]
    assert [entry["run"] for entry in log] == [line["run"] for line in lines]
    assert all(entry["seconds"] >= 0 and entry["when"] for entry in log)


def test_finished_runs_are_not_repeated(path):
    go(square, RUNS[:5], path)
    before = path.read_bytes()
    go(square, RUNS, path)
    assert path.read_bytes().startswith(before)
    again = path.read_bytes()
    assert len(go(square, RUNS, path)) == len(RUNS)
    assert path.read_bytes() == again


def test_one_file_holds_several_functions(path):
    assert go(square, RUNS[:3], path)[2].result["square"] == 4
    assert go(odd_fails, RUNS[:3], path)[2].result == 2
    assert len(sweep.read(path)) == 6


def test_failing_runs_are_recorded_and_do_not_stop_others(path):
    outcomes = go(odd_fails, RUNS, path)
    assert [outcome.result for outcome in outcomes] == [x if x % 2 == 0 else None for x in range(12)]
    assert outcomes[3].error == "ValueError: x: expected an even number, got 3"
    assert "Traceback" in Path(f"{path}.log").read_text()


def test_failed_runs_are_done_again_on_request_only(path, monkeypatch):
    go(odd_fails, RUNS, path)
    monkeypatch.setattr(sweep_runs.odd_fails, "__code__", square.__code__)
    assert go(odd_fails, RUNS, path)[1].error
    assert [outcome.error for outcome in go(odd_fails, RUNS, path, again=True)] == [None] * 12
    assert len(sweep.read(path)) == 12


def test_results_that_json_cannot_hold_are_errors(path):
    array, nan = go(not_json, RUNS[:2], path)
    assert array.error.startswith("TypeError: Object of type ndarray")
    assert nan.error.startswith("ValueError: Out of range float values")


# The file


@pytest.mark.parametrize(
    "tear",
    [
        *(lambda whole, cut=cut: whole[:-cut] for cut in (1, 2, 10, 70, 100)),
        lambda whole: whole[:-50] + bytes(50),  # what some file systems leave after a loss of power
        lambda whole: whole + b'{"half of',
        lambda whole: whole + b"\xff\xfe",
    ],
)
def test_torn_last_line_is_cut_off_and_done_again(path, tear):
    go(square, RUNS, path, executor=lambda: ThreadPoolExecutor(1))
    whole = path.read_bytes()
    path.write_bytes(tear(whole))
    assert len(sweep.read(path)) == 11 + path.read_bytes().startswith(whole)
    go(square, RUNS, path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_read__raises_on_a_damaged_line_within(path, place):
    go(square, RUNS, path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"expected the checksum that line \d+ states, got another"):
        sweep.read(path)


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b'{"format": "pyham sweep", "version": 1}\n'])
def test_run__raises_on_another_file_and_leaves_it(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected the file of a sweep"):
        go(square, RUNS, path)
    assert path.read_bytes() == content
    Lock(path).release()  # and nobody holds it


def test_read__raises_on_a_newer_version(path):
    path.write_bytes(ledger._encode(ledger.HEADER | {"version": 2}))
    with pytest.raises(ValueError, match="expected version 1, got 2"):
        sweep.read(path)


# The lock


def test_second_sweep_of_this_process_is_refused(path):
    with ledger.Ledger(path), pytest.raises(BlockingIOError, match=f"another sweep of this process, {os.getpid()}"):
        go(square, RUNS, path)
    assert len(go(square, RUNS, path)) == 12


def holder(path):
    """A process that holds the lock, until it is told to end."""
    code = (
        "import sys; from pathlib import Path; from pyham.sweep.lock import Lock\n"
        "Lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_second_process_is_refused_and_a_dead_one_is_not_waited_for(path):
    process = holder(path)
    with pytest.raises(BlockingIOError, match=f"no other sweep writes to, got that of process {process.pid} on"):
        go(square, RUNS, path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.with_name(".results.jsonl.lock").exists()
    assert len(go(square, RUNS, path)) == 12
    assert sorted(file.name for file in path.parent.iterdir()) == ["results.jsonl", "results.jsonl.log"]

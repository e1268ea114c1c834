"""Sweeps: every run once, whatever dies; the same file wherever it was made."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest

from pyham import sweep
from pyham.sweep import ledger
from pyham.sweep.crew import Crew
from pyham.sweep.lock import Lock
from tests.sweep import kill_sweep, sweep_runs
from tests.sweep.sweep_runs import dies_once, not_json, odd_fails, pause, square, surroundings, three_kills

ROOT = Path(__file__).parents[2]
RUNS = sweep.grid(x=range(12))


def go(function, runs, path, **options):
    return sweep.run(function, runs, path, progress=False, **({"executor": ThreadPoolExecutor} | options))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.jsonl"


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The lines of an undisturbed sweep of RUNS by one process."""
    file = tmp_path_factory.mktemp("sweep") / "results.jsonl"
    go(pause, RUNS, file, executor=None, jobs=1)
    return sorted(file.read_text().splitlines())


def test_grid_is_every_combination():
    assert sweep.grid(a=[1, 2], b=("x", "y"), c=range(2), d="word") == [
        {"a": a, "b": b, "c": c, "d": "word"} for a in (1, 2) for b in ("x", "y") for c in (0, 1)
    ]


def test_outcomes_are_in_the_order_of_the_runs(path):
    outcomes = go(square, RUNS[::-1], path)
    assert [outcome.result["square"] for outcome in outcomes] == [x**2 for x in range(11, -1, -1)]
    assert {outcome.key for outcome in sweep.read(path)} == {outcome.key for outcome in outcomes}


def test_file_is_json_lines_without_times(path):
    go(square, RUNS, path)
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


@pytest.mark.parametrize("cut", [1, 2, 10, 70, 100])
def test_torn_last_line_is_done_again(path, cut):
    go(square, RUNS, path, executor=lambda: ThreadPoolExecutor(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert len(sweep.read(path)) == 11
    go(square, RUNS, path)
    assert path.read_bytes() == whole


def test_last_line_of_zeros_is_done_again(path):
    """What some file systems leave after a loss of power: the length of a line, and nothing in it."""
    go(square, RUNS, path, executor=lambda: ThreadPoolExecutor(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-50] + bytes(50))
    go(square, RUNS, path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("end", [b'{"half of', b"\xff\xfe"])
def test_half_a_line_at_the_end_is_cut_off(path, end):
    go(square, RUNS, path)
    whole = path.read_bytes()
    path.write_bytes(whole + end)
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


# Workers


def test_processes_write_what_one_does(path, expected):
    go(pause, RUNS, path, executor=None, jobs=4)
    assert sorted(path.read_text().splitlines()) == expected


def test_workers_share_the_cores(path):
    jobs = 2 * max(1, os.cpu_count() or 1)
    (outcome,) = go(surroundings, [{}], path, executor=lambda: sweep.Processes(jobs))
    assert outcome.result["threads"] == 1
    assert set(outcome.result["blas"]) == {1}


def test_environment_is_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with sweep.Processes(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_run_that_kills_its_worker_is_recorded_and_the_others_are_done(path):
    outcomes = go(three_kills, RUNS, path, executor=None, jobs=2, attempts=2)
    assert outcomes[3].error == "the worker died, 2 times"
    assert [outcome.result for outcome in outcomes] == [x if x != 3 else None for x in range(12)]
    assert len(sweep.read(path)) == 12


def test_run_whose_worker_died_once_is_done_again(path, tmp_path):
    runs = sweep.grid(x=range(6), folder=str(tmp_path))
    outcomes = go(dies_once, runs, path, executor=None, jobs=2)
    assert [outcome.result for outcome in outcomes] == list(range(6))


def test_given_executor_is_used_and_left_open(path):
    with ThreadPoolExecutor(2) as pool:
        assert len(go(square, RUNS, path, executor=pool)) == 12
        assert pool.submit(abs, -1).result() == 1


def test_run__raises_when_a_given_executor_breaks(path):
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of other tests' libraries
    with ProcessPoolExecutor(1, spawn) as pool, pytest.raises(RuntimeError, match="does not break"):
        go(three_kills, RUNS, path, executor=pool)
    assert len(go(three_kills, RUNS[:3], path)) == 3  # and the lock is free


def test_executor_that_takes_no_more_runs_is_made_anew(path):
    made = []

    class Tired(ThreadPoolExecutor):
        """Breaks with the sixth call, the first of which asks whether it is there."""

        def __init__(self):
            super().__init__(1)
            made.append(self)
            self.calls = 0

        def submit(self, *arguments, **keywords):
            self.calls += 1
            if self.calls > 5:
                raise BrokenProcessPool("tired")
            return super().submit(*arguments, **keywords)

    assert [outcome.run["x"] for outcome in go(square, RUNS, path, executor=Tired)] == list(range(12))
    assert len(made) == 3
    assert len(sweep.read(path)) == 12


def test_errors_of_the_executor_are_recorded(path):
    class Careless(ThreadPoolExecutor):
        """Loses a run, as Dask does with one that has cost it four workers, and says so in many lines."""

        def submit(self, function, *arguments, **keywords):
            future = super().submit(function, *arguments, **keywords)
            if arguments[-1] == {"x": 3}:
                future = Future()
                future.set_exception(OSError("lost\nand more about it"))
            return future

    outcomes = go(square, RUNS, path, executor=Careless)
    assert [outcome.error for outcome in outcomes] == [None] * 3 + ["OSError: lost"] + [None] * 8


class Unlucky(ThreadPoolExecutor):
    """Workers die before they begin."""

    def submit(self, *arguments, **keywords):
        raise BrokenProcessPool("died")


def test_crew__raises_when_workers_never_start():
    with pytest.raises(RuntimeError, match=r"start and import tests\.sweep\.sweep_runs, got BrokenProcessPool: died"):
        Crew(Unlucky, square)


@pytest.mark.parametrize("function", [lambda run: run, 3])
def test_run__raises_on_functions_that_workers_cannot_import(path, function):
    with pytest.raises(TypeError, match="function: expected one that can be imported"):
        go(function, RUNS, path)


@pytest.mark.parametrize(
    "runs, error, words",
    [
        ([{"x": 1}, {"x": 1}], ValueError, r"runs\[1\]: expected one that is not there yet"),
        ([{"x": {1}}], TypeError, r"runs\[0\]: expected JSON data"),
        ([{"x": float("nan")}], TypeError, r"runs\[0\]: expected JSON data"),
        ([3], TypeError, r"runs\[0\]: expected a mapping, got int"),
    ],
)
def test_run__raises_on_configurations(path, runs, error, words):
    with pytest.raises(error, match=words):
        go(square, runs, path)


@pytest.mark.parametrize("option", ["jobs", "attempts", "ahead"])
def test_run__raises_on_counts(path, option):
    options = {option: 0} | ({"executor": None} if option == "jobs" else {})
    with pytest.raises(ValueError, match=f"{option}: expected an integer >= 1, got 0"):
        go(square, RUNS, path, **options)


def test_run__raises_on_jobs_beside_an_executor(path):
    with pytest.raises(ValueError, match="jobs: expected none beside an executor, got 2"):
        go(square, RUNS, path, jobs=2)


# Other machines, and kills


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dask_writes_what_one_process_does(path, expected):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    )
    with cluster, distributed.Client(cluster) as client:
        go(pause, RUNS, path, executor=client.get_executor)
    assert sorted(path.read_text().splitlines()) == expected


def test_mpi_writes_what_one_process_does(path, expected):
    pytest.importorskip("mpi4py")
    if not (mpiexec := shutil.which("mpiexec")):
        pytest.skip("no mpiexec")
    command = [
        mpiexec,
        "-n",
        "3",
        sys.executable,
        "-m",
        "mpi4py.futures",
        "-m",
        "tests.sweep.sweep_runs",
        str(path),
        "12",
        "mpi",
    ]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    assert sorted(path.read_text().splitlines()) == expected


def test_sweep_goes_on_after_its_processes_are_killed(path, expected):
    """The short form of ``python -m tests.sweep.kill_sweep``."""
    tally = kill_sweep.disturb(path, runs=12, kills=2, seed=0)
    assert tally.failures == ()
    assert sorted(path.read_text().splitlines()) == expected


def test_orphans_end(path):
    """Workers of a killed sweep do not wait for work for ever."""
    process = subprocess.Popen([sys.executable, "-m", "tests.sweep.sweep_runs", str(path), "500"], cwd=ROOT)
    try:
        while not path.exists() or len(path.read_bytes().splitlines()) < 5:
            time.sleep(0.05)
        workers = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive

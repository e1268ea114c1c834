"""Workers of sweeps: processes, threads, Dask, MPI; whatever dies, every run is done once."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest

from pyham import sweep
from tests.sweep import kill_sweep
from tests.sweep.sweep_runs import go, pause, square, surroundings, three_kills

ROOT = Path(__file__).parents[2]
RUNS = sweep.grid(x=range(12))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The lines of an undisturbed sweep of RUNS by one process."""
    file = tmp_path_factory.mktemp("sweep") / "results.jsonl"
    go(pause, RUNS, file, executor=None, jobs=1)
    return sorted(file.read_text().splitlines())


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


@pytest.mark.seldom
def test_run_that_kills_its_worker_is_recorded_and_the_others_are_done(path):
    outcomes = go(three_kills, RUNS, path, executor=None, jobs=2, attempts=2)
    assert outcomes[3].error == "the worker died, 2 times"
    assert [outcome.result for outcome in outcomes] == [x if x != 3 else None for x in range(12)]
    assert len(sweep.read(path)) == 12


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0, "executor": None}, "jobs: expected an integer >= 1, got 0"),
        ({"attempts": 0}, "attempts: expected an integer >= 1, got 0"),
        ({"ahead": 0}, "ahead: expected an integer >= 1, got 0"),
        ({"jobs": 2}, "jobs: expected none beside an executor, got 2"),
    ],
)
def test_run__raises_on_options(path, options, message):
    with pytest.raises(ValueError, match=message):
        go(square, RUNS, path, **options)


# Other machines, and kills


@pytest.mark.seldom
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dask_writes_what_one_process_does(path, expected):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    )
    with cluster, distributed.Client(cluster) as client:
        go(pause, RUNS, path, executor=client.get_executor)
    assert sorted(path.read_text().splitlines()) == expected


@pytest.mark.seldom
def test_mpi_writes_what_one_process_does(path, expected):
    pytest.importorskip("mpi4py")
    if not (mpiexec := shutil.which("mpiexec")):
        pytest.skip("no mpiexec")
    program = ["-m", "mpi4py.futures", "-m", "tests.sweep.sweep_runs", str(path), "12", "mpi"]
    command = [mpiexec, "-n", "3", sys.executable, *program]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    assert sorted(path.read_text().splitlines()) == expected


@pytest.mark.seldom
def test_sweep_goes_on_after_its_processes_are_killed(path, expected):
    tally = kill_sweep.disturb(path, runs=12, kills=2, seed=0)
    assert tally.failures == ()
    assert sorted(path.read_text().splitlines()) == expected


@pytest.mark.slow
def test_long_sweeps_go_on_after_many_kills():
    assert kill_sweep.main(["--runs", "200", "--kills", "60"]) == 0


@pytest.mark.seldom
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

"""The pieces of a sweep, each alone: the crew, the bar, the lock, the file, the pool."""

import os
import signal
import socket
import stat
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from pyham import sweep
from pyham.sweep import crew, ledger, lock, pool
from tests.sweep.sweep_runs import square

fcntl = pytest.importorskip("fcntl")
RUNS = sweep.grid(x=range(6))


def go(path, executor, **options):
    return sweep.run(square, RUNS, path, executor=executor, progress=False, **options)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class Threads(ThreadPoolExecutor):
    """Records how many runs are under way, how it is shut down; the first so many runs break it."""

    made, breaking = [], 0

    def __init__(self):
        super().__init__(8)
        self.most, self.flying, self.ended = 0, 0, []
        Threads.made.append(self)

    def submit(self, function, /, *args):
        if function is not crew.attempt:
            return super().submit(function, *args)
        self.flying += 1
        self.most = max(self.most, self.flying)
        if Threads.breaking:
            Threads.breaking -= 1
            future = Future()
            future.set_exception(BrokenProcessPool("broken"))
            return future

        def run():
            time.sleep(0.01)
            self.flying -= 1
            return function(*args)

        return super().submit(run)

    def shutdown(self, wait=True, **options):
        self.ended.append(wait)
        super().shutdown(wait, **options)


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(Threads, "made", [])
    return Threads.made


def test_an_executor_gets_so_many_runs_at_a_time_and_is_waited_for(tmp_path, made):
    assert [outcome.result["square"] for outcome in go(tmp_path / "a", Threads, ahead=3)] == [0, 1, 4, 9, 16, 25]
    assert made[0].most == 3 and made[0].ended == [True]


@pytest.mark.parametrize(("breaking", "failed"), [(4, 0), (5, 0), (12, 0), (13, 1)])
def test_runs_that_may_have_broken_an_executor_go_one_by_one_on_another(breaking, failed, tmp_path, made, monkeypatch):
    monkeypatch.setattr(Threads, "breaking", breaking)
    outcomes = go(tmp_path / "a", Threads, ahead=4, attempts=3)
    assert [outcome.error for outcome in outcomes].count("the worker died, 3 times") == failed
    assert len(outcomes) == 6 and len(made) == breaking - 2
    assert all(one.ended == [False] for one in made[:-1]) and made[-1].ended == [True]
    assert made[-1].most == 2  # the last two together


def test_an_error_ends_the_executor_at_once(tmp_path, made, monkeypatch):
    monkeypatch.setattr(ledger.Ledger, "append", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        go(tmp_path / "a", Threads)
    assert made[0].ended == [False]


@pytest.mark.parametrize(("error", "starts"), [(BrokenProcessPool("broken"), crew.STARTS), (ValueError("no"), 1)])
@pytest.mark.parametrize("given", [False, True])
def test_workers_that_do_not_start_are_tried_again_if_that_may_help(error, starts, given, made, monkeypatch):
    tried = []

    def refuse(self, function, /, *args):
        tried.append(self)
        raise error

    monkeypatch.setattr(Threads, "submit", refuse)
    with pytest.raises(RuntimeError, match=f"got {type(error).__name__}: {error}"):
        crew.Crew(Threads() if given else Threads, square)
    assert len(made) == len(tried) == (1 if given else starts)
    assert all(one.ended == ([] if given else [False]) for one in made)


def test_a_run_s_outcome_is_written_while_others_go_on(tmp_path):
    path, seen, waited = tmp_path / "a", threading.Event(), []

    class Slow(ThreadPoolExecutor):
        def submit(self, function, /, *args):
            def run():
                if args[-1] == RUNS[0] and function is crew.attempt:
                    waited.append(seen.wait(5))
                return function(*args)

            return super().submit(run)

    def watch():
        while not seen.is_set():
            if path.exists() and b'"x": 1' in path.read_bytes():
                seen.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        go(path, lambda: Slow(2))
        assert waited == [True]
    finally:
        seen.set()
        watcher.join()


def test_an_attempt_says_how_long_it_took_and_where():
    begun = time.perf_counter()
    found = crew.attempt(lambda run: {"b": time.sleep(0.01), "a": run["x"]}, {"x": 1})
    assert found.text == '{"a": 1, "b": null}' and found.error is None
    assert 0.01 <= found.note["seconds"] <= time.perf_counter() - begun + 1e-3
    assert found.note["worker"] == f"{os.getpid()} on {socket.gethostname()}"


@pytest.mark.parametrize(("there", "note"), [(0, ""), (2, "2 were there")])
def test_the_bar_counts_on_standard_error(there, note, capsys):
    with crew.progress("module:name", 5, there, True) as report:
        report(False)
    first = capsys.readouterr()
    assert f"{there + 1}/5" in first.err and note in first.err and "module:name" in first.err and not first.out
    with crew.progress("module:name", 5, there, True) as report:
        for failed in (True, True, False):
            report(failed)
    assert " 2 failed" in capsys.readouterr().err
    with crew.progress("module:name", 5, there, False) as report:
        report(True)
    assert capsys.readouterr() == ("", "")


def test_the_lock_is_a_file_that_says_whose_it_is_and_goes_with_it(tmp_path):
    file, before = tmp_path / ".a.lock", descriptors()
    file.write_text("x" * 1000)
    file.unlink()
    held = lock.Lock(tmp_path / "a")
    assert file.read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    assert stat.S_IMODE(file.stat().st_mode) & 0o133 == 0
    held.release()
    held.release()
    assert not file.exists() and descriptors() == before
    file.write_text("x" * 1000)  # of a sweep that was killed
    held = lock.Lock(tmp_path / "a")
    assert file.read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    file.unlink()
    held.release()
    assert descriptors() == before


def test_a_lock_that_was_removed_meanwhile_is_made_anew(tmp_path, monkeypatch):
    file, before, lockf = tmp_path / ".a.lock", descriptors(), fcntl.lockf
    removed = []

    def lost(descriptor, how):
        if len(removed) < 2:
            removed.append(file.unlink())
            if len(removed) == 2:
                file.write_text("another's")
        lockf(descriptor, how)

    monkeypatch.setattr(fcntl, "lockf", lost)
    held = lock.Lock(tmp_path / "a")
    assert os.path.samestat(os.fstat(held._file), file.stat())
    held.release()
    assert descriptors() == before


@pytest.mark.parametrize(("content", "holder"), [(b"", "another process"), (b"\xff7", "�7"), (b"x" * 900, "x" * 200)])
def test_a_lock_that_another_holds_is_refused(content, holder, tmp_path, monkeypatch):
    before = descriptors()
    (tmp_path / ".a.lock").write_bytes(content)

    def refuse(descriptor, how):
        raise PermissionError

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(BlockingIOError, match=f"got that of {holder}$"):
        lock.Lock(tmp_path / "a")

    def interrupt(descriptor, how):
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "lockf", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lock.Lock(tmp_path / "a")
    assert descriptors() == before


def test_an_outcome_is_on_the_disk_when_it_was_appended(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    with ledger.Ledger(tmp_path / "a") as file:
        file.append(ledger.Outcome("f", {"x": 1}, {"é": 2}), {"note": "é"})
        assert synced[-1] == (tmp_path / "a").stat().st_size > len((tmp_path / "a").read_bytes().splitlines()[0]) + 1
        assert "note" in Path(f"{tmp_path / 'a'}.log").read_text(encoding="utf-8")
        with pytest.raises(ValueError, match="Out of range float values"):
            file.append(ledger.Outcome("f", {"x": 2}, float("nan")), {})
    assert [outcome.result for outcome in sweep.read(tmp_path / "a")] == [{"é": 2}]


def test_the_order_of_options_makes_no_other_run():
    assert ledger.key("f", {"a": 1, "b": 2}) == ledger.key("f", {"b": 2, "a": 1}) != ledger.key("g", {"a": 1, "b": 2})


def test_the_environment_and_signals_are_other_only_for_a_while(monkeypatch):
    monkeypatch.setenv("PYHAM_A", "1")
    with pool._environment({"PYHAM_A": "2", "PYHAM_B": "3"}):
        assert (os.environ["PYHAM_A"], os.environ["PYHAM_B"]) == ("2", "3")
    assert os.environ["PYHAM_A"] == "1" and "PYHAM_B" not in os.environ
    with pool._without_interrupts():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.delattr(signal, "pthread_sigmask")  # Windows
    with pool._without_interrupts():
        pass


def test_killed_processes_are_gone():
    workers = pool.Processes(1)
    future = workers.submit(time.sleep, 30)
    waiting = workers.submit(time.sleep, 30)
    while not future.running():
        time.sleep(0.01)
    processes = list(workers._processes.values())
    begun = time.perf_counter()
    workers.kill()
    assert time.perf_counter() - begun < 10 and not any(process.is_alive() for process in processes)
    assert future.exception() is not None and (waiting.cancelled() or waiting.exception() is not None)
    workers.kill()
    pool.Processes(1).kill()  # that never started a worker


def test_an_error_kills_the_processes(monkeypatch):
    killed, kill = [], pool.Processes.kill
    monkeypatch.setattr(pool.Processes, "kill", lambda self: (killed.append(self), kill(self)))
    with pytest.raises(KeyError), crew.Crew(lambda: pool.Processes(1), square):
        raise KeyError
    assert len(killed) == 1


def test_no_more_processes_than_runs(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        sys.modules["pyham.sweep.run"], "Processes", lambda jobs: (made.append(jobs), ThreadPoolExecutor(jobs))[1]
    )
    go(tmp_path / "a", None, jobs=20)
    go(tmp_path / "b", None, jobs=2)
    assert made == [6, 2]

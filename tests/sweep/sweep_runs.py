"""Functions for the tests of sweeps, in a module of their own that workers can import; and sweeps as programs.

``python -m tests.sweep.sweep_runs PATH RUNS`` sweeps with two processes, ``... PATH RUNS mpi`` through MPI when started
by ``mpiexec -n 3 python -m mpi4py.futures``.
"""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pyham import sweep


def go(function, runs, path, **options):
    """A sweep by threads, unless told otherwise."""
    return sweep.run(function, runs, path, progress=False, **({"executor": ThreadPoolExecutor} | options))


def square(run):
    return {"square": run["x"] ** 2, "noise": float(np.random.default_rng(run["x"]).standard_normal())}


def pause(run):
    time.sleep(run.get("seconds", 0.02))
    return square(run)


def odd_fails(run):
    if run["x"] % 2:
        raise ValueError(f"x: expected an even number, got {run['x']}")
    return run["x"]


def not_json(run):
    return {"nan": float("nan")} if run["x"] else {"array": np.zeros(2)}


def three_kills(run):
    if run["x"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return run["x"]


def surroundings(run):
    from threadpoolctl import threadpool_info

    from pyham import get_num_threads

    return {"threads": get_num_threads(), "blas": [library["num_threads"] for library in threadpool_info()]}


if __name__ == "__main__":
    from tests.sweep import sweep_runs

    path, count, *kind = sys.argv[1:]
    options = {"jobs": 2}
    if kind == ["mpi"]:
        from mpi4py.futures import MPIPoolExecutor

        options = {"executor": MPIPoolExecutor}
    sweep.run(sweep_runs.pause, sweep.grid(x=range(int(count))), path, progress=False, **options)

"""Interleaved timing of functions that must agree, and the machine's rate of matrix products."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.cases import Case
from benchmarks.programs import Run, available

Array = np.ndarray[Any, Any]


class Timing(NamedTuple):
    """Seconds of one run: median, and the smallest and largest of all."""

    median: float
    best: float
    worst: float


def compare(case: Case, *, seconds: float) -> dict[str, Timing]:
    """Time every program on a case, in turn, for about ``seconds`` in all; first hold their results against each other.

    Raises
    ------
    ArithmeticError
        If a program computes something else.
    """
    runs = {name: program(case) for name, program in available(case).items()}
    agree(case, {name: run() for name, run in runs.items()})
    return interleaved(runs, seconds=seconds)


def agree(case: Case, results: Mapping[str, Any]) -> None:
    """Hold all results against NumPy's in the same dtype, relative to the largest entry."""
    oracle = [np.asarray(part) for part in results["NumPy"]]
    rounding = float(np.finfo(case.dtype).eps) * (100 + case.batch**0.5) * max(10, case.depth)
    for name, result in results.items():
        for part, right in zip(result, oracle, strict=True):
            error = float(np.abs(np.asarray(part) - right).max() / np.abs(right).max())
            if not error <= rounding:
                raise ArithmeticError(
                    f"{case.name}: {name} differs from NumPy by {error:.1e}, more than {rounding:.1e}"
                )


TURN = 0.02  # seconds of a turn
PAUSE = 0.01  # seconds before it: the threads of the program before go on waiting actively for a while


def interleaved(runs: Mapping[str, Run], *, seconds: float) -> dict[str, Timing]:
    """Turns of a few runs each, so that changes of the machine meet all; the first run of a turn does not count."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    turns, end = 0, time.perf_counter() + seconds
    while turns < 5 or time.perf_counter() < end:
        for name, run in runs.items():
            time.sleep(PAUSE)
            run()
            until = time.perf_counter() + TURN
            times[name].append(once(run))
            while time.perf_counter() < until:
                times[name].append(once(run))
        turns += 1
    return {name: Timing(statistics.median(t), min(t), max(t)) for name, t in times.items()}


def once(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def gemm_rate(dtype: str, *, size: int = 2048, repeats: int = 5) -> float:
    """Operations per second of a large NumPy matrix product, the best of a few: what this machine's BLAS reaches."""
    a = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    return 2.0 * size**3 / min(once(lambda: a @ a) for _ in range(repeats))

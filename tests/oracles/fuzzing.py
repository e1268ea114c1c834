"""Readers of files that are damaged or made by an enemy: many cases, what is wrong with an answer, a program around it.

A reader must give what the file holds or raise ValueError whose message begins with the file's path, within ``SECONDS``
and within the memory that the case allows (as tracemalloc counts it, NumPy's and zlib's included). It may not take more
than ``ADDRESS_SPACE`` bytes beyond what the process has, not even without touching them.
"""

import argparse
import resource
import signal
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Generator = np.random.Generator

SECONDS = 5.0  # reading a good file takes a millisecond
ADDRESS_SPACE = 1 << 30
WARM = 20  # cases after which what is loaded or compiled only once is there
GROWTH = 64 << 20  # bytes by which the process may grow in all the cases that follow


class Case(NamedTuple):
    """A call that reads ``path``, and what may come of it."""

    path: Path
    read: Callable[[], Any]
    allowed: float  # bytes of memory
    right: Callable[[Any], bool]  # whether a result is what the file holds
    refusable: bool  # whether the file may be refused


Maker = Callable[[int, Generator, Path], Case]  # from the case's number, random numbers of its own, and a folder


class Tally(NamedTuple):
    """What happened: "read", "refused" or a violation, how often; a line for each violation; seconds of the slowest."""

    counts: Counter[str]
    violations: list[str]
    slowest: float


class Hang(BaseException):
    """Reading took too long; no handler of ordinary errors may swallow it."""


def verdict(case: Case) -> tuple[str, str]:
    """("read", ""), ("refused", ""), or how the reader broke the rules, with details."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    result, error = None, None
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        result = case.read()
    except BaseException as caught:
        error = caught
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    taken = tracemalloc.get_traced_memory()[1] - before
    if isinstance(error, Hang):
        return "hang", f"did not end within {SECONDS} s"
    if error is not None and not isinstance(error, ValueError):
        return "error", repr(error)[:300]
    if error is not None and not (str(error).startswith(str(case.path)) and ": expected " in str(error)):
        return "message", str(error)
    if error is None and not case.right(result):
        return "wrong", "read other than the file holds"
    if error is not None and not case.refusable:
        return "wrong", f"refused a valid file: {error}"
    if taken > case.allowed:
        return "memory", f"{taken} bytes, where {case.allowed:.0f} are allowed"
    return "read" if error is None else "refused", ""


def run(make: Maker, count: int, seed: int, first: int = 0) -> Tally:
    """Cases ``first`` to ``first + count - 1`` of ``seed``; a case depends on its number and the seed alone."""
    tally, slowest = Tally(Counter(), [], 0.0), 0.0
    previous, limits = signal.signal(signal.SIGALRM, _alarm), resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    tracemalloc.start()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, limits[1]))
        with tempfile.TemporaryDirectory(prefix="fuzzing_") as folder:
            for number in range(first, first + count):
                if number <= first + WARM:
                    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                case = make(number, np.random.default_rng([seed, number]), Path(folder))
                start = time.perf_counter()
                kind, detail = verdict(case)
                slowest = max(slowest, time.perf_counter() - start)
                tally.counts[kind] += 1
                if kind not in ("read", "refused"):
                    tally.violations.append(f"case {number} of seed {seed}: {kind}: {detail}")
    finally:
        tracemalloc.stop()
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun)
    if grown > GROWTH:
        tally.violations.append(f"the process grew by {grown} bytes")
    return tally._replace(slowest=slowest)


def _alarm(*_: Any) -> None:
    raise Hang


def main(make: Maker, description: str | None, argv: list[str] | None = None) -> int:
    """Cases as the command line asks for them; exit code 1 where a rule was broken, and one line that sums up."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="how many files (20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat a single one (0)")
    options = parser.parse_args(argv)
    counts, violations, slowest = run(make, options.count, options.seed, options.first)
    for violation in violations[:20]:
        print(violation, file=sys.stderr)
    print(
        f"{options.count} files, seed {options.seed}: {counts['refused']} refused, {counts['read']} read, slowest "
        f"{slowest:.2f} s, {len(violations)} violations"
    )
    return int(bool(violations))


# Ways to spoil any file: each takes a generator and bytes, and gives bytes.


def flip(rng: Generator, data: bytes) -> bytes:
    """One to four bits, often at the beginning."""
    bits = np.frombuffer(data, np.uint8).copy()
    for _ in range(rng.integers(1, 5) if len(data) else 0):
        bits[rng.integers(min(len(bits), rng.choice([20, 1 << 30])))] ^= 1 << rng.integers(8)
    return bits.tobytes()


def cut(rng: Generator, data: bytes) -> bytes:
    return data[: len(data) - int(rng.choice([1, 4, 8, rng.integers(len(data) + 1)]))]


def extend(rng: Generator, data: bytes) -> bytes:
    tails = (rng.bytes(int(rng.integers(1, 100))), bytes(int(rng.integers(1, 100))), data, data[:20], b"\x1f\x8b")
    return data + tails[rng.integers(len(tails))]


def splice(rng: Generator, data: bytes) -> bytes:
    """A part removed or moved, or up to 256 bytes repeated or overwritten."""
    a, b, c = sorted(rng.integers(0, len(data) + 1, 3).tolist())
    few = data[a : a + int(rng.integers(1, 257))]
    ends = (data[b:], data[b:c] + data[a:], few * int(rng.integers(2, 20)) + data[a:])
    which = int(rng.integers(4))
    return data[:a] + (ends[which] if which < 3 else rng.bytes(len(few)) + data[a + len(few) :])

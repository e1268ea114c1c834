"""Mutates IDX files and holds pyham's reader to its word: ``python -m tests.data.fuzz_idx --count 20000 --seed 0``.

Every file is also read by a plain parser of this module, without any care for memory. The reader under test must give
the same array bit for bit where that finds one, and otherwise raise ValueError that begins with the file's name; it
must not take more memory than ``EIGHTH_MORE`` times the data that the file both states and holds, and ``SLACK`` bytes
(as tracemalloc counts them, those of NumPy and zlib included); and it must end within ``PATIENCE`` seconds. Every
fourth case is a folder of digits, one file of which is mutated.
"""

import argparse
import math
import signal
import struct
import sys
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyham.data.idx import read_idx
from pyham.data.mnist import load_mnist
from tests.oracles.idx_mutations import DTYPES, Generator, fresh, mutated

Array = np.ndarray[Any, Any]

EIGHTH_MORE = 1.13  #: what a growing bytearray takes
SLACK = 1 << 21  #: bytes; the reader's pieces, twice over
PATIENCE = 10.0  #: seconds
TIMED = hasattr(signal, "setitimer")  # not everywhere


@dataclass
class Result:
    """What happened: counts, extremes, and one line for each violation."""

    refused: int = 0
    read: int = 0
    slowest: float = 0.0
    excess: float = 0.0  # the most memory above EIGHTH_MORE times the data, in bytes
    violations: list[str] = field(default_factory=list)


class TooSlow(BaseException):
    """Not an Exception, so that no reader takes it for a damaged file."""


# --- what a file holds, by a parser that trusts memory ----------------------------------------------------------------


def unpacked(data: bytes) -> tuple[bytes, bool]:
    """The content, as far as there is any, and whether all was in order."""
    if data[:2] != b"\x1f\x8b":
        return data, True
    content = b""
    while data:
        member = zlib.decompressobj(wbits=31)
        try:
            content += member.decompress(data)
        except zlib.error:
            return content + salvage(data), False
        if not member.eof:
            return content, False
        data = member.unused_data
    return content, True


def salvage(data: bytes) -> bytes:
    """What a damaged member gives before the damage."""
    member, content = zlib.decompressobj(wbits=31), b""
    try:
        while piece := member.decompress(data, 1 << 16):
            content += piece
            data = member.unconsumed_tail
    except zlib.error:
        pass
    return content


def truth(data: bytes) -> tuple[Array | None, int]:
    """The array in a file, or None; and how many bytes of data it both states and holds."""
    content, intact = unpacked(data)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES or not 1 <= content[3] <= 32:
        return None, 0
    begin = 4 + 4 * content[3]
    if len(content) < begin:
        return None, 0
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    kind = np.dtype(DTYPES[content[2]])
    stated, held = kind.itemsize * math.prod(shape), len(content) - begin
    if not intact or stated != held or kind.itemsize * math.prod(n for n in shape if n) >= 1 << 63:
        return None, min(stated, held)
    return np.frombuffer(content, kind, offset=begin).reshape(shape), stated


# --- the checks -------------------------------------------------------------------------------------------------------


def case_file(rng: Generator, folder: Path, reader: Callable[[Path], Array]) -> tuple[Any, Any, int, Path]:
    """(what to call, the truth, bytes of data, file) for a single file."""
    data = mutated(rng, fresh(rng))
    path = folder / "file"
    path.write_bytes(data)
    array, size = truth(data)
    return (lambda: [reader(path)]), (None if array is None else [array]), size, path


def case_folder(rng: Generator, folder: Path) -> tuple[Any, Any, int, Path]:
    """The same for four files of digits, one of them mutated, or replaced by another."""
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    contents, side = [], rng.integers(1, 6, 2)
    for count in rng.integers(1, 12, 2):
        images = struct.pack(">HBB3I", 0, 8, 3, count, *side) + rng.bytes(int(count * side.prod()))
        labels = struct.pack(">HBBI", 0, 8, 1, count) + rng.integers(0, 10, count, dtype=np.uint8).tobytes()
        contents += [images, labels]
    which = int(rng.integers(4))
    contents[which] = mutated(rng, contents[which if rng.random() < 0.8 else rng.integers(4)])
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    found = [truth(content) for content in contents]
    arrays, size = [array for array, _ in found if array is not None], sum(size for _, size in found)
    fits = (
        len(arrays) == 4
        and all(array.dtype == np.uint8 for array in arrays)
        and [array.ndim for array in arrays] == [3, 1, 3, 1]
        and all(len(arrays[i]) == len(arrays[i + 1]) and (arrays[i + 1] <= 9).all() for i in (0, 2))
        and arrays[0].shape[1:] == arrays[2].shape[1:]
    )
    return (lambda: list(load_mnist(folder))), (arrays if fits else None), size, folder


def attempt(call: Callable[[], list[Array]]) -> list[Array] | BaseException:
    """What comes out of ``call``, result or error, within ``PATIENCE``."""
    try:
        if TIMED:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        return call()
    except (Exception, TooSlow) as error:
        return error
    finally:
        if TIMED:
            signal.setitimer(signal.ITIMER_REAL, 0)


def judge(outcome: list[Array] | BaseException, expected: list[Array] | None, path: Path) -> str:
    """What is wrong with ``outcome``, or ""."""
    if isinstance(outcome, ValueError):
        if not str(outcome).startswith(str(path)):
            return f"the message does not name the file: {outcome}"
        return "" if expected is None else f"refused a valid file: {outcome}"
    if isinstance(outcome, TooSlow):
        return f"did not end within {PATIENCE} s"
    if isinstance(outcome, BaseException):
        return f"{type(outcome).__name__} escaped: {outcome}"
    same = expected is not None and all(
        isinstance(a, np.ndarray)
        and a.shape == b.shape
        and a.dtype == b.dtype.newbyteorder("=")
        and a.astype(b.dtype).tobytes() == b.tobytes()
        for a, b in zip(outcome, expected, strict=True)
    )
    return "" if same else "read other than the file holds"


def run(count: int, seed: int, reader: Callable[[Path], Array] = read_idx, first: int = 0) -> Result:
    """Cases ``first`` to ``first + count - 1`` of ``seed``; a case depends on its number and the seed alone."""
    result = Result()
    previous = signal.signal(signal.SIGALRM, _too_slow) if TIMED else None
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(first, first + count):
                rng = np.random.default_rng([seed, number])
                if number % 4 == 3 and reader is read_idx:
                    call, expected, size, path = case_folder(rng, Path(folder))
                else:
                    call, expected, size, path = case_file(rng, Path(folder), reader)
                tracemalloc.reset_peak()
                before, start = tracemalloc.get_traced_memory()[0], time.perf_counter()
                outcome = attempt(call)
                result.slowest = max(result.slowest, time.perf_counter() - start)
                taken = tracemalloc.get_traced_memory()[1] - before
                result.excess = max(result.excess, taken - EIGHTH_MORE * size)
                wrong = judge(outcome, expected, path)
                if not wrong and taken > EIGHTH_MORE * size + SLACK:
                    wrong = f"took {taken} bytes of memory for {size} of data"
                result.refused += isinstance(outcome, ValueError)
                result.read += isinstance(outcome, list)
                if wrong:
                    result.violations.append(f"case {number} of seed {seed}: {wrong}")
    finally:
        if not tracing:
            tracemalloc.stop()
        if TIMED:
            signal.signal(signal.SIGALRM, previous)
    return result


def _too_slow(number: int, frame: object) -> None:
    raise TooSlow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat a single one")
    options = parser.parse_args()
    result = run(options.count, options.seed, first=options.first)
    for violation in result.violations[:20]:
        print(violation, file=sys.stderr)
    print(
        f"{options.count} mutated IDX files, seed {options.seed}: {result.refused} refused with a clear error, "
        f"{result.read} read and right, slowest {result.slowest:.2f} s, memory at most {EIGHTH_MORE} x data + "
        f"{result.excess / 2**20:.2f} MiB (bound {SLACK / 2**20:.0f}), {len(result.violations)} violations"
    )
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())

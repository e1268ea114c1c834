"""Mutate files of networks and trainings, and read them: ``python -m tests.files.fuzz_checkpoint --count 20000``.

A file that is damaged or made by an enemy may give the documented errors only: ValueError that begins with the path,
within seconds, without memory that its size does not explain, and without running anything. Some mutations are blind
(bits, bytes, cuts, foreign formats), some rewrite the header's length or the tensors' shapes, types and places, and
some write a file whose layout and checksum are right, with other contents. Those may be valid, so reading may succeed.

Exit code 1 if a file breaks these rules; it is then kept, and its path is printed.
"""

import argparse
import contextlib
import copy
import io
import json
import pickle
import resource
import signal
import sys
import tempfile
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham import images
from pyham.data import plane as datasets
from pyham.files import archive
from pyham.training import Protocol, train
from pyham.training.schedules import Cosine

SECONDS = 5  # for one file, at most; reading a good one takes a millisecond
MEMORY = 24  # times the file's size, at most, and beside that
SLACK = 1 << 20  # bytes: what Python and NumPy take for themselves
ADDRESS_SPACE = 1 << 30  # bytes beyond the process's own before reading: allocating more fails at once

HUGE = (0, 1, 3, 2**16, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1, 10**30, -1)
TYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "O", "", "f64", "I128")
VALUES = (None, True, -1, 0, 1.5, 1e308, 2**64, 10**40, "", "x" * 100, [], {}, [[]], {"a": {}}, "H1", "../x", "\ud800")

Files = dict[str, bytes]
Mutation = Callable[[np.random.Generator, bytes], bytes]


class Outcome(NamedTuple):
    """What reading a file came to: "read", "refused", or how it broke the rules."""

    verdict: str
    detail: str = ""


class Hang(BaseException):
    """Reading took too long; no handler of ordinary errors may swallow it."""


def pit() -> None:
    """What no file may ever cause to run."""
    raise SystemExit("a file has run code")


class Trap:
    def __reduce__(self) -> Any:
        return pit, ()


# Files to start from


TRAINING: dict[str, Any] = {
    "protocol": Protocol(epochs=3, output_epochs=1, batch=16, patience=3, schedule=Cosine()),
    "net": pyham.H1(4, 2, 0.3).init(0),
    "rng": 0,
}


PIXELS = np.random.default_rng(0).integers(0, 256, (16, 4, 4)).astype(np.uint8)
IMAGES: dict[str, Any] = {
    "network": images.untrained(images.ConvH2(4, 4, width=2, depths=(1, 1)), 0, classes=2),
    "pixels": PIXELS,
    "labels": np.arange(16) % 2,
    "protocol": Protocol(epochs=5, batch=8, scheme="joint", loss="softmax"),
    "rng": 0,
}
EARLIER = Path(__file__).parent / "earlier"


def originals(folder: Path) -> Files:
    """Small good files: networks, classifiers, trainings at several points; of images too, and of earlier versions."""
    nets = {
        "H2": pyham.H2(2, 2, 0.1, X=[[2.0]]).init(0),
        "H1": pyham.H1(4, 3, 0.1, interconnection="J2").init(0),
        "MS2": pyham.MS2(3, 2).init(0, dtype=np.float32),
        "empty": pyham.H1(4, 0).init(0),
        "images": IMAGES["network"].net,
        "classifier": IMAGES["network"],
    }
    files = {}
    for name, net in nets.items():
        net.save(folder / "file")
        files[name] = (folder / "file").read_bytes()
    for epochs in (1, 2, 4):

        def stop(epoch: Any, epochs: int = epochs) -> None:
            if epoch.done == epochs:
                raise StopIteration

        with contextlib.suppress(StopIteration):
            train(**TRAINING, **data(), checkpoint=folder / "file", callback=stop)
        files[f"training {epochs}"] = (folder / "file").read_bytes()
    with contextlib.suppress(StopIteration):
        images.train(**IMAGES, checkpoint=folder / "file", callback=stop)
    files["training on images"] = (folder / "file").read_bytes()
    return files | {path.stem: path.read_bytes() for path in sorted(EARLIER.glob("image-*.pyham"))}


def data() -> dict[str, Any]:
    x, labels = datasets.swiss_roll(48, rng=0)
    return {"x": x[:32], "labels": labels[:32], "validation": (x[32:], labels[32:])}


# Mutations of bytes


def flip_bits(rng: np.random.Generator, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def overwrite(rng: np.random.Generator, content: bytes) -> bytes:
    start, length = rng.integers(len(content)), rng.integers(1, 65)
    return content[:start] + rng.bytes(length) + content[start + length :]


def cut(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: rng.integers(len(content))]


def append(rng: np.random.Generator, content: bytes) -> bytes:
    return content + rng.bytes(rng.integers(1, 100))


def remove(rng: np.random.Generator, content: bytes) -> bytes:
    start = rng.integers(len(content))
    return content[:start] + content[start + rng.integers(1, 65) :]


def repeat(rng: np.random.Generator, content: bytes) -> bytes:
    start, length = rng.integers(len(content)), rng.integers(1, 257)
    return content[:start] + content[start : start + length] * int(rng.integers(2, 20)) + content[start:]


def noise(rng: np.random.Generator, content: bytes) -> bytes:
    return rng.bytes(rng.integers(0, 2 * len(content)))


def foreign(rng: np.random.Generator, content: bytes) -> bytes:
    """Other formats, alone or around the file: archives, pickles that would run code, NumPy's, JSON."""
    buffer = io.BytesIO()
    kind = rng.integers(6)
    if kind == 0:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("file", content)
            archive.writestr("bomb", b"\0" * 1_000_000)
        return buffer.getvalue()
    if kind == 1:
        np.savez(buffer, b=np.zeros((2, 2)))
        return buffer.getvalue()
    if kind == 2:
        return pickle.dumps(Trap())
    if kind == 3:
        return with_header(pickle.dumps(Trap(), protocol=0), b"")
    if kind == 4:
        return with_header(content, content)
    return json.dumps({"version": "2", "header": {}}).encode()


# Mutations of the layout


def with_header(header: bytes, rest: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + rest


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The safetensors header and the bytes after it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def header_length(rng: np.random.Generator, content: bytes) -> bytes:
    lengths = [*(n % 2**64 for n in HUGE), len(content), len(content) - 8, int(rng.integers(len(content)))]
    return int(lengths[rng.integers(len(lengths))]).to_bytes(8, "little") + content[8:]


def tensors(rng: np.random.Generator, content: bytes) -> bytes:
    """Shapes, types and places that are huge, negative, overlapping or missing."""
    header, rest = parts(content)
    names = [name for name in header if name != "__metadata__"]
    for _ in range(rng.integers(1, 4)):
        entry = header[names[rng.integers(len(names))]]
        kind = rng.integers(6)
        if kind == 0:
            entry["shape"] = [
                HUGE[i] for i in rng.integers(len(HUGE), size=rng.integers(0, 40 if rng.random() < 0.1 else 4))
            ]
        elif kind == 1:
            entry["dtype"] = TYPES[rng.integers(len(TYPES))]
        elif kind == 2:
            entry["data_offsets"] = [HUGE[i] for i in rng.integers(len(HUGE), size=2)]
        elif kind == 3:
            entry["data_offsets"] = sorted(int(i) for i in rng.integers(len(rest) + 1, size=2))
        elif kind == 4:
            entry[("shape", "dtype", "data_offsets")[rng.integers(3)]] = VALUES[rng.integers(len(VALUES))]
        else:
            entry.pop(("shape", "dtype", "data_offsets")[rng.integers(3)], None)
    return with_header(json.dumps(header).encode(), rest)


def nested(rng: np.random.Generator, content: bytes) -> bytes:
    """Brackets in brackets, and long lists, in the outer or the inner header."""
    header, rest = parts(content)
    depth = int(rng.choice([10, 1000, 5000, 100_000]))
    opening, closing = (("[", "]"), ('{"a":', "}"))[rng.integers(2)]
    text = (opening * depth + "0" + closing * depth, "[" + "0," * depth + "0]", "1" * depth)[rng.integers(3)]
    if rng.random() < 0.5:
        return with_header(text.encode(), rest)
    header["__metadata__"]["pyham"] = f'{{"version": "2", "sha256": "", "header": {text}}}'
    return with_header(json.dumps(header).encode(), rest)


# Mutations of the contents, with a layout and a checksum that are right


def rewritten(rng: np.random.Generator, content: bytes) -> bytes:
    """Something else for one to three values of the header or the arrays."""
    header, _ = parts(content)
    inner = json.loads(header["__metadata__"]["pyham"])["header"]
    arrays = archive.load(content)
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.7:
            place(rng, inner)
        else:
            name = list(arrays)[rng.integers(len(arrays))] if arrays else "b"
            arrays[name] = other_array(rng, arrays.get(name, np.zeros(1)))
            if rng.random() < 0.1:
                arrays.pop(name)
    try:
        version = "2" if rng.random() < 0.9 else str(VALUES[rng.integers(5)])
        return archive._encode(version, json.dumps(inner, sort_keys=True), arrays)
    except UnicodeEncodeError:
        return content[:-1]


def place(rng: np.random.Generator, inner: Any) -> None:
    """Replace or remove a value somewhere in the header."""
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        if isinstance(inner[key], (dict, list)) and inner[key] and rng.random() < 0.8:
            inner = inner[key]
            continue
        if rng.random() < 0.2:
            del inner[key]
        elif isinstance(inner[key], int) and rng.random() < 0.5:
            inner[key] = HUGE[rng.integers(len(HUGE))]
        else:
            inner[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])  # or a list might come to hold itself
        return


def other_array(rng: np.random.Generator, array: Any) -> Any:
    kind = rng.integers(6)
    if kind == 0:
        return np.full(array.shape, [np.nan, np.inf, 1e308, -5e-324][rng.integers(4)])
    if kind == 1:
        with np.errstate(invalid="ignore"):  # NaN as an integer
            return array.astype(np.dtype(["f4", "f8", "f2", "i8", "u1"][rng.integers(5)]))
    if kind == 2:
        return np.zeros(tuple(int(n) for n in rng.integers(0, 6, size=rng.integers(0, 5))))
    if kind == 3:
        return array.reshape(-1)
    if kind == 4:
        return np.zeros((0, 10**9))
    return array.T.copy()


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, overwrite, cut, append, remove, repeat, noise, foreign, header_length, tensors, nested,
    rewritten, rewritten, rewritten,
)  # fmt: skip


# Reading


def read(path: Path) -> None:
    """All that reads such files: networks, and trainings to go on with (which then go on)."""
    found = pyham.load(path)
    header, _ = archive.read(path)
    if header.get("kind") == "training":
        if found.lift is None:
            train(**TRAINING, **data(), checkpoint=path, resume=True)
        else:
            images.train(**IMAGES, checkpoint=path, resume=True)


def outcome(path: Path) -> Outcome:
    """Read a file, under a time limit, and see what it costs."""
    size = path.stat().st_size
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        read(path)
        result = Outcome("read")
    except ValueError as error:
        result = Outcome("refused") if str(error).startswith(f"{path}: expected ") else Outcome("message", str(error))
    except FloatingPointError:
        result = Outcome("read")  # weights that overflow when trained further
    except Hang:
        return Outcome("hang")
    except BaseException as error:
        result = Outcome("error", repr(error)[:300])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    taken = tracemalloc.get_traced_memory()[1] - before
    if taken > MEMORY * size + SLACK:
        return Outcome("memory", f"{taken} bytes for a file of {size}")
    return result


def alarm(*_: Any) -> None:
    raise Hang


def resident() -> int:
    """Bytes of this process's memory that are in use, at most so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def limit_memory() -> None:
    """Let allocations of more than ADDRESS_SPACE fail, also those that would never be touched."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="files (20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (0)")
    options = parser.parse_args(argv)
    rng = np.random.default_rng(options.seed)
    counts: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_checkpoint_"))
    path = folder / "file"
    files = list(originals(folder).values())
    previous = signal.signal(signal.SIGALRM, alarm)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    tracemalloc.start()
    try:
        for content in files:  # good files first: they warm up, and they must be read
            path.write_bytes(content)
            counts["good " + outcome(path).verdict] += 1
        limit_memory()
        start = resident()
        for number in range(options.count):
            content = files[rng.integers(len(files))]
            mutated = MUTATIONS[rng.integers(len(MUTATIONS))](rng, content)
            path.write_bytes(mutated)
            verdict, detail = outcome(path)
            counts[verdict] += 1
            if verdict not in ("read", "refused"):
                kept = folder / f"violation{number}"
                kept.write_bytes(mutated)
                print(f"{kept}: {verdict} {detail}", file=sys.stderr)
    finally:
        tracemalloc.stop()
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    growth = resident() - start
    violations = sum(counts[verdict] for verdict in ("message", "error", "hang", "memory"))
    wrong = violations or counts["good read"] != len(files) or growth > 64 << 20
    print(
        f"{options.count} mutated files: {counts['refused']} refused, {counts['read']} still valid, "
        f"{violations} violations ({counts['error']} other errors, {counts['message']} unclear messages, "
        f"{counts['hang']} hangs, {counts['memory']} took too much memory); resident memory grew by {growth >> 20} MiB"
    )
    path.unlink(missing_ok=True)
    if not violations:
        folder.rmdir()
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

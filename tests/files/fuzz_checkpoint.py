"""Mutate files of networks and trainings, and read them: ``python -m tests.files.fuzz_checkpoint --count 20000``.

A file that is damaged or made by an enemy may give the documented errors only: ValueError that begins with the path,
within seconds, without memory that its size does not explain, and without running anything. Some mutations are blind
(bits, bytes, cuts, foreign formats), some rewrite the header's length or the tensors' shapes, types and places, and
some write a file whose layout and checksum are right, with other contents. Those may be valid, so reading may succeed.

Exit code 1 if a file breaks these rules; it is then kept, and its path is printed.
"""

import argparse
import contextlib
import resource
import signal
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham import images
from pyham.data import plane as datasets
from pyham.files import archive
from pyham.training import Protocol, train
from pyham.training.schedules import Cosine
from tests.oracles.checkpoint_mutations import MUTATIONS

SECONDS = 5  # for one file, at most; reading a good one takes a millisecond
MEMORY = 24  # times the file's size, at most, and beside that
SLACK = 1 << 20  # bytes: what Python and NumPy take for themselves
ADDRESS_SPACE = 1 << 30  # bytes beyond the process's own before reading: allocating more fails at once

Files = dict[str, bytes]


class Outcome(NamedTuple):
    """What reading a file came to: "read", "refused", or how it broke the rules."""

    verdict: str
    detail: str = ""


class Hang(BaseException):
    """Reading took too long; no handler of ordinary errors may swallow it."""


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

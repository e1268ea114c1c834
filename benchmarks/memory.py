"""Memory of trainings on data in a memory-mapped file, and on the same data in memory: ``python -m benchmarks.memory``.

Each task runs in a process of its own, first on a few samples, which compiles. What is measured is anonymous memory,
which the system cannot take back as it can the pages of a file: its peak while the task runs, beyond what there was
before. It is read some hundred times a second. Data in memory are made before, and do not count. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham import images
from pyham.commands import program
from pyham.training import Protocol, train

Array = np.ndarray[Any, Any]

ROWS, QUICK = 4_000_000, 200_000
WIDTH, SIDE = 8, 28  # numbers of a point; pixels along an image's edge, of which there are as many bytes as of points
STATUS = Path("/proc/self/status")
WAYS = ("file", "memory")


def joint(x: Array, labels: Array) -> None:
    train(_net(), x, labels, protocol=Protocol(epochs=1, batch=4000, scheme="joint"), rng=0)


def alternating(x: Array, labels: Array) -> None:
    train(_net(), x, labels, protocol=Protocol(epochs=1, output_epochs=1, batch=4000), rng=0)


def validation(x: Array, labels: Array) -> None:
    few = Protocol(epochs=1, batch=4000, scheme="joint")
    train(_net(), np.array(x[:4000]), np.array(labels[:4000]), protocol=few, rng=0, validation=(x, labels))


def accuracy(x: Array, labels: Array) -> None:
    pyham.training.Classifier.untrained(_net(), 2, "logistic").accuracy(x, labels)


def classify_images(pixels: Array, labels: Array) -> None:
    arch = images.image_architecture("H2", rows=SIDE, columns=SIDE, width=2, depth=1)
    images.train(arch, pixels, labels, classes=2, protocol=Protocol(epochs=1, scheme="joint", loss="softmax"), rng=0)


#: By name: a function of samples and labels.
TASKS: dict[str, Callable[[Array, Array], None]] = {
    "training, joint": joint,
    "training, alternating": alternating,
    "validation": validation,
    "accuracy": accuracy,
    "training, images": classify_images,
}


def _net() -> pyham.Network:
    return pyham.H2(WIDTH, 4, 0.1).init(0)


def write(folder: Path, rows: int) -> None:
    """The files of points and of images, of about the same size, and of their labels."""
    rng = np.random.default_rng(0)
    points = np.lib.format.open_memmap(folder / "points.npy", "w+", np.float64, (rows, WIDTH))
    for start in range(0, rows, 100_000):
        points[start : start + 100_000] = rng.standard_normal(points[start : start + 100_000].shape)
    pixels = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (points.nbytes // SIDE**2, SIDE, SIDE))
    for start in range(0, len(pixels), 1000):
        pixels[start : start + 1000] = rng.integers(0, 256, pixels[start : start + 1000].shape)
    for name, samples in (("points", points), ("images", pixels)):
        np.save(folder / f"{name} labels.npy", np.arange(len(samples)) % 2)
        samples.flush()


def peak(work: Callable[[], None]) -> int:
    """The most anonymous memory while ``work`` runs, beyond what there was before, in bytes."""
    before, highest, over = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            highest[0] = max(highest[0], anonymous() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return highest[0]


def anonymous() -> int:
    """Bytes of this process that belong to no file."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def measure(task: str, way: str, folder: Path) -> dict[str, Any]:
    """Of one task: bytes of its samples, the peak, and seconds."""
    kind = "images" if "images" in task else "points"
    mode: Any = "r" if way == "file" else None
    samples = np.load(folder / f"{kind}.npy", mmap_mode=mode)
    labels = np.load(folder / f"{kind} labels.npy", mmap_mode=mode)
    TASKS[task](samples[:200], labels[:200])
    start = time.perf_counter()
    highest = peak(lambda: TASKS[task](samples, labels))
    return {"task": task, "way": way, "data": samples.nbytes, "peak": highest, "seconds": time.perf_counter() - start}


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} points instead of {ROWS}: does it run?")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    parser.add_argument("--only", nargs=3, metavar=("TASK", "WAY", "FOLDER"), help="what the processes are told")
    return program.run("python -m benchmarks.memory", _all, parser.parse_args(argv))


def _all(options: argparse.Namespace) -> int:
    if not STATUS.exists():
        raise OSError(f"{STATUS}: expected the memory of this process, as Linux tells it, got no file")
    if options.only:
        task, way, folder = options.only
        program.say([json.dumps(measure(task, way, Path(folder)))])
        return 0
    found = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), QUICK if options.quick else ROWS)
        for task in TASKS:
            for way in WAYS:
                command = [sys.executable, "-m", "benchmarks.memory", "--only", task, way, folder]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found.append(json.loads(done.stdout))
    program.say([json.dumps(found)] if options.json else table(found))
    return 0


def table(found: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'':24}{'samples':>9} {'from':>7} {'peak':>9} {'seconds':>9}"]
    for one in found:
        data, highest = (f"{one[key] / 1e6:.0f} MB" for key in ("data", "peak"))
        lines.append(f"{one['task']:24}{data:>9} {one['way']:>7} {highest:>9} {one['seconds']:>9.1f}")
    return lines


if __name__ == "__main__":
    sys.exit(main())

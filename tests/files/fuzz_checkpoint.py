"""Mutate files of networks and trainings, and read them: ``python -m tests.files.fuzz_checkpoint --count 20000``.

Some mutations are blind (bits, bytes, cuts, foreign formats), some rewrite the header's length or the tensors' shapes,
types and places, and some write a file whose layout and checksum are right, with other contents. Those may be valid, so
reading may succeed; nothing in a file may ever run. The first cases are good files, which must be read.
"""

import contextlib
import copy
import functools
import io
import json
import pickle
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham import images
from pyham.data import plane as datasets
from pyham.files import archive
from pyham.training import Protocol, train
from pyham.training.schedules import Cosine
from tests.oracles import fuzzing
from tests.oracles.fuzzing import Case, Generator, cut, extend, flip, splice

MEMORY = 24  # times the file's size, at most, and beside that
SLACK = 1 << 20  # bytes: what Python and NumPy take for themselves
EARLIER = Path(__file__).parent / "earlier"

X, CLASSES = datasets.swiss_roll(48, rng=0)
TRAINING: dict[str, Any] = {
    "protocol": Protocol(epochs=3, output_epochs=1, batch=16, patience=3, schedule=Cosine()),
    "net": pyham.H1(4, 2, 0.3).init(0),
    "rng": 0,
    "x": X[:32],
    "labels": CLASSES[:32],
    "validation": (X[32:], CLASSES[32:]),
}
IMAGES: dict[str, Any] = {
    "network": images.untrained(images.ConvH2(4, 4, width=2, depths=(1, 1)), 0, classes=2),
    "pixels": np.random.default_rng(0).integers(0, 256, (16, 4, 4)).astype(np.uint8),
    "labels": np.arange(16) % 2,
    "protocol": Protocol(epochs=5, batch=8, scheme="joint", loss="softmax"),
    "rng": 0,
}


# Good files, and what reads them


@functools.cache
def originals() -> list[bytes]:
    """Small good files: networks, classifiers, trainings at several points; of images too, and of earlier versions."""
    nets = (
        pyham.H2(2, 2, 0.1, X=[[2.0]]).init(0),
        pyham.H1(4, 3, 0.1, interconnection="J2").init(0),
        pyham.MS2(3, 2).init(0, dtype=np.float32),
        pyham.H1(4, 0).init(0),
        IMAGES["network"].net,
        IMAGES["network"],
    )
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for net in nets:
            net.save(path)
            files.append(path.read_bytes())
        for begin, options, epochs in ((train, TRAINING, (1, 2, 4)), (images.train, IMAGES, (4,))):
            for count in epochs:
                with contextlib.suppress(StopIteration):
                    begin(**options, checkpoint=path, callback=functools.partial(stop, count))
                files.append(path.read_bytes())
    return files + [path.read_bytes() for path in sorted(EARLIER.glob("image-*.pyham"))]


def stop(count: int, epoch: Any) -> None:
    if epoch.done == count:
        raise StopIteration


def read(path: Path) -> None:
    """All that reads such files: networks, and trainings to go on with (which then go on)."""
    found = pyham.load(path)
    if archive.read(path)[0].get("kind") == "training":
        begin, options = (train, TRAINING) if found.lift is None else (images.train, IMAGES)
        with contextlib.suppress(FloatingPointError):  # weights that overflow when trained further
            begin(**options, checkpoint=path, resume=True)


def make(number: int, rng: Generator, folder: Path) -> Case:
    """A good file, or a mutated one."""
    files, path = originals(), folder / "file"
    good = number < len(files)
    content = files[number] if good else MUTATIONS[rng.integers(len(MUTATIONS))](rng, files[rng.integers(len(files))])
    path.write_bytes(content)
    return Case(path, lambda: read(path), MEMORY * len(content) + SLACK, lambda found: True, not good)


# Mutations of bytes

HUGE = (0, 1, 3, 2**16, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1, 10**30, -1)
TYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "O", "", "f64", "I128")
VALUES = (None, True, -1, 0, 1.5, 1e308, 2**64, 10**40, "", "x" * 100, [], {}, [[]], {"a": {}}, "H1", "../x", "\ud800")


class Trap:
    """What no file may ever cause to run."""

    def __reduce__(self) -> Any:
        return sys.exit, ("a file has run code",)


def noise(rng: Generator, content: bytes) -> bytes:
    return rng.bytes(rng.integers(0, 2 * len(content)))


def foreign(rng: Generator, content: bytes) -> bytes:
    """Other formats, alone or around the file: archives, pickles that would run code, NumPy's, JSON."""
    packed, numpys = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file", content)
        archive.writestr("bomb", b"\0" * 1_000_000)
    np.savez(numpys, b=np.zeros((2, 2)))
    traps = pickle.dumps(Trap()), with_header(pickle.dumps(Trap(), protocol=0), b"")
    text = json.dumps({"version": "2", "header": {}}).encode()
    found = (packed.getvalue(), numpys.getvalue(), *traps, with_header(content, content), text)
    return found[rng.integers(len(found))]


# Mutations of the layout


def with_header(header: bytes, rest: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + rest


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The safetensors header and the bytes after it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def header_length(rng: Generator, content: bytes) -> bytes:
    lengths = [*(n % 2**64 for n in HUGE), len(content), len(content) - 8, int(rng.integers(len(content)))]
    return int(lengths[rng.integers(len(lengths))]).to_bytes(8, "little") + content[8:]


def tensors(rng: Generator, content: bytes) -> bytes:
    """Shapes, types and places that are huge, negative, overlapping or missing."""
    header, rest = parts(content)
    names = [name for name in header if name != "__metadata__"]
    for _ in range(rng.integers(1, 4)):
        entry = header[names[rng.integers(len(names))]]
        field, kind = ("shape", "dtype", "data_offsets")[rng.integers(3)], rng.integers(6)
        if kind == 0:
            count = rng.integers(0, 40 if rng.random() < 0.1 else 4)
            entry["shape"] = [HUGE[i] for i in rng.integers(len(HUGE), size=count)]
        elif kind == 1:
            entry["dtype"] = TYPES[rng.integers(len(TYPES))]
        elif kind == 2:
            entry["data_offsets"] = [HUGE[i] for i in rng.integers(len(HUGE), size=2)]
        elif kind == 3:
            entry["data_offsets"] = sorted(int(i) for i in rng.integers(len(rest) + 1, size=2))
        elif kind == 4:
            entry[field] = VALUES[rng.integers(len(VALUES))]
        else:
            entry.pop(field, None)
    return with_header(json.dumps(header).encode(), rest)


def nested(rng: Generator, content: bytes) -> bytes:
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


def rewritten(rng: Generator, content: bytes) -> bytes:
    """Something else for one to three values of the header or the arrays."""
    inner = json.loads(parts(content)[0]["__metadata__"]["pyham"])["header"]
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


def place(rng: Generator, inner: Any) -> None:
    """Replace or remove a value somewhere in the header."""
    keys: list[Any] = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    if not keys:
        return
    key = keys[rng.integers(len(keys))]
    if isinstance(inner[key], (dict, list)) and inner[key] and rng.random() < 0.8:
        place(rng, inner[key])
    elif rng.random() < 0.2:
        del inner[key]
    elif isinstance(inner[key], int) and rng.random() < 0.5:
        inner[key] = HUGE[rng.integers(len(HUGE))]
    else:
        inner[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])  # or a list might come to hold itself


def other_array(rng: Generator, array: Any) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):  # NaN as an integer
        found = (
            np.full(array.shape, [np.nan, np.inf, 1e308, -5e-324][rng.integers(4)]),
            array.astype(np.dtype(["f4", "f8", "f2", "i8", "u1"][rng.integers(5)])),
            np.zeros(tuple(int(n) for n in rng.integers(0, 6, size=rng.integers(0, 5)))),
            array.reshape(-1),
            np.zeros((0, 10**9)),
            array.T.copy(),
        )
    return found[rng.integers(len(found))]


MUTATIONS: tuple[Callable[[Generator, bytes], bytes], ...] = (
    flip, cut, extend, splice, splice, splice, noise, foreign, header_length, tensors, nested,
    rewritten, rewritten, rewritten,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(fuzzing.main(make, __doc__))

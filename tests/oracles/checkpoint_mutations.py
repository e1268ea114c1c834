"""Ways to spoil files of networks and trainings: each takes a generator and a file's bytes."""

import copy
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from pyham.files import archive

HUGE = (0, 1, 3, 2**16, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1, 10**30, -1)
TYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "O", "", "f64", "I128")
VALUES = (None, True, -1, 0, 1.5, 1e308, 2**64, 10**40, "", "x" * 100, [], {}, [[]], {"a": {}}, "H1", "../x", "\ud800")
Mutation = Callable[[np.random.Generator, bytes], bytes]


def pit() -> None:
    """What no file may ever cause to run."""
    raise SystemExit("a file has run code")


class Trap:
    def __reduce__(self) -> Any:
        return pit, ()


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

"""Mutates IDX files and holds pyham's reader to its word: ``python -m tests.data.fuzz_idx --count 20000 --seed 0``.

Every file is also read by a plain parser of this module, without any care for memory. The reader under test must give
the same array bit for bit where that finds one, and otherwise refuse the file; it must not take more memory than
``EIGHTH_MORE`` times the data that the file both states and holds, and ``SLACK`` bytes. Every fourth case is a folder
of digits, one file of which is mutated.
"""

import gzip
import math
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pyham.data.idx import read_idx
from pyham.data.mnist import load_mnist
from tests.oracles import fuzzing
from tests.oracles.digits import NAMES, idx_bytes
from tests.oracles.fuzzing import Case, Generator, cut, extend, flip, splice

Array = np.ndarray[Any, Any]

EIGHTH_MORE = 1.13  #: what a growing bytearray takes
SLACK = 1 << 21  #: bytes; the reader's pieces, twice over
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
EXTREMES = (0, 1, 2, 255, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


# --- what a file holds, by a parser that trusts memory ----------------------------------------------------------------


def unpacked(data: bytes) -> tuple[bytes | bytearray, bool]:
    """The content, as far as there is any, and whether all was in order."""
    if data[:2] != b"\x1f\x8b":
        return data, True
    content = bytearray()
    while data:
        member, left = zlib.decompressobj(wbits=31), data
        try:
            while not member.eof:
                piece = member.decompress(left, 1 << 16)
                if not piece and not left and not member.eof:
                    return content, False
                content += piece
                left = member.unconsumed_tail
        except zlib.error:
            return content, False
        data = member.unused_data
    return content, True


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


def same(a: Any, b: Array) -> bool:
    """Whether a is b in the machine's byte order, bit for bit."""
    fits = isinstance(a, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype.newbyteorder("=")
    return fits and a.astype(b.dtype).tobytes() == b.tobytes()


# --- ways to spoil a file ---------------------------------------------------------------------------------------------


def fresh(rng: Generator) -> bytes:
    """A valid uncompressed file: any dtype, up to four dimensions, mostly small."""
    code = int(rng.choice(list(DTYPES)))
    shape = rng.integers(0, rng.choice([3, 8, 20]), rng.integers(1, 5))
    size = int(np.prod(shape)) * np.dtype(DTYPES[code]).itemsize
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape) + rng.bytes(size)


def restate(rng: Generator, data: bytes) -> bytes:
    """Another magic number, dtype, number of dimensions or length in the header."""
    if len(data) < 8:
        return data
    where = int(rng.integers(4))
    if where == 3:
        place = 4 + 4 * int(rng.integers(max(1, min(data[3], len(data) // 4 - 1))))
        return data[:place] + struct.pack(">I", rng.choice(EXTREMES)) + data[place + 4 :]
    value = int(rng.choice([0, 1, 2, 3, 8, 9, 11, 12, 13, 14, 32, 33, 255]))
    return data[: where + 1] + bytes([value]) + data[where + 2 :]


def huge(rng: Generator, data: bytes) -> bytes:
    """A header of many large dimensions, with little behind it."""
    shape = rng.choice(EXTREMES, rng.integers(1, 36))
    return struct.pack(f">HBB{len(shape)}I", 0, rng.choice(list(DTYPES)), len(shape), *shape) + data[:100]


def pack(rng: Generator, data: bytes) -> bytes:
    """gzip, in one member or several, some of them empty, perhaps with a name, a comment and more in the header."""
    cuts = sorted(rng.integers(0, len(data) + 1, rng.choice([0, 0, 0, 1, 2, 5])).tolist())
    members = []
    for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True):
        member = gzip.compress(data[a:b], compresslevel=int(rng.integers(10)), mtime=0)
        if rng.random() < 0.2:
            extra = b"\5\0extra" + b"name" * int(rng.choice([1, 100, 100_000])) + b"\0comment\0"
            member = member[:3] + bytes([0x04 | 0x08 | 0x10]) + member[4:10] + extra + member[10:]
        members.append(member)
    return b"".join(members)


def relabel(rng: Generator, data: bytes) -> bytes:
    """Another method, flag, checksum or length in the first header or last trailer of gzip."""
    place = int(rng.choice([2, 3, 3, len(data) - 8 + rng.integers(8), rng.integers(10)]))
    return data[:place] + rng.bytes(1) + data[place + 1 :] if 0 <= place < len(data) else data


def chain(rng: Generator, data: bytes) -> bytes:
    """More members behind, or in front."""
    more = (gzip.compress(b""), gzip.compress(b"\0"), gzip.compress(rng.bytes(50)), data, gzip.compress(b"") * 300)
    other = more[rng.integers(len(more))]
    return data + other if rng.random() < 0.7 else other + data


BOMBS: dict[tuple[int, int], bytes] = {}


def bomb(rng: Generator) -> bytes:
    """Zeros compressed a thousandfold, behind a header that states little, the truth, or too much."""
    stated, held = (int(rng.choice([10, 1 << 20, 1 << 23, 1 << 24, 1 << 31])), int(rng.choice([1 << 20, 1 << 23])))
    if (stated, held) not in BOMBS:
        BOMBS[stated, held] = gzip.compress(struct.pack(">HBBI", 0, 8, 1, stated) + bytes(held), mtime=0)
    return BOMBS[stated, held]


PLAIN = (flip, cut, extend, splice, restate, restate, huge)
PACKED = (flip, flip, cut, extend, splice, relabel, relabel, chain)


def mutated(rng: Generator, data: bytes) -> bytes:
    """``data`` with up to two mutations before compression, if it is compressed, and up to two after."""
    if rng.random() < 0.02:
        return PACKED[rng.integers(len(PACKED))](rng, bomb(rng)) if rng.random() < 0.3 else bomb(rng)
    for _ in range(rng.integers(3)):
        data = PLAIN[rng.integers(len(PLAIN))](rng, data)
    if rng.random() < 0.6:
        data = pack(rng, data)
        for _ in range(rng.integers(3)):
            data = PACKED[rng.integers(len(PACKED))](rng, data)
    return data


# --- the cases --------------------------------------------------------------------------------------------------------


def make(number: int, rng: Generator, folder: Path) -> Case:
    """Four files of digits, one of them mutated or replaced by another, or a single mutated file."""
    if number % 4 == 3:
        return digits(rng, folder)
    data = mutated(rng, fresh(rng))
    (folder / "file").write_bytes(data)
    array, size = truth(data)
    allowed = EIGHTH_MORE * size + SLACK
    right = (lambda found: False) if array is None else (lambda found: same(found, array))
    return Case(folder / "file", lambda: read_idx(folder / "file"), allowed, right, array is None)


def digits(rng: Generator, folder: Path) -> Case:
    contents, side = [], rng.integers(1, 6, 2)
    for count in rng.integers(1, 12, 2):
        images, labels = rng.integers(0, 256, (count, *side)), rng.integers(0, 10, count)
        contents += [idx_bytes(images.astype(np.uint8)), idx_bytes(labels.astype(np.uint8))]
    which = int(rng.integers(4))
    contents[which] = mutated(rng, contents[which if rng.random() < 0.8 else rng.integers(4)])
    for name, content in zip(NAMES, contents, strict=True):
        (folder / name).write_bytes(content)
    found = [truth(content) for content in contents]
    arrays = [array for array, _ in found if array is not None]
    fits = (
        len(arrays) == 4
        and all(array.dtype == np.uint8 for array in arrays)
        and [array.ndim for array in arrays] == [3, 1, 3, 1]
        and all(len(arrays[i]) == len(arrays[i + 1]) and (arrays[i + 1] <= 9).all() for i in (0, 2))
        and arrays[0].shape[1:] == arrays[2].shape[1:]
    )
    allowed = EIGHTH_MORE * sum(size for _, size in found) + SLACK
    return Case(folder, lambda: load_mnist(folder), allowed, lambda a: fits and all(map(same, a, arrays)), not fits)


if __name__ == "__main__":
    sys.exit(fuzzing.main(make, __doc__))

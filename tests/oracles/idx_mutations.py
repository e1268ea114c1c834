"""Valid IDX files and ways to spoil them: each takes a generator and the bytes so far, and gives bytes."""

import gzip
import struct

import numpy as np

Generator = np.random.Generator

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
EXTREMES = (0, 1, 2, 255, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def fresh(rng: Generator) -> bytes:
    """A valid uncompressed file: any dtype, up to four dimensions, mostly small."""
    code = int(rng.choice(list(DTYPES)))
    shape = rng.integers(0, rng.choice([3, 8, 20]), rng.integers(1, 5))
    kind = np.dtype(DTYPES[code])
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape) + rng.bytes(
        int(np.prod(shape)) * kind.itemsize
    )


def flip(rng: Generator, data: bytes) -> bytes:
    bits = np.frombuffer(data, np.uint8).copy()
    for _ in range(rng.integers(1, 5) if len(data) else 0):
        bits[rng.integers(min(len(bits), rng.choice([20, 1 << 30])))] ^= 1 << rng.integers(8)  # often at the beginning
    return bits.tobytes()


def truncate(rng: Generator, data: bytes) -> bytes:
    return data[: len(data) - int(rng.choice([1, 4, 8, rng.integers(len(data) + 1)]))]


def extend(rng: Generator, data: bytes) -> bytes:
    tails = (rng.bytes(int(rng.integers(1, 100))), bytes(int(rng.integers(1, 100))), data, data[:20], b"\x1f\x8b")
    return data + tails[rng.integers(len(tails))]


def splice(rng: Generator, data: bytes) -> bytes:
    a, b, c = sorted(rng.integers(0, len(data) + 1, 3).tolist())
    return data[:a] + (data[b:] if rng.random() < 0.5 else data[b:c] + data[a:])


def restate(rng: Generator, data: bytes) -> bytes:
    """Another magic number, dtype, number of dimensions or length in the header."""
    if len(data) < 8:
        return data
    where = int(rng.integers(4))
    if where == 3:
        place = 4 + 4 * int(rng.integers(max(1, min(data[3], len(data) // 4 - 1))))
        return data[:place] + struct.pack(">I", rng.choice(EXTREMES)) + data[place + 4 :]
    value = int(rng.choice([0, 1, 2, 3, 8, 9, 11, 12, 13, 14, 32, 33, 255]))
    place = (1, 2, 3)[where]
    return data[:place] + bytes([value]) + data[place + 1 :]


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


def bomb(rng: Generator, data: bytes) -> bytes:
    """Zeros compressed a thousandfold, behind a header that states little, the truth, or too much."""
    stated, held = (int(rng.choice([10, 1 << 20, 1 << 23, 1 << 24, 1 << 31])), int(rng.choice([1 << 20, 1 << 23])))
    if (stated, held) not in BOMBS:
        BOMBS[stated, held] = gzip.compress(struct.pack(">HBBI", 0, 8, 1, stated) + bytes(held), mtime=0)
    return BOMBS[stated, held]


PLAIN = (flip, truncate, extend, splice, restate, restate, huge)
PACKED = (flip, flip, truncate, extend, splice, relabel, relabel, chain)


def mutated(rng: Generator, data: bytes) -> bytes:
    """``data`` with up to two mutations before compression, if it is compressed, and up to two after."""
    if rng.random() < 0.02:
        data = bomb(rng, data)
        return PACKED[rng.integers(len(PACKED))](rng, data) if rng.random() < 0.3 else data
    for _ in range(rng.integers(3)):
        data = PLAIN[rng.integers(len(PLAIN))](rng, data)
    if rng.random() < 0.6:
        data = pack(rng, data)
        for _ in range(rng.integers(3)):
            data = PACKED[rng.integers(len(PACKED))](rng, data)
    return data

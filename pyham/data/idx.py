"""IDX files, the format of MNIST: arrays in big-endian order behind a short header, plain or compressed by gzip.

The header is two zero bytes, one for the dtype, one for the number of dimensions, and the shape as unsigned 32-bit
integers. Nothing in a file is trusted: what it states is compared with the size of the file before anything is read,
and a reader holds no more than the stated data, an eighth more while it grows, and a few pieces of ``PIECE`` bytes. A
file that is not compressed may be memory-mapped: then nothing but its header is read.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from gzip import compress
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pyham import _check
from pyham.files.replacing import replace_file

Array = np.ndarray[Any, Any]

TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
DIMENSIONS = 32  #: the most that every supported NumPy has; the format could state 255
PIECE = 1 << 18  #: bytes read or decompressed at a time
EXPANSION = 1032  #: a byte of deflate holds at most this many: 258 from two bits


def read_idx(
    path: str | PathLike[str], *, shape: tuple[int | str, ...] | None = None, dtype: str = "", mmap: bool = False
) -> Array:
    """The array of an IDX file, in the machine's byte order. Whether it is compressed, its first bytes tell.

    Parameters
    ----------
    path : the file
    shape : what is expected, a name such as "B" for any length; None for any shape
    dtype : what is expected, "uint8", "int8", "int16", "int32", "float32" or "float64"; "" for any of them
    mmap : whether to map the file instead of reading it: the result is a ``np.memmap`` that cannot be written to, in
        the file's byte order, for data that are larger than memory. The file must stay as it is meanwhile

    Raises
    ------
    TypeError
        If ``path`` is none.
    OSError
        If the file cannot be opened or read.
    ValueError
        If the file is truncated, damaged (the checksum of gzip included), longer than it states, no IDX file, of
        another shape or dtype than expected, or compressed where it is to be mapped.
    """
    with open(file_path(path), "rb") as file:
        return parse(file, str(path), shape=shape, dtype=dtype, mmap=mmap)


def write_idx(path: str | PathLike[str], array: Array) -> None:
    """Write ``array`` to an IDX file, compressed if the name ends in ".gz"; an old file stays until the new is whole.

    Raises
    ------
    TypeError
        For a dtype that the format does not hold, or what is no array.
    ValueError
        For a scalar, more than 32 dimensions, or one of 2^32 and more.
    OSError
        If the file cannot be written; an old file of that name is then untouched.
    """
    target = file_path(path)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"array: expected a NumPy array, got {type(array).__name__}")
    content = header(array) + array.astype(array.dtype.newbyteorder(">"), copy=False).tobytes()
    # without the time, so that the same array gives the same file
    replace_file(target, compress(content, mtime=0) if target.name.endswith(".gz") else content)


def header(array: Array) -> bytes:
    """What precedes the data of ``array`` in a file."""
    codes = {name: code for code, name in TYPES.items()}
    if array.dtype.name not in codes:
        raise TypeError(f"array: expected dtype {', '.join(codes)}, got {array.dtype}")
    if not 1 <= array.ndim <= DIMENSIONS:
        raise ValueError(f"array: expected 1 to {DIMENSIONS} dimensions, got {array.ndim}")
    if max(array.shape) >= 1 << 32:
        raise ValueError(f"array: expected dimensions below 2^32, got {array.shape}")
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, codes[array.dtype.name], array.ndim, *array.shape)


def parse(
    file: BinaryIO, name: str, *, shape: tuple[int | str, ...] | None = None, dtype: str = "", mmap: bool = False
) -> Array:
    """The array in ``file``, an open and seekable one, called ``name`` in messages; the rest as in ``read_idx``."""
    try:
        return _parse(file, shape, dtype, mmap)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def file_path(path: object) -> Path:
    """``path`` as a Path."""
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"path: expected str or os.PathLike, got {type(path).__name__}")
    return Path(path)


def _parse(file: BinaryIO, expected: tuple[int | str, ...] | None, dtype: str, mapped: bool) -> Array:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    packed = file.read(2) == b"\x1f\x8b"
    if packed and mapped:
        raise ValueError("expected an uncompressed file, as it is to be memory-mapped, got gzip data")
    file.seek(0)
    pieces = _unpacked(file) if packed else iter(lambda: file.read(PIECE), b"")

    start = bytearray()
    kind, shape = _header(start, pieces)
    found = f"{kind.name} of shape {shape}"
    fits = expected is None or (
        len(expected) == len(shape)
        and all(isinstance(want, str) or want == have for want, have in zip(expected, shape, strict=True))
    )
    if not fits or dtype not in ("", kind.name):
        of_shape = "any shape" if expected is None else f"shape {_check.spell(expected)}"
        raise ValueError(f"expected {dtype or 'numbers'} of {of_shape}, got {found}")
    if kind.itemsize * math.prod(max(length, 1) for length in shape) > np.iinfo(np.intp).max:
        raise ValueError(f"expected an array that this machine can address, got {found}")

    count, begin = kind.itemsize * math.prod(shape), 4 + 4 * len(shape)
    most = EXPANSION * size if packed else size - begin
    if count > most or (count < most and not packed):
        raise ValueError(f"expected {count} bytes of data, {found}, got {'at most ' if packed else ''}{most}")
    if mapped:
        return np.memmap(file, kind, "r", begin, shape)
    content = _extend(start[begin:], pieces, count + 1)  # one more, so that a checksum at the end is read too
    if len(content) != count:
        more = "at least " if len(content) > count else ""
        raise ValueError(f"expected {count} bytes of data, {found}, got {more}{len(content)}")
    array: Array = np.frombuffer(content, kind).reshape(shape)
    return array if kind.isnative else array.byteswap(inplace=True).view(kind.newbyteorder("="))


def _header(start: bytearray, pieces: Iterator[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Dtype and shape that a file states; ``start`` takes as much of it as was read."""
    if len(_extend(start, pieces, 4)) < 4:
        raise ValueError(f"expected the 4 bytes that begin an IDX file, got {len(start)}")
    code, dimensions = start[2], start[3]
    if start[:2] != b"\0\0" or code not in TYPES:
        codes = ", ".join(f"{code:02x}" for code in TYPES)
        raise ValueError(f"expected an IDX file, which begins with 00 00 and one of {codes}, got {start[:4].hex(' ')}")
    if not 1 <= dimensions <= DIMENSIONS:
        raise ValueError(f"expected 1 to {DIMENSIONS} dimensions, got {dimensions}")
    if len(_extend(start, pieces, 4 + 4 * dimensions)) < 4 + 4 * dimensions:
        raise ValueError(f"expected a header of {4 + 4 * dimensions} bytes, got {len(start)}")
    return np.dtype(TYPES[code]).newbyteorder(">"), struct.unpack_from(f">{dimensions}I", start, 4)


def _extend(content: bytearray, pieces: Iterator[bytes], size: int) -> bytearray:
    """``content``, extended until it has ``size`` bytes or the pieces end."""
    while len(content) < size and (piece := next(pieces, None)) is not None:
        content += piece
    return content


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """What the gzip members in ``file`` hold, at most ``PIECE`` bytes at a time.

    Not by gzip.GzipFile, which goes byte by byte through the name in a header and through zeros after the last member:
    a file can keep it busy for minutes.
    """
    packed = file.read(PIECE)
    while packed:
        if not b"\x1f\x8b".startswith(packed[:2]):
            raise ValueError(f"expected the end of the file, or gzip data, got {packed[:4].hex(' ')}")
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: with the header and checksum of gzip
        while not member.eof:
            packed = packed or file.read(PIECE)
            try:
                piece = member.decompress(packed, PIECE)
            except zlib.error as error:
                raise ValueError(f"expected intact gzip data, got damaged ({error})") from None
            if not (packed or piece or member.eof):
                raise ValueError("expected whole gzip data, got a truncated file")
            packed = member.unconsumed_tail
            yield piece
        packed = member.unused_data or file.read(PIECE)

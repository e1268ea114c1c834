"""Arrays in NumPy's .npy and .npz files, read without trust: no pickles, and no memory before it is known to be needed.

What a file says about itself is compared with its size before anything is allocated: an array must fill the rest of its
file, and an archive whose members would unpack to far more than a network needs is refused unpacked.
"""

import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from math import prod
from os import PathLike
from typing import Any

import numpy as np

from pyham.files.regular import content

Array = np.ndarray[Any, Any]

UNPACKED = 1 << 30  # bytes that the members of an archive unpack to, at most
MEMBERS = 1000  # of an archive, at most
RATIO = 20  # or, for larger ones, so many times the bytes of the file
DAMAGED = (
    AttributeError, EOFError, IndexError, KeyError, MemoryError, NotImplementedError, OverflowError, RecursionError,
    RuntimeError, SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def is_npz(path: str | PathLike[str]) -> bool:
    """Whether a file begins as an archive does, whatever its name ends with."""
    return content(path, "a file")[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def read_npy(path: str | PathLike[str]) -> Array:
    """The array of an .npy file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is none, is damaged, or holds Python objects.
    """
    whole = content(path, "an .npy file")
    try:
        return _array(whole)
    except DAMAGED as error:
        raise ValueError(f"{path}: expected an .npy file of plain numbers, got another ({error})") from None


def read_npz(path: str | PathLike[str]) -> dict[str, Array]:
    """The arrays of an .npz file, by name.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is none, is damaged, holds Python objects, or would unpack to more than a gigabyte and 20 times its size.
    """
    whole = content(path, "an .npz file")
    try:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > MEMBERS or size > max(UNPACKED, RATIO * len(whole)):
                raise ValueError(f"it would unpack to {len(members)} arrays of {size} bytes")
            return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}
    except DAMAGED as error:
        raise ValueError(f"{path}: expected an .npz file of plain arrays, got another ({error})") from None


def _array(whole: bytes) -> Array:
    """The array of an .npy file's bytes."""
    stream = io.BytesIO(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old versions' headers, which are read all the same
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"its version is {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    first = stream.tell()
    if any(number < 0 for number in shape) or prod(shape) * dtype.itemsize != len(whole) - first:
        raise ValueError(f"shape {shape} of {dtype} does not fill its {len(whole) - first} bytes")
    flat = np.frombuffer(whole, dtype, prod(shape), first) if prod(shape) else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()

"""One file for arrays and a plain-data header: safetensors, with a version and a SHA-256 of the contents.

No pickle, nothing executable; files are replaced as a whole (``pyham.files.replacing``). The header is JSON in the
file's metadata.

Reading trusts nothing. What the file says about itself is checked against its size before anything is allocated for it:
arrays must fill exactly the bytes that follow the header, so their sizes add up to less than the file's. The header is
limited in length and in the number of its brackets, which bounds its depth and the objects that it becomes.

Versions
--------
1 : networks
2 : trainings as well, which say so in their header: "kind" is "training"
"""

import hashlib
import json
import re
from collections.abc import Mapping
from math import prod
from os import PathLike
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pyham.files import regular
from pyham.files.replacing import replace_file

Array = np.ndarray[Any, Any]

FORMAT = "pyham"
VERSION = 2
NAME = b'"pyham"'  # in the header of every file of pyham's

HEADER_BYTES = 1 << 24  # at most
BRACKETS = 1 << 12  # in a header, at most
LEVELS = (
    64  # of brackets inside brackets, at most: from Python 3.13 on its parser goes ten thousand deep, in a megabyte
)
DIMENSIONS = 16  # of an array, at most
ITEMSIZE = {f"{kind}{bits}": bits // 8 for kind in "FIU" for bits in (8, 16, 32, 64) if (kind, bits) != ("F", 8)}


def write(path: str | PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write ``header`` (JSON data) and ``arrays`` (float32, float64 or integers) to ``path``, atomically.

    Raises
    ------
    TypeError
        For a dtype that the format does not hold (longdouble, complex).
    ValueError
        If the header is larger than a reader accepts.
    OSError
        If the file cannot be written; an old file of that name is then untouched.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
            raise TypeError(f"{name}: expected a real dtype of at most 64 bits, got {array.dtype}")
    replace_file(path, _encode(str(VERSION), check_header(header, len(arrays)), dict(arrays)))


def check_header(header: Mapping[str, Any], arrays: int = 0) -> str:
    """The text of ``header`` in a file with so many arrays.

    Raises
    ------
    ValueError
        If it is larger than a reader accepts.
    """
    text = json.dumps(header, sort_keys=True)
    if _levels(text) > LEVELS - 8:
        raise ValueError(f"header: expected less than {LEVELS - 8} levels of brackets, got more")
    if 2 * len(text) > HEADER_BYTES or text.count("[") + text.count("{") > BRACKETS - 3 * arrays - 8:
        raise ValueError(f"header: expected less than {HEADER_BYTES // 2} bytes and {BRACKETS} brackets, got more")
    return text


def read(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file that ``write`` made.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, truncated, not one of pyham's, or of a newer version.
    """
    content = regular.content(path, "a file written by pyham")
    if NAME not in content[8 : 8 + int.from_bytes(content[:8], "little")]:
        raise ValueError(f"{path}: expected a file written by pyham, got {_kind(content)}")
    try:
        text = _metadata(content)
        arrays = load(content)
    except (SafetensorError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: expected a whole file written by pyham, got a damaged one ({error})") from None
    try:
        stated = _parse(text)
        version, header = stated["version"], stated["header"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a whole file written by pyham, got a damaged one ({error})") from None
    known = isinstance(version, str) and version.isascii() and version.isdecimal() and len(version) < 10
    if not known or not 1 <= int(version) <= VERSION:
        raise ValueError(f"{path}: expected format version <= {VERSION}, got {_short(version)}")
    if not _same(version, header, arrays, content):
        raise ValueError(f"{path}: expected the checksum that the file states, got another: the file is damaged")
    if not isinstance(header, dict):
        raise ValueError(f"{path}: expected a JSON object as header, got {type(header).__name__}")
    return header, arrays


def _kind(content: bytes) -> str:
    """What a file is that is not one of pyham's."""
    if not content:
        return "an empty one"
    if content.startswith(b"PK"):
        return "a zip archive, perhaps NumPy's (pyham.interop.arrays.read_arrays takes .npz files)"
    return "another program's"


def _metadata(content: bytes) -> str:
    """Pyham's text in the metadata of a safetensors file whose layout is sound."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("its header does not fit into it")
    if length > HEADER_BYTES:
        raise ValueError(f"its header is longer than {HEADER_BYTES} bytes")
    entries = _parse(content[8 : 8 + length].decode("utf-8"))
    if not isinstance(entries, dict):
        raise ValueError("its header is no object")
    metadata = entries.pop("__metadata__", {})
    text = metadata.get(FORMAT) if isinstance(metadata, dict) else None
    position = 0
    for start, end in sorted(_span(name, entry) for name, entry in entries.items()):
        if start != position:
            raise ValueError("its arrays overlap or leave gaps")
        position = end
    if position != len(content) - 8 - length:
        raise ValueError("its arrays do not fill it")
    if not isinstance(text, str):
        raise ValueError("its metadata has no text of pyham's")
    return text


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Where an array's bytes are: as many as its shape and dtype say."""
    try:
        size, shape, (start, end) = ITEMSIZE[entry["dtype"]], entry["shape"], entry["data_offsets"]
        numbers = [*shape, start, end]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"its array {_short(name)} is not described") from None
    if any(type(number) is not int or number < 0 for number in numbers) or len(shape) > DIMENSIONS:
        raise ValueError(f"its array {_short(name)} has no shape")
    if prod(shape) * size != end - start:
        raise ValueError(f"its array {_short(name)} has another size than its shape")
    return start, end


def _parse(text: str) -> Any:
    """JSON, if it is neither too long nor too nested, and has no NaN or infinity."""
    if len(text) > HEADER_BYTES or text.count("[") + text.count("{") > BRACKETS:
        raise ValueError("its header is too large")
    if _levels(text) > LEVELS:
        raise ValueError("its header is too nested")
    return json.loads(text, parse_constant=_no_number)


def _levels(text: str) -> int:
    """How deep brackets stand in brackets, those in words included; counting ends beyond what is allowed."""
    level = deepest = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        level += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, level)
        if not 0 <= level <= LEVELS:
            break
    return deepest


def _no_number(word: str) -> Any:
    raise ValueError(f"its header has {word} for a number")


def _short(value: object) -> str:
    """repr for a message, of a few characters."""
    return repr(value)[:40] if isinstance(value, str) else type(value).__name__


def _same(version: str, header: Any, arrays: dict[str, Array], content: bytes) -> bool:
    """Whether these are the bytes that writing the contents again gives."""
    try:
        return _encode(version, json.dumps(header, sort_keys=True), arrays) == content
    except (ValueError, SafetensorError):  # words that are no Unicode
        return False


def _encode(version: str, header: str, arrays: dict[str, Array]) -> bytes:
    """The file: every bit of it follows from version, header and arrays, so that a reader can compare."""
    plain = {name: np.ascontiguousarray(a.astype(a.dtype.newbyteorder("<"))) for name, a in arrays.items()}
    digest = hashlib.sha256(header.encode())
    for name in sorted(plain):
        digest.update(f"{name} {plain[name].dtype.str} {plain[name].shape}".encode())
        digest.update(plain[name].tobytes())
    text = f'{{"version": "{version}", "sha256": "{digest.hexdigest()}", "header": {header}}}'
    return save(plain, {FORMAT: text})

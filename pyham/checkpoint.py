"""One file for arrays and a plain-data header: safetensors, with a version and a SHA-256 of the contents.

No pickle, nothing executable; files are written to a temporary name and then renamed, so that a reader sees the old
file or the new one. The header is JSON in the file's metadata.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

Array = np.ndarray[Any, Any]

FORMAT = "pyham"
VERSION = 1


def write(path: str | PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write ``header`` (JSON data) and ``arrays`` (float32, float64 or integers) to ``path``, atomically.

    Raises
    ------
    TypeError
        For a dtype that the format does not hold (longdouble, complex).
    OSError
        If the file cannot be written; an old file of that name is then untouched.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
            raise TypeError(f"{name}: expected a real dtype of at most 64 bits, got {array.dtype}")
    replace_file(path, _encode(json.dumps(header, sort_keys=True), dict(arrays)))


def replace_file(path: str | PathLike[str], content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, then rename it."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file that ``write`` made.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, truncated, not one of pyham's, or of a newer version.
    """
    content = Path(path).read_bytes()
    try:
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        text = json.loads(content[8 : 8 + length]).get("__metadata__", {}).get(FORMAT)
    except SafetensorError as error:
        raise ValueError(f"{path}: expected a whole file written by pyham, got a damaged one ({error})") from None
    if text is None:
        raise ValueError(f"{path}: expected a file written by pyham, got another program's")
    try:
        stated = json.loads(text)
        version, header = stated["version"], stated["header"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a whole file written by pyham, got a damaged one ({error})") from None
    if not (isinstance(version, str) and version.isdecimal() and int(version) <= VERSION):
        raise ValueError(f"{path}: expected format version <= {VERSION}, got {version!r}")
    if _encode(json.dumps(header, sort_keys=True), arrays) != content:
        raise ValueError(f"{path}: expected the checksum that the file states, got another: the file is damaged")
    if not isinstance(header, dict):
        raise ValueError(f"{path}: expected a JSON object as header, got {type(header).__name__}")
    return header, arrays


def _encode(header: str, arrays: dict[str, Array]) -> bytes:
    """The file: every bit of it follows from header and arrays, so that a reader can compare."""
    plain = {name: np.ascontiguousarray(a.astype(a.dtype.newbyteorder("<"))) for name, a in arrays.items()}
    digest = hashlib.sha256(header.encode())
    for name in sorted(plain):
        digest.update(f"{name} {plain[name].dtype.str} {plain[name].shape}".encode())
        digest.update(plain[name].tobytes())
    text = f'{{"version": "{VERSION}", "sha256": "{digest.hexdigest()}", "header": {header}}}'
    return save(plain, {FORMAT: text})

"""One file for arrays and a plain-data header: safetensors, with a version and a SHA-256 of the contents.

No pickle, nothing executable; files are written to a temporary name and then renamed, so that a reader sees the old
file or the new one. The header is JSON in the file's metadata.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

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
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps(header, sort_keys=True)
    metadata = {"format": FORMAT, "version": str(VERSION), "header": text, "sha256": _digest(text, contiguous)}
    replace_file(path, save(contiguous, metadata))


def replace_file(path: str | PathLike[str], content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, then rename it."""
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
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
    with open(path, "rb"):  # for the operating system's own message: safetensors hides which error it was
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path}: expected a file written by pyham, got another program's")
            version = metadata.get("version", "")
            if not version.isdecimal() or int(version) > VERSION:
                raise ValueError(f"{path}: expected format version <= {VERSION}, got {version!r}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  safe_open is no dict
    except SafetensorError as error:
        raise ValueError(f"{path}: expected a whole file written by pyham, got a damaged one ({error})") from None
    text = metadata.get("header", "")
    if metadata.get("sha256") != _digest(text, arrays):
        raise ValueError(f"{path}: expected the checksum that the file states, got another: the file is damaged")
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError(f"{path}: expected a JSON object as header, got {type(header).__name__}")
    return header, arrays


def _digest(text: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Arrays of figures in .npz files, each with what made it; read without pickle, used again while that is the same."""

import hashlib
import importlib.metadata
import io
import json
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from figures.setup import Setup
from pyham.files.replacing import replace_file

Array = np.ndarray[Any, Any]

ABOUT = "about"  # the name under which a file says what made it
PACKAGES = ("pyham", "numpy", "scipy", "numba", "matplotlib")


def arrays(module: ModuleType, setup: Setup, path: Path, *, fresh: bool = False) -> tuple[dict[str, Array], bool]:
    """``module.compute(setup)``, and whether it was read from ``path`` rather than computed and written there.

    Raises
    ------
    TypeError
        If an array holds objects.
    OSError
        If the file cannot be written.
    """
    made_by = about(module, setup)
    known = None if fresh else read(path)
    if known is not None and known[0] == made_by:
        return known[1], True
    found = {name: np.asarray(value) for name, value in module.compute(setup).items()}
    for name, array in found.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name}: expected numbers, words or booleans, got objects")
    write(path, made_by, found)
    return found, False


def about(module: ModuleType, setup: Setup) -> dict[str, Any]:
    """Configuration, versions and text that arrays follow from; not how many processes make them, or where."""
    plain = {name: value for name, value in asdict(setup).items() if name not in ("jobs", "folder")}
    digest = hashlib.sha256(text(module).partition("\ndef plot(")[0].encode())
    for other in getattr(module, "USES", ()):
        digest.update(text(other).encode())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}
    return {"figure": module.__name__, "setup": plain, "source": digest.hexdigest(), "versions": versions}


def text(module: ModuleType) -> str:
    """The source of a module."""
    assert module.__file__ is not None
    return Path(module.__file__).read_text()


def write(path: Path, made_by: Mapping[str, Any], found: Mapping[str, Array]) -> None:
    """Write arrays and what made them, atomically."""
    if ABOUT in found:
        raise ValueError(f"{ABOUT}: expected another name of an array, as the file's header has this one")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{ABOUT: np.array(json.dumps(made_by, sort_keys=True)), **found})
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, buffer.getvalue())


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]] | None:
    """What made the arrays of a file, and these; None if there is no file that can be read."""
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        return json.loads(str(found.pop(ABOUT))), found
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None

"""Files are replaced as a whole: a reader sees the old contents or the new ones, whenever a kill comes.

The new contents go to a temporary file in the same folder, which then takes the place of the old one. A symbolic link
stays one: what it points to is replaced. An old file's permissions are kept. What is no regular file, such as a
terminal, a pipe or /dev/null, is written to and never replaced.

A process that is killed while it writes leaves its temporary file. The next one that writes to the same path removes
it: writers hold a lock of the operating system on their temporary file, which ends with its process.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

fcntl: Any
try:
    fcntl = import_module("fcntl")
except ImportError:  # a system without such locks, where leftovers stay
    fcntl = None

_swept: set[Path] = set()  # once in a process is enough, since a living process leaves nothing


def replace_file(path: str | PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``.

    Raises
    ------
    OSError
        If it cannot be written; an old file of that name is then untouched.
    """
    target = Path(os.path.realpath(path))
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as device:  # a folder cannot be opened: that is an OSError
            device.write(content)
        return
    _sweep(target)
    temporary, file = _temporary(target)
    try:
        with os.fdopen(file, "wb") as stream:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_writable(path: str | PathLike[str]) -> None:
    """Find out, before work is done, whether ``replace_file`` could write there; nothing is changed.

    Raises
    ------
    OSError
        If it could not.
    """
    target = Path(os.path.realpath(path))
    mode = _mode(target)
    if mode is None or stat.S_ISREG(mode):
        temporary, file = _temporary(target)
        temporary.unlink()
        os.close(file)
    elif stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    elif not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _mode(target: Path) -> int | None:
    try:
        return os.stat(target).st_mode
    except FileNotFoundError:
        return None


def _beginning(target: Path) -> str:
    """What the names of temporary files for this target begin with.

    It does not contain the target's own name, which may already be as long as the system allows.
    """
    return f".pyham-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


def _temporary(target: Path) -> tuple[Path, int]:
    """A new file beside the target, locked: its path and descriptor."""
    if not target.parent.is_dir():  # otherwise the error would name the temporary file
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))
    while True:
        path = target.with_name(_beginning(target) + secrets.token_hex(8))
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        if fcntl is None:
            return path, file
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return path, file
        os.close(file)  # another process took it for a leftover before it was locked


def _sweep(target: Path) -> None:
    """Remove temporary files for this target whose writers are gone."""
    if fcntl is None or target in _swept:
        return
    _swept.add(target)
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if name.startswith(_beginning(target)):
                with contextlib.suppress(OSError):
                    _remove(target.with_name(name))


def _remove(leftover: Path) -> None:
    file = os.open(leftover, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while its writer lives
        leftover.unlink()
    finally:
        os.close(file)

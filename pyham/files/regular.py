"""The bytes of a file that somebody else may have made."""

import os
import stat
from os import PathLike


def content(path: str | PathLike[str], expected: str) -> bytes:
    """The bytes of a regular file: a pipe might never begin, a device never end.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is no file.
    """
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # a directory cannot be opened: that is an OSError
        raise ValueError(f"{path}: expected {expected}, got something that is no file")
    with open(path, "rb") as file:
        return file.read(os.fstat(file.fileno()).st_size)

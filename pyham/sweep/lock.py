"""One sweep writes to a file at a time: a lock of the operating system, which it lifts when its holder dies.

POSIX record locks belong to a process and not to its children, so that a worker that outlives a killed sweep holds
nothing. They do not tell the threads of one process apart; a set does.
"""

import os
import socket
import threading
from pathlib import Path

_held: set[Path] = set()
_guard = threading.Lock()


class Lock:
    """Held from the beginning until ``release``, or until this process ends.

    Raises
    ------
    BlockingIOError
        If somebody else holds it.
    OSError
        If the folder cannot be written to, or its file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        self._target = Path(os.path.realpath(path))  # whatever links lead to it, there is one lock
        self._path = self._target.with_name(f".{self._target.name}.lock")
        with _guard:
            if self._target in _held:
                raise self._taken(f"another sweep of this process, {os.getpid()}")
            self._file = self._open()
            _held.add(self._target)

    def _open(self) -> int:
        import fcntl  # here, because only POSIX systems have it

        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._path.exists() and os.path.samestat(os.fstat(file), os.stat(self._path)):
                    os.ftruncate(file, 0)
                    os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
                    return file
            except (BlockingIOError, PermissionError):  # which of them is the system's choice
                holder = os.read(file, 200).decode(errors="replace")
                os.close(file)
                raise self._taken(holder or "another process") from None
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # whoever held it has just removed it: lock the new one

    def release(self) -> None:
        """Let others have it."""
        with _guard:
            if self._target in _held:
                try:
                    self._path.unlink(missing_ok=True)
                    os.close(self._file)
                finally:
                    _held.remove(self._target)

    def _taken(self, holder: str) -> BlockingIOError:
        return BlockingIOError(f"{self._target}: expected a file that no other sweep writes to, got that of {holder}")

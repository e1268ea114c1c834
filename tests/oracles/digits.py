"""MNIST's four files for the tests: from the folder PYHAM_DATA, otherwise scikit-learn's small digits in their format.

``server`` hands files out on this machine, and misbehaves where asked to.
"""

import functools
import gzip
import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from pyham.data import mnist

Array = np.ndarray[Any, Any]
Answer = bytes | Callable[[BaseHTTPRequestHandler], None]

NAMES = tuple(file.name for file in mnist.FILES)


def idx_bytes(array: Array, code: int = 0x08) -> bytes:
    """An IDX file, from the definition of the format."""
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


#: The folder with MNIST itself, or None; read now, because tests change the environment.
FOLDER = Path(os.environ["PYHAM_DATA"]) if os.environ.get("PYHAM_DATA") else None
if FOLDER is not None and not all((FOLDER / f"{name}.gz").is_file() for name in NAMES):
    FOLDER = None


@functools.cache
def files() -> dict[str, bytes]:
    """Name -> uncompressed file."""
    if FOLDER is not None:
        return {name: gzip.decompress((FOLDER / f"{name}.gz").read_bytes()) for name in NAMES}
    small = load_digits()
    images, labels = (small.images * 15).astype(np.uint8), small.target.astype(np.uint8)  # ink 0..16 becomes 0..240
    return dict(zip(NAMES, map(idx_bytes, (images[:1500], labels[:1500], images[1500:], labels[1500:])), strict=True))


def arrays() -> dict[str, Array]:
    """Name -> array, read without pyham."""
    result = {}
    for name, content in files().items():
        shape = struct.unpack_from(f">{content[3]}I", content, 4)
        result[name] = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    return result


@functools.cache
def packed() -> dict[str, bytes]:
    """Path on a server -> compressed file."""
    return {f"/{name}.gz": gzip.compress(content, compresslevel=1) for name, content in files().items()}


def described() -> tuple[mnist.File, ...]:
    """What pyham.data.mnist.FILES says of MNIST, of these files."""
    return tuple(
        mnist.File(name, arrays()[name].shape, hashlib.sha256(content).hexdigest()) for name, content in files().items()
    )


@contextmanager
def server(answers: dict[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """(base URL, paths asked for so far) of a server with these answers; other paths get status 404."""
    asked: list[str] = []
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers.get(self.path)
            if answer is None:
                self.send_error(404)
            elif isinstance(answer, bytes):
                send(self, answer, len(answer))
            else:
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.closing = closing  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/", asked
        finally:
            closing.set()
            http.shutdown()
            thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, length: int | None) -> None:
    """``body``, of which the header says that it has ``length`` bytes, or nothing."""
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    with suppress(ConnectionError):  # the client has seen enough
        handler.wfile.write(body)

"""MNIST from the cache or a server: the right digits or one clear error, and never half a cache."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pyham.data import mnist
from pyham.data.mnist import load_mnist
from tests.oracles import digits

MIRRORS = mnist.MIRRORS  # before the tests put their own in its place
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = digits.NAMES


def assert_holds(loaded, arrays):
    for array, expected in zip(loaded, arrays.values(), strict=True):
        assert array.dtype == np.uint8 and np.array_equal(array, expected)


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def everything_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def served(monkeypatch):
    """Answers of a server, which a test may change; FILES describes what it has."""
    monkeypatch.setattr(mnist, "FILES", digits.described())
    return dict(digits.packed())


def test_download_fills_the_cache_which_then_needs_no_network(served, cache, monkeypatch, capsys):
    with digits.server(served) as (base, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (base,))
        assert_holds(load_mnist(), digits.arrays())
        assert sorted(asked) == sorted(served)
    assert everything_in(cache.parent.parent) == sorted(f"{name}.gz" for name in digits.NAMES)
    for path, body in served.items():
        assert (cache / path[1:]).read_bytes() == body
    assert_holds(load_mnist(), digits.arrays())  # the server is gone
    assert capsys.readouterr() == ("", "")  # no bar where there is no terminal


@pytest.mark.parametrize("damage", [lambda body: body[:-1], lambda body: b"", lambda body: body[:99] + body[100:]])
def test_only_damaged_files_of_the_cache_are_downloaded_again(damage, served, cache, monkeypatch):
    put(cache, {path[1:]: body for path, body in served.items()})
    damaged = f"{TEST_LABELS}.gz"
    (cache / damaged).write_bytes(damage(served[f"/{damaged}"]))
    with digits.server(served) as (base, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (base,))
        assert_holds(load_mnist(), digits.arrays())
        assert asked == [f"/{damaged}"]
    assert (cache / damaged).read_bytes() == served[f"/{damaged}"]


def other(body):
    """A file of the right shape, with one bit different."""
    content = gzip.decompress(body)
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "answer", "error", "message"),
    [
        (
            TRAIN_IMAGES,
            lambda body: lambda h: digits.send(h, body[:-100], len(body)),
            OSError,
            r"expected \d+ bytes, got",
        ),
        (TEST_LABELS, lambda body: lambda h: digits.send(h, body[:-100], None), ValueError, "got a truncated file"),
        (TRAIN_IMAGES, lambda body: None, OSError, "got HTTP status 404"),
        (TEST_LABELS, lambda body: b"<html>Please log in</html>", ValueError, "an IDX file, .*, got 3c 68 74 6d"),
        (TEST_LABELS, lambda body: gzip.compress(other(body), 1), ValueError, r"expected SHA-256 \w+ .*, got \w+"),
        (TRAIN_IMAGES, lambda body: body + b"more", ValueError, "the end of the file, or gzip data, got 6d 6f 72 65"),
        (TEST_LABELS, lambda body: gzip.compress(digits.idx_bytes(np.eye(2))), ValueError, "expected uint8 of"),
        (TRAIN_IMAGES, lambda body: bytes(mnist.LIMIT + 1), ValueError, "expected at most 67108864 bytes, got more"),
    ],
)
def test_failed_downloads_raise_and_leave_no_cache(name, answer, error, message, served, cache, monkeypatch):
    served[f"/{name}.gz"] = answer(served[f"/{name}.gz"])
    with digits.server(served) as (base, _):
        monkeypatch.setattr(mnist, "MIRRORS", (base,))
        with pytest.raises(error, match=message) as caught:
            load_mnist()
    assert str(caught.value).startswith(f"MNIST: expected to download {name}, got: {base}{name}.gz: expected ")
    assert str(caught.value).endswith("; a folder with the files may be given instead")
    assert everything_in(cache.parent.parent) == []


def test_second_mirror_serves_what_the_first_does_not(served, cache, monkeypatch):
    first = served | {f"/{TRAIN_LABELS}.gz": b"<html>"}
    del first[f"/{TEST_IMAGES}.gz"]
    with digits.server(first) as (one, _), digits.server(served) as (two, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (one, two))
        assert_holds(load_mnist(), digits.arrays())
        assert asked == [f"/{TRAIN_LABELS}.gz", f"/{TEST_IMAGES}.gz"]
    assert len(everything_in(cache)) == 4


def test_mirrors_are_secure():
    assert len(MIRRORS) > 0
    for mirror in MIRRORS:
        assert mirror.startswith("https://") and mirror.endswith("/")


@pytest.mark.parametrize("killed", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_downloads_leave_no_cache(killed, served, tmp_path):
    """A process that is stopped while the last of the files comes."""
    body, halfway = served[f"/{TEST_LABELS}.gz"], []

    def stall(handler):
        digits.send(handler, body[: len(body) // 2], len(body))
        handler.wfile.flush()
        halfway.append(True)
        handler.server.closing.wait(30)

    served[f"/{TEST_LABELS}.gz"] = stall
    with digits.server(served) as (base, _):
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"from pyham import mnist; mnist.MIRRORS = ({base!r},)\n"
            f"mnist.FILES = tuple(mnist.File(*file) for file in {[tuple(file) for file in mnist.FILES]!r})\n"
            "mnist.load_mnist()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=Path(mnist.__file__).parent.parent, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while not halfway and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(killed)
        _, printed = child.communicate(timeout=30)
    assert halfway
    assert printed.strip().endswith("KeyboardInterrupt") if killed == signal.SIGINT else child.returncode == -killed
    assert everything_in(tmp_path) == []


def test_interrupted_writing_leaves_whole_files_only(served, cache, monkeypatch):
    fsync, done = os.fsync, []

    def third_fails(file):
        done.append(file)
        if len(done) == 3:
            raise OSError("No space left on device")
        fsync(file)

    with digits.server(served) as (base, asked):
        monkeypatch.setattr(mnist, "MIRRORS", (base,))
        with monkeypatch.context() as patched, pytest.raises(OSError, match=r"No space left on device"):
            patched.setattr(os, "fsync", third_fails)
            load_mnist()
        assert everything_in(cache) == sorted(f"{name}.gz" for name in (TRAIN_IMAGES, TRAIN_LABELS))
        asked.clear()
        assert_holds(load_mnist(), digits.arrays())
        assert asked == [f"/{TEST_IMAGES}.gz", f"/{TEST_LABELS}.gz"]


def test_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    assert mnist.cache_folder() == tmp_path / "cache" / "pyham" / "mnist"
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/path"):  # ignored, as the XDG specification says
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert mnist.cache_folder() == tmp_path / ".cache" / "pyham" / "mnist"

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(FileNotFoundError, match="XDG_CACHE_HOME: expected a folder"):
        mnist.cache_folder()


def test_the_four_files_are_those_of_the_data_set():
    assert [(file.name, file.shape) for file in mnist.FILES] == [
        ("train-images-idx3-ubyte", (60000, 28, 28)),
        ("train-labels-idx1-ubyte", (60000,)),
        ("t10k-images-idx3-ubyte", (10000, 28, 28)),
        ("t10k-labels-idx1-ubyte", (10000,)),
    ]


@pytest.mark.parametrize(("errors", "kind"), [((OSError, OSError), OSError), ((OSError, ValueError), ValueError)])
def test_a_download_that_fails_everywhere_names_every_failure(errors, kind, monkeypatch):
    failures = [error(f"number {i}") for i, error in enumerate(errors)]
    monkeypatch.setattr(mnist, "MIRRORS", ("http://a/", "http://b/"))
    left = iter(failures)

    def fetch(url, limit, report):
        raise next(left)

    monkeypatch.setattr(mnist.download, "fetch", fetch)
    with pytest.raises(kind, match="got: number 0; number 1; a folder") as raised:
        mnist._download(mnist.FILES[0])
    assert type(raised.value) is kind

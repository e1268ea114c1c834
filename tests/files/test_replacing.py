"""Files are replaced as a whole; links, permissions and devices stay what they are; leftovers of a kill are removed."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading

import pytest

from pyham.files import replacing
from pyham.files.replacing import check_writable, replace_file


@pytest.fixture(autouse=True)
def first_in_a_process():
    """As in a new process, which has looked for leftovers nowhere yet."""
    replacing._swept.clear()


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    for target in (tmp_path / "there" / "file", tmp_path / "there" / "new"):
        link = tmp_path / f"link-{target.name}"
        link.symlink_to(target)
        (tmp_path / "further").unlink(missing_ok=True)
        (tmp_path / "further").symlink_to(link)
        check_writable(tmp_path / "further")
        replace_file(tmp_path / "further", b"content")
        assert link.is_symlink() and (tmp_path / "further").is_symlink() and target.read_bytes() == b"content"
        assert not target.is_symlink()


def test_links_in_a_circle_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for write in (lambda path: replace_file(path, b"x"), check_writable):
        with pytest.raises(OSError, match="levels of symbolic links"):
            write(tmp_path / "a")


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o664, 0o400, 0o755])
def test_permissions_of_an_old_file_are_kept(mode, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    replace_file(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_that_open_gives(tmp_path):
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_devices_and_pipes_are_written_to_and_stay(tmp_path):
    check_writable(os.devnull)
    replace_file(os.devnull, b"nothing")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    os.mkfifo(tmp_path / "pipe")
    heard = []
    reader = threading.Thread(target=lambda: heard.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    check_writable(tmp_path / "pipe")
    replace_file(tmp_path / "pipe", b"through")
    reader.join()
    assert heard == [b"through"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        replace_file("/dev/full", b"too much")


NAMES = ["n" * 255, "ü" * 127, "-", ".hidden", "two words\n", b"\xff\xfe".decode("utf-8", "surrogateescape")]


@pytest.mark.parametrize("name", NAMES)
def test_names_may_be_as_long_and_as_odd_as_the_system_allows(name, tmp_path):
    check_writable(tmp_path / name)
    replace_file(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content" and len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_is_said_before_and_changes_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    for path, error in (
        (tmp_path / "no" / "where", FileNotFoundError), (tmp_path, IsADirectoryError),
        (tmp_path / "file" / "in", NotADirectoryError), (tmp_path / ("n" * 256), OSError),
    ):  # fmt: skip
        for write in (check_writable, lambda path: replace_file(path, b"new")):
            with pytest.raises(error, match=re.escape(str(path))):
                write(path)
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(call, error, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_what_a_file_s_folder_refuses_is_said_before_too(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(PermissionError, match="/dev/null"):
        check_writable("/dev/null")

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "access", lambda *arguments: True)  # says nothing about the folder of a regular file
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        check_writable(tmp_path / "file")


def test_an_interruption_after_the_replacement_is_itself(tmp_path, monkeypatch):
    exact = os.replace

    def interrupted(*paths):
        exact(*paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_temporary_file_that_another_process_removes_is_made_again(tmp_path, monkeypatch):
    before, taken = descriptors(), []

    def take(file, operation):
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()

    monkeypatch.setattr(replacing.fcntl, "flock", take)
    replace_file(tmp_path / "file", b"new")
    check_writable(tmp_path / "file")
    assert len(taken) == 1 and (tmp_path / "file").read_bytes() == b"new" and descriptors() == before


KILLED = """
import os, signal, sys
from pyham.files import replacing
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
replacing.replace_file(sys.argv[1], b"half")
"""


def test_leftovers_of_a_kill_are_gone_after_the_next_write(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / ".pyham-of somebody else").touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "file")], check=False)
    assert killed.returncode == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 3
    replace_file(tmp_path / "other", b"new")
    assert len(list(tmp_path.iterdir())) == 4  # what is left of another path may be its own affair
    replace_file(tmp_path / "file", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "other", ".pyham-of somebody else"}


def test_a_living_writer_s_file_is_no_leftover(tmp_path):
    path, file = replacing._temporary(tmp_path / "file")
    replace_file(tmp_path / "file", b"of another writer")
    assert path.exists()
    os.close(file)  # as when its process ends
    replacing._swept.clear()
    replace_file(tmp_path / "file", b"later")
    assert not path.exists()


def test_writers_at_once_each_write_a_whole_file(tmp_path):
    contents = [bytes([65 + i]) * 100_000 for i in range(8)]

    def write(content):
        for _ in range(20):
            replacing._swept.clear()
            replace_file(tmp_path / "file", content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents and len(list(tmp_path.iterdir())) == 1

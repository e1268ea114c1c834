"""NumPy's files are read like NumPy reads them, and hostile ones are refused before they cost memory."""

import io
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pyham.files import numpy_files
from pyham.files.numpy_files import is_npz, read_npy, read_npz

DTYPES = st.sampled_from(["f4", "f8", ">f8", "i2", "u1", "c16", "?", "U3", "M8[s]"])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_dims=3)))


@given(ARRAYS, st.booleans(), st.booleans())
def test_arrays_come_back(tmp_path_factory, value, fortran, compressed):
    folder = tmp_path_factory.mktemp("numpy")
    value = np.asfortranarray(value) if fortran else value
    np.save(folder / "a.npy", value)
    (np.savez_compressed if compressed else np.savez)(folder / "a.npz", one=value, two=value[None])
    found = read_npz(folder / "a.npz")
    for again, original in ((read_npy(folder / "a.npy"), value), (found["one"], value), (found["two"], value[None])):
        assert (again.shape, again.dtype) == (original.shape, original.dtype) and again.flags.writeable
        assert again.tobytes() == np.ascontiguousarray(original).tobytes()
    assert list(found) == ["one", "two"]


def npy(header, content=b"", version=(1, 0)):
    """The bytes of an .npy file with that header."""
    text = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + content


def plain(shape, descr="'<f8'", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


HOSTILE = {
    "a shape of 10^15": npy(plain("(10**15,)".replace("10**15", str(10**15)))),
    "a shape whose product overflows": npy(plain(f"({2**62}, {2**62}, 4)")),
    "a negative shape": npy(plain("(-1, -1)"), b"\0" * 8),
    "too few bytes": npy(plain("(3,)"), b"\0" * 16),
    "too many bytes": npy(plain("(3,)"), b"\0" * 32),
    "objects": npy(plain("(1,)", "'|O'"), b"\0" * 8),
    "objects, but none of them": npy(plain("(0,)", "'|O'")),
    "objects inside": npy(plain("(1,)", "[('a', '|O')]"), b"\0" * 8),
    "no dtype": npy(plain("(1,)", "'spam'"), b"\0" * 8),
    "code for a header": npy("__import__('os').system('true')", b"\0" * 8),
    "a deeply nested header": npy("(" * 3000 + ")" * 3000),
    "an unclosed header": npy("{'descr': '<f8', 'shape': (1,"),
    "an unknown version": npy(plain("(1,)"), b"\0" * 8, (9, 0)),
    "a header longer than the file": b"\x93NUMPY\x01\x00\xff\xff{}",
    "nothing": b"",
    "another program's bytes": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("ignore:Reading")
def test_hostile_arrays_are_refused_and_cost_nothing(kind, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(HOSTILE[kind])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("K.npy", HOSTILE[kind])
    tracemalloc.start()
    for read, name in ((read_npy, "a.npy"), (read_npz, "a.npz")):
        with pytest.raises(ValueError, match=rf"{name}: expected an \.np. file of plain (numbers|arrays), got another"):
            read(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", ["(1,)", "(1L,)"])
def test_files_of_every_version_are_read_without_warnings(version, shape, tmp_path):
    """Python 2 wrote an L behind numbers."""
    (tmp_path / "a.npy").write_bytes(npy(plain(shape), np.array([2.5]).tobytes(), version))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), [2.5])


def test_archives_are_told_by_how_they_begin(tmp_path):
    np.savez(tmp_path / "full", a=np.ones(2))
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    np.save(tmp_path / "a.npy", np.ones(2))
    assert [is_npz(tmp_path / name) for name in ("full.npz", "empty.npz", "a.npy")] == [True, True, False]
    (tmp_path / "PK").write_bytes(b"PK\x03")
    assert not is_npz(tmp_path / "PK")


def test_archives_may_be_large_where_their_files_are(tmp_path, monkeypatch):
    monkeypatch.setattr(numpy_files, "UNPACKED", 10)
    np.savez(tmp_path / "a.npz", a=np.ones(1000))
    assert read_npz(tmp_path / "a.npz")["a"].shape == (1000,)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    assert numpy_files.UNPACKED <= 1 << 30
    monkeypatch.setattr(numpy_files, "UNPACKED", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", K=np.zeros(1 << 22))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 16
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.npz: .*it would unpack to 1 arrays of 33\d+ bytes"):
        read_npz(tmp_path / "bomb.npz")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@given(st.data())
def test_damaged_archives_are_read_or_refused(tmp_path_factory, data):
    stream = io.BytesIO()
    np.savez_compressed(stream, K=np.arange(12.0).reshape(3, 4), b=np.ones(3, "f4"), scheme="euler")
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_npz(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: expected an .npz file")


@pytest.mark.parametrize("read", [read_npy, read_npz])
def test_devices_and_folders_are_no_files(read, tmp_path):
    with pytest.raises(ValueError, match=r"/dev/zero: expected an \.np. file, got something that is no file"):
        read("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing")

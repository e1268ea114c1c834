"""IDX files: what is written is what is read, in the format's own bytes; anything else is one clear error."""

import gzip
import io
import os
import struct
import tracemalloc

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from pyham.data import idx
from tests.data import fuzz_idx
from tests.oracles import digits, fuzzing

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
ARRAYS = st.sampled_from([order + kind for kind in CODES for order in "<>"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7))
)


def content(array):
    """An IDX file, from the definition of the format."""
    return digits.idx_bytes(array.astype(array.dtype.newbyteorder(">")), CODES[array.dtype.str[1:]])


@pytest.fixture
def sample():
    return np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def saved(folder, data, name="file.idx"):
    (folder / name).write_bytes(data)
    return folder / name


@given(array=ARRAYS, form=st.sampled_from(["C", "T", "::-1", "F"]))
def test_files_follow_the_definition_of_the_format_and_come_back(array, form, tmp_path_factory):
    folder = tmp_path_factory.mktemp("idx")
    array = {"C": array, "T": array.T, "::-1": array[::-1, ...], "F": np.asfortranarray(array)}[form]
    for path in (folder / "plain", folder / "packed.gz"):
        idx.write_idx(path, array)
        written = path.read_bytes()
        assert (written if path.name == "plain" else gzip.decompress(written)) == content(array)
        back = idx.read_idx(str(path))
        assert back.shape == array.shape and back.dtype == array.dtype.newbyteorder("=")
        assert back.astype(array.dtype).tobytes() == array.tobytes()  # bitwise: NaN payloads and signs of zero too
        assert back.dtype.isnative and back.flags.c_contiguous and back.flags.aligned and back.flags.writeable
    assert written[4:8] == bytes(4)  # no time, so that the same array gives the same file


def test_first_bytes_and_not_the_name_tell_whether_it_is_compressed(tmp_path, sample):
    plain, packed = content(sample), gzip.compress(content(sample), mtime=0)
    for data, name in ((plain, "plain.gz"), (packed, "packed.idx"), (packed, "packed.gz"), (plain, "plain")):
        assert np.array_equal(idx.read_idx(saved(tmp_path, data, name)), sample)


def test_gzip_files_of_several_members_are_read_as_one(tmp_path, sample):
    data = content(sample)
    parts = [data[:3], b"", data[3:20], data[20:], b""]
    path = saved(tmp_path, b"".join(map(gzip.compress, parts)))
    assert np.array_equal(idx.read_idx(path), sample)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
def test_pieces_of_any_size_give_the_same(piece, tmp_path, sample, monkeypatch):
    monkeypatch.setattr(idx, "PIECE", piece)
    data = content(sample)
    for form in (
        data,
        gzip.compress(data, mtime=0),
        gzip.compress(data[:9], mtime=0) + gzip.compress(data[9:], mtime=0),
    ):
        assert np.array_equal(idx.read_idx(saved(tmp_path, form)), sample)
        with pytest.raises(ValueError, match=r"truncated|bytes of data"):
            idx.read_idx(saved(tmp_path, form[:-1]))


def test_expected_shape_and_dtype_are_checked_before_data_is_read(tmp_path, sample):
    path = saved(tmp_path, content(sample))
    assert np.array_equal(idx.read_idx(path, shape=("B", 3, 4), dtype="uint8"), sample)
    assert np.array_equal(idx.read_idx(path, shape=("B", "rows", 4)), sample)
    path = saved(tmp_path, content(sample)[:16])
    for shape in (("B",), (2, 3, 5), ("B", 3, 4, 1), ()):
        with pytest.raises(ValueError, match=r"expected numbers of shape .*, got uint8 of shape \(2, 3, 4\)"):
            idx.read_idx(path, shape=shape)
    with pytest.raises(ValueError, match=r"expected int16 of any shape, got uint8 of shape \(2, 3, 4\)"):
        idx.read_idx(path, dtype="int16")
    with pytest.raises(ValueError, match=r"expected float32 of shape \(B, 3, 4\), got uint8 of shape \(2, 3, 4\)"):
        idx.read_idx(path, shape=("B", 3, 4), dtype="float32")


DATA = content(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))  # a header of 16 bytes, then 24
PACKED = gzip.compress(DATA, mtime=0)
HUGE = struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected the 4 bytes that begin an IDX file, got 0"),
        (b"\0\0\x08", "expected the 4 bytes that begin an IDX file, got 3"),
        (b"\x89PNG\r\n", "expected an IDX file, which begins with 00 00 and one of 08, .*, got 89 50 4e 47"),
        (b"\0\0\x0a\x01" + DATA[4:], "begins with 00 00 and one of 08, 09, 0b, 0c, 0d, 0e, got 00 00 0a 01"),
        (b"\0\1" + DATA[2:], "got 00 01 08 03"),
        (b"\0\0\x08\x00\x01", "expected 1 to 32 dimensions, got 0"),
        (b"\0\0\x08\x21" + DATA, "expected 1 to 32 dimensions, got 33"),
        (DATA[:15], "expected a header of 16 bytes, got 15"),
        (DATA[:16], r"expected 24 bytes of data, uint8 of shape \(2, 3, 4\), got 0"),
        (DATA[:-1], r"expected 24 bytes of data, uint8 of shape \(2, 3, 4\), got 23"),
        (DATA + b"\0", r"expected 24 bytes of data, uint8 of shape \(2, 3, 4\), got 25"),
        (HUGE + bytes(100), "expected an array that this machine can address, got uint8"),
        (struct.pack(">HBB3I", 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), "that this machine can address, got uint8"),
        (struct.pack(">HBB2I", 0, 14, 2, 2**31, 2**20), r"expected 18014398509481984 bytes .*, got 0"),
        (
            gzip.compress(struct.pack(">HBBI", 0, 8, 1, 2**31), mtime=0),
            "expected 2147483648 bytes of data, .*, got at most",
        ),
        (gzip.compress(DATA[:-1], mtime=0), "expected 24 bytes of data, .*, got 23"),
        (gzip.compress(DATA + b"\0", mtime=0), "expected 24 bytes of data, .*, got at least 25"),
        (gzip.compress(DATA, mtime=0) + gzip.compress(b"1", mtime=0), "expected 24 bytes of data, .*, got at least 25"),
        (PACKED[:5], "expected whole gzip data, got a truncated file"),
        (PACKED[:-1], "expected whole gzip data, got a truncated file"),
        (PACKED[:-8], "expected whole gzip data, got a truncated file"),
        (PACKED + PACKED[:1], "expected whole gzip data, got a truncated file"),
        (PACKED + b"\0" * 7, "expected the end of the file, or gzip data, got 00 00 00 00"),
        (PACKED + DATA, "expected the end of the file, or gzip data, got 00 00 08 03"),
        (PACKED[:-8] + b"\0\1\2\3" + PACKED[-4:], r"expected intact gzip data, got damaged \(.*incorrect data check\)"),
        (PACKED[:-4] + b"\0\1\2\3", r"expected intact gzip data, got damaged \(.*incorrect length check\)"),
        (PACKED[:2] + b"\7" + PACKED[3:], r"expected intact gzip data, got damaged \(.*compression method\)"),
        (gzip.compress(b"", mtime=0), "expected the 4 bytes that begin an IDX file, got 0"),
        (gzip.compress(PACKED, mtime=0), "got 1f 8b 08 00"),
    ],
)
def test_read__raises_on_damaged_files(data, message, tmp_path):
    path = saved(tmp_path, data)
    with pytest.raises(ValueError, match=message) as caught:
        idx.read_idx(path)
    assert str(caught.value).startswith(f"{path}: expected ")


def test_files_without_data_are_read(tmp_path):
    path = saved(tmp_path, struct.pack(">HBB2I", 0, 0x0E, 2, 0, 2**32 - 1))
    assert idx.read_idx(path).shape == (0, 2**32 - 1) and idx.read_idx(path).dtype == np.float64


def peak(read):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expected"):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_gzip_bombs_take_no_memory(tmp_path):
    """64 MiB of zeros behind a header for 10 bytes, and behind one for as much as they could be at most."""
    few = gzip.compress(struct.pack(">HBBI", 0, 8, 1, 10) + bytes(1 << 26))
    lying = gzip.compress(struct.pack(">HBBI", 0, 8, 1, 1 << 31) + bytes(1 << 26))
    for bomb in (few, lying):
        path = saved(tmp_path, bomb)
        assert peak(lambda path=path: idx.read_idx(path)) < 10 * idx.PIECE


def test_truncated_large_files_are_noticed_before_reading(tmp_path):
    path = saved(tmp_path, struct.pack(">HBBI", 0, 8, 1, (1 << 26) + 1))
    os.truncate(path, 8 + (1 << 26))  # sparse
    assert peak(lambda: idx.read_idx(path)) < 10 * idx.PIECE


def test_whole_arrays_take_little_more_than_their_size(tmp_path):
    array = np.zeros(1 << 24, np.float32)
    idx.write_idx(tmp_path / "array.gz", array)
    tracemalloc.start()
    idx.read_idx(tmp_path / "array.gz")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1.13 * array.nbytes + 10 * idx.PIECE  # a growing bytearray takes an eighth more than it needs


def test_parse_takes_any_seekable_file_and_names_it(sample):
    assert np.array_equal(idx.parse(io.BytesIO(DATA), "memory"), sample)
    with pytest.raises(ValueError, match=r"^memory: expected 24 bytes"):
        idx.parse(io.BytesIO(DATA[:-1]), "memory")


def test_read__raises_on_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        idx.read_idx(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        idx.read_idx(tmp_path)
    for path in (3, None, b"bytes"):
        with pytest.raises(TypeError, match=f"path: expected str or os.PathLike, got {type(path).__name__}"):
            idx.read_idx(path)


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        ([1, 2], TypeError, "array: expected a NumPy array, got list"),
        (
            np.arange(3, dtype=np.int64),
            TypeError,
            r"array: expected dtype uint8, .*, float64, got int64",
        ),
        (np.ones(3, bool), TypeError, "got bool"),
        (np.ones(3, np.uint16), TypeError, "got uint16"),
        (np.ones(3, complex), TypeError, "got complex128"),
        (np.array([{}]), TypeError, "got object"),
        (np.full((), 1.5), ValueError, "array: expected 1 to 32 dimensions, got 0"),
        (np.empty((0, 2**32), np.uint8), ValueError, r"array: expected dimensions below 2\^32, got \(0, 4294967296\)"),
    ],
)
def test_write__raises_on_what_the_format_does_not_hold(array, error, message, tmp_path):
    with pytest.raises(error, match=message):
        idx.write_idx(tmp_path / "file", array)
    assert list(tmp_path.iterdir()) == []


def test_mutated_files_give_documented_errors_in_bounded_memory(slow):
    count = 20_000 if slow else 400
    counts, violations, _ = fuzzing.run(fuzz_idx.make, count, seed=0)
    assert violations == []
    assert counts["refused"] > count / 4 and counts["read"] > count / 10  # neither all bad nor all good


def test_arrays_of_as_many_dimensions_as_numpy_has(tmp_path):
    array = np.arange(2, dtype=np.uint8).reshape([2] + 31 * [1])
    idx.write_idx(tmp_path / "file", array)
    assert np.array_equal(idx.read_idx(tmp_path / "file"), array)
    with pytest.raises(ValueError, match="expected 1 to 32 dimensions, got 33"):
        idx.read_idx(saved(tmp_path, struct.pack(">BBBB33I", 0, 0, 8, 33, *33 * [1]) + b"x"))


@given(array=ARRAYS)
def test_mapped_files_are_what_is_read(array, tmp_path_factory):
    path = tmp_path_factory.mktemp("idx") / "plain"
    idx.write_idx(path, array)
    mapped = idx.read_idx(path, mmap=True)
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    assert mapped.shape == array.shape and mapped.dtype == array.dtype.newbyteorder(">")
    assert mapped.tobytes() == idx.read_idx(path).astype(mapped.dtype).tobytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PACKED, "expected an uncompressed file, as it is to be memory-mapped, got gzip data"),
        (DATA[:-1], r"expected 24 bytes of data, uint8 of shape \(2, 3, 4\), got 23"),
        (DATA + b"\0", r"expected 24 bytes of data, uint8 of shape \(2, 3, 4\), got 25"),
        (HUGE + bytes(100), "expected an array that this machine can address, got uint8"),
        (DATA[:3], "expected the 4 bytes that begin an IDX file, got 3"),
        (content(np.zeros(3, np.int16)), r"expected uint8 of any shape, got int16 of shape \(3,\)"),
    ],
)
def test_map__raises_on_what_is_no_plain_file_as_it_states(data, message, tmp_path):
    path = saved(tmp_path, data)
    with pytest.raises(ValueError, match=message) as caught:
        idx.read_idx(path, mmap=True, dtype="uint8")
    assert str(caught.value).startswith(f"{path}: expected ")


def test_mapped_files_are_not_read(tmp_path):
    path = saved(tmp_path, struct.pack(">HBB2I", 0, 8, 2, 1 << 20, 1 << 16))
    os.truncate(path, 12 + (1 << 36))  # 64 GB, sparse
    assert idx.read_idx(path, mmap=True)[-1, -1] == 0

"""The file format: what ``write`` accepts, ``read`` reads; all but whole files of pyham's are refused.

Reading a file that is refused takes no more memory than a small multiple of its size.
"""

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

import pyham
from pyham.files import archive
from tests.files.fuzz_checkpoint import parts, with_header

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3)}


def refused(path, match):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"^{path}: expected .*{match}"):
            archive.read(path)
        assert tracemalloc.get_traced_memory()[1] < 12 * path.stat().st_size + 100_000
    finally:
        tracemalloc.stop()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def write_raw(path, text):
    """A file whose layout is sound, with any text where pyham's header stands."""
    path.write_bytes(save(ARRAYS, {"pyham": text}))


def rewrite(path, change):
    """A file whose safetensors header is another."""
    write_raw(path, "{}")
    header, rest = parts(path.read_bytes())
    change(header)
    path.write_bytes(with_header(json.dumps(header).encode(), rest))


# Writing


def test_arrays_and_header_come_back(path):
    for order in ("C", "F"):
        arrays = {"a": np.asarray(ARRAYS["a"], order=order), "big": np.arange(3, dtype=">f4"), "t": ARRAYS["a"].T}
        archive.write(path, {"x": [1, {"y": 2.5}]}, arrays)
        header, found = archive.read(path)
        assert header == {"x": [1, {"y": 2.5}]}
        assert all(np.array_equal(found[name], value) for name, value in arrays.items())


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex64, np.complex128, bool, "U3", object])
def test_write__raises_on_types_that_files_do_not_hold(dtype, path):
    with pytest.raises(TypeError, match=rf"a: expected a real dtype of at most 64 bits, got {np.dtype(dtype)}$"):
        archive.write(path, {}, {"a": np.zeros(2, dtype)})
    assert not path.exists()


def test_write__raises_on_headers_that_no_reader_accepts(path):
    for header in ({"a": "x" * (1 << 23)}, {"a": [[]] * 5000}):
        with pytest.raises(ValueError, match="header: expected less than 8388608 bytes and 4096 brackets, got more"):
            archive.write(path, header, {})
    assert not path.exists()


@pytest.mark.parametrize("count", [0, 1, 20])
def test_what_write_accepts_read_reads(count, path, monkeypatch):
    """The most brackets that ``write`` takes for so many arrays are not too many for ``read``."""
    monkeypatch.setattr(archive, "BRACKETS", 128)
    arrays = {f"a{i}": np.zeros(1) for i in range(count)}
    written = 0
    for brackets in range(128 - 4 * count - 20, 129):
        try:
            archive.write(path, {"x": [[]] * (brackets - 2)}, arrays)
        except ValueError:
            break
        written = brackets
    archive.write(path, {"x": [[]] * (written - 2)}, arrays)
    assert len(archive.read(path)[1]) == count


def test_content_is_on_the_disk_before_it_gets_its_name(path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append(os.fstat(file).st_size))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (seen.append("renamed"), replace(old, new)))
    archive.replace_file(path, b"few")  # and so in a buffer until it is flushed
    assert seen == [3, "renamed"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("gone", [False, True])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(gone, error, step, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def fail(*arguments):
        for temporary in tmp_path.glob(".file.*") if gone else ():
            temporary.unlink()
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        archive.replace_file(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"old"


# What is damaged, or says of itself what is not so


@pytest.mark.parametrize("version", ["0", "3", "12345678901", "x", "", "-1", "1.5", "٣", 2, None])
def test_read__raises_on_other_versions(version, path):
    write_raw(path, json.dumps({"version": version, "sha256": "", "header": {}}))
    refused(path, "format version <= 2, got")
    write_raw(path, json.dumps({"version": "9" * 1000, "sha256": "", "header": {}}))
    refused(path, r"got '9{39}$")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("[]", "a JSON object as header, got list$"),
        ("1", "a JSON object as header, got int$"),
        ("null", "a JSON object as header, got NoneType$"),
    ],
)
def test_read__raises_on_a_header_that_is_no_object(header, match, path):
    path.write_bytes(archive._encode("2", header, ARRAYS))
    refused(path, match)


NESTED = [
    opening * depth + "0" + end * depth for depth in (100, 3000, 200_000) for opening, end in ("[]", ('{"a":', "}"))
]


def test_headers_nested_as_deep_as_a_reader_takes_are_read_and_deeper_ones_not_written(path):
    def nested(levels):
        return {"a": []} if levels == 2 else {"a": nested(levels - 1)}

    for levels in (2, archive.LEVELS - 8):
        archive.write(path, nested(levels), {})
        assert archive.read(path)[0] == nested(levels)
    with pytest.raises(ValueError, match=r"^header: expected less than 56 levels of brackets, got more$"):
        archive.write(path, nested(archive.LEVELS - 7), {})


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ('{"a": "\\ud800"}', "the checksum that the file states, got another"),
        ('{"a": NaN}', "its header has NaN for a number"),
        ('{"a": Infinity}', "its header has Infinity for a number"),
        ('{"a": -Infinity}', "its header has -Infinity for a number"),
        ("9" * 5000, "damaged"),
        *((text, "") for text in NESTED),
        ("[" + "[]," * 10**6 + "0]", "its header is too large"),
        ("[" + "0," * 10**7 + "0]", "its header is longer than 16777216 bytes"),
    ],
    ids=lambda value: value[:20],
)
def test_read__raises_on_headers_that_are_none(header, match, path):
    write_raw(path, f'{{"version": "2", "sha256": "", "header": {header}}}')
    refused(path, match)
    path.write_bytes(with_header(header.encode(), b""))
    refused(path, "")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        *(
            ({"shape": shape}, "its array 'a' has")
            for shape in ([2**62], [2**32, 2**32], [2**62, 0], [3] * 12, [2.0, 3], ["2", 3], [2, True], [2, 2])
        ),
        ({"shape": [-2, -3]}, "its array 'a' has no shape"),
        ({"shape": [2, 3, *[1] * 15]}, "its array 'a' has no shape"),
        ({"shape": [2, 2]}, "its array 'a' has another size than its shape"),
        *(
            ({"dtype": dtype}, "its array 'a' is not described")
            for dtype in ("F8_E4M3", "BF16", "BOOL", "O", "", None, ["F64"], "F128")
        ),
        *(({"data_offsets": offsets}, "its array 'a' is not described") for offsets in ([0], None)),
        *(({"data_offsets": [start, start + 48]}, "overlap or leave gaps") for start in (8, 16, 10**18)),
        ({"data_offsets": [-8, 40]}, "its array 'a' has no shape"),
        ({"data_offsets": [48, 0]}, "its array 'a' has another size"),
        ({"shape": [2, 2], "data_offsets": [0, 32]}, "its arrays overlap or leave gaps"),
    ],
)
def test_read__raises_on_arrays_that_are_not_where_they_should_be(change, match, path):
    rewrite(path, lambda header: header["a"].update(change))
    refused(path, f"a whole file written by pyham, got a damaged one .*{match}")


@pytest.mark.parametrize("rest", [b"", b"x" * 8])
def test_read__raises_on_bytes_that_no_array_claims(rest, path):
    write_raw(path, "{}")
    content = path.read_bytes()
    path.write_bytes(content + rest if rest else content[:-8])
    refused(path, "its arrays do not fill it")


@pytest.mark.parametrize("more", [1, 8, 9, 10**6, 2**40, 2**63, 2**64])
def test_read__raises_on_a_header_that_ends_behind_the_file(more, path):
    write_raw(path, "{}")
    header, rest = parts(path.read_bytes())
    text = json.dumps(header).encode()
    path.write_bytes(with_header(text, rest, min(len(text) + len(rest) + more, 2**64 - 1)))
    refused(path, "its header does not fit into it")


def test_read__raises_on_a_checksum_of_other_contents(path):
    for turn in (lambda header: dict(reversed(header.items())), lambda header: header):
        archive.write(path, {"x": 1}, ARRAYS)
        header, rest = parts(path.read_bytes())
        text = header["__metadata__"]["pyham"]
        found = turn(header)
        if found is header:
            found["__metadata__"]["pyham"] = text.replace('"x": 1', '"x": 2')
        path.write_bytes(with_header(json.dumps(found).encode(), rest))
        refused(path, "the checksum that the file states, got another: the file is damaged")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"version": "1"}])
@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_read__raises_on_files_of_another_program(metadata, dtype, path):
    save_file({"b": np.zeros(3, dtype)}, path, metadata)
    refused(path, "a file written by pyham, got another program's$")


def test_load__raises_on_flipped_bits_cuts_and_random_content(path, rng, slow):
    """A bit of every byte, or every bit; every cut."""
    pyham.H2(width=2, depth=2, step=0.1).init(0).save(path)
    content = path.read_bytes()
    bits = [(i, bit) for i in range(len(content)) for bit in (range(8) if slow else [i % 8])]
    flipped = (content[:i] + bytes([content[i] ^ 1 << bit]) + content[i + 1 :] for i, bit in bits)
    cut = (content[:length] for length in range(len(content)))
    for damaged in (*flipped, *cut, content + b"\0", *map(rng.bytes, (1, 7, 8, 9, 100, len(content)))):
        path.write_bytes(damaged)
        try:
            pyham.load(path)
        except ValueError as error:  # any other exception fails the test
            assert str(error).startswith(f"{path}: expected ")
        else:
            pytest.fail(f"read a damaged file: {damaged!r}")


def test_read__raises_on_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # that nobody writes to
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match=f"{path}: expected a file written by pyham, got something that is no"):
            archive.read(path)
    with pytest.raises(IsADirectoryError):
        archive.read(tmp_path)


def test_read__raises_on_another_program_s_file_with_an_array_of_pyham_s_name(tmp_path):
    (tmp_path / "file").write_bytes(save({"pyham": np.zeros(2)}, {"other": "text"}))
    with pytest.raises(ValueError, match=r"file: .*its metadata has no text of pyham's"):
        archive.read(tmp_path / "file")

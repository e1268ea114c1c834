"""What ``write`` accepts, ``read`` reads; what is no file of pyham's is refused by the check that is meant for it."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import pyham
from pyham.files import archive
from tests.oracles import checkpoint_mutations

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3)}


def write_raw(path, text, arrays=ARRAYS):
    """A file whose layout is sound, with any text where pyham's header stands."""
    path.write_bytes(save(arrays, {"pyham": text}))


def test_arrays_and_header_come_back(tmp_path):
    for order in ("C", "F"):
        arrays = {"a": np.asarray(ARRAYS["a"], order=order), "big": np.arange(3, dtype=">f4"), "t": ARRAYS["a"].T}
        archive.write(tmp_path / "file", {"x": [1, {"y": 2.5}]}, arrays)
        header, found = archive.read(tmp_path / "file")
        assert header == {"x": [1, {"y": 2.5}]}
        assert all(np.array_equal(found[name], value) for name, value in arrays.items())


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex64, np.complex128, bool, "U3", object])
def test_write__raises_on_types_that_files_do_not_hold(dtype, tmp_path):
    with pytest.raises(TypeError, match="a: expected a real dtype of at most 64 bits, got"):
        archive.write(tmp_path / "file", {}, {"a": np.zeros(2, dtype)})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("count", [0, 1, 20])
def test_what_write_accepts_read_reads(count, tmp_path, monkeypatch):
    """The most brackets that ``write`` takes for so many arrays are not too many for ``read``."""
    monkeypatch.setattr(archive, "BRACKETS", 128)
    arrays = {f"a{i}": np.zeros(1) for i in range(count)}
    written = 0
    for brackets in range(128 - 4 * count - 20, 129):
        try:
            archive.write(tmp_path / "file", {"x": [[]] * (brackets - 2)}, arrays)
        except ValueError:
            break
        written = brackets
    archive.write(tmp_path / "file", {"x": [[]] * (written - 2)}, arrays)
    assert len(archive.read(tmp_path / "file")[1]) == count


def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append(os.fstat(file).st_size))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (seen.append("renamed"), replace(old, new)))
    archive.replace_file(tmp_path / "file", b"few")  # and so in a buffer until it is flushed
    assert seen == [3, "renamed"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(gone, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def fail(old, new):
        if gone:
            Path(old).unlink()
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        archive.replace_file(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("version", ["0", "3", "12345678901", "x", "", "٣", 2, None])
def test_read__raises_on_other_versions(version, tmp_path):
    write_raw(tmp_path / "file", json.dumps({"version": version, "sha256": "", "header": {}}))
    with pytest.raises(ValueError, match="file: expected format version <= 2, got"):
        archive.read(tmp_path / "file")


def test_a_long_version_is_named_in_a_few_characters(tmp_path):
    write_raw(tmp_path / "file", json.dumps({"version": "9" * 1000, "sha256": "", "header": {}}))
    with pytest.raises(ValueError, match=r"got '9{39}$"):
        archive.read(tmp_path / "file")


@pytest.mark.parametrize("header", ["[]", "1", "null"])
def test_read__raises_on_a_header_that_is_no_object(header, tmp_path):
    (tmp_path / "file").write_bytes(archive._encode("2", header, ARRAYS))
    with pytest.raises(ValueError, match="file: expected a JSON object as header, got"):
        archive.read(tmp_path / "file")


def test_read__raises_on_words_that_are_no_text(tmp_path):
    write_raw(tmp_path / "file", '{"version": "2", "sha256": "", "header": {"a": "\\ud800"}}')
    with pytest.raises(ValueError, match="the checksum that the file states, got another"):
        archive.read(tmp_path / "file")


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_read__raises_on_numbers_that_json_does_not_have(number, tmp_path):
    write_raw(tmp_path / "file", f'{{"version": "2", "sha256": "", "header": {{"a": {number}}}}}')
    with pytest.raises(ValueError, match=f"its header has {number} for a number"):
        archive.read(tmp_path / "file")


@pytest.mark.parametrize(
    ("shape", "offsets", "match"),
    [
        ([-2, -3], [0, 48], "its array 'a' has no shape"),
        ([2, 3], [-8, 40], "its array 'a' has no shape"),
        ([2, 3, *[1] * 15], [0, 48], "its array 'a' has no shape"),
        ([2, True], [0, 48], "its array 'a' has no shape"),
        ([2, 2], [0, 48], "its array 'a' has another size than its shape"),
        ([2, 3], [16, 64], "its arrays overlap or leave gaps"),
        ([2, 2], [0, 32], "its arrays overlap or leave gaps"),
    ],
)
def test_read__raises_on_places_that_arrays_cannot_have(shape, offsets, match, tmp_path):
    write_raw(tmp_path / "file", "{}")
    header, rest = checkpoint_mutations.parts((tmp_path / "file").read_bytes())
    header["a"] |= {"shape": shape, "data_offsets": offsets}
    (tmp_path / "file").write_bytes(checkpoint_mutations.with_header(json.dumps(header).encode(), rest))
    with pytest.raises(ValueError, match=match):
        archive.read(tmp_path / "file")


@pytest.mark.parametrize("rest", [b"", b"x" * 8])
def test_read__raises_on_bytes_that_no_array_claims(rest, tmp_path):
    write_raw(tmp_path / "file", "{}")
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content + rest if rest else content[:-8])
    with pytest.raises(ValueError, match="its arrays do not fill it"):
        archive.read(tmp_path / "file")


@pytest.mark.parametrize("length", [1, 8, 9])
def test_read__raises_on_a_header_that_ends_behind_the_file(length, tmp_path):
    write_raw(tmp_path / "file", "{}")
    header, rest = checkpoint_mutations.parts((tmp_path / "file").read_bytes())
    text = json.dumps(header).encode()
    content = checkpoint_mutations.with_header(text, rest, len(text) + len(rest) + length)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="its header does not fit into it"):
        archive.read(tmp_path / "file")


@pytest.mark.parametrize(("width", "right"), [(1024, True), (1025, False)])
def test_load__raises_on_a_wide_network_without_layers(width, right, tmp_path):
    pyham.ResNet(width, 0).init(0).save(tmp_path / "net")
    if right:
        assert pyham.load(tmp_path / "net").arch.width == width
        return
    with pytest.raises(ValueError, match="depth, width: expected those of b"):
        pyham.load(tmp_path / "net")


def test_files_are_read_whatever_the_order_of_their_arrays(tmp_path):
    archive.write(tmp_path / "file", {}, ARRAYS)
    header, rest = checkpoint_mutations.parts((tmp_path / "file").read_bytes())
    turned = dict(reversed(header.items()))
    (tmp_path / "file").write_bytes(checkpoint_mutations.with_header(json.dumps(turned).encode(), rest))
    with pytest.raises(ValueError, match="the checksum"):  # sound, but not what ``write`` wrote
        archive.read(tmp_path / "file")


def test_a_folder_is_no_file(tmp_path):
    assert stat.S_ISDIR(os.stat(tmp_path).st_mode)
    with pytest.raises(IsADirectoryError):
        archive.read(tmp_path)

"""The file format: what version 1 wrote is read; files of enemies are refused before anything is allocated for them."""

import json
import os
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import pyham
from pyham.files import archive
from tests.files import fuzz_checkpoint
from tests.oracles import checkpoint_mutations


@pytest.fixture
def saved(tmp_path):
    """(path, header, rest): a network's file, its safetensors header and the bytes after it."""
    path = tmp_path / "net"
    pyham.H2(width=2, depth=2, step=0.1).init(0).save(path)
    return path, *checkpoint_mutations.parts(path.read_bytes())


def refused(path, match):
    """Reading raises ValueError with that message, and takes no more memory than a small multiple of the file."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"net: expected .*{match}"):
            pyham.load(path)
        assert tracemalloc.get_traced_memory()[1] < 12 * path.stat().st_size + 100_000
    finally:
        tracemalloc.stop()


def rewrite(path, header, rest, length=None):
    path.write_bytes(checkpoint_mutations.with_header(json.dumps(header).encode(), rest, length))


def test_mutated_files_are_refused_within_time_and_memory(capsys, slow):
    assert fuzz_checkpoint.main(["--count", "20000" if slow else "400", "--seed", "1"]) == 0
    assert "0 violations" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdict", "slip"),
    [
        ("error", lambda path: {}["key"]),
        ("message", lambda path: int("x")),
        ("hang", lambda path: time.sleep(10)),
        ("memory", lambda path: np.ones(10**6)),
        ("error", lambda path: checkpoint_mutations.pit()),
        ("read", lambda path: None),
    ],
)
def test_the_fuzzer_notices_a_reader_that_breaks_the_rules(verdict, slip, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_checkpoint, "read", slip)
    monkeypatch.setattr(fuzz_checkpoint, "SECONDS", 0.2)
    (tmp_path / "file").write_bytes(b"x" * 100)
    previous = signal.signal(signal.SIGALRM, fuzz_checkpoint.alarm)
    tracemalloc.start()
    try:
        assert fuzz_checkpoint.outcome(tmp_path / "file").verdict == verdict
    finally:
        tracemalloc.stop()
        signal.signal(signal.SIGALRM, previous)


def test_the_fuzzer_s_exit_code_is_1_for_a_reader_that_breaks_the_rules(monkeypatch, capsys):
    exact = archive.read

    def careless(path):
        if Path(path).stat().st_size % 7 == 0:
            raise KeyError("header")
        return exact(path)

    monkeypatch.setattr(archive, "read", careless)
    assert fuzz_checkpoint.main(["--count", "100"]) == 1
    captured = capsys.readouterr()
    assert "other errors" in captured.out and "KeyError" in captured.err
    for line in captured.err.splitlines():
        kept = Path(line.split(":")[0])
        kept.unlink()
    kept.parent.rmdir()


def test_version_1_is_read(tmp_path):
    """A file as version 1 wrote it, byte for byte."""
    path = Path(__file__).parent / "network-1.pyham"
    net = pyham.load(path)
    expected = pyham.H2(width=2, depth=2, step=0.1, X=[[2.0]]).init(0)
    assert net.arch == expected.arch
    assert all(np.array_equal(net.params[name], expected.params[name]) for name in net.params)
    net.save(tmp_path / "net")
    header, _ = checkpoint_mutations.parts((tmp_path / "net").read_bytes())
    assert json.loads(header["__metadata__"]["pyham"])["version"] == "2"


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, 10**6])
def test_load__raises_on_a_header_longer_than_the_file(length, saved):
    path, header, rest = saved
    rewrite(path, header, rest, length)
    refused(path, "its header does not fit into it")


@pytest.mark.parametrize(
    "shape", [[2**62], [2**32, 2**32], [2**62, 0], [3] * 12, [-1, -8], [2.0, 4], ["2", 4], [True, 8]]
)
def test_load__raises_on_shapes_that_are_not_the_array_s(shape, saved):
    path, header, rest = saved
    header["b"]["shape"] = shape
    rewrite(path, header, rest)
    refused(path, "its array 'b' has")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "BF16", "BOOL", "O", "", None, ["F64"], "F128"])
def test_load__raises_on_types_that_files_do_not_hold(dtype, saved):
    path, header, rest = saved
    header["b"]["dtype"] = dtype
    rewrite(path, header, rest)
    refused(path, "its array 'b' is not described")


@pytest.mark.parametrize("offsets", [[0, 32], [8, 40], [10**18, 10**18 + 32], [32, 0], [0], None])
def test_load__raises_on_arrays_that_overlap_or_leave_gaps(offsets, saved):
    path, header, rest = saved
    assert header["b"]["data_offsets"] != offsets
    header["Kp"]["data_offsets"] = header["b"]["data_offsets"]
    header["b"]["data_offsets"] = offsets
    rewrite(path, header, rest)
    refused(path, "damaged")


@pytest.mark.parametrize("depth", [100, 3000, 200_000])
@pytest.mark.parametrize("where", ["outside", "inside"])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_load__raises_on_nested_brackets(brackets, where, depth, saved):
    path, header, rest = saved
    inner = "1" if brackets == "[]" else '"a":1}' + "}" * (depth - 1)
    text = "[" * depth + inner + "]" * depth if brackets == "[]" else '{"a":' * (depth - 1) + "{" + inner
    if where == "outside":
        path.write_bytes(checkpoint_mutations.with_header(text.encode(), rest))
    else:
        header["__metadata__"]["pyham"] = f'{{"version": "2", "sha256": "", "header": {text}}}'
        rewrite(path, header, rest)
    refused(path, "")


def test_load__raises_on_millions_of_values_in_a_header(saved):
    path, header, rest = saved
    header["__metadata__"]["pyham"] = "[" + "[]," * 10**6 + "0]"
    rewrite(path, header, rest)
    refused(path, "its header is too large")
    header["__metadata__"]["pyham"] = "[" + "0," * 10**7 + "0]"
    rewrite(path, header, rest)
    refused(path, "its header is longer than 16777216 bytes")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "9" * 5000])
def test_load__raises_on_numbers_that_are_none(number, saved):
    path, header, rest = saved
    header["__metadata__"]["pyham"] = f'{{"version": "2", "sha256": "", "header": {number}}}'
    rewrite(path, header, rest)
    refused(path, "damaged")


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "H1", "width": 10**6, "depth": 0},
        {"name": "H1", "width": 10**6, "depth": 1},
        {"name": "H1", "width": 2, "depth": 10**12},
        {"name": "MS2", "width": 10**9, "depth": 10**9},
    ],
)
@pytest.mark.parametrize("claim", ["nothing", "b"])
def test_load__allocates_nothing_for_a_width_that_only_the_header_has(architecture, claim, saved):
    """H1 would build J (n, n), 8 TB for a width of a million."""
    path = saved[0]
    arrays = dict(pyham.H1(width=2, depth=1).init(0).params)
    if claim == "b" and architecture["width"] <= 10**6 and architecture["depth"] <= 1:
        arrays["b"] = np.zeros((architecture["depth"], architecture["width"]))
    archive.write(path, {"architecture": architecture}, arrays)
    refused(path, "a network, got a header that describes none")


@pytest.mark.parametrize("kind", ["pickle", None, 3, []])
def test_load__raises_on_other_kinds_of_content(kind, saved):
    path = saved[0]
    net = pyham.load(path)
    archive.write(path, {"architecture": net.arch.config(), "kind": kind}, net.params)
    refused(path, "a network or a training, got a file of another kind")


def test_load__raises_on_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # that nobody writes to
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match=f"{path}: expected a file written by pyham, got something that is no"):
            pyham.load(path)


def test_load__raises_on_a_checksum_of_other_contents(saved):
    path, header, rest = saved
    text = json.loads(header["__metadata__"]["pyham"])
    text["header"]["architecture"]["step"] = 0.2
    header["__metadata__"]["pyham"] = json.dumps(text)
    rewrite(path, header, rest)
    refused(path, "the checksum that the file states, got another: the file is damaged")


def test_load__raises_on_half_precision_of_another_program(tmp_path):
    save_file({"b": np.zeros(3, np.float16)}, tmp_path / "net")
    refused(tmp_path / "net", "another program's")


def test_write__raises_on_headers_that_no_reader_accepts(tmp_path):
    for header in ({"a": "x" * (1 << 23)}, {"a": [[]] * 5000}):
        with pytest.raises(ValueError, match="header: expected less than 8388608 bytes and 4096 brackets, got more"):
            archive.write(tmp_path / "net", header, {})
    assert os.listdir(tmp_path) == []

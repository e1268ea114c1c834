"""Files of networks: every bit comes back, or one clear error; nothing is left half written."""

import json
import os
import threading

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pyham
from pyham.files import archive
from tests.network.test_network import n, network, samples
from tests.oracles.strategies import NAMES, VARIANTS


def assert_same(first, second):
    """Equal architectures, and parameters of the same bits."""
    assert first.arch == second.arch
    assert set(first.params) == set(second.params)
    for name, value in first.params.items():
        assert value.dtype == second.params[name].dtype
        assert value.shape == second.params[name].shape
        assert value.tobytes() == second.params[name].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_files_give_back_every_bit(key, dtype, tmp_path):
    net = network(key, dtype=dtype)
    net.save(tmp_path / "net")
    loaded = pyham.load(tmp_path / "net")
    assert_same(loaded, net)
    np.testing.assert_array_equal(loaded(samples()), net(samples()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [0, 1])
def test_files_hold_networks_without_or_with_one_layer(name, depth, tmp_path):
    net = pyham.architecture(name, width=n, depth=depth).init(0)
    net.save(tmp_path / "net")
    assert_same(pyham.load(tmp_path / "net"), net)


def test_files_hold_extreme_numbers_and_steps(tmp_path):
    net = pyham.H2(width=2, depth=1, step=1 / 3, X=[[1e-300]]).init(0)
    net = net.replace({"Kp": np.array([[[5e-324]]]), "Kq": np.array([[[-1.7e308]]]), "b": np.array([[-0.0, 0.1]])})
    net.save(tmp_path / "net")
    loaded = pyham.load(tmp_path / "net")
    assert_same(loaded, net)
    assert loaded.arch.step == 1 / 3


def test_files_hold_networks_of_another_byte_order(tmp_path):
    net = network()
    swapped = net.replace({name: value.astype(">f8") for name, value in net.params.items()})
    swapped.save(tmp_path / "net")
    for name, value in pyham.load(tmp_path / "net").params.items():
        np.testing.assert_array_equal(value, net.params[name])


def test_loaded_parameters_are_read_only(tmp_path):
    network().save(tmp_path / "net")
    with pytest.raises(ValueError, match="read-only"):
        pyham.load(tmp_path / "net").params["b"][0] = 0


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
def test_paths_are_strings_or_paths(kind, tmp_path):
    path = kind(tmp_path / "net.pyham")
    network().save(path)
    assert_same(pyham.load(path), network())
    assert os.listdir(tmp_path) == ["net.pyham"]


def test_saving_again_replaces_the_file(tmp_path):
    network().save(tmp_path / "net")
    other = network("MS2")
    other.save(tmp_path / "net")
    assert_same(pyham.load(tmp_path / "net"), other)
    assert os.listdir(tmp_path) == ["net"]


def test_files_have_the_permissions_of_other_new_files(tmp_path):
    network().save(tmp_path / "net")
    (tmp_path / "other").touch()
    assert (tmp_path / "net").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(step, error, tmp_path, monkeypatch):
    old = network()
    old.save(tmp_path / "net")

    def fail(*arguments, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(archive.os, step, fail)
        with pytest.raises(type(error)):
            network("MS2").save(tmp_path / "net")
    assert os.listdir(tmp_path) == ["net"]
    assert_same(pyham.load(tmp_path / "net"), old)


def test_readers_see_whole_files_while_others_write(tmp_path):
    first, second = network(), network("MS2")
    first.save(tmp_path / "net")
    stop = threading.Event()

    def write():
        while not stop.is_set():
            second.save(tmp_path / "net")
            first.save(tmp_path / "net")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {pyham.load(tmp_path / "net").arch.name for _ in range(100)}
    finally:
        stop.set()
        writer.join()
    assert seen <= {"H2", "MS2"}


def test_no_pickle_is_read_or_written(tmp_path):
    network().save(tmp_path / "net")
    arrays = load_file(tmp_path / "net")  # another program's reader
    assert set(arrays) == set(network().params)
    content = (tmp_path / "net").read_bytes()
    size = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + size])["__metadata__"].keys() == {"pyham"}


# Damaged and foreign files

WHOLE = "expected a whole file written by pyham, got a damaged one"


@pytest.fixture
def saved(tmp_path):
    """(path, content) of a small network."""
    pyham.H2(width=2, depth=2, step=0.1).init(0).save(tmp_path / "net")
    return tmp_path / "net", (tmp_path / "net").read_bytes()


def replaced(content, rng):
    position = rng.integers(len(content))
    return content[:position] + bytes([(content[position] + rng.integers(1, 256)) % 256]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content, rng: (content[:length] for length in range(len(content))), "expected a"),
        (lambda content, rng: [content + b"\0", b""], WHOLE),
        (lambda content, rng: (replaced(content, rng) for _ in range(500)), "expected "),
        (lambda content, rng: map(rng.bytes, (1, 7, 8, 9, 100, len(content))), WHOLE),
    ],
    ids=["cut", "longer or empty", "random bytes in place of others", "random bytes throughout"],
)
def test_load__raises_on_damaged_files(damage, message, saved, rng):
    path, content = saved
    for damaged in damage(content, rng):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"net: {message}"):
            pyham.load(path)


def test_load__raises_on_every_flipped_bit(saved):
    path, content = saved
    survived = []
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                pyham.load(path)
            except ValueError as error:  # any other exception fails the test
                assert str(error).startswith(f"{path}: expected "), (position, bit)
            else:
                survived.append((position, bit, content[position : position + 1], bytes([damaged[position]])))
    assert survived == []


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"version": "1"}])
def test_load__raises_on_file_of_another_program(metadata, tmp_path):
    save_file({"b": np.zeros(3)}, tmp_path / "net", metadata)
    with pytest.raises(ValueError, match=r"net: expected a file written by pyham, got another program's$"):
        pyham.load(tmp_path / "net")


@pytest.mark.parametrize("version", [3, 10, "", "one", "-1", "1.5"])
def test_load__raises_on_newer_versions_and_what_is_none(version, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(archive, "VERSION", version)
        network().save(tmp_path / "net")
    with pytest.raises(ValueError, match=rf"net: expected format version <= 2, got '{version}'$"):
        pyham.load(tmp_path / "net")


H2 = {"name": "H2", "width": 2, "depth": 2}
NO_NETWORK = r"expected a network, got a header that describes none \("


@pytest.mark.parametrize(
    ("header", "change", "message"),
    [
        *(
            ({"architecture": other}, {}, NO_NETWORK)
            for other in (None, [], {}, H2 | {"name": "H3"}, H2 | {"width": 3})
        ),
        *(({"architecture": H2 | {"depth": depth}}, {}, NO_NETWORK) for depth in (3, 10**400)),
        *(({"architecture": H2 | more}, {}, NO_NETWORK) for more in ({"layers": 2}, {"X": {"a": 1}}, {"name": ["H2"]})),
        ({}, {}, NO_NETWORK),
        ([1, 2], {}, "expected a JSON object as header, got list$"),
        ({"architecture": H2}, {"b": np.zeros((2, 3))}, "expected a network, got "),
        ({"architecture": H2}, {"b": np.zeros((2, 2), np.float32)}, "expected a network, got "),
        ({"architecture": H2}, {"c": np.zeros(1)}, "expected a network, got "),
    ],
)
def test_load__raises_on_header_and_arrays_that_are_no_network(header, change, message, tmp_path):
    archive.write(tmp_path / "net", header, {**pyham.H2(width=2, depth=2).init(0).params, **change})
    with pytest.raises(ValueError, match=f"net: {message}"):
        pyham.load(tmp_path / "net")


def test_what_the_system_refuses_is_its_error(tmp_path):
    (tmp_path / "folder").mkdir()
    for error, call in (
        (FileNotFoundError, lambda: pyham.load(tmp_path / "nothing")),
        (IsADirectoryError, lambda: pyham.load(tmp_path)),
        (FileNotFoundError, lambda: network().save(tmp_path / "nothing" / "net")),
        (OSError, lambda: network().save(tmp_path / "folder")),
    ):
        with pytest.raises(error):
            call()
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.longdouble])
def test_save__raises_on_dtype_that_files_do_not_hold(dtype, tmp_path):
    net = network(dtype=dtype)
    with pytest.raises(TypeError, match=rf"^\w+: expected a real dtype of at most 64 bits, got {np.dtype(dtype)}$"):
        net.save(tmp_path / "net")
    assert os.listdir(tmp_path) == []

"""Files of networks: every bit comes back; other programs can read them, and nothing is left half written."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import pyham
from tests.files.fuzz_checkpoint import parts
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


def saved(net, path):
    net.save(path)
    return pyham.load(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_files_give_back_every_bit(key, dtype, tmp_path):
    net = network(key, dtype=dtype)
    loaded = saved(net, tmp_path / "net")
    assert_same(loaded, net)
    np.testing.assert_array_equal(loaded(samples()), net(samples()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [0, 1])
def test_files_hold_networks_without_or_with_one_layer(name, depth, tmp_path):
    net = pyham.architecture(name, width=n, depth=depth).init(0)
    assert_same(saved(net, tmp_path / "net"), net)


def test_files_hold_extreme_numbers_and_steps_and_another_byte_order(tmp_path):
    net = pyham.H2(width=2, depth=1, step=1 / 3, X=[[1e-300]]).init(0)
    net = net.replace({"Kp": np.array([[[5e-324]]]), "Kq": np.array([[[-1.7e308]]]), "b": np.array([[-0.0, 0.1]])})
    loaded = saved(net, tmp_path / "net")
    assert_same(loaded, net)
    assert loaded.arch.step == 1 / 3
    swapped = net.replace({name: value.astype(">f8") for name, value in net.params.items()})
    for name, value in saved(swapped, tmp_path / "net").params.items():
        np.testing.assert_array_equal(value, net.params[name])


def test_loaded_parameters_are_read_only(tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        saved(network(), tmp_path / "net").params["b"][0] = 0


def test_version_1_is_read(tmp_path):
    """A file as version 1 wrote it, byte for byte."""
    net = pyham.load(Path(__file__).parent / "network-1.pyham")
    assert_same(net, pyham.H2(width=2, depth=2, step=0.1, X=[[2.0]]).init(0))
    net.save(tmp_path / "net")
    header, _ = parts((tmp_path / "net").read_bytes())
    assert json.loads(header["__metadata__"]["pyham"])["version"] == "2"


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
def test_paths_are_strings_or_paths_and_files_are_replaced(kind, tmp_path):
    path = kind(tmp_path / "net.pyham")
    for net in (network(), network("MS2")):
        assert_same(saved(net, path), net)
    assert os.listdir(tmp_path) == ["net.pyham"]
    (tmp_path / "other").touch()
    assert os.stat(path).st_mode == (tmp_path / "other").stat().st_mode  # the permissions of other new files


def test_readers_see_whole_files_while_others_write(tmp_path):
    nets = network(), network("MS2")
    nets[0].save(tmp_path / "net")
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for net in nets:
                net.save(tmp_path / "net")

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
    assert set(load_file(tmp_path / "net")) == set(network().params)  # another program's reader
    assert parts((tmp_path / "net").read_bytes())[0]["__metadata__"].keys() == {"pyham"}


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

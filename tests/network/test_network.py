"""Networks: immutable parameters, what they assemble, the Hamiltonian; files that come back bitwise or not at all."""

import json
import os
import threading

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pyham
from pyham.files import archive
from pyham.verification.neighbours import forward_euler
from tests.oracles.rounding import eps
from tests.oracles.strategies import ACTIVATIONS, NAMES, SPLIT, VARIANTS, variant

EPS = eps(np.float64)
N, n, m, h = 3, 4, 2, 0.3


def network(key="H2-plain", activation="tanh", depth=N, dtype=np.float64, width=n):
    return variant(key, width=width, depth=depth, step=h, activation=activation).init(3, dtype=dtype)


def samples(batch=5):
    return np.random.default_rng(0).standard_normal((batch, n))


def assert_same(first, second):
    """Equal architectures, and parameters of the same bits."""
    assert first.arch == second.arch
    assert set(first.params) == set(second.params)
    for name, value in first.params.items():
        assert value.dtype == second.params[name].dtype
        assert value.shape == second.params[name].shape
        assert value.tobytes() == second.params[name].tobytes()


# Parameters


@pytest.mark.parametrize("key", VARIANTS)
def test_parameters_are_read_only(key):
    net = network(key)
    for name, value in net.params.items():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0
        with pytest.raises(TypeError):
            net.params[name] = value
    for array in (net.K, net.b):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_parameters_are_copied():
    net = network()
    given = {name: value.copy() for name, value in net.params.items()}
    other = pyham.Network(net.arch, given)
    before = other(samples())
    given["Kp"][:] = 0
    np.testing.assert_array_equal(other(samples()), before)
    assert_same(other, net)


@pytest.mark.parametrize("key", VARIANTS)
def test_K_b_and_params_have_the_stated_shapes(key):
    net = network(key)
    assert net.K.shape == (N, n, n)
    assert net.b.shape == (N, n)
    assert {name: value.shape for name, value in net.params.items()} == net.arch.shapes


def test_interconnection_is_one_matrix_or_one_a_layer_or_none():
    for key, (name, _) in VARIANTS.items():
        net = network(key)
        if name in ("MLP", "ResNet"):
            assert net.interconnection is None
        else:
            assert net.interconnection.shape == ((N, n, n) if name in ("MS1", "MS2") else (n, n))


@pytest.mark.parametrize("key", ["MS1-verlet-p-first", "MS2"])
def test_interconnection_of_constant_weights_is_one_matrix(key):
    net = network(key)
    weights = next(name for name in net.params if name != "b")
    constant = net.replace({weights: np.broadcast_to(net.params[weights][0], net.params[weights].shape)})
    assert constant.interconnection.shape == (n, n)
    assert network(key, depth=1).interconnection.shape == (n, n)


def test_replace_makes_another_network():
    net = network()
    b = np.ones((N, n))
    other = net.replace({"b": b})
    np.testing.assert_array_equal(other.b, b)
    np.testing.assert_array_equal(other.params["Kp"], net.params["Kp"])
    assert not np.array_equal(net.b, b)
    assert other.arch is net.arch
    assert not np.array_equal(other(samples()), net(samples()))


def test_replace_of_everything_may_change_the_dtype():
    net = network()
    single = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    assert single.dtype == np.float32


def test_repr_names_architecture_options_and_dtype():
    text = repr(network("H2-verlet-q-first", dtype=np.float32))
    assert text.startswith("<Network H2(width=4, depth=3, step=0.3, activation='tanh', scheme='verlet', ")
    assert text.endswith("float32>")


@pytest.mark.parametrize("key", VARIANTS)
def test_stages_are_those_that_the_architecture_lowers_to(key):
    net = network(key)
    lowered = net.arch.lower(net.params)
    for name in ("A", "c", "W"):
        np.testing.assert_array_equal(getattr(net.stages(), name), getattr(lowered, name))
    assert net.stages() is net.stages(np.float64)


@pytest.mark.parametrize("wide", [np.float64, np.longdouble])
def test_stages_are_computed_in_the_wider_of_both_dtypes(wide):
    # Else W = h J A^T would carry the parameters' rounding errors, and sensitivities would be symplectic to them only.
    single = network("H2-semi-implicit-p-first", dtype=np.float32)
    exact = single.replace({name: value.astype(wide) for name, value in single.params.items()})
    for name in ("A", "c", "W"):
        np.testing.assert_array_equal(getattr(single.stages(wide), name), getattr(exact.stages(), name))


# Energy


def energy_gradient(net, y):
    """grad H_j(y) (N, B, n) by central differences of fourth order."""
    t = EPS ** (1 / 5)
    columns = []
    for unit in np.eye(n):
        near = net.energy(y + t * unit) - net.energy(y - t * unit)
        far = net.energy(y + 2 * t * unit) - net.energy(y - 2 * t * unit)
        columns.append((8 * near - far) / (12 * t))
    return np.stack(columns, axis=-1)


# Truncation t^4 H^(5) / 30 and rounding eps H / t are both eps^(4/5) = 3e-13, times H and its derivatives (below 100).
ENERGY_TOLERANCE = 1e3 * EPS**0.8


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("key", ["H1-J1", "H1-J2", "H1-skew", "MS2"])
def test_J_times_gradient_of_energy_is_the_field_of_forward_euler(key, activation):
    net, y = network(key, activation), samples()
    gradient = energy_gradient(net, y)
    for j in range(N):
        one = pyham.Network(variant(key, width=n, depth=1, step=h, activation=activation), layer_of(net, j))
        field = (one(y) - y) / h
        expected = gradient[j] @ one.interconnection.T
        scale = np.linalg.norm(one.interconnection, 2)
        assert np.abs(field - expected).max() <= ENERGY_TOLERANCE * max(1, scale)


def layer_of(net, j):
    return {name: value[j : j + 1] for name, value in net.params.items()}


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("key", [f"{name}-semi-implicit-p-first" for name in SPLIT])
def test_J_times_gradient_of_energy_is_the_field_of_semi_implicit_euler(key, activation):
    net, y = network(key, activation, depth=1), samples()
    J, after = net.interconnection, net(y)
    halfway = np.concatenate([after[:, :m], y[:, m:]], axis=1)  # p first: q' is taken at the new p
    p_field = (energy_gradient(net, y)[0] @ J.T)[:, :m]
    q_field = (energy_gradient(net, halfway)[0] @ J.T)[:, m:]
    scale = max(1, np.linalg.norm(J, 2))
    assert np.abs((after - y)[:, :m] / h - p_field).max() <= ENERGY_TOLERANCE * scale
    assert np.abs((after - y)[:, m:] / h - q_field).max() <= ENERGY_TOLERANCE * scale


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_energy_is_the_sum_of_integrands(activation):
    net, y = network("H1-J1", activation), samples()
    integrand = pyham.ACTIVATIONS[activation].integrand
    by_hand = np.array([[integrand(K @ row + b).sum() for row in y] for K, b in zip(net.K, net.b, strict=True)])
    np.testing.assert_allclose(net.energy(y), by_hand, rtol=50 * EPS)
    assert net.energy(y).shape == (N, 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_energy_keeps_the_dtype_of_the_states(dtype):
    assert network().energy(samples().astype(dtype)).dtype == dtype


def test_energy_of_nothing():
    assert network(depth=0).energy(samples()).shape == (0, 5)
    assert network().energy(np.empty((0, n))).shape == (N, 0)


def test_energy_is_conserved_by_small_symplectic_steps_and_drifts_with_forward_euler():
    Kp, Kq = np.random.default_rng(0).standard_normal((2, m, m))
    weights = {"Kp": Kp, "Kq": Kq, "b": 0.0}
    net = pyham.H2(width=n, depth=2000, step=0.05).init(0, initialization=weights)
    one = pyham.H2(width=n, depth=1, step=0.05).init(0, initialization=weights)
    energy = np.array([one.energy(y)[0] for y in net.trace(samples()).states])
    assert np.abs(energy - energy[0]).max() <= 0.05 * energy[0].max()  # bounded, of the order of the step
    assert (one.energy(forward_euler(net)(samples()))[0] > 1.5 * energy[0]).all()


# Files


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


@pytest.fixture
def saved(tmp_path):
    """(path, content, net) of a small network."""
    net = pyham.H2(width=2, depth=2, step=0.1).init(0)
    net.save(tmp_path / "net")
    return tmp_path / "net", (tmp_path / "net").read_bytes(), net


def test_load__raises_on_every_truncation(saved):
    path, content, _ = saved
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"net: expected a"):
            pyham.load(path)


def test_load__raises_on_appended_bytes(saved):
    path, content, _ = saved
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match=r"net: expected a whole file written by pyham, got a damaged one"):
        pyham.load(path)


def test_load__raises_on_every_flipped_bit(saved):
    path, content, _ = saved
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


def test_load__raises_on_random_bytes_in_place_of_others(saved):
    path, content, _ = saved
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content)
        position = rng.integers(len(content))
        damaged[position] = (damaged[position] + rng.integers(1, 256)) % 256
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="net: expected "):
            pyham.load(path)


def test_load__raises_on_random_bytes_throughout(saved):
    path, content, _ = saved
    rng = np.random.default_rng(0)
    for length in (1, 7, 8, 9, 100, len(content)):
        path.write_bytes(rng.bytes(length))
        with pytest.raises(ValueError, match=r"net: expected a whole file written by pyham, got a damaged one"):
            pyham.load(path)


def test_load__raises_on_empty_file(saved):
    path, _, _ = saved
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"net: expected a whole file written by pyham, got a damaged one"):
        pyham.load(path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"version": "1"}])
def test_load__raises_on_file_of_another_program(metadata, tmp_path):
    save_file({"b": np.zeros(3)}, tmp_path / "net", metadata)
    with pytest.raises(ValueError, match=r"net: expected a file written by pyham, got another program's$"):
        pyham.load(tmp_path / "net")


@pytest.mark.parametrize("version", [3, 10])
def test_load__raises_on_newer_version(version, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(archive, "VERSION", version)
        network().save(tmp_path / "net")
    with pytest.raises(ValueError, match=rf"net: expected format version <= 2, got '{version}'$"):
        pyham.load(tmp_path / "net")


@pytest.mark.parametrize("version", ["", "one", "-1", "1.5"])
def test_load__raises_on_what_is_no_version(version, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(archive, "VERSION", version)
        network().save(tmp_path / "net")
    with pytest.raises(ValueError, match=rf"net: expected format version <= 2, got '{version}'$"):
        pyham.load(tmp_path / "net")


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"architecture": None},
        {"architecture": []},
        {"architecture": {}},
        {"architecture": {"name": "H3", "width": 2, "depth": 2}},
        {"architecture": {"name": "H2", "width": 3, "depth": 2}},
        {"architecture": {"name": "H2", "width": 2, "depth": 3}},
        {"architecture": {"name": "H2", "width": 2, "depth": 2, "layers": 2}},
        {"architecture": {"name": "H2", "width": 2, "depth": 2, "X": {"a": 1}}},
        {"architecture": {"name": "H2", "width": 2, "depth": 10**400}},
        {"architecture": {"name": ["H2"], "width": 2, "depth": 2}},
    ],
)
def test_load__raises_on_header_that_describes_no_network(header, tmp_path):
    arrays = pyham.H2(width=2, depth=2).init(0).params
    archive.write(tmp_path / "net", header, arrays)
    with pytest.raises(ValueError, match=r"net: expected a network, got a header that describes none \("):
        pyham.load(tmp_path / "net")


def test_load__raises_on_header_that_is_no_object(tmp_path):
    archive.write(tmp_path / "net", [1, 2], {})
    with pytest.raises(ValueError, match=r"net: expected a JSON object as header, got list$"):
        pyham.load(tmp_path / "net")


@pytest.mark.parametrize("change", [{"b": np.zeros((2, 3))}, {"b": np.zeros((2, 2), np.float32)}, {"c": np.zeros(1)}])
def test_load__raises_on_arrays_that_are_not_those_of_the_header(change, tmp_path):
    net = pyham.H2(width=2, depth=2).init(0)
    archive.write(tmp_path / "net", {"architecture": net.arch.config()}, {**net.params, **change})
    with pytest.raises(ValueError, match=r"net: expected a network, got "):
        pyham.load(tmp_path / "net")


def test_load__raises_os_error_on_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        pyham.load(tmp_path / "nothing")


def test_load__raises_os_error_on_directory(tmp_path):
    with pytest.raises(IsADirectoryError):
        pyham.load(tmp_path)


def test_save__raises_os_error_on_missing_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        network().save(tmp_path / "nothing" / "net")


def test_save__raises_os_error_on_directory_and_leaves_nothing(tmp_path):
    (tmp_path / "net").mkdir()
    with pytest.raises(OSError, match="directory"):
        network().save(tmp_path / "net")
    assert os.listdir(tmp_path) == ["net"]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.longdouble])
def test_save__raises_on_dtype_that_files_do_not_hold(dtype, tmp_path):
    net = network(dtype=dtype)
    with pytest.raises(TypeError, match=rf"^\w+: expected a real dtype of at most 64 bits, got {np.dtype(dtype)}$"):
        net.save(tmp_path / "net")
    assert os.listdir(tmp_path) == []


# What is refused


@pytest.mark.parametrize("wrong", [None, "H2", pyham.H2])
def test_network__raises_on_what_is_no_architecture(wrong):
    with pytest.raises(TypeError, match=rf"^arch: expected an Architecture, got {type(wrong).__name__}$"):
        pyham.Network(wrong, {})


@pytest.mark.parametrize("params", [{}, {"b": 0}, {"Kp": 0, "Kq": 0, "b": 0, "c": 0}, None, [1, 2]])
def test_network__raises_on_wrong_names(params):
    with pytest.raises(ValueError, match=r"^params: expected the names Kp, Kq, b, got "):
        pyham.Network(pyham.H2(width=n, depth=N), params)


def test_network__raises_on_wrong_shape():
    net = network()
    with pytest.raises(ValueError, match=r"^params\['b'\]: expected shape \(3, 4\), got \(3, 3\)$"):
        net.replace({"b": np.ones((3, 3))})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_network__raises_on_parameters_that_are_not_finite(bad):
    net = network()
    b = net.b.copy()
    b[2, 1] = bad
    with pytest.raises(ValueError, match=rf"^params\['b'\]: expected finite numbers, got {bad} at index \(2, 1\)$"):
        net.replace({"b": b})


def test_network__raises_on_two_dtypes():
    net = network()
    with pytest.raises(TypeError, match=r"^params: expected one dtype, got float64, float64, float32$"):
        net.replace({"b": net.b.astype(np.float32)})


def test_replace__raises_on_unknown_name():
    with pytest.raises(ValueError, match=r"^params: expected the names Kp, Kq, b, got Kp, Kq, b, K$"):
        network().replace({"K": np.ones((N, n, n))})


@pytest.mark.parametrize("value", ["b", None, [[None] * n] * N])
def test_network__raises_on_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"^params\['b'\]: expected numbers, got dtype "):
        network().replace({"b": value})


def test_interconnection__raises_where_weights_are_singular():
    net = pyham.MS2(width=n, depth=N).init(0, initialization={"K_upper": 0.0})
    with pytest.raises(np.linalg.LinAlgError):
        _ = net.interconnection


def test_attributes_cannot_be_set():
    net = network()
    for name in ("dtype", "K", "b", "interconnection"):
        with pytest.raises(AttributeError):
            setattr(net, name, getattr(net, name))

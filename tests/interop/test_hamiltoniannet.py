"""Networks of the papers' public code give the outputs that the public code wrote, and those of its formulas."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import pyham
from pyham.interop import hamiltoniannet
from tests.oracles.refusals import refused

FOLDER = Path(__file__).parents[1] / "data" / "hamiltoniannet"
STORED = json.loads((FOLDER / "index.json").read_text())


def stored(entry):
    """Name, options, state, inputs and outputs of one of the public code's networks."""
    name, _, interconnection = entry["network"].partition("_")
    with np.load(FOLDER / entry["file"]) as arrays:
        state = {key.removeprefix("state/"): arrays[key] for key in arrays.files if key.startswith("state/")}
        options = {"t_end": entry["t_end"], "interconnection": interconnection or "J1"}
        return name, options, state, arrays["x"], arrays["y"]


def transposed(state):
    """The state with matrices transposed, or of MS2 with the other sign: another network."""
    return {k: v if k[0] == "b" else -v if v.shape[1] == 1 else v.swapaxes(0, 1) for k, v in state.items()}


@pytest.mark.parametrize("entry", STORED, ids=lambda entry: entry["file"])
def test_stored_outputs_come_out_again(entry, tmp_path):
    name, options, state, x, y = stored(entry)
    net = hamiltoniannet.load(name, state, **options)
    assert (net.dtype, net.arch.name, net.arch.depth) == (np.float32, name, entry["layers"])
    assert np.abs(net(x) - y).max() < 3e-6  # 2.6e-6 at most, where the largest is 4.7
    assert np.abs(hamiltoniannet.load(name, transposed(state), **options)(x) - y).max() > 0.05
    save_file({key: np.ascontiguousarray(value) for key, value in state.items()}, tmp_path / "state.safetensors")
    again = hamiltoniannet.load(name, tmp_path / "state.safetensors", **options)
    assert again.arch == net.arch
    assert all(np.array_equal(again.params[key], value) for key, value in net.params.items())


def public(name, interconnection, state, h, y):
    """What the public code's layers compute, in NumPy: on rows, with layers last."""
    m = y.shape[1] // 2
    b = np.concatenate([state["b1"], state["b2"]]) if name == "MS3" else state["b"]
    for j in range(b.shape[2]):
        p, q, bp, bq = y[:, :m], y[:, m:], b[:m, 0, j], b[m:, 0, j]
        if name == "MS1":
            K = state["K"][:, :, j]
            q = q + h * np.tanh(p @ K.T + bq)
            p = p - h * np.tanh(q @ K - bp)
        elif name == "MS3":
            K1, K2 = state["K1"][:, :, j], state["K2"][:, :, j]
            q = q - h * np.tanh(p @ K1 + bq) @ K1.T
            p = p + h * np.tanh(q @ K2 + bp) @ K2.T
        elif name == "H2":
            Kp, Kq = state["K"][:m, :m, j], state["K"][m:, m:, j]
            q = q + h * np.tanh(p @ Kp + bp) @ Kp.T
            p = p - h * np.tanh(q @ Kq + bq) @ Kq.T
        if name == "MS2":
            K = np.zeros((2 * m, 2 * m))
            K[~np.eye(2 * m, dtype=bool)] = state["K"][:, 0, j]
            y = y + h * np.tanh(y @ (K - K.T) + b[:, 0, j])
        elif name == "H1":
            J = -np.block([[np.zeros((m, m)), np.eye(m)], [-np.eye(m), np.zeros((m, m))]])
            if interconnection == "J2":
                J = np.sign(np.subtract.outer(np.arange(2 * m), np.arange(2 * m))).T
            y = y + h * np.tanh(y @ state["K"][:, :, j] + b[:, 0, j]) @ (J @ state["K"][:, :, j]).T
        else:
            y = np.concatenate([p, q], axis=1)
    return y


@given(
    st.sampled_from([("MS1", "J1"), ("MS2", "J1"), ("MS3", "J1"), ("H1", "J1"), ("H1", "J2"), ("H2", "J1")]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.floats(0.1, 2.0),
    st.integers(0, 99),
)
def test_the_formulas_of_the_public_code(which, m, N, t_end, seed):
    (name, interconnection), n, rng = which, 2 * m, np.random.default_rng(seed)
    K = {"MS1": (m, m, N), "MS2": (n * n - n, 1, N)}.get(name, (n, n, N))  # of H2, all blocks: the code ignores two
    shapes = {"K": K, "b": (n, 1, N)}
    if name == "MS3":
        shapes = {"K1": (m, m, N), "K2": (m, m, N), "b1": (m, 1, N), "b2": (m, 1, N)}
    state = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    x = rng.standard_normal((3, n))
    net = hamiltoniannet.load(name, state, t_end=t_end, interconnection=interconnection)
    expected = public(name, interconnection, state, t_end / N, x)
    np.testing.assert_allclose(net(x, backend="reference"), expected, rtol=1e-12, atol=1e-12)


def test_files_of_pytorch_are_read_without_running_what_they_say(tmp_path):
    torch = pytest.importorskip("torch")
    for entry in STORED[:6]:
        name, options, state, x, y = stored(entry)
        tensors = {key: torch.nn.Parameter(torch.from_numpy(value)) for key, value in state.items()}
        for legacy in (True, False):
            torch.save(tensors, tmp_path / "state.pt", _use_new_zipfile_serialization=not legacy)
            assert np.abs(hamiltoniannet.load(name, tmp_path / "state.pt", **options)(x) - y).max() < 3e-6
        assert np.abs(hamiltoniannet.load(name, tensors, **options)(x) - y).max() < 3e-6
    ran = []

    class Harm:
        def __reduce__(self):
            return ran.append, (1,)

    torch.save(Harm(), tmp_path / "harm.pt")
    with pytest.raises(ValueError, match=r"harm\.pt: expected a state_dict's file, .* with tensors alone, got another"):
        hamiltoniannet.load("H1", tmp_path / "harm.pt", t_end=1.0)
    assert not ran


def test_without_pytorch_its_files_are_refused_with_the_extra_that_reads_them(tmp_path, monkeypatch):
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 and so on")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r'state: expected PyTorch to read .*, python -m pip install "pyham\[torch\]"'
    ):
        hamiltoniannet.load("H1", str(tmp_path / "state.pt"), t_end=1.0)


def test_without_pytorch_its_bridge_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pyham.interop.torch", raising=False)
    message = r'\Apyham\.interop\.torch: expected PyTorch, python -m pip install "pyham\[torch\]", got '
    with pytest.raises(ImportError, match=message):
        importlib.import_module("pyham.interop.torch")


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "half.safetensors").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(ValueError, match=r"half\.safetensors: expected a state_dict's file, .* got another"):
        hamiltoniannet.load("H1", tmp_path / "half.safetensors", t_end=1.0)


GOOD = {"K": np.zeros((4, 4, 3)), "b": np.zeros((4, 1, 3))}


def load(changes):
    arguments = {"name": "H1", "state": GOOD, "t_end": 1.0} | changes
    return hamiltoniannet.load(arguments.pop("name"), arguments.pop("state"), **arguments)


test_what_is_no_such_network_is_refused = refused([
    (load, {"name": "H3"}, ValueError, "name: expected one of 'MS1', 'MS2', 'MS3', 'H1', 'H2', got 'H3'"),
    (load, {"t_end": 0}, ValueError, "t_end: expected a positive finite number, got 0"),
    (load, {"interconnection": "J3"}, ValueError, "interconnection: expected one of 'J1', 'J2', got 'J3'"),
    (load, {"name": "H2", "interconnection": "J2"}, ValueError, "interconnection: expected 'J1' for H2, got 'J2'"),
    (load, {"state": [1]}, TypeError, "state: expected a mapping or a path, got list"),
    (load, {"state": {"K": GOOD["K"]}}, ValueError, "state: expected the names K, b of H1, got K"),
    (load, {"name": "MS3"}, ValueError, "state: expected the names K1, K2, b1, b2 of MS3, got K, b"),
    (load, {"name": "MS1"}, ValueError, r"state\['K'\]: expected shape \(2, 2, 3\), got \(4, 4, 3\)"),
    (load, {"name": "MS2"}, ValueError, r"state\['K'\]: expected shape \(12, 1, 3\), got \(4, 4, 3\)"),
    (load, {"state": GOOD | {"b": np.zeros((4, 3))}}, ValueError,
     r"state\['b'\]: expected shape \(n, 1, N\), got \(4, 3\)"),
    (load, {"name": "H2", "state": {"K": np.zeros((3, 3, 2)), "b": np.zeros((3, 1, 2))}}, ValueError,
     r"state\['b'\]: expected shape \(n, 1, N\) with even n >= 2 and N >= 1, got \(3, 1, 2\)"),
    (load, {"state": {"K": np.zeros((4, 4, 0)), "b": np.zeros((4, 1, 0))}}, ValueError,
     r"state\['b'\]: expected shape \(n, 1, N\) with n >= 2 and N >= 1, got \(4, 1, 0\)"),
    (load, {"state": GOOD | {"K": np.full((4, 4, 3), np.nan)}}, ValueError,
     r"state\['K'\]: expected finite numbers, got nan at index \(0, 0, 0\)"),
    (load, {"state": GOOD | {"K": np.zeros((4, 4, 3), np.float32)}}, TypeError,
     "state: expected one dtype, got float32, float64"),
])  # fmt: skip


def test_a_loaded_network_is_certified():
    name, options, state, x, _ = stored(next(entry for entry in STORED if entry["network"] == "H2"))
    certificate = pyham.certify(hamiltoniannet.load(name, state, **options), x)
    assert certificate.passed and any(check.name == "symplectic" for check in certificate.checks)

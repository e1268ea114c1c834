"""Networks that the papers' public PyTorch code trained (github.com/DecodEPFL/HamiltonianNet), as networks of pyham.

Its layers compute sigma(y K_j + b_j) on rows y, with layers last: K (n, n, N), b (n, 1, N). In pyham's symbols:

======  ======================================================  ================================================
name    state                                                   network
======  ======================================================  ================================================
MS1     K (m, m, N), b (n, 1, N)                                MS1, q first, A_j = -K_j^T
MS2     K (n^2 - n, 1, N), b (n, 1, N)                          MS2; K are the entries off the diagonal, row by row,
                                                                of a matrix M_j, and K_j = M_j^T - M_j
MS3     K1, K2 (m, m, N), b1, b2 (m, 1, N)                      MS3, q first, with K1 and K2 exchanged and transposed
H1      K (n, n, N), b (n, 1, N)                                H1, K_j transposed; the code's "J1" is -J1 of pyham,
                                                                its "J2" is J2
H2      K (n, n, N), b (n, 1, N)                                H2, q first, Kp and Kq the transposed diagonal blocks;
                                                                the code multiplies the other two blocks by 0
======  ======================================================  ================================================

Outputs of twelve networks of seven layers that the public code wrote in float32 are met within 2.7e-6, the largest of
them being 4.7: the same sums in another order.
"""

import pickle
from collections.abc import Mapping
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from pyham import _check
from pyham.architectures.interconnection import J1
from pyham.architectures.vectors import H1, H2, MS1, MS2, MS3
from pyham.files.regular import content
from pyham.network import Network

Array = np.ndarray[Any, Any]

NAMES: dict[str, tuple[str, ...]] = {
    "MS1": ("K", "b"), "MS2": ("K", "b"), "MS3": ("K1", "K2", "b1", "b2"), "H1": ("K", "b"), "H2": ("K", "b")
}  # fmt: skip


def load(name: str, state: object, *, t_end: float, interconnection: str = "J1") -> Network:
    """The network with the public code's parameters, in their dtype.

    Parameters
    ----------
    name : the public class: "MS1", "MS2", "MS3", "H1" or "H2"
    state : its state_dict, or a mapping from the same names to arrays; or the path of a file that torch.save
        or safetensors wrote of it. Of a file of PyTorch's, tensors are read and nothing is executed.
    t_end : final time T, as the public class was given it; the step is T / N
    interconnection : "J1" or "J2", of H1 what the public class calls select_j

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    OSError
        If a file cannot be opened.
    ImportError
        If a file of PyTorch's is to be read, and PyTorch is not installed.
    """
    _check.choice("name", name, NAMES)
    end = _check.positive("t_end", t_end)
    if _check.choice("interconnection", interconnection, ("J1", "J2")) == "J2" and name != "H1":
        raise ValueError(f"interconnection: expected 'J1' for {name}, got 'J2'")
    arrays = _arrays(name, _read(state) if isinstance(state, (str, PathLike)) else state)
    b = np.concatenate([arrays[key] for key in NAMES[name] if key.startswith("b")])[:, 0].T  # (N, n)
    N, n = b.shape
    m, step = n // 2, end / N
    K = {key: value.transpose(2, 1, 0) for key, value in arrays.items() if key.startswith("K")}  # layers first, K_j^T
    if name == "MS1":
        return Network(MS1(n, N, step, order="q-first"), {"A": -K["K"], "b": b})
    if name == "MS2":
        M = np.zeros((N, n, n), b.dtype)
        M[:, ~np.eye(n, dtype=bool)] = K["K"][:, 0]
        i, j = np.triu_indices(n, 1)
        return Network(MS2(n, N, step), {"K_upper": M[:, j, i] - M[:, i, j], "b": b})
    if name == "MS3":
        return Network(MS3(n, N, step, order="q-first"), {"K1": K["K2"], "K2": K["K1"], "b": b})
    if name == "H1":
        J = -J1(n) if interconnection == "J1" else "J2"
        return Network(H1(n, N, step, interconnection=J), {"K": K["K"], "b": b})
    return Network(H2(n, N, step, order="q-first"), {"Kp": K["K"][:, :m, :m], "Kq": K["K"][:, m:, m:], "b": b})


def _arrays(name: str, state: object) -> dict[str, Array]:
    """The arrays of the public class, of the shapes that it gives them."""
    names = NAMES[name]
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a mapping or a path, got {type(state).__name__}")
    if set(state) != set(names):
        came = ", ".join(map(str, state)) or "nothing"
        raise ValueError(f"state: expected the names {', '.join(names)} of {name}, got {came}")
    plain = {key: _numpy(key, state[key]) for key in names}
    sizes = [_check.array(_named(key), plain[key], ("n", 1, "N")).shape for key in names if key.startswith("b")]
    n, N = sum(size[0] for size in sizes), sizes[0][2]
    if not N or n < 2 or (n % 2 and name not in ("MS2", "H1")):
        even = "" if name in ("MS2", "H1") else "even "
        raise ValueError(f"{_named(names[-1])}: expected shape (n, 1, N) with {even}n >= 2 and N >= 1, got {sizes[-1]}")
    m = n // 2
    shapes: dict[str, tuple[int, ...]] = {"K": (n, n, N), "b": (n, 1, N)}
    shapes |= dict.fromkeys(("K1", "K2"), (m, m, N)) | dict.fromkeys(("b1", "b2"), (m, 1, N))
    shapes |= {"MS1": {"K": (m, m, N)}, "MS2": {"K": (n * n - n, 1, N)}}.get(name, {})
    found = {key: _check.array(_named(key), plain[key], shapes[key]) for key in names}
    if len({value.dtype for value in found.values()}) > 1:
        raise TypeError(f"state: expected one dtype, got {', '.join(str(value.dtype) for value in found.values())}")
    return found


def _named(key: str) -> str:
    return f"state[{key!r}]"


def _numpy(key: str, value: Any) -> Array:
    """A tensor's numbers, wherever it is; anything else as NumPy takes it."""
    if not hasattr(value, "detach"):
        return _check.array(_named(key), value, None)
    try:
        return np.asarray(value.detach().cpu().numpy())
    except (TypeError, RuntimeError):  # bfloat16, sparse
        raise TypeError(f"{_named(key)}: expected a dense tensor of float32 or float64, got {value.dtype}") from None


def _read(path: str | PathLike[str]) -> Any:
    """What a file of safetensors or of PyTorch's holds; which of them it is, its first bytes say."""
    expected = "a state_dict's file, by torch.save or safetensors"
    whole = content(path, expected)
    if whole[8:9] == b"{" and whole[:2] != b"PK":
        try:
            return load_safetensors(whole)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: expected {expected}, got another ({error})") from None
    try:
        import torch  # here, because arrays and safetensors need none
    except ImportError as error:
        raise ImportError(
            f'state: expected PyTorch to read {path} with, python -m pip install "pyham[torch]", got {error}'
        ) from None
    try:
        return torch.load(BytesIO(whole), map_location="cpu", weights_only=True)
    except (EOFError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path}: expected {expected}, with tensors alone, got another ({reason})") from None

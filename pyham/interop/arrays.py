"""Networks trained elsewhere: from arrays K, b, J and a step to a ``Network``, which can be run, differentiated,
certified.

Which architecture fits is read off the arrays, and said in the error when none does:

===============  ===========================================  ====================================
scheme           arrays                                       becomes
===============  ===========================================  ====================================
"euler"          J given                                      H1
"euler"          no J, K skew-symmetric                       MS2
"euler"          no J, any K                                  ResNet
"semi-implicit"  K block diagonal, J = [[0, -X^T], [X, 0]]    H2 (and "verlet", "yoshida4")
"semi-implicit"  K block antidiagonal, J = J1                 MS3 (and "verlet", "yoshida4")
"semi-implicit"  K = [[0, A], [-A^T, 0]], no J                MS1 (and "verlet", "yoshida4")
"none"           any K, no J: y <- sigma(K y + b)             MLP
===============  ===========================================  ====================================

Blocks that must be zero have to be exactly zero, and symmetries exact: a network that only nearly has the structure
does not have its guarantees.
"""

import io
import zipfile
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.base import Architecture
from pyham.architectures.interconnection import J1, half, skew
from pyham.architectures.schemes import SPLITTINGS
from pyham.architectures.vectors import H1, H2, MLP, MS1, MS2, MS3, ResNet
from pyham.network import Network

Array = np.ndarray[Any, Any]

SCHEMES = ("euler", *SPLITTINGS, "none")


def from_arrays(
    K: object,
    b: object,
    *,
    step: float,
    J: object = None,
    scheme: str = "euler",
    order: str = "p-first",
    activation: str = "tanh",
) -> Network:
    """A network with these weights.

    Parameters
    ----------
    K (N, n, n), b (N, n) : weights and biases of every layer, of one floating dtype
    step : h
    J (n, n) : skew-symmetric interconnection matrix, or None
    scheme : "euler", "semi-implicit", "verlet", "yoshida4", or "none" for layers that replace the state
    order : "p-first" or "q-first", for the schemes that take turns
    activation : its name

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; for a scheme that takes turns, also when K and J do not
        split.
    """
    weights = _check.array("K", K, ("N", "n", "n"))
    N, n = weights.shape[:2]
    weights = _check.array("K", weights, (N, n, n))
    params: dict[str, Array] = {"b": _check.array("b", b, (N, n))}
    _check.choice("scheme", scheme, SCHEMES)
    matrix = None if J is None else skew(J, n)
    arch: Architecture
    if scheme == "none":
        if matrix is not None:
            raise ValueError("J: expected None with scheme='none', got an array")
        arch, params["K"] = MLP(n, N, step, activation), weights
    elif scheme == "euler":
        if matrix is not None:
            arch, params["K"] = H1(n, N, step, activation, interconnection=matrix), weights
        elif N and not (weights + weights.swapaxes(1, 2)).any():
            i, j = np.triu_indices(n, 1)
            arch, params["K_upper"] = MS2(n, N, step, activation), weights[:, i, j]
        else:
            arch, params["K"] = ResNet(n, N, step, activation), weights
    else:
        arch, blocks = _split(weights, matrix, (n, N, step, activation, scheme, order))
        params |= blocks
    return Network(arch, params)


def read_arrays(path: str | PathLike[str]) -> Network:
    """A network from an .npz file with K, b, h and, where they apply, J, scheme, order, activation; see
    ``from_arrays``.

    Raises
    ------
    OSError
        If the file cannot be opened.
    TypeError, ValueError
        If it is no .npz file, lacks an array, or its arrays do not make a network. Pickled objects are refused.
    """
    content = io.BytesIO(Path(path).read_bytes())
    try:
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (AttributeError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: expected an .npz file of plain arrays, got none ({error})") from None
    missing = [name for name in ("K", "b", "h") if name not in arrays]
    unknown = [name for name in arrays if name not in ("K", "b", "h", "J", "scheme", "order", "activation")]
    if missing or unknown:
        raise ValueError(
            f"{path}: expected K, b, h and perhaps J, scheme, order, activation, got {', '.join(arrays) or 'nothing'}"
        )
    words = {name: str(arrays[name]) for name in ("scheme", "order", "activation") if name in arrays}
    step = float(_check.array("h", arrays["h"], ()))
    return from_arrays(arrays["K"], arrays["b"], step=step, J=arrays.get("J"), **words)


def _split(
    K: Array, J: Array | None, options: tuple[int, int, float, str, str, str]
) -> tuple[Architecture, dict[str, Array]]:
    """The architecture whose field splits into p and q, and its weights."""
    m = half(K.shape[-1])
    pp, pq, qp, qq = K[:, :m, :m], K[:, :m, m:], K[:, m:, :m], K[:, m:, m:]
    antidiagonal, diagonal = not (pp.any() or qq.any()), not (pq.any() or qp.any())
    if J is None:
        if antidiagonal and np.array_equal(qp, -pq.swapaxes(1, 2)):
            return MS1(*options), {"A": pq}
        raise ValueError("K: expected [[0, A], [-A^T, 0]] for a scheme that takes turns without J, got other blocks")
    if antidiagonal and not diagonal and np.array_equal(J, J1(2 * m)):
        return MS3(*options), {"K1": pq, "K2": qp}
    if diagonal and not (J[:m, :m].any() or J[m:, m:].any()):
        return H2(*options, J[m:, :m]), {"Kp": pp, "Kq": qq}
    raise ValueError(
        "K: expected block diagonal K with J = [[0, -X^T], [X, 0]], or block antidiagonal K with J = J1, "
        "for a scheme that takes turns, got neither"
    )

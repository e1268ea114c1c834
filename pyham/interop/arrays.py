"""Networks trained elsewhere: from arrays K, b, J and a step to a ``Network``, which can be run, differentiated,
certified.

Arrays alone do not say what network they are of: the same K and b make a ResNet, an H1 or an MLP. ``scheme`` or
``architecture`` says it, and which architecture a scheme's arrays are of is then read off them, or said in the error
when none fits. Inputs with the outputs that the network is known to give are the best proof that it is the one meant:

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

from os import PathLike
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.activations import Activation
from pyham.architectures.base import Architecture
from pyham.architectures.interconnection import J1, half, skew
from pyham.architectures.schemes import SPLITTINGS
from pyham.architectures.vectors import H1, H2, MLP, MS1, MS2, MS3, ResNet
from pyham.files.numpy_files import read_npz
from pyham.network import Network

Array = np.ndarray[Any, Any]

SCHEMES = ("euler", *SPLITTINGS, "none")
USUAL = {
    "H1": "euler", "H2": "semi-implicit", "MS1": "semi-implicit", "MS2": "euler", "MS3": "semi-implicit",
    "ResNet": "euler", "MLP": "none",
}  # fmt: skip
WORDS = ("scheme", "architecture", "order", "activation")


def from_arrays(
    K: object,
    b: object,
    *,
    step: float,
    J: object = None,
    scheme: str | None = None,
    architecture: str | None = None,
    order: str = "p-first",
    activation: str | Activation = "tanh",
    inputs: object = None,
    outputs: object = None,
) -> Network:
    """A network with these weights.

    Parameters
    ----------
    K (N, n, n), b (N, n) : weights and biases of every layer, of one floating dtype
    step : h
    J (n, n) : skew-symmetric interconnection matrix, or None
    scheme : "euler", "semi-implicit", "verlet", "yoshida4", or "none" for layers that replace the state
    architecture : "H1", "H2", "MS1", "MS2", "MS3", "ResNet" or "MLP"; alone, it stands for its usual scheme
    order : "p-first" or "q-first", for the schemes that take turns
    activation : its name, or an ``Activation``
    inputs (B, n), outputs (B, n) : samples, and what the network is known to make of them

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came: if neither scheme nor architecture is given; if the arrays
        do not make such a network; if its outputs differ by more than the square root of a rounding error, times the
        largest output or 1.
    """
    weights = _check.array("K", K, ("N", "n", "n"))
    N, n = weights.shape[:2]
    weights = _check.array("K", weights, (N, n, n))
    params: dict[str, Array] = {"b": _check.array("b", b, (N, n))}
    if architecture is not None:
        _check.choice("architecture", architecture, USUAL)
    if scheme is None:
        if architecture is None:
            raise ValueError(
                f"scheme: expected one of {', '.join(map(repr, SCHEMES))}, or an architecture ({', '.join(USUAL)}), "
                "got neither; K and b alone do not say which network they are of"
            )
        scheme = USUAL[architecture]
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
        elif architecture != "ResNet" and N and not (weights + weights.swapaxes(1, 2)).any():
            i, j = np.triu_indices(n, 1)
            arch, params["K_upper"] = MS2(n, N, step, activation), weights[:, i, j]
        else:
            arch, params["K"] = ResNet(n, N, step, activation), weights
    else:
        arch, blocks = _split(weights, matrix, (n, N, step, activation, scheme, order))
        params |= blocks
    if architecture is not None and arch.name != architecture:
        raise ValueError(f"architecture: expected {arch.name}, whose arrays these are, got {architecture}")
    net = Network(arch, params)
    if inputs is not None or outputs is not None:
        _compare(net, inputs, outputs)
    return net


def _compare(net: Network, inputs: object, outputs: object) -> None:
    """Refuse a network that does not give these outputs for these inputs."""
    if inputs is None or outputs is None:
        raise ValueError("inputs, outputs: expected both or none, got one of them")
    x = _check.array("inputs", inputs, ("B", net.arch.width))
    y = _check.array("outputs", outputs, x.shape)
    found = net(x, backend="reference")
    apart = np.abs(found - y).max(initial=0)
    narrow = max(np.finfo(dtype).eps for dtype in (net.dtype, x.dtype, y.dtype))
    if not apart <= narrow**0.5 * np.abs(y).max(initial=1):
        raise ValueError(
            f"outputs: expected those of {net.arch.name} for these inputs, got others, by up to {apart:.3g} where the "
            f"largest is {np.abs(y).max(initial=0):.3g}; another scheme, order, J, step or activation may be meant"
        )


def read_arrays(path: str | PathLike[str]) -> Network:
    """A network from an .npz file with K, b, h and, where they apply, the other arguments of ``from_arrays``.

    Raises
    ------
    OSError
        If the file cannot be opened.
    TypeError, ValueError
        If it is no .npz file, lacks an array, or its arrays do not make a network. Pickled objects are refused.
    """
    arrays = read_npz(path)
    missing = [name for name in ("K", "b", "h") if name not in arrays]
    unknown = [name for name in arrays if name not in ("K", "b", "h", "J", "inputs", "outputs", *WORDS)]
    if missing or unknown:
        raise ValueError(
            f"{path}: expected K, b, h, scheme or architecture, and perhaps J, order, activation, inputs, outputs, got "
            f"{', '.join(arrays) or 'nothing'}"
        )
    options: dict[str, Any] = {name: str(arrays[name]) for name in WORDS if name in arrays}
    options |= {name: arrays[name] for name in ("J", "inputs", "outputs") if name in arrays}
    return from_arrays(arrays["K"], arrays["b"], step=_check.array("h", arrays["h"], ()).item(), **options)


def _split(
    K: Array, J: Array | None, options: tuple[int, int, float, str | Activation, str, str]
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

"""Gradients by complex step; K, J and y_N by the equations of each architecture, without stages or pullback."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

import pyham
from pyham import gradcheck, lowering
from validation.faults_elsewhere.reading import ROUNDING, Reading, difference, reading

Array = np.ndarray[Any, Any]


X = np.array([[1.0, -0.4], [0.9, 0.7]])  # neither symmetric nor orthogonal, so that no transpose hides


def networks(batch: int) -> Iterator[tuple[str, pyham.Network, Array, Array]]:
    """(name, network, x, g) for every architecture, scheme and order; new ones, as networks keep their stages."""
    kinds: dict[str, pyham.Architecture] = {
        "MLP": pyham.MLP(4, 2, 0.5),
        "ResNet": pyham.ResNet(4, 2, 0.5),
        "H1": pyham.H1(4, 2, 0.5, interconnection="J1"),
        "H1 J2 logistic": pyham.H1(4, 2, 0.5, "logistic", interconnection="J2"),
        "MS1": pyham.MS1(4, 2, 0.5),
        "MS1 verlet": pyham.MS1(4, 2, 0.5, scheme="verlet"),
        "MS2": pyham.MS2(4, 2, 0.5),
        "MS3": pyham.MS3(4, 2, 0.5),
        "MS3 q-first": pyham.MS3(4, 2, 0.5, order="q-first"),
        "H2": pyham.H2(4, 2, 0.5, X=X),
        "H2 verlet": pyham.H2(4, 2, 0.5, scheme="verlet", X=X),
        "H2 yoshida4": pyham.H2(4, 2, 0.5, scheme="yoshida4", X=X),
    }
    for seed, (name, arch) in enumerate(kinds.items()):
        rng = np.random.default_rng(seed)
        net = arch.init(rng)
        x, g = rng.standard_normal((2, batch, 4))
        yield name, net, x, g


def gradients() -> Iterator[Reading]:
    """Every gradient of the reference engine, and so the pullback, by complex step."""
    for name, net, x, g in networks(3):
        if name in ("H1", "MS3", "H2", "H2 yoshida4"):  # others of their kind are enough: an entry takes a forward pass
            continue
        found = gradcheck.complex_step(net, x, g, backend="reference")
        yield reading("complex_step", name, np.array(list(found.values())), ROUNDING)


def picked_columns() -> Iterator[Reading]:
    """y_N by its equations and gradients by complex step, where X picks: no involution, and one row in its place."""
    block = np.zeros((4, 4))
    block[[1, 2, 0, 3], [0, 1, 2, 3]] = 2.0, -3.0, 0.5, 1.5
    for scheme in ("semi-implicit", "verlet"):
        net = pyham.H2(8, 2, 0.25, scheme=scheme, X=block).init(0)
        x, g = np.random.default_rng(1).standard_normal((2, 2, 8))
        yield reading("formulas", f"H2 {scheme}", difference(net(x, backend="reference"), output(net, x)), ROUNDING)
        found = gradcheck.complex_step(net, x, g, backend="reference")
        yield reading("complex_step", f"H2 {scheme}", np.array(list(found.values())), ROUNDING)


def parts() -> Iterator[Reading]:
    """Every gradient by complex step, of more layers than the pullback takes at a time."""
    kinds = (pyham.MLP(2, 5), pyham.H1(2, 5, 0.5), pyham.MS2(3, 5, 0.5), pyham.H2(2, 5, 0.5, scheme="verlet"))
    for arch in kinds:
        x, g = np.random.default_rng(1).standard_normal((2, 2, arch.width))
        with mock.patch.object(lowering, "CHUNK", 2):
            found = gradcheck.complex_step(arch.init(0), x, g, backend="reference")
        yield reading("complex_step", f"{arch.name} in parts", np.array(list(found.values())), ROUNDING)


def formulas() -> Iterator[Reading]:
    """K, J and y_N by the equations of the architectures' docstrings."""
    for name, net, x, _ in networks(3):
        yield reading("formulas", name, difference(net.K, weights(net)), 0.0)
        J = structure(net)
        if J is not None:
            yield reading("formulas", name, difference(np.asarray(net.interconnection), J), ROUNDING)
        yield reading("formulas", name, difference(net(x, backend="reference"), output(net, x)), ROUNDING)
    for arch in (pyham.MS1(4, 3), pyham.MS2(4, 3)):
        net = arch.init(0)
        same = net.replace({key: np.broadcast_to(value[0], value.shape) for key, value in net.params.items()})
        for case, J in (("layers differ", net.interconnection), ("layers the same", same.interconnection)):
            K = net.K if case == "layers differ" else same.K
            product = np.asarray(J) @ K.swapaxes(1, 2)
            apart = difference(product, np.broadcast_to(np.eye(4), K.shape))
            yield reading("formulas", f"{arch.name}, {case}", apart, ROUNDING)


def weights(net: pyham.Network) -> Array:
    """K (N, n, n)."""
    n, m, p = net.arch.width, net.arch.width // 2, net.params
    K = np.zeros((net.arch.depth, n, n))
    for j in range(net.arch.depth):
        if net.arch.name == "MS1":
            K[j, :m, m:], K[j, m:, :m] = p["A"][j], -p["A"][j].T
        elif net.arch.name == "MS2":
            above = iter(p["K_upper"][j])
            for a in range(n):
                for c in range(a + 1, n):
                    K[j, a, c] = next(above)
            K[j] -= K[j].T
        elif net.arch.name == "MS3":
            K[j, :m, m:], K[j, m:, :m] = p["K1"][j], p["K2"][j]
        elif net.arch.name == "H2":
            K[j, :m, :m], K[j, m:, m:] = p["Kp"][j], p["Kq"][j]
        else:
            K[j] = p["K"][j]
    return K


def structure(net: pyham.Network) -> Array | None:
    """J (n, n) of H1, H2 and MS3, else None."""
    n, m, options = net.arch.width, net.arch.width // 2, net.arch.config()
    J = np.zeros((n, n))
    if net.arch.name == "H2":
        block = np.array(options["X"])
        J[:m, m:], J[m:, :m] = -block.T, block
    elif net.arch.name == "MS3" or options.get("interconnection") == "J1":
        for i in range(m):
            J[i, m + i], J[m + i, i] = 1, -1
    elif options.get("interconnection") == "J2":
        for i in range(n):
            J[i, i + 1 :], J[i, :i] = 1, -1
    else:
        return None
    return J


def output(net: pyham.Network, x: Array) -> Array:
    """y_N (B, n) from x, layer by layer."""
    arch, m = net.arch, net.arch.width // 2
    h, J, options = arch.step, structure(net), arch.config()
    y = x.copy()
    for K, b in zip(weights(net), net.b, strict=True):

        def field(y: Array, K: Array = K, b: Array = b) -> Array:
            s = _sigma(arch.activation, y @ K.T + b)
            return s if J is None else s @ K @ J.T

        if arch.name == "MLP":
            y = field(y)
        elif "scheme" not in options:
            y = y + h * field(y)
        else:
            halves = slice(0, m), slice(m, None)
            for which, fraction in sequence(options["scheme"]):
                part = halves[which if options["order"] == "p-first" else 1 - which]
                step = h * fraction * field(y)
                y[:, part] += step[:, part]
    return y


def sequence(scheme: str, fraction: float = 1.0) -> list[tuple[int, float]]:
    """(half, fraction of h): Yoshida's fourth order is three Verlet steps, Verlet two mirrored semi-implicit ones."""
    if scheme == "semi-implicit":
        return [(0, fraction), (1, fraction)]
    if scheme == "verlet":
        forth = sequence("semi-implicit", fraction / 2)
        return forth + forth[::-1]
    w = 1 / (2 - np.cbrt(2))
    return [step for part in (w, 1 - 2 * w, w) for step in sequence("verlet", part)]


def _sigma(name: str, a: Array) -> Array:
    return np.tanh(a) if name == "tanh" else 1 / (1 + np.exp(-a))

"""Bounds and residuals by their definitions."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import pyham
from pyham import bounds, interconnection, symplectic
from validation.faults_elsewhere.formulas import X, networks, sequence, structure, weights
from validation.faults_elsewhere.reading import ROUNDING, Reading, difference, norm, reading

Array = np.ndarray[Any, Any]


def bounds_by_hand() -> Iterator[Reading]:
    """Bounds from norms of the parameters; and one shear at rest, where the sharp bound is attained."""
    read = partial(reading, "bounds by hand", limit=ROUNDING)
    for name, net, _, _ in networks(3):
        S, h = 0.25 if net.arch.activation == "logistic" else 1.0, net.arch.step
        J, options, m = structure(net), net.arch.config(), net.arch.width // 2
        e = []
        for K in weights(net):
            halves = [slice(0, m), slice(m, None)][:: 1 if options.get("order") != "q-first" else -1]
            steps = [(halves[i], f) for i, f in _joined(options["scheme"])] if "scheme" in options else []
            e.append([S * f * h * _drive(net, K, J, dst) for dst, f in steps])
            if not steps:
                W = np.eye(4) if J is None else J @ K.T
                e[-1] = [S * (h if net.arch.keep else 1) * norm(W) * norm(K)]
        factors: dict[str, Callable[[float], float]] = {"sharp": np.log1p, "product": np.log1p}
        if "scheme" in options:
            factors["sharp"] = lambda v: np.arcsinh(v / 2)
        if not net.arch.keep:
            factors = dict.fromkeys(factors, np.log)
        for kind, factor in factors.items():
            logs = [sum(factor(v) for layer in e[j:] for v in layer) for j in range(len(e) + 1)]
            yield read(name, difference(bounds.log_upper(net, kind), np.array(logs)))
            if kind == "sharp" and "scheme" in options:
                yield read(name, difference(np.asarray(bounds.lower(net)), np.exp(-np.array(logs))))
        if net.arch.keep:
            Qh = max(map(sum, e))
            logs = [np.log(4) / 2 + Qh * (len(e) - j) for j in range(len(e) + 1)]
            yield read(name, difference(bounds.log_upper(net, "paper"), np.array(logs)))
        if J is not None:
            growth = [S / 2 * norm(J) * norm(K) ** 2 for K in weights(net)]
            yield read(name, difference(bounds.log_norm(net), np.array(growth)))
    delta = np.array([[[3.0, 4.0]], [[0.0, 2.0]], [[1.0, 0.0]]])
    yield read("", difference(bounds.gradient_ratio(delta), np.array([[5.0], [2.0], [1.0]])))
    for activation in ("tanh", "logistic", "identity"):
        net = pyham.H2(4, 1, 0.3, activation).init(0)
        net = net.replace({"Kp": np.zeros((1, 2, 2)), "b": np.zeros((1, 4))})
        size = np.linalg.norm(net.sensitivity(np.zeros((1, 4)), backend="reference")[0, 0], 2)
        yield read(f"one shear, {activation}", difference(bounds.log_upper(net)[:1], np.log([size])))


def _joined(scheme: str) -> list[tuple[int, float]]:
    """The ``sequence`` with neighbouring steps of one half joined, negative ones as their size."""
    joined: list[tuple[int, float]] = []
    for half, fraction in sequence(scheme):
        if joined and joined[-1][0] == half:
            joined[-1] = half, joined[-1][1] + fraction
        else:
            joined.append((half, fraction))
    return [(half, abs(fraction)) for half, fraction in joined]


def _drive(net: pyham.Network, K: Array, J: Array | None, dst: slice) -> float:
    """||W|| ||A|| of the stage that updates ``dst``, for h = 1: its rows of K are those that do not read it."""
    m = net.arch.width // 2
    src = slice(m, None) if dst.start == 0 else slice(0, m)
    rows = src if net.arch.name == "H2" else dst
    A = K[rows, src]
    return norm(A) * (1.0 if J is None else norm(J[dst, src] @ A.T))


def residuals_by_hand() -> Iterator[Reading]:
    """The residuals of ``pyham.symplectic`` by their definitions, on matrices that need no scaling."""
    read = partial(reading, "residuals by hand", limit=ROUNDING)
    rng = np.random.default_rng(0)
    J = np.zeros((4, 4))
    J[:2, 2:], J[2:, :2] = -X.T, X
    I = np.eye(4)
    cond = np.linalg.cond(J)
    cases = {
        "diagonal": np.diag([2.0, 1, 1, 1]),
        "random": rng.standard_normal((4, 4)),
        "small": 0.1 * rng.standard_normal((4, 4)),
    }
    for name, P in cases.items():
        size = max(1.0, norm(P) ** 2)
        D = P.T @ J @ P - J
        fro = np.linalg.norm(D) / np.linalg.norm(J) / max(1.0, float(np.linalg.norm(P)) ** 2)
        yield read(name, difference(symplectic.defect(P, J), fro))
        yield read(name, difference(symplectic.defect(P, J, norm="2"), norm(D) / norm(J) / size))
        numpy = {"1": 1, "2": 2, "inf": np.inf, "fro": "fro", "nuc": "nuc"}
        for key, value in symplectic.norms(P).items():
            order: Any = numpy[key]
            yield read(name, difference(value, np.linalg.norm(P, order)))
        det = np.linalg.det(P)
        adj = det * np.linalg.inv(P)
        residual = abs(det - 1) / max(4.0, float(np.linalg.norm(P) * np.linalg.norm(adj)))
        yield read(name, difference(np.array(symplectic.determinant(P)), np.array([det, residual])))
        far: list[float] = [abs(l) * np.linalg.svd(P - I / l, compute_uv=False)[-1] for l in np.linalg.eigvals(P)]
        yield read(name, difference(symplectic.eigenvalue_pairing(P, J), max(far) / cond / size))
        s = np.linalg.svd(P, compute_uv=False)
        pairs: list[float] = [abs(s[i] * s[3 - i] - 1) for i in range(4)]
        yield read(name, difference(symplectic.singular_value_pairing(P), max(pairs) / size))
    for name, J, orthogonal in (("J1", interconnection.J1(4), True), ("J2", interconnection.J2(4), False)):
        yield read(f"is {name} orthogonal", np.array(float(symplectic.is_orthogonal(J) != orthogonal)))

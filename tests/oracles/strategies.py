"""Networks and inputs for the tests: named Hypothesis strategies, and the list of all variants for exhaustive tests.

Sizes are chosen so that sensitivities stay moderate and a wrong digit stands out: the time T = N h is drawn from
[0.1, 2] in units of 1 / ||J||, whatever the depth, and weights have the scale at which K y + b keeps its size.
"""

from typing import Any

import hypothesis.strategies as st
import numpy as np

import pyham

Array = np.ndarray[Any, Any]

NAMES = tuple(pyham.ARCHITECTURES)
SPLIT = ("MS1", "MS3", "H2")
ACTIVATIONS = tuple(pyham.ACTIVATIONS)
SMOOTH = tuple(name for name in ACTIVATIONS if name != "relu")
SCHEMES = ("semi-implicit", "verlet", "yoshida4")
ORDERS = ("p-first", "q-first")

#: Every architecture with every scheme and order, and every kind of J: name of the case -> (architecture, options).
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    f"{name}-{scheme}-{order}": (name, {"scheme": scheme, "order": order} | ({"X": "random"} if name == "H2" else {}))
    for name in SPLIT
    for scheme in SCHEMES
    for order in ORDERS
} | {
    "H2-plain": ("H2", {}),
    "H2-damped": ("H2", {"scheme": "verlet", "damping": (0.4, -0.3), "X": "random"}),
    "MS3-damped": ("MS3", {"scheme": "yoshida4", "order": "q-first", "damping": 0.5}),
    "MS1-damped": ("MS1", {"damping": -0.2}),
    "MS2": ("MS2", {}),
    "H1-J1": ("H1", {"interconnection": "J1"}),
    "H1-J2": ("H1", {"interconnection": "J2"}),
    "H1-skew": ("H1", {"interconnection": "random"}),
    "H1-dissipative": ("H1", {"dissipation": 0.4, "damping": 0.3}),
    "MLP": ("MLP", {}),
    "ResNet": ("ResNet", {}),
}


def pairs(activations: tuple[str, ...] = ACTIVATIONS, names: tuple[str, ...] = NAMES) -> list[tuple[str, str]]:
    """Every variant, and every activation with every architecture: pairs (key of ``VARIANTS``, activation).

    What depends on the activation through sigma and sigma' alone needs no more: variants differ in their matrices.
    """
    found = []
    for name in names:
        keys = [key for key, (other, _) in VARIANTS.items() if other == name]
        for i in range(max(len(keys), len(activations))):
            found.append((keys[i % len(keys)], activations[i % len(activations)]))
    return found


def variant(key: str, *, width: int, depth: int, step: float = 0.1, activation: str = "tanh", seed: int = 0) -> Any:
    """The architecture of ``VARIANTS[key]``, with "random" replaced by a matrix of that seed."""
    name, options = VARIANTS[key]
    matrices = {"X": well_conditioned(width // 2, seed), "interconnection": skew(width, seed)}
    filled = {option: matrices[option] if value == "random" else value for option, value in options.items()}
    return pyham.architecture(name, width=width, depth=depth, step=step, activation=activation, **filled)


def well_conditioned(m: int, seed: int) -> Array:
    """A random matrix (m, m) with singular values in [1/2, 1]."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.standard_normal((m, m)))
    V, _ = np.linalg.qr(rng.standard_normal((m, m)))
    return U @ np.diag(rng.uniform(0.5, 1, m)) @ V


def skew(n: int, seed: int) -> Array:
    """A random skew-symmetric matrix (n, n) of norm 1; n >= 2."""
    M = np.random.default_rng(seed).standard_normal((n, n))
    return (M - M.T) / np.linalg.norm(M - M.T, 2)


def symplectic_matrices(count: int, n: int, factors: int, seed: int, size: float = 1.0) -> Array:
    """Random matrices (count, n, n) that are symplectic for J1: products of shears [[I, S], [0, I]] and transposes."""
    rng = np.random.default_rng(seed)
    m = n // 2
    phi = np.broadcast_to(np.eye(n), (count, n, n)).copy()
    for k in range(factors):
        S = size * rng.standard_normal((count, m, m)) / np.sqrt(m)
        shear = np.broadcast_to(np.eye(n), (count, n, n)).copy()
        block = (slice(None), slice(m), slice(m, n)) if k % 2 else (slice(None), slice(m, n), slice(m))
        shear[block] = (S + S.swapaxes(1, 2)) / 2
        phi = shear @ phi
    return phi


seeds = st.integers(0, 2**32 - 1)
durations = st.floats(0.1, 2)


@st.composite
def architectures(
    draw: st.DrawFn,
    names: tuple[str, ...] = NAMES,
    activations: tuple[str, ...] = ACTIVATIONS,
    max_depth: int = 300,
    max_width: int = 16,
) -> Any:
    """Any architecture with any scheme, order, activation, depth 0 .. max_depth and width 2 .. max_width."""
    name = draw(st.sampled_from(names))
    options: dict[str, Any] = {}
    if name in SPLIT:
        width = 2 * draw(st.integers(1, max_width // 2))
        options = {"scheme": draw(st.sampled_from(SCHEMES)), "order": draw(st.sampled_from(ORDERS))}
    else:
        width = draw(st.integers(2, max_width))
    if name == "H2" and draw(st.booleans()):
        options["X"] = well_conditioned(width // 2, draw(seeds))
    size = 1.0
    if name == "H1":
        J = draw(st.sampled_from(("J1", "J2", "random") if width % 2 == 0 else ("J2", "random")))
        options["interconnection"] = skew(width, draw(seeds)) if J == "random" else J
        size = np.linalg.norm(pyham.interconnection.J2(width), 2) if J == "J2" else 1.0
    depth = draw(st.integers(0, max_depth))
    step = draw(durations) / max(1, depth) / float(size)
    activation = draw(st.sampled_from(activations))
    return pyham.architecture(name, width=width, depth=depth, step=step, activation=activation, **options)


@st.composite
def networks(draw: st.DrawFn, names: tuple[str, ...] = NAMES, constant: bool = False, **limits: Any) -> pyham.Network:
    """A network of any architecture with random weights; ``constant``: MS1 has the same A in all layers.

    A is then well conditioned, so that J = K^-T is known to rounding.
    """
    arch = draw(architectures(names, **limits))
    seed = draw(seeds)
    net = arch.init(seed, initialization="scaled-normal")
    if constant and arch.name == "MS1":
        A = well_conditioned(arch.width // 2, seed)
        net = net.replace({"A": np.broadcast_to(A, arch.shapes["A"])})
    return net


@st.composite
def inputs(draw: st.DrawFn, width: int, min_batch: int = 0, max_batch: int = 50, dtype: Any = np.float64) -> Array:
    """A batch x (B, n) of min_batch .. max_batch samples: normal numbers of any size from 0 to 3."""
    batch = draw(st.integers(min_batch, max_batch))
    size = draw(st.sampled_from((0.0, 1e-3, 1.0, 3.0)))
    return (size * np.random.default_rng(draw(seeds)).standard_normal((batch, width))).astype(dtype)


@st.composite
def networks_with_inputs(
    draw: st.DrawFn, min_batch: int = 0, max_batch: int = 50, **options: Any
) -> tuple[pyham.Network, Array]:
    """(net, x) for ``networks(**options)`` and ``inputs``."""
    net = draw(networks(**options))
    return net, draw(inputs(net.arch.width, min_batch, max_batch))

"""V10. Energy with time-invariant weights: kept by the flow, by symplectic networks within O(h^r) at any depth.

Statement: H is constant along y' = J grad H(y); over 10^5 layers and more semi-implicit Euler (r = 1) and Verlet (r =
2) change it by no more than h^r osc G, osc G = max G - min G along the orbit, to leading order. Source: Hairer,
Lubich, Wanner, "Geometric Numerical Integration", IX.3 and IX.8: both follow a modified Hamiltonian H + h^r G + ... up
to exponentially small terms. With H = A + B, the first stage of a layer driven by A and the next by B, with fields f_A
= J grad A and f_B = J grad B, Baker, Campbell and Hausdorff give, up to sign,

    G = grad A . f_B / 2  (semi-implicit Euler)     G = f_B . A'' f_B / 12 - f_A . B'' f_A / 24  (Verlet)

Oracle: SciPy's DOP853 for the flow; these formulas, in NumPy, along the states of the compiled engine. Number: for the
flow max |H - H_0|; for a network the largest max |H - H_0| / (h^r osc G) of all samples; and how far the order, log2
of the ratio of the errors with h and h / 2, is from r. Tolerance: every accepted step of DOP853 has an error of at
most sqrt(n) (atol + rtol max |y|), which changes H by max |grad H| times as much and then stays, so the steps add up;
the terms of the modified Hamiltonian fall by a factor of h L = e = h S ||J|| ||K||^2, so the second is at most e times
the first: 1 + e, and for the order log2((1 + e) / (1 - e / 2)). Control: the flow with friction; forward Euler, whose
energy drifts; the other method's order.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import pyham
from pyham.verification import neighbours
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, RED, panels

STATEMENT = "H: kept by the flow; |H - H_0| <= h^r osc G over 1e5 layers, semi-implicit r = 1, Verlet r = 2"

ORDERS = {"semi-implicit": 1, "verlet": 2}
CHUNK = 25000  # layers of a network; an orbit goes through it again and again
SMALL = 0.1  # e = h L: the relative size of what the leading order leaves out
RTOL, ATOL = 1e-10, 1e-12
FRICTION = 1e-3


class Orbit(NamedTuple):
    """max |H - H_0| of every chunk of layers (chunks, B), and osc G (B,) over all of them."""

    error: Array
    oscillation: Array


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V10")
    samples, chunks = (3, 4) if lab.quick else (5, 40)
    kinds = (("H2", 2, "p-first"), ("MS3", 4, "q-first"), ("H2", 4, "q-first"))
    for name, width, order in kinds[: 2 if lab.quick else 3]:
        weights = draw(name, width, rng)
        x = rng.standard_normal((samples, width))
        label = f"{name}, n = {width}"
        H = Hamiltonian.of(build(name, width, "verlet", order, weights, depth=1))
        measured, limit = flow(H, x, 0)
        yield Result(f"{label}, flow", measured, limit, flow(H, x, FRICTION)[0], f"friction {FRICTION}")
        found = {}
        for scheme, r in ORDERS.items():
            net = build(name, width, scheme, order, weights)
            H = Hamiltonian.of(net)
            whole, euler = follow(net, H, x, r, chunks), follow(neighbours.forward_euler(net), H, x, r, 1)
            later, before = whole.error[chunks // 2 :].max(), whole.error[: chunks // 2].max()
            note = (
                f"max |H - H_0| {before:.2e} in the first half of {chunks * CHUNK} layers, {later:.2e} in the second; "
                f"forward Euler {euler.error.max():.1e} in {CHUNK}"
            )
            h = net.arch.step**r
            control = (euler.error.max(axis=0) / (h * euler.oscillation)).min()
            relative = (whole.error.max(axis=0) / (h * whole.oscillation)).max()
            yield Result(f"{label}, {scheme}", relative, 1 + SMALL, control, "forward Euler", note)
            half = follow(build(name, width, scheme, order, weights, 2), H, x, r, 2)
            found[scheme] = np.log2(whole.error[0] / half.error.max(axis=0))
        limit = float(np.log2((1 + SMALL) / (1 - SMALL / 2)))
        for scheme, r in ORDERS.items():
            other = next(orders for kind, orders in found.items() if kind != scheme)
            note = "orders " + ", ".join(f"{order:.3f}" for order in found[scheme])
            measured, control = np.abs(found[scheme] - r).max(), np.abs(other - r).min()
            yield Result(f"{label}, {scheme}, order", measured, limit, control, "the other scheme", note)


def draw(name: str, width: int, rng: np.random.Generator) -> dict[str, Array]:
    """Weights with singular values in [1/2, 1], so that the level sets of H are bounded, and biases."""
    m = width // 2
    blocks = {}
    for key in ("Kp", "Kq") if name == "H2" else ("K1", "K2"):
        left, right = (np.linalg.qr(rng.standard_normal((m, m)))[0] for _ in range(2))
        blocks[key] = left * rng.uniform(0.5, 1, m) @ right
    return blocks | {"b": 0.5 * rng.standard_normal(width)}


def build(
    name: str, width: int, scheme: str, order: str, weights: dict[str, Array], finer: int = 1, depth: int = CHUNK
) -> pyham.Network:
    """The same weights in all layers, h / ``finer`` with h such that e = ``SMALL``."""
    largest = max(np.linalg.norm(value, 2) for key, value in weights.items() if key != "b")
    step = SMALL / largest**2 / finer
    arch = pyham.architecture(name, width=width, depth=depth, step=step, scheme=scheme, order=order)
    return arch.init(0, initialization=weights)


def follow(net: pyham.Network, H: "Hamiltonian", x: Array, r: int, chunks: int) -> Orbit:
    """Energies along ``chunks`` times the layers of ``net``, and osc G for the order r."""
    errors, low, high, y = [], np.inf, -np.inf, x
    start = H.energy(x)
    for _ in range(chunks):
        states = net.trace(y).states
        errors.append(np.abs(H.energy(states) - start).max(axis=0))
        G = H.leading(states[::4], r)  # every fourth is enough: a layer is a small part of an oscillation
        low, high = np.minimum(low, G.min(axis=0)), np.maximum(high, G.max(axis=0))
        y = np.ascontiguousarray(states[-1])
    return Orbit(np.array(errors), np.asarray(high - low))


class Hamiltonian(NamedTuple):
    """H(y) = 1^T log cosh(K y + b) of a network with the same K (n, n) and b (n,) in all layers."""

    K: Array
    b: Array
    J: Array
    parts: tuple[slice, slice]  # the rows of K y + b that A consists of, and those of B

    @classmethod
    def of(cls, net: pyham.Network) -> "Hamiltonian":
        first, second = net.arch.parts
        assert net.arch.J is not None
        return cls(net.K[0], net.b[0], net.arch.J, (first.rows, second.rows))

    def energy(self, y: Array) -> Array:
        """H (...) at states y (..., n)."""
        a = y @ self.K.T + self.b
        return np.asarray((np.logaddexp(a, -a) - np.log(2)).sum(axis=-1))

    def gradient(self, y: Array) -> Array:
        """grad H (..., n) at states y (..., n)."""
        return np.tanh(y @ self.K.T + self.b) @ self.K

    def leading(self, y: Array, r: int) -> Array:
        """G (...) at states y (..., n), see above."""
        s = np.tanh(y @ self.K.T + self.b)
        (K_A, s_A), (K_B, s_B) = [(self.K[rows], s[..., rows]) for rows in self.parts]
        f_A, f_B = s_A @ K_A @ self.J.T, s_B @ K_B @ self.J.T
        if r == 1:
            return np.asarray((s_A @ K_A * f_B).sum(axis=-1) / 2)
        second_A = ((1 - s_A**2) * (f_B @ K_A.T) ** 2).sum(axis=-1)
        second_B = ((1 - s_B**2) * (f_A @ K_B.T) ** 2).sum(axis=-1)
        return np.asarray(second_A / 12 - second_B / 24)


def flow(H: Hamiltonian, x: Array, friction: float) -> tuple[float, float]:
    """max |H - H_0| of SciPy's solution for T = 100 from the samples x, and what its errors can add up to."""
    field = H.J - friction * np.eye(len(H.J))
    error, limit = 0.0, 0.0
    for y0 in x:
        solution = solve_ivp(lambda t, y: field @ H.gradient(y), (0, 100), y0, method="DOP853", rtol=RTOL, atol=ATOL)
        y = solution.y.T
        steep = np.linalg.norm(H.gradient(y), axis=1).max()
        error = max(error, float(np.abs(H.energy(y) - H.energy(y0)).max()))
        step = np.sqrt(len(y0)) * (ATOL + RTOL * np.abs(y).max())
        limit = max(limit, float(len(solution.t) * steep * step))
    return error, limit


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    rng = lab.rng("V10")
    weights = draw("H2", 2, rng)
    x = np.array([[1.0, 1.0]])
    figure, (axis,) = panels(1, width=7.5)
    depth = 100000
    for label, scheme, colour in (("semi-implicit Euler", "semi-implicit", BLUE), ("Verlet", "verlet", GREEN)):
        net = build("H2", 2, scheme, "p-first", weights, depth=depth)
        cases = [(label, net, colour)] + [("forward Euler", neighbours.forward_euler(net), RED)] * (colour == BLUE)
        H = Hamiltonian.of(net)
        for name, member, shade in cases:
            error = np.abs(H.energy(member.trace(x).states) - H.energy(x))[:, 0]
            layers = np.unique(np.geomspace(1, depth, 400).astype(int))
            axis.plot(layers, np.maximum.accumulate(error)[layers], color=shade, label=name)
    axis.set(xscale="log", yscale="log", xlabel="layer j", ylabel=r"$\max_{i \leq j}\ |H(y_i) - H(y_0)|$")
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    yield (
        "Energy error of networks with the same weights in all layers (the largest so far). "
        "Symplectic schemes keep it bounded at O(h) and O(h^2); forward Euler drifts.",
        figure,
    )

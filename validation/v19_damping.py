"""V19. With damping, gradients fade at a rate that is chosen, and no faster: Phi_j^T J Phi_j = c_j J.

Statement: with p' = -gp p + (J grad H)_p, q' = -gq q + (J grad H)_q and J = [[0, -X^T], [X, 0]], every splitting scheme
gives Phi_j^T J Phi_j = c_j J, c_j = exp(-h sum of (gp + gq) over the layers behind j), for any weights, X and depth: so
det Phi_j = c_j^(n/2), eigenvalues in pairs l, c_j/l, for orthogonal J singular values in pairs s, c_j/s, and every norm
is at least sqrt(c_j). Without damping these are V2, V3 and V4. Source: a stage multiplies the two-form by its factor of
what it updates, as J couples p with q alone; conformally symplectic integrators are due to McLachlan and Quispel 2001.
Oracle: the rates, not the network's stages. Numbers: those of V2, V3 and V4 for Phi_j / sqrt(c_j). Tolerance: c eps
(stages), c = 4, as there; the factors of the stages are rounded, too, by half an eps each. Controls: c replaced by 1;
the c of q damped at a rate that is off by 1 / (2 T); forward Euler of the damped equation. The number shown is the
smallest of the three.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.verification import neighbours, rounding, symplectic
from pyham.verification.structure import defect
from validation.claim import Array, Lab, Result, worst
from validation.look import BLUE, GREEN, GREY, PURPLE, RED, panels
from validation.v02_symplectic import depths, random_network, sensitivity, spread, tolerance
from validation.v03_norms import shortfall

STATEMENT = "damped at rates gp, gq: Phi^T J Phi = c J, det Phi = c^(n/2), norms >= sqrt(c), c = exp(-(gp + gq) time)"

RATES = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the figure


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V19")
    for name in ("H2", "MS3", "MS1"):
        for dtype in (np.float64, np.float32):
            cases = []
            for net, x in networks(name, lab, rng):
                phi = normalised(net.sensitivity(x.astype(dtype)), net)
                rho = max(float(defect(phi, net).max()), float(defect(spread(phi), net, norm="2").max()))
                scheme = net.arch.config()["scheme"]
                cases.append((rho, tolerance(net, dtype), f"n = {net.arch.width}, N = {net.arch.depth}, {scheme}"))
            measured, limit, case = worst(cases)
            control = min(violations(damped(random_network(name, 6, 64, rng), rng), rng.standard_normal((8, 6)), dtype))
            note = f"{len(cases)} random networks, widths 2-32, depths to {depths(lab)[-1]}; the worst: {case}"
            yield Result(f"{name}, {dtype.__name__}", measured, limit, control, "3 faults, smallest", note)
    for name in ("H2", "MS3"):
        net = damped(random_network(name, 6, 64, rng), rng)
        if name == "H2":
            net = pyham.Network(replace(net.arch, X=None), net.params)
        raw, limit = net.sensitivity(rng.standard_normal((20, 6))), tolerance(net, np.float64)
        phi, J = normalised(raw, net), np.asarray(net.interconnection)
        for what, residual in (
            ("det", [symplectic.determinant(P)[1] for P in (phi, raw)]),
            ("eigenvalues", [symplectic.eigenvalue_pairing(P, J) for P in (phi, raw)]),
            ("singular values", [symplectic.singular_value_pairing(P) for P in (phi, raw)]),
        ):
            yield Result(f"{name}: {what}", residual[0].max(), limit, residual[1].max(), "c replaced by 1")
        fading = pyham.Network(replace(net.arch, damping=(1.0, 0.5)), net.params)
        raw = fading.sensitivity(rng.standard_normal((20, 6)))
        half = normalised(raw, pyham.Network(replace(net.arch, damping=(-1.0, -0.5)), net.params))
        note = f"smallest norm / sqrt(c) {1 - shortfall(normalised(raw, fading)):.6f}"
        yield Result(
            f"{name}: norms", shortfall(normalised(raw, fading)), limit, shortfall(normalised(half, fading)),
            "faded twice as fast", note,
        )  # fmt: skip


def networks(name: str, lab: Lab, rng: np.random.Generator) -> Iterator[tuple[pyham.Network, Array]]:
    """Random damped networks over widths, depths, schemes and orders, with samples."""
    for depth in depths(lab):
        for width in (2, 4, 32):
            net = random_network(name, width, depth, rng)
            yield damped(net, rng), rng.standard_normal((1 if depth > 1000 else 4, width))
    for scheme in ("verlet", "yoshida4"):
        for order in ("p-first", "q-first"):
            yield damped(random_network(name, 6, 32, rng, scheme, order), rng), rng.standard_normal((4, 6))


def damped(net: pyham.Network, rng: np.random.Generator) -> pyham.Network:
    """The network with rates of every layer, (N, 2), between -1 and 1 and 0.3 to one side, so that c is far from 1."""
    side = rng.choice([-0.3, 0.3])
    return pyham.Network(replace(net.arch, damping=rng.uniform(-1, 1, (net.arch.depth, 2)) + side), net.params)


def normalised(phi: Array, net: pyham.Network) -> Array:
    """Phi_j / sqrt(c_j), in double precision, c_j from the rates alone."""
    rates = np.broadcast_to(np.asarray(net.arch.damping), (net.arch.depth, 2))
    log_c = -net.arch.step * rounding.behind(rates.sum(axis=1))
    return phi.astype(np.float64) * np.exp(-log_c / 2)[:, None, None, None]


def violations(net: pyham.Network, x: Array, dtype: type) -> Iterator[float]:
    """rho for c = 1; for the c of a rate of q that is off; and of forward Euler for the damped equation."""
    x = x.astype(dtype)
    phi = net.sensitivity(x)
    yield float(defect(phi.astype(np.float64), net).max())
    off = replace(net.arch, damping=np.add(net.arch.damping, (0, 0.5 / (net.arch.step * net.arch.depth))))
    yield float(defect(normalised(phi, pyham.Network(off, net.params)), net).max())
    twin = neighbours.forward_euler(net).stages(dtype)
    kept = (1 - net.arch.step * np.asarray(net.arch.damping).mean(axis=1)).astype(dtype)
    yield float(defect(normalised(sensitivity(replace(twin, keep=kept), x), net), net).max())


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    caption = (
        "H2 of 64 layers, T = 4, n = 4, damped at rates from -1 to 1, both of p and of q: markers are the n-th roots "
        "of det dy_N/dy_j of 20 samples, which lie on the predicted lines, exp(-rate (T - t_j)); bands are the norms, "
        "which stay above. The rate 0 is the network of the papers."
    )
    rng = lab.rng("V19 figure")
    x = rng.standard_normal((20, 4))
    figure, (axis,) = panels(1, width=6.4, height=4.2)
    first = pyham.H2(4, 64, 4 / 64).init(rng, initialization="scaled-normal")
    layers = np.arange(65)
    for rate, colour in zip(RATES, (RED, PURPLE, GREY, GREEN, BLUE), strict=True):
        phi = pyham.Network(replace(first.arch, damping=rate), first.params).sensitivity(x)
        norms, roots = np.linalg.norm(phi, 2, axis=(-2, -1)), np.abs(np.linalg.det(phi)) ** 0.25
        axis.fill_between(layers, norms.min(axis=1), norms.max(axis=1), color=colour, alpha=0.15, linewidth=0)
        axis.semilogy(layers, np.exp(-rate * (4 - layers / 16)), color=colour, linewidth=1, label=f"rate {rate:g}")
        axis.semilogy(layers[::4], roots.mean(axis=1)[::4], "o", color=colour, markersize=3.5)
    axis.set(xlabel="layer $j$", ylabel=r"$|\det|^{1/n}$ and norms of $\partial y_N / \partial y_j$", xlim=(0, 64))
    axis.legend(frameon=False, ncols=2)
    yield caption, figure

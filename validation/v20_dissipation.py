"""V20. Dissipation: what is lost of the energy, the defect of a layer in closed form, and a stated rate of contraction.

Statement: for y' = (J - R) grad H - g y, R symmetric and positive semidefinite, H = 1^T sigma~(K y + b): (a) with
constant weights H(y(T)) - H(y(0)) = - integral of grad H^T R grad H + g grad H^T y; (b) a layer y <- k y + t (J - R)
grad H, k = exp(-g h), t = h phi(g h), has D J D^T - J = (k^2 - 1) J - k t (R S J + J S R) + t^2 (J - R) S J S (J -
R)^T; (c) ||dy(T)/dy(t)|| <= exp(-rate (T - t)), rate = g + (s / 2) (r - ||J - R||), s = S_sigma ||K||^2, r the smallest
eigenvalue of R; and for the network ||Phi_j|| is at most the product of ||k I + (t s / 2) C|| + (t s / 2) ||C||, C = J
- R. Source: direct computation; port-Hamiltonian systems, van der Schaft and Jeltsema 2014; (c) by logarithmic norms,
Dahlquist 1959. R = 0, g = 0 of (b) is V7. Oracle: DOP853 for (a) and the first half of (c); S assembled from weights
for (b); LAPACK's singular values for (c). Numbers: (a) the difference relative to the energy that is lost; (b) as V7's;
(c) log of norm over bound. Tolerance: (a) on a numerical solution every step starts anew, so errors add up and are not
amplified: steps x rtol (1 + |y|) sqrt(numbers) (1 + |grad H|), (b) c n eps, c = 4, (c) c eps (stages), which the
bounds' own outward rounding covers. Controls: (a) R replaced by -R; (b) the term of R left out; (c) the same network
without its damping, which does not contract at the rate stated with it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import pyham
from pyham.verification import bounds, continuous, euler
from pyham.verification.continuous import Field
from validation.claim import Array, Lab, Result

STATEMENT = "y' = (J - R) grad H - g y: energy lost, the defect of a layer, contraction at the stated rate"

TIME = 4.0  # of (a)


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V20")
    for label, options in kinds(4, rng):
        net = constant(pyham.H1(4, 8, TIME / 8, **options), rng)
        x = rng.standard_normal((20, 4))
        (change, lost, error), (_, wrong, _) = energy(net, x), energy(reversed_dissipation(net), x)
        size = float(np.abs(lost).max())
        measured, control = np.abs(change - lost).max() / size, np.abs(change - wrong).max() / size
        yield Result(f"energy, {label}", measured, error / size, control, "R replaced by -R")
    for label, options in kinds(6, rng):
        net = pyham.H1(6, 32, 0.1, **options).init(rng)
        for dtype in (np.float64, np.float32):
            x = rng.standard_normal((20, 6)).astype(dtype)
            measured, closed, D = euler.defects(net, x)
            without = closed + left_out(net, x)
            size = np.maximum(1, np.linalg.norm(D, axis=(-2, -1)) ** 2) * np.linalg.norm(net.arch.J)
            found, control = (
                float((np.linalg.norm(measured - law, axis=(-2, -1)) / size).max()) for law in (closed, without)
            )
            limit = 4 * 6 * float(np.finfo(dtype).eps)
            yield Result(f"defect, {label}, {dtype.__name__}", found, limit, control, "the term of R left out")
    yield contracting(lab, rng)
    yield contracting_equation(lab, rng)


def kinds(n: int, rng: np.random.Generator) -> Iterator[tuple[str, dict[str, Any]]]:
    """R as a number, as a matrix of rank n - 1, and with damping and another J."""
    L = rng.standard_normal((n, n - 1)) / np.sqrt(n)
    R = L @ L.T
    yield "R = r I", {"dissipation": 0.4}
    yield "R of rank n - 1", {"dissipation": (R + R.T) / 2}
    yield "R, J2 and damping", {"dissipation": (R + R.T) / 2, "interconnection": "J2", "damping": 0.3}


def constant(arch: pyham.H1, rng: np.random.Generator) -> pyham.Network:
    """The same weights in all layers."""
    K, b = rng.standard_normal((arch.width, arch.width)) / np.sqrt(arch.width), rng.standard_normal(arch.width)
    return arch.init(rng, initialization={"K": K, "b": b})


def energy(net: pyham.Network, x: Array) -> tuple[Array, Array, float]:
    """H(y(T)) - H(y(0)) of the samples (B,), minus the integral of what is lost, and how far they may be apart."""
    from scipy.integrate import solve_ivp

    field, arch, n = Field.of(net), net.arch, net.arch.width
    K, b, R = net.K[0], net.b[0], arch.J - arch.coupling

    def rhs(t: float, z: Array) -> Array:
        y = z.reshape(-1, n + 1)[:, :n]
        gradient = field.activation.sigma(y @ K.T + b) @ K
        lost = np.einsum("bi,ij,bj->b", gradient, R, gradient) + arch.damping * (gradient * y).sum(axis=1)
        return np.concatenate([field(t, y), -lost[:, None]], axis=1).ravel()

    start = np.concatenate([x, np.zeros((len(x), 1))], axis=1).ravel()
    solution = solve_ivp(rhs, (0, TIME), start, "DOP853", rtol=continuous.RTOL, atol=continuous.RTOL)
    z = solution.y[:, -1].reshape(-1, n + 1)
    steps, largest = len(solution.t) - 1, float(np.abs(solution.y).max())
    steepest = float(np.linalg.norm(K, 2)) * np.sqrt(n)  # of grad H = K^T sigma(..), tanh
    error = steps * continuous.RTOL * (1 + largest) * np.sqrt(z.size) * (1 + steepest)
    return net.energy(z[:, :n])[0] - net.energy(x)[0], z[:, n], error


def reversed_dissipation(net: pyham.Network) -> Any:
    """The network with -R, which is no dissipation: the architecture refuses it, so its coupling is set by hand."""
    arch = replace(net.arch)
    object.__setattr__(arch, "__dict__", arch.__dict__ | {"coupling": 2 * net.arch.J - net.arch.coupling})
    return pyham.Network(arch, net.params)


def left_out(net: pyham.Network, x: Array) -> Array:
    """k t (R S J + J S R) of every layer and sample."""
    arch = net.arch
    states = net.trace(x).states[:-1].astype(np.float64)
    a = np.einsum("jrk,jbk->jbr", net.K, states) + net.b[:, None]
    S = np.einsum("jri,jbr,jrk->jbik", net.K, net.stages(np.float64).activation.derivative(a), net.K)
    R = arch.J - arch.coupling
    found: Array = arch.keeps() * arch.amount(0, 1.0) * (R @ S @ arch.J + arch.J @ S @ R)
    return found


def contracting(lab: Lab, rng: np.random.Generator) -> Result:
    """(c) for the network, on random ones whose bound is below 1."""
    count = 200 if lab.quick else 10_000 if lab.full else 2_000
    worst, controls, largest = -np.inf, [], 0.0
    for _ in range(count):
        net, x = random_contraction(rng)
        bound = bounds.log_upper(net)[0]
        norms = np.linalg.norm(net.sensitivity(x)[0], 2, axis=(-2, -1))
        worst, largest = max(worst, float(np.log(norms.max())) - bound), max(largest, float(bound))
        free = pyham.Network(replace(net.arch, damping=0.0), net.params)
        controls.append(float(np.log(np.linalg.norm(free.sensitivity(x)[0], 2, axis=(-2, -1)).max())) - bound)
    limit = 4 * float(np.finfo(float).eps) * 16
    beyond = sum(control > limit for control in controls)
    note = f"{count} random networks, all bounds below exp({largest:.2g}); controls: the median, {beyond} violate"
    return Result("contraction, networks", worst, limit, float(np.median(controls)), "damping left out", note)


def contracting_equation(lab: Lab, rng: np.random.Generator) -> Result:
    """(c) for the equation."""
    count = 3 if lab.quick else 20
    worst, control = -np.inf, np.inf
    for _ in range(count):
        net, x = random_contraction(rng)
        bound = continuous.log_upper(net)
        norms = np.log(np.linalg.norm(continuous.sensitivity(net, x), 2, axis=(-2, -1)).max(axis=1))
        free = continuous.sensitivity(pyham.Network(replace(net.arch, damping=0.0), net.params), x)[0]
        worst = max(worst, float((norms - bound)[:-1].max()))
        control = min(control, float(np.log(np.linalg.norm(free, 2, axis=(-2, -1)).max())) - bound[0])
    limit = continuous.RTOL * 8 * np.sqrt(3 * 4 * 5) * 2  # of eight layers, with ||X|| below 1 (see V1)
    note = f"{count} random equations; the least control of all is shown"
    return Result("contraction, equations", worst, limit, control, "damping left out", note)


def random_contraction(rng: np.random.Generator) -> tuple[pyham.Network, Array]:
    """H1 with a random J and R, damped 0.2 faster than its weights could make it grow, and samples."""
    n, depth = int(rng.choice([2, 4, 6])), int(rng.integers(1, 9))
    L, J = rng.standard_normal((n, n)) / np.sqrt(n), rng.standard_normal((n, n))
    R = rng.uniform(0, 0.5) * (L @ L.T)
    arch = pyham.H1(n, depth, 1 / 16, interconnection=(J - J.T) / 2, dissipation=(R + R.T) / 2)
    net = arch.init(rng, initialization={"K": rng.standard_normal((depth, n, n)) / np.sqrt(n)})
    rate = float(bounds.log_norm(net).max()) * 1.1 + 0.2
    return pyham.Network(replace(arch, damping=rate), net.params), rng.standard_normal((3, n))

"""V12. The network's BSM converges to that of the equation, at the order of the scheme: 1, 1, 2 and 4.

Statement: split every layer into k layers with step h / k and the same weights; then Phi_j of the network differs from
Phi(t_j) = dy(T)/dy(t_j) of y' = J K(t)^T sigma(K(t) y + b(t)), K and b piecewise constant, by C (h / k)^p + O((h /
k)^(p+1)), p = 1 for forward and semi-implicit Euler, 2 for Verlet, 4 for Yoshida, because differentiating a scheme with
respect to its initial value gives the same scheme for the variational equation; with damping (V19), too, as the flow of
a part is exact there. Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, II.1, II.4, VI.4; Yoshida 1990.
Oracle: DOP853 on the variational equation; for the identity activation, where the equation is linear,
scipy.linalg.expm. Number: |log2(e_k / e_2k) - p| at the largest k, e_k the Frobenius norm of the difference at the
original layers, all samples, relative to that of Phi. Tolerance: 0.1. The next term changes the observed order by a
multiple of h / k, or of its square for the symmetric schemes, whose errors have even powers only; the k are such that
this is below 0.1, as the note's orders from one k to the next show, and that e_k stays above 100 rtol, the oracle's
error. For the two oracles against each other: rtol sqrt(B n (n + 1)) (1 + ||X||) a layer (see V1). Control: for forward
Euler, the same flow with weights that are linear in time, to which it does not converge; for semi-implicit Euler, the
order that Verlet shows on the same weights; for Verlet, halves of 0.6 and 0.4; for Yoshida, w1 = 1 / (2 - 2^(1/2)), a
slip in the root.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.architectures.schemes import SPLITTINGS
from pyham.verification import continuous
from pyham.verification.continuous import Field
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, PURPLE, RED, panels
from validation.v02_symplectic import sensitivity

STATEMENT = "BSM of the network -> BSM of the equation: order 1 (FE, SIE), 2 (Verlet), 4 (Yoshida) (measured: |error|)"

TOLERANCE = 0.1
ORDER = {"euler": 1, "semi-implicit": 1, "verlet": 2, "yoshida4": 4}
#: Layers into which one is split: errors of first order small enough to be asymptotic, of fourth order above rounding
SPLITS = {"euler": (64, 128, 256), "semi-implicit": (64, 128, 256), "verlet": (8, 16, 32), "yoshida4": (4, 8, 16)}

_slip = 1 / (2 - 2 ** (1 / 2))
#: Coefficients of schemes with a fault: still consistent, so of order 1 and 2
FAULTS: dict[str, tuple[float, ...]] = {
    "verlet": (0.6, 1.0, 0.4),
    "yoshida4": (_slip / 2, _slip, 0.5 - _slip / 2, 1 - 2 * _slip, 0.5 - _slip / 2, _slip, _slip / 2),
}


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V12")
    depth, width, batch = (4, 4, 5) if lab.quick else (8, 8, 20)
    x = rng.standard_normal((batch, width))
    for label, nets in networks(width, depth, rng):
        exact = continuous.sensitivity(nets[0], x)
        yield from orders(label, nets, x, exact)
    for label, nets in networks(width, depth, rng, activation="identity"):
        if label not in ("H1 J1", "H2"):
            continue
        exact = np.broadcast_to(exponentials(nets[0])[:, None], (depth + 1, batch, width, width))
        if label == "H1 J1":
            yield oracles(nets[0], x, exact)
        yield from orders(f"{label} linear, expm", nets, x, exact)


def networks(
    width: int, depth: int, rng: np.random.Generator, activation: str = "tanh"
) -> Iterator[tuple[str, list[pyham.Network]]]:
    """Networks with T = 1, and each in all schemes with the same weights."""
    shared: dict[str, Any] = {"width": width, "depth": depth, "step": 1 / depth, "activation": activation}
    for J in ("J1", "J2"):
        yield f"H1 {J}", [pyham.H1(**shared, interconnection=J).init(rng, initialization="scaled-normal")]
    for name in ("MS1", "MS3", "H2"):
        net = pyham.architecture(name, **shared).init(rng, initialization="scaled-normal")
        yield name, [with_scheme(net, scheme) for scheme in SPLITTINGS]
        if name == "H2":
            damped = pyham.Network(replace(net.arch, damping=(0.8, -0.5)), net.params)
            yield "H2 damped", [with_scheme(damped, scheme) for scheme in SPLITTINGS]


def with_scheme(net: pyham.Network, scheme: str) -> pyham.Network:
    return pyham.Network(pyham.architecture(**{**net.arch.config(), "scheme": scheme}), net.params)


def orders(label: str, nets: list[pyham.Network], x: Array, exact: Array) -> Iterator[Result]:
    """One result per scheme; ``exact`` (N + 1, B, n, n) is the equation's BSM, the same for all schemes."""
    errors = {scheme_of(net): [error(net, x, exact, k) for k in SPLITS[scheme_of(net)]] for net in nets}
    for net in nets:
        scheme = scheme_of(net)
        found = np.log2(np.divide(errors[scheme][:-1], errors[scheme][1:]))
        control, case = neighbour(net, x, exact)
        steps = ", ".join(f"{e:.1e}" for e in errors[scheme])
        note = f"orders {', '.join(f'{p:.3f}' for p in found)}; errors {steps} at k = {SPLITS[scheme]}"
        p = ORDER[scheme]
        yield Result(f"{label}, {scheme}", float(abs(found[-1] - p)), TOLERANCE, abs(control - p), case, note)


def neighbour(net: pyham.Network, x: Array, exact: Array) -> tuple[float, str]:
    """The order that a neighbouring case shows, and what it is."""
    scheme = scheme_of(net)
    ks = SPLITS[scheme][-2:]
    if scheme == "euler":
        other = continuous.sensitivity(Field.of(net, "linear"), x)
        return observed([error(net, x, other, k) for k in ks]), "limit with linear weights"
    if scheme == "semi-implicit":
        verlet = with_scheme(net, "verlet")
        return observed([error(verlet, x, exact, k) for k in SPLITS["verlet"][-2:]]), "order of Verlet"
    case = {"verlet": "halves 0.6 and 0.4", "yoshida4": "slip in w1"}[scheme]
    return observed([error(net, x, exact, k, FAULTS[scheme]) for k in ks]), case


def observed(errors: Sequence[float]) -> float:
    return float(np.log2(errors[-2] / errors[-1]))


def error(net: pyham.Network, x: Array, exact: Array, k: int, coefficients: Sequence[float] | None = None) -> float:
    """e_k of the docstring; ``coefficients`` replace those of the scheme."""
    fine = refined(net, k)
    stages = fine.stages()
    if coefficients is not None:
        right = [step.coefficient for step in net.arch.steps]
        factors = np.tile(np.divide(coefficients, right), fine.arch.depth)
        stages = replace(stages, W=stages.W * factors[:, None, None])
    return float(np.linalg.norm(sensitivity(stages, x)[::k] - exact) / np.linalg.norm(exact))


def refined(net: pyham.Network, k: int) -> pyham.Network:
    """Every layer split into k layers of step h / k with the same weights."""
    arch = replace(net.arch, depth=net.arch.depth * k, step=net.arch.step / k)
    return pyham.Network(arch, {name: np.repeat(value, k, axis=0) for name, value in net.params.items()})


def scheme_of(net: pyham.Network) -> str:
    return str(net.arch.config().get("scheme", "euler"))


def exponentials(net: pyham.Network) -> Array:
    """Phi_j (N + 1, n, n) of the linear equation y' = J K^T (K y + b): transposed products of exp(h J K_j^T K_j)."""
    from scipy.linalg import expm

    field = Field.of(net)
    phi = [np.eye(net.arch.width)]
    for G, K in zip(field.G[::-1], field.K[::-1], strict=True):
        phi.append(expm(net.arch.step * G @ K).T @ phi[-1])
    return np.array(phi[::-1])


def oracles(net: pyham.Network, x: Array, exact: Array) -> Result:
    """DOP853 against expm, on the linear equation; control: weights that are linear in time."""
    solved, other = (continuous.sensitivity(Field.of(net, weights), x) for weights in continuous.WEIGHTS)
    measured, control = (float(np.linalg.norm(phi - exact) / np.linalg.norm(exact)) for phi in (solved, other))
    growth = float(np.exp(continuous.log_upper(net)[0]))
    n = net.arch.width
    limit = net.arch.depth * continuous.RTOL * np.sqrt(len(x) * n * (n + 1)) * (1 + growth)
    return Result("H1 J1 linear, DOP853 and expm", measured, limit, control, "limit with linear weights")


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    caption = (
        "Convergence of backward sensitivity matrices: relative error against the BSM of the equation with piecewise "
        "constant weights, when each of 4 layers is split into k (T = 1, n = 4, tanh). The lines have the slopes that "
        "theory predicts and pass through the error at the smallest step."
    )
    rng = lab.rng("V12")
    x = rng.standard_normal((5, 4))
    cases = dict(networks(4, 4, rng))
    figure, (axis,) = panels(1, width=5.2, height=4.2)
    names = dict(zip(ORDER, ("forward Euler", "semi-implicit Euler", "Verlet", "Yoshida"), strict=True))
    styles = zip((RED, BLUE, GREEN, PURPLE), "so^D", [*cases["H1 J1"], *cases["H2"]], strict=True)
    for colour, marker, net in styles:
        exact = continuous.sensitivity(net, x)
        k = 2 ** np.arange(1, 8 if scheme_of(net) != "yoshida4" else 7)
        h = net.arch.step / k
        e = np.array([error(net, x, exact, int(split)) for split in k])
        p = ORDER[scheme_of(net)]
        label = f"{net.arch.name}, {names[scheme_of(net)]}: order {p}"
        axis.loglog(h, e[-1] * (h / h[-1]) ** p, color=colour, linewidth=1)
        axis.loglog(h, e, marker, color=colour, markersize=5, label=label)
    axis.set(xlabel="step size $h / k$", ylabel=r"relative error of $\partial y_N / \partial y_j$, all $j$")
    axis.legend(frameon=False, loc="lower right")
    yield caption, figure

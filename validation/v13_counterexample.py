"""V13. Time-invariant weights do not bound sensitivities: a planar system whose BSM grows linearly, by an exact law.

Statement: for y' = eps J tanh(y) = eps J grad H, H = log cosh y_1 + log cosh y_2, J = [[0, -1], [1, 0]], the Jacobian
of the flow over k periods is X_k = I - k P'(E) f grad H^T, with f = J grad H at y_0 and P(E) the period for eps = 1 on
the level H = E; eps cancels. The reason: the orbit through y_0 + dy takes P' dE longer, dE = grad H . dy; after k
periods of y_0 it is late by k P' dE, and it moves with velocity f. Source: the counterexample of Galimberti et al.,
IEEE TAC 2023, appendix, which shows the divergence; the law follows as said, P' stands in ``pyham.continuous``. Oracle:
the law in closed form, against the variational equation solved by DOP853 and against a discrete network. Number: the
largest ||X_k - law|| / ||law||, Frobenius, k = 1 .. 10. Tolerance: for the equation, the error of one of the L layers
is e = 2 rtol sqrt(n (n + 1)) (see V1, with ||X|| about 1 over one layer). Passing on through i and k - i periods of
shear it becomes at most ||X_i|| ||X_{k-i}|| e, which is less than ||X_k||^2 e; so the sum is at most L e ||X_k||
relative to ||X_k||, some 1e-8; errors of the state act on X_k alike, since its derivative grows alike. For the network:
Yoshida's error falls by 16 when h is halved, so the tolerance is 1/8 of the error at twice the step. Neither may exceed
1e-7. Control: the law with a harmonic oscillator's P' = 0, which is a bounded BSM; for the harmonic oscillator itself
(identity activation), for which X_k = I, the linear law.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.verification import continuous
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, GREY, PURPLE, RED, panels

STATEMENT = "y' = eps J tanh(y): X = I - k P'(E) f grad H^T after k periods, so BSM entries diverge linearly"

PERIODS = 10
LIMIT = 1e-7
PER_PERIOD = 8  # layers of the equation's network, where states and BSMs are read
J = np.array([[0.0, -1.0], [1.0, 0.0]])
START = np.array([0.33627683, -0.48627683]) / np.hypot(0.33627683, -0.48627683)


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V13")
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5)
    other = radius * np.array([np.cos(angle), np.sin(angle)])
    linear, slope = law(START), growth(START)
    for label, y0, eps in (("tanh, eps = 1", START, 1.0), ("tanh, eps = 0.2, random y_0", other, 0.2)):
        net = equation(continuous.period(energy(y0), eps) / PER_PERIOD, eps=eps)
        X = after_periods(continuous.sensitivity(net, y0[None]), PER_PERIOD)
        expected = law(y0)
        note = f"X_{PERIODS} = {np.array2string(X[-1], precision=4, separator=', ').replace(chr(10), '')}"
        note += f", ||X - I|| grows by {eps * growth(y0):.7f} per unit of time"
        yield Result(label, distance(X, expected), tolerance(expected), distance(X, bounded()), "P' = 0: bounded", note)
    rotation = equation(2 * np.pi / PER_PERIOD, activation="identity")
    X = after_periods(continuous.sensitivity(rotation, START[None]), PER_PERIOD)
    label = "identity: harmonic oscillator"
    yield Result(label, distance(X, bounded()), tolerance(bounded()), distance(X, linear), "linear law")
    errors = []
    for layers in (256, 512):
        X = after_periods(discrete(layers).sensitivity(START[None]), layers)
        errors.append(distance(X, linear))
    label, limit = f"H2, Yoshida, {PERIODS * layers} layers", min(LIMIT, errors[0] / 8)
    note = f"a discrete, symplectic network diverges alike, by {slope:.7f} per unit of time"
    yield Result(label, errors[1], limit, distance(X, bounded()), "P' = 0: bounded", note)


def equation(
    step: float, eps: float = 1.0, activation: str = "tanh", layers: int = PERIODS * PER_PERIOD
) -> pyham.Network:
    """y' = eps J sigma(y) as a network with the same weights in all layers."""
    arch = pyham.H1(width=2, depth=layers, step=step, activation=activation, interconnection=eps * J)
    return arch.init(0, initialization={"K": np.eye(2), "b": 0.0})


def discrete(per_period: int) -> pyham.Network:
    """The same, eps = 1, as an H2 network of the fourth order."""
    step = continuous.period(energy(START)) / per_period
    arch = pyham.H2(width=2, depth=PERIODS * per_period, step=step, scheme="yoshida4")
    return arch.init(0, initialization={"Kp": 1.0, "Kq": 1.0, "b": 0.0})


def energy(y: Array) -> float:
    return float(np.log(np.cosh(y)).sum())


def law(y0: Array) -> Array:
    """X_k, k = 1 .. PERIODS, (PERIODS, 2, 2)."""
    gradient = np.tanh(y0)
    shear = continuous.period_derivative(energy(y0)) * np.outer(J @ gradient, gradient)
    return np.asarray(np.eye(2) - np.arange(1, PERIODS + 1)[:, None, None] * shear)


def bounded() -> Array:
    """The law with P' = 0."""
    return np.broadcast_to(np.eye(2), (PERIODS, 2, 2))


def growth(y0: Array) -> float:
    """||X_k - I||_2 / (k P) for eps = 1: P' |f| |grad H| / P, and |f| = |grad H|."""
    E = energy(y0)
    return float(continuous.period_derivative(E) / continuous.period(E) * (np.tanh(y0) ** 2).sum())


def after_periods(phi: Array, per_period: int) -> Array:
    """X_k (PERIODS, 2, 2) from phi (N + 1, 1, 2, 2): k periods before T the state is y_0 again, as it is at T."""
    backward = phi[::-per_period, 0]  # from Phi_N = I on
    return np.asarray(backward[1:].swapaxes(1, 2))


def distance(X: Array, expected: Array) -> float:
    difference, size = (np.linalg.norm(M, axis=(1, 2)) for M in (X - expected, expected))
    return float((difference / size).max())


def tolerance(expected: Array) -> float:
    grown = float(np.linalg.norm(expected[-1]))
    return min(LIMIT, 2 * np.sqrt(6) * continuous.RTOL * PERIODS * PER_PERIOD * grown)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    caption = (
        "Counterexample: time-invariant weights, and yet sensitivities that diverge. Left: the orbit of y' = J tanh(y) "
        f"through y_0, and a small disc around y_0 after 0, {PERIODS // 2} and {PERIODS} periods: outer orbits take "
        "longer, so it is sheared along the orbit. Right: the entries of X = dy(T)/dy(T - t); crosses and dashed lines "
        "are the exact law X = I - k P'(E) f grad H^T after k periods."
    )
    P = continuous.period(energy(START))
    figure, (left, right) = panels(2, width=4.5, height=3.9, width_ratios=(1, 1.6))
    orbit = continuous.flow(equation(P / 128, layers=128), START[None])[:, 0]
    circle = np.linspace(0, 2 * np.pi, 100)
    disc = START + 0.05 * np.stack([np.cos(circle), np.sin(circle)], axis=1)
    discs = continuous.flow(equation(P, layers=PERIODS), disc, rtol=1e-9)
    left.plot(*orbit.T, color=GREY, linewidth=0.8)
    for k, colour in ((PERIODS, RED), (PERIODS // 2, GREEN), (0, BLUE)):
        left.fill(*discs[k].T, facecolor=colour, edgecolor=colour, alpha=0.7, label=f"{k} periods")
    left.plot(*START, "o", color="black", markersize=3)
    left.annotate("$y_0$", START, xytext=(8, -9), textcoords="offset points")
    left.set(xlabel="$y_1$", ylabel="$y_2$", aspect="equal")
    left.legend(frameon=False, loc="center", title="disc after", reverse=True)

    per_period = 64
    net = equation(P / per_period, layers=PERIODS * per_period)
    X = continuous.sensitivity(net, START[None])[::-1, 0].swapaxes(1, 2)
    t = P / per_period * np.arange(len(X))
    exact = np.concatenate([np.eye(2)[None], law(START)])
    for (i, j), colour in zip(np.ndindex(2, 2), (BLUE, RED, GREEN, PURPLE), strict=True):
        right.plot(t, X[:, i, j], color=colour, linewidth=1.2, label=f"$X_{{{i + 1}{j + 1}}}$")
        right.plot(t[::per_period], exact[:, i, j], "x--", color=colour, linewidth=0.8, markersize=5, clip_on=False)
    right.plot([], [], "x--", color="black", linewidth=0.8, markersize=5, label="exact law")
    right.set(xlabel="time $t$ before the end", ylabel="entries of the Jacobian", xlim=(0, t[-1]))
    right.legend(frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.2)
    yield caption, figure

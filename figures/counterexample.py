"""Time-invariant weights do not bound sensitivities: the counterexample of Galimberti et al. (2023), appendix.

y' = J tanh(y), J = [[0, -1], [1, 0]], y_0 proportional to (0.33627683, -0.48627683). Outer orbits take longer than
inner ones, so a neighbour of y_0 falls behind by as much in every period, and the entries of X = dy(T)/dy(T - t), which
are those of the backward sensitivity matrix transposed, grow without bound. After k periods X = I - k P'(E) f grad H^T,
in which P(E) is the period as a function of the energy and f = J grad H at y_0 (``validation.v13_counterexample``).
"""

import sys
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import command, style
from figures.setup import Setup
from pyham.verification import continuous
from validation import v13_counterexample as exact

Array = np.ndarray[Any, Any]

CAPTION = "The same weights in all layers, and yet sensitivities that grow without bound: a neighbour falls behind."
USES = (exact,)
PER_PERIOD = 48  # frames and points of curves
PERTURBATION = 0.05
RADIUS = 0.05


def compute(setup: Setup) -> dict[str, Array]:
    """Orbits (t, 2) of y_0 and of a perturbed y_0, the disc around y_0 (t, points, 2), X (t, 2, 2), and the law."""
    periods = 2 if setup.quick else exact.PERIODS
    per_period = 16 if setup.quick else PER_PERIOD
    P = continuous.period(exact.energy(exact.START))
    net = exact.equation(P / per_period, layers=periods * per_period)
    outwards = np.tanh(exact.START) / np.linalg.norm(np.tanh(exact.START))  # along grad H: to a higher energy
    circle = np.linspace(0, 2 * np.pi, 60)
    disc = exact.START + RADIUS * np.stack([np.cos(circle), np.sin(circle)], axis=1)
    points = np.concatenate([exact.START[None], exact.START[None] + PERTURBATION * outwards, disc])
    moved = continuous.flow(net, points, rtol=1e-9)
    X = continuous.sensitivity(net, exact.START[None], rtol=1e-9)[::-1, 0].swapaxes(1, 2)
    return {
        "time": P / per_period * np.arange(len(moved)),
        "period": np.array(P),
        "orbit": moved[:, 0],
        "perturbed": moved[:, 1],
        "disc": moved[:, 2:],
        "jacobian": X,
        "law": np.concatenate([np.eye(2)[None], exact.law(exact.START)[:periods]]),
        "slope": np.array(exact.growth(exact.START)),
    }


def plot(arrays: dict[str, Array]) -> Figure:
    """Orbit and discs; y_0 and its neighbour against time; entries of X with the exact law."""
    figure = Figure(figsize=(11.5, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1.5))
    t, per_period = arrays["time"] / arrays["period"], round((len(arrays["time"]) - 1) / (len(arrays["law"]) - 1))
    periods = len(arrays["law"]) - 1

    phase(left, arrays)
    for k, colour in ((periods, style.RED), (periods // 2, style.GREEN), (0, style.BLUE)):
        left.fill(*arrays["disc"][k * per_period].T, facecolor=colour, edgecolor=colour, alpha=0.7, label=f"{k}")
    left.plot(*arrays["orbit"][0], "o", color="black", markersize=3)
    left.legend(loc="center", title="small disc around $y_0$\nafter periods", reverse=True, ncols=3, columnspacing=1)
    left.set_title("Discs are sheared along the orbit")

    for i, (label, colour) in enumerate((("$y_1$", style.BLUE), ("$y_2$", style.RED))):
        middle.plot(t, arrays["orbit"][:, i], color=colour, linewidth=1.2, label=f"{label} from $y_0$")
        middle.plot(t, arrays["perturbed"][:, i], "--", color=colour, linewidth=1, label="perturbed")
    middle.set(xlabel="time $t$ / period $P$", ylabel="state", xlim=(0, t[-1]))
    middle.set_title(f"$y_0$, and $y_0$ moved outwards by {PERTURBATION:g}")
    middle.set_ylim(top=2.0)
    middle.legend(loc="upper center", ncols=2)

    entries(right, arrays, len(t), per_period)
    right.set_xlim(0, t[-1])
    right.set_title(rf"$\|X - I\|$ grows by {arrays['slope']:.4f} per unit of time")
    right.legend(ncols=2, loc="upper left")
    return figure


def animation(arrays: dict[str, Array]) -> style.Animation:
    """The disc on its way, and the entries of X growing beside it."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
    per_period = round((len(arrays["time"]) - 1) / (len(arrays["law"]) - 1))
    total = len(arrays["time"])
    periods = total // per_period
    step = max(1, per_period // 8)

    def draw(k: int) -> None:
        for axis in (left, right):
            axis.clear()
        phase(left, arrays)
        left.fill(*arrays["disc"][0].T, facecolor=style.BLUE, alpha=0.35)
        left.fill(*arrays["disc"][k].T, facecolor=style.RED, edgecolor=style.RED, alpha=0.7)
        left.plot(*arrays["orbit"][k], "o", color="black", markersize=3)
        left.set_title("a disc around $y_0$, carried along")
        entries(right, arrays, k + 1, per_period)
        right.set_xlim(0, periods)
        margin = 0.05 * np.ptp(arrays["jacobian"])
        right.set_ylim(arrays["jacobian"].min() - margin, arrays["jacobian"].max() + margin)
        right.set_title(f"$X = dy(T)/dy(T - t)$, period {k / per_period:.1f}")
        right.legend(ncols=2, loc="upper left")

    hold = [total - 1] * 12
    return style.Animation(figure, draw, [*range(0, total, step), *hold], rate=12)


def phase(axis: Axes, arrays: dict[str, Array]) -> None:
    """The orbit through y_0."""
    per_period = round((len(arrays["time"]) - 1) / (len(arrays["law"]) - 1))
    axis.plot(*arrays["orbit"][: per_period + 1].T, color=style.GREY, linewidth=0.8)
    axis.set(xlabel="$y_1$", ylabel="$y_2$", aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35))
    axis.annotate("$y_0$", arrays["orbit"][0], xytext=(12, -10), textcoords="offset points")


def entries(axis: Axes, arrays: dict[str, Array], count: int, per_period: int) -> None:
    """The first ``count`` points of the entries of X, and the law up to there."""
    t = arrays["time"] / arrays["period"]
    laws = (count - 1) // per_period + 1
    colours = iter((style.BLUE, style.RED, style.GREEN, style.PURPLE))
    for i in range(2):
        for j in range(2):
            colour = next(colours)
            axis.plot(
                t[:count],
                arrays["jacobian"][:count, i, j],
                color=colour,
                linewidth=1.2,
                label=f"$X_{{{i + 1}{j + 1}}}$",
            )
            axis.plot(
                np.arange(laws), arrays["law"][:laws, i, j], "x--", color=colour, linewidth=0.8, markersize=5,
                clip_on=False,
            )  # fmt: skip
    axis.plot([], [], "x--", color="black", linewidth=0.8, markersize=5, label="exact law")
    axis.set(xlabel="time $t$ before the end / period $P$", ylabel="entries of $X$")


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "counterexample")


if __name__ == "__main__":
    sys.exit(main())

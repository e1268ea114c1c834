"""Universal approximation, seen: errors of H2 regressions of three functions, by depth and by added dimensions.

A network of n channels begins at y_0 = (x, 0, .., 0), with n - d dimensions added to a point x of R^d; the value is
w^T y_N + mu. T = N h = 4; layers and output layer are trained together on the squared error, without penalty, at the
rate 0.02 that falls to 0, for 1000 epochs of 512 samples. The errors are what this training finds, not the least that
the networks can have. Four times as many epochs, tried on nine of the cells with three seeds, divided the mean of the
root mean squares by 2.5 to 7 on the line. In the plane they lowered it by a sixth (32 layers) and a third (4 layers)
with n = 2, to less than a quarter with n = 8 and 32 layers, and not at all with n = 4 and 8 layers, where trainings end
at very different errors.

On the line d = 1, so that n = 2, the least that H2 allows, adds a dimension: sin 3x and |x| are functions of that kind.
In the plane d = 2, and n = 2 adds none. What no such network can represent, of any depth, step and weights, is -1 on
the disc |x| <= 0.4 and +1 on the ring 0.6 <= |x| <= 1: *somewhere it is wrong by 1 or more*, as a constant is. Proof: A
layer of H2 adds to one coordinate a continuous function of the other, and then the other way round. Both steps can be
undone, so that x -> y_N is a homeomorphism of R^2, and takes open sets to open sets. So does y -> w^T y + mu, if w is
not 0. The value g(x), which is the one after the other, thus takes the open disc |x| < 0.8 to an open interval, and has
no minimum there; its minimum over the closed disc is at a point z with |z| = 0.8, on the ring, and g(z) <= g(0). Errors
below 1 would need g(0) < 0 < g(z). If w = 0, g(0) = g(z) for every z, and the same holds.

The proof is one of the largest error. It does not bound the root mean square from below: the values may be wrong in a
channel through the ring, and channels may be narrow. With added dimensions x -> y_N maps the plane into a space in
which the disc can leave the ring sideways, and the proof has no hold.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures import command, style
from figures.setup import Setup
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine
from pyham.training.tables import untrained
from pyham.training.trainer import train

Array = np.ndarray[Any, Any]

CAPTION = "Depth and width lower errors, but no depth tells a disc from a ring around it unless dimensions are added."
WIDTHS = (2, 4, 8)
FINAL_TIME = 4.0
INNER, BETWEEN, OUTER = 0.4, 0.6, 1.0  # radii of the disc and of the ring


class Task(NamedTuple):
    """A function: its points (count, d), for training and for the test, and its values (count,) at points."""

    train: Callable[[int], Array]
    test: Callable[[int], Array]
    values: Callable[[Array], Array]


def middles(count: int) -> Array:
    """The middles (count, 1) of as many parts of [-1, 1]."""
    return (2 * np.arange(count)[:, None] + 1) / count - 1


def ends(count: int) -> Array:
    """Equidistant points (count + 1, 1) of [-1, 1]: with both ends, and with 0 if the count is even."""
    return np.linspace(-1, 1, count + 1)[:, None]


def disc_and_ring(count: int) -> Array:
    """Points (count, 2), half on the disc and half on the ring, spread evenly: turning by the golden angle."""
    k = np.arange(count // 2)
    share = (k + 0.5) / len(k)
    radii = np.sqrt(np.concatenate([INNER**2 * share, BETWEEN**2 + (OUTER**2 - BETWEEN**2) * share]))
    angles = np.tile(np.pi * (3 - np.sqrt(5)) * k, 2)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


TASKS = {
    "smooth": Task(middles, ends, lambda x: np.sin(3 * x[:, 0])),
    "kinked": Task(middles, ends, lambda x: np.abs(x[:, 0])),
    "nested": Task(disc_and_ring, disc_and_ring, lambda x: np.sign(np.linalg.norm(x, axis=1) - 0.5)),
}


def compute(setup: Setup) -> dict[str, Array]:
    """Errors (2, tasks, widths, depths, seeds), root mean squares and largest; those of the best constants (2, tasks).

    The best constant has the least root mean square, or the least largest error: two constants.
    """
    depths = [2, 4, 8] if setup.quick else [2, 4, 8, 16, 32]
    seeds = range(setup.seed, setup.seed + (1 if setup.quick else 5))
    errors = np.empty((2, len(TASKS), len(WIDTHS), len(depths), len(seeds)))
    for place in np.ndindex(errors.shape[1:]):
        task, width, depth, seed = place
        errors[(slice(None), *place)] = error(list(TASKS)[task], WIDTHS[width], depths[depth], seeds[seed], setup.quick)
    values = [task.values(task.test(2000)) for task in TASKS.values()]
    constants = np.array([[f.std() for f in values], [np.ptp(f) / 2 for f in values]])
    return {"depths": np.array(depths), "errors": errors, "constants": constants, "seeds": np.array(seeds)}


def error(name: str, width: int, depth: int, seed: int, quick: bool = False) -> tuple[float, float]:
    """Root mean square and largest of a trained network's errors at 2000 points that it has not seen."""
    task = TASKS[name]
    points, epochs = (128, 30) if quick else (512, 1000)
    protocol = Protocol(
        epochs=epochs, batch=points // 4, rate=0.02, schedule=Cosine(), alpha=0, alpha_c=0, scheme="joint",
        loss="squared",
    )  # fmt: skip
    x, rng = task.train(points), np.random.default_rng(seed)
    start = untrained(
        x.shape[1], 1, rng, loss="squared", architecture="H2", width=width, depth=depth, final_time=FINAL_TIME,
        lift="zeros", dtype=np.float64,
    )  # fmt: skip
    trained = train(start, x, task.values(x), protocol=protocol, rng=rng)
    unseen = task.test(2000)
    wrong = np.abs(trained.predict(unseen)[:, 0] - task.values(unseen))
    return float(np.sqrt(np.mean(wrong**2))), float(wrong.max())


def plot(arrays: dict[str, Array]) -> Figure:
    """A column for each function: root mean squares above, largest errors below, means and ranges over the seeds."""
    titles = (
        "$\\sin\\,3x$ for $-1 \\leq x \\leq 1$,\n$n - 1$ dimensions added",
        "$|x|$ for $-1 \\leq x \\leq 1$,\n$n - 1$ dimensions added",
        "$-1$ on a disc, $+1$ on a ring around it,\n$n - 2$ dimensions added",
    )
    lines = ((style.BLUE, "-", "o"), (style.ORANGE, "--", "s"), (style.GREEN, "-.", "^"))
    depths, errors = arrays["depths"], arrays["errors"]
    figure, axes = style.panels(2, 3, width=3.7, height=3.2, sharex=True, sharey="row")
    for k, title in enumerate(titles):
        axes[0, k].set_title(title)
        for row, axis in enumerate(axes[:, k]):
            for width, found, (colour, line, marker) in zip(WIDTHS, errors[row, k], lines, strict=True):
                axis.fill_between(depths, found.min(axis=1), found.max(axis=1), color=colour, alpha=0.2, linewidth=0)
                axis.plot(depths, found.mean(axis=1), line, color=colour, marker=marker, markersize=4.5,
                          label=f"$n$ = {width}")  # fmt: skip
            level = arrays["constants"][row, k]
            bound = k == 2 and row == 1
            axis.axhline(level, color=style.RED if bound else style.GREY, linewidth=0.9)
            words = "no $n = 2$ network is below" if bound else "best constant"
            axis.annotate(words, (depths[-1], level), (0, 2), textcoords="offset points", fontsize=8, ha="right",
                          color=style.RED if bound else style.GREY)  # fmt: skip
            axis.set(xscale="log", yscale="log")
            axis.set_xticks(depths, [str(depth) for depth in depths])
            axis.minorticks_off()
            axis.tick_params(labelleft=True)
        axes[0, k].set_ylim(top=4)
        axes[1, k].set_ylim(top=6)
        axes[1, k].set_xlabel("layers $N$")
    axes[0, 0].set_ylabel("root mean square error")
    axes[1, 0].set_ylabel("largest error")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    count = len(arrays["seeds"])
    figure.suptitle(f"H2, $T = Nh$ = {FINAL_TIME:g}; mean and range of {count} seeds", fontsize=9)
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "approximation")


if __name__ == "__main__":
    sys.exit(main())

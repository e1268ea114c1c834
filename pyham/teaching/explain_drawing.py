"""An explanation as a picture: the chain of stages, states forward, adjoints and gradients backward."""

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyham.files.replacing import replace_file

FORWARD, BACKWARD, GREY = "#0072b2", "#d55e00", "#4d4d4d"  # of Okabe and Ito
SUFFIXES = (".png", ".pdf", ".svg")
FEW = 16  # bars, up to which each bears its name and its number


def draw(e: Any, path: str | PathLike[str] | None = None) -> Any:
    """Matplotlib's figure; written to ``path`` (.png, .pdf or .svg) if one is given.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If the name ends otherwise.
    """
    from matplotlib.figure import Figure

    if path is not None and Path(path).suffix not in SUFFIXES:
        raise ValueError(f"path: expected a name that ends in {', '.join(SUFFIXES)}, got {str(path)!r}")
    stages = [(layer, of) for layer in (e.structure[j] for j in e.layers) for of in layer.stages]
    count = len(stages)
    nodes, previous = [], None
    for layer, of in stages:
        for s in (of.number - 1, of.number):
            node = layer.node(s)
            if node != previous:
                nodes.append(node)
            previous = node
    nodes = nodes or [(str(len(e.structure)), "")]
    position = {key: i for i, (key, _) in enumerate(nodes)}
    figure = Figure(figsize=(min(16, max(7.5, 1.25 * len(nodes))), 6.4), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=[2, 1.1, 2, 2])
    few = len(nodes) <= FEW
    bars(axes[0], [(position[k], e[f"y{k}"], f"y{i}") for k, i in nodes], FORWARD, few)
    axes[0].set_title("forward →  norms of the states y", color=FORWARD, loc="left")
    bars(axes[2], [(position[k], e[f"delta{k}"], f"δ{i}") for k, i in nodes], BACKWARD, few)
    axes[2].set_title("← backward  norms of the adjoints δ = dL/dy", color=BACKWARD, loc="left")
    spots = [(position[layer.node(of.number - 1)[0]] + 0.5, of) for layer, of in stages]
    for shift, name, colour, hatch in ((-0.17, "dA", BACKWARD, ""), (0.17, "dW", "#f0b27a", "//")):
        bars(
            axes[3],
            [(x + shift, e[f"{name}{of.key}"], name) for x, of in spots],
            colour,
            few and count <= 8,
            0.3,
            hatch,
        )
    axes[3].set_title("norms of the stages' gradients: dA (full), dW (hatched)", color=BACKWARD, loc="left")
    chain(axes[1], spots, nodes, few)
    axes[3].set_xlim(-0.6, len(nodes) - 0.4)
    verdict = "" if e.fault is not None and not e.revealed else (": all checks hold" if e.passed else ": CHECKS FAIL")
    figure.suptitle(f"{e.net.arch.name}, loss L = {e.loss}{verdict}", fontsize=11, x=0.01, ha="left")
    if path is not None:
        stream = BytesIO()
        figure.savefig(stream, format=Path(path).suffix[1:], dpi=130)
        replace_file(path, stream.getvalue())
    return figure


def bars(axis: Any, values: list[Any], colour: str, named: bool, width: float = 0.5, hatch: str = "") -> None:
    """Norms as bars, with their numbers on top where there are few."""
    heights = [q.norms()["norm"] for _, q, _ in values]
    heights = [height if np.isfinite(height) else 0.0 for height in heights]
    drawn = axis.bar(
        [x for x, _, _ in values], heights, width, color=colour, hatch=hatch, edgecolor="white", linewidth=0
    )
    if named:
        axis.bar_label(drawn, [f"{q.norms()['norm']:.3g}" for _, q, _ in values], fontsize=8, padding=2)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelbottom=False, bottom=False, labelsize=8)
    axis.margins(y=0.22)


def chain(axis: Any, spots: list[Any], nodes: list[tuple[str, str]], named: bool) -> None:
    """States as circles, stages as boxes between them, with the direction of both passes."""
    axis.set_axis_off()
    axis.set_ylim(-1, 1)
    for i, (_, index) in enumerate(nodes):
        axis.plot(i, 0, "o", markersize=22 if named else 4, color="white", markeredgecolor=GREY)
        if named:
            axis.text(i, 0, f"y{index}", ha="center", va="center", fontsize=8)
        elif i % (1 + len(nodes) // 12) == 0:
            axis.text(i, 0.28, f"y{index}", ha="center", va="center", fontsize=8)
    for i in range(len(nodes) - 1):
        if named and i + 0.5 not in [x for x, _ in spots]:
            axis.text(i + 0.5, 0, "squeeze", ha="center", va="center", fontsize=8, color=GREY)
    for x, of in spots:
        words = f"{of.updates} ← {of.reads}" if of.reads else f"layer {of.layer}"
        if named:
            box = {"boxstyle": "round,pad=0.3", "facecolor": "#eeeeee", "edgecolor": "none"}
            axis.text(x, 0, words, ha="center", va="center", fontsize=8, bbox=box)
        for y, colour, style in ((0.62, FORWARD, "->"), (-0.62, BACKWARD, "<-")):
            axis.annotate(
                "", (x + 0.45, y), (x - 0.45, y), arrowprops={"arrowstyle": style, "color": colour, "linewidth": 1.6}
            )

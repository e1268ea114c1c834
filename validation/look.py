"""What all pictures share: colours, and panels."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Of Okabe and Ito: told apart by colour-blind readers and in print
BLUE, RED, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4d4d4d"


def panels(count: int, width: float = 5, height: float = 3.6, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels side by side, without the frame's upper and right lines."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False, **options)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)

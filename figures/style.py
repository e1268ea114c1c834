"""The look that all figures share, and how they are written: PNG, PDF and animated GIF.

Colours are those of Okabe and Ito, which colour-blind readers tell apart, or the map cividis; lines differ in style or
bear their names as well, so that they can be told apart in grey.
"""

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pyham.files.replacing import replace_file
from validation.look import BLUE, GREEN, GREY, PURPLE, RED

Array = np.ndarray[Any, Any]

ORANGE, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"  # the others of Okabe and Ito
CLASSES = (BLUE, ORANGE)  # samples of class 0 and 1: dark and light
#: One colour, line style and marker for each network, the same in all figures.
LINES: dict[str, dict[str, Any]] = {
    "MS1": {"color": SKY, "linestyle": (0, (1, 1)), "marker": "^"},
    "MS2": {"color": PURPLE, "linestyle": (0, (3, 1, 1, 1)), "marker": "v"},
    "MS3": {"color": ORANGE, "linestyle": (0, (5, 1)), "marker": "s"},
    "H1, J1": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "H1, J2": {"color": GREEN, "linestyle": "--", "marker": "D"},
    "H2": {"color": BLACK, "linestyle": "-", "marker": "p"},
    "MLP": {"color": RED, "linestyle": "-.", "marker": "x"},
    "ResNet": {"color": GREY, "linestyle": ":", "marker": "+"},
}
DPI = 110  # of PNG files; PDF is drawn in lines

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "ORANGE", "PURPLE", "RED", "SKY"]
__all__ += ["CLASSES", "LINES", "Animation", "bands", "look", "panels", "save", "save_gif"]


@contextmanager
def look() -> Iterator[None]:
    """Fonts and lines of all figures, while they are drawn and written."""
    with mpl.rc_context(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "legend.fontsize": 8.5,
            "pdf.fonttype": 42,  # letters remain letters
        }
    ):
        yield


def panels(rows: int, columns: int, *, width: float = 3.4, height: float = 3.0, **options: Any) -> tuple[Figure, Array]:
    """A figure of rows x columns panels, each ``width`` by ``height`` inches, and the axes (rows, columns)."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False, **options))


def bands(axis: Axes, x: Array, levels: Array, *, color: str, label: str = "samples", fill: float = 0.15) -> None:
    """Quantiles 0, 5, 50, 95, 100 % of samples, ``levels`` (5, len(x)): two bands and the median."""
    low, five, middle, ninety_five, high = levels
    axis.fill_between(x, low, high, color=color, alpha=fill, linewidth=0, label=f"all {label}")
    axis.fill_between(x, five, ninety_five, color=color, alpha=2 * fill, linewidth=0, label=f"5 to 95 % of {label}")
    axis.plot(x, middle, color=color, linewidth=1.5, label="median")


def sign(figure: Figure, stem: Path, note: str = "") -> str:
    """The command that makes the figure, written small below it; a ``note`` says on the figure that it is none."""
    command = words = f"python -m figures.{stem.name}"
    if note:
        words = "\n".join([*textwrap.wrap(note, int(17 * figure.get_figwidth())), f"{command} --quick"])
        figure.text(
            0.5, 0.5, note.split()[0].upper(), rotation=20, ha="center", va="center", alpha=0.25, color=RED,
            fontsize=7 * figure.get_figwidth(), weight="bold", zorder=10,
        )  # fmt: skip
    figure.supxlabel(words, x=0.995, ha="right", fontsize=6, family="monospace", color=RED if note else GREY)
    return command


def save(figure: Figure, stem: Path, note: str = "") -> list[Path]:
    """``stem``.png and .pdf, each written at once or not at all; no dates, so that the same figure is the same file."""
    written, command = [], sign(figure, stem, note)
    for suffix, metadata in (
        (".png", {"Software": None, "Source": command}),
        (".pdf", {"CreationDate": None, "Subject": command}),
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata=metadata)
        written.append(stem.with_suffix(suffix))
        replace_file(written[-1], buffer.getvalue())
    return written


@dataclass(frozen=True)
class Animation:
    """A figure that moves: ``draw(frame)`` changes it, for each of ``frames`` in turn, ``rate`` of them a second."""

    figure: Figure
    draw: Callable[[Any], object]
    frames: Sequence[Any]
    rate: int = 12


def save_gif(moving: Animation, stem: Path, dpi: int = 80, note: str = "") -> Path:
    """``stem``.gif, written at once or not at all; all frames share 64 colours, which a plot needs no more of."""
    sign(moving.figure, stem, note)
    canvas: Any = FigureCanvasAgg(moving.figure)
    moving.figure.set_dpi(dpi)
    frames: list[Image.Image] = []
    palette = None
    known: Any = None
    for frame in reversed(moving.frames):  # the last has most of what is shown
        if frames and frame == known:
            frames.append(frames[-1])
            continue
        known = frame
        moving.draw(frame)
        canvas.draw()
        moving.figure.set_layout_engine("none")  # axes stay where the first drawing puts them
        picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba().tobytes()).convert("RGB")
        palette = palette or picture.quantize(64, dither=Image.Dither.NONE)
        frames.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    first, *rest = reversed(frames)
    buffer = io.BytesIO()
    first.save(
        buffer, format="GIF", save_all=True, append_images=rest, duration=round(1000 / moving.rate), loop=0,
        optimize=True,
    )  # fmt: skip
    replace_file(stem.with_suffix(".gif"), buffer.getvalue())
    return stem.with_suffix(".gif")

"""What penalties do to sensitivities along training: bounds, norms, and what they cost.

H2 networks of 16 layers on the Swiss roll, from the same weights on the same batches: without penalty, with the papers'
smoothness penalty alpha h / 2 sum ||K_{j+1} - K_j||^2 + ||b_{j+1} - b_j||^2, and with weight decay, of several
strengths. ``validation.v14_regularisation`` holds the effect of the strongest against chance.
"""

import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import command, style
from figures.setup import Setup
from validation import v14_regularisation as penalised
from validation.claim import Lab

Array = np.ndarray[Any, Any]

CAPTION = "The stronger a penalty on the weights, the lower sensitivities and their bound, and the higher the loss."
USES = (penalised,)
#: Label -> options of the protocol.
PENALTIES: dict[str, dict[str, float]] = {
    "none": {"alpha": 0.0},
    "smoothness 0.001": {"alpha": 1e-3},
    "smoothness 0.03": {"alpha": 3e-2},
    "smoothness 0.1": {"alpha": 1e-1},
    "decay 1e-5": {"alpha": 0.0, "decay": 1e-5},
    "decay 1e-4": {"alpha": 0.0, "decay": 1e-4},
    "decay 3e-4": {"alpha": 0.0, "decay": 3e-4},
}


def compute(setup: Setup) -> dict[str, Array]:
    """log10 of the bound, mean log10 of the norm, and the loss: (penalties, trainings, 3, looks)."""
    lab = Lab(setup.seed, setup.quick)
    count, epochs = (2, 10) if setup.quick else (8, 50)
    seeds = setup.rng("regularisation").integers(0, 2**31, count).tolist()
    histories = [
        [penalised.history(lab, seed, seed, epochs, options) for seed in seeds] for options in PENALTIES.values()
    ]
    return {"histories": np.array(histories), "epochs": np.arange(0, epochs + 1, penalised.EVERY)}


def plot(arrays: dict[str, Array]) -> Figure:
    """Bound and norms against epochs, the mean of the trainings; and norm against loss in the end, every training."""
    figure, axes = style.panels(1, 3, width=3.8, height=3.5)
    left, middle, right = axes[0]
    colours = (style.RED, "#8fc3e8", "#2f88c9", "#003f7d", "#8fd6b4", "#2a9d6f", "#00543a")
    lines = ("-", *["--"] * 3, *["-."] * 3)
    markers = ("o", *["s"] * 3, *["^"] * 3)
    for name, histories, colour, line, marker in zip(
        PENALTIES, arrays["histories"], colours, lines, markers, strict=True
    ):
        for i, axis in enumerate((left, middle)):
            mean = 10 ** histories[:, i].mean(axis=0)
            axis.plot(arrays["epochs"], mean, line, color=colour, linewidth=1.8, label=name)
        loss, norm = histories[:, 2, -1], 10 ** histories[:, 1, -1]
        right.plot(loss, norm, marker, color=colour, markersize=3.5, alpha=0.6, markeredgewidth=0)
        right.plot(loss.mean(), 10 ** histories[:, 1, -1].mean(), marker, color=colour, markersize=8,
                   markeredgecolor="black", markeredgewidth=0.6)  # fmt: skip
    for axis in (left, middle):
        axis.set(yscale="log", xlabel="epochs", xlim=(0, arrays["epochs"][-1]))
    left.set_title(r"Sharp bound on $\|\partial y_N/\partial y_0\|_2$")
    middle.set_title(r"$\|\partial y_N/\partial y_0\|_2$, geometric mean")
    right.set(yscale="log", xlabel="loss at the end")
    right.axvline(np.log(2), color=style.GREY, linewidth=0.8)
    right.annotate("guessing", (np.log(2), 0.97), (-3, 0), xycoords=right.get_xaxis_transform(), fontsize=8,
                   textcoords="offset points", ha="right", va="top", rotation=90, color=style.GREY)  # fmt: skip
    right.set_title("What it costs: norm against loss")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "regularisation")


if __name__ == "__main__":
    sys.exit(main())

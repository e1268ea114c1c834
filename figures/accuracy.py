"""Tables of test accuracy: architecture x depth x data set, over seeds, by the papers' protocol and by others.

Every training is a run of a sweep (``pyham.sweep``): ``results/data/accuracy.jsonl`` holds the outcomes as they come,
and a table that was stopped goes on from there; after a change of pyham itself, ``--fresh`` begins anew. n = 4, 8000
points, even rows to train, odd rows to test. The protocols are those of ``figures.protocols``, one of them as the
papers' public implementation steps (``figures.imitation``); what that reaches itself stands beside them
(``figures.published``).
"""

import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import command, imitation, protocols, published, style, tables
from figures.setup import Setup
from pyham import sweep
from pyham.training.experiment import accuracies

Array = np.ndarray[Any, Any]

CAPTION = "Test accuracy of every network by depth and data set: means, and the worst and the best of ten seeds."
USES = (protocols, imitation)


def cells() -> list[tuple[str, int]]:
    """(data set, depth) of the columns."""
    return [(data, depth) for data, depths in protocols.DEPTHS.items() for depth in depths]


def compute(setup: Setup) -> dict[str, Array]:
    """Accuracies in % (recipes, networks, columns, seeds), NaN where a training diverged, and what the axes are."""
    axes = [tuple(protocols.RECIPES), tuple(protocols.NETWORKS), cells(), setup.all_seeds]
    places = list(np.ndindex(*map(len, axes)))
    runs = []
    for place in places:
        name, network, (data, depth), seed = (axis[i] for axis, i in zip(axes, place, strict=True))
        config = protocols.experiment(setup, name, network, data, depth, seed).config()
        runs.append((imitation.accuracies if name == "imitated" else accuracies, config))
    setup.folder.mkdir(parents=True, exist_ok=True)
    known = {}
    for function in (accuracies, imitation.accuracies):
        unique = {sweep.ledger.key("", run): run for other, run in runs if other is function}  # recipes may coincide
        for outcome in sweep.run(function, list(unique.values()), setup.folder / "accuracy.jsonl", jobs=setup.jobs):
            known[function, sweep.ledger.key("", outcome.run)] = outcome
    found = {kind: np.full([len(axis) for axis in axes], np.nan) for kind in ("test", "train")}
    for place, (function, run) in zip(places, runs, strict=True):
        outcome = known[function, sweep.ledger.key("", run)]
        if outcome.error is None:
            for kind in found:
                found[kind][place] = 100 * outcome.result[kind]
    return found | {
        "recipes": np.array(list(protocols.RECIPES)),
        "networks": np.array(list(protocols.NETWORKS)),
        "data": np.array([data for data, _ in cells()]),
        "depths": np.array([depth for _, depth in cells()]),
        "seeds": np.array(setup.all_seeds),
    }


SHOWN = {"public": (style.ORANGE, "o", -0.24), "tuned": (style.BLUE, "s", 0.0)}  # on the figure; the table has all


def plot(arrays: dict[str, Array]) -> Figure:
    """A panel for each column: means of two protocols, lines from the worst to the best seed, and what is public."""
    networks, data, depths = (arrays[name].tolist() for name in ("networks", "data", "depths"))
    across = min(4, len(data))
    figure, axes = style.panels(-(-len(data) // across), across, width=3.3, height=3.6, sharey=True, sharex=True)
    least = min(58.0, float(np.nanmin(arrays["test"])) - 2)
    for column, axis in enumerate(axes.flat[: len(data)]):
        for name, (colour, marker, shift) in SHOWN.items():
            found = arrays["test"][arrays["recipes"].tolist().index(name), :, column]
            for row, seeds in enumerate(found):
                if np.isfinite(seeds).any():
                    ends, mean = [np.nanmin(seeds), np.nanmax(seeds)], np.nanmean(seeds)
                    axis.plot(ends, [row + shift] * 2, color=colour, linewidth=2, alpha=0.5)
                    axis.plot([mean], [row + shift], marker, color=colour, markersize=7,
                              label=protocols.RECIPES[name] if row == 0 else None)  # fmt: skip
        if not arrays.get("rehearsal") and (data[column], depths[column]) in published.COLUMNS:
            place = published.COLUMNS.index((data[column], depths[column]))
            for row, network in enumerate(networks):
                theirs = published.ACCURACY[network][place]
                axis.plot(theirs, np.full(len(theirs), row + 0.24), "x", color=style.BLACK, markersize=6,
                          label="public implementation, 2 seeds" if row == 0 else None)  # fmt: skip
        for row in range(len(networks) - 1):
            axis.axhline(row + 0.5, color="#dddddd", linewidth=0.6)
        axis.set(xlim=(least, 101), xticks=(60, 80, 100), ylim=(len(networks) - 0.5, -0.5))
        axis.set_title(f"{protocols.TITLES[data[column]]}, {depths[column]} layers", fontsize=12)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(labelsize=12, labelbottom=True)
        axis.set_xlabel("test accuracy, %", fontsize=11)
    axes[0, 0].set_yticks(range(len(networks)), networks)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    labels = [",\n".join(label.rsplit(", ", 1)) for label in labels]
    for axis in axes.flat[len(data) :]:
        axis.axis("off")
        axis.legend(handles, labels, loc="center", fontsize=12, frameon=False, title="mean, and worst to best\nof "
                    f"{len(arrays['seeds'])} seeds", title_fontsize=12)  # fmt: skip
        break
    else:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=12)
    return figure


def texts(arrays: dict[str, Array]) -> dict[str, str]:
    """The tables."""
    rows, seeds = arrays["networks"].tolist(), arrays["seeds"].tolist()
    columns = [f"{protocols.TITLES[d]}, {n}" for d, n in zip(arrays["data"].tolist(), arrays["depths"], strict=True)]
    found = [
        tables.Table(_sentence(protocols.RECIPES[name]), rows, columns, values)
        for name, values in zip(arrays["recipes"].tolist(), arrays["test"], strict=True)
    ]
    theirs = [
        f"| {network} | "
        + " | ".join(" / ".join(f"{v:.1f}" for v in cell) for cell in published.ACCURACY[network])
        + " |"
        for network in rows
    ]
    heads = [f"{protocols.TITLES[data]}, {depth}" for data, depth in published.COLUMNS]
    head = f"**{published.CAPTION.capitalize()}**\n\n| | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}\n"
    notes = (
        f"Test accuracy in %: mean ± standard deviation (lowest) of {len(seeds)} seeds, {seeds[0]} to {seeds[-1]}; "
        "columns are data sets with the number of layers. Made by `python -m figures.accuracy`."
    )
    lines = [
        {"recipe": recipe, "network": network, "data": data, "depth": depth, "seed": seed,
         "train": round(float(arrays["train"][a, b, c, d]), 4), "test": round(float(arrays["test"][a, b, c, d]), 4)}
        for a, recipe in enumerate(arrays["recipes"].tolist())
        for b, network in enumerate(rows)
        for c, (data, depth) in enumerate(zip(arrays["data"].tolist(), arrays["depths"].tolist(), strict=True))
        for d, seed in enumerate(seeds)
    ]  # fmt: skip
    beside = "" if arrays.get("rehearsal") else "\n" + head + "\n".join(theirs) + "\n\n" + _compared(arrays)
    return {
        ".md": tables.markdown(found, notes) + beside,
        ".tex": tables.latex(found, notes),
        ".csv": tables.comma_separated(lines),
    }


def _compared(arrays: dict[str, Array]) -> str:
    """For each recipe, how many means are above and below the published ones, as Markdown."""
    columns = list(zip(arrays["data"].tolist(), arrays["depths"].tolist(), strict=True))
    lines = [
        "**How many means are above and below those of the public implementation**",
        "",
        "In brackets: clearly so, by a one-sided t test at 5 % with one spread for both. Where nothing differs, it "
        "finds one in twenty clearly above, and as many clearly below.",
        "",
        "| | above | equal | below |",
        "|---|---:|---:|---:|",
    ]
    for name, values in zip(arrays["recipes"].tolist(), arrays["test"], strict=True):
        found = published.compare(values, arrays["networks"].tolist(), columns)
        lines.append(
            f"| {_sentence(protocols.RECIPES[name])} | {found.above} ({found.clearly_above}) | {found.equal} | "
            f"{found.below} ({found.clearly_below}) |"
        )
    return "\n".join(lines) + "\n"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "accuracy")


if __name__ == "__main__":
    sys.exit(main())

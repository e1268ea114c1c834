"""What ``python -m benchmarks`` found, as a table in Markdown and as a picture."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

COLOURS = {"PyTorch": "#d55e00", "JAX": "#0072b2", "NumPy": "#8a8a8a"}
OURS = "pyham"
TWO_PASSES = "pyham, two passes"


def markdown(found: dict[str, Any]) -> str:
    """The tables of the documentation's page on performance."""
    others = [name for name in COLOURS if any(name in case["median"] for case in found["cases"])]
    lines = [
        "| case (n, B, N) | pyham, ms | two passes, ms | " + " | ".join(others) + " | of GEMM rate |",
        "|---|---:|---:|" + "---:|" * len(others) + "---:|",
    ]
    for case in found["cases"]:
        ours = case["median"][OURS]
        ratios = [f"{case['median'][name] / ours:.1f}x" if name in case["median"] else "" for name in others]
        dtype = "" if case["dtype"] == "float64" else f", {case['dtype']}"
        what = "" if case["what"] == "gradient" else ", all sensitivities"
        two = f"{1e3 * case['median'][TWO_PASSES]:.3g}" if TWO_PASSES in case["median"] else ""
        rate = (
            f"{100 * case['flops'] / ours / found['gemm'][case['dtype']]:.0f} %" if case["what"] == "gradient" else ""
        )
        lines.append(f"| {case['name']}{dtype}{what} | {1e3 * ours:.3g} | {two} | {' | '.join(ratios)} | {rate} |")
    lines += ["", "| depth, H2, n = 4, B = 16 | memory | µs a layer | MB beside parameters, stages and gradients |"]
    lines += ["|---:|---|---:|---:|"]
    for row in found["deep"]:
        extra = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}"
        lines.append(
            f"| {row['depth']:,} | {row['memory']} | {1e6 * row['seconds'] / row['depth']:.2f} | {extra} |"
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def deepest(found: dict[str, Any]) -> str:
    """What holds of the sensitivities of the deepest network, in one line."""
    row = max((row for row in found["deep"] if "drift" in row), key=lambda row: row["depth"])
    bound = 10 ** row["log10_sharp_bound"]
    return (
        f"At depth {row['depth']:,}: Phi^T J Phi = J within {row['defect_in_eps']:.0f} eps (allowed: 4 for each of "
        f"{2 * row['depth']:,} stages), norms from {row['smallest_norm']:.4f} to {row['largest_norm']:.4f}, sharp "
        f"bound {bound:.1f}; rebuilt states drift by {row['drift']:.0e}, {row['kept']} kept for that."
    )


def environment(found: dict[str, Any]) -> str:
    """One line: machine, threads and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    rates = " and ".join(f"{rate / 1e9:.0f} GFLOP/s in {dtype}" for dtype, rate in found["gemm"].items())
    return f"{found['machine']}, {found['threads']} threads; {versions}. A matrix product of NumPy reaches {rates}."


def picture(found: dict[str, Any]) -> Figure:
    """Ratios to pyham by case; time and memory against depth."""
    cases = found["cases"]
    figure, (bars, deep, space) = plt.subplots(
        1, 3, figsize=(13, 4.6), layout="constrained", width_ratios=(2.2, 1, 1)
    )  # fmt: skip
    names = [name for name in COLOURS if any(name in case["median"] for case in cases)]
    height = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        rows = [i for i, case in enumerate(cases) if name in case["median"]]
        ratios = [cases[i]["median"][name] / cases[i]["median"][OURS] for i in rows]
        places = np.array(rows) + (number - (len(names) - 1) / 2) * height
        drawn = bars.barh(places, ratios, height * 0.92, color=COLOURS[name], label=name)
        bars.bar_label(drawn, labels=[f"{ratio:.3g}x" for ratio in ratios], padding=3, fontsize=8)
    labels = [
        f"{case['name']}{'' if case['dtype'] == 'float64' else ' float32'}"
        f"{'' if case['what'] == 'gradient' else chr(10) + 'all sensitivities'}"
        for case in cases
    ]
    bars.set(yticks=range(len(cases)), yticklabels=labels, xscale="log", xlabel="time / pyham's time")
    bars.invert_yaxis()
    bars.axvline(1, color="black", linewidth=0.8)
    bars.set_xlim(0.8, bars.get_xlim()[1] * 1.6)
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
    for memory, marker, colour in (("reversible", "o", "#009e73"), ("checkpoint", "s", "#cc79a7")):
        rows_of = [row for row in found["deep"] if row["memory"] == memory]
        depths = [row["depth"] for row in rows_of]
        deep.plot(
            depths, [1e6 * row["seconds"] / row["depth"] for row in rows_of], marker=marker, color=colour, label=memory
        )
        if all(row["bytes"] is not None for row in rows_of):
            space.plot(
                depths, [max(row["bytes"] / 1e6, 0.1) for row in rows_of], marker=marker, color=colour, label=memory
            )
    parameters = [(row["depth"], row["parameters"] / 1e6) for row in found["deep"] if row["memory"] == "reversible"]
    space.plot(*zip(*parameters, strict=True), color="#8a8a8a", linestyle="--", label="the parameters")
    deep.set(xscale="log", ylim=(0, None), xlabel="depth N", ylabel="µs a layer")
    deep.set_title("H2, n = 4, B = 16", fontsize=10)
    space.set(xscale="log", yscale="log", ylim=(0.05, None), xlabel="depth N", ylabel="MB (0.1 or less: 0.1)")
    space.set_title("Memory beside parameters,\nstages and gradients", fontsize=10)
    for axes in (deep, space):
        axes.legend(frameon=False, fontsize=9)
        axes.grid(alpha=0.3)
    for axes in (bars, deep, space):
        axes.spines[["top", "right"]].set_visible(False)
    return figure

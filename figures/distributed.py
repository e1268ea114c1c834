"""A network on a graph: who hears whom, what travels, and what that costs.

Above: a ring of 8 nodes, its edges as wide as the bytes of a forward and a backward pass; the entries of K in the
graph's pattern, and the blocks of a layer's sensitivities, F R^T R, which reach one node farther. Below: messages of a
step against nodes, as the transport counts them, with the formula's line; the time of a step in one process, measured,
and as a cost model fitted to it says; and what the model says of one processor a node, with latency and bandwidth
measured between two processes. Counts and times are read from ``benchmarks/results``, where ``python -m
benchmarks.distributed`` writes them; ``validation.v15_distribution`` holds the counts against the edges.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import command, ring, style
from figures import setup as setups
from pyham.architectures.graphs import graph
from pyham.distributed import cost

Array = np.ndarray[Any, Any]

CAPTION = "On a graph, messages travel between neighbours only; their number grows with the edges."
USES = (ring, cost)
RING = 8
GRAPHS = ring.GRAPHS
LOOK = {"ring": (style.BLUE, "-", "o"), "grid": (style.GREEN, "--", "s"), "full": (style.RED, "-.", "^")}
SIZES = {"states": ring.STATES, "layers": ring.LAYERS, "samples": ring.SAMPLES}
FAR = 1_000_000  # nodes, of the model


def compute(setup: setups.Setup) -> dict[str, Array]:
    """Bytes on the ring's edges, patterns, counts (graphs, sizes), times and the model's constants and curves."""
    net = ring.build("ring", RING)
    x = setup.rng("distributed").standard_normal((ring.SAMPLES, net.arch.width))
    net.adjoint(net.trace(x), x)
    whole = net.gather()
    path = Path(ring.RESULTS)
    found = json.loads(path.read_text())
    between = json.loads(path.with_stem(path.stem + "_mpi").read_text())["model"]
    counts, rows = found["counts"], found["times"]
    local = cost.CostModel(**found["model"])
    network = cost.CostModel(local.layer, between["message"], between["byte"], local.operation)
    many = np.unique(np.geomspace(4, FAR, 60).astype(int))
    return {
        "bytes": net.traffic.bytes,
        "K": whole.K[0] != 0,
        "layer": net.layout.blocks.pattern(whole.sensitivity(x[:1])[-2, 0].T),
        "nodes": np.array(ring.NODES),
        "messages": np.array([[row["messages"] for row in counts if row["graph"] == name] for name in GRAPHS]),
        "graph": np.array([row["graph"] for row in rows]),
        "samples": np.array([row["samples"] for row in rows]),
        "size": np.array([row["nodes"] for row in rows]),
        "measured": np.array([row["distributed"] for row in rows]) / 1e3,
        "fitted": np.array([
            local.seconds(ring.work(row["graph"], row["nodes"], row["samples"])) for row in rows
        ]),
        "many": many,
        "passes": np.array([[network.seconds(cost.node(degree(name, M), **SIZES)) for M in many] for name in GRAPHS]),
        "reading": np.array([[2 * depth(name, M) * hop(network) for M in many] for name in GRAPHS]),
        "latency": np.array(between["message"]),
        "bandwidth": np.array(1 / between["byte"]),
    }  # fmt: skip


def degree(name: str, nodes: int) -> float:
    """Neighbours of the busiest node of a large graph."""
    return {"ring": 2.0, "grid": 4.0, "full": nodes - 1.0}[name]


def depth(name: str, nodes: int) -> float:
    """Edges between the reader and the farthest node, when all nodes are read."""
    return {"ring": nodes / 2, "grid": 2 * nodes**0.5, "full": 1.0}[name]


def hop(model: cost.CostModel) -> float:
    """Seconds of a message with one number for each sample."""
    return model.seconds(cost.Work(0, 1, 8 * ring.SAMPLES, 0))


def plot(arrays: dict[str, Array]) -> Figure:
    """Graph, patterns and traffic above; counts, times and the model below."""
    figure, axes = style.panels(2, 3, width=3.7, height=3.5)
    draw_ring(axes[0, 0], arrays["bytes"])
    axes[0, 1].imshow(arrays["K"], cmap="Blues", vmin=0, vmax=1.4)
    axes[0, 1].set(title="Entries of $K$, $R$ the ring: two states a node", xlabel="column $(p, q)$", ylabel="row")
    axes[0, 1].set(xticks=range(0, len(arrays["K"]), 2), yticks=range(0, len(arrays["K"]), 2))
    axes[0, 2].imshow(arrays["layer"] + 1.0 * graph("ring", RING).adjacency, cmap="Blues", vmin=0, vmax=2.8)
    axes[0, 2].set(title="A layer's reach $F R^T R$; dark: $R$", xlabel="node $k$", ylabel="node $i$")
    axes[0, 2].set(xticks=range(RING), yticks=range(RING))

    counts, times, model = axes[1]
    for i, name in enumerate(GRAPHS):
        colour, line, marker = LOOK[name]
        counts.loglog(arrays["nodes"], arrays["messages"][i], marker, color=colour, label=name, markersize=5)
        exact = [formula(name, int(M)).messages for M in arrays["nodes"]]
        counts.loglog(arrays["nodes"], exact, line, color=colour, linewidth=1)
        for samples, fill in ((125, colour), (4000, "none")):
            which = (arrays["graph"] == name) & (arrays["samples"] == samples)
            times.loglog(arrays["measured"][which], arrays["fitted"][which], marker, color=colour,
                         markerfacecolor=fill, label=f"{name}, {samples} samples", markersize=5)  # fmt: skip
        model.loglog(arrays["many"], arrays["passes"][i], line, color=colour, label=name)
        model.loglog(arrays["many"], arrays["passes"][i] + arrays["reading"][i], ":", color=colour, linewidth=1)
    counts.set(title="Messages of a step, 2 kB each; lines: formula", xlabel="nodes", ylabel="messages")
    counts.legend()
    ends = [arrays["measured"].min() / 2, arrays["measured"].max() * 2]
    times.loglog(ends, ends, color=style.GREY, linewidth=0.8)
    times.set(title="A step in one process: model against time", xlabel="measured, s", ylabel="fitted model, s")
    times.legend(fontsize=7)
    model.set(title="MODEL, not measured: a processor a node", xlabel="nodes", ylabel="seconds a step")
    words = f"latency {1e6 * arrays['latency']:.0f} µs, bandwidth {arrays['bandwidth'] / 1e9:.1f} GB/s,\n"
    model.text(0.03, 0.97, words + "as between two processes here; dotted:\nwith reading all nodes along a tree",
               transform=model.transAxes, va="top", fontsize=7.5, color=style.GREY)  # fmt: skip
    model.set_ylim(top=arrays["passes"].max() * 300)
    model.legend(loc="center left")
    return figure


def draw_ring(axis: Any, sent: Array) -> None:
    """Nodes on a circle; edges both ways, as wide as their bytes."""
    angle = np.pi / 2 - 2 * np.pi * np.arange(RING) / RING
    x, y = np.cos(angle), np.sin(angle)
    for receiver, sender in np.argwhere(sent).tolist():
        width = 2 * sent[receiver, sender] / sent.max()
        line = {"arrowstyle": "-|>", "color": style.BLUE, "linewidth": width, "shrinkA": 11, "shrinkB": 11}
        line["connectionstyle"] = "arc3,rad=0.25"  # one line each way
        axis.annotate("", (x[receiver], y[receiver]), (x[sender], y[sender]), arrowprops=line)
    for i in range(RING):
        axis.text(x[i], y[i], str(i), ha="center", va="center",
                  bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": style.BLACK})  # fmt: skip
    each = sent[sent > 0]
    words = f"{len(each)} directed edges,\n{each.max() / 1000:g} kB on each,\n0 elsewhere"
    axis.text(0, 0, words, ha="center", va="center")
    axis.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", title="Traffic of both passes")
    axis.set_axis_off()


def formula(name: str, nodes: int) -> cost.Work:
    """What the formula says of the whole graph."""
    degrees = graph(name, nodes).adjacency.sum(axis=1) - 1
    return cost.total(degrees, **SIZES)


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "distributed")


if __name__ == "__main__":
    sys.exit(main())

"""Steps of distributed networks in one process: ``python -m benchmarks.distributed``.

H1 with two states a node and 4 layers: messages and bytes of a forward and a backward pass of 125 samples, as the
transport counts them; then the time beside that of the dense engine on the gathered network, measured in turns, also
with more samples, where arithmetic counts; and a cost model fitted to the times. The numbers go to
``benchmarks/results/distributed.json``.

In one process messages are handed over, not copied: bytes cost nothing. ``mpiexec -n 2 python -m benchmarks.distributed
--mpi`` measures rounds of one message each way between two ranks, by size, and fits latency and bandwidth to them.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from benchmarks.timing import interleaved
from figures.ring import GRAPHS, NODES, RESULTS, SAMPLES, build, work
from pyham.commands import program
from pyham.distributed import ring
from pyham.distributed.cost import CostModel, Work
from pyham.distributed.mpi import MPITransport
from pyham.distributed.transport import Hop, Place
from pyham.files.replacing import replace_file

TIMED = ((8, 125), (32, 125), (128, 125), (8, 4000), (32, 4000))  # nodes and samples


def count(graph: str, nodes: int) -> dict[str, Any]:
    """Messages and bytes of one step, as they are delivered, and how many of them off the edges."""
    net = build(graph, nodes)
    x = np.random.default_rng(0).standard_normal((SAMPLES, net.arch.width))
    net.adjoint(net.trace(x), x)
    adjacency = net.layout.graphs[-1].adjacency
    sent = net.traffic
    return {
        "graph": graph,
        "nodes": nodes,
        "messages": int(sent.messages.sum()),
        "bytes": int(sent.bytes.sum()),
        "rounds": sent.rounds,
        "astray": int(sent.messages[~adjacency].sum()),
        "busiest node": int(sent.messages.sum(axis=0).max()),
    }


def times(graph: str, nodes: int, samples: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of a step: distributed, and dense by the compiled engine and by the reference engine.

    The shortest of many: other programs on the machine only ever add to it.
    """
    net = build(graph, nodes)
    whole = net.gather()
    x = np.random.default_rng(0).standard_normal((samples, net.arch.width))
    blocks, gradient = net.own_samples(x), np.empty_like(net.theta)
    runs = {
        "distributed": lambda: net.backward(net.forward(blocks), blocks, gradient),
        "compiled": lambda: whole.gradient(x, x),
        "reference": lambda: whole.gradient(x, x, backend="reference"),
    }
    found: dict[str, Any] = {"graph": graph, "nodes": nodes, "samples": samples}
    return found | {name: 1e3 * timing.best for name, timing in interleaved(runs, seconds=seconds).items()}


def rounds(sizes: Sequence[int], repeats: int) -> tuple[bool, list[float]]:
    """Whether this is the first rank, and the shortest seconds of a round with messages of so many numbers."""
    transport = MPITransport([ring(2)])
    found = []
    hops = (Hop(0, 1, 1), Hop(1, 0, 1))
    for size in sizes:
        outbox = {(i, 1 - i): np.zeros((1, size)) for i in transport.nodes}
        taken = []
        for _ in range(repeats):
            begun = time.perf_counter()
            transport.exchange("y", hops, Place("forward pass", 0), size, outbox)
            taken.append(time.perf_counter() - begun)
        found.append(min(taken))
    transport.finish()
    return transport.rank == 0, found


def over_mpi(path: Path) -> int:
    """Latency and bandwidth between two ranks."""
    sizes = [int(size) for size in np.geomspace(1, 1 << 20, 11)]
    first, seconds = rounds(sizes, 40)
    if first:
        works = [Work(0, 1, 8 * size, 0) for size in sizes]
        model = CostModel.fit(works, seconds)
        for size, taken in zip(sizes, seconds, strict=True):
            print(f"{8 * size:9} bytes {1e6 * taken:9.1f} us")
        print(f"latency {1e6 * model.message:.1f} us, bandwidth {1e-9 / model.byte:.2f} GB/s")
        found = {"bytes": [8 * size for size in sizes], "seconds": seconds, "model": asdict(model)}
        replace_file(path, (json.dumps(found, indent=1) + "\n").encode())
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.distributed", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and small cases: does it run?")
    parser.add_argument("--mpi", action="store_true", help="under mpiexec -n 2: latency and bandwidth")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each time, at least (0.5)")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the numbers go")
    options = parser.parse_args(argv)
    if options.mpi:
        return over_mpi(options.json.with_stem(options.json.stem + "_mpi"))
    pyham.set_num_threads(1)
    print("a step of 125 samples\ngraph  nodes  messages       bytes  off edges  busiest node sends")
    counts = []
    for graph in GRAPHS:
        for nodes in NODES[: 2 if options.quick else None]:
            row = count(graph, nodes)
            counts.append(row)
            print(f"{graph:5} {nodes:6} {row['messages']:9} {row['bytes']:11} {row['astray']:10} "
                  f"{row['busiest node']:19}", flush=True)  # fmt: skip
    print("\ntimes in one process, and their ratio to those of the dense engines, one thread")
    print("graph  nodes samples      ms  compiled  reference")
    timed = []
    for graph in GRAPHS:
        for nodes, samples in TIMED[: 2 if options.quick else None]:
            if graph == "full" and nodes > 32:
                continue  # minutes
            row = times(graph, nodes, samples, options.seconds)
            timed.append(row)
            ratios = [row["distributed"] / row[name] for name in ("compiled", "reference")]
            print(f"{graph:5} {nodes:6} {samples:7} {row['distributed']:7.2f} {ratios[0]:8.1f}x {ratios[1]:9.1f}x",
                  flush=True)  # fmt: skip
    works = [work(row["graph"], row["nodes"], row["samples"]) for row in timed]
    model = CostModel.fit(works, [row["distributed"] / 1e3 for row in timed])
    errors = [model.seconds(w) * 1e3 / row["distributed"] - 1 for w, row in zip(works, timed, strict=True)]
    print(f"model: {1e6 * model.layer:.2f} us a layer and node, {1e6 * model.message:.2f} us a message, "
          f"{1e9 * model.byte:.3f} ns a byte, {1e9 * model.operation:.4f} ns an operation; off by "
          f"{100 * min(errors):.0f} to {100 * max(errors):.0f} %")  # fmt: skip
    found = {"counts": counts, "times": timed, "model": asdict(model)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    replace_file(options.json, (json.dumps(found, indent=1) + "\n").encode())
    return 0 if not any(row["astray"] for row in counts) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Networks on graphs by size: ``python -m benchmarks.graphs``; a table, and ``benchmarks/results/graphs.json``.

H2 with two states a node and 4 layers, 125 samples, both passes (``net.gradient``), on a ring, a grid, a random graph
in which every node has three neighbours, and a star, whose centre hears everybody. Each row is measured by a process of
its own, because memory is what the process had at its peak beyond what it had before the network was built. Where
matrices fit, the dense engine runs the network with the same K, in turns with the graph's, and both must agree to
1e-12. Exponents are fitted to the rows from 1000 nodes on: 1 says that time or memory grows in proportion to the
entries of K.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from benchmarks.deep import STATUS, resident
from benchmarks.timing import interleaved
from pyham.commands import program
from pyham.files.replacing import replace_file

Array = np.ndarray[Any, Any]

RESULTS = Path(__file__).parent / "results" / "graphs.json"
GRAPHS = ("ring", "grid", "random", "star")
SAMPLES, DEPTH, STEP = 125, 4, 0.1
SMALL, LARGE = (8, 128, 2048), (1_000, 3_000, 10_000, 30_000, 100_000)
QUICK = (8, 1_000, 3_000)
DENSE = 128  # nodes: of more, matrices are not tried
AGREE = 1e-12


def random_regular(nodes: int) -> Array:
    """Edges (E, 2) of a ring through all nodes in a random order, and of a random matching: no order to make use of."""
    rng = np.random.default_rng(0)
    order, pairs = rng.permutation(nodes), rng.permutation(nodes)[: nodes // 2 * 2].reshape(-1, 2)
    return np.concatenate([np.stack([order, np.roll(order, 1)], axis=1), pairs])


def measure(name: str, nodes: int, seconds: float) -> dict[str, Any]:
    """One row: seconds to build and of both passes, bytes at the peak, and the ratio to the dense engine's time."""
    graph: Any = random_regular(nodes) if name == "random" else name
    small = pyham.H2(4, 2, graph="path", nodes=2).init(0)
    small.gradient(np.ones((2, 4)), np.ones((2, 4)))  # compiles
    before = resident("VmRSS")
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM is the peak of what follows
    begun = time.perf_counter()
    net = pyham.H2(2 * nodes, DEPTH, STEP, graph=graph, nodes=nodes).init(0, initialization="scaled-normal")
    built = time.perf_counter() - begun
    x, g = np.random.default_rng(1).standard_normal((2, SAMPLES, 2 * nodes))
    runs = {"graph": lambda: net.gradient(x, g)}
    runs["graph"]()
    peak = resident("VmHWM")
    if nodes <= DENSE:
        dense = _dense(net)
        runs["dense"] = lambda: dense.gradient(x, g)
        error = _difference(runs["graph"](), runs["dense"](), net, dense)
        if not error <= AGREE:
            raise ArithmeticError(f"{name} of {nodes} nodes: expected the dense engine's gradient, off by {error:.1e}")
    found = interleaved(runs, seconds=seconds)
    ours = found["graph"].best
    return {
        "graph": name, "nodes": nodes, "entries": len(net.arch.maps[0]), "built": built, "seconds": ours,
        "bytes": None if before is None or peak is None else peak - before,
        "ratio": ours / found["dense"].best if "dense" in found else None,
    }  # fmt: skip


def _dense(net: pyham.Network) -> pyham.Network:
    """The network without a graph that has the same K and b."""
    arch = pyham.H2(net.arch.width, DEPTH, STEP)
    return pyham.Network(arch, {**arch.collect(arch.cut(net.K)), "b": net.b})


def _difference(found: Any, right: Any, net: pyham.Network, dense: pyham.Network) -> float:
    """The largest difference between both gradients, relative to the largest entry of each array."""
    pairs = [(found.output, right.output), (found.input, right.input), (found.params["b"], right.params["b"])]
    edges = net.arch.maps[0]
    pairs += [(found.params[key], right.params[key][:, edges.rows, edges.columns]) for key in ("Kp", "Kq")]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def exponents(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By graph, of the seconds to build and of both passes, and of bytes."""
    result = {}
    for name in dict.fromkeys(row["graph"] for row in rows):
        own = [row for row in rows if row["graph"] == name and row["nodes"] in LARGE]
        entries = np.log([row["entries"] for row in own])
        known = [key for key in ("built", "seconds", "bytes") if all(row[key] for row in own)]
        result[name] = {key: float(np.polyfit(entries, np.log([row[key] for row in own]), 1)[0]) for key in known}
    return result


def rows_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, each from a process of its own."""
    print("graph     nodes   entries   built, s  passes, ms  of dense        MB")
    rows: list[dict[str, Any]] = []
    for name in ("ring",) if options.quick else GRAPHS:
        for nodes in QUICK if options.quick else (*(SMALL if name == "ring" else ()), *LARGE):
            command = [sys.executable, "-m", "benchmarks.graphs", "--row", name, str(nodes)]
            command += ["--seconds", str(options.seconds), "--threads", str(pyham.get_num_threads())]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=RESULTS.parents[2])
            row = json.loads(done.stdout)
            rows.append(row)
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}x"
            memory = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:9.1f}"
            print(f"{name:6} {nodes:8,} {row['entries']:9,} {row['built']:10.3f} {1e3 * row['seconds']:11.2f} "
                  f"{ratio:>9} {memory}", flush=True)  # fmt: skip
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.graphs", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one graph, few nodes: does it run?")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each time, at least (2)")
    parser.add_argument("--threads", type=int, default=2, help="of pyham (2)")
    parser.add_argument("--row", nargs=2, metavar=("GRAPH", "NODES"), help="measure one row and print it as JSON")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the numbers go; not written with --quick")
    options = parser.parse_args(argv)
    pyham.set_num_threads(options.threads)
    if options.row:
        print(json.dumps(measure(options.row[0], int(options.row[1]), options.seconds)))
        return 0
    options.seconds = 0.2 if options.quick else options.seconds
    rows = rows_of(options)
    fitted = exponents(rows)
    for name, of_graph in fitted.items():
        print(f"{name}: grows with the entries of K to the power of "
              + ", ".join(f"{value:.2f} ({key})" for key, value in of_graph.items()))  # fmt: skip
    from benchmarks.__main__ import machine, versions  # here, because a row's process should not import Matplotlib

    described = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"{machine()}, {options.threads} threads; {described}")
    if not options.quick:
        found = {"machine": machine(), "threads": options.threads, "rows": rows, "exponents": fitted}
        replace_file(options.json, (json.dumps(found, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The distributed networks that ``python -m benchmarks.distributed`` counts and ``figures.distributed`` draws."""

from pathlib import Path

import pyham
from pyham.distributed import DistributedNetwork, distribute
from pyham.distributed.cost import Work, total

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "distributed.json"
STATES, LAYERS, SAMPLES = 2, 4, 125
GRAPHS = ("ring", "grid", "full")
NODES = (4, 8, 16, 32, 64, 128, 256)


def build(graph: str, nodes: int) -> DistributedNetwork:
    """H1 with random weights in the graph's pattern."""
    return distribute(pyham.H1(STATES * nodes, LAYERS, 0.5).init(0), graph, nodes=nodes, restrict=True)


def work(graph: str, nodes: int, samples: int = SAMPLES) -> Work:
    """What a step costs all nodes, by formula."""
    degrees = build(graph, nodes).layout.graphs[-1].adjacency.sum(axis=1) - 1
    return total(degrees, states=STATES, layers=LAYERS, samples=samples)

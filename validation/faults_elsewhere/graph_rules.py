"""Graphs, the conditions on patterns, and what is refused, against loops over nodes."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

import pyham
from pyham import distributed
from pyham.distributed import Blocks, Graph, Layout, graphs, patterns
from pyham.distributed.transport import Hop, Mailbox, Place, TransportError
from validation.faults_elsewhere.distribution import NODES, ONE_WAY
from validation.faults_elsewhere.reading import Reading

Array = np.ndarray[Any, Any]


def count(check: str, what: str, wrong: int) -> Reading:
    """So many things are wrong."""
    return Reading(check, what, float(wrong), wrong > 0)


def conditions() -> Iterator[Reading]:
    """Which entries of the patterns lack an edge, who owns what, and where entries may be."""
    rng = np.random.default_rng(0)
    yield count("conditions", "edges", sum(_disagreements(*(rng.random((3, NODES, NODES)) < 0.4)) for _ in range(6)))
    blocks, matrix = Blocks(np.array([0, 2, 1, 0]), 3), np.triu(np.ones((4, 4)), 1)
    pattern = np.zeros((3, 3), dtype=bool)
    for a, c in np.argwhere(matrix):
        pattern[blocks.owner[a], blocks.owner[c]] = True
    wrong = int((blocks.pattern(matrix) ^ pattern).sum()) + (blocks.of(0).tolist() != [0, 3])
    for a, c in product(range(4), repeat=2):
        wrong += bool(blocks.mask(pattern)[a, c] != pattern[blocks.owner[a], blocks.owner[c]])
    yield count("conditions", "blocks", wrong)
    wrong = int(Blocks.even(10, 3).owner.tolist() != [0, 0, 1, 1, 2] * 2)
    wrong += Blocks.even(5, 3).owner.tolist() != [0, 0, 1, 1, 2]
    wrong += Blocks.of_sizes([2, 0], [1, 1]).owner.tolist() != [0, 0, 0, 1]
    yield count("conditions", "owners", wrong)
    given = Layout(pyham.H1(2 * NODES, 1, 0.5), "ring", nodes=NODES, pattern=ONE_WAY)
    wrong = int((given.patterns[0] != ONE_WAY).sum() + (given.mask[0] != np.tile(ONE_WAY, (2, 2))).sum())
    yield count("conditions", "pattern", wrong)


def _disagreements(R: Array, F: Array, adjacency: Array) -> int:
    """Conditions whose missing entries are not those that loops find."""
    G, nodes = Graph(adjacency), range(NODES)
    entries = {
        "R": [(i, k) for i, k in product(nodes, repeat=2) if R[i, k]],
        "F": [(i, k) for i, k in product(nodes, repeat=2) if F[i, k]],
        "F R^T R": {(i, k) for i, a, m, k in product(nodes, repeat=4) if F[i, a] and R[m, a] and R[m, k]},
    }
    wrong = 0
    for found, names in (
        (patterns.one_round(G, R, F), ("F R^T R",)),
        (patterns.block_by_block(G, R, F), ("R", "F")),
        (patterns.block_by_block(G, R, None), ("R",)),
    ):
        expected = []
        for name in names:
            expected += [(name, i, k, k, i) for i, k in entries[name] if i != k and not adjacency[i, k]]
            expected += [(name, i, k, i, k) for i, k in entries[name] if i != k and not adjacency[k, i]]
        wrong += sorted(entry[:5] for entry in found) != sorted(expected)
    return wrong


def refusals() -> Iterator[Reading]:
    """What must not run, and what must: weights outside the pattern, patterns off the edges, wrong messages."""
    H1, K = pyham.H1(8, 1, 0.5), np.zeros((1, 4, 4))
    K[0, 3, 0] = 1
    far = pyham.H2(8, 1, 0.5).init(0, initialization={"Kp": K, "Kq": 0 * K})
    lower = np.tri(4) - np.tri(4, k=-2)
    must_not: dict[str, Callable[[], object]] = {
        "K": lambda: distributed.distribute(far, "path", nodes=4),
        "pattern": lambda: Layout(H1, "path", nodes=4, pattern=np.ones((4, 4))),
        "layer": lambda: Layout(pyham.H1(8, 2, 0.5), ["ring", "path"], nodes=4, pattern=graphs.ring(4).adjacency),
        "J": lambda: Layout(pyham.H1(8, 1, 0.5, interconnection="J2"), "path", nodes=4),
        "one round": lambda: distributed.distribute(far, "path", nodes=4, restrict=True, one_round=True),
    }
    must: dict[str, Callable[[], object]] = {
        "weights": lambda: distributed.distribute(far, "ring", nodes=4),
        "restricted": lambda: distributed.distribute(far, "path", nodes=4, restrict=True),
        "one way": lambda: Layout(H1, "path", nodes=4, pattern=lower),
        "graph": lambda: Layout(H1, np.eye(4, k=1), nodes=4),  # whose edges are one-way: its pattern is diagonal
    }
    box = Mailbox([Graph(np.eye(3, k=1)), graphs.full(3)])  # in layer 0 node i hears i + 1
    place, message = Place("forward pass", 0), np.ones((2, 5))
    rounds: dict[str, tuple[Hop, dict[tuple[int, int], Array]]] = {
        "message": (Hop(1, 0, 2), {(1, 0): message}),
        "off edge": (Hop(0, 1, 2), {(0, 1): message}),
        "size": (Hop(1, 0, 2), {(1, 0): message[:1]}),
        "samples": (Hop(1, 0, 2), {(1, 0): message[:, :4]}),
        "missing": (Hop(1, 0, 2), {}),
        "another": (Hop(1, 0, 2), {(1, 0): message, (2, 1): message}),
    }
    for name, (hop, outbox) in rounds.items():
        (must if name == "message" else must_not)[name] = partial(box.exchange, "y", (hop,), place, 5, outbox)
    for name, run in must_not.items():
        yield count("refusals", name, not _refused(run))
    for name, run in must.items():
        yield count("refusals", f"{name}, right", _refused(run))


def _refused(run: Callable[[], object]) -> bool:
    try:
        run()
    except (TransportError, ValueError):
        return True
    return False


def edges() -> Iterator[Reading]:
    """Named graphs by the places of their nodes, and distances by powers of the adjacency."""
    i = np.arange(6)
    gap = np.abs(i[:, None] - i)
    down, across = np.abs(i[:, None] // 3 - i // 3), np.abs(i[:, None] % 3 - i % 3)
    lower, upper = np.minimum(i[:, None], i), np.maximum(i[:, None], i)
    expected = {
        "ring": (gap <= 1) | (gap == 5),
        "path": gap <= 1,
        "grid": down + across <= 1,
        "star": (lower == 0) | (gap == 0),
        "pairs": (gap == 0) | ((gap == 1) & (lower % 2 == 0)),
        "other-pairs": (gap == 0) | ((gap == 1) & (lower % 2 == 1)) | ((lower == 0) & (upper == 5)),
        "full": gap >= 0,
    }
    for name, right in expected.items():
        wrong = int((graphs.graph(name, 6).adjacency ^ right).sum())
        yield Reading("edges", name, float(wrong), wrong > 0)
    one_way = Graph(np.eye(4, k=1))
    wrong = int(one_way.edges != ((1, 0), (2, 1), (3, 2))) + int(one_way.has(0, 1)) + int(not one_way.has(1, 0))
    reach = np.full((4, 4), np.inf)
    for steps in reversed(range(4)):
        reach[np.linalg.matrix_power(one_way.adjacency.astype(int), steps) > 0] = steps
    wrong += int((one_way.distance() != reach).sum())
    wrong += int((graphs.union([one_way, Graph(np.eye(4, k=-1))]).adjacency ^ graphs.path(4).adjacency).sum())
    yield Reading("edges", "one way", float(wrong), wrong > 0)

"""What each node holds: its rows of K and b, as views of the flat parameters of the nodes that live together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham import _check
from pyham.distributed.layout import Layout

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Weights:
    """One node's weights, or their gradients: views.

    Parameters
    ----------
    K : for each part of the field, the node's rows (N, r, k), with the columns of all blocks that they ever read
    b (N, r) : biases of all its rows
    """

    K: tuple[Array, ...]
    b: Array


def shapes(layout: Layout, node: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of the node's K for each part, then of b."""
    N, own = layout.arch.depth, layout.own[node]
    rows = [len(_rows(layout, node, part.rows)) for part in layout.arch.parts]
    widths = [len(columns[node]) for columns in layout.columns]
    return *((N, r, k) for r, k in zip(rows, widths, strict=True)), (N, len(own))


def sizes(layout: Layout) -> tuple[int, ...]:
    """Numbers that each node holds."""
    return tuple(sum(map(math.prod, shapes(layout, i))) for i in range(layout.nodes))


def views(layout: Layout, nodes: Sequence[int], flat: Array) -> dict[int, Weights]:
    """The weights of these nodes, which follow each other in ``flat``."""
    found, start = {}, 0
    for i in nodes:
        ends = start + np.cumsum([0, *(math.prod(shape) for shape in shapes(layout, i))])
        *K, b = (flat[a:b].reshape(shape) for a, b, shape in zip(ends, ends[1:], shapes(layout, i), strict=False))
        found[i], start = Weights(tuple(K), b), ends[-1]
    return found


def cut(layout: Layout, nodes: Sequence[int], params: Mapping[str, Array]) -> Array:
    """The flat weights of these nodes, out of the parameters of the whole network.

    Raises
    ------
    ValueError
        If an entry of K outside the pattern is not 0: it names layer, entry and nodes.
    """
    K, b = layout.arch.assemble(params), params["b"]
    refuse(layout, K)
    flat = np.empty(sum(sizes(layout)[i] for i in nodes), K.dtype)
    for i, weights in views(layout, nodes, flat).items():
        for part, columns, mine in zip(layout.arch.parts, layout.columns, weights.K, strict=True):
            mine[...] = K[:, _rows(layout, i, part.rows)[:, None], columns[i]]
        weights.b[...] = b[:, layout.own[i]]
    return flat


def join(layout: Layout, flat: Array) -> dict[str, Array]:
    """The parameters of the whole network (or their gradients) from the flat weights of all nodes."""
    N, n = layout.arch.depth, layout.arch.width
    K, b = np.zeros((N, n, n), flat.dtype), np.zeros((N, n), flat.dtype)
    for i, weights in views(layout, range(layout.nodes), flat).items():
        for part, columns, mine in zip(layout.arch.parts, layout.columns, weights.K, strict=True):
            K[:, _rows(layout, i, part.rows)[:, None], columns[i]] = mine
        b[:, layout.own[i]] = weights.b
    return {**layout.arch.collect(layout.arch.cut(K)), "b": b}


def refuse(layout: Layout, K: Array) -> None:
    """Raise if K (N, n, n) has an entry other than 0 outside the pattern."""
    outside = np.argwhere((K != 0) & ~layout.mask)
    if not len(outside):
        return
    j, a, c = (int(v) for v in outside[0])
    to, of = (int(layout.blocks.owner[v]) for v in (a, c))
    graph = layout.graphs[j]
    edge = "has such edges" if graph.has(of, to) and graph.has(to, of) else f"has no edge between {of} and {to}"
    raise ValueError(
        f"K: expected 0 outside the pattern, got K[{j}, {a}, {c}] = {K[j, a, c]:.3g} and {len(outside) - 1} more: in "
        f"layer {j} the rows of node {to} must not read the state of node {of} (the graph {edge})"
    )


def restrict(layout: Layout, params: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters with 0 outside the pattern."""
    K = layout.arch.assemble(params) * layout.mask
    return {**layout.arch.collect(layout.arch.cut(K)), "b": _check.read_only(params["b"])}


def _rows(layout: Layout, node: int, rows: slice) -> Array:
    own = layout.own[node]
    return own[(own >= rows.start) & (own < rows.stop)]


def allowed(layout: Layout, node: int) -> tuple[Array, ...]:
    """For each part, which entries of the node's K (N, 1, k) are within the pattern of their layer."""
    found = []
    for number, columns in enumerate(layout.columns):
        mask = np.zeros((layout.arch.depth, 1, len(columns[node])), dtype=bool)
        for j, stages in enumerate(layout.stages):
            for stage in stages:
                if stage.part == number:
                    mask[j][:, stage.columns[node]] = True
        found.append(mask)
    return tuple(found)

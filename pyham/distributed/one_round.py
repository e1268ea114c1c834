"""A stage with one round of messages a pass, where the theorem allows it: nodes hold copies of neighbours' weights.

Node i computes its whole block of J K^T sigma(K y + b) by itself. For that it needs the rows of K of all nodes m with
(F R^T)[i, m], which are sent before a forward pass, and the blocks of y of all nodes k with (F R^T R)[i, k], in each
layer. Write A for those rows with those columns, and J_i for its rows of h J:

Forward                                            at node i
---------------------------------------------------------------------------------------------------------
spread weights along F R^T, once                   A, b of every layer
spread y along F R^T R                             Y ;  a = A Y + b ;  s = sigma(a) ;  y_i[dst] += J_i A^T s

Backward
---------------------------------------------------------------------------------------------------------
                                                   t = J_i^T delta_i[dst] ;  e = A t ;  g = sigma'(a) * e
                                                   dA += s t^T + g Y^T ;  db += g
collect A^T g                                      delta_i[src] += sum of the others' parts for i
collect dA, db along F R^T, once                   the gradient of its own rows

Per layer that is one round instead of two or three, for two larger ones a step, whose size does not grow with the
batch, and for sums that several nodes compute, each for itself.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import Activation
from pyham.distributed.layout import Layout, NodeStage
from pyham.distributed.links import ByNode, Link, Via, collect, spread
from pyham.distributed.stepping import Kept, faded
from pyham.distributed.weights import Weights, sizes, views

Array = np.ndarray[Any, Any]
Copies = dict[int, dict[int, Weights]]  # at each node, the weights of those whose rows it needs


class Local(NamedTuple):
    """What a stage needs at a node: whose rows, where each one's columns are in the stack Y, and J's rows for that."""

    members: tuple[int, ...]
    columns: tuple[Array, ...]
    J: Array


class Wide(NamedTuple):
    """A stage's link of F R^T R, and what it needs at every node."""

    link: Link
    local: tuple[Local, ...]


@dataclass(frozen=True, eq=False)
class OneRound:
    """The links of a layout whose patterns satisfy the condition of one round.

    Raises
    ------
    ValueError
        If they do not: the first entries are named.
    """

    layout: Layout

    def __post_init__(self) -> None:
        self.layout.check_one_round()
        both = self.weights.pattern & ~self.layout.graphs[-1].mutual.adjacency
        if both.any():  # not if every node reads itself: then F R^T is within F R^T R
            i, m = np.argwhere(both)[0].tolist()
            raise ValueError(
                f"one_round: expected an edge for the weights that (F R^T)[{i}, {m}] needs, got none {m} <-> {i}"
            )

    @cached_property
    def weights(self) -> Link:
        """Who needs whose rows of K, in any stage."""
        needed = [_needs(stage) for stages in set(self.layout.stages) for stage in stages]
        return Link(np.any([*needed, np.eye(self.layout.nodes, dtype=bool)], axis=0), sizes(self.layout))

    @cached_property
    def wide(self) -> dict[NodeStage, Wide]:
        """Of every stage, its link and what each node needs."""
        return {stage: self._wide(stage) for stages in set(self.layout.stages) for stage in stages}

    def _wide(self, stage: NodeStage) -> Wide:
        needs = _needs(stage)
        link = Link(needs.astype(int) @ stage.K.pattern > 0, stage.K.rows)
        assert stage.J is not None  # as the layout has passed the check
        local = []
        for i in range(self.layout.nodes):
            where = dict(zip(link.reads[i], link.cuts[i], strict=True))
            members = tuple(np.flatnonzero(needs[i]).tolist())
            stack = np.arange(link.height[i])
            columns = tuple(np.concatenate([stack[:0], *(stack[where[k]] for k in stage.K.reads[m])]) for m in members)
            J = np.zeros((stage.M[i].shape[0], link.height[i]))
            for k, cut in zip(stage.J.reads[i], stage.J.cuts[i], strict=True):
                if k in where:  # else nobody reads k: its block of grad H is 0
                    J[:, where[k]] = stage.M[i][:, cut]
            local.append(Local(members, columns, J))
        return Wide(link, tuple(local))

    def parts(self, stacks: ByNode) -> Copies:
        """Views of stacked flat weights (P, 1) at every node, by whose they are."""
        return {
            i: {
                m: views(self.layout, (m,), stack[cut, 0])[m]
                for m, cut in zip(self.weights.reads[i], self.weights.cuts[i], strict=True)
            }
            for i, stack in stacks.items()
        }

    def forward(
        self, stage: NodeStage, sigma: Activation, copies: Copies, j: int, y: ByNode, via: Via
    ) -> tuple[ByNode, Kept]:
        """As ``stepping.forward``."""
        wide = self.wide[stage]
        Y = spread(wide.link, "y", {i: y[i][stage.src[i]] for i in y}, via)
        after, a = {}, {}
        for i, block in y.items():
            A, b = assemble(stage, wide.local[i], copies[i], j, Y[i])
            a[i] = A @ Y[i] + b[:, None]
            after[i] = block.copy()
            after[i][stage.dst[i]] = faded(stage, block[stage.dst[i]])
            after[i][stage.dst[i]] += wide.local[i].J.astype(A.dtype) @ (A.T @ sigma.sigma(a[i]))
        return after, Kept(Y, a)

    def backward(
        self, stage: NodeStage, sigma: Activation, copies: Copies, sums: Copies, j: int, kept: Kept, delta: ByNode,
        via: Via,
    ) -> ByNode:  # fmt: skip
        """As ``stepping.backward``; gradients are added to each node's copies."""
        wide = self.wide[stage]
        parts = {}
        for i, d in delta.items():
            local = wide.local[i]
            A, _ = assemble(stage, local, copies[i], j, kept.Y[i])
            t = local.J.astype(A.dtype).T @ d[stage.dst[i]]
            g = sigma.derivative(kept.a[i]) * (A @ t)
            dA = sigma.sigma(kept.a[i]) @ t.T + g @ kept.Y[i].T
            start = 0
            for m, columns in zip(local.members, local.columns, strict=True):
                rows = slice(start, start + stage.rows[m].stop - stage.rows[m].start)
                sums[i][m].K[stage.part][j][:, stage.columns[m]] += dA[rows][:, columns]
                sums[i][m].b[j, stage.rows[m]] += g[rows].sum(axis=1)
                start = rows.stop
            parts[i] = A.T @ g
        back = collect(wide.link, "A^T g", parts, via)
        before = {i: block.copy() for i, block in delta.items()}
        for i, block in before.items():
            block[stage.dst[i]] = faded(stage, block[stage.dst[i]])
            block[stage.src[i]] += back[i]
        return before


def assemble(stage: NodeStage, local: Local, copies: dict[int, Weights], j: int, Y: Array) -> tuple[Array, Array]:
    """A and b at a node: the rows of its members, one below the other, with the columns of its stack."""
    rows = [copies[m].K[stage.part][j][:, stage.columns[m]] for m in local.members]
    A = np.zeros((sum(map(len, rows)), len(Y)), Y.dtype)
    start = 0
    for mine, columns in zip(rows, local.columns, strict=True):
        A[start : start + len(mine), columns] = mine
        start += len(mine)
    return A, np.concatenate([np.zeros(0, Y.dtype), *(copies[m].b[j, stage.rows[m]] for m in local.members)])


def _needs(stage: NodeStage) -> Array:
    """(F R^T)[i, m]: whether node i needs node m's rows."""
    assert stage.J is not None
    return stage.J.pattern.astype(int) @ stage.K.pattern.T > 0

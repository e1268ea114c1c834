"""One stage, computed by all nodes together: what each does with its own block, and when it needs its neighbours.

    y[dst] <- keep * y[dst] + h J K^T sigma(K y[src] + b)        or, without J, + h sigma(K y[src] + b)

(h is f h for a stage that applies a fraction, and ``amount`` of the architecture where it is damped)

Forward                                            at node i
---------------------------------------------------------------------------------------------------------
spread y along K                                   Y_i: the blocks that its rows of K read
                                                   a_i = K_i Y_i + b_i ;  s_i = sigma(a_i)
collect K^T sigma                                  v_i = sum of (K_m^T s_m)'s blocks for i = (grad H)_i
spread grad H along J (nothing, if block diagonal) y_i[dst] <- keep * y_i[dst] + h J_i V_i

Backward, each line the transpose of one above, in reverse
---------------------------------------------------------------------------------------------------------
collect J^T delta                                  t_i = sum of (h J_m^T delta_m[dst])'s blocks for i
spread t along K                                   T_i ;  e_i = K_i T_i ;  dK_i += s_i T_i^T
                                                   g_i = sigma'(a_i) * e_i ;  dK_i += g_i Y_i^T ;  db_i += g_i
collect K^T g                                      delta_i[src] += sum of (K_m^T g_m)'s blocks for i

No node sees another's weights: what would need them, K_m^T s_m, is computed where they are. Samples are columns.
"""

from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import Activation
from pyham.distributed.layout import NodeStage
from pyham.distributed.links import ByNode, Via, collect, spread
from pyham.distributed.weights import Weights

Array = np.ndarray[Any, Any]


class Kept(NamedTuple):
    """What the way back needs of a stage, by node: the blocks read (k, B), and a = K y + b (r, B)."""

    Y: ByNode
    a: ByNode


def forward(
    stage: NodeStage, sigma: Activation, weights: dict[int, Weights], j: int, y: ByNode, via: Via
) -> tuple[ByNode, Kept]:
    """The blocks of y after the stage, and what is kept for the way back."""
    Y = spread(stage.K, "y", {i: y[i][stage.src[i]] for i in y}, via)
    K = _rows(stage, weights, j)
    a = {i: K[i] @ Y[i] + weights[i].b[j, stage.rows[i], None] for i in y}
    s = {i: sigma.sigma(a[i]) for i in y}
    if stage.J is None:
        u = {i: stage.h * s[i] for i in y}
    else:
        v = collect(stage.K, "K^T sigma", {i: K[i].T @ s[i] for i in y}, via)
        V = spread(stage.J, "grad H", v, via)
        u = {i: stage.M[i] @ V[i] for i in y}
    after = {}
    for i, block in y.items():
        after[i] = block.copy()
        after[i][stage.dst[i]] = faded(stage, block[stage.dst[i]]) + u[i] if stage.keep else u[i]
    return after, Kept(Y, a)


def backward(
    stage: NodeStage, sigma: Activation, weights: dict[int, Weights], gradients: dict[int, Weights], j: int,
    kept: Kept, delta: ByNode, via: Via,
) -> ByNode:  # fmt: skip
    """The blocks of dLoss/dy before the stage, from those after it; adds to the gradients of the weights."""
    K = _rows(stage, weights, j)
    d = {i: delta[i][stage.dst[i]] for i in delta}
    if stage.J is None:
        e = {i: stage.h * d[i] for i in delta}
    else:
        parts = {i: (stage.M[i].T @ d[i]).astype(d[i].dtype) for i in delta}  # J is of float64, messages need not be
        t = collect(stage.J, "J^T delta", parts, via)
        T = spread(stage.K, "h J^T delta", t, via)
        e = {i: K[i] @ T[i] for i in delta}
    g = {i: sigma.derivative(kept.a[i]) * e[i] for i in delta}
    for i in delta:
        dK = g[i] @ kept.Y[i].T
        if stage.J is not None:
            dK += sigma.sigma(kept.a[i]) @ T[i].T
        gradients[i].K[stage.part][j][:, stage.columns[i]] += dK
        gradients[i].b[j, stage.rows[i]] += g[i].sum(axis=1)
    back = collect(stage.K, "K^T g", {i: K[i].T @ g[i] for i in delta}, via)
    before = {}
    for i, block in delta.items():
        before[i] = block.copy()
        before[i][stage.dst[i]] = faded(stage, block[stage.dst[i]]) if stage.keep else 0
        before[i][stage.src[i]] += back[i]
    return before


def faded(stage: NodeStage, part: Array) -> Array:
    """keep times a part of the state, in its dtype."""
    return part * part.dtype.type(stage.keep)


def _rows(stage: NodeStage, weights: dict[int, Weights], j: int) -> ByNode:
    """Every node's rows of K in layer j, with the columns of the blocks that they read there."""
    return {i: mine.K[stage.part][j][:, stage.columns[i]] for i, mine in weights.items()}

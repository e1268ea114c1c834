"""The reference engine: the mathematics of the package on one page, for every kind of network.

It works on any floating dtype, complex and longdouble included, and on arrays of ``mpmath.mpf`` in mpmath's current
precision. ``pyham.engines.compiled`` computes the same faster; the tests hold the two against each other.

Names: y state (B, n), one row per sample, or (B, C, H, W) for images; a = A y[src] + c what sigma is applied to; s =
sigma(a); delta = dLoss/dy, shaped like y; g = dLoss/da; Phi_j = dy_N/dy_j (B, n, n), entry [i, c] = d(y_N)_c / d(y_j)_i
("denominator layout", the transpose of the Jacobian), so that delta_j = Phi_j delta_N. Products are those of a
network's kind of map (``pyham.architectures.maps``): matrices, convolutions, or matrices on the edges of a graph.

Forward, stage by stage:       y[dst] <- keep y[dst] + W sigma(A y[src] + c)

Backward, stages in reverse:   dW += delta[dst] s^T           g = sigma'(a) * (W^T delta[dst])
                               dA += g y[src]^T               dc += g
                               delta[dst] <- keep delta[dst], then delta[src] += A^T g

The sensitivities follow the same recursion: column c of Phi_j is the delta_j that starts from delta_N = e_c.
"""

from typing import Any

import numpy as np

from pyham.architectures.chain import AnyStages
from pyham.architectures.stages import Stage
from pyham.engines.contract import Engine, stacked

Array = np.ndarray[Any, Any]


class Reference(Engine):
    """The recursion in NumPy."""

    def forward(self, stages: AnyStages, x: Array) -> Array:
        y = x
        for j in range(stages.depth):
            y = layer(stages, j, y)[-1]
        return y.copy()

    def trace(self, stages: AnyStages, x: Array) -> Any:
        states = [x.copy()]
        for j in range(stages.depth):
            states.append(layer(stages, j, states[-1])[-1])
        return stacked(states)

    def adjoint(self, stages: AnyStages, states: Any, delta_N: Array) -> tuple[Any, Any]:
        deltas = [np.array(delta_N, states[-1].dtype)]
        gradients = stages.zero_gradients()
        for j in reversed(range(stages.depth)):
            delta, (dA, dc, dW) = deltas[-1], stages.gradients_of_layer(gradients, j)
            for i, stage, y in backwards(stages, j, states[j]):
                A_map, W_map = stage.maps
                a = stage.inner(y)
                dW[i] = W_map.outer(delta[stage.dst], stage.activation.sigma(a))
                g, delta = before(stage, a, delta)
                dA[i], dc[i] = A_map.outer(g, y[stage.src]), A_map.total(g)
            deltas.append(stages.leave(j, delta))
        return stacked(deltas[::-1]), gradients

    def sensitivity(self, stages: AnyStages, states: Any, last: Array | None = None) -> Array:
        batch, *shape = states[-1].shape
        n = int(np.prod(shape))
        phi = np.empty((stages.depth + 1, batch, n, n), states[0].dtype)
        phi[-1] = np.eye(n) if last is None else last
        columns = np.ascontiguousarray(np.moveaxis(phi[-1], 2, 0)).reshape(n, batch, *shape)  # a delta for each e_c
        for j in reversed(range(stages.depth)):
            for _, stage, y in backwards(stages, j, states[j]):
                _, columns = before(stage, stage.inner(y), columns)
            columns = stages.leave(j, columns.reshape(n * batch, *columns.shape[2:]))
            columns = columns.reshape(n, batch, *columns.shape[1:])
            phi[j] = np.moveaxis(columns.reshape(n, batch, n), 0, 2)
        return phi


def layer(stages: AnyStages, j: int, y: Array) -> list[Array]:
    """The states of layer j: before its first stage, and after every stage."""
    inner = [stages.enter(j, y)]
    for stage in stages.of_layer(j):
        z = inner[-1].copy()
        z[stage.dst] = kept(stage, z[stage.dst]) + stage.update(stage.inner(inner[-1]))
        inner.append(z)
    return inner


def backwards(stages: AnyStages, j: int, y: Array) -> list[tuple[int, Stage, Array]]:
    """The stages of layer j from the last to the first: number, stage, and the state that it reads."""
    of_layer = stages.of_layer(j)
    return list(zip(range(len(of_layer)), of_layer, layer(stages, j, y), strict=False))[::-1]


def before(stage: Stage, a: Array, delta: Array) -> tuple[Array, Array]:
    """g = dLoss/da, and delta before a stage from delta behind it; both may have leading axes more than a."""
    A_map, W_map = stage.maps
    g = stage.activation.derivative(a) * W_map.transposed(stage.W, delta[stage.dst])
    delta = delta.copy()
    delta[stage.dst] = kept(stage, delta[stage.dst])
    delta[stage.src] += A_map.transposed(stage.A, g)
    return g, delta


def kept(stage: Stage, part: Array) -> Any:
    """keep * y[dst]: nothing where it is 0, whatever was there, infinity and NaN included."""
    return stage.keep * part if stage.keep else 0


REFERENCE = Reference()

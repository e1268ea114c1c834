"""The NumPy engine: the mathematics of the package in one page, for any floating dtype, complex and longdouble
included, and for object arrays of ``mpmath.mpf`` in mpmath's current precision.

Names: y state (B, n), one row per sample; a = A y[src] + c (B, r) what sigma is applied to; s = sigma(a); delta =
dLoss/dy (B, n); Phi_j = dy_N/dy_j (B, n, n), entry [i, c] = d(y_N)_c / d(y_j)_i ("denominator layout", the transpose of
the Jacobian), so that delta_j = Phi_j delta_N. ``pyham.engines.compiled.engine`` has the same functions, compiled; the
tests hold the two against each other.

Forward, stage by stage:       y[dst] <- keep * y[dst] + W sigma(A y[src] + c)

Backward, stages in reverse:   dW += delta[dst] s^T           g = sigma'(a) * (W^T delta[dst])
                               dA += g y[src]^T               dc += g
                               delta[dst] <- keep * delta[dst], then delta[src] += A^T g
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pyham.architectures.stages import StageGradients, Stages

Array = np.ndarray[Any, Any]


def forward(stages: Stages, x: Array) -> Array:
    """y_N (B, n) from x = y_0 (B, n)."""
    y = x
    for j in range(stages.depth):
        y = layer(stages, j, y)[-1]
    return y.copy()


def trace(stages: Stages, x: Array) -> Array:
    """States y_0 .. y_N (N + 1, B, n) from x = y_0 (B, n)."""
    states = np.empty((stages.depth + 1, *x.shape), x.dtype)
    states[0] = x
    for j in range(stages.depth):
        states[j + 1] = layer(stages, j, states[j])[-1]
    return states


def layer(stages: Stages, j: int, y: Array) -> list[Array]:
    """The states (B, n) of layer j: before its first stage, and after every stage."""
    inner = [y]
    for s, src, dst in of_layer(stages, j):
        a = inner[-1][:, src] @ stages.A[s].T + stages.c[s]
        z = inner[-1].copy()
        z[:, dst] = (z[:, dst] if stages.keep else 0) + stages.activation.sigma(a) @ stages.W[s].T
        inner.append(z)
    return inner


def adjoint(stages: Stages, states: Array, g: Array) -> tuple[Array, StageGradients]:
    """delta_0 .. delta_N (N + 1, B, n) and the gradients of A, c, W, from g = dLoss/dy_N (B, n)."""
    delta = np.empty_like(states)
    delta[-1] = g
    grad = StageGradients(np.zeros_like(stages.A), np.zeros_like(stages.c), np.zeros_like(stages.W))
    for j in reversed(range(stages.depth)):
        d = delta[j + 1].copy()
        inner = layer(stages, j, states[j])
        for (s, src, dst), y in reversed(list(zip(of_layer(stages, j), inner, strict=False))):
            a = y[:, src] @ stages.A[s].T + stages.c[s]
            grad.W[s] = d[:, dst].T @ stages.activation.sigma(a)
            g_a = stages.activation.derivative(a) * (d[:, dst] @ stages.W[s])
            grad.A[s] = g_a.T @ y[:, src]
            grad.c[s] = g_a.sum(axis=0)
            d[:, dst] = d[:, dst] if stages.keep else 0
            d[:, src] += g_a @ stages.A[s]
        delta[j] = d
    return delta, grad


def sensitivity(stages: Stages, states: Array, last: Array | None = None) -> Array:
    """Phi_0 .. Phi_N (N + 1, B, n, n): the adjoint's map of delta, applied to the columns of Phi_N = I, or ``last``."""
    phi = np.empty((*states.shape, stages.width), states.dtype)
    phi[-1] = np.eye(stages.width) if last is None else last
    for j in reversed(range(stages.depth)):
        P = phi[j + 1].copy()
        inner = layer(stages, j, states[j])
        for (s, src, dst), y in reversed(list(zip(of_layer(stages, j), inner, strict=False))):
            a = y[:, src] @ stages.A[s].T + stages.c[s]
            g_a = stages.activation.derivative(a)[:, :, None] * (stages.W[s].T @ P[:, dst])
            P[:, dst] = P[:, dst] if stages.keep else 0
            P[:, src] += stages.A[s].T @ g_a
        phi[j] = P
    return phi


def of_layer(stages: Stages, j: int) -> Iterator[tuple[int, slice, slice]]:
    """(index, src, dst) of the stages of layer j."""
    for k in range(stages.per_layer):
        yield j * stages.per_layer + k, stages.src[k], stages.dst[k]

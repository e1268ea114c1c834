"""Forward Euler's defect in closed form.

A forward Euler layer has the Jacobian D = I + h J S with S = K^T diag(sigma'(K y + b)) K symmetric, and

    D J D^T - J = h^2 (J S) J (J S)^T

because the terms of order h cancel: J S J + J S^T J^T = 0. So H1 is never symplectic, by exactly O(h^2) a layer.

With dissipation and damping D = k I + t (J - R) S, and the terms of order t leave what is lost:

    D J D^T - J = (k^2 - 1) J - k t (R S J + J S R) + t^2 (J - R) S J S (J - R)^T
"""

from typing import Any

import numpy as np

from pyham.engines.choice import Backend, select
from pyham.network import Network

Array = np.ndarray[Any, Any]


def layer_jacobians(net: Network, x: object, *, backend: Backend = "numba") -> Array:
    """dy_{j+1}/dy_j (N, B, n, n) along the forward pass from x (B, n): entry [a, c] = d(y_{j+1})_a / d(y_j)_c."""
    states = net.trace(x, backend=backend).states
    engine, stages = select(backend, states.dtype), net.stages(states.dtype)
    D = np.empty((stages.depth, states.shape[1], stages.width, stages.width), states.dtype)
    for j in range(stages.depth):
        phi = engine.sensitivity(stages.layers(j, j + 1), states[j : j + 2])
        D[j] = phi[0].swapaxes(-1, -2)
    return D


def defects(
    net: Network, x: object, *, transpose: bool = True, backend: Backend = "numba"
) -> tuple[Array, Array, Array]:
    """Measured D J D^T - J, its closed form, and D, of every layer and sample, each (N, B, n, n).

    ``transpose=False`` leaves out the last transpose: a wrong formula, to see a check fail.

    Raises
    ------
    ValueError
        If the network is not H1: the closed form is that of forward Euler with an interconnection matrix.
    """
    net = net.settled
    if net.arch.name != "H1":
        raise ValueError(f"net: expected H1, got {net.arch.name}")
    D = layer_jacobians(net, x, backend=backend).astype(np.float64)
    states = net.trace(x, backend=backend).states[:-1].astype(np.float64)
    J, K = net.arch.J, net.K.astype(np.float64)
    a = np.einsum("jrk,jbk->jbr", K, states) + net.b[:, None]
    slope = net.stages(np.float64).activation.derivative(a)
    S = np.einsum("jri,jbr,jrk->jbik", K, slope, K)
    t, k, CS = net.arch.amount(0, 1.0), net.arch.keeps(), net.arch.coupling @ S
    closed = t**2 * (CS @ J @ (CS.swapaxes(-1, -2) if transpose else CS))
    if net.arch.dissipation is not None or net.arch.damping:
        R = J - net.arch.coupling
        closed += (k**2 - 1) * J - k * t * (R @ S @ J + J @ S @ R)
    return D @ J @ D.swapaxes(-1, -2) - J, closed, D


def residual(net: Network, x: object, *, transpose: bool = True, backend: Backend = "numba") -> Array:
    """||measured - closed form||_F / (||J||_F max(1, ||D||_F^2)) (N, B): a few eps when the closed form holds."""
    net = net.settled
    measured, closed, D = defects(net, x, transpose=transpose, backend=backend)
    size = np.maximum(1, np.linalg.norm(D, axis=(-2, -1)) ** 2) * np.linalg.norm(net.arch.J)
    return np.asarray(np.linalg.norm(measured - closed, axis=(-2, -1)) / size)

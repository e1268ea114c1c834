"""Rounding errors: how to measure them, and what the analysis allows."""

from typing import Any

import numpy as np

import pyham
from pyham.engines.reference import layer
from pyham.verification import bounds

Array = np.ndarray[Any, Any]


def eps(dtype: Any) -> float:
    """Distance from 1 to the next number of the dtype (of its real part)."""
    return float(np.finfo(dtype).eps)


def relative(value: Array, oracle: Array) -> float:
    """Largest difference over the largest entry of the oracle; 0 for arrays without entries."""
    assert value.shape == oracle.shape
    if not oracle.size:
        return 0.0
    return float(np.abs(value - oracle).max() / max(np.abs(oracle).max(), np.finfo(oracle.dtype).tiny))


def sizes(net: pyham.Network, states: Array) -> tuple[float, float]:
    """The largest entry of |A| |y| + |c| over all stages, and of |y| over all states, those inside a layer included."""
    stages = net.stages(np.float64)
    largest_a, largest_y = 0.0, float(np.abs(states).max(initial=0))
    for j in range(stages.depth):
        inner = layer(stages, j, states[j].astype(np.float64))
        for stage, y in zip(stages.of_layer(j), inner, strict=False):
            a = np.abs(y[stage.src]) @ np.abs(stage.A).T + np.abs(stage.c)
            largest_a = max(largest_a, float(a.max(initial=0)))
            largest_y = max(largest_y, float(np.abs(y).max(initial=0)))
    return largest_a, largest_y


def local_errors(net: pyham.Network, states: Array) -> float:
    """Sum over all stages of the error that one stage adds to a backward pass, in eps and relative to what it maps.

    A stage maps delta to keep delta + A^T (sigma'(a) * W^T delta), whose computed value differs by at most

        eps (1 + c ||W|| ||A||)   with   c = 4 n (1 + M) l

    relative to ||delta||. The 1 is for the sum. Each of the two products of up to n terms costs n eps |W| or n eps |A|,
    entrywise, and |W| and |A| have about the norms of W and A for the random weights of these tests. The error of
    sigma' is a few eps plus |sigma''| |da|, with |sigma''| <= 1 and |da| <= (n + 2) eps M, where M is the largest entry
    of |A| |y| + |c|; times l for the l stages of a layer, whose inner states are computed again.
    """
    stages = net.stages(np.float64)
    M, _ = sizes(net, states)
    lipschitz = bounds.spectral_norm(stages.W) * bounds.spectral_norm(stages.A)
    return float((1 + 4 * stages.width * (1 + M) * stages.per_layer * lipschitz).sum())


def backward_tolerance(net: pyham.Network, states: Array) -> Array:
    """Largest difference (N + 1,) of two backward passes from the same states, relative to ||delta_N||.

    An error that a stage adds grows at most by the factor by which the stages before it lengthen a vector, the product
    of their sharp bounds. So the errors of delta_j add up to sharp_j * ``local_errors`` * eps, to first order; twice
    that, for two passes.
    """
    return 2 * eps(states.dtype) * local_errors(net, states) * growth(net)


def growth(net: pyham.Network) -> Array:
    """By how much a backward pass from layer N - 1 to j may lengthen a vector on its way, (N + 1,)."""
    if net.arch.keep:
        return bounds.upper(net)
    factors = np.maximum(1, bounds.excursions(net))  # an MLP may shorten a vector and then lengthen it
    return np.append(np.exp(np.log(factors).sum(axis=1)[::-1].cumsum()[::-1]), 1)


def gradient_tolerance(net: pyham.Network, states: Array) -> float:
    """Largest difference of two gradients of a parameter from the same states, relative to the sum of all ||delta_N||.

    The gradients are sums over samples of delta[dst] sigma(a)^T and (sigma' * W^T delta[dst]) y[src]^T, the former
    times f h J, with |f| < 2 in every scheme. So the sizes of the factors multiply, their relative errors add (delta's
    from ``backward_tolerance``, a few n eps of the others), and the sum over B samples costs B eps.
    |sigma(a)| <= 1 + |a| for every activation.
    """
    M, Y = sizes(net, states)
    n, J = net.arch.width, net.arch.J
    driven = 2 * net.arch.step * (1.0 if J is None else float(np.linalg.norm(J, 2)))
    factors = np.sqrt(n) * (1 + M + Y) * (driven + bounds.spectral_norm(net.stages().W).max(initial=0))
    products = eps(states.dtype) * (4 * n + states.shape[1]) * growth(net)[0]
    return float(factors * (backward_tolerance(net, states)[0] + products))

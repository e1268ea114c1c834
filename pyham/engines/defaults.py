"""Gradients in less memory than all states take, from any engine's functions.

Checkpointing keeps some states and runs the layers between them again. Where every stage adds a function of one part of
the state to another part, the states can also be rebuilt from the output by subtracting: in exact arithmetic nothing
need be kept at all. In floating point the rebuilt states drift away, by as much as the network amplifies rounding
errors backwards, and the gradients with them; so here what is rebuilt is compared with what is kept, and more is kept
where the drift would exceed a budget.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyham.architectures.stages import StageGradients, Stages
from pyham.engines import reference

if TYPE_CHECKING:
    from pyham.engines.contract import Engine

Array = np.ndarray[Any, Any]

MATRICES = 64 << 20  # bytes of sensitivity matrices at a time


def gradient(engine: "Engine", stages: Stages, x: Array, g: Array, segment: int) -> tuple[Array, Array, StageGradients]:
    """y_N and delta_0 (B, n) and the gradients of A, c, W, with only every ``segment``-th state kept.

    A segment of layers is run again, and its states kept, when its turn comes on the way back.
    """
    starts = list(range(0, stages.depth, segment))
    kept = [x]
    for j in starts:
        kept.append(engine.forward(stages.layers(j, j + segment), kept[-1]))
    delta, parts = g.astype(x.dtype), []
    for j, y in zip(reversed(starts), reversed(kept[:-1]), strict=True):
        part = stages.layers(j, j + segment)
        deltas, sums = engine.adjoint(part, engine.trace(part, y), delta)
        delta = deltas[0]
        parts.append(sums)
    return kept[-1].copy(), delta, _joined(stages, parts[::-1])


def inverse(stages: Stages, y_N: Array) -> Array:
    """y_0 (B, n) from y_N: y[dst] <- y[dst] - W sigma(A y[src] + c), stages in reverse; each leaves y[src] alone."""
    y = y_N.copy()
    for j in reversed(range(stages.depth)):
        for s, src, dst in reversed(list(reference.of_layer(stages, j))):
            y[:, dst] -= stages.activation.sigma(y[:, src] @ stages.A[s].T + stages.c[s]) @ stages.W[s].T
    return y


def reversible(
    engine: "Engine", stages: Stages, x: Array, g: Array, budget: float, shortest: int
) -> tuple[Array, Array, StageGradients, Array]:
    """As ``gradient``, from states rebuilt on the way back; last come the reports (B, 3), one for each sample's pass.

    Layers start .. end are rebuilt only if that leads back to the state at ``start``, which is kept, within ``budget``.
    Otherwise the state half way is computed from there and kept too, and the second half comes first. ``shortest``
    layers and fewer are not rebuilt, but run again.

    A report holds the largest error accepted (``distance``), states kept besides the input, and the most at a time.
    """
    output, delta_0, reports = np.empty_like(x), np.empty_like(x), np.zeros((len(x), 3))
    sums = _joined(stages, [])
    for i in range(len(x)):
        one = slice(i, i + 1)
        output[one] = y = engine.forward(stages, x[one])
        delta, trial, end = g[one].astype(x.dtype), stages.depth, stages.depth
        kept = [(0, x[one])]
        while end > 0:
            start, origin = kept[-1]
            part = stages.layers(start, end)
            if end - start > shortest:
                error = distance(inverse(part, y), origin) if end - start <= trial else np.inf
                if not error <= budget:  # NaN is no success
                    middle = (start + end) // 2
                    trial = min(trial, end - middle)
                    kept.append((middle, engine.forward(stages.layers(start, middle), origin)))
                    reports[i, 1:] = reports[i, 1] + 1, max(reports[i, 2], len(kept) - 1)
                    continue
                reports[i, 0] = max(reports[i, 0], error)
                states = _rebuilt(part, y)
            else:
                states = engine.trace(part, origin)
            deltas, added = engine.adjoint(part, states, delta)
            delta = deltas[0]
            for total, sum_ in zip(sums, added, strict=True):
                total[start * stages.per_layer : end * stages.per_layer] += sum_
            trial = 2 * (end - start)
            (end, y), kept = kept[-1], kept[:-1]
        delta_0[one] = delta
    return output, delta_0, sums, reports


def sensitivity(
    forward: Callable[[Stages, Array], Array],
    matrices: Callable[[Stages, Array, Array], Array],
    stages: Stages,
    x: Array,
    layers: Sequence[int],
    measure: Callable[[Array], Array],
) -> Array:
    """measure(phi) of the chosen layers, phi[j] = dy_N/dy_j (M, B, n, n) for about sqrt(N) layers at a time."""
    matrix = max(1, len(x) * stages.width**2 * x.itemsize)
    segment = max(1, min(math.isqrt(stages.depth), MATRICES // matrix))
    starts = list(range(0, stages.depth, segment))
    kept = [x]
    for j in starts:
        kept.append(forward(stages.layers(j, j + segment), kept[-1]))
    wanted = np.array(layers, dtype=int)
    result: Array | None = None
    last = np.broadcast_to(np.eye(stages.width, dtype=x.dtype), (len(x), stages.width, stages.width))
    for j, y in [(stages.depth, kept[-1]), *zip(reversed(starts), reversed(kept[:-1]), strict=True)]:
        part = stages.layers(j, j + segment)
        phi = matrices(part, y, last)
        here = np.flatnonzero((wanted >= j) & (wanted < j + len(phi) - (j < stages.depth)))
        if len(here) or result is None:
            values = measure(phi[wanted[here] - j])
            if result is None:
                result = np.empty((len(wanted), *values.shape[1:]), values.dtype)
            result[here] = values
        if not (wanted < j).any():
            break
        last = phi[0]
    assert result is not None
    return result


def distance(y: Array, z: Array) -> float:
    """Largest over the samples (B, n) of max_i |y_i - z_i| / max_i |z_i|, and 0 where they are equal."""
    gap, scale = np.abs(y - z).max(axis=1, initial=0), np.abs(z).max(axis=1, initial=0)
    return float(np.where(gap == 0, 0, gap / np.where(scale == 0, np.finfo(float).tiny, scale)).max(initial=0))


def _rebuilt(stages: Stages, y_N: Array) -> Array:
    """The states (N + 1, B, n), each from the one behind it."""
    states = [y_N]
    for j in reversed(range(stages.depth)):
        states.append(inverse(stages.layers(j, j + 1), states[-1]))
    return np.stack(states[::-1])


def _joined(stages: Stages, parts: list[StageGradients]) -> StageGradients:
    """The gradients of consecutive stages as one, zeros where there are none."""
    if not parts:
        return StageGradients(np.zeros_like(stages.A), np.zeros_like(stages.c), np.zeros_like(stages.W))
    return StageGradients(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

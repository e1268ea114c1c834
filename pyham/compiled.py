"""The Numba engine: the functions of ``pyham.reference``, with the same arguments and results, on compiled kernels.

Works in float32 and float64. Results have the reference's shapes; in memory, samples are contiguous (see
``pyham.kernels``), so states, delta and phi come back as transposed views.

A batch is cut into blocks, which threads work through. The cut depends on the batch alone and partial sums are added in
the order of the blocks, so every bit of a gradient is the same for any number of threads.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np

from pyham import kernels
from pyham.activations import ACTIVATIONS
from pyham.stages import StageGradients, Stages

Array = np.ndarray[Any, Any]

TILE = 64  # samples: all rows of a tile of a narrow network fit the first-level cache
BLOCKS = 16  # at most: bounds the memory for partial sums


def forward(stages: Stages, x: Array) -> Array:
    """y_N (B, n) from x = y_0 (B, n)."""
    samples_last = _own(x.T)
    out = np.empty_like(samples_last)
    arguments = _plain(stages)
    _each_block(len(x), TILE, lambda lo, hi, _: kernels.forward(*arguments, samples_last, lo, hi, TILE, out))
    return np.ascontiguousarray(out.T)


def trace(stages: Stages, x: Array) -> Array:
    """States y_0 .. y_N (N + 1, B, n) from x = y_0 (B, n)."""
    states = np.empty((stages.depth + 1, stages.width, len(x)), stages.dtype)
    states[0] = x.T
    arguments = _plain(stages)
    _each_block(len(x), TILE, lambda lo, hi, _: kernels.trace(*arguments, lo, hi, TILE, states))
    return states.transpose(0, 2, 1)


def adjoint(stages: Stages, states: Array, g: Array) -> tuple[Array, StageGradients]:
    """delta_0 .. delta_N (N + 1, B, n) and the gradients of A, c, W, from g = dLoss/dy_N (B, n)."""
    samples_last = _own(states.transpose(0, 2, 1))
    delta = np.empty_like(samples_last)
    delta[-1] = g.T
    count = len(blocks(len(g), TILE))
    partial = [np.zeros((count, *array.shape), stages.dtype) for array in (stages.A, stages.c, stages.W)]
    arguments = _plain(stages)

    def run(lo: int, hi: int, block: int) -> None:
        kernels.adjoint(*arguments, samples_last, lo, hi, TILE, delta, *(array[block] for array in partial))

    _each_block(len(g), TILE, run)
    return delta.transpose(0, 2, 1), StageGradients(*(_ordered_sum(array) for array in partial))


def sensitivity(stages: Stages, states: Array) -> Array:
    """Phi_0 .. Phi_N (N + 1, B, n, n) from the states."""
    n, batch = stages.width, states.shape[1]
    tile = max(8, TILE * 4 // n)  # n columns a sample: a smaller tile keeps them in cache
    samples_last = _own(states.transpose(0, 2, 1))
    phi = np.empty((stages.depth + 1, n, n, batch), stages.dtype)
    phi[-1] = np.eye(n, dtype=stages.dtype)[:, :, None]
    arguments = _plain(stages)
    _each_block(batch, tile, lambda lo, hi, _: kernels.sensitivity(*arguments, samples_last, lo, hi, tile, phi))
    return phi.transpose(0, 3, 1, 2)


def _own(array: Array) -> Array:
    """Contiguous and writeable, a copy only where needed: Numba would compile anew for any other kind of array."""
    contiguous = np.ascontiguousarray(array)
    return contiguous if contiguous.flags.writeable else contiguous.copy()


def _plain(stages: Stages) -> tuple[Any, ...]:
    """The stages as the kernels take them."""
    src = np.array([s.start for s in stages.src])
    dst = np.array([s.start for s in stages.dst])
    code = list(ACTIVATIONS).index(stages.activation.name)
    return stages.A, stages.c, stages.W, src, dst, stages.keep, code


def blocks(batch: int, tile: int) -> list[tuple[int, int, int]]:
    """(lo, hi, number) of at most BLOCKS blocks of whole tiles; a function of the batch alone."""
    tiles = -(-batch // tile)
    size = tile * max(1, -(-tiles // BLOCKS))
    return [(lo, min(lo + size, batch), number) for number, lo in enumerate(range(0, batch, size))]


def _each_block(batch: int, tile: int, run: Callable[[int, int, int], None]) -> None:
    """run(lo, hi, number) for every block, on all cores when there is more than one block."""
    todo = blocks(batch, tile)
    if len(todo) == 1:
        run(*todo[0])
    elif todo:
        list(pool(os.getpid()).map(run, *zip(*todo, strict=True)))


@lru_cache(maxsize=1)
def pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process (a forked child makes its own)."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="pyham")


def _ordered_sum(partial: Array) -> Array:
    """Sum over the blocks, first to last."""
    total = np.zeros(partial.shape[1:], partial.dtype)
    for block in partial:
        total += block
    return total

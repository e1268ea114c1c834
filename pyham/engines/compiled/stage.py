"""One stage for a tile of samples: forwards, backwards in time, and its adjoint.

    forward   y[dst] <- keep y[dst] + W sigma(A y[src] + c)
    undone    y[dst] <- (y[dst] - W sigma(A y[src] + c)) / keep
    adjoint   as in ``pyham.engines.reference``

Where a batch ends inside a tile, the columns beyond its ``size`` are zero in y, s and delta: they add nothing to a sum
over samples.

Arguments are addresses (``pyham.engines.compiled.addresses``): of y, delta (n, T) state and adjoint, their slices y_src
(k, T), y_dst (d, T), and of a, s = sigma(a), g_a = dLoss/da (r, T).
"""

from typing import Any, NamedTuple

from pyham.engines.compiled import maps
from pyham.engines.compiled.activations import apply, times_slope
from pyham.engines.compiled.addresses import shift
from pyham.engines.compiled.register_blocks import add_outer
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.tiles import divide, fill, keep_times


class Form(NamedTuple):
    """What all stages share: sizes n, r, k, d, the activation's code, T, and of A and W the kind and the numbers."""

    n: Any
    r: Any
    k: Any
    d: Any
    code: Any
    T: Any
    A: Any
    W: Any
    numbers_A: Any
    numbers_W: Any


@part
def form_of_matrices(n, r, k, d, code, T):
    """Of stages whose maps are matrices."""
    return Form(n, r, k, d, code, T, None, None, r * k, d * r)


class StageAddresses(NamedTuple):
    """Addresses of the numbers of A, c (r,) and W, the number keep, and where y[src] and y[dst] begin in y."""

    A: Any
    c: Any
    W: Any
    keep: Any
    src: Any
    dst: Any


class Sums(NamedTuple):
    """Addresses of dA, dc (r,), dW, shaped like A, c, W."""

    A: Any
    c: Any
    W: Any


class TileConstants(NamedTuple):
    """Addresses of T ones and of r zeros or more."""

    ones: Any
    zeros: Any


@part
def constants_in(ones, zeros, T, r):
    """The constants, in memory for T and r numbers."""
    fill(ones, 1, T)
    fill(zeros, 0, r)
    return TileConstants(ones, zeros)


@part
def evaluate(form, stage, y_src, a, s, size):
    """s <- sigma(A y_src + c); a is overwritten."""
    for number in range(maps.row_bands(form.A)):
        band, first, last = maps.row_band(form.A, number, form.r)
        maps.apply(band, stage.c, stage.A, y_src, shift(a, -first * form.T), form.r, form.k, form.T)
        apply(form.code, a, shift(s, first * form.T), (last - first) * form.T)
    if size < form.T:
        for i in range(form.r):
            for t in range(size, form.T):
                s[i * form.T + t] = 0


@part
def update(form, stage, s, y):
    """y[dst] <- keep y[dst] + W s."""
    y_dst = shift(y, stage.dst)
    for number in range(maps.row_bands(form.W)):
        band, first, last = maps.row_band(form.W, number, form.d)
        keep_times(stage.keep, shift(y_dst, first * form.T), (last - first) * form.T)
        maps.apply(band, y_dst, stage.W, s, y_dst, form.d, form.r, form.T)


@part
def undo(form, stage, y, a, s, size):
    """y[dst] <- (y[dst] - W s) / keep, s = sigma(A y[src] + c): where src and dst are disjoint and keep is not 0."""
    evaluate(form, stage, shift(y, stage.src), a, s, size)
    for t in range(form.r * form.T):
        a[t] = -s[t]
    y_dst = shift(y, stage.dst)
    maps.apply(form.W, y_dst, stage.W, a, y_dst, form.d, form.r, form.T)
    divide(stage.keep, y_dst, form.d * form.T)


@part
def pull(form, stage, y_src, s, constants, delta, g_a, sums):
    """The adjoint of a stage: delta goes from after it to before it; ``sums`` += those over the tile."""
    delta_src, delta_dst = shift(delta, stage.src), shift(delta, stage.dst)
    for number in range(maps.column_bands(form.W)):
        band, first, last = maps.column_band(form.W, number, form.r)
        maps.outer(band, delta_dst, s, sums.W, form.d, form.r, form.T)
        maps.transposed(band, constants.zeros, stage.W, delta_dst, g_a, form.d, form.r, form.T)
        g_band = shift(g_a, first * form.T)
        times_slope(form.code, shift(s, first * form.T), g_band, (last - first) * form.T)
        add_outer(g_band, constants.ones, shift(sums.c, first), last - first, 1, form.T)
    keep_times(stage.keep, delta_dst, form.d * form.T)
    for number in range(maps.column_bands(form.A)):
        band, _, _ = maps.column_band(form.A, number, form.k)
        maps.outer(band, g_a, y_src, sums.A, form.r, form.k, form.T)
        maps.transposed(band, delta_src, stage.A, g_a, delta_src, form.r, form.k, form.T)

"""One stage at a time, for a tile of samples: what the loops of ``pyham.engines.compiled.kernels`` are made of.

A tile holds T columns, T a multiple of the vector length: samples are the last axis, so that every innermost loop runs
over contiguous, aligned samples. Where a batch ends inside a tile, the columns beyond its ``size`` are zero in y, s and
delta: they add nothing to a sum over samples.

Arguments are addresses (``pyham.engines.compiled.register_blocks``): of y, d (n, T) state and adjoint, their slices
y_src (k, T), y_dst (d, T), and of a, s, g (r, T) as in ``pyham.engines.reference``.
"""

from typing import Any, NamedTuple

import numpy as np

from pyham.engines.compiled.addresses import shift
from pyham.engines.compiled.elementary import logistic, softplus, tanh
from pyham.engines.compiled.register_blocks import add_outer, product
from pyham.engines.compiled.settings import part

TANH, LOGISTIC, RELU, SOFTPLUS, IDENTITY = range(5)


class Form(NamedTuple):
    """What all stages share: n, r, k, d, whether y[dst] is kept, the activation's index, and T."""

    n: Any
    r: Any
    k: Any
    d: Any
    keep: Any
    code: Any
    T: Any


class Stage(NamedTuple):
    """Addresses of A (r, k), c (r,) and W (d, r), and where y[src] and y[dst] begin in y."""

    A: Any
    c: Any
    W: Any
    src: Any
    dst: Any


class Sums(NamedTuple):
    """Addresses of dA (r, k), dc (r,), dW (d, r)."""

    A: Any
    c: Any
    W: Any


@part
def scratch(size, like):
    """Memory for ``size`` numbers in the dtype of ``like`` from the ``aligned`` address on, not cleared."""
    return np.empty(size + 64 // like.itemsize, like.dtype)


@part
def load(x, start, size, y, n, T):
    """The first ``size`` columns of y (n, T) <- rows start .. start + size of x (B, n); the others <- 0."""
    for t in range(size):
        for i in range(n):
            y[i * T + t] = x[start + t, i]
    for i in range(n):
        for t in range(size, T):
            y[i * T + t] = 0


@part
def store(y, x, start, size, n, T):
    """Rows start .. start + size of x (B, n) <- the first ``size`` columns of y (n, T)."""
    for t in range(size):
        for i in range(n):
            x[start + t, i] = y[i * T + t]


@part
def fill(y, value, count):
    """y (count,) <- value."""
    for t in range(count):
        y[t] = value


@part
def copy(y, z, count):
    """z (count,) <- y (count,)."""
    for t in range(count):
        z[t] = y[t]


@part
def evaluate(form, stage, y_src, a, s, size):
    """s <- sigma(A y_src + c); a is overwritten."""
    product(stage.c, stage.A, form.k, 1, y_src, a, form.r, form.k, form.T)
    activate(form.code, a, s, form.r * form.T)
    if size < form.T:
        for i in range(form.r):
            for t in range(size, form.T):
                s[i * form.T + t] = 0


@part
def update(form, stage, s, y):
    """y[dst] <- keep y[dst] + W s."""
    y_dst = shift(y, stage.dst)
    if not form.keep:
        fill(y_dst, 0, form.d * form.T)
    product(y_dst, stage.W, form.r, 1, s, y_dst, form.d, form.r, form.T)


@part
def undo(form, stage, y, a, s, size):
    """y[dst] <- y[dst] - W s, s = sigma(A y[src] + c): the stage backwards, where src and dst are disjoint."""
    evaluate(form, stage, shift(y, stage.src), a, s, size)
    for t in range(form.r * form.T):
        a[t] = -s[t]
    y_dst = shift(y, stage.dst)
    product(y_dst, stage.W, form.r, 1, a, y_dst, form.d, form.r, form.T)


@part
def pull(form, stage, y_src, s, constants, d, g, sums):
    """The adjoint of a stage: d goes from after it to before it; ``sums`` += those over the tile.

    constants (2 T or more,) : T ones, and zeros, r or more
    """
    d_src, d_dst = shift(d, stage.src), shift(d, stage.dst)
    add_outer(d_dst, s, sums.W, form.d, form.r, form.T)
    product(shift(constants, form.T), stage.W, 1, form.r, d_dst, g, form.r, form.d, form.T)
    times_slope(form.code, s, g, form.r * form.T)
    add_outer(g, y_src, sums.A, form.r, form.k, form.T)
    add_outer(g, constants, sums.c, form.r, 1, form.T)
    if not form.keep:
        fill(d_dst, 0, form.d * form.T)
    product(d_src, stage.A, 1, form.k, g, d_src, form.k, form.r, form.T)


@part
def activate(code, a, s, count):
    """s (count,) <- sigma(a), entrywise."""
    if code == TANH:
        for t in range(count):
            s[t] = tanh(a[t])
    elif code == LOGISTIC:
        for t in range(count):
            s[t] = logistic(a[t])
    elif code == RELU:
        for t in range(count):
            s[t] = 0 if a[t] <= 0 else a[t]  # so, and not with >, because NaN stays NaN
    elif code == SOFTPLUS:
        for t in range(count):
            s[t] = softplus(a[t])
    else:
        for t in range(count):
            s[t] = a[t]


@part
def times_slope(code, s, g, count):
    """g (count,) <- sigma'(a) g, entrywise, from s = sigma(a) alone: so nothing else need be kept for the way back.

    softplus' = 1 - exp(-s) = 2 t / (1 + t) with t = tanh(s / 2), without cancellation.
    """
    if code == TANH:
        for t in range(count):
            g[t] *= (1 - s[t]) * (1 + s[t])
    elif code == LOGISTIC:
        for t in range(count):
            g[t] *= s[t] * (1 - s[t])
    elif code == RELU:
        for t in range(count):
            g[t] *= s[t] > 0
    elif code == SOFTPLUS:
        for t in range(count):
            v = s[t]
            tangent = tanh(v - v / 2)
            g[t] *= (tangent + tangent) / (1 + tangent)

"""A tile of samples in the cache: its numbers in and out, and what is done to them one by one.

A tile holds T columns, one for each sample, T a multiple of the vector length. Samples are the last axis, so that every
innermost loop runs over neighbouring, aligned numbers. Where a batch ends inside a tile, only the first ``size``
columns belong to samples.

Arguments are addresses (``pyham.engines.compiled.addresses``): y, z (n, T) states, P (n, n, T) sensitivities.
"""

import numpy as np

from pyham.engines.compiled.addresses import in_large_pages, room
from pyham.engines.compiled.settings import part

BAND = 64  # features that are copied of one sample after the other: their rows of a tile stay in the first-level cache


@part
def scratch(like, sizes):
    """Memory for pieces of ``sizes`` numbers in the dtype of the array ``like``, not cleared, for ``carve``."""
    memory = np.empty(room(like, sizes), like.dtype)
    in_large_pages(memory)
    return memory


@part
def load(x, start, size, y, n, T):
    """The first ``size`` columns of y (n, T) <- rows start .. start + size of x (B, n); the others <- 0."""
    for first in range(0, n, BAND):
        for t in range(size):
            for i in range(first, min(first + BAND, n)):
                y[i * T + t] = x[start + t, i]
    for i in range(n):
        for t in range(size, T):
            y[i * T + t] = 0


@part
def store(y, x, start, size, n, T):
    """Rows start .. start + size of x (B, n) <- the first ``size`` columns of y (n, T)."""
    for first in range(0, n, BAND):
        for t in range(size):
            for i in range(first, min(first + BAND, n)):
                x[start + t, i] = y[i * T + t]


@part
def load_last(phi, start, size, P, n, T):
    """P (n, n, T) <- samples start .. start + size of phi (n, n, B), which has samples last; the others <- 0."""
    for i in range(n):
        for column in range(n):
            for t in range(size):
                P[(i * n + column) * T + t] = phi[i, column, start + t]
            for t in range(size, T):
                P[(i * n + column) * T + t] = 0


@part
def store_last(P, phi, start, size, n, T):
    """Samples start .. start + size of phi (n, n, B) <- P (n, n, T)."""
    for i in range(n):
        for column in range(n):
            for t in range(size):
                phi[i, column, start + t] = P[(i * n + column) * T + t]


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
def keep_times(keep, y, count):
    """y (count,) <- keep y.

    Most networks have keep 1, where nothing is to be done, or 0, where y may be any number, NaN too.
    """
    if keep == 0:
        fill(y, 0, count)
    elif keep != 1:
        for t in range(count):
            y[t] *= keep


@part
def divide(keep, y, count):
    """y (count,) <- y / keep."""
    if keep != 1:
        for t in range(count):
            y[t] /= keep


@part
def multiply(factors, y, count):
    """y (count,) <- factors (count,) y, entrywise."""
    for t in range(count):
        y[t] *= factors[t]


@part
def distance(y, z, size, n, T):
    """Largest over the samples of max_i |y_i - z_i| / max_i |z_i|."""
    worst = 0.0
    for t in range(size):
        difference, scale = 0.0, 0.0
        for i in range(n):
            gap = float(abs(y[i * T + t] - z[i * T + t]))
            difference = gap if gap > difference or gap != gap else difference  # NaN stays: nothing is above it
            scale = max(scale, float(abs(z[i * T + t])))
        error = difference / scale if difference != 0 else 0.0
        worst = error if error > worst or error != error else worst
    return worst

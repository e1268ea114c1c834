"""A tile of samples through some of the layers, forwards and backwards: what the kernels are made of.

Symbols are those of ``pyham.engines.compiled.kernels``; y, d, a, s, g are addresses of a tile's rows of T numbers.
"""

from typing import Any, NamedTuple

from pyham.engines.compiled.addresses import address, shift
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.stagewise import Form, Stage, Sums, copy, evaluate, fill, pull, update


class Net(NamedTuple):
    """Addresses of A, c, W, src, dst, and L."""

    A: Any
    c: Any
    W: Any
    src: Any
    dst: Any
    L: Any


@part
def describe(A, c, W, src, dst, keep, code, n, T):
    """The stages as ``Form`` and ``Net``."""
    form = Form(n, A.shape[1], A.shape[2], W.shape[1], keep, code, T)
    return form, Net(address(A), address(c), address(W), address(src), address(dst), len(src))


@part
def stage_of(form, net, index):
    """Stage number ``index``."""
    k = index % net.L
    return Stage(
        shift(net.A, index * form.r * form.k), shift(net.c, index * form.r), shift(net.W, index * form.d * form.r),
        net.src[k] * form.T, net.dst[k] * form.T,
    )  # fmt: skip


@part
def sums_of(form, sums, index):
    """Sums of stage number ``index``."""
    return Sums(
        shift(sums.A, index * form.r * form.k), shift(sums.c, index * form.r), shift(sums.W, index * form.d * form.r)
    )


@part
def constants_rows(form):
    """Rows of T numbers that hold T ones and r zeros."""
    return 1 + form.r


@part
def prepare_constants(form, constants):
    """T ones, before zeros."""
    fill(constants, 1, form.T)
    fill(shift(constants, form.T), 0, form.r * form.T)
    return constants


@part
def advance(form, net, first, last, size, y, a, s):
    """y (n, T) through the stages first .. last - 1, in place."""
    for index in range(first, last):
        stage = stage_of(form, net, index)
        evaluate(form, stage, shift(y, stage.src), a, s, size)
        update(form, stage, s, y)


@part
def record(form, net, first, last, size, y, a, tape):
    """As ``advance``, with y[src] and s of every stage written to the tape."""
    for index in range(first, last):
        stage = stage_of(form, net, index)
        y_src = shift(tape, (index - first) * (form.k + form.r) * form.T)
        s = shift(y_src, form.k * form.T)
        copy(shift(y, stage.src), y_src, form.k * form.T)
        evaluate(form, stage, y_src, a, s, size)
        update(form, stage, s, y)


@part
def pull_recorded(form, net, first, last, tape, constants, d, g, sums):
    """The adjoints of the stages last - 1 .. first, from the tape."""
    for index in range(last - 1, first - 1, -1):
        y_src = shift(tape, (index - first) * (form.k + form.r) * form.T)
        s = shift(y_src, form.k * form.T)
        pull(form, stage_of(form, net, index), y_src, s, constants, d, g, sums_of(form, sums, index))


@part
def load_last(phi, start, size, P, n, T):
    """P (n, n, T) <- samples start .. start + size of phi (n, n, B)."""
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
def scale(factors, g, count):
    """g (count,) <- factors g, entrywise."""
    for t in range(count):
        g[t] *= factors[t]


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

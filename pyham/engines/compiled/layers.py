"""A tile of samples through several stages, forwards and backwards: what the loops of the kernels are made of.

Symbols are those of ``pyham.engines.compiled.kernels``; y, delta, a, s, g_a are addresses of a tile's rows of T
numbers.
"""

from typing import Any, NamedTuple

from pyham.engines.compiled.addresses import address, shift
from pyham.engines.compiled.maps import kind_of, sizes_of
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.stage import Form, StageAddresses, Sums, evaluate, pull, update
from pyham.engines.compiled.tiles import copy


class Net(NamedTuple):
    """Addresses of A, c, W, src, dst and keep; S stages, L in a layer."""

    A: Any
    c: Any
    W: Any
    src: Any
    dst: Any
    keep: Any
    S: Any
    L: Any


@part
def describe(stages, n, T):
    """The kernels' argument ``stages`` as ``Form`` and ``Net``."""
    A, c, W, src, dst, keep, code, of_A, of_W = stages
    r, k, numbers_A = sizes_of(of_A, A)
    d, _, numbers_W = sizes_of(of_W, W)
    form = Form(n, r, k, d, code, T, kind_of(of_A), kind_of(of_W), numbers_A, numbers_W)
    return form, Net(address(A), address(c), address(W), address(src), address(dst), address(keep), len(A), len(src))


@part
def stage_of(form, net, index):
    """Stage number ``index``."""
    place = index % net.L
    return StageAddresses(
        shift(net.A, index * form.numbers_A), shift(net.c, index * form.r), shift(net.W, index * form.numbers_W),
        net.keep[index], net.src[place] * form.T, net.dst[place] * form.T,
    )  # fmt: skip


@part
def addresses_of(sums):
    """The kernels' argument ``sums`` as ``Sums``."""
    dA, dc, dW = sums
    return Sums(address(dA), address(dc), address(dW))


@part
def sums_of(form, sums, index):
    """Sums of stage number ``index``."""
    return Sums(
        shift(sums.A, index * form.numbers_A), shift(sums.c, index * form.r), shift(sums.W, index * form.numbers_W)
    )


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
def pull_recorded(form, net, first, last, tape, constants, delta, g_a, sums):
    """The adjoints of the stages last - 1 .. first, from the tape."""
    for index in range(last - 1, first - 1, -1):
        y_src = shift(tape, (index - first) * (form.k + form.r) * form.T)
        s = shift(y_src, form.k * form.T)
        pull(form, stage_of(form, net, index), y_src, s, constants, delta, g_a, sums_of(form, sums, index))

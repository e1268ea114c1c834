"""The compiled loops of image networks: plain arrays in, named arrays out.

A kernel works through images lo .. hi in tiles; a tile goes through the whole network, there and back, while its
states sit in the processor's cache.

Arguments that recur
--------------------
space : ``Space``; plan (S, FIELDS), masks : ``pyham.engines.compiled.image_tiles``
weights : the lift's kernel (C, 9) and bias (C,), the stages' A, c and W, then their transposed convolutions
layer (10, n'), mu (10,) : n' is n, rounded up to whole vectors with zeros
table (256,) : what a pixel's value becomes
pixels (M, H, W) uint8, rows (B,), shifts (B, 2), labels (B,) : images rows[i], moved by shifts[i], of class labels[i]
d_weights, d_layer, d_mu : sums over images are added to them
"""

from typing import Any, NamedTuple

import numpy as np

from pyham.engines.compiled.addresses import address, aligned, hold, shift
from pyham.engines.compiled.image_tiles import (
    CHANNELS,
    COLUMNS,
    ROWS,
    SQUEEZE,
    T,
    ascend,
    descend,
    gather,
    load_images,
    pack,
    squeezed,
    unpack,
    unsqueezed,
)
from pyham.engines.compiled.register_blocks import add_outer, product
from pyham.engines.compiled.settings import kernel, part
from pyham.engines.compiled.stagewise import fill, scratch
from pyham.engines.compiled.updates import SOFTMAX, slopes, value


class Space(NamedTuple):
    """What a tile takes: G images, of H x W pixels in T columns, and numbers of each kind of scratch memory."""

    images: Any  # G
    rows: Any  # H
    columns: Any  # W
    T: Any
    channels: Any  # C of y_0
    guard: Any  # numbers before and behind everything that ``gather`` reads
    state: Any  # the largest C T
    inner: Any  # the largest r T
    gathered: Any
    tape: Any
    zeros: Any


class Memory(NamedTuple):
    """Addresses of a tile's scratch memory."""

    x: Any
    y: Any
    other: Any
    inner: Any
    gathered: Any
    tape: Any
    ones: Any
    zeros: Any


@part
def memory(space, start):
    """The addresses, from ``start`` on; ones and zeros are set."""
    x = shift(start, space.guard)
    y = shift(x, space.T + space.guard)
    other = shift(y, space.state + space.guard)
    inner = shift(other, space.state + space.guard)
    tape = shift(inner, space.inner + space.guard)
    gathered = shift(tape, space.tape + space.guard)
    ones = shift(gathered, space.gathered)
    zeros = shift(ones, space.T)
    fill(ones, 1, space.T)
    fill(zeros, 0, space.zeros)
    return Memory(x, y, other, inner, gathered, tape, ones, zeros)


@part
def total(space):
    """How many numbers ``memory`` takes."""
    return 6 * space.guard + 2 * space.T + 2 * space.state + space.inner + space.tape + space.gathered + space.zeros


@part
def lift(space, weights, masks, at, count):
    """y <- lift * x + bias, of ``count`` images."""
    gather(at.x, masks, at.gathered, 1, 3, space.columns, space.T)
    product(shift(weights, 9 * space.channels), weights, 9, 1, at.gathered, at.y, space.channels, 9, space.T)
    for c in range(space.channels):
        for t in range(count * space.rows * space.columns, space.T):
            at.y[c * space.T + t] = 0


@part
def up(space, plan, weights, masks, at, y, other, count):
    """All stages, from y; returns where y_N is, y or ``other``, and the other one of them."""
    before = space.T
    for s in range(len(plan)):
        row = plan[s]
        if row[SQUEEZE]:
            squeezed(row, y, other, space.images, before)
            y, other = other, y
        before = row[T]
        ascend(row, weights, masks, y, at.tape, at.inner, at.gathered, count * row[ROWS] * row[COLUMNS])
    return y, other


@part
def down(space, plan, weights, masks, at, d, other, sums):
    """All stages backwards, from delta_N in d; returns where delta_0 is."""
    for s in range(len(plan) - 1, -1, -1):
        row = plan[s]
        descend(row, weights, masks, d, at.tape, at.inner, at.gathered, (at.ones, at.zeros), sums)
        if row[SQUEEZE]:
            unsqueezed(row, d, other, space.images, plan[s - 1, T] if s else space.T)
            d, other = other, d
    return d


@part
def last(space, plan):
    """(C, pixels, T) of y_N."""
    if not len(plan):
        return space.channels, space.rows * space.columns, space.T
    row = plan[-1]
    return row[CHANNELS], row[ROWS] * row[COLUMNS], row[T]


@kernel
def logits(space, plan, weights, masks, layer, mu, table, pixels, rows, shifts, lo, hi, z):
    """z (B, 10)[lo : hi] <- logits of the images."""
    width = layer.shape[1]
    work, features = scratch(total(space), layer), np.zeros((space.images, width), layer.dtype)
    channels, size, columns = last(space, plan)
    at = memory(space, aligned(address(work)))
    for start in range(lo, hi, space.images):
        count = min(space.images, hi - start)
        load_images(table, pixels, rows, shifts, start, count, at.x, space.T)
        lift(space, address(weights), address(masks), at, count)
        y, _ = up(space, plan, address(weights), address(masks), at, at.y, at.other, count)
        unpack(y, address(features), channels, size, columns, count, width)
        for g in range(count):
            z[start + g] = mu
        add_outer(address(features), address(layer), shift(address(z), start * len(mu)), count, len(mu), width)
    hold(work)
    hold(features)
    hold(weights)
    hold(masks)
    hold(layer)
    hold(z)


@kernel
def gradient(
    space, plan, weights, masks, layer, mu, table, pixels, rows, shifts, labels, lo, hi, batch, d_weights, d_layer,
    d_mu, report,
):  # fmt: skip
    """The gradient of the mean loss over ``batch`` images, of which these are lo .. hi.

    report (2,) : the sum of their losses, and how many of them are classified right, are added to it
    """
    width, classes = layer.shape[1], len(mu)
    work, features = scratch(total(space), layer), np.zeros((space.images, width), layer.dtype)
    channels, size, columns = last(space, plan)
    at = memory(space, aligned(address(work)))
    for start in range(lo, hi, space.images):
        count = min(space.images, hi - start)
        load_images(table, pixels, rows, shifts, start, count, at.x, space.T)
        lift(space, address(weights), address(masks), at, count)
        y, other = up(space, plan, address(weights), address(masks), at, at.y, at.other, count)
        unpack(y, address(features), channels, size, columns, count, width)

        z = np.empty((classes, count), layer.dtype)
        for c in range(classes):
            z[c] = mu[c]
        add_outer(address(layer), address(features), address(z), classes, count, width)
        truth = np.empty(count, labels.dtype)
        for g in range(count):
            truth[g] = labels[rows[start + g]]
        loss, right = value(SOFTMAX, z, truth)
        report[0] += loss * count
        report[1] += right
        slopes(SOFTMAX, z, truth)
        share = layer.dtype.type(count / batch)
        for c in range(classes):
            for g in range(count):
                z[c, g] *= share
                d_mu[c] += z[c, g]
        product(address(d_layer), address(z), count, 1, address(features), address(d_layer), classes, count, width)
        product(at.zeros, address(z), 1, count, address(layer), address(features), count, classes, width)
        hold(z)

        pack(address(features), y, channels, size, columns, count, width)
        d = down(space, plan, address(weights), address(masks), at, y, other, address(d_weights))
        gather(at.x, address(masks), at.gathered, 1, 3, space.columns, space.T)
        add_outer(d, at.gathered, address(d_weights), space.channels, 9, space.T)
        add_outer(d, at.ones, shift(address(d_weights), 9 * space.channels), space.channels, 1, space.T)
    hold(work)
    hold(features)
    hold(weights)
    hold(masks)
    hold(layer)
    hold(d_layer)
    hold(d_weights)


@kernel
def adjoint(space, plan, weights, masks, y_0, g, lo, hi, y_N, delta_0, d_weights):
    """y_N (B, n) and delta_0 (B, n) <- from y_0 (B, n) and g = dLoss/dy_N (B, n); images are rows."""
    n = y_0.shape[1]
    work = scratch(total(space), y_0)
    channels, size, columns = last(space, plan)
    at = memory(space, aligned(address(work)))
    for start in range(lo, hi, space.images):
        count = min(space.images, hi - start)
        pixels = space.rows * space.columns
        pack(shift(address(y_0), start * n), at.y, space.channels, pixels, space.T, count, n)
        y, other = up(space, plan, address(weights), address(masks), at, at.y, at.other, count)
        unpack(y, shift(address(y_N), start * n), channels, size, columns, count, n)
        pack(shift(address(g), start * n), y, channels, size, columns, count, n)
        d = down(space, plan, address(weights), address(masks), at, y, other, address(d_weights))
        unpack(d, shift(address(delta_0), start * n), space.channels, pixels, space.T, count, n)
    hold(work)
    hold(weights)
    hold(masks)
    hold(y_0)
    hold(g)
    hold(y_N)
    hold(delta_0)
    hold(d_weights)

"""The compiled loops of image networks: plain arrays in, named arrays out.

A kernel works through images lo .. hi in tiles; a tile goes through the whole network, there and back, while its
states sit in the processor's cache.

Arguments that recur
--------------------
space : ``Space``
net : (plan, keep, weights, masks), the arrays
    plan (S, FIELDS) : ``pyham.engines.compiled.image_tiles.ImageStage``
    keep (S,) : the stages' numbers of that name
    weights : the lift's kernel (C, 9) and bias (C,), the stages' A, c and W, then their transposed convolutions
    masks : for every resolution and size of kernels, 1 where a kernel's entry sees a pixel of the same image, else 0
head : (layer, mu), of shapes (10, n') and (10,); n' is n, rounded up to whole vectors with zeros
images : (table, pixels, chosen, shifts), of shapes (256,), (M, H, W), (B,) and (B, 2)
    image number i is pixels[chosen[i]], whose values 0 .. 255 become those of the table, moved by shifts[i]
span : (lo, hi)
d_weights, d_layer, d_mu : sums over images are added to them

Arguments are grouped in plain tuples, for the reason that stands in ``pyham.engines.compiled.kernels``.
"""

from typing import Any, NamedTuple

import numpy as np

from pyham.engines.compiled.addresses import address, carve, hold, shift
from pyham.engines.compiled.image_tiles import (
    ascend,
    descend,
    gather,
    load_images,
    pack,
    squeezed,
    stage_of,
    unpack,
    unsqueezed,
)
from pyham.engines.compiled.register_blocks import add_outer, product
from pyham.engines.compiled.settings import kernel, part
from pyham.engines.compiled.stage import constants_in
from pyham.engines.compiled.tiles import scratch
from pyham.engines.compiled.updates import SOFTMAX, slopes, value


class Space(NamedTuple):
    """What a tile takes: so many images, of H x W pixels in T columns, and numbers of each kind of scratch memory."""

    images: Any
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
    tape: Any
    gathered: Any
    constants: Any


class ImageNet(NamedTuple):
    """The kernels' argument ``net``, with addresses of the weights and masks."""

    plan: Any
    keep: Any
    weights: Any
    masks: Any


@part
def sizes_of(space):
    """Of the pieces of scratch memory: whatever ``gather`` reads has a guard before it and behind it."""
    guard = space.guard
    return (
        guard + space.T, guard + space.state, guard + space.state, guard + space.inner, guard + space.tape,
        guard + space.gathered, space.T, space.zeros,
    )  # fmt: skip


@part
def memory(space, work):
    """The pieces of ``work``; ones and zeros are set."""
    x, y, other, inner, tape, gathered, ones, zeros = carve(work, sizes_of(space))
    guard = space.guard
    return Memory(
        shift(x, guard), shift(y, guard), shift(other, guard), shift(inner, guard), shift(tape, guard),
        shift(gathered, guard), constants_in(ones, zeros, space.T, space.zeros),
    )  # fmt: skip


@part
def describe(net):
    """The argument ``net`` as ``ImageNet``."""
    plan, keep, weights, masks = net
    return ImageNet(plan, keep, address(weights), address(masks))


@part
def lift(space, net, at, count):
    """y <- lift * x + bias, of ``count`` images."""
    gather(at.x, net.masks, at.gathered, 1, 3, space.columns, space.T)
    bias = shift(net.weights, 9 * space.channels)
    product(bias, net.weights, 9, 1, at.gathered, at.y, space.channels, 9, space.T)
    for c in range(space.channels):
        for t in range(count * space.rows * space.columns, space.T):
            at.y[c * space.T + t] = 0


@part
def up(space, net, at, y, other, count):
    """All stages, from y; returns where y_N is, y or ``other``, and the other one of them."""
    before = space.T
    for s in range(len(net.plan)):
        stage = stage_of(net.plan, s)
        if stage.squeeze:
            squeezed(stage, y, other, space.images, before)
            y, other = other, y
        before = stage.T
        size = count * stage.rows * stage.columns
        ascend(stage, net.keep[s], net.weights, net.masks, y, at.tape, at.inner, at.gathered, size)
    return y, other


@part
def down(space, net, at, delta, other, sums):
    """All stages backwards, from delta_N in delta; returns where delta_0 is."""
    for s in range(len(net.plan) - 1, -1, -1):
        stage = stage_of(net.plan, s)
        descend(
            stage, net.keep[s], net.weights, net.masks, delta, at.tape, at.inner, at.gathered, at.constants, sums
        )  # fmt: skip
        if stage.squeeze:
            before = stage_of(net.plan, s - 1).T if s else space.T
            unsqueezed(stage, delta, other, space.images, before)
            delta, other = other, delta
    return delta


@part
def last(space, net):
    """(C, pixels, T) of y_N."""
    if not len(net.plan):
        return space.channels, space.rows * space.columns, space.T
    stage = stage_of(net.plan, len(net.plan) - 1)
    return stage.channels, stage.rows * stage.columns, stage.T


@kernel
def logits(space, net, head, images, span, z):
    """z (B, 10)[lo : hi] <- logits of the images."""
    (lo, hi), (layer, mu), network = span, head, describe(net)
    width = layer.shape[1]
    work, features = scratch(layer, sizes_of(space)), np.zeros((space.images, width), layer.dtype)
    channels, pixels, T = last(space, network)
    at = memory(space, work)
    for start in range(lo, hi, space.images):
        count = min(space.images, hi - start)
        load_images(images, start, count, at.x, space.T)
        lift(space, network, at, count)
        y, _ = up(space, network, at, at.y, at.other, count)
        unpack(y, address(features), channels, pixels, T, count, width)
        for m in range(count):
            z[start + m] = mu
        add_outer(address(features), address(layer), shift(address(z), start * len(mu)), count, len(mu), width)
    hold((work, features, net, layer, z))


@kernel
def gradient(space, net, head, images, labels, span, sums, report):
    """The gradient of the mean loss over a batch of images, of which these are lo .. hi.

    span : (lo, hi, B)
    labels (M,) : the class of every image of ``pixels``
    sums : (d_weights, d_layer, d_mu)
    report (2,) : the sum of the images' losses, and how many of them are classified right, are added to it
    """
    (lo, hi, batch), (layer, mu), (d_weights, d_layer, d_mu), network = span, head, sums, describe(net)
    chosen = images[2]
    width, classes = layer.shape[1], len(mu)
    work, features = scratch(layer, sizes_of(space)), np.zeros((space.images, width), layer.dtype)
    channels, pixels, T = last(space, network)
    at = memory(space, work)
    for start in range(lo, hi, space.images):
        count = min(space.images, hi - start)
        load_images(images, start, count, at.x, space.T)
        lift(space, network, at, count)
        y, other = up(space, network, at, at.y, at.other, count)
        unpack(y, address(features), channels, pixels, T, count, width)

        z = np.empty((classes, count), layer.dtype)
        for c in range(classes):
            z[c] = mu[c]
        add_outer(address(layer), address(features), address(z), classes, count, width)
        truth = np.empty(count, labels.dtype)
        for m in range(count):
            truth[m] = labels[chosen[start + m]]
        loss, right = value(SOFTMAX, z, truth)
        report[0] += loss * count
        report[1] += right
        slopes(SOFTMAX, z, truth)
        share = layer.dtype.type(count / batch)
        for c in range(classes):
            for m in range(count):
                z[c, m] *= share
                d_mu[c] += z[c, m]
        product(address(d_layer), address(z), count, 1, address(features), address(d_layer), classes, count, width)
        product(at.constants.zeros, address(z), 1, count, address(layer), address(features), count, classes, width)
        hold(z)

        pack(address(features), y, channels, pixels, T, count, width)
        delta = down(space, network, at, y, other, address(d_weights))
        gather(at.x, network.masks, at.gathered, 1, 3, space.columns, space.T)
        add_outer(delta, at.gathered, address(d_weights), space.channels, 9, space.T)
        add_outer(delta, at.constants.ones, shift(address(d_weights), 9 * space.channels), space.channels, 1, space.T)
    hold((work, features, net, layer, sums))


@kernel
def adjoint(space, net, y_0, g, span, y_N, delta_0, d_weights):
    """y_N (B, n) and delta_0 (B, n) <- from y_0 (B, n) and g = dLoss/dy_N (B, n); images are rows."""
    (lo, hi), network = span, describe(net)
    n, first = y_0.shape[1], space.rows * space.columns
    work = scratch(y_0, sizes_of(space))
    channels, pixels, T = last(space, network)
    at = memory(space, work)
    for start in range(lo, hi, space.images):
        count = min(space.images, hi - start)
        pack(shift(address(y_0), start * n), at.y, space.channels, first, space.T, count, n)
        y, other = up(space, network, at, at.y, at.other, count)
        unpack(y, shift(address(y_N), start * n), channels, pixels, T, count, n)
        pack(shift(address(g), start * n), y, channels, pixels, T, count, n)
        delta = down(space, network, at, y, other, address(d_weights))
        unpack(delta, shift(address(delta_0), start * n), space.channels, first, space.T, count, n)
    hold((work, net, y_0, g, y_N, delta_0, d_weights))

"""A few images at a time: one stage with convolutions, the squeeze, and images in and out.

A tile holds several images in T columns, T a multiple of the vector length: a state y is (C, T), column i + pixels m
being pixel i of image m, row by row. Where the batch ends inside a tile, and between the last pixel and the next whole
vector, columns are zero in y, s and delta. A convolution first gathers what every entry of its kernel sees, ``gather``,
and is then a product.

Arguments are addresses (``pyham.engines.compiled.addresses``), named as in ``pyham.engines.compiled.stage``.
"""

from typing import Any, NamedTuple

from pyham.engines.compiled.activations import times_slope
from pyham.engines.compiled.addresses import shift
from pyham.engines.compiled.register_blocks import add_outer, product
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.stage import StageAddresses, evaluate, form_of_matrices, update
from pyham.engines.compiled.tiles import copy, keep_times


class ImageStage(NamedTuple):
    """What the kernels must know of a stage: the integers of a row of the plan, in this order."""

    squeeze: Any  # whether 2 x 2 pixels become 4 channels before the stage
    channels: Any  # C
    k: Any  # channels that the stage reads,
    r: Any  # makes,
    d: Any  # and updates
    size: Any  # t
    src: Any  # first channels
    dst: Any
    code: Any  # of the activation
    rows: Any  # H
    columns: Any  # W
    T: Any  # columns of the tile
    A: Any  # where (r, k t t), (r,), (d, r t t) begin among the weights
    c: Any
    W: Any
    A_back: Any  # where the transposed convolutions' (k, r t t), (r, d t t) begin
    W_back: Any
    mask: Any  # where the masks (t t, T) begin
    tape: Any  # where y[src] (k, T) and s (r, T) are kept


FIELDS = len(ImageStage._fields)


@part
def stage_of(plan, s):
    """Row s of the plan (S, FIELDS), with names."""
    row = plan[s]
    return ImageStage(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12],
        row[13], row[14], row[15], row[16], row[17], row[18],
    )  # fmt: skip


@part
def masked(y, mask, out, count):
    """out (count,) <- y where mask is not 0, else 0. What is not taken may be any number, NaN too."""
    for t in range(count):
        v = y[t]
        out[t] = v if mask[t] != 0 else 0


@part
def gather(y, masks, out, k, size, columns, T):
    """out (k t t, T) <- y (k, T) moved by every entry (e, f) of a kernel of ``size`` t, 0 from outside an image.

    y is read up to t // 2 * (columns + 1) numbers before and behind it.
    """
    edge = size // 2
    for i in range(k):
        for e in range(size):
            for f in range(size):
                entry = e * size + f
                by = (e - edge) * columns + f - edge
                masked(shift(y, i * T + by), shift(masks, entry * T), shift(out, (i * size * size + entry) * T), T)


@part
def seen(stage, y, channels, masks, gathered):
    """What a stage's kernels see of y (channels, T): y itself if they have one entry."""
    if stage.size == 1:
        return y
    gather(y, shift(masks, stage.mask), gathered, channels, stage.size, stage.columns, stage.T)
    return gathered


@part
def ascend(stage, keep, weights, masks, y, tape, a, gathered, size):
    """A stage: y (C, T) goes from before it to after it; y[src] and s are kept on the tape."""
    entries, T = stage.size * stage.size, stage.T
    matrices = StageAddresses(
        shift(weights, stage.A), shift(weights, stage.c), shift(weights, stage.W), keep, stage.src * T, stage.dst * T
    )
    y_src = shift(tape, stage.tape)
    s = shift(y_src, stage.k * T)
    copy(shift(y, matrices.src), y_src, stage.k * T)
    form = form_of_matrices(stage.channels, stage.r, stage.k * entries, stage.d, stage.code, T)
    evaluate(form, matrices, seen(stage, y_src, stage.k, masks, gathered), a, s, size)
    form = form_of_matrices(stage.channels, stage.r * entries, stage.k, stage.d, stage.code, T)
    update(form, matrices, seen(stage, s, stage.r, masks, gathered), y)


@part
def descend(stage, keep, weights, masks, delta, tape, g_a, gathered, constants, sums):
    """The adjoint of a stage: delta (C, T) goes from after it to before it; its gradients are added to ``sums``."""
    entries, T, k, r, d = stage.size * stage.size, stage.T, stage.k, stage.r, stage.d
    y_src = shift(tape, stage.tape)
    s = shift(y_src, k * T)
    delta_src, delta_dst = shift(delta, stage.src * T), shift(delta, stage.dst * T)
    add_outer(delta_dst, seen(stage, s, r, masks, gathered), shift(sums, stage.W), d, r * entries, T)
    from_delta = seen(stage, delta_dst, d, masks, gathered)
    product(constants.zeros, shift(weights, stage.W_back), d * entries, 1, from_delta, g_a, r, d * entries, T)
    times_slope(stage.code, s, g_a, r * T)
    add_outer(g_a, seen(stage, y_src, k, masks, gathered), shift(sums, stage.A), r, k * entries, T)
    add_outer(g_a, constants.ones, shift(sums, stage.c), r, 1, T)
    keep_times(keep, delta_dst, d * T)
    from_g_a = seen(stage, g_a, r, masks, gathered)
    product(delta_src, shift(weights, stage.A_back), r * entries, 1, from_g_a, delta_src, k, r * entries, T)


@part
def squeezed(stage, y, out, images, before):
    """out (C, T) <- the squeeze of y (C / 4, ``before`` columns), where C and T are those of the stage behind."""
    rows, columns, T = stage.rows, stage.columns, stage.T
    for channel in range(stage.channels):
        down, right = (channel % 4) // 2, channel % 2
        target = shift(out, channel * T)
        for m in range(images):
            source = shift(y, (channel // 4) * before + 4 * m * rows * columns)
            for v in range(rows):
                for w in range(columns):
                    target[(m * rows + v) * columns + w] = source[(2 * v + down) * 2 * columns + 2 * w + right]
        for t in range(images * rows * columns, T):
            target[t] = 0


@part
def unsqueezed(stage, delta, out, images, before):
    """out (C / 4, ``before`` columns) <- the inverse of ``squeezed`` of delta (C, T)."""
    rows, columns, T = stage.rows, stage.columns, stage.T
    for channel in range(stage.channels):
        down, right = (channel % 4) // 2, channel % 2
        source = shift(delta, channel * T)
        for m in range(images):
            target = shift(out, (channel // 4) * before + 4 * m * rows * columns)
            for v in range(rows):
                for w in range(columns):
                    target[(2 * v + down) * 2 * columns + 2 * w + right] = source[(m * rows + v) * columns + w]
    for channel in range(stage.channels // 4):
        for t in range(4 * images * rows * columns, before):
            out[channel * before + t] = 0


@part
def pack(x, y, channels, pixels, T, count, stride):
    """y (C, T) <- ``count`` rows of x, C * pixels numbers each, ``stride`` from one to the next; other columns <- 0."""
    for c in range(channels):
        for m in range(count):
            copy(shift(x, m * stride + c * pixels), shift(y, c * T + m * pixels), pixels)
        for t in range(count * pixels, T):
            y[c * T + t] = 0


@part
def unpack(y, x, channels, pixels, T, count, stride):
    """``count`` rows of x <- y (C, T), the inverse of ``pack``."""
    for m in range(count):
        for c in range(channels):
            copy(shift(y, c * T + m * pixels), shift(x, m * stride + c * pixels), pixels)


@part
def load_images(images, start, count, x, T):
    """x (T,) <- ``count`` of the kernels' ``images`` from number ``start`` on, moved, by the table."""
    table, pixels, chosen, shifts = images
    rows, columns = pixels.shape[1:]
    for m in range(count):
        image = pixels[chosen[start + m]]
        down, right = shifts[start + m, 0], shifts[start + m, 1]
        for v in range(rows):
            for w in range(columns):
                inside = 0 <= v - down < rows and 0 <= w - right < columns
                x[(m * rows + v) * columns + w] = table[image[v - down, w - right]] if inside else table[0]
    for t in range(count * rows * columns, T):
        x[t] = 0

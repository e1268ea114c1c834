"""A few images at a time: what the loops of ``pyham.engines.compiled.image_kernels`` are made of.

A tile holds G images in T columns, T a multiple of the vector length: a state y is (C, T), column g * pixels + i being
pixel i of image g, row by row. Where there are fewer than G images, and beyond the last one, columns are zero in y, s
and delta. A convolution gathers what every kernel entry sees, ``gather``, and is a product then.

Arguments are addresses (``pyham.engines.compiled.register_blocks``), as in ``pyham.engines.compiled.stagewise``.
``row`` is a row of the plan: what the numbers in it mean stands below.
"""

from pyham.engines.compiled.addresses import shift
from pyham.engines.compiled.register_blocks import add_outer, product
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.stagewise import Form, Stage, copy, evaluate, fill, times_slope, update

(
    SQUEEZE,  # whether 2 x 2 pixels become 4 channels before the stage
    CHANNELS,  # C
    K, R, D,  # channels that the stage reads, makes and updates
    SIZE,  # t
    SRC, DST,  # first channels
    KEEP, CODE,  # whether it adds; the activation
    ROWS, COLUMNS,  # H and W
    T,  # columns of the tile
    A, C, W,  # where (r, k t t), (r,), (d, r t t) begin among the weights
    A_BACK, W_BACK,  # where the transposed convolutions' (k, r t t), (r, d t t) begin
    MASK,  # where the masks (t t, T) begin
    TAPE,  # where y[src] (k, T) and s (r, T) are kept
) = range(20)  # fmt: skip
FIELDS = 20


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
def seen(row, y, k, masks, gathered):
    """What a stage's kernels see of y (k, T): y itself if they have one entry."""
    if row[SIZE] == 1:
        return y
    gather(y, shift(masks, row[MASK]), gathered, k, row[SIZE], row[COLUMNS], row[T])
    return gathered


@part
def stage_of(row, weights):
    """The addresses of a stage's matrices, and where y[src] and y[dst] begin."""
    return Stage(
        shift(weights, row[A]), shift(weights, row[C]), shift(weights, row[W]), row[SRC] * row[T], row[DST] * row[T]
    )


@part
def ascend(row, weights, masks, y, tape, a, gathered, size):
    """A stage: y (C, T) goes from before it to after it; y[src] and s are kept on the tape."""
    entries, columns = row[SIZE] * row[SIZE], row[T]
    k, r, d, code = row[K], row[R], row[D], row[CODE]
    stage = stage_of(row, weights)
    y_src = shift(tape, row[TAPE])
    s = shift(y_src, k * columns)
    copy(shift(y, stage.src), y_src, k * columns)
    form = Form(row[CHANNELS], r, k * entries, d, row[KEEP] != 0, code, columns)
    evaluate(form, stage, seen(row, y_src, k, masks, gathered), a, s, size)
    form = Form(row[CHANNELS], r * entries, k, d, row[KEEP] != 0, code, columns)
    update(form, stage, seen(row, s, r, masks, gathered), y)


@part
def descend(row, weights, masks, d, tape, g, gathered, constants, sums):
    """The adjoint of a stage: d (C, T) goes from after it to before it; its gradients are added to ``sums``.

    constants : T_0 ones, and zeros, r or more, T_0 the columns of the first stage
    """
    entries, columns = row[SIZE] * row[SIZE], row[T]
    k, r, channels = row[K], row[R], row[D]
    y_src = shift(tape, row[TAPE])
    s = shift(y_src, k * columns)
    d_src, d_dst = shift(d, row[SRC] * columns), shift(d, row[DST] * columns)
    ones, zeros = constants
    add_outer(
        d_dst, seen(row, s, r, masks, gathered), shift(sums, row[W]), channels, r * entries, columns
    )  # fmt: skip
    from_d = seen(row, d_dst, channels, masks, gathered)
    product(zeros, shift(weights, row[W_BACK]), channels * entries, 1, from_d, g, r, channels * entries, columns)
    times_slope(row[CODE], s, g, r * columns)
    add_outer(g, seen(row, y_src, k, masks, gathered), shift(sums, row[A]), r, k * entries, columns)
    add_outer(g, ones, shift(sums, row[C]), r, 1, columns)
    if row[KEEP] == 0:
        fill(d_dst, 0, channels * columns)
    from_g = seen(row, g, r, masks, gathered)
    product(d_src, shift(weights, row[A_BACK]), r * entries, 1, from_g, d_src, k, r * entries, columns)


@part
def squeezed(row, y, out, G, before):
    """out (C, T) <- the squeeze of y (C / 4, ``before`` columns); row is that of the stage behind."""
    H, W_, columns = row[ROWS], row[COLUMNS], row[T]
    for channel in range(row[CHANNELS]):
        down, right = (channel % 4) // 2, channel % 2
        target = shift(out, channel * columns)
        for g in range(G):
            source = shift(y, (channel // 4) * before + 4 * g * H * W_)
            for v in range(H):
                for w in range(W_):
                    target[(g * H + v) * W_ + w] = source[(2 * v + down) * 2 * W_ + 2 * w + right]
        for t in range(G * H * W_, columns):
            target[t] = 0


@part
def unsqueezed(row, d, out, G, before):
    """out (C / 4, ``before`` columns) <- the inverse of ``squeezed`` of d (C, T)."""
    H, W_, columns = row[ROWS], row[COLUMNS], row[T]
    for channel in range(row[CHANNELS]):
        down, right = (channel % 4) // 2, channel % 2
        source = shift(d, channel * columns)
        for g in range(G):
            target = shift(out, (channel // 4) * before + 4 * g * H * W_)
            for v in range(H):
                for w in range(W_):
                    target[(2 * v + down) * 2 * W_ + 2 * w + right] = source[(g * H + v) * W_ + w]
    for channel in range(row[CHANNELS] // 4):
        for t in range(4 * G * H * W_, before):
            out[channel * before + t] = 0


@part
def pack(x, y, channels, pixels, columns, count, stride):
    """y (C, T) <- ``count`` rows of x, C * pixels numbers each, ``stride`` from one to the next; other columns <- 0."""
    for c in range(channels):
        for g in range(count):
            copy(shift(x, g * stride + c * pixels), shift(y, c * columns + g * pixels), pixels)
        for t in range(count * pixels, columns):
            y[c * columns + t] = 0


@part
def unpack(y, x, channels, pixels, columns, count, stride):
    """``count`` rows of x <- y (C, T), the inverse of ``pack``."""
    for g in range(count):
        for c in range(channels):
            copy(shift(y, c * columns + g * pixels), shift(x, g * stride + c * pixels), pixels)


@part
def load_images(table, pixels, rows, shifts, start, count, x, columns):
    """x (T,) <- images rows[start : start + count] of pixels (M, H, W), moved by shifts (B, 2), by ``table`` (256,)."""
    H, W_ = pixels.shape[1:]
    for g in range(count):
        image = pixels[rows[start + g]]
        down, right = shifts[start + g, 0], shifts[start + g, 1]
        for v in range(H):
            for w in range(W_):
                inside = 0 <= v - down < H and 0 <= w - right < W_
                x[(g * H + v) * W_ + w] = table[image[v - down, w - right]] if inside else table[0]
    for t in range(count * H * W_, columns):
        x[t] = 0

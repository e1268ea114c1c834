"""The compiled engine's loops: plain arrays in, named arrays out. The steps are those of ``pyham.engines.reference``.

A kernel works through samples lo .. hi in tiles of T; a tile goes through all layers while it sits in the processor's
cache.

Arguments that recur -------------------- A (S, r, k), c (S, r), W (S, d, r) : the stages src, dst (L,) : first indices
of the slices, for the L stages of a layer keep : whether a stage adds to y[dst];  code : index of the activation in
``pyham.architectures.activations.ACTIVATIONS`` x, g, y_0, y_N, delta_0 (B, n), states, delta (N + 1, B, n) : as in the
reference; phi (N + 1, n, n, B) : samples last dA (S, r, k), dc (S, r), dW (S, d, r) : sums over samples are added to
them tape : from the aligned address on (tiles, S, (k + r) T), y[src] (k, T) and s = sigma(A y[src] + c) (r, T) of every
stage, recorded for the way back lo, hi, T : the samples to work on, and how many at a time: lo and T are multiples of
the vector length
"""

import numpy as np

from pyham.engines.compiled.addresses import address, aligned, hold, shift
from pyham.engines.compiled.passes import (
    advance,
    constants_rows,
    describe,
    distance,
    load_last,
    prepare_constants,
    pull_recorded,
    record,
    scale,
    stage_of,
    store_last,
    sums_of,
)
from pyham.engines.compiled.register_blocks import product
from pyham.engines.compiled.settings import kernel
from pyham.engines.compiled.stagewise import (
    Sums,
    copy,
    evaluate,
    fill,
    load,
    pull,
    scratch,
    store,
    times_slope,
    undo,
    update,
)


@kernel
def forward(A, c, W, src, dst, keep, code, x, lo, hi, T, y_N):
    """y_N <- from x."""
    form, net = describe(A, c, W, src, dst, keep, code, x.shape[1], T)
    work = scratch((form.n + 2 * form.r) * T, A)
    y = aligned(address(work))
    a = shift(y, form.n * T)
    s = shift(a, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, form.n, T)
        advance(form, net, 0, len(A), size, y, a, s)
        store(y, y_N, start, size, form.n, T)
    hold(work)


@kernel
def trace(A, c, W, src, dst, keep, code, lo, hi, T, states):
    """states[1:] <- y_1 .. y_N from states[0] = y_0."""
    form, net = describe(A, c, W, src, dst, keep, code, states.shape[2], T)
    work = scratch((form.n + 2 * form.r) * T, A)
    y = aligned(address(work))
    a = shift(y, form.n * T)
    s = shift(a, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(states[0], start, size, y, form.n, T)
        for j in range(len(states) - 1):
            advance(form, net, j * net.L, (j + 1) * net.L, size, y, a, s)
            store(y, states[j + 1], start, size, form.n, T)
    hold(work)


@kernel
def adjoint(A, c, W, src, dst, keep, code, states, lo, hi, T, delta, dA, dc, dW):
    """delta[:-1] <- delta_0 .. delta_{N-1} from delta[-1] = delta_N and the states, and the sums."""
    form, net = describe(A, c, W, src, dst, keep, code, states.shape[2], T)
    sums = Sums(address(dA), address(dc), address(dW))
    work = scratch((2 * form.n + form.r + constants_rows(form) + net.L * (form.k + form.r)) * T, A)
    constants = prepare_constants(form, aligned(address(work)))
    y = shift(constants, constants_rows(form) * T)
    d = shift(y, form.n * T)
    a = shift(d, form.n * T)
    tape = shift(a, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(delta[-1], start, size, d, form.n, T)
        for j in range(len(states) - 2, -1, -1):
            load(states[j], start, size, y, form.n, T)
            record(form, net, j * net.L, (j + 1) * net.L, size, y, a, tape)
            pull_recorded(form, net, j * net.L, (j + 1) * net.L, tape, constants, d, a, sums)
            store(d, delta[j], start, size, form.n, T)
    hold(work)


@kernel
def forward_recording(A, c, W, src, dst, keep, code, x, lo, hi, T, y_N, tape):
    """y_N and the tape <- from x."""
    form, net = describe(A, c, W, src, dst, keep, code, x.shape[1], T)
    work = scratch((form.n + form.r) * T, A)
    y = aligned(address(work))
    a = shift(y, form.n * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, form.n, T)
        record(form, net, 0, len(A), size, y, a, shift(aligned(address(tape)), start * len(A) * (form.k + form.r)))
        store(y, y_N, start, size, form.n, T)
    hold(work)


@kernel
def adjoint_recorded(A, c, W, src, dst, keep, code, tape, g, lo, hi, T, delta_0, dA, dc, dW):
    """delta_0 <- from g = dLoss/dy_N and the tape, and the sums."""
    form, net = describe(A, c, W, src, dst, keep, code, g.shape[1], T)
    sums = Sums(address(dA), address(dc), address(dW))
    work = scratch((form.n + form.r + constants_rows(form)) * T, A)
    constants = prepare_constants(form, aligned(address(work)))
    d = shift(constants, constants_rows(form) * T)
    a = shift(d, form.n * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(g, start, size, d, form.n, T)
        recorded = shift(aligned(address(tape)), start * len(A) * (form.k + form.r))
        pull_recorded(form, net, 0, len(A), recorded, constants, d, a, sums)
        store(d, delta_0, start, size, form.n, T)
    hold(work)


@kernel
def gradient(A, c, W, src, dst, keep, code, x, g, lo, hi, T, segment, y_N, delta_0, dA, dc, dW):
    """y_N and delta_0 <- from x and g = dLoss/dy_N, both passes of a tile in one, and the sums.

    The states at the start of every ``segment`` layers are kept; a segment is run again when its turn comes on the way
    back. With segment >= N nothing is run twice.
    """
    form, net = describe(A, c, W, src, dst, keep, code, x.shape[1], T)
    sums = Sums(address(dA), address(dc), address(dW))
    length = min(segment * net.L, len(A))
    count = -(-len(A) // max(1, length))
    rows = constants_rows(form) + (2 + count) * form.n + 2 * form.r + length * (form.k + form.r)
    work = scratch(rows * T, A)
    constants = prepare_constants(form, aligned(address(work)))
    y = shift(constants, constants_rows(form) * T)
    d = shift(y, form.n * T)
    kept = shift(d, form.n * T)
    a = shift(kept, count * form.n * T)
    s = shift(a, form.r * T)
    tape = shift(s, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, form.n, T)
        for m in range(count - 1):
            copy(y, shift(kept, m * form.n * T), form.n * T)
            advance(form, net, m * length, (m + 1) * length, size, y, a, s)
        if count > 0:
            record(form, net, (count - 1) * length, len(A), size, y, a, tape)
        store(y, y_N, start, size, form.n, T)
        load(g, start, size, d, form.n, T)
        for m in range(count - 1, -1, -1):
            first, last = m * length, min(len(A), (m + 1) * length)
            if m < count - 1:
                copy(shift(kept, m * form.n * T), y, form.n * T)
                record(form, net, first, last, size, y, a, tape)
            pull_recorded(form, net, first, last, tape, constants, d, a, sums)
        store(d, delta_0, start, size, form.n, T)
    hold(work)


@kernel
def reversible(A, c, W, src, dst, keep, code, x, g, lo, hi, T, shortest, budget, y_N, delta_0, dA, dc, dW, report):
    """As ``gradient``, with states rebuilt from y_N by undoing stages, where every stage leaves y[src] alone.

    Layers start .. end are rebuilt only if that leads back to the state at ``start``, which is kept, within ``budget``.
    Otherwise the state half way is computed from there and kept too, and the second half comes first. ``shortest``
    layers and fewer are not rebuilt, but run again with everything recorded.

    report (3,) : the largest over the tiles of errors accepted (``distance``), states kept besides the input, and
    states
        kept at a time
    """
    form, net = describe(A, c, W, src, dst, keep, code, x.shape[1], T)
    sums = Sums(address(dA), address(dc), address(dW))
    levels = 65  # N < 2**64: halving ends before
    length = min(shortest * net.L, len(A))
    rows = constants_rows(form) + (3 + levels) * form.n + 3 * form.r + length * (form.k + form.r)
    work = scratch(rows * T, A)
    where = np.zeros(levels, np.int64)
    constants = prepare_constants(form, aligned(address(work)))
    y = shift(constants, constants_rows(form) * T)
    z = shift(y, form.n * T)
    d = shift(z, form.n * T)
    kept = shift(d, form.n * T)
    a = shift(kept, levels * form.n * T)
    s = shift(a, form.r * T)
    g_a = shift(s, form.r * T)
    tape = shift(g_a, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, kept, form.n, T)
        copy(kept, y, form.n * T)
        advance(form, net, 0, len(A), size, y, a, s)
        store(y, y_N, start, size, form.n, T)
        load(g, start, size, d, form.n, T)
        top, end, added = 0, len(A) // net.L, 0
        trial = end
        while end > 0:
            begin = where[top]
            first, last = begin * net.L, end * net.L
            origin = shift(kept, top * form.n * T)
            if end - begin <= shortest:
                copy(origin, y, form.n * T)
                record(form, net, first, last, size, y, a, tape)
                pull_recorded(form, net, first, last, tape, constants, d, a, sums)
            else:
                error = np.inf
                if end - begin <= trial:
                    copy(y, z, form.n * T)
                    for index in range(last - 1, first - 1, -1):
                        undo(form, stage_of(form, net, index), z, a, s, size)
                    error = distance(z, origin, size, form.n, T)
                if not error <= budget:  # NaN is no success
                    middle = (begin + end) // 2
                    trial = min(trial, end - middle)
                    top += 1
                    where[top] = middle
                    copy(origin, shift(origin, form.n * T), form.n * T)
                    advance(form, net, first, middle * net.L, size, shift(origin, form.n * T), a, s)
                    added += 1
                    report[1] = max(report[1], added)
                    report[2] = max(report[2], top)
                    continue
                report[0] = max(report[0], error)
                for index in range(last - 1, first - 1, -1):
                    stage = stage_of(form, net, index)
                    undo(form, stage, y, a, s, size)
                    pull(form, stage, shift(y, stage.src), s, constants, d, g_a, sums_of(form, sums, index))
            trial = 2 * (end - begin)  # twice what went well, or what was too short to try: drift may be less here
            end = begin
            copy(origin, y, form.n * T)
            top -= 1
        store(d, delta_0, start, size, form.n, T)
    hold(work)


@kernel
def inverse(A, c, W, src, dst, keep, code, y_N, lo, hi, T, y_0):
    """y_0 <- from y_N, by undoing the stages."""
    form, net = describe(A, c, W, src, dst, keep, code, y_N.shape[1], T)
    work = scratch((form.n + 2 * form.r) * T, A)
    y = aligned(address(work))
    a = shift(y, form.n * T)
    s = shift(a, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(y_N, start, size, y, form.n, T)
        for index in range(len(A) - 1, -1, -1):
            undo(form, stage_of(form, net, index), y, a, s, size)
        store(y, y_0, start, size, form.n, T)
    hold(work)


@kernel
def sensitivity(A, c, W, src, dst, keep, code, x, lo, hi, T, phi):
    """phi[:-1] <- Phi_0 .. Phi_{N-1} from x and phi[-1]: the adjoint's map of delta, on n columns at once."""
    n = x.shape[1]
    form, net = describe(A, c, W, src, dst, keep, code, n, T)
    work = scratch((n + (2 + len(A)) * form.r + n * (n + form.r)) * T, A)
    y = aligned(address(work))
    a = shift(y, n * T)
    zeros = shift(a, form.r * T)
    slopes = shift(zeros, form.r * T)  # sigma' of every stage
    P = shift(slopes, len(A) * form.r * T)  # row i of Phi, then its column, then the sample
    g = shift(P, n * n * T)
    fill(zeros, 0, form.r * T)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, n, T)
        for index in range(len(A)):
            stage = stage_of(form, net, index)
            slope = shift(slopes, index * form.r * T)
            evaluate(form, stage, shift(y, stage.src), a, slope, size)
            update(form, stage, slope, y)
            fill(a, 1, form.r * T)
            times_slope(form.code, slope, a, form.r * T)
            copy(a, slope, form.r * T)
        load_last(phi[-1], start, size, P, n, T)
        for index in range(len(A) - 1, -1, -1):
            stage = stage_of(form, net, index)
            slope = shift(slopes, index * form.r * T)
            P_dst, P_src = shift(P, stage.dst * n), shift(P, stage.src * n)
            product(zeros, stage.W, 1, form.r, P_dst, g, form.r, form.d, n * T)
            for i in range(form.r):
                for column in range(n):
                    scale(shift(slope, i * T), shift(g, (i * n + column) * T), T)
            if not keep:
                fill(P_dst, 0, form.d * n * T)
            product(P_src, stage.A, 1, form.k, g, P_src, form.k, form.r, n * T)
            if index % net.L == 0:
                store_last(P, phi[index // net.L], start, size, n, T)
    hold(work)

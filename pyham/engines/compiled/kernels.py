"""The compiled engine's loops: plain arrays in, named arrays out. The steps are those of ``pyham.engines.reference``.

A kernel works through samples lo .. hi in tiles of T; a tile goes through all layers while it sits in the processor's
cache.

Arguments that recur
--------------------
stages : (A, c, W, src, dst, keep, code, of_A, of_W), the arrays
    A (S, r, k), c (S, r), W (S, d, r), keep (S,) of one dtype; src, dst (L,) : first indices of the slices, for the L
    stages of a layer; code : of the activation, ``pyham.engines.compiled.activations.code_of``; of_A, of_W : None. On
    a graph A and W are (S, E), the entries of matrices, and of_A, of_W ``pyham.architectures.edges.Edges.places``
span : (lo, hi, T), the samples to work on, and how many at a time: lo and T are multiples of the vector length
sums : (dA, dc, dW), arrays shaped like A, c, W; sums over samples are added to them
x, g, y_0, y_N, delta_0 (B, n), states, deltas (N + 1, B, n) : as in the reference, g = dLoss/dy_N
phi (N + 1, n, n, B) : samples last
tape : from the aligned address on (tiles, S, (k + r) T), y[src] (k, T) and s = sigma(A y[src] + c) (r, T) of every
    stage, recorded for the way back

Arguments are grouped in plain tuples. Numba takes 17 arguments in 1.3 us, and in 1.4 us when they are grouped so. Named
tuples take 2.9 us, because Numba then asks Python for the type, so names are given here, inside.
"""

import numpy as np

from pyham.engines.compiled.activations import times_slope
from pyham.engines.compiled.addresses import address, aligned, carve, hold, shift
from pyham.engines.compiled.layers import addresses_of, advance, describe, pull_recorded, record, stage_of, sums_of
from pyham.engines.compiled.maps import transposed
from pyham.engines.compiled.settings import kernel
from pyham.engines.compiled.stage import constants_in, evaluate, pull, undo, update
from pyham.engines.compiled.tiles import (
    copy,
    distance,
    fill,
    keep_times,
    load,
    load_last,
    multiply,
    scratch,
    store,
    store_last,
)


@kernel
def forward(stages, span, x, y_N):
    """y_N <- from x."""
    lo, hi, T = span
    form, net = describe(stages, x.shape[1], T)
    sizes = form.n * T, form.r * T, form.r * T
    work = scratch(stages[0], sizes)
    y, a, s = carve(work, sizes)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, form.n, T)
        advance(form, net, 0, net.S, size, y, a, s)
        store(y, y_N, start, size, form.n, T)
    hold(work)


@kernel
def trace(stages, span, states):
    """states[1:] <- y_1 .. y_N from states[0] = y_0."""
    lo, hi, T = span
    form, net = describe(stages, states.shape[2], T)
    sizes = form.n * T, form.r * T, form.r * T
    work = scratch(stages[0], sizes)
    y, a, s = carve(work, sizes)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(states[0], start, size, y, form.n, T)
        for j in range(len(states) - 1):
            advance(form, net, j * net.L, (j + 1) * net.L, size, y, a, s)
            store(y, states[j + 1], start, size, form.n, T)
    hold(work)


@kernel
def adjoint(stages, span, states, deltas, sums):
    """deltas[:-1] <- delta_0 .. delta_{N-1} from deltas[-1] = delta_N and the states, and the sums."""
    lo, hi, T = span
    form, net = describe(stages, states.shape[2], T)
    totals = addresses_of(sums)
    sizes = T, form.n * T, form.n * T, form.r * T, net.L * (form.k + form.r) * T, form.r * T
    work = scratch(stages[0], sizes)
    ones, y, delta, a, tape, zeros = carve(work, sizes)
    constants = constants_in(ones, zeros, T, form.r)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(deltas[-1], start, size, delta, form.n, T)
        for j in range(len(states) - 2, -1, -1):
            load(states[j], start, size, y, form.n, T)
            record(form, net, j * net.L, (j + 1) * net.L, size, y, a, tape)
            pull_recorded(form, net, j * net.L, (j + 1) * net.L, tape, constants, delta, a, totals)
            store(delta, deltas[j], start, size, form.n, T)
    hold(work)


@kernel
def forward_recording(stages, span, x, y_N, tape):
    """y_N and the tape <- from x."""
    lo, hi, T = span
    form, net = describe(stages, x.shape[1], T)
    sizes = form.n * T, form.r * T
    work = scratch(stages[0], sizes)
    y, a = carve(work, sizes)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, form.n, T)
        record(form, net, 0, net.S, size, y, a, shift(aligned(address(tape)), start * net.S * (form.k + form.r)))
        store(y, y_N, start, size, form.n, T)
    hold(work)


@kernel
def adjoint_recorded(stages, span, tape, g, delta_0, sums):
    """delta_0 <- from g and the tape, and the sums."""
    lo, hi, T = span
    form, net = describe(stages, g.shape[1], T)
    totals = addresses_of(sums)
    sizes = T, form.n * T, form.r * T, form.r * T
    work = scratch(stages[0], sizes)
    ones, delta, g_a, zeros = carve(work, sizes)
    constants = constants_in(ones, zeros, T, form.r)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(g, start, size, delta, form.n, T)
        recorded = shift(aligned(address(tape)), start * net.S * (form.k + form.r))
        pull_recorded(form, net, 0, net.S, recorded, constants, delta, g_a, totals)
        store(delta, delta_0, start, size, form.n, T)
    hold(work)


@kernel
def gradient(stages, span, x, g, segment, y_N, delta_0, sums):
    """y_N and delta_0 <- from x and g, both passes of a tile in one, and the sums.

    The states at the start of every ``segment`` layers are kept; a segment is run again when its turn comes on the way
    back. With segment >= N nothing is run twice.
    """
    lo, hi, T = span
    form, net = describe(stages, x.shape[1], T)
    totals = addresses_of(sums)
    length = min(segment * net.L, net.S)
    count = -(-net.S // max(1, length))
    sizes = (
        T, form.n * T, form.n * T, count * form.n * T, form.r * T, form.r * T, length * (form.k + form.r) * T,
        form.r * T,
    )  # fmt: skip
    work = scratch(stages[0], sizes)
    ones, y, delta, kept, a, s, tape, zeros = carve(work, sizes)
    constants = constants_in(ones, zeros, T, form.r)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, form.n, T)
        for m in range(count - 1):
            copy(y, shift(kept, m * form.n * T), form.n * T)
            advance(form, net, m * length, (m + 1) * length, size, y, a, s)
        if count > 0:
            record(form, net, (count - 1) * length, net.S, size, y, a, tape)
        store(y, y_N, start, size, form.n, T)
        load(g, start, size, delta, form.n, T)
        for m in range(count - 1, -1, -1):
            first, last = m * length, min(net.S, (m + 1) * length)
            if m < count - 1:
                copy(shift(kept, m * form.n * T), y, form.n * T)
                record(form, net, first, last, size, y, a, tape)
            pull_recorded(form, net, first, last, tape, constants, delta, a, totals)
        store(delta, delta_0, start, size, form.n, T)
    hold(work)


@kernel
def reversible(stages, span, x, g, limits, y_N, delta_0, sums, report):
    """As ``gradient``, with states rebuilt from y_N by undoing stages, where every stage leaves y[src] alone.

    Layers start .. end are rebuilt only if that leads back to the state at ``start``, which is kept, within ``budget``.
    Otherwise the state half way is computed from there and kept too, and the second half comes first. ``shortest``
    layers and fewer are not rebuilt, but run again with everything recorded.

    limits : (shortest, budget)
    report (3,) : the largest over the tiles of errors accepted (``distance``), states kept besides the input, and
        states kept at a time
    """
    lo, hi, T = span
    shortest, budget = limits
    form, net = describe(stages, x.shape[1], T)
    totals = addresses_of(sums)
    levels = 65  # N < 2**64: halving ends before
    length = min(shortest * net.L, net.S)
    sizes = (
        T, form.n * T, form.n * T, form.n * T, levels * form.n * T, form.r * T, form.r * T, form.r * T,
        length * (form.k + form.r) * T, form.r * T,
    )  # fmt: skip
    work = scratch(stages[0], sizes)
    ones, y, z, delta, kept, a, s, g_a, tape, zeros = carve(work, sizes)
    constants = constants_in(ones, zeros, T, form.r)
    where = np.zeros(levels, np.int64)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, kept, form.n, T)
        copy(kept, y, form.n * T)
        advance(form, net, 0, net.S, size, y, a, s)
        store(y, y_N, start, size, form.n, T)
        load(g, start, size, delta, form.n, T)
        top, end, added = 0, net.S // net.L, 0
        trial = end
        while end > 0:
            begin = where[top]
            first, last = begin * net.L, end * net.L
            origin = shift(kept, top * form.n * T)
            if end - begin <= shortest:
                copy(origin, y, form.n * T)
                record(form, net, first, last, size, y, a, tape)
                pull_recorded(form, net, first, last, tape, constants, delta, a, totals)
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
                    pull(form, stage, shift(y, stage.src), s, constants, delta, g_a, sums_of(form, totals, index))
            trial = 2 * (end - begin)  # twice what went well, or what was too short to try: drift may be less here
            end = begin
            copy(origin, y, form.n * T)
            top -= 1
        store(delta, delta_0, start, size, form.n, T)
    hold(work)


@kernel
def inverse(stages, span, y_N, y_0):
    """y_0 <- from y_N, by undoing the stages."""
    lo, hi, T = span
    form, net = describe(stages, y_N.shape[1], T)
    sizes = form.n * T, form.r * T, form.r * T
    work = scratch(stages[0], sizes)
    y, a, s = carve(work, sizes)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(y_N, start, size, y, form.n, T)
        for index in range(net.S - 1, -1, -1):
            undo(form, stage_of(form, net, index), y, a, s, size)
        store(y, y_0, start, size, form.n, T)
    hold(work)


@kernel
def sensitivity(stages, span, x, phi):
    """phi[:-1] <- Phi_0 .. Phi_{N-1} from x and phi[-1]: the adjoint's map of delta, on n columns at once."""
    lo, hi, T = span
    n = x.shape[1]
    form, net = describe(stages, n, T)
    sizes = n * T, form.r * T, net.S * form.r * T, n * n * T, n * form.r * T, form.r * T
    work = scratch(stages[0], sizes)
    y, a, slopes, P, G, zeros = carve(work, sizes)  # P: row i of Phi, then its column, then the sample; G: n times g_a
    fill(zeros, 0, form.r)
    for start in range(lo, hi, T):
        size = min(T, hi - start)
        load(x, start, size, y, n, T)
        for index in range(net.S):
            stage = stage_of(form, net, index)
            slope = shift(slopes, index * form.r * T)
            evaluate(form, stage, shift(y, stage.src), a, slope, size)
            update(form, stage, slope, y)
            fill(a, 1, form.r * T)
            times_slope(form.code, slope, a, form.r * T)
            copy(a, slope, form.r * T)
        load_last(phi[-1], start, size, P, n, T)
        for index in range(net.S - 1, -1, -1):
            stage = stage_of(form, net, index)
            slope = shift(slopes, index * form.r * T)
            P_dst, P_src = shift(P, stage.dst * n), shift(P, stage.src * n)
            transposed(form.W, zeros, stage.W, P_dst, G, form.d, form.r, n * T)
            for i in range(form.r):
                for column in range(n):
                    multiply(shift(slope, i * T), shift(G, (i * n + column) * T), T)
            keep_times(stage.keep, P_dst, form.d * n * T)
            transposed(form.A, P_src, stage.A, G, P_src, form.r, form.k, n * T)
            if index % net.L == 0:
                store_last(P, phi[index // net.L], start, size, n, T)
    hold(work)

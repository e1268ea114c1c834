"""Products with matrices on the edges of a graph, in register blocks.

A graph's nodes own several rows each, so the pattern of entries (``pyham.architectures.edges.Edges``) falls into blocks
of neighbouring rows with the same columns. Such a block is a small dense matrix whose rows of y lie here and there:

gathered block     out[i : i + R, t : t + V lanes] = start + sum of M[i : i + R, l] y[place l, t : t + V lanes]

so what ``register_blocks`` says of registers holds here too: one place is looked up, and one vector of y loaded, for R
rows. The transposed product and the gradient of M go through blocks of neighbouring columns with the same rows:

transposed block   out[k : k + C, t : t + V lanes] = start + sum of M[l, k : k + C] g[place l, t : t + V lanes]
gathered outer     dM[l : l + R, k : k + C] += g[places l .. l + R - 1, :] y[k : k + C, :]^T

Every number is written once, by one sum in the order of the entries, so the result depends on nothing else.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from pyham.engines.compiled.addresses import INDEX, fetch, lanes, shift
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.vector_code import VectorsAt, in_blocks, loop, multiply_add, starting_values, totals

NEAR = 1 << 15  # numbers: so many rows are in the cache anyway
MOST = 1024  # entries that are fetched ahead: the centre of a star has more


def gathered_blocks(V: int, *, transposed: bool) -> Any:
    """blocks(start, M, entries, places, y, out, first, R, L, T, t): V vectors of R rows of out, from row ``first`` on.

    out[first + i] = start + the sum over l < L of m(i, l) y[places[l]], rows of T numbers, where m(i, l) is
    M[i L + l], or M[entries[l] + i] of the transposed product. ``start``: what was in out if it is the same address,
    else numbers, one for each row.
    """

    @intrinsic
    def blocks(typingctx, start, M, entries, places, y, out, first, R, L, T, t):
        def codegen(context, builder, signature, arguments):
            kinds = signature.args
            starts, m, ys, outs = (VectorsAt(builder, kinds[p], arguments[p]) for p in (0, 1, 4, 5))
            entries, places = arguments[2], arguments[3]
            first, R, L, T, t = arguments[6:]
            columns = [builder.add(t, INDEX(b * outs.lanes)) for b in range(V)]

            def number(address, l):
                return builder.load(builder.gep(address, [l]))

            def block(size, i):
                inside = [builder.add(i, INDEX(a)) for a in range(size)]
                rows = [builder.add(first, a) for a in inside]
                targets = [outs.at((a, T), b) for a in rows for b in columns]
                begin = starting_values(builder, starts, outs, rows, targets)

                def term(l, values):
                    place = number(places, l)
                    vectors = [ys.load(ys.at((place, T), b)) for b in columns]
                    if transposed:
                        entry = number(entries, l)
                        factors = [m.splat(m.at(entry, a)) for a in inside]
                    else:
                        factors = [m.splat(m.at((a, L), l)) for a in inside]
                    pairs = [(factor, vector) for factor in factors for vector in vectors]
                    return [multiply_add(builder, *pair, value) for pair, value in zip(pairs, values, strict=True)]

                for value, target in zip(loop(builder, L, begin, term), targets, strict=True):
                    outs.store(value, target)

            in_blocks(builder, R, block)
            return context.get_dummy_value()

        index = types.intp
        return types.none(start, M, entries, places, y, out, index, index, index, index, index), codegen

    return blocks


@intrinsic
def _gathered_outer(typingctx, u, v, entries, places, out, first, R, L, T):
    """out[entries[l] + i] += the sum over t < T of u[places[l]] v[first + i], for l < L and i < R."""

    def codegen(context, builder, signature, arguments):
        us, vs, outs = (VectorsAt(builder, signature.args[p], arguments[p]) for p in (0, 1, 4))
        entries, places = arguments[2:4]
        first, R, L, T = arguments[5:]

        def block(height, l, width, i):
            lines = [builder.add(l, INDEX(a)) for a in range(height)]
            rows, targets = ([builder.load(builder.gep(array, [a])) for a in lines] for array in (places, entries))
            inside = [builder.add(i, INDEX(b)) for b in range(width)]
            columns = [builder.add(first, b) for b in inside]

            def term(step, values):
                t = (step, INDEX(us.lanes))
                left = [us.load(us.at((a, T), t)) for a in rows]
                right = [vs.load(vs.at((b, T), t)) for b in columns]
                pairs = [(x, y) for x in left for y in right]
                return [multiply_add(builder, *pair, value) for pair, value in zip(pairs, values, strict=True)]

            sums = loop(builder, builder.sdiv(T, INDEX(us.lanes)), [us.zero()] * (height * width), term)
            if width > 1:
                for number, target in enumerate(targets):
                    place = outs.at(target, i)
                    total = totals(builder, sums[number * width : (number + 1) * width])
                    outs.store(builder.fadd(outs.load(place, width), total), place)
            else:
                total = totals(builder, sums)
                for number, target in enumerate(targets):
                    place = outs.at(target, i)
                    one = builder.extract_element(total, INDEX(number))
                    builder.store(builder.fadd(builder.load(place), one), place)

        in_blocks(builder, R, lambda width, i: in_blocks(builder, L, lambda height, l: block(height, l, width, i)))
        return context.get_dummy_value()

    index = types.intp
    return types.none(u, v, entries, places, out, index, index, index, index), codegen


_GATHERED_WIDE, _GATHERED = (gathered_blocks(V, transposed=False) for V in (4, 1))
_TRANSPOSED_WIDE, _TRANSPOSED = (gathered_blocks(V, transposed=True) for V in (4, 1))


@part
def fetch_next(edges, places, y, k, T):
    """Ask for the rows of y (k, T) that the next band reads, if y is larger than the cache.

    On a graph without any order neighbours lie anywhere. Rows that are asked for one by one cost a wait each.
    """
    if k * T > NEAR:
        for e in range(edges.next_entry, min(edges.next_end, edges.next_entry + MOST)):
            fetch(shift(y, places[e] * T), T)


@part
def gathered_product(edges, start, M, y, out, k, T):
    """out (r, T) <- start + M y, y (k, T); T a multiple of ``lanes``; ``edges``: ``maps.EdgePlaces``."""
    fetch_next(edges, edges.columns, y, k, T)
    wide = 4 * lanes(out)
    whole = T - T % wide
    for g in range(edges.row_blocks):
        first, place = edges.rows[g], edges.starts[edges.rows[g]]
        R, L = edges.rows[g + 1] - first, edges.starts[first + 1] - place
        m, places = shift(M, place), shift(edges.columns, place)
        for t in range(0, whole, wide):
            _GATHERED_WIDE(start, m, places, places, y, out, first, R, L, T, t)
        for t in range(whole, T, lanes(out)):
            _GATHERED(start, m, places, places, y, out, first, R, L, T, t)


@part
def gathered_transposed(edges, start, M, g, out, T):
    """out (k, T) <- start + M^T g, g (r, T); otherwise as ``gathered_product``."""
    wide = 4 * lanes(out)
    whole = T - T % wide
    for c in range(edges.column_blocks):
        first, place = edges.columns_of_blocks[c], edges.column_starts[edges.columns_of_blocks[c]]
        R, L = edges.columns_of_blocks[c + 1] - first, edges.column_starts[first + 1] - place
        entries, places = shift(edges.by_column, place), shift(edges.rows_by_column, place)
        for t in range(0, whole, wide):
            _TRANSPOSED_WIDE(start, M, entries, places, g, out, first, R, L, T, t)
        for t in range(whole, T, lanes(out)):
            _TRANSPOSED(start, M, entries, places, g, out, first, R, L, T, t)


@part
def add_gathered_outer(edges, u, v, out, r, T):
    """out (E,) += the entries of u v^T, u (r, T) and v (k, T), the sum over samples; T a multiple of ``lanes``."""
    fetch_next(edges, edges.rows_by_column, u, r, T)
    for c in range(edges.column_blocks):
        first, place = edges.columns_of_blocks[c], edges.column_starts[edges.columns_of_blocks[c]]
        R, L = edges.columns_of_blocks[c + 1] - first, edges.column_starts[first + 1] - place
        entries, places = shift(edges.by_column, place), shift(edges.rows_by_column, place)
        _gathered_outer(u, v, entries, places, out, first, R, L, T)

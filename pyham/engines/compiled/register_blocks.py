"""Matrix products of the kernels, in register blocks.

A processor multiplies and adds faster than it loads. A block therefore keeps a few rows times a few vectors of the
result in registers while it runs along the summation index, so that every number that it loads is used several times:

product block    out[i : i + R, t : t + V lanes] = start + M[i : i + R, :] y[:, t : t + V lanes]
                 at each step of the sum, R numbers of M and V vectors of y are loaded, for R V vector operations
outer block      out[i : i + R, l : l + C] += u[i : i + R, :] v[l : l + C, :]^T
                 the sum runs over samples, in as many partial sums as a vector has lanes; R + C loads for R C
                 operations

LLVM's own vectoriser keeps one row in registers, which is three to eight times slower. The blocks are therefore written
in LLVM's language, because Numba has no other way to ask for them. Vectors are as wide as the machine's. Every number
of a product is summed in the order of l, so that a sample's result does not depend on the samples beside it. Sums over
samples are taken lane by lane, then by halves, in the same order in every run.

Matrices are given by the address of their first number (``pyham.engines.compiled.addresses``); their rows follow each
other.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from pyham.engines.compiled.addresses import INDEX, lanes
from pyham.engines.compiled.settings import part
from pyham.engines.compiled.vector_code import VectorsAt, in_blocks, loop, multiply_add, starting_values, totals


def product_blocks(V: int) -> Any:
    """blocks(start, M, row, column, y, out, r, k, T, t): V vectors of every row of out (r, T) = start + M y, y (k, T).

    M's entry (i, l) lies i row + l column further. ``start``: what was in out if it is the same address, else the
    numbers start (r,), one for each row.
    """

    @intrinsic
    def blocks(typingctx, start, M, row, column, y, out, r, k, T, t):
        def codegen(context, builder, signature, arguments):
            kinds = signature.args
            starts, m, ys, outs = (VectorsAt(builder, kinds[p], arguments[p]) for p in (0, 1, 4, 5))
            row, column, r, k, T, t = (arguments[p] for p in (2, 3, 6, 7, 8, 9))
            columns = [builder.add(t, INDEX(b * outs.lanes)) for b in range(V)]

            def block(R, i):
                rows = [builder.add(i, INDEX(a)) for a in range(R)]
                places = [outs.at((a, T), b) for a in rows for b in columns]
                begin = starting_values(builder, starts, outs, rows, places)

                def term(l, values):
                    vectors = [ys.load(ys.at((l, T), b)) for b in columns]
                    factors = [m.splat(m.at((a, row), (l, column))) for a in rows]
                    pairs = [(factor, vector) for factor in factors for vector in vectors]
                    return [multiply_add(builder, *pair, value) for pair, value in zip(pairs, values, strict=True)]

                for value, place in zip(loop(builder, k, begin, term), places, strict=True):
                    outs.store(value, place)

            in_blocks(builder, r, block)
            return context.get_dummy_value()

        index = types.intp
        return types.none(start, M, index, index, y, out, index, index, index, index), codegen

    return blocks


@intrinsic
def _outer(typingctx, u, v, out, r, k, T):
    """As ``add_outer``."""

    def codegen(context, builder, signature, arguments):
        us, vs, outs = (VectorsAt(builder, signature.args[p], arguments[p]) for p in range(3))
        r, k, T = arguments[3:]

        def block(R, i, C, l):
            rows = [builder.add(i, INDEX(a)) for a in range(R)]
            columns = [builder.add(l, INDEX(b)) for b in range(C)]

            def term(step, values):
                t = (step, INDEX(us.lanes))
                left = [us.load(us.at((a, T), t)) for a in rows]
                right = [vs.load(vs.at((b, T), t)) for b in columns]
                pairs = [(x, y) for x in left for y in right]
                return [multiply_add(builder, *pair, value) for pair, value in zip(pairs, values, strict=True)]

            sums = loop(builder, builder.sdiv(T, INDEX(us.lanes)), [us.zero()] * (R * C), term)
            for number, a in enumerate(rows):
                place = outs.at((a, k), l)
                total = totals(builder, sums[number * C : (number + 1) * C])
                outs.store(builder.fadd(outs.load(place, C), total), place)

        in_blocks(builder, r, lambda R, i: in_blocks(builder, k, lambda C, l: block(R, i, C, l)))
        return context.get_dummy_value()

    index = types.intp
    return types.none(u, v, out, index, index, index), codegen


_WIDE, _NARROW = product_blocks(4), product_blocks(1)


@part
def product(start, M, row, column, y, out, r, k, T):
    """out (r, T) <- start + M y, y (k, T); T a multiple of ``lanes``. See ``product_blocks`` for the arguments."""
    wide = 4 * lanes(out)
    for t in range(0, T - T % wide, wide):
        _WIDE(start, M, row, column, y, out, r, k, T, t)
    for t in range(T - T % wide, T, lanes(out)):
        _NARROW(start, M, row, column, y, out, r, k, T, t)


@part
def add_outer(u, v, out, r, k, T):
    """out (r, k) += u v^T, u (r, T) and v (k, T), the sum over samples; T a multiple of ``lanes``."""
    _outer(u, v, out, r, k, T)

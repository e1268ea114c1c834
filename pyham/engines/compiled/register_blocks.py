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

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pyham.engines.compiled.addresses import INDEX, lanes, lanes_of
from pyham.engines.compiled.settings import part


class _Numbers:
    """Loads and stores of vectors at an address; ``count`` lanes unless said otherwise."""

    def __init__(self, builder, kind, value):
        self.builder, self.first = builder, value
        self.number, self.align, self.lanes = value.type.pointee, kind.dtype.bitwidth // 8, lanes_of(kind)

    def at(self, *terms):
        """The address that lies a sum of terms further; a term is an index or a product of two."""
        place = INDEX(0)
        for term in terms:
            term = self.builder.mul(*term) if isinstance(term, tuple) else term
            place = self.builder.add(place, term)
        return self.builder.gep(self.first, [place])

    def load(self, address, count=None):
        vector = ir.VectorType(self.number, count or self.lanes)
        loaded = self.builder.load(self.builder.bitcast(address, vector.as_pointer()))
        loaded.align = self.align
        return loaded

    def store(self, value, address):
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=self.align)

    def splat(self, address):
        """The number at an address, in every lane."""
        number = self.builder.load(address)
        kind = ir.VectorType(self.number, self.lanes)
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, INDEX(0))
        return _shuffle(self.builder, single, single, [0] * self.lanes)

    def zero(self):
        return ir.Constant(ir.VectorType(self.number, self.lanes), None)


def _shuffle(builder, u, v, places):
    return builder.shuffle_vector(u, v, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _multiply_add(builder, a, b, c):
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def _loop(builder, count, start, body, step=1):
    """Run body(index, values) -> values for 0, ``step`` .. below ``count``, values in registers; returns the last."""
    entry = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("sum", "term", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(INDEX)
    index.add_incoming(INDEX(0), entry)
    values = [builder.phi(v.type) for v in start]
    for phi, v in zip(values, start, strict=True):
        phi.add_incoming(v, entry)
    builder.cbranch(builder.icmp_signed("<", index, count), inside, after)
    builder.position_at_end(inside)
    results = body(index, values)
    index.add_incoming(builder.add(index, INDEX(step), flags=("nsw",)), builder.block)
    for phi, v in zip(values, results, strict=True):
        phi.add_incoming(v, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return values


def _blocks(builder, count, block):
    """block(size, first) for the pieces of 0 .. count - 1: of four, at the end perhaps one of two and one of one."""
    _loop(builder, builder.and_(count, INDEX(-4)), [], lambda first, _: block(4, first) or [], step=4)
    for size in (2, 1):
        with builder.if_then(builder.trunc(builder.lshr(count, INDEX(size // 2)), ir.IntType(1))):
            block(size, builder.and_(count, INDEX(-2 * size)))


def product_blocks(V: int) -> Any:
    """blocks(start, M, row, column, y, out, r, k, T, t): V vectors of every row of out (r, T) = start + M y, y (k, T).

    M's entry (i, l) lies i row + l column further. ``start``: what was in out if it is the same address, else the
    numbers start (r,), one for each row.
    """

    @intrinsic
    def blocks(typingctx, start, M, row, column, y, out, r, k, T, t):
        def codegen(context, builder, signature, arguments):
            kinds = signature.args
            starts, m, ys, outs = (_Numbers(builder, kinds[p], arguments[p]) for p in (0, 1, 4, 5))
            row, column, r, k, T, t = (arguments[p] for p in (2, 3, 6, 7, 8, 9))
            columns = [builder.add(t, INDEX(b * outs.lanes)) for b in range(V)]
            same = builder.icmp_unsigned("==", starts.first, outs.first)

            def block(R, i):
                rows = [builder.add(i, INDEX(a)) for a in range(R)]
                places = [outs.at((a, T), b) for a in rows for b in columns]
                with builder.if_else(same) as (then, otherwise):
                    with then:
                        from_out = [outs.load(place) for place in places]
                        block_then = builder.block
                    with otherwise:
                        from_start = [v for a in rows for v in [starts.splat(starts.at(a))] * V]
                        block_otherwise = builder.block
                begin = []
                for u, v in zip(from_out, from_start, strict=True):
                    phi = builder.phi(u.type)
                    phi.add_incoming(u, block_then)
                    phi.add_incoming(v, block_otherwise)
                    begin.append(phi)

                def term(l, values):
                    vectors = [ys.load(ys.at((l, T), b)) for b in columns]
                    factors = [m.splat(m.at((a, row), (l, column))) for a in rows]
                    pairs = [(factor, vector) for factor in factors for vector in vectors]
                    return [_multiply_add(builder, *pair, value) for pair, value in zip(pairs, values, strict=True)]

                for value, place in zip(_loop(builder, k, begin, term), places, strict=True):
                    outs.store(value, place)

            _blocks(builder, r, block)
            return context.get_dummy_value()

        index = types.intp
        return types.none(start, M, index, index, y, out, index, index, index, index), codegen

    return blocks


@intrinsic
def _outer(typingctx, u, v, out, r, k, T):
    """As ``add_outer``."""

    def codegen(context, builder, signature, arguments):
        us, vs, outs = (_Numbers(builder, signature.args[p], arguments[p]) for p in range(3))
        r, k, T = arguments[3:]

        def block(R, i, C, l):
            rows = [builder.add(i, INDEX(a)) for a in range(R)]
            columns = [builder.add(l, INDEX(b)) for b in range(C)]

            def term(step, values):
                t = (step, INDEX(us.lanes))
                left = [us.load(us.at((a, T), t)) for a in rows]
                right = [vs.load(vs.at((b, T), t)) for b in columns]
                pairs = [(x, y) for x in left for y in right]
                return [_multiply_add(builder, *pair, value) for pair, value in zip(pairs, values, strict=True)]

            sums = _loop(builder, builder.sdiv(T, INDEX(us.lanes)), [us.zero()] * (R * C), term)
            for number, a in enumerate(rows):
                place = outs.at((a, k), l)
                total = _totals(builder, sums[number * C : (number + 1) * C])
                outs.store(builder.fadd(outs.load(place, C), total), place)

        _blocks(builder, r, lambda R, i: _blocks(builder, k, lambda C, l: block(R, i, C, l)))
        return context.get_dummy_value()

    index = types.intp
    return types.none(u, v, out, index, index, index), codegen


def _totals(builder, vectors):
    """The sums of the entries of each of 1, 2 or 4 vectors, as one vector."""
    while vectors[0].type.count > len(vectors):  # fold the halves of a vector
        half = vectors[0].type.count // 2
        low, high = list(range(half)), list(range(half, 2 * half))
        vectors = [builder.fadd(_shuffle(builder, v, v, low), _shuffle(builder, v, v, high)) for v in vectors]
    while len(vectors) > 1:  # two vectors become one: each entry the sum of two neighbours
        size = vectors[0].type.count
        even, odd = ([2 * e + o for e in range(size)] for o in (0, 1))
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.fadd(_shuffle(builder, u, v, even), _shuffle(builder, u, v, odd)) for u, v in pairs]
    return vectors[0]


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

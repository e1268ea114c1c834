"""Vector code in LLVM's language: what ``register_blocks`` and ``edge_blocks`` are written with.

These functions run while Numba compiles. ``builder`` is llvmlite's, and what they return are values of the code that is
being written. Vectors are as wide as the machine's.
"""

from llvmlite import ir

from pyham.engines.compiled.addresses import INDEX, lanes_of


class VectorsAt:
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
        return shuffle(self.builder, single, single, [0] * self.lanes)

    def zero(self):
        return ir.Constant(ir.VectorType(self.number, self.lanes), None)


def shuffle(builder, u, v, places):
    return builder.shuffle_vector(u, v, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def multiply_add(builder, a, b, c):
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def loop(builder, count, start, body, step=1):
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


def in_blocks(builder, count, block):
    """block(size, first) for the pieces of 0 .. count - 1: of four, at the end perhaps one of two and one of one."""
    loop(builder, builder.and_(count, INDEX(-4)), [], lambda first, _: block(4, first) or [], step=4)
    for size in (2, 1):
        with builder.if_then(builder.trunc(builder.lshr(count, INDEX(size // 2)), ir.IntType(1))):
            block(size, builder.and_(count, INDEX(-2 * size)))


def starting_values(builder, starts, outs, rows, places):
    """What the sums of ``rows`` begin with: the vectors at ``places`` of out, if ``start`` is out, else its numbers."""
    same = builder.icmp_unsigned("==", starts.first, outs.first)
    with builder.if_else(same) as (then, otherwise):
        with then:
            from_out = [outs.load(place) for place in places]
            block_then = builder.block
        with otherwise:
            from_start = [v for a in rows for v in [starts.splat(starts.at(a))] * (len(places) // len(rows))]
            block_otherwise = builder.block
    begin = []
    for u, v in zip(from_out, from_start, strict=True):
        phi = builder.phi(u.type)
        phi.add_incoming(u, block_then)
        phi.add_incoming(v, block_otherwise)
        begin.append(phi)
    return begin


def totals(builder, vectors):
    """The sums of the entries of each of 1, 2 or 4 vectors, as one vector."""
    while vectors[0].type.count > len(vectors):  # fold the halves of a vector
        half = vectors[0].type.count // 2
        low, high = list(range(half)), list(range(half, 2 * half))
        vectors = [builder.fadd(shuffle(builder, v, v, low), shuffle(builder, v, v, high)) for v in vectors]
    while len(vectors) > 1:  # two vectors become one: each entry the sum of two neighbours
        size = vectors[0].type.count
        even, odd = ([2 * e + o for e in range(size)] for o in (0, 1))
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.fadd(shuffle(builder, u, v, even), shuffle(builder, u, v, odd)) for u, v in pairs]
    return vectors[0]

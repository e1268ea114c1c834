"""Addresses of numbers, for the kernels; pieces of scratch memory; and how wide the machine's vectors are.

Numba counts every view of an array with an atomic operation, on which a narrow network spent half of its time. The
kernels therefore work with addresses. Numba frees an array after the last use of the array, and does not know about its
address: a function that takes an address of its own array must ``hold`` the array afterwards.
"""

import sys
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 64 if binding.get_host_cpu_features().get("avx512f") else 32  # bytes of a vector
LINE = 64  # bytes of a line of the cache
INDEX = ir.IntType(64)
PAGE, LARGE = 4096, 4 << 20  # bytes of a page, and of memory that is worth large ones
MADV_HUGEPAGE = 14  # Linux's number for it


@intrinsic
def address(typingctx, array):
    """Of the first number of a C-contiguous array."""
    if not (isinstance(array, types.Array) and array.layout == "C"):
        return None

    def codegen(context, builder, signature, arguments):
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def aligned(typingctx, pointer):
    """The next address that is a multiple of 64 bytes: a vector that straddles two lines of the cache takes twice."""

    def codegen(context, builder, signature, arguments):
        return _align(builder, arguments[0])

    return pointer(pointer), codegen


def _align(builder, pointer):
    return builder.inttoptr(_whole(builder, builder.ptrtoint(pointer, INDEX), LINE), pointer.type)


def _whole(builder, count, unit):
    """The next multiple of ``unit``, a power of two."""
    return builder.and_(builder.add(count, INDEX(unit - 1)), INDEX(-unit))


@intrinsic
def shift(typingctx, pointer, count):
    """The address ``count`` numbers on."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.intp), codegen


@intrinsic
def room(typingctx, like, sizes):
    """How many numbers in the dtype of the array ``like`` make room for what ``carve`` hands out."""

    def codegen(context, builder, signature, arguments):
        line = LINE // _bytes(signature.args[0])
        return builder.add(_places(context, builder, signature.args, arguments)[-1], INDEX(line))

    return types.intp(like, sizes), codegen


@intrinsic
def carve(typingctx, memory, sizes):
    """Addresses of pieces of ``sizes`` numbers (a tuple), in an array of ``room`` numbers.

    The pieces follow each other, and each begins at a multiple of 64 bytes.
    """
    pointer = types.CPointer(memory.dtype)

    def codegen(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = _align(builder, array.data)
        places = _places(context, builder, signature.args, arguments)
        pieces = [builder.gep(first, [place]) for place in places[:-1]]
        return context.make_tuple(builder, signature.return_type, pieces)

    return types.UniTuple(pointer, len(sizes))(memory, sizes), codegen


def _places(context, builder, kinds, arguments):
    """Where the pieces begin, counted in numbers, and then where the last one ends."""
    line = LINE // _bytes(kinds[0])
    places = [INDEX(0)]
    for number, kind in enumerate(kinds[1]):
        size = context.cast(builder, builder.extract_value(arguments[1], number), kind, types.intp)
        places.append(builder.add(places[-1], _whole(builder, size, line)))
    return places


def _bytes(array):
    """Of a number in an array of that type."""
    return array.dtype.bitwidth // 8


@intrinsic
def hold(typingctx, arrays):
    """Nothing: an array, or a tuple of arrays, that is used here has not been freed before."""

    def codegen(context, builder, signature, arguments):
        return context.get_dummy_value()

    return types.none(arrays), codegen


@intrinsic
def in_large_pages(typingctx, array):
    """Ask the system to give an array of fresh memory in large pages, where it is large and the system is Linux.

    Small pages cost a fault for every 4 KiB, which took half of the time of a network of 100 000 nodes.
    """

    def codegen(context, builder, signature, arguments):
        if sys.platform == "linux":
            found = context.make_array(signature.args[0])(context, builder, arguments[0])
            size = builder.mul(found.nitems, INDEX(_bytes(signature.args[0])))
            with builder.if_then(builder.icmp_signed(">", size, INDEX(LARGE))):
                first = _whole(builder, builder.ptrtoint(found.data, INDEX), PAGE)
                number = ir.IntType(32)
                kind = ir.FunctionType(number, [INDEX, INDEX, number])
                madvise = cgutils.get_or_insert_function(builder.module, kind, "madvise")
                builder.call(madvise, [first, builder.sub(size, INDEX(PAGE)), number(MADV_HUGEPAGE)])
        return context.get_dummy_value()

    return types.none(array), codegen


@intrinsic
def fetch(typingctx, pointer, count):
    """Ask the processor to bring ``count`` numbers into the cache, a line of it or more, while it goes on."""

    def codegen(context, builder, signature, arguments):
        first, number = arguments[0], ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [first.type, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        line = INDEX(LINE * 8 // signature.args[0].dtype.bitwidth)
        with cgutils.for_range(builder, builder.sdiv(arguments[1], line)) as loop:
            place = builder.gep(first, [builder.mul(loop.index, line)])
            builder.call(prefetch, [place, number(0), number(3), number(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.none(pointer, types.intp), codegen


@intrinsic
def lanes(typingctx, pointer):
    """How many numbers a vector holds."""

    def codegen(context, builder, signature, arguments):
        return context.get_constant(types.intp, lanes_of(signature.args[0]))

    return types.intp(pointer), codegen


def lanes_of(pointer: Any) -> int:
    """The same when compiling, from the pointer's type."""
    return WIDTH * 8 // pointer.dtype.bitwidth

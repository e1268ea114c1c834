"""Addresses of numbers, for the kernels, and how wide the machine's vectors are.

A view of an array is counted by Numba with an atomic operation, and a narrow network spent half of its time so. Numba
frees an array after its last use, not after that of its address: whoever takes the address of an array of its own must
``hold`` it afterwards.
"""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

WIDTH = 64 if binding.get_host_cpu_features().get("avx512f") else 32  # bytes of a vector
INDEX = ir.IntType(64)


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
        whole = builder.add(builder.ptrtoint(arguments[0], INDEX), INDEX(63))
        return builder.inttoptr(builder.and_(whole, INDEX(-64)), arguments[0].type)

    return pointer(pointer), codegen


@intrinsic
def shift(typingctx, pointer, count):
    """The address ``count`` numbers on."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.intp), codegen


@intrinsic
def hold(typingctx, array):
    """Nothing: an array that is used here has not been freed before."""

    def codegen(context, builder, signature, arguments):
        return context.get_dummy_value()

    return types.none(array), codegen


@intrinsic
def lanes(typingctx, pointer):
    """How many numbers a vector holds."""

    def codegen(context, builder, signature, arguments):
        return context.get_constant(types.intp, lanes_of(signature.args[0]))

    return types.intp(pointer), codegen


def lanes_of(pointer: Any) -> int:
    """The same when compiling, from the pointer's type."""
    return WIDTH * 8 // pointer.dtype.bitwidth

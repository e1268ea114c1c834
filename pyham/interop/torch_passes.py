"""A module's way to the engine: the operators where PyTorch watches, and a shorter one where it does not.

============================================  ======================================================================
who asks                                      what runs
============================================  ======================================================================
a loop in Python, with or without autograd    Recorded: the engine's two passes, with what it recorded on the way
                                              forward kept for the first way back
torch.func (vmap, grad, jacrev)               Mapped, on the operators
compilers, tracers and modes of PyTorch,       the operators themselves
tensors of other kinds
============================================  ======================================================================
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from pyham.architectures.interface import ArchitectureBase
from pyham.engines.choice import select
from pyham.interop import bridging
from pyham.interop import torch_operators as operators
from pyham.interop.torch_operators import array, collected, key_of, tensor_of

Tensor = Any

NUMBERS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
PLAIN = (torch.Tensor, torch.nn.Parameter)
ENGINE = select("numba", np.dtype(np.float64))
FORWARD_MODE = (
    "pyham's network: expected reverse mode (backward, torch.func.grad, jacrev), got forward mode (jvp, jacfwd), which "
    "its explicit adjoint has no part in"
)


class Program:
    """The architecture of one module, and the stages of the parameters that it had last."""

    def __init__(self, arch: ArchitectureBase) -> None:
        self.arch, self.key = arch, key_of(arch)
        self.shape, self.names = arch.shape, tuple(arch.shapes)
        self._lowering = bridging.Lowering(arch)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.arch,)

    def __deepcopy__(self, memo: Any) -> "Program":
        return type(self)(self.arch)

    def stages(self, params: Sequence[Tensor], dtype: Any) -> Any:
        """The stages of these parameters in this dtype."""
        return self._lowering.stages(list(map(array, params)), dtype)


class Recorded(torch.autograd.Function):
    """Both passes with the engine's recording kept between them."""

    @staticmethod
    def forward(ctx: Any, program: Program, x: Tensor, *params: Tensor) -> Tensor:
        y = array(x)
        engine, stages = ENGINE, program.stages(params, y.dtype)
        trace = engine.run(stages, y)
        ctx.program, ctx.kept = program, (engine, stages, trace)
        ctx.save_for_backward(x, *params)
        return tensor_of(trace.output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        inputs, program, needed = ctx.saved_tensors, ctx.program, ctx.needs_input_grad[1:]
        if ctx.kept is None or torch.is_grad_enabled() or watched(g):  # the recording serves once, and for arrays
            some = iter(operators.gradient(inputs[0], list(inputs[1:]), g, program.key, list(needed)))
            return None, *[next(some) if need else None for need in needed]
        (engine, stages, trace), ctx.kept = ctx.kept, None
        delta_N = array(g)
        _, delta_0, sums = engine.back(stages, trace, delta_N)
        return None, *collected(program.arch, program.names, (delta_0, sums), (trace.output, delta_N), inputs, needed)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError(FORWARD_MODE)


_record: Any = super(torch.autograd.Function, Recorded).apply  # without what only transforms of torch.func need


class Mapped(torch.autograd.Function):
    """Forward for the transforms of torch.func, each of which asks in its own way."""

    @staticmethod
    def forward(key: str, x: Tensor, *params: Tensor) -> Tensor:
        return operators.forward(x, list(params), key)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.key, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        needed = tuple(ctx.needs_input_grad[1:])
        found = iter(MappedGradient.apply(ctx.key, needed, g, *ctx.saved_tensors))
        return None, *[next(found) if need else None for need in needed]

    @staticmethod
    def vmap(info: Any, dims: Any, key: str, x: Tensor, *params: Tensor) -> Any:
        def call(x: Tensor, params: Sequence[Tensor], key: str) -> Tensor:
            return Mapped.apply(key, x, *params)

        return operators.forward_mapped(call, info.batch_size, (dims[1], dims[2:]), x, params, key)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError(FORWARD_MODE)


class MappedGradient(torch.autograd.Function):
    """Backward for the same."""

    @staticmethod
    def forward(key: str, needed: tuple[bool, ...], g: Tensor, x: Tensor, *params: Tensor) -> tuple[Tensor, ...]:
        return tuple(operators.gradient(x, list(params), g, key, list(needed)))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(operators.TWICE)

    @staticmethod
    def vmap(info: Any, dims: Any, key: str, needed: tuple[bool, ...], g: Tensor, x: Tensor, *params: Tensor) -> Any:
        def call(x: Tensor, params: Sequence[Tensor], g: Tensor, key: str, needed: Sequence[bool]) -> Any:
            return MappedGradient.apply(key, needed, g, x, *params)

        found, at = operators.gradient_mapped(
            call, info.batch_size, (dims[3], dims[4:], dims[2]), x, params, g, key, needed
        )
        return tuple(found), tuple(at)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError(operators.TWICE)


def watched(tensor: Tensor) -> bool:
    """Whether PyTorch wants to see operators: while it compiles, traces or maps, and for tensors of its other kinds."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or type(tensor) not in PLAIN
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.is_legacy_batchedtensor(tensor)
    )


def apply(program: Program, x: Tensor, params: Sequence[Tensor]) -> Tensor:
    """y_N (B, n) from x (B, n), in x's dtype, float32 or float64."""
    if torch._C._are_functorch_transforms_active():
        return Mapped.apply(program.key, x, *params)
    if watched(x):
        return operators.forward(x, params, program.key)
    if torch.is_grad_enabled() and (x.requires_grad or any([p.requires_grad for p in params])):
        return _record(program, x, *params)
    if forward_ad._current_level >= 0:  # to be refused, should x be a dual number
        return Recorded.apply(program, x, *params)
    y = array(x)
    return tensor_of(ENGINE.forward(program.stages(params, y.dtype), y))


def leading(x: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of x (.., n) before those of a sample.

    Raises
    ------
    TypeError, ValueError
        If it has no samples of this shape, or their numbers are none that pyham computes with.
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x: expected a tensor, got {type(x).__name__}")
    before = bridging.leading(x, shape)
    if x.dtype not in NUMBERS:
        raise TypeError(f"x: expected float64, float32, bfloat16 or float16, got {x.dtype}")
    if not x.is_cpu:
        raise ValueError(f"x: expected a tensor in main memory, as pyham computes there, got one on {x.device}")
    return before


def rows_of(x: Tensor, before: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """x as (B, n)."""
    return x if len(before) == 1 else x.reshape(math.prod(before), *shape)

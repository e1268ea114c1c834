"""pyham's two passes as operators of PyTorch, "pyham::forward" and "pyham::gradient".

Compilers of PyTorch see two opaque functions: y_N from samples and parameters, and the gradients from dLoss/dy_N.
Neither depends on anything but its arguments, so the second runs forward again.

Operators take numbers, tensors and text, so an architecture is known to them by a key that follows from its options.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pyham.architectures.interface import ArchitectureBase
from pyham.engines.choice import select
from pyham.interop.bridging import lowered

Array = np.ndarray[Any, Any]
Tensor = Any

TWICE = (
    "a gradient of pyham's network: expected to be differentiated once, got a second time; pyham computes first "
    "derivatives only, by an explicit adjoint, and no derivatives of those"
)
_known: dict[str, ArchitectureBase] = {}


def key_of(arch: ArchitectureBase) -> str:
    """The key by which the operators of this process know the architecture from now on."""
    text = json.dumps(arch.config(), sort_keys=True, default=str)
    key = f"{arch.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    while _known.setdefault(key, arch) != arch:  # activations of the same name
        key += "'"
    return key


def _of(key: str) -> ArchitectureBase:
    if key not in _known:
        raise RuntimeError(
            f"arch: expected an architecture that pyham.interop.torch.to_torch was given in this process, got {key}"
        )
    return _known[key]


def array(tensor: Tensor) -> Array:
    """The tensor's memory as an array."""
    found: Array = tensor.numpy(force=True)  # which is quicker than detach().numpy(), and as little a copy
    return found


def tensor_of(values: Array, like: Tensor = None) -> Tensor:
    """A tensor with memory of its own, of the dtype of another."""
    own = values if values.base is None and values.flags.c_contiguous else values.copy()
    found = torch.from_numpy(own)
    return found if like is None or found.dtype == like.dtype else found.to(like.dtype)


def collected(
    arch: ArchitectureBase,
    names: Sequence[str],
    found: tuple[Array, Any],
    ends: tuple[Array, Array],
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of x and of the parameters, or None where none is needed.

    The arrays found are delta_0 and the gradients of stages, the ends y_N and delta_N.
    """
    params = dict(zip(names, map(array, inputs[1:]), strict=True))
    of_params = arch.gradients(found[1], params, *ends) if any(needed[1:]) else {}
    values: list[Any] = [found[0], *map(of_params.get, names)]
    return [tensor_of(v, like) if need else None for v, like, need in zip(values, inputs, needed, strict=True)]


# The operators


@torch.library.custom_op(
    "pyham::forward", mutates_args=(), device_types="cpu", schema="(Tensor x, Tensor[] params, str arch) -> Tensor"
)
def forward(x: Tensor, params: Sequence[Tensor], arch: str) -> Tensor:
    """y_N (B, n) from x (B, n)."""
    y, own = array(x), _of(arch)
    stages = lowered(own, list(own.shapes), list(map(array, params)), y.dtype)
    return tensor_of(select("numba", y.dtype).forward(stages, y))


@torch.library.custom_op(
    "pyham::gradient",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor x, Tensor[] params, Tensor g, str arch, bool[] needed) -> Tensor[]",
)
def gradient(x: Tensor, params: Sequence[Tensor], g: Tensor, arch: str, needed: Sequence[bool]) -> list[Tensor]:
    """The gradients of x and of the parameters, in this order, of those that are needed, from g = dLoss/dy_N."""
    y, own = array(x), _of(arch)
    names = list(own.shapes)
    stages = lowered(own, names, list(map(array, params)), y.dtype)
    delta_N = array(g).astype(y.dtype, copy=False)
    output, delta_0, sums, _ = select("numba", y.dtype).gradient(stages, y, delta_N)
    found = collected(own, names, (delta_0, sums), (output, delta_N), [x, *params], needed)
    return [one for one in found if one is not None]


@forward.register_fake
def _(x: Tensor, params: Sequence[Tensor], arch: str) -> Tensor:
    return x.new_empty((x.shape[0], *_of(arch).output_shape))


@gradient.register_fake
def _(x: Tensor, params: Sequence[Tensor], g: Tensor, arch: str, needed: Sequence[bool]) -> list[Tensor]:
    return [t.new_empty(t.shape) for t, need in zip([x, *params], needed, strict=True) if need]


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    x, params, ctx.arch = inputs
    ctx.save_for_backward(x, *params)


def _back(ctx: Any, g: Tensor) -> Any:
    x, *params = ctx.saved_tensors
    needed = [ctx.needs_input_grad[0], *ctx.needs_input_grad[1]]
    found = iter(gradient(x, params, g, ctx.arch, needed))
    first, *rest = [next(found) if need else None for need in needed]
    return first, rest, None


def _refuse(ctx: Any, *_: Any) -> Any:
    raise RuntimeError(TWICE)


forward.register_autograd(_back, setup_context=_keep)
gradient.register_autograd(_refuse)


# torch.func.vmap: samples are folded into the batch; where parameters differ or have a gradient each, one by one


def _moved(value: Tensor, dim: int | None, size: int) -> Tensor:
    """The mapped dimension first; a tensor without it is repeated."""
    return value.expand(size, *value.shape) if dim is None else value.movedim(dim, 0)


def forward_mapped(call: Any, size: int, dims: Any, x: Tensor, params: Sequence[Tensor], arch: str) -> Any:
    """A call of the operator forward, or of what does the same, on several arguments mapped along these dimensions."""
    rows = _moved(x, dims[0], size)
    if all(dim is None for dim in dims[1]):
        y = call(rows.reshape(-1, *rows.shape[2:]), params, arch)
        return y.reshape(*rows.shape[:2], *y.shape[1:]), 0
    each = [_moved(p, dim, size) for p, dim in zip(params, dims[1], strict=True)]
    return torch.stack([call(rows[i], [p[i] for p in each], arch) for i in range(size)]), 0


def gradient_mapped(
    call: Any, size: int, dims: Any, x: Tensor, params: Sequence[Tensor], g: Tensor, arch: str, needed: Sequence[bool]
) -> Any:
    """The same for the operator gradient."""
    rows, ends = _moved(x, dims[0], size), _moved(g, dims[2], size)
    if not any(needed[1:]) and all(dim is None for dim in dims[1]):
        flat = [t.reshape(-1, *t.shape[2:]) for t in (rows, ends)]
        return [d.reshape(rows.shape) for d in call(flat[0], params, flat[1], arch, needed)], [0] * sum(needed)
    each = [_moved(p, dim, size) for p, dim in zip(params, dims[1], strict=True)]
    found = [call(rows[i], [p[i] for p in each], ends[i], arch, needed) for i in range(size)]
    return [torch.stack(column) for column in zip(*found, strict=True)], [0] * sum(needed)


if hasattr(forward, "register_vmap"):  # from PyTorch 2.5 on
    forward.register_vmap(lambda info, dims, *args: forward_mapped(forward, info.batch_size, dims, *args))
    gradient.register_vmap(lambda info, dims, *args: gradient_mapped(gradient, info.batch_size, dims, *args))

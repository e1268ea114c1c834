"""pyham's two passes as functions of JAX arrays, with a derivative of their own.

passes(arch) is y_N (B, n) from x (B, n) and the parameters, a custom_vjp of JAX. Its backward pass runs forward
again, in the kernel that computes both. Handing over all states instead takes longer (n = 4, N = 64, B = 125: 174 us
for both passes, and 113 us so); and with the engine's recording kept between the calls, compiled gradients took the
same time within 5 %.

Compiled programs of JAX call the engine through jax.experimental.buffer_callback, which hands over the memory of
arrays as it is, where JAX has that and computes on the processor; elsewhere through jax.pure_callback, which copies
and takes twice the time for such a network (420 us for both passes, and 205 us). Callbacks see NumPy arrays only, as
one that calls JAX may wait for itself.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from pyham.architectures.interface import ArchitectureBase
from pyham.engines.choice import select
from pyham.interop.bridging import Lowering

try:
    from jax.experimental.buffer_callback import buffer_callback
except ImportError:
    buffer_callback = None

Array = np.ndarray[Any, Any]

METHOD = "expand_dims"  # under vmap, an argument that is not mapped gets a dimension of length 1: one call for all
TWICE = (
    "a gradient of pyham's network: expected to be differentiated once, got a second time; pyham computes first "
    "derivatives only, by an explicit adjoint, and no derivatives of those"
)


@lru_cache(maxsize=64)
def passes(arch: ArchitectureBase) -> Any:
    """apply(x, *params), differentiable once and backwards; the same function for the same architecture."""
    engine = OnArrays(arch)
    forward = _once(engine.forward)
    gradients = lru_cache(maxsize=None)(lambda needed: _once(engine.gradient(needed)))  # one for each of few

    def output(x: Any) -> Any:
        return jax.ShapeDtypeStruct((x.shape[0], *arch.output_shape), x.dtype)

    def apply(x: Any, *params: Any) -> Any:
        return forward((output(x),), x, *params)[0]

    def keep(*inputs: Any) -> Any:
        values = [one.value for one in inputs]
        needed = tuple(() if one.perturbed else None for one in inputs)  # structure, so that it stays known to Python
        return apply(*values), (needed, values)

    def back(kept: Any, g: Any) -> Any:
        needed, values = kept
        if isinstance(g, SymbolicZero):
            g = jnp.zeros(g.shape, g.dtype)
        chosen = tuple(one is not None for one in needed)
        wanted = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v, one in zip(values, chosen, strict=True) if one]
        found = iter(gradients(chosen)(tuple(wanted), g, *values))
        return tuple(next(found) if one else None for one in chosen)

    differentiable = jax.custom_vjp(apply)
    differentiable.defvjp(keep, back, symbolic_zeros=True)
    return jax.jit(differentiable, inline=True)


def _once(function: Callable[..., tuple[Array, ...]]) -> Callable[..., Any]:
    """A function of NumPy arrays as one of JAX arrays, which refuses to be differentiated."""

    def write(_: Any, out: Any, *buffers: Any) -> None:
        for buffer, values in zip(out, function(*map(np.asarray, buffers)), strict=True):
            np.asarray(buffer)[...] = values

    def read(*arrays: Any) -> tuple[Array, ...]:
        return function(*map(np.asarray, arrays))

    def call(results: tuple[Any, ...], *arrays: Any) -> Any:
        if buffer_callback is not None and jax.default_backend() == "cpu":
            return buffer_callback(write, results, vmap_method=METHOD)(*arrays)
        return jax.pure_callback(read, results, *arrays, vmap_method=METHOD)

    def refuse(*_: Any) -> Any:
        raise TypeError(TWICE)

    refusing = jax.custom_jvp(call, nondiff_argnums=(0,))
    refusing.defjvp(refuse)
    return refusing


class OnArrays:
    """Both passes on NumPy arrays, each of which may have dimensions of vmap before its own: of length 1, or mapped."""

    def __init__(self, arch: ArchitectureBase) -> None:
        self.arch, self.lowering = arch, Lowering(arch)

    def forward(self, x: Array, *params: Array) -> tuple[Array, ...]:
        """y_N (.., B, n) from x (.., B, n): one call of the engine for all samples that share their parameters."""
        shape, before = self.arch.output_shape, x.ndim - 1 - len(self.arch.shape)
        full = np.broadcast_shapes(x.shape[:before], *[p.shape[:before] for p in params])
        y = np.empty((*full, x.shape[before], *shape), x.dtype)
        rows = np.broadcast_to(x, full + x.shape[before:])
        engine = select("numba", x.dtype)
        for at, stages, _ in self._each(
            params, before, x.dtype, np.broadcast_shapes(*[p.shape[:before] for p in params])
        ):
            y[at] = engine.forward(stages, self._flat(rows[at])).reshape(y[at].shape)
        return (y,)

    def gradient(self, needed: tuple[bool, ...]) -> Callable[..., tuple[Array, ...]]:
        """A function from g = dLoss/dy_N, x and the parameters to the gradients of those of the latter needed.

        Those of parameters are sums over a batch, so every batch that vmap maps takes a call of its own.
        """

        def gradient(g: Array, x: Array, *params: Array) -> tuple[Array, ...]:
            before = x.ndim - 1 - len(self.arch.shape)
            shared = np.broadcast_shapes(*[p.shape[:before] for p in params])
            full = np.broadcast_shapes(g.shape[:before], x.shape[:before], shared)
            values, chosen = [x, *params], [i for i, need in enumerate(needed) if need]
            found = {i: np.empty((*full, *values[i].shape[before:]), values[i].dtype) for i in chosen}
            rows, ends = (np.broadcast_to(t, full + t.shape[before:]) for t in (x, g))
            engine = select("numba", x.dtype)
            for at, stages, own in self._each(params, before, x.dtype, full if any(needed[1:]) else shared):
                start, end = self._flat(rows[at]), self._flat(ends[at], self.arch.output_shape)
                output, delta_0, sums, _ = engine.gradient(stages, start, end)
                of_params = self.arch.gradients(sums, own, output, end) if any(needed[1:]) else {}
                for i, out in found.items():
                    out[at] = of_params[self.lowering.names[i - 1]] if i else delta_0.reshape(out[at].shape)
            return tuple(found.values())

        return gradient

    def _each(
        self, params: Sequence[Array], before: int, dtype: Any, apart: tuple[int, ...]
    ) -> Iterator[tuple[Any, Any, dict[str, Array]]]:
        """An index, and stages and parameters there, for every entry of the dimensions apart; length 1 stays whole."""
        for place in np.ndindex(*apart):
            own = [p[tuple(i if n > 1 else 0 for i, n in zip(place, p.shape[:before], strict=True))] for p in params]
            at = tuple(i if n > 1 else slice(None) for i, n in zip(place, apart, strict=True))
            yield at, self.lowering.stages(own, dtype), dict(zip(self.lowering.names, own, strict=True))

    def _flat(self, rows: Array, shape: tuple[int, ...] | None = None) -> Array:
        """(.., B, n) as (B', n)."""
        own = self.arch.shape if shape is None else shape
        return rows.reshape(math.prod(rows.shape[: rows.ndim - len(own)]), *own)

"""Networks in JAX: as pure functions of parameters and samples, back from there, and certificates of JAX's functions.

    from pyham.interop import jax as bridge

    net = pyham.H2(width=4, depth=64, step=0.05).init(0)
    f, params = bridge.to_jax(net), bridge.parameters(net)      # y_N = f(params, x)
    gradients = jax.jit(jax.grad(lambda params: loss(f(params, x))))(params)
    net = bridge.network(net, params)                           # a pyham.Network with what they have become

Both passes run on pyham's engine, the backward pass by its explicit adjoint, in one call of it for each. jit, grad,
vmap, scan and checkpoint work as on any function of JAX. Differentiated twice (hessian), it raises a TypeError that
says so; in forward mode (jvp, jacfwd, linearize) JAX raises its own, that a custom_vjp function has no jvp. Of a
program that is spread over several devices, each computes the whole batch; in jax.shard_map, each its own samples.

Needs JAX: pip install "pyham[jax]".
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.interface import ArchitectureBase
from pyham.interop.bridging import leading
from pyham.network import Network
from pyham.verification import certify_layers
from pyham.verification.certificate import Certificate

try:
    import jax
    import jax.numpy as jnp

    from pyham.interop.jax_passes import passes
except ImportError as error:
    raise ImportError(f'pyham.interop.jax: expected JAX, python -m pip install "pyham[jax]", got {error}') from None

Array = np.ndarray[Any, Any]
Params = Mapping[str, Any]

HALF = (jnp.float16, jnp.bfloat16)
NUMBERS = (jnp.float64, jnp.float32, *HALF)


class HamiltonianFunction:
    """f(params, x): all layers of an architecture of pyham's, as a pure function.

    It takes a dict of parameters under the network's names and x (.., n), or (.., C, rows, columns) for images, with
    any dimensions before those of a sample, and gives y_N in x's dtype. The computation runs in x's dtype too, to which
    the parameters are rounded; float16 and bfloat16 are computed in float32.

    Under vmap, samples are folded into one batch; parameters that are mapped, and gradients of parameters for each of
    several batches, are computed one by one. Functions of equal architectures are equal.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """

    def __init__(self, arch: ArchitectureBase) -> None:
        self.arch = arch

    def __call__(self, params: Params, x: Any) -> Any:
        """y_N from x = y_0."""
        shapes = self.arch.shapes
        if not isinstance(params, Mapping) or set(params) != set(shapes):
            came = ", ".join(map(str, params)) if isinstance(params, Mapping) else type(params).__name__
            raise ValueError(f"params: expected the names {', '.join(shapes)}, got {came}")
        values = [_numbers(f"params[{name!r}]", params[name]) for name in shapes]
        for (name, shape), value in zip(shapes.items(), values, strict=True):
            if value.shape != shape:
                raise ValueError(f"params[{name!r}]: expected shape {_check.spell(shape)}, got {value.shape}")
        start = _numbers("x", x)
        before = leading(start, self.arch.shape)
        rows = start if len(before) == 1 else start.reshape(math.prod(before), *self.arch.shape)
        y = passes(self.arch)(_wide(rows), *map(_wide, values))
        y = y if len(before) == 1 else y.reshape(*before, *self.arch.output_shape)
        return y.astype(start.dtype) if start.dtype in HALF else y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HamiltonianFunction) and self.arch == other.arch

    def __hash__(self) -> int:
        return hash(self.arch)

    def __repr__(self) -> str:
        return f"<HamiltonianFunction {self.arch}>"


def to_jax(net: Network) -> HamiltonianFunction:
    """The network as a pure function f(params, x) of JAX arrays; parameters(net) are its parameters.

    Raises
    ------
    TypeError
        If it is no network of float32 or float64 parameters.
    """
    return HamiltonianFunction(_real(net).arch)


def parameters(net: Network) -> dict[str, Any]:
    """Copies of the network's parameters as JAX arrays; of float32, unless jax_enable_x64 is set.

    Raises
    ------
    TypeError
        If it is no network of float32 or float64 parameters.
    """
    return {name: jnp.array(value) for name, value in _real(net).params.items()}


def network(like: Any, params: Params) -> Network:
    """The network with copies of these parameters. Its architecture is that of the first argument.

    Parameters
    ----------
    like : an architecture, a network, or what to_jax made
    params : arrays under the names of the architecture's parameters; what is narrower than float32 becomes float32

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    arch = like.arch if isinstance(like, (Network, HamiltonianFunction)) else like
    if not isinstance(arch, ArchitectureBase):
        raise TypeError(f"like: expected an Architecture, a Network or what to_jax made, got {type(like).__name__}")
    if isinstance(params, Mapping):
        params = {name: np.asarray(_wide(value)) for name, value in params.items()}
    return Network(arch, params)


def certify(
    layers: Sequence[Callable[[Any], Any]], x: Any, *, J: Any = None, error: float | None = None
) -> Certificate:
    """Certificate of a list of JAX's functions from (B, n) to (B, n), each row from its own sample alone.

    This is ``pyham.verification.certify_layers`` with Jacobians by JAX's jacrev, which are compared with differences.
    It is computed in float64, so that jax_enable_x64 has to be set. Of f and params made here, ``pyham.certify`` of
    network(f, params) says more.

    Parameters
    ----------
    x : samples (B, n)
    J, error : as for certify_layers

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not jax.config.jax_enable_x64:
        raise ValueError("jax_enable_x64: expected True, as certificates are computed in float64, got False")
    if not isinstance(layers, (list, tuple)):
        raise TypeError(f"layers: expected a list of functions, got {type(layers).__name__}")
    for i, layer in enumerate(layers):
        if not callable(layer):
            raise TypeError(f"layers[{i}]: expected a function, got {type(layer).__name__}")
    y = _check.array("x", x, ("B", "n")).astype(np.float64)
    derivatives = [jax.vmap(jax.jacrev(_of_one(layer))) for layer in layers]
    return certify_layers(list(map(_values, layers)), y, J=J, derivatives=list(map(_values, derivatives)), error=error)


def _of_one(layer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda sample: layer(sample[None])[0]


def _values(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """The function of NumPy arrays, compiled for numbers of rows that are powers of 2 only; others are filled up."""
    compiled = jax.jit(function)

    def values(y: Array) -> Array:
        more = (1 << max(0, len(y) - 1).bit_length()) - len(y) if len(y) else 0
        return np.asarray(compiled(np.pad(y, ((0, more), (0, 0)), "edge") if more else y))[: len(y)]

    return values


def _real(net: Any) -> Network:
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    if net.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"net: expected parameters of float32 or float64, got {net.dtype}")
    return net


def _numbers(argument: str, value: Any) -> Any:
    """The value as an array of JAX, of a dtype that pyham computes with."""
    found = value if isinstance(value, jax.Array) else jnp.asarray(value)
    if found.dtype not in NUMBERS:
        raise TypeError(f"{argument}: expected float64, float32, bfloat16 or float16, got {found.dtype}")
    return found


def _wide(value: Any) -> Any:
    """float16 and bfloat16 in float32."""
    return value.astype(jnp.float32) if value.dtype in HALF else value

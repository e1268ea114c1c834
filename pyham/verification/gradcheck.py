"""Is backpropagation exact? Four checks by independent routes, on any network, each with a number that is 0 in exact
arithmetic.

===================  ==============================================================================  ==================
check                compares                                                                        rounding level
===================  ==============================================================================  ==================
``complex_step``     every gradient with Im L(theta + i t e_k) / t, which has no cancellation         a few eps
``sensitivity``      Phi_0 with the columns Im y_N(x + i t e_k) / t                                   a few eps
``dot_product``      <v, Phi_j u> with <X_j v, u>, X_j v by complex step; and delta_j with Phi_j g    a few eps
``finite_difference``every gradient with (L(theta + t e_k) - L(theta - t e_k)) / 2t                  eps^(2/3)
``taylor``           |L(theta + t d) - L(theta)| and the same less t <grad, d>: orders 1 and 2        orders
===================  ==============================================================================  ==================

The loss is L = <g, y_N> for an array g (B, n), or any function of the output that returns its value and its gradient,
``loss(y) -> (value, dvalue/dy)``; it is then checked together with the network, and must accept complex y for the
complex step. Oracles run on the NumPy reference engine in complex double precision and use its forward pass only, so
they share no line with the backward pass they check. Differences are relative to the largest entry of the oracle's
result. ReLU has a kink at 0: a complex step or a small difference does not see it unless it sits on it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.engines.reference import REFERENCE
from pyham.network import Network

Array = np.ndarray[Any, Any]

Loss = Callable[[Array], tuple[Any, Array]]

TINY = 1e-100  # the complex step: its square vanishes beside 1, itself does not underflow


class TaylorRow(NamedTuple):
    """Remainders at step t: ``first`` = |L(theta + t d) - L(theta)|, ``second`` = |.. - t <grad L, d>|."""

    t: float
    first: float
    second: float


def complex_step(net: Network, x: object, g: object | Loss, *, backend: Backend = "numba") -> dict[str, float]:
    """Relative error of the adjoint's gradients against the complex step, for every parameter and for ``"x"``.

    One forward pass for every entry of every parameter: for small networks.
    """

    def derivative(loss: Callable[[Array], Any], value: Array) -> Array:
        return _entrywise(lambda k: loss(_moved(value, k, 1j * TINY)).imag / TINY, value)

    return _compare(net, x, g, backend, derivative, np.complex128)


def finite_difference(
    net: Network, x: object, g: object | Loss, *, step: float = 6e-6, backend: Backend = "numba"
) -> dict[str, float]:
    """The same by central differences; the default step balances truncation and rounding at eps^(1/3)."""

    def derivative(loss: Callable[[Array], Any], value: Array) -> Array:
        return _entrywise(lambda k: (loss(_moved(value, k, step)) - loss(_moved(value, k, -step))) / (2 * step), value)

    return _compare(net, x, g, backend, derivative, np.float64)


def sensitivity(net: Network, x: object, *, backend: Backend = "numba") -> float:
    """Relative error of Phi_0 against the complex step, the largest over samples."""
    start = _double("x", x, net)
    phi = net.sensitivity(start, backend=backend)[0]
    units = np.eye(net.arch.width)
    columns = [net(start + 1j * TINY * unit, backend="reference").imag / TINY for unit in units]
    oracle = np.stack(columns, axis=1)  # d y_N / d x_i is row i of Phi_0
    return _relative(phi, oracle)


def dot_product(
    net: Network, x: object, *, rng: int | np.random.Generator = 0, backend: Backend = "numba"
) -> dict[str, float]:
    """Residuals of three identities at every depth j, for random v, u (B, n); the largest over depths and samples.

    - "tangent": <v, Phi_j u> = <X_j v, u> with X_j v by complex step from y_j to y_N
    - "adjoint": delta_j = Phi_j u for the adjoint started with delta_N = u
    - "output": the trace ends in the output
    """
    start = _double("x", x, net)
    random = np.random.default_rng(rng)
    v, u = random.standard_normal((2, *start.shape))
    output = net(start, backend=backend)  # before the trace, which then notices if the forward pass changed its input
    trace = net.trace(start, backend=backend)
    phi = net.sensitivity(start, backend=backend)
    delta = net.adjoint(trace, u, backend=backend).delta
    stages = net.stages(np.complex128)
    tangent = adjoint = 0.0
    for j in range(net.arch.depth + 1):
        y = trace.states[j] + 1j * TINY * v
        Xv = REFERENCE.forward(stages.layers(j, stages.depth), y).imag / TINY
        left, right = np.einsum("ba,bac,bc->b", v, phi[j], u), np.einsum("bc,bc->b", Xv, u)
        size = np.linalg.norm(Xv, axis=1) * np.linalg.norm(u, axis=1)
        error = np.abs(left - right) / np.where(size > 0, size, 1)  # dead ReLUs: X_j v = 0
        tangent = np.maximum(tangent, error.max(initial=0))  # np.maximum, because Python's max loses NaN
        adjoint = np.maximum(adjoint, _relative(delta[j], np.einsum("bac,bc->ba", phi[j], u)))
    return {"tangent": float(tangent), "adjoint": float(adjoint), "output": _relative(trace.output, output)}


def taylor(
    net: Network, x: object, g: object | Loss, *, rng: int | np.random.Generator = 0, backend: Backend = "numba"
) -> list[TaylorRow]:
    """Remainders along a direction d of parameters and input, for steps t = 2^-4 .. 2^-24.

    d is random, plus twice its length along the gradient, and of length 1: a direction whose slope is small by chance
    would hide order 1.

    Halving t halves ``first`` and quarters ``second`` when the gradient is right; ``orders`` reads off the exponents.
    """
    start, objective = _double("x", x, net), _objective(g, net)
    random = np.random.default_rng(rng)
    net = net.replace({name: value.astype(np.float64) for name, value in net.params.items()})
    trace = net.trace(start, backend=backend)
    adjoint = net.adjoint(trace, objective(trace.output)[1], backend=backend)
    gradient = {**adjoint.params, "": adjoint.delta[0]}  # "" is the input
    direction = {name: random.standard_normal(value.shape) for name, value in gradient.items()}
    tilt = 2 * _norm(direction) / (_norm(gradient) or 1.0)
    direction = {name: d + tilt * gradient[name] for name, d in direction.items()}
    size = _norm(direction)
    direction = {name: d / size for name, d in direction.items()}
    slope = sum(float((gradient[name] * d).sum()) for name, d in direction.items())

    def loss(t: float) -> float:
        moved = net.replace({name: value + t * direction[name] for name, value in net.params.items()})
        return float(objective(moved(start + t * direction[""], backend="reference"))[0])

    base = loss(0.0)
    steps = [2.0**-k for k in range(4, 25)]
    return [TaylorRow(t, abs(loss(t) - base), abs(loss(t) - base - t * slope)) for t in steps]


def orders(rows: list[TaylorRow]) -> tuple[float, float]:
    """Observed orders of the two remainders: medians of log2 of the ratio at four successive halvings.

    Of the first at the smallest steps, because it is of order 2 as long as t exceeds slope / curvature; of the second
    at t = 2^-12 .. 2^-16, where it is small enough to be of order 2 and some 10^5 times its rounding error.
    """
    table = np.array(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.log2(table[:-1, 1:] / table[1:, 1:])
    upper = table[:-1, 0]
    small = (upper <= 2.0**-12) & (upper > 2.0**-16)
    return float(np.median(observed[-4:, 0])), float(np.median(observed[small, 1]))


def _compare(
    net: Network,
    x: object,
    g: object | Loss,
    backend: Backend,
    derivative: Callable[[Callable[[Array], Any], Array], Array],
    dtype: Any,
) -> dict[str, float]:
    start, objective = _double("x", x, net), _objective(g, net)
    trace = net.trace(start, backend=backend)
    adjoint = net.adjoint(trace, objective(trace.output)[1], backend=backend)
    plain = {name: value.astype(dtype) for name, value in net.params.items()}

    def loss(at: Array, params: dict[str, Array]) -> Any:
        return objective(Network(net.arch, params)(at, backend="reference"))[0]

    def of_parameter(name: str) -> Callable[[Array], Any]:
        return lambda value: loss(start.astype(dtype), plain | {name: value})

    errors = {
        name: _relative(adjoint.params[name], derivative(of_parameter(name), value)) for name, value in plain.items()
    }
    return errors | {"x": _relative(adjoint.delta[0], derivative(lambda at: loss(at, plain), start.astype(dtype)))}


def _norm(arrays: dict[str, Array]) -> float:
    return float(np.sqrt(sum((value * value).sum() for value in arrays.values())))


def _objective(g: object | Loss, net: Network) -> Loss:
    """The loss as a function of y_N that returns its value and its gradient."""
    if callable(g):
        return g
    gradient = _double("g", g, net)
    return lambda y: ((y * gradient).sum(), gradient)


def _entrywise(at: Callable[[tuple[int, ...]], float], value: Array) -> Array:
    result = np.empty(value.shape)
    for k in np.ndindex(*value.shape):
        result[k] = at(k)
    return result


def _moved(value: Array, k: tuple[int, ...], step: complex) -> Array:
    moved = value.copy()
    moved[k] += step
    return moved


def _double(argument: str, value: object, net: Network) -> Array:
    shape = net.arch.output_shape if argument == "g" else net.arch.shape
    return _check.array(argument, value, ("B", *shape)).astype(np.float64)


def _relative(value: Array, oracle: Array) -> float:
    """Largest difference over largest entry of the oracle; the difference itself where the oracle is 0."""
    if not oracle.size:
        return 0.0
    difference, size = float(np.abs(value - oracle).max()), float(np.abs(oracle).max())
    return difference / size if size else difference

"""The programs that are compared. Each makes, for a case, a function without arguments that computes everything.

What it returns has the same layout for all: for "gradient" dLoss/dx, then the gradients of the parameters by name; for
"sensitivities" the array (N + 1, B, n, n). PyTorch and JAX are timed as their users would write them: PyTorch eagerly,
with autograd, one tensor for each layer's weights; JAX compiled, with a scan over the layers.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import pyham
from benchmarks.cases import STEP, Case

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]


def pyham_gradient(case: Case) -> Run:
    net, (x, g) = case.network(), case.arrays()
    if case.what == "sensitivities":
        return lambda: net.sensitivity(x)

    def run() -> list[Array]:
        result = net.gradient(x, g)
        return [result.input, *result.params.values()]

    return run


def pyham_trace_adjoint(case: Case) -> Run:
    """The two passes apart, as for a loss that depends on y_N."""
    net, (x, g) = case.network(), case.arrays()

    def run() -> list[Array]:
        result = net.adjoint(net.trace(x), g)
        return [result.input, *result.params.values()]

    return run


def numpy(case: Case) -> Run:
    """The reference engine: NumPy, layer by layer."""
    net, (x, g) = case.network(), case.arrays()
    if case.what == "sensitivities":
        return lambda: net.sensitivity(x, backend="reference")

    def run() -> list[Array]:
        result = net.adjoint(net.trace(x, backend="reference"), g, backend="reference")
        return [result.delta[0], *result.params.values()]

    return run


def torch(case: Case) -> Run:
    module: Any = import_module("torch")
    module.set_num_threads(pyham.get_num_threads())
    net, (x, g) = case.network(), case.arrays()

    def leaf(array: Array) -> Any:
        return module.tensor(array, requires_grad=True)

    start, weight = leaf(x), module.tensor(g)
    params = {name: [leaf(layer) for layer in value] for name, value in net.params.items()}
    linear, tanh = module.nn.functional.linear, module.tanh
    m = case.width // 2
    if case.architecture == "H1":
        J = module.tensor(np.asarray(net.interconnection, dtype=case.dtype))

        def forward() -> list[Any]:
            states = [start]
            for K, b in zip(params["K"], params["b"], strict=True):
                y = states[-1]
                states.append(y + STEP * tanh(linear(y, K, b)) @ (K @ J.T))
            return states
    else:

        def forward() -> list[Any]:
            states = [start]
            for Kp, Kq, b in zip(params["Kp"], params["Kq"], params["b"], strict=True):
                p, q = states[-1][:, :m], states[-1][:, m:]
                p = p - STEP * tanh(linear(q, Kq, b[m:])) @ Kq
                q = q + STEP * tanh(linear(p, Kp, b[:m])) @ Kp
                states.append(module.cat((p, q), dim=1))
            return states

    flat = [start, *(layer for layers in params.values() for layer in layers)]

    def gradient() -> list[Array]:
        found = module.autograd.grad((forward()[-1] * weight).sum(), flat)
        stacked, at = [found[0].numpy()], 1
        for layers in params.values():
            stacked.append(module.stack(found[at : at + len(layers)]).numpy())
            at += len(layers)
        return stacked

    def sensitivities() -> Array:
        states = forward()
        columns = [
            module.stack(module.autograd.grad(states[-1][:, c].sum(), states, retain_graph=True))
            for c in range(case.width)
        ]
        return np.asarray(module.stack(columns, dim=-1).numpy())

    return gradient if case.what == "gradient" else sensitivities


def jax(case: Case) -> Run:
    module: Any = import_module("jax")
    module.config.update("jax_enable_x64", True)
    jnp, lax = module.numpy, module.lax
    net, (x, g) = case.network(), case.arrays()
    m = case.width // 2
    J = None if case.architecture != "H1" else jnp.array(np.asarray(net.interconnection, dtype=case.dtype))
    h = np.dtype(case.dtype).type(STEP)

    def layer(y: Any, weights: Any) -> Any:
        if J is not None:
            K, b = weights["K"], weights["b"]
            return y + h * jnp.tanh(y @ K.T + b) @ (K @ J.T)
        Kp, Kq, b = weights["Kp"], weights["Kq"], weights["b"]
        p, q = y[:, :m], y[:, m:]
        p = p - h * jnp.tanh(q @ Kq.T + b[m:]) @ Kq
        return jnp.concatenate((p, q + h * jnp.tanh(p @ Kp.T + b[:m]) @ Kp), axis=1)

    def loss(x: Any, params: Any, g: Any) -> Any:
        y, _ = lax.scan(lambda y, weights: (layer(y, weights), None), x, params)
        return (y * g).sum()

    def all_sensitivities(x: Any, params: Any) -> Any:
        _, states = lax.scan(lambda y, weights: (layer(y, weights), y), x, params)

        def back(phi: Any, at: Any) -> Any:
            y, weights = at
            _, pull = module.vjp(lambda y: layer(y, weights), y)
            before = module.vmap(lambda column: pull(column)[0], in_axes=-1, out_axes=-1)(phi)
            return before, before

        last = jnp.broadcast_to(jnp.eye(case.width, dtype=x.dtype), (case.batch, case.width, case.width))
        _, phi = lax.scan(back, last, (states, params), reverse=True)
        return jnp.concatenate((phi, last[None]))

    params = {name: jnp.array(value) for name, value in net.params.items()}
    start, weight = jnp.array(x), jnp.array(g)
    if case.what == "sensitivities":
        compiled = module.jit(all_sensitivities)
        return lambda: module.block_until_ready(compiled(start, params))
    gradient = module.jit(module.grad(loss, (0, 1)))

    def run() -> list[Any]:
        dx, found = module.block_until_ready(gradient(start, params, weight))
        return [dx, *(found[name] for name in net.params)]

    return run


PROGRAMS: dict[str, Callable[[Case], Run]] = {
    "pyham": pyham_gradient,
    "pyham, two passes": pyham_trace_adjoint,
    "NumPy": numpy,
    "PyTorch": torch,
    "JAX": jax,
}

MODULES = {"PyTorch": "torch", "JAX": "jax"}


def available(case: Case) -> dict[str, Callable[[Case], Run]]:
    """The programs that compute this case and whose packages are installed."""
    return {
        name: program
        for name, program in PROGRAMS.items()
        if (name not in MODULES or find_spec(MODULES[name]))
        and (case.what == "gradient" or program is not pyham_trace_adjoint)
    }


def missing() -> list[str]:
    return [name for name, module in MODULES.items() if not find_spec(module)]

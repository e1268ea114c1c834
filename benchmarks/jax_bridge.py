"""What pyham's layers cost inside of JAX, and what they save there: ``python -m benchmarks.jax_bridge``.

Both passes of 64 layers, n = 4, on 125 samples: by pyham alone, and by the jitted gradient of the function that to_jax
makes of the same network, through each of the two callbacks that JAX may have. The bridge runs forward once more than
pyham's gradient, so that both together stand there too, and a jitted function of the same arrays that does nothing.
Then a step of training, a linear layer in front and one behind, Adam, all in one jitted function: with that function,
and with the same layers written in JAX, a scan over them. Their losses must agree before they are timed. Everything in
float64; all programs take turns.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import pyham
from benchmarks.timing import interleaved
from pyham.commands import program

Array = np.ndarray[Any, Any]

WIDTH, DEPTH, STEP, BATCH = 4, 64, 0.05, 125
FEW = 5  # steps, after which losses are compared: later ones differ by rounding, which training amplifies


def network(name: str) -> pyham.Network:
    return pyham.architecture(name, width=WIDTH, depth=DEPTH, step=STEP).init(0)


def passes(name: str) -> dict[str, Callable[[], Any]]:
    """Functions that compute gradients of a network, of x and of all parameters."""
    jax: Any = import_module("jax")
    bridge: Any = import_module("pyham.interop.jax")
    callbacks: Any = import_module("pyham.interop.jax_passes")
    net = network(name)
    x, g = np.random.default_rng(1).standard_normal((2, BATCH, WIDTH))
    f, inputs = bridge.to_jax(net), (bridge.parameters(net), jax.numpy.array(x))
    weight = jax.numpy.array(g)

    def of(function: Any) -> Callable[[], Any]:
        compiled = jax.jit(function)
        compiled(*inputs)
        return lambda: jax.block_until_ready(compiled(*inputs))

    def gradient() -> Callable[[], Any]:
        return of(jax.grad(lambda params, x: (f(params, x) * weight).sum(), (0, 1)))

    runs = {
        "pyham": lambda: net.gradient(x, g),
        "pyham, forward and then both": lambda: (net(x), net.gradient(x, g)),
        "JAX, nothing": of(lambda params, x: jax.tree.map(lambda value: value + 1, (params, x))),
    }
    if callbacks.buffer_callback is not None:
        runs["JAX and pyham"] = gradient()
    found, callbacks.buffer_callback = callbacks.buffer_callback, None
    callbacks.passes.cache_clear()  # what is compiled has made its choice
    runs["JAX and pyham, pure_callback"] = gradient()
    callbacks.buffer_callback = found
    callbacks.passes.cache_clear()
    return runs


def trainings(name: str) -> dict[str, Callable[[], float]]:
    """Functions that make one step of training each, and give the loss before it."""
    jax: Any = import_module("jax")
    bridge: Any = import_module("pyham.interop.jax")
    jnp, net, rng = jax.numpy, network(name), np.random.default_rng(2)
    x, labels = jnp.array(rng.standard_normal((BATCH, 2))), jnp.array(rng.integers(0, 2, BATCH))
    first, last = map(jnp.array, rng.standard_normal((2, WIDTH, 2)) / 2)

    def step_of(layers: Any) -> Callable[[], float]:
        def loss(model: Any) -> Any:
            logits = layers(model["net"], x @ model["first"].T) @ model["last"]
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

        def adam(state: Any) -> Any:
            model, m, v, t = state
            value, found = jax.value_and_grad(loss)(model)
            m = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, m, found)
            v = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, v, found)
            rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            model = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), model, m, v)
            return (model, m, v, t + 1), value

        model = {"net": bridge.parameters(net), "first": first, "last": last}
        state, compiled = (model, *[jax.tree.map(jnp.zeros_like, model) for _ in range(2)], 1.0), jax.jit(adam)

        def step() -> float:
            nonlocal state
            state, value = compiled(state)
            return float(jax.block_until_ready(value))

        return step

    return {"pyham": step_of(bridge.to_jax(net)), "JAX": step_of(plain(net))}


def plain(net: pyham.Network) -> Callable[[Any, Any], Any]:
    """The layers of an H1 or H2 as users of JAX write them."""
    jax: Any = import_module("jax")
    jnp, m, J = jax.numpy, WIDTH // 2, np.asarray(net.interconnection)

    def layer(y: Any, w: Any) -> Any:
        if net.arch.name == "H1":
            return y + STEP * jnp.tanh(y @ w["K"].T + w["b"]) @ (w["K"] @ J.T), None
        p, q = y[:, :m], y[:, m:]
        p = p - STEP * jnp.tanh(q @ w["Kq"].T + w["b"][m:]) @ w["Kq"]
        return jnp.concatenate((p, q + STEP * jnp.tanh(p @ w["Kp"].T + w["b"][:m]) @ w["Kp"]), axis=1), None

    return lambda params, x: jax.lax.scan(layer, x, params)[0]


def difference(name: str) -> float:
    """How far the losses of the first few steps are apart."""
    ours, theirs = (np.array([step() for _ in range(FEW)]) for step in trainings(name).values())
    return float(np.abs(ours - theirs).max())


def measure(name: str, seconds: float) -> dict[str, Any]:
    """Medians in microseconds.

    Raises
    ------
    ArithmeticError
        If both trainings compute something else.
    ModuleNotFoundError
        Without JAX.
    """
    import_module("jax").config.update("jax_enable_x64", True)
    error = difference(name)
    if not error <= 1e-12:
        raise ArithmeticError(f"{name}: JAX's losses differ from pyham's by {error:.1e}, more than 1e-12")
    found = {}
    for kind, runs in (("passes", passes(name)), ("training", trainings(name))):
        times = interleaved(runs, seconds=seconds)
        found[kind] = {key: round(1e6 * timing.median, 1) for key, timing in times.items()}
    return {"network": name, "difference": error, **found}


def sentences(found: dict[str, Any]) -> list[str]:
    both, steps = found["passes"], found["training"]
    ways = [key for key in both if key.startswith("JAX and pyham")]
    overheads = ", ".join(
        f"{both[key] - both['pyham']:.0f} ({both[key] - both['pyham, forward and then both']:.0f}) by {key}"
        for key in ways
    )
    return [
        f"{found['network']}, n = {WIDTH}, N = {DEPTH}, B = {BATCH}, both passes, in microseconds: "
        + ", ".join(f"{key} {value:.0f}" for key, value in both.items()),
        f"  overhead over pyham's gradient (over the passes that run): {overheads}",
        f"  a step of training with Adam: with pyham's layers {steps['pyham']:.0f}, all in JAX {steps['JAX']:.0f}, "
        f"{steps['JAX'] / steps['pyham']:.1f}x; losses of {FEW} steps agree to {found['difference']:.0e}",
    ]


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.jax_bridge", description=__doc__)
    parser.add_argument("--seconds", type=float, help="for each network and table (5; quick: 0.5)")
    parser.add_argument("--quick", action="store_true", help="half a second each: does it run?")
    parser.add_argument("--json", action="store_true", help="print data instead of sentences")
    options = parser.parse_args(argv)
    if find_spec("jax") is None:
        print('JAX is not installed, and nothing is measured (pip install "pyham[jax]")')
        return 0
    seconds = options.seconds or (0.5 if options.quick else 5)
    found = [measure(name, seconds) for name in ("H1", "H2")]
    print(json.dumps(found) if options.json else "\n".join(line for one in found for line in sentences(one)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

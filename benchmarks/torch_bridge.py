"""What pyham's layers cost inside of PyTorch, and what they save there: ``python -m benchmarks.torch_bridge``.

Both passes of 64 layers, n = 4, on 125 samples: by pyham alone, and by the module that to_torch makes of the same
network. Between them stands what PyTorch takes for an autograd function of the same tensors that does nothing, alone
and with pyham's gradient behind it: in turn, both are slower, as each puts the other's code out of the caches.
Then a step of training, a Linear in front of the layers and one behind, Adam: with that module, and with the same
layers written in PyTorch, a module for each. Their losses must agree before they are timed. Everything in float64, on
one thread; all programs take turns.
"""

import itertools
import json
import sys
from collections.abc import Callable
from importlib import import_module
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
    torch: Any = import_module("torch")
    bridge: Any = import_module("pyham.interop.torch")
    net = network(name)
    x, g = np.random.default_rng(1).standard_normal((2, BATCH, WIDTH))
    module = bridge.to_torch(net)
    inputs, weight = [torch.tensor(x, requires_grad=True), *module.parameters()], torch.tensor(g)
    tilt = itertools.cycle((1e-9, -1e-9))

    class Nothing(torch.autograd.Function):
        """As many tensors in and out, and nothing between."""

        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.save_for_backward(*tensors)
            return torch.empty_like(tensors[0])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return tuple(map(torch.empty_like, ctx.saved_tensors))

    def changed() -> dict[str, Array]:
        """Parameters after a step, which stages have to be made of again."""
        return {"b": net.params["b"] + next(tilt)}

    def bridge_after_a_step() -> Any:
        with torch.no_grad():
            module.b += next(tilt)
        return torch.autograd.grad(module(inputs[0]), inputs, weight)

    def idle() -> Any:
        return torch.autograd.grad(Nothing.apply(*inputs), inputs, weight)

    def two_passes_after_a_step() -> Any:
        moved = net.replace(changed())
        return moved.adjoint(moved.trace(x), g)

    return {
        "pyham": lambda: net.gradient(x, g),
        "pyham, two passes": lambda: net.adjoint(net.trace(x), g),
        "pyham, two passes, new parameters": two_passes_after_a_step,
        "PyTorch, nothing": idle,
        "PyTorch, nothing, then pyham": lambda: (idle(), net.gradient(x, g)),
        "PyTorch and pyham": lambda: torch.autograd.grad(module(inputs[0]), inputs, weight),
        "PyTorch and pyham, new parameters": bridge_after_a_step,
    }


def trainings(name: str) -> dict[str, Callable[[], float]]:
    """Functions that make one step of training each, and give the loss before it."""
    torch: Any = import_module("torch")
    bridge: Any = import_module("pyham.interop.torch")
    net = network(name)
    rng = np.random.default_rng(2)
    x = torch.tensor(rng.standard_normal((BATCH, 2)))
    labels = torch.tensor(rng.integers(0, 2, BATCH))

    def step_of(layers: Any) -> Callable[[], float]:
        torch.manual_seed(0)
        first, last = torch.nn.Linear(2, WIDTH).double(), torch.nn.Linear(WIDTH, 2).double()
        model = torch.nn.Sequential(first, layers, last)
        adam, entropy = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()

        def step() -> float:
            adam.zero_grad()
            loss = entropy(model(x), labels)
            loss.backward()
            adam.step()
            return float(loss.item())

        return step

    return {"pyham": step_of(bridge.to_torch(net)), "PyTorch": step_of(plain(net))}


def plain(net: pyham.Network) -> Any:
    """The layers of an H1 or H2 as users of PyTorch write them."""
    torch: Any = import_module("torch")
    linear, tanh, m = torch.nn.functional.linear, torch.tanh, WIDTH // 2

    class Layer(torch.nn.Module):
        """One of them, with its own parameters."""

        def __init__(self, j: int) -> None:
            super().__init__()
            for name, value in net.params.items():
                self.register_parameter(name, torch.nn.Parameter(torch.tensor(value[j])))
            self.register_buffer("J", torch.tensor(np.array(net.interconnection)))

        def forward(self, y: Any) -> Any:
            if net.arch.name == "H1":
                return y + STEP * tanh(linear(y, self.K, self.b)) @ (self.K @ self.J.T)
            p, q = y[:, :m], y[:, m:]
            p = p - STEP * tanh(linear(q, self.Kq, self.b[m:])) @ self.Kq
            q = q + STEP * tanh(linear(p, self.Kp, self.b[:m])) @ self.Kp
            return torch.cat((p, q), dim=1)

    return torch.nn.Sequential(*map(Layer, range(DEPTH)))


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
        Without PyTorch.
    """
    import_module("torch").set_num_threads(1)  # with batches so small, more of them only wait for each other
    error = difference(name)
    if not error <= 1e-12:
        raise ArithmeticError(f"{name}: PyTorch's losses differ from pyham's by {error:.1e}, more than 1e-12")
    found = {}
    for kind, runs in (("passes", passes(name)), ("training", trainings(name))):
        times = interleaved(runs, seconds=seconds)
        found[kind] = {key: round(1e6 * timing.median, 1) for key, timing in times.items()}
    return {"network": name, "difference": error, **found}


def sentences(found: dict[str, Any]) -> list[str]:
    both, steps = found["passes"], found["training"]
    overhead = both["PyTorch and pyham"] - both["pyham"]
    own = both["PyTorch and pyham"] - both["PyTorch, nothing, then pyham"]
    after = both["PyTorch and pyham, new parameters"] - both["pyham, two passes, new parameters"]
    return [
        f"{found['network']}, n = {WIDTH}, N = {DEPTH}, B = {BATCH}, both passes, in microseconds: "
        + ", ".join(f"{key} {value:.0f}" for key, value in both.items()),
        f"  overhead {overhead:.0f}, {own:.0f} of it beyond an autograd function and pyham in turn; "
        f"after a change of parameters, over two passes, {after:.0f}",
        f"  a step of training with Adam: with pyham's layers {steps['pyham']:.0f}, all in PyTorch "
        f"{steps['PyTorch']:.0f}, {steps['PyTorch'] / steps['pyham']:.1f}x; losses of {FEW} steps agree to "
        f"{found['difference']:.0e}",
    ]


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.torch_bridge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for each network and table (5)")
    parser.add_argument("--json", action="store_true", help="print data instead of sentences")
    options = parser.parse_args(argv)
    found = [measure(name, options.seconds) for name in ("H1", "H2")]
    print(json.dumps(found) if options.json else "\n".join(line for one in found for line in sentences(one)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The papers' training on the Swiss roll, by pyham and by PyTorch: ``python -m benchmarks.planar``.

Same network (H1, 64 layers), same start, same batches, same mathematics: for every batch ten steps of Adam that fit a
fresh output layer to the fixed features, and one step of the weights through it; then the output layer alone. PyTorch
is written as its users would, eagerly and with autograd. Both compute in float64.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import pyham
from pyham.commands import program
from pyham.data.plane import swiss_roll, train_test_split
from pyham.training.protocol import Protocol
from pyham.training.trainer import train

Array = np.ndarray[Any, Any]

DEPTH, FINAL_TIME, SEED = 64, 1.2, 0
FEW = 2  # epochs of each phase, whose losses are compared: later ones differ by rounding, which training amplifies


def start() -> tuple[pyham.Network, Array, Array]:
    """The network before training, x (4000, 4) and labels (4000,)."""
    x, labels, _, _ = train_test_split(*swiss_roll(8000, rng=SEED))
    return pyham.H1(width=4, depth=DEPTH, step=FINAL_TIME / DEPTH).init(SEED), x, labels


def with_pyham(epochs: int) -> Array:
    """The mean loss of every epoch (2 epochs,), in each of both phases ``epochs`` of them."""
    net, x, labels = start()
    return train(net, x, labels, protocol=Protocol(epochs=epochs, output_epochs=epochs), rng=SEED).losses


def with_torch(epochs: int) -> Array:
    """The same losses."""
    module: Any = import_module("torch")
    module.set_num_threads(1)  # with batches so small, more of them only wait for each other
    net, x, labels = start()
    protocol, h, generator = Protocol(), net.arch.step, np.random.default_rng(SEED)
    X, target = module.tensor(x), module.tensor(labels.astype(np.float64))
    J = module.tensor(np.asarray(net.interconnection).copy())
    K, b = (module.tensor(net.params[name].copy(), requires_grad=True) for name in ("K", "b"))
    entropy = module.nn.BCEWithLogitsLoss()

    def forward(y: Any) -> Any:
        for K_j, b_j in zip(K.unbind(), b.unbind(), strict=True):
            y = y + h * module.tanh(module.nn.functional.linear(y, K_j, b_j)) @ (K_j @ J.T)
        return y

    def layer() -> tuple[Any, Any, Any]:
        """Zeros, and Adam for them."""
        w, mu = module.zeros(4, dtype=X.dtype, requires_grad=True), module.zeros(1, dtype=X.dtype, requires_grad=True)
        return w, mu, module.optim.Adam([w, mu], lr=protocol.rate)

    def descend(w: Any, mu: Any, adam: Any, y: Any, rows: Any) -> float:
        """A step of the output layer; the loss before it."""
        adam.zero_grad()
        loss = entropy(y @ w + mu, target[rows])
        (loss + protocol.alpha_c / 2 * (w.square().sum() + mu.square().sum())).backward()
        adam.step()
        return loss.item()

    def batches() -> list[Any]:
        return [module.tensor(rows) for rows in generator.permutation(len(x)).reshape(-1, protocol.batch)]

    losses, weights = [], module.optim.Adam([K, b], lr=protocol.rate)
    for _ in range(epochs):
        total = 0.0
        for rows in batches():
            y = forward(X[rows])
            w, mu, adam = layer()
            for _ in range(protocol.inner_steps):
                descend(w, mu, adam, y.detach(), rows)
            loss = entropy(y @ w.detach() + mu.detach(), target[rows])
            roughness = (K[1:] - K[:-1]).square().sum() + (b[1:] - b[:-1]).square().sum()
            weights.zero_grad()
            (loss + protocol.alpha * h / 2 * roughness).backward()
            weights.step()
            total += loss.item()
        losses.append(total / (len(x) // protocol.batch))
    with module.no_grad():
        features = forward(X)
    w, mu, adam = layer()
    for _ in range(epochs):
        found = [descend(w, mu, adam, features[rows], rows) for rows in batches()]
        losses.append(sum(found) / len(found))
    return np.array(losses)


def measure(epochs: int, repeats: int) -> dict[str, Any]:
    """Seconds of a whole training by either, pyham's before and after PyTorch's; first, few epochs must agree.

    Raises
    ------
    ArithmeticError
        If they compute something else.
    ModuleNotFoundError
        Without PyTorch.
    """
    ours, theirs = with_pyham(FEW), with_torch(FEW)
    error = float(np.abs(ours - theirs).max())
    if not error <= 1e-11:  # rounding, which some 100 steps amplify
        raise ArithmeticError(f"PyTorch's losses differ from pyham's by {error:.1e}, more than 1e-11")
    times = [seconds(with_pyham, epochs) for _ in range(repeats)]
    peer = seconds(with_torch, epochs)
    times += [seconds(with_pyham, epochs) for _ in range(repeats)]
    return {"epochs": epochs, "pyham": statistics.median(times), "PyTorch": peer, "difference": error}


def seconds(training: Callable[[int], Array], epochs: int) -> float:
    begin = time.perf_counter()
    training(epochs)
    return time.perf_counter() - begin


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.planar", description=__doc__)
    parser.add_argument("--epochs", type=int, default=50, help="of each of the two phases (50, as in the papers)")
    parser.add_argument("--repeats", type=int, default=3, help="of pyham, before and after PyTorch (3)")
    parser.add_argument("--json", action="store_true", help="print data instead of a sentence")
    options = parser.parse_args(argv)
    found = measure(options.epochs, options.repeats)
    print(json.dumps(found) if options.json else sentence(found))
    return 0


def sentence(found: dict[str, Any]) -> str:
    ratio = found["PyTorch"] / found["pyham"]
    return (
        f"The papers' training of a {DEPTH}-layer H1 on the Swiss roll, {found['epochs']} epochs and as many of the "
        f"output layer: pyham {found['pyham']:.2f} s, PyTorch {found['PyTorch']:.1f} s, {ratio:.0f}x. "
        f"Losses of {FEW} and {FEW} epochs agree to {found['difference']:.0e}."
    )


if __name__ == "__main__":
    sys.exit(main())

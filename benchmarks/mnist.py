"""An epoch of MNIST, pyham beside PyTorch: ``python -m benchmarks.mnist`` prints a table.

The papers' network: convolution 3 x 3 from 1 to 8 channels, an H-DNN of 4 layers on the channels of every pixel, a
linear layer from 6272 to 10, softmax loss; Adam, batches of 100. Both programs get the same weights and images; first
their losses and gradients are held against each other, then they train in turns, a few batches each, from pixels to
Adam's step. Seconds of an epoch are the median batch times 600. PyTorch is used as its users would: convolution and
linear layer are its own, the H-DNN is matrix products on (pixels, channels), autograd does the rest.
"""

import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import pyham
from pyham import images
from pyham.architectures.lift import normalise
from pyham.commands import program
from pyham.data import plane as datasets
from pyham.training.classifier import Classifier
from pyham.training.model import PredictorModel
from pyham.training.optimizers import Adam, Descent
from pyham.training.protocol import Protocol

Array = np.ndarray[Any, Any]

BATCH, EPOCH, RATE = 100, 600, 1e-3
PROTOCOL = Protocol(batch=BATCH, rate=RATE, scheme="joint", loss="softmax", alpha=0.0, alpha_c=0.0)


class Program:
    """Losses and gradients of the current weights, and training steps."""

    def __init__(self, gradient: Callable[[Array], tuple[float, list[Array]]], step: Callable[[Array], None]) -> None:
        self.gradient, self.step = gradient, step


def network(name: str, dtype: str) -> Classifier:
    """With an output layer that is not 0, so that all gradients are not."""
    first = images.untrained(images.image_architecture(name, depth=4, step=1.0), 0, dtype=dtype)
    first.head.layer[:, :-1] = np.random.default_rng(1).standard_normal(first.head.scaled[0].shape)
    return first


def with_pyham(first: Classifier, pixels: Array, labels: Array) -> Program:
    model = PredictorModel(first, PROTOCOL)
    descent = Descent(Adam(), model.theta, model.steps)

    def gradient(rows: Array) -> tuple[float, list[Array]]:
        loss, _, found = model.gradient("joint", pixels[rows], labels[rows])
        sizes = [value.size for value in model.describe()[1].values()]
        return loss, np.split(found.copy(), np.cumsum(sizes)[:-1])

    def step(rows: Array) -> None:
        descent.step(model.gradient("joint", pixels[rows], labels[rows])[2], RATE)

    return Program(gradient, step)


def with_torch(first: Classifier, pixels: Array, labels: Array) -> Program:
    torch: Any = import_module("torch")
    torch.set_num_threads(pyham.get_num_threads())
    arch: Any = first.net.arch
    h, m, gain = arch.network.step, arch.network.width // 2, first.head.gain
    leaves = {}
    for name, value in first.describe()[1].items():  # one tensor for each layer's weights
        split = list(value) if name in arch.shapes else [value]
        leaves[name] = [torch.tensor(np.array(part), requires_grad=True) for part in split]
    flat = [leaf for several in leaves.values() for leaf in several]
    x = torch.tensor(normalise(pixels, first.net.dtype))[:, None]
    truth = torch.tensor(labels)
    optimizer = torch.optim.Adam(flat, lr=RATE)
    functional, tanh = torch.nn.functional, torch.tanh
    J = None
    if arch.network.name == "H1":
        J = torch.tensor(np.asarray(arch.network.J, dtype=first.net.dtype))

    def loss(rows: Array) -> Any:
        y = functional.conv2d(x[rows], leaves["lift"][0], leaves["lift_bias"][0], padding=1)
        size = y.shape
        y = y.permute(0, 2, 3, 1).reshape(-1, size[1])
        if J is not None:
            for K, b in zip(leaves["K"], leaves["b"], strict=True):
                y = y + h * tanh(functional.linear(y, K, b)) @ (K @ J.T)
        else:
            p, q = y[:, :m], y[:, m:]
            for Kp, Kq, b in zip(leaves["Kp"], leaves["Kq"], leaves["b"], strict=True):
                p = p - h * tanh(functional.linear(q, Kq, b[m:])) @ Kq
                q = q + h * tanh(functional.linear(p, Kp, b[:m])) @ Kp
            y = torch.cat((p, q), dim=1)
        y = y.reshape(size[0], *size[2:], size[1]).permute(0, 3, 1, 2).reshape(size[0], -1)
        z = gain * functional.linear(y, leaves["layer"][0][:, :-1], leaves["layer"][0][:, -1])
        return functional.cross_entropy(z, truth[rows])

    def gradient(rows: Array) -> tuple[float, list[Array]]:
        value = loss(rows)
        found = iter(torch.autograd.grad(value, flat))
        parts = []
        for name in leaves:
            several = [next(found).numpy() for _ in leaves[name]]
            parts.append(np.stack(several).ravel() if name in arch.shapes else several[0].ravel())
        return float(value.detach()), parts

    def step(rows: Array) -> None:
        optimizer.zero_grad()
        loss(rows).backward()
        optimizer.step()

    return Program(gradient, step)


def agree(one: Program, other: Program, rows: Array, dtype: str) -> float:
    """The largest difference of the two losses and gradients, relative to the largest entry of each.

    Raises
    ------
    ArithmeticError
        If it is more than rounding: sums over a batch's pixels, in eps.
    """
    (loss, parts), (right, expected) = one.gradient(rows), other.gradient(rows)
    errors = [abs(loss - right) / abs(right)]
    errors += [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(parts, expected, strict=True)]
    allowed = float(np.finfo(dtype).eps) * (100 + (BATCH * 784) ** 0.5)
    if not max(errors) <= allowed:
        raise ArithmeticError(f"PyTorch and pyham differ by {max(errors):.1e}, more than {allowed:.1e}")
    return max(errors)


def compare(name: str, dtype: str, pixels: Array, labels: Array, seconds: float) -> dict[str, Any]:
    """Seconds of an epoch of both, in turns of a few batches; and by how much their gradients differ."""
    first = network(name, dtype)
    ours, theirs = with_pyham(first, pixels, labels), with_torch(first, pixels, labels)
    programs = {"pyham": ours, "PyTorch": theirs}
    rng = np.random.default_rng(2)
    error = agree(ours, theirs, rng.permutation(len(pixels))[:BATCH], dtype)
    times: dict[str, list[float]] = {key: [] for key in programs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["PyTorch"]) < 6:
        for key, trainer in programs.items():
            time.sleep(0.01)  # the threads of the program before go on waiting actively for a while
            for turn in range(4):
                rows = rng.permutation(len(pixels))[:BATCH]
                start = time.perf_counter()
                trainer.step(rows)
                if turn:  # the first step of a turn does not count
                    times[key].append(time.perf_counter() - start)
    epochs = {key: EPOCH * statistics.median(found) for key, found in times.items()}
    return {"name": name, "dtype": dtype, "error": error, "epochs": epochs, "batches": len(times["pyham"])}


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.mnist", description=__doc__)
    parser.add_argument("--data", help="folder with MNIST's files (PYHAM_DATA, or a cache)")
    parser.add_argument("--seconds", type=float, default=10, help="for each case (10)")
    parser.add_argument("--threads", type=int, help="of both programs (all cores)")
    options = parser.parse_args(argv)
    if options.threads is not None:
        pyham.set_num_threads(options.threads)
    digits = datasets.load_mnist(options.data)
    pixels, labels = np.array(digits.train_images), digits.train_labels.astype(np.int64)
    print(
        f"an epoch of {EPOCH} batches of {BATCH}, seconds, extrapolated from a few; {pyham.get_num_threads()} threads"
    )
    print("network, dtype   pyham  PyTorch  ratio  batches  gradients differ by")
    for name in ("H1", "H2"):
        for dtype in ("float32", "float64"):
            found = compare(name, dtype, pixels, labels, options.seconds)
            ours, theirs = found["epochs"].values()
            print(
                f"{name}, {dtype:8}  {ours:7.2f}  {theirs:7.2f}  {theirs / ours:4.1f}x  {found['batches']:7}  "
                f"{found['error']:.1e}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

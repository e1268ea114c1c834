"""``python -m pyham warmup``: everything that is compiled, compiled once."""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

import pyham
from pyham import images
from pyham.commands.program import say
from pyham.training.losses import CLASSES
from pyham.training.optimizers import SGD, Adam
from pyham.training.protocol import Protocol
from pyham.training.schedules import Constant
from pyham.training.trainer import train

Kind = Callable[[Any], object]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Compiles every kernel for this machine and keeps the machine code on disk (in NUMBA_CACHE_DIR, beside the "
        "package, or in the user's cache), so that no later process has to."
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Use everything that is compiled once."""
    begun = time.perf_counter()
    console = Console(stderr=True)
    for use, dtype in track(USES, "compiling", console=console, transient=True, disable=not console.is_terminal):
        use(dtype)
    say([f"every kernel is compiled ({time.perf_counter() - begun:.1f} s)"])
    return 0


def classifiers_of_images(dtype: Any) -> None:
    """A network whose weights are convolutions, trained and asked for classes, and both its passes by themselves."""
    pixels, labels = np.zeros((8, 4, 4), np.uint8), np.arange(8)
    arch = images.ConvH2(4, 4, width=2, depths=(1, 1))
    found = images.train(arch, pixels, labels, protocol=replace(images.RECOMMENDED, epochs=1), dtype=dtype, rng=0)
    found.accuracy(pixels, labels)
    y = found.lifted(pixels)
    found.net.gradient(y, found.net(y))


def gradients(dtype: Any) -> object:
    """Forward and backward pass, together and apart; states and gradients are computed when they are looked at."""
    return _gradients(*_network(dtype))


def other_passes(dtype: Any) -> None:
    """With little memory, backwards, and of matrices."""
    net, x = _network(dtype)
    _other_passes(net, x)
    pyham.symplectic.defect(net.sensitivity(x), net.interconnection)
    pyham.symplectic.norms(net.sensitivity(x, layers=[0]))


def gradients_on_graphs(dtype: Any) -> object:
    """``gradients`` of a network on a graph."""
    return _gradients(*_network(dtype, graph="path", nodes=2))


def other_passes_on_graphs(dtype: Any) -> None:
    """``other_passes`` of a network on a graph."""
    _other_passes(*_network(dtype, graph="path", nodes=2))


def trainings(dtype: Any) -> None:
    """Both schemes of training, losses and optimisers, for points."""
    net, x = _network(dtype)
    x, labels = x + np.arange(4, dtype=dtype)[:, None], np.arange(4) % 2
    for scheme in ("alternating", "joint"):
        for loss in CLASSES:
            for optimizer in (Adam(), SGD(momentum=0.5)):
                protocol = Protocol(
                    epochs=1, output_epochs=1, batch=2, scheme=scheme, loss=loss, optimizer=optimizer, decay=0.1,
                    schedule=Constant(),
                )  # fmt: skip
                train(net, x, labels, protocol=protocol, rng=0).accuracy(x, labels)


def _gradients(net: pyham.Network, x: Any) -> object:
    net.gradient(x, x)
    trace = net.trace(x)
    adjoint = net.adjoint(trace, x)
    return trace.states, adjoint.delta


def _other_passes(net: pyham.Network, x: Any) -> None:
    net.gradient(x, x, memory="checkpoint")
    net.gradient(x, x, memory="reversible")
    net.inverse(net(x))
    net.sensitivity(x)


def _network(dtype: Any, **options: Any) -> tuple[pyham.Network, Any]:
    return pyham.H2(width=4, depth=4, **options).init(0, dtype=dtype), np.ones((4, 4), dtype)


#: What compiles everything, in parts: what takes longest first.
USES: list[tuple[Kind, Any]] = [
    (use, dtype)
    for use in (classifiers_of_images, gradients_on_graphs, other_passes_on_graphs, gradients, other_passes, trainings)
    for dtype in (np.float64, np.float32)
]

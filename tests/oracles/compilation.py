"""Compilation of the kernels by several test processes at once: each of them compiles what no other has begun.

Machine code is kept on disk, so that a kernel that one process has compiled is only loaded by the others. But if two
processes begin with the same kernel, both compile it. ``python -m tests.oracles.compilation`` says how long each share
takes on one core (with nothing compiled: ``NUMBA_CACHE_DIR`` empty).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham import images


def image_networks(dtype: type) -> None:
    pixels, labels = np.zeros((8, 4, 4), np.uint8), np.arange(8)
    arch = images.ConvH2(4, 4, width=2, depths=(1, 1))
    classifier = images.train(arch, pixels, labels, protocol=replace(images.RECOMMENDED, epochs=1), dtype=dtype, rng=0)
    classifier.accuracy(pixels, labels)


def gradients(dtype: type, **options: Any) -> None:
    net, x = network(dtype, **options)
    net.gradient(x, x)
    net.adjoint(net.trace(x), x)


def other_passes(dtype: type, **options: Any) -> None:
    net, x = network(dtype, **options)
    net.gradient(x, x, memory="checkpoint")
    net.gradient(x, x, memory="reversible")
    net.inverse(net(x))
    net.sensitivity(x)


def gradients_on_graphs(dtype: type) -> None:
    gradients(dtype, graph="path", nodes=2)


def other_passes_on_graphs(dtype: type) -> None:
    other_passes(dtype, graph="path", nodes=2)


def network(dtype: type, **options: Any) -> tuple[pyham.Network, np.ndarray]:
    return pyham.H2(width=4, depth=4, **options).init(0, dtype=dtype), np.zeros((2, 4), dtype)


#: The longest first.
SHARES: list[tuple[Callable[[type], None], type]] = [
    (kernels, dtype)
    for kernels in (image_networks, gradients_on_graphs, other_passes_on_graphs, gradients, other_passes)
    for dtype in (np.float64, np.float32)
]


def compile_a_share(folder: Path) -> None:
    """Compile, share by share, what no process has begun that was given the same folder."""
    for kernels, dtype in SHARES:
        try:
            (folder / f"{kernels.__name__}-{dtype.__name__}").touch(exist_ok=False)
        except FileExistsError:
            continue
        kernels(dtype)


if __name__ == "__main__":
    for kernels, dtype in SHARES:
        begun = time.process_time()
        kernels(dtype)
        print(f"{kernels.__name__}, {dtype.__name__}: {time.process_time() - begun:.1f} s")

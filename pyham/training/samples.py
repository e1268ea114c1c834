"""Checks of the samples that a classifier is trained on, or asked about: points or images, and their labels."""

from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.images import ImageArchitecture
from pyham.architectures.interface import ArchitectureBase
from pyham.network import Network

Array = np.ndarray[Any, Any]


def pixels_of(argument: str, pixels: object, arch: ArchitectureBase) -> Array:
    """``pixels`` as a contiguous array (B, rows, columns) of dtype uint8."""
    images = np.asarray(pixels)
    _, rows, columns = arch.shape
    if images.dtype != np.uint8:
        raise TypeError(f"{argument}: expected pixels of dtype uint8, got {images.dtype}")
    if images.ndim != 3 or images.shape[1:] != (rows, columns):
        raise ValueError(f"{argument}: expected shape (B, {rows}, {columns}), got {images.shape}")
    return images if images.flags.c_contiguous and images.flags.writeable else np.array(images, order="C")


def samples(
    prefix: str, x: object, labels: object, net: Network, loss: str, classes: int | None = None
) -> tuple[Array, Array]:
    """x (B, n) in the network's dtype, or pixels (B, rows, columns), and labels (B,) as integers.

    Labels are 0 and 1, or each of 0 .. C - 1 at least once; with ``classes`` they are C known ones, of which some may
    be missing. In messages the arguments' names begin with ``prefix``.
    """
    images = isinstance(net.arch, ImageArchitecture)
    x_name, labels_name = f"{prefix}pixels" if images else f"{prefix}x", f"{prefix}labels"
    if images:
        data = pixels_of(x_name, x, net.arch)
    else:
        data = _check.array(x_name, x, ("B", net.arch.width)).astype(net.dtype)
    given = _check.array(labels_name, labels, (len(data),))
    if loss == "logistic" and not np.isin(given, (0, 1)).all():
        raise ValueError(f"{labels_name}: expected 0 and 1, got {given[~np.isin(given, (0, 1))][0]:g}")
    if not len(data):
        raise ValueError(f"{x_name}: expected at least one sample, got none")
    top = classes or min(given.max() + 1, len(given))
    wrong = given[~np.isin(given, np.arange(top))]
    if loss == "softmax" and len(wrong):
        last = classes - 1 if classes else "C - 1"
        raise ValueError(f"{labels_name}: expected integers from 0 to {last}, got {wrong[0]:g} among {len(given)}")
    if loss == "softmax" and not classes and len(np.unique(given)) < top:
        raise ValueError(f"{labels_name}: expected every class from 0 to {given.max():g} at least once")
    return data, given.astype(np.int64)


def outputs_of(labels: Array, loss: str) -> int:
    """Rows of the output layer: one for the logistic loss, one for each class after softmax."""
    return 1 if loss == "logistic" else int(labels.max()) + 1


def split(x: Array, labels: Array, share: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """((x, labels) to train on, those held out, a ``share`` of them, or None)."""
    if not 0 <= share < 1:
        raise ValueError(f"validation: expected a number from 0 to below 1, got {share}")
    order = rng.permutation(len(x))
    held_out, rest = np.split(order, [round(share * len(x))])
    if not len(rest):
        raise ValueError(f"validation: expected a share that leaves samples to train on, got {share}")
    rest = np.sort(rest)
    return (x[rest], labels[rest]), (x[held_out], labels[held_out]) if len(held_out) else None

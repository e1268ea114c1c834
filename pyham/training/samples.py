"""Checks of the samples that are trained on: points, rows of tables or images, with labels or values, and weights."""

from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.images import ImageArchitecture
from pyham.architectures.interface import ArchitectureBase
from pyham.network import Network
from pyham.training.losses import VALUES
from pyham.training.stored import Stored, checked, converted, mapped, parts

Array = np.ndarray[Any, Any]


def pixels_of(argument: str, pixels: object, arch: ArchitectureBase) -> Array | Stored:
    """``pixels`` (B, rows, columns) of dtype uint8: a contiguous array, or ``Stored`` in a memory-mapped file."""
    images = np.asarray(pixels)
    _, rows, columns = arch.shape
    if images.dtype != np.uint8:
        raise TypeError(f"{argument}: expected pixels of dtype uint8, got {images.dtype}")
    if images.ndim != 3 or images.shape[1:] != (rows, columns):
        raise ValueError(f"{argument}: expected shape (B, {rows}, {columns}), got {images.shape}")
    if mapped(images):
        return Stored(images, np.ascontiguousarray)
    return images if images.flags.c_contiguous and images.flags.writeable else np.array(images, order="C")


def samples(
    prefix: str, x: object, labels: object, net: Network, loss: str, classes: int | None = None,
    features: int | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """x (B, F) in the network's dtype, or pixels (B, rows, columns), and labels (B,) as integers, or values (B, C).

    Labels are 0 and 1, or each of 0 .. C - 1 at least once; with ``classes`` they are C known ones, of which some may
    be missing. Values may be (B,) too; with ``classes`` there are so many of them. ``features`` is F, the network's
    width unless given; then x keeps its dtype, as it is still to be scaled. What is in a memory-mapped file is looked
    at in parts, and ``Stored``. In messages the arguments' names begin with ``prefix``.
    """
    images = isinstance(net.arch, ImageArchitecture)
    x_name, labels_name = f"{prefix}pixels" if images else f"{prefix}x", f"{prefix}labels"
    data: Any
    if images:
        data = pixels_of(x_name, x, net.arch)
    else:
        data = checked(x_name, x, ("B", net.arch.width if features is None else features))
        data = converted(data, lambda part: part.astype(net.dtype)) if features is None else data
    if loss in VALUES:
        values = _values(labels_name, labels, len(data), loss, classes)
        return data, converted(values, lambda part: part.astype(net.dtype))
    given = checked(labels_name, labels, (len(data),))
    for part in parts(given) if loss == "logistic" else ():
        if len(wrong := part[~np.isin(part, (0, 1))]):
            raise ValueError(f"{labels_name}: expected 0 and 1, got {wrong[0]:g}")
    if not len(data):
        raise ValueError(f"{x_name}: expected at least one sample, got none")
    if loss == "softmax":
        _check_classes(labels_name, given, classes)
    return data, converted(given, lambda part: part.astype(np.int64))


def _check_classes(argument: str, given: Array | Stored, classes: int | None) -> None:
    """Refuse what are no numbers of classes, and unless these are known, a class without a sample."""
    largest = max(part.max() for part in parts(given))
    known = np.arange(classes or min(largest + 1, len(given)))
    seen = np.zeros(len(known), bool)
    for part in parts(given):
        if len(wrong := part[~np.isin(part, known)]):
            last = classes - 1 if classes else "C - 1"
            raise ValueError(f"{argument}: expected integers from 0 to {last}, got {wrong[0]:g} among {len(given)}")
        seen |= np.isin(known, part)
    if not classes and not seen.all():
        raise ValueError(f"{argument}: expected every class from 0 to {largest:g} at least once")


def _values(argument: str, values: object, count: int, loss: str, outputs: int | None) -> Array | Stored:
    """Values (B, C) of a regression."""
    given = checked(argument, values, None)
    if len(given.shape) == 1:
        given = converted(given, lambda part: part[:, None])
    shape = given.shape
    if given.dtype.kind != "f" or len(shape) != 2 or shape != (count, outputs or max(1, shape[-1])):
        raise ValueError(f"{argument}: expected real numbers of shape {(count, outputs or 'C')}, got {given.shape}")
    if not count:
        raise ValueError(f"{argument}: expected at least one sample, got none")
    if loss == "poisson" and (least := min(part.min() for part in parts(given))) < 0:
        raise ValueError(f"{argument}: expected numbers >= 0 for the Poisson loss, got {least:g}")
    return given


def weights_of(
    count: int, sample_weight: object = None, labels: Array | Stored | None = None, class_weight: object = None
) -> Array | None:
    """Weights (B,) of samples with the mean 1, or None where all are alike.

    Parameters
    ----------
    sample_weight : None, or numbers (B,) >= 0, of which one at least is positive
    labels, class_weight : integers (B,), and None, a number >= 0 for each class, or "balanced": B / (C B_c), so that
        all classes weigh the same; a sample's weight is the product of both
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(count)
    if sample_weight is not None:
        weights = _check.array("sample_weight", sample_weight, (count,)).astype(np.float64)
        if weights.min(initial=0) < 0:
            raise ValueError(f"sample_weight: expected numbers >= 0, got {weights.min():g}")
    if class_weight is not None:
        if labels is None:
            raise ValueError("class_weight: expected None in a regression, got weights")
        classes = outputs_of(labels, "softmax")
        if isinstance(class_weight, str):
            _check.choice("class_weight", class_weight, ("balanced",))
            counts = sum(np.bincount(part, minlength=classes) for part in parts(labels))
            of_class = count / (np.count_nonzero(counts) * np.maximum(counts, 1))
        else:
            of_class = _check.array("class_weight", class_weight, ("C",))
            if len(of_class) < classes or of_class.min() < 0:
                raise ValueError(f"class_weight: expected {classes} numbers >= 0, got {of_class}")
        weights = weights * np.concatenate([of_class[part] for part in parts(labels)])
    total = weights.sum()
    if not 0 < total < np.inf:
        raise ValueError(f"sample_weight: expected a positive finite sum of all weights, got {total:g}")
    return weights * (count / total)


def outputs_of(labels: Array | Stored, loss: str) -> int:
    """Rows of the output layer: one for the logistic loss, one for each class after softmax, one for each value."""
    if loss in VALUES:
        return labels.shape[1]
    return 1 if loss == "logistic" else int(max(part.max() for part in parts(labels))) + 1


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

"""An image network: an architecture with parameters. What it is asked goes through one of two engines."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.groups import Group
from pyham.architectures.image_base import ImageArchitecture, head_of, lift_of
from pyham.architectures.images import image_architecture
from pyham.engines import image_reference as reference
from pyham.engines.choice import Backend
from pyham.files import archive
from pyham.training.history import History

Array = np.ndarray[Any, Any]

KIND, TRAINING = "image network", "image training"  # what headers of files say


class ImageNetwork:
    """An image architecture and its parameters; immutable.

    Parameters
    ----------
    arch : ImageArchitecture
    params : mapping from the names of ``arch.shapes`` to arrays of these shapes, all of one floating dtype, in which
        the network then computes

    Raises
    ------
    TypeError, ValueError
        If names, shapes or dtypes are not those of the architecture, or a number is not finite.

    Notes
    -----
    Images are pixels (B, H, W) of dtype uint8, from 0 (background) to 255. ``backend`` is "numba" (float32, float64)
    or "reference" (complex and longdouble, too).
    """

    def __init__(self, arch: ImageArchitecture, params: Mapping[str, Any]) -> None:
        if not isinstance(arch, ImageArchitecture):
            raise TypeError(f"arch: expected an ImageArchitecture, got {type(arch).__name__}")
        self.arch = arch
        self.params: Mapping[str, Array] = MappingProxyType(_check.parameters("params", params, arch.shapes))

    def __repr__(self) -> str:
        return f"<ImageNetwork {self.arch}, {self.dtype}>"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The parameters' dtype."""
        return self.params["mu"].dtype

    @property
    def groups(self) -> list[Group]:
        """The stages between lift and linear layer."""
        return self.arch.lower(self.params)

    def logits(self, pixels: object, *, backend: Backend = "numba") -> Array:
        """z (B, C) of pixels (B, H, W)."""
        images = pixels_of("pixels", pixels, self.arch)
        head = head_of(self.arch, self.params)
        result: Array = engine(backend, self.dtype).logits(lift_of(self.params), self.groups, *head, images)
        return result

    def lifted(self, pixels: object) -> Array:
        """y_0 (B, C, H, W) of pixels (B, H, W)."""
        images = pixels_of("pixels", pixels, self.arch)
        return reference.lifted(lift_of(self.params), reference.normalise(images, self.dtype))

    def predict(self, pixels: object, *, backend: Backend = "numba") -> Array:
        """Classes (B,) of pixels (B, H, W)."""
        return np.asarray(self.logits(pixels, backend=backend).argmax(axis=1))

    def accuracy(self, pixels: object, labels: object, *, backend: Backend = "numba") -> float:
        """Share of images classified right."""
        return float((self.predict(pixels, backend=backend) == np.asarray(labels)).mean())

    def save(self, path: str | PathLike[str]) -> None:
        """Write architecture and parameters to one file, atomically; ``pyham.images.load`` reads it."""
        archive.write(path, {"kind": KIND, "architecture": self.arch.config()}, self.params)


@dataclass(frozen=True)
class ImageClassifier:
    """What a training returns: the network, ``losses`` (E,), the mean loss of each epoch, and ``history``."""

    net: ImageNetwork
    losses: Array
    history: History

    def predict(self, pixels: object) -> Array:
        """Classes (B,) of pixels (B, H, W)."""
        return self.net.predict(pixels)

    def accuracy(self, pixels: object, labels: object) -> float:
        """Share of images classified right."""
        return self.net.accuracy(pixels, labels)


def load(path: str | PathLike[str]) -> ImageNetwork:
    """The network that ``net.save(path)`` wrote, or the one that a training's checkpoint has reached.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, has no image network of pyham's, or is of a newer version.
    """
    header, arrays = archive.read(path)
    if header.get("kind") not in (KIND, TRAINING):
        raise ValueError(f"{path}: expected an image network or its training, got a file of another kind")
    if header["kind"] == TRAINING:
        prefix = "parameters/"
        arrays = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    try:
        config = header["architecture"]
        if arrays["layer"].size != config["classes"] * arrays["layer"].shape[1] or len(arrays) > LONGEST:
            raise ValueError("layer: expected one row for each class")
        return ImageNetwork(image_architecture(**config), arrays)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected an image network, got a header that describes none ({error})") from None


LONGEST = 64  # arrays of a network, at most


def is_image_network(path: str | PathLike[str]) -> bool:
    """Whether the file, which is one of pyham's, has an image network or a training of one."""
    return archive.read(path)[0].get("kind") in (KIND, TRAINING)


def pixels_of(argument: str, pixels: object, arch: ImageArchitecture) -> Array:
    """``pixels`` as a contiguous array (B, H, W) of dtype uint8."""
    images = np.asarray(pixels)
    if images.dtype != np.uint8:
        raise TypeError(f"{argument}: expected pixels of dtype uint8, got {images.dtype}")
    if images.ndim != 3 or images.shape[1:] != (arch.rows, arch.columns):
        raise ValueError(f"{argument}: expected shape (B, {arch.rows}, {arch.columns}), got {images.shape}")
    return images if images.flags.c_contiguous and images.flags.writeable else np.array(images, order="C")


def engine(backend: Backend, dtype: np.dtype[Any]) -> Any:
    """The engine of image networks of that name."""
    if _check.choice("backend", backend, ("numba", "reference")) == "reference":
        return reference
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"params: expected float32 or float64 for backend='numba', got {dtype}")
    from pyham.engines.compiled import (
        images as compiled,  # here, because importing pyham.images should not import Numba
    )

    return compiled

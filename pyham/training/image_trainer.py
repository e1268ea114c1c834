"""Training an image network: ``train``, on the loop and the checkpoints of ``pyham.training``."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.image_base import ImageArchitecture
from pyham.architectures.images import ConvH2
from pyham.engines.choice import Backend
from pyham.training.image_model import ImageModel
from pyham.training.image_network import TRAINING, ImageClassifier, ImageNetwork, load, pixels_of
from pyham.training.loop import Run
from pyham.training.optimizers import Adam
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine
from pyham.training.trainer import Epoch, follow, restore

Array = np.ndarray[Any, Any]

#: For two epochs of MNIST and networks at every pixel, with h = 1 and images moved by up to one pixel: chosen by the
#: accuracy on held-out training images, the same for H1 and H2. Adam's usual beta2 = 0.999 remembers a thousand steps,
#: which here is almost the whole training.
RECOMMENDED = Protocol(
    epochs=2, batch=100, rate=0.03, alpha=0.0, alpha_c=0.0, scheme="joint", loss="softmax", optimizer=Adam(beta2=0.99),
    schedule=Cosine(),
)  # fmt: skip


#: For ConvH2, by the same choice.
CONVOLUTIONAL = replace(RECOMMENDED, epochs=6, batch=50, rate=0.005, optimizer=Adam())


def train(
    network: ImageArchitecture | ImageNetwork,
    pixels: object,
    labels: object,
    *,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    shift: int = 0,
    dtype: Any = np.float32,
    callback: Callable[[Epoch], None] | None = None,
    backend: Backend = "numba",
    validation: tuple[object, object] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    save_every: int = 1,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
) -> ImageClassifier:
    """Train an image network on pixels (B, H, W) of dtype uint8 and labels (B,) from 0 to 9.

    Parameters
    ----------
    network : an architecture, which is then initialised, or a network to begin with
    protocol : ``RECOMMENDED`` unless given (ConvH2: ``CONVOLUTIONAL``); the scheme is "joint", the loss "softmax"
    rng : of the initial parameters, the batches and the shifts
    shift : by how many pixels every image may be moved in every epoch, in both directions
    dtype : of the parameters and the computation, if ``network`` is an architecture: float32 or float64
    callback, validation, checkpoint, save_every, resume, about : as in ``pyham.training.train``

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; a checkpoint that is damaged or another training's.
    FloatingPointError
        If training diverges.
    OSError
        If a checkpoint cannot be read or written.
    """
    arch = network.arch if isinstance(network, ImageNetwork) else network
    settings = protocol or (CONVOLUTIONAL if isinstance(arch, ConvH2) else RECOMMENDED)
    for name, only in (("scheme", "joint"), ("loss", "softmax"), ("levels", 1)):
        if getattr(settings, name) != only:
            raise ValueError(f"{name}: expected {only!r} for images, got {getattr(settings, name)!r}")
    generator = _check.generator(rng)
    _check.integer("save_every", save_every, 1)
    if isinstance(network, ImageArchitecture):
        network = ImageNetwork(network, network.init(generator, dtype=dtype))
    elif not isinstance(network, ImageNetwork):
        raise TypeError(f"network: expected an ImageArchitecture or ImageNetwork, got {type(network).__name__}")
    moved = _check.integer("shift", shift, 0)
    if moved >= max(network.arch.rows, network.arch.columns):
        raise ValueError(f"shift: expected less than the rows and columns of an image, got {shift}")
    data = samples("pixels", "labels", pixels, labels, network.arch)
    held_out = None
    if validation is not None:
        held_out = samples("validation pixels", "validation labels", *validation, network.arch)
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise ValueError("checkpoint: expected a path to resume from, got None")
    stated = {"shift": moved} | dict(about or {})

    again = path is not None and resume and path.exists()
    model = ImageModel(load(path) if again and path is not None else network, settings, moved, backend)
    run = Run(model, *data, settings, generator, held_out)
    if again and path is not None:
        restore(run, path, network, stated, kind=TRAINING)
    keep = {"kind": TRAINING, "start": network.arch.config(), "about": stated}
    follow(run, callback, path, save_every, keep)
    classifier: ImageClassifier = run.model.classifier(run.history)
    return classifier


def samples(
    pixels_name: str, labels_name: str, pixels: object, labels: object, arch: ImageArchitecture
) -> tuple[Array, Array]:
    """Pixels (B, H, W) of dtype uint8 and labels (B,) as integers below ``arch.classes``, at least one of them."""
    images = pixels_of(pixels_name, pixels, arch)
    if not len(images):
        raise ValueError(f"{pixels_name}: expected at least one image, got none")
    given = _check.array(labels_name, labels, (len(images),))
    wrong = given[~np.isin(given, np.arange(arch.classes))]
    if len(wrong):
        raise ValueError(f"{labels_name}: expected integers from 0 to {arch.classes - 1}, got {wrong[0]:g}")
    return images, given.astype(np.int64)


def split(pixels: Array, labels: Array, share: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """((pixels, labels) to train on, those held out, a ``share`` of them, or None)."""
    if not 0 <= share < 1:
        raise ValueError(f"validation: expected a number from 0 to below 1, got {share}")
    order = rng.permutation(len(pixels))
    held_out, rest = np.split(order, [round(share * len(pixels))])
    if not len(rest):
        raise ValueError(f"validation: expected a share that leaves images to train on, got {share}")
    rest = np.sort(rest)
    return (pixels[rest], labels[rest]), (pixels[held_out], labels[held_out]) if len(held_out) else None

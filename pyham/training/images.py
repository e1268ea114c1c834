"""Training classifiers of images: how they begin, ``untrained``, and ``train``, on the loop and the files of all."""

from dataclasses import replace
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.images import ConvH2, ImageArchitecture
from pyham.architectures.lift import MEAN, SPREAD, Lift
from pyham.network import Network
from pyham.training import trainer
from pyham.training.classifier import Classifier
from pyham.training.optimizers import Adam
from pyham.training.protocol import Protocol
from pyham.training.samples import outputs_of
from pyham.training.schedules import Cosine
from pyham.training.stored import checked

Array = np.ndarray[Any, Any]

INITIALIZATIONS = ("centred", "scaled-normal", "normal")

#: For two epochs of MNIST and networks at every pixel, with h = 1 and images moved by up to one pixel: chosen by the
#: accuracy on held-out training images, the same for H1 and H2. Adam's usual beta2 = 0.999 remembers a thousand steps,
#: which here is almost the whole training.
RECOMMENDED = Protocol(
    epochs=2, batch=100, rate=0.03, alpha=0.0, alpha_c=0.0, scheme="joint", loss="softmax", optimizer=Adam(beta2=0.99),
    schedule=Cosine(),
)  # fmt: skip

#: For ConvH2, by the same choice.
CONVOLUTIONAL = replace(RECOMMENDED, epochs=6, batch=50, rate=0.005, optimizer=Adam())


def untrained(
    network: ImageArchitecture | Network,
    rng: np.random.Generator | int | None = None,
    *,
    classes: int = 10,
    gain: float | None = None,
    initialization: str = "centred",
    dtype: Any = np.float32,
) -> Classifier:
    """A classifier of images before its training, in ``dtype``, or in that of ``network`` if it has parameters.

    The lift's kernels are uniform within 1 / 3, one over the square root of their inputs; the output layer is 0, its
    ``gain`` 0.3 for ConvH2 and 0.025 for networks at every pixel unless given. ``initialization`` is one of

    - "normal": K and b normal, of standard deviation 1, and the lift's bias uniform within 1 / 3;
    - "scaled-normal": the same, K and b divided by the square root of the inputs;
    - "centred": K scaled normal, b = 0, and a bias of the lift with which the background of an image, where all pixels
      are 0, becomes the state 0, and stays it where sigma(0) = 0. Otherwise the background, which all images share,
      makes the largest part of what the output layer sees, and nothing can be told from it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    given = network if isinstance(network, Network) else None
    arch: Any = network if given is None else given.arch
    if not isinstance(arch, ImageArchitecture):
        raise TypeError(f"network: expected an architecture or a network of images, got {type(arch).__name__}")
    generator = _check.generator(rng)
    _check.choice("initialization", initialization, INITIALIZATIONS)
    C = arch.shape[0]
    kernel = generator.uniform(-1 / 3, 1 / 3, (C, 1, 3, 3))
    bias = generator.uniform(-1 / 3, 1 / 3, C)
    centred = initialization == "centred"
    if centred:
        bias = kernel.sum(axis=(1, 2, 3)) * (MEAN / SPREAD)
    if given is None:
        given = arch.init(generator, initialization="scaled-normal" if centred else initialization, dtype=dtype)
        if centred:
            given = given.replace({k: np.zeros_like(v) for k, v in given.params.items() if k.startswith("b")})
    usual = 0.3 if isinstance(arch, ConvH2) else 0.025
    lift = Lift(kernel.astype(given.dtype), bias.astype(given.dtype))
    return Classifier.untrained(
        given, _check.integer("classes", classes, 2), gain=usual if gain is None else gain, lift=lift
    )


def train(
    network: ImageArchitecture | Network | Classifier,
    pixels: object,
    labels: object,
    *,
    classes: int | None = None,
    gain: float | None = None,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    dtype: Any = np.float32,
    **options: Any,
) -> Classifier:
    """Train a classifier on pixels (B, rows, columns) of dtype uint8 and labels (B,) from 0 to C - 1.

    Parameters
    ----------
    network : a classifier to begin with; or an architecture or a network, of which ``untrained`` makes one
    classes : C, if there are more than the largest label says
    gain : of the output layer, as in ``untrained``
    protocol : ``RECOMMENDED`` unless given (ConvH2: ``CONVOLUTIONAL``); the scheme is "joint", the loss "softmax"
    rng : of the initial parameters, the batches and the shifts
    dtype : of the parameters and the computation, if ``network`` is an architecture: float32 or float64
    options : the others of ``pyham.training.train``: shift, callback, backend, validation, checkpoint, and so on

    Raises
    ------
    TypeError, ValueError, FloatingPointError, OSError
        As ``pyham.training.train``.
    """
    first, generator = network, _check.generator(rng)
    if not isinstance(first, Classifier):
        known = _classes_of(labels) if classes is None else classes
        first = untrained(first, generator, classes=known, gain=gain, dtype=dtype)
        # Earlier versions drew an output layer, too, before they set it to 0: so the batches stay what they were.
        generator.uniform(size=first.head.layer.shape)
    elif classes is not None or gain is not None:
        raise ValueError("classes, gain: expected none with a classifier, which has them, got one")
    usual = CONVOLUTIONAL if isinstance(first.net.arch, ConvH2) else RECOMMENDED
    return trainer.train(first, pixels, labels, protocol=protocol or usual, rng=generator, **options)


def _classes_of(labels: object) -> int:
    """One more than the largest label, as far as they are labels: ``samples`` looks at them afterwards."""
    given = checked("labels", labels, ("B",))
    return max(2, min(outputs_of(given, "softmax"), len(given))) if len(given) else 2

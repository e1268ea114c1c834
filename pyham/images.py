"""Networks of images, together: architectures, training, files and certificates.

    arch = images.image_architecture("H2", depth=4, step=1.0)      # 8 channels at every pixel
    arch = images.ConvH2(depths=(2, 2, 2))                         # convolutional
    classifier = images.train(arch, pixels, labels, rng=0)         # pixels (B, 28, 28) uint8 and labels (B,)
    classifier.accuracy(test_pixels, test_labels)
    classifier.save(path); images.load(path)
    images.certify(classifier, test_pixels)

``arch.init(rng)`` is a network alone: a map of states (B, C, rows, columns), like all networks. A classifier has the
convolution that makes such states of pixels, and the output layer. The names here live in the rooms of vectors:
``pyham.architectures.images`` and ``pyham.training.images``.
"""

from typing import Any

import numpy as np

from pyham.architectures.images import ConvH2, ImageArchitecture, Pixelwise, image_architecture
from pyham.engines.choice import Backend
from pyham.loading import load
from pyham.training.classifier import Classifier
from pyham.training.images import CONVOLUTIONAL, INITIALIZATIONS, RECOMMENDED, train, untrained
from pyham.verification.certificate import Certificate
from pyham.verification.certificate import certify as certify_network

__all__ = [
    "CONVOLUTIONAL",
    "INITIALIZATIONS",
    "RECOMMENDED",
    "ConvH2",
    "ImageArchitecture",
    "Pixelwise",
    "certify",
    "image_architecture",
    "load",
    "train",
    "untrained",
]


def certify(
    classifier: Classifier,
    pixels: object,
    *,
    full: int | None = None,
    dtype: Any = np.float64,
    backend: Backend = "numba",
) -> Certificate:
    """Certificate of a classifier's network on the states y_0 of images ``pixels`` (B, rows, columns).

    As ``pyham.certify``, which see; ``dtype`` is that of the computation.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not isinstance(classifier, Classifier) or classifier.lift is None:
        raise TypeError(f"classifier: expected a Classifier of images, got {type(classifier).__name__}")
    y = classifier.lifted(pixels, dtype)
    return certify_network(classifier.net, y, full=full, backend=backend)

"""Networks for images: any network of vectors at every pixel, and H2 with convolutions for weights.

    train, test = ...                                  # pixels (B, 28, 28) uint8 and labels
    arch = images.image_architecture("H2", depth=4, step=1.0)      # 8 channels at every pixel
    arch = images.ConvH2(depths=(2, 2, 2))                         # convolutional
    classifier = images.train(arch, pixels, labels, rng=0)
    classifier.accuracy(test_pixels, test_labels)

==================  ==========================================================
``convolution``     convolutions and the squeeze, with their transposes
``stages``          the one form of every image network: groups of stages
``reference``       forward and backward pass in NumPy
``compiled``        the same, compiled
``base``            what architectures share, and how networks begin
``architectures``   parameters to groups, and gradients back
``network``         what users hold; files
``model``           the objective;  ``training`` : ``train``
``certificate``     what holds for a trained ConvH2
==================  ==========================================================
"""

from pyham.architectures.image_base import ImageArchitecture
from pyham.architectures.images import ConvH2, Pixelwise, image_architecture
from pyham.training.image_network import ImageClassifier, ImageNetwork, is_image_network, load
from pyham.training.image_trainer import CONVOLUTIONAL, RECOMMENDED, train
from pyham.verification.image_certificate import certify

__all__ = [
    "CONVOLUTIONAL",
    "RECOMMENDED",
    "ConvH2",
    "ImageArchitecture",
    "ImageClassifier",
    "ImageNetwork",
    "Pixelwise",
    "image_architecture",
    "certify",
    "is_image_network",
    "load",
    "train",
]

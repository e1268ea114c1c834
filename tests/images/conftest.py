"""Digits, in arrays and in files, and a classifier of them."""

import pytest

from pyham import images
from tests.oracles import digits


@pytest.fixture(scope="module")
def data():
    """Pixels and labels to train on, and others: MNIST's or scikit-learn's digits."""
    arrays = digits.arrays()
    pixels, labels = arrays[digits.NAMES[0]], arrays[digits.NAMES[1]].astype(int)
    return (pixels[:200], labels[:200]), (pixels[200:260], labels[200:260])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a few images in MNIST's files."""
    path = tmp_path_factory.mktemp("mnist")
    arrays = digits.arrays()
    for name, count in zip(digits.NAMES, (120, 120, 40, 40), strict=True):
        (path / name).write_bytes(digits.idx_bytes(arrays[name][:count]))
    return path


@pytest.fixture(scope="module")
def trained(data):
    from tests.images.test_images_training import SMALL, convolutional

    (pixels, labels), _ = data
    return images.train(convolutional(pixels), pixels, labels, protocol=SMALL, rng=0)

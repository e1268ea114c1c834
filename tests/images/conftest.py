"""Digits, in arrays and in files, and a classifier of them."""

import pytest

from pyham import images
from tests.oracles import digits


@pytest.fixture(scope="module")
def arrays():
    """MNIST's or scikit-learn's digits, of some ten rows and columns: more only take longer."""
    found = digits.arrays()
    every = found[digits.NAMES[0]].shape[1] // 8
    return [array[:, ::every, ::every] if array.ndim == 3 else array for array in map(found.get, digits.NAMES)]


@pytest.fixture(scope="module")
def data(arrays):
    """Pixels and labels to train on, and others."""
    pixels, labels = arrays[0], arrays[1].astype(int)
    return (pixels[:200], labels[:200]), (pixels[200:260], labels[200:260])


@pytest.fixture(scope="module")
def folder(arrays, tmp_path_factory):
    """A folder with a few images in MNIST's files."""
    path = tmp_path_factory.mktemp("mnist")
    for name, array, count in zip(digits.NAMES, arrays, (120, 120, 40, 40), strict=True):
        (path / name).write_bytes(digits.idx_bytes(array[:count]))
    return path


@pytest.fixture(scope="module")
def trained(data):
    from tests.images.test_images_training import SMALL, convolutional

    (pixels, labels), _ = data
    return images.train(convolutional(pixels), pixels, labels, protocol=SMALL, rng=0)

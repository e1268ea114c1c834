"""What tests of MNIST share: a machine without folders, network or cache of digits, and very small digits."""

import numpy as np
import pytest

from pyham.data import idx, mnist
from tests.oracles import digits


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """No folder but those of the test, and nothing from the network."""
    monkeypatch.delenv("PYHAM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(mnist, "MIRRORS", ())


@pytest.fixture
def small(tmp_path):
    """A folder of very small digits, and the arrays in it."""
    rng = np.random.default_rng(0)
    shapes = ((6, 3, 2), (6,), (4, 3, 2), (4,))
    arrays = {
        name: rng.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
        for name, shape in zip(digits.NAMES, shapes, strict=True)
    }
    folder = tmp_path / "small"
    folder.mkdir()
    for name, array in arrays.items():
        idx.write_idx(folder / name, array)
    return folder, arrays


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "pyham" / "mnist"

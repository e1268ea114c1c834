"""What several tests of the commands use."""

import numpy as np
import pytest

from tests.commands.own_table import NAMES, write


@pytest.fixture
def flowers(tmp_path):
    """A file with two numbers, a word that says which of two classes are meant, and a class with an odd name."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(90):
        label = ["small", "tall; é", 'wide "x"'][i % 3]
        height, mass = rng.standard_normal(2) * 0.4 + [[-1, 0], [1, 0], [1, 0]][i % 3]
        rows.append([float(100 + 10 * height), float(mass), "round" if i % 3 == 2 else "flat", label])
    return write(tmp_path / "flowers.csv", [*NAMES, "name"], rows)

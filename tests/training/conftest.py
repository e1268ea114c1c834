"""Data that several tests of trainings use."""

import pytest

from pyham.data import plane as datasets


@pytest.fixture(scope="module")
def data():
    x, labels, x_test, labels_test = datasets.train_test_split(*datasets.swiss_roll(240, rng=0))
    return {"x": x, "labels": labels, "validation": (x_test, labels_test)}

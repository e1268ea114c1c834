"""What tests of the bridges share: networks of every kind, samples, and equality to the bit."""

import numpy as np

import pyham
from pyham import images

NET = pyham.H2(4, 5, 0.3).init(0)
X = [[1.0, 0.5], [0.2, -0.7]]
ARCHITECTURES = [
    pyham.H1(4, 5, 0.3, interconnection="J2"),
    pyham.H2(4, 5, 0.3, X=X),
    pyham.MS1(4, 5, 0.3, scheme="verlet"),
    pyham.MS2(4, 5, 0.3),
    pyham.MS3(4, 5, 0.3, order="q-first"),
    pyham.MLP(4, 5),
    pyham.H2(4, 3, 0.3, graph="ring", nodes=2),
    images.ConvH2(rows=4, columns=4, depths=(1, 1), activation="tanh"),
    images.image_architecture("H2", depth=2, step=0.5, rows=3, columns=2),
]


def samples(arch, dtype=np.float64, batch=6, seed=1):
    """x and g."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((batch, *shape)).astype(dtype) for shape in (arch.shape, arch.output_shape))


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype

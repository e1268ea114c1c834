"""Stages: the invariants that they assert, and their parts."""

from dataclasses import replace

import numpy as np
import pytest

from pyham.architectures.activations import activation
from pyham.architectures.stages import Stages
from tests.oracles.strategies import SPLIT, VARIANTS, variant

FIELDS = ("A", "c", "W")


def two_part(layers=3, dtype=np.float64):
    """Two stages a layer, width 4: q -> p, then p -> q; every number different."""
    count = 2 * layers
    p, q = slice(0, 2), slice(2, 4)
    A = np.arange(count * 6, dtype=dtype).reshape(count, 3, 2)
    c = np.arange(count * 3, dtype=dtype).reshape(count, 3)
    W = np.arange(count * 6, dtype=dtype).reshape(count, 2, 3)
    return Stages(A, c, W, src=(q, p), dst=(p, q), keep=True, activation=activation("tanh"), width=4)


def test_depth_and_stages_per_layer():
    stages = two_part(layers=3)
    assert (stages.per_layer, stages.depth, stages.width) == (2, 3, 4)


def test_no_layers_are_allowed():
    stages = two_part(layers=0)
    assert (stages.per_layer, stages.depth) == (2, 0)


def test_layers_are_a_slice_of_the_stages():
    stages = two_part(layers=3)
    part = stages.layers(1, 3)
    assert part.depth == 2
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(stages, name)[2:6])
    assert (part.src, part.dst, part.activation) == (stages.src, stages.dst, stages.activation)
    np.testing.assert_array_equal(part.keep, np.ones(4))


def test_no_layers_of_some():
    assert two_part(layers=3).layers(2, 2).depth == 0


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble, np.complex128])
def test_astype_rounds_every_array(dtype):
    stages = two_part()
    other = stages.astype(dtype)
    assert other.dtype == dtype
    for name in FIELDS:
        assert getattr(other, name).dtype == dtype
        np.testing.assert_array_equal(getattr(other, name), getattr(stages, name).astype(dtype))


def test_astype_of_the_same_dtype_copies_nothing():
    stages = two_part()
    assert stages.astype("float64") is stages


def test_shears_read_and_update_disjoint_parts():
    assert two_part().shears


def test_no_shears_where_parts_overlap():
    stages = two_part()
    assert not replace(stages, src=(slice(1, 3), slice(0, 2)), dst=(slice(2, 4), slice(2, 4))).shears
    assert not replace(stages, src=stages.dst).shears


def test_no_shears_where_the_state_is_replaced():
    assert not replace(two_part(), keep=False).shears


@pytest.mark.parametrize("key", VARIANTS)
def test_shears_are_the_architectures_in_two_parts(key):
    net = variant(key, width=4, depth=2).init(0)
    assert net.stages().shears == (net.arch.name in SPLIT)


def test_stages_are_frozen():
    with pytest.raises(AttributeError):
        two_part().keep = False


@pytest.mark.parametrize("name, shape", [("c", (6, 2)), ("c", (5, 3)), ("W", (6, 2, 2)), ("W", (5, 2, 3))])
def test_stages__raises_on_shapes_that_do_not_fit(name, shape):
    message = r"^stages: A \(6, 3, 2\), c \(.*\) and W \(.*\) do not fit together$"
    with pytest.raises(ValueError, match=message):
        replace(two_part(), **{name: np.zeros(shape)})


@pytest.mark.parametrize("name", FIELDS)
def test_stages__raises_on_two_dtypes(name):
    stages = two_part()
    with pytest.raises(TypeError, match=r"^stages: expected one dtype, got float\d\d, float\d\d and float\d\d$"):
        replace(stages, **{name: getattr(stages, name).astype(np.float32)})


def test_stages__raises_on_incomplete_layer():
    stages = two_part()
    with pytest.raises(ValueError, match=r"^stages: 5 stages do not divide into layers of 2 and 2$"):
        replace(stages, A=stages.A[:5], c=stages.c[:5], W=stages.W[:5])


@pytest.mark.parametrize("src, dst", [((slice(0, 2),), (slice(0, 2), slice(2, 4))), ((), ())])
def test_stages__raises_on_slices_that_do_not_pair(src, dst):
    with pytest.raises(ValueError, match=rf"do not divide into layers of {len(src)} and {len(dst)}$"):
        replace(two_part(), src=src, dst=dst)


@pytest.mark.parametrize("name", ["src", "dst"])
@pytest.mark.parametrize(
    "wrong", [slice(0, 3), slice(3, 5), slice(-2, 0), slice(2, 2), slice(0, 4, 2), slice(1, 0)], ids=str
)
def test_stages__raises_on_wrong_slice(name, wrong):
    with pytest.raises(ValueError, match=rf"^stages: {name} expected slices of length 2 in 4, got slice\("):
        replace(two_part(), **{name: (wrong, slice(0, 2))})

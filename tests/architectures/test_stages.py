"""Stages: the invariants that they assert, and their parts."""

from dataclasses import replace

import numpy as np
import pytest

from pyham.architectures.activations import activation
from pyham.architectures.chain import Chain
from pyham.architectures.edges import Edges
from pyham.architectures.maps import DENSE
from pyham.architectures.stages import Stages
from tests.oracles.refusals import refused
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


def test_layers_are_a_slice_of_the_stages():
    stages = two_part(layers=3)
    assert (stages.per_layer, stages.depth, stages.width) == (2, 3, 4)
    part = stages.layers(1, 3)
    assert part.depth == 2
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(stages, name)[2:6])
    assert (part.src, part.dst, part.activation) == (stages.src, stages.dst, stages.activation)
    np.testing.assert_array_equal(part.keep, np.ones(4))
    assert stages.layers(2, 2).depth == two_part(layers=0).depth == 0


@pytest.mark.parametrize("dtype", [np.float32, np.longdouble, np.complex128])
def test_astype_rounds_every_array_and_copies_none_of_the_same_dtype(dtype):
    stages = two_part()
    other = stages.astype(dtype)
    assert other.dtype == dtype
    for name in FIELDS:
        assert getattr(other, name).dtype == dtype
        np.testing.assert_array_equal(getattr(other, name), getattr(stages, name).astype(dtype))
    assert stages.astype("float64") is stages


def test_shears_add_to_a_part_that_they_do_not_read():
    stages = two_part()
    assert stages.shears
    assert not replace(stages, src=(slice(1, 3), slice(0, 2)), dst=(slice(2, 4), slice(2, 4))).shears
    assert not replace(stages, src=stages.dst).shears
    assert not replace(stages, keep=False).shears
    second = np.arange(stages.count) == 1
    assert replace(stages, keep=np.where(second, 0.5, 1.0)).shears  # damped, and the parts are halves
    assert not replace(stages, keep=np.where(second, -0.5, 1.0)).shears
    assert not replace(stages, keep=np.where(second, 0.0, 1.0)).shears  # one that forgets is enough
    quarter = {"src": (slice(2, 4), slice(1, 3)), "dst": (slice(0, 1), slice(0, 1)), "W": stages.W[:, :1]}
    assert replace(stages, **quarter).shears
    assert not replace(stages, keep=np.where(second, 0.5, 1.0), **quarter).shears  # det is no power of c
    assert not Chain([stages, replace(stages, keep=False)]).shears
    assert replace(stages.astype(np.float32), keep=1).keep.dtype == np.float32
    for key in VARIANTS:
        net = variant(key, width=4, depth=2).init(0)
        assert net.stages().shears == (net.arch.name in SPLIT)


def test_stages_are_frozen_and_their_two_maps_may_be_of_different_kinds():
    replace(two_part(), W=np.ones((6, 2)), maps=(DENSE, Edges.diagonal(2)))
    replace(two_part(), A=np.ones((6, 3, 1)), src=(slice(0, 1),) * 2)  # reads one number, updates two
    with pytest.raises(AttributeError):
        two_part().keep = False


DO_NOT_FIT = r"stages: A \(6, 3, 2\), c \(.*\) and W \(.*\) do not fit together"
test_what_is_refused = refused([
    (Chain, [], ValueError, "sections: expected at least one, got none"),
    *((lambda changes: replace(two_part(), **changes), *case) for case in (
        *(({name: np.zeros(shape)}, ValueError, DO_NOT_FIT)
          for name, shape in [("c", (6, 2)), ("c", (5, 3)), ("W", (6, 2, 2)), ("W", (5, 2, 3))]),
        *(({name: getattr(two_part(), name).astype(np.float32)}, TypeError,
           r"stages: expected one dtype, got float\d\d, float\d\d and float\d\d") for name in FIELDS),
        ({name: getattr(two_part(), name)[:5] for name in FIELDS}, ValueError,
         "stages: 5 stages do not divide into layers of 2 and 2"),
        ({"src": (slice(0, 2),)}, ValueError, ".* do not divide into layers of 1 and 2"),
        ({"src": (), "dst": ()}, ValueError, ".* do not divide into layers of 0 and 0"),
        *(({name: (wrong, slice(0, 2))}, ValueError, rf"stages: {name} expected slices of length 2 in 4, got slice\(.*")
          for name in ("src", "dst")
          for wrong in (slice(0, 3), slice(3, 5), slice(-2, 0), slice(2, 2), slice(0, 4, 2), slice(1, 0))),
        *(({name: np.zeros((6, 3))}, ValueError, ".* do not fit together") for name in ("A", "W")),
        ({"W": np.zeros((6, 2, 3, 1))}, ValueError, ".* do not fit together"),
        ({"keep": np.ones(3)}, ValueError, r"stages: .* number keep for each of 6 stages, got shape \(3,\)"),
        ({"src": (slice(0, 1),) * 2}, ValueError, r"stages: src expected slices of length 2 in 4, got slice\(0, 1.*"),
        ({"dst": (slice(0, 1),) * 2}, ValueError, r"stages: dst expected slices of length 2 in 4, got slice\(0, 1.*"),
    )),
])  # fmt: skip

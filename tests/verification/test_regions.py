"""Regions: what is proven of all inputs holds for those that are tried, rounding included; and controls fail."""

from fractions import Fraction
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham import regions
from pyham.images import ConvH2
from pyham.training import Classifier
from pyham.training.head import Head
from pyham.training.history import History
from pyham.verification import affine
from tests.oracles import strategies
from tests.verification.sample_regions import excess
from validation import v22_regions

EPS = np.finfo(float).eps
LONG = np.longdouble


@st.composite
def cases(draw, max_depth=8, max_width=6):
    """A network of any kind, samples in float32 or float64, a radius from 1e-8 to 1, and channels."""
    net = draw(strategies.networks(max_depth=max_depth, max_width=max_width))
    dtype = draw(st.sampled_from((np.float64, np.float32)))
    x = draw(strategies.inputs(net.arch.width, 1, 3, dtype))
    channels = draw(st.sets(st.integers(0, net.arch.width - 1), min_size=1))
    return net, x, 10 ** draw(st.floats(-8, 0)), sorted(channels), draw(strategies.seeds)


def drawn(x, radius, channels, seed, count=24):
    """Points (count * B, n) of the regions in longdouble: corners, and others."""
    rng = np.random.default_rng(seed)
    moves = rng.uniform(-1, 1, (count, len(x), len(channels)))
    moves[: count // 2] = np.sign(moves[: count // 2])
    points = np.repeat(x.astype(LONG)[None], count, axis=0)
    points[..., channels] += LONG(radius) * moves
    return points


def outside(net, region, points):
    """What leaves a region: of outputs, norms, and the smallest singular value; in longdouble but for LAPACK's part."""
    shape = points.shape
    flat = points.reshape(-1, shape[-1])
    output = net(flat, backend="reference").reshape(shape)
    phi = net.sensitivity(flat, backend="reference").astype(float)
    sigma = np.linalg.svd(phi, compute_uv=False).reshape(-1, *shape[:2], shape[-1])
    unit = 8 * shape[-1] * EPS  # LAPACK's error, of the largest singular value
    found = [(output < region.lower).any(), (output > region.upper).any()]
    found.append((sigma[..., 0] * (1 - unit) > region.norms[:, None]).any())
    if region.gradient_lower is not None:
        found.append((sigma[..., -1] + unit * sigma[..., 0] < region.gradient_lower[:, None]).any())
    return [name for name, wrong in zip(("lower", "upper", "norms", "gradients"), found, strict=False) if wrong]


@given(cases())
def test_every_input_of_a_region_is_enclosed(case):
    net, x, radius, channels, seed = case
    region = regions.enclose(net, x, radius, channels=channels, splits=3)
    assert outside(net, region, drawn(x, radius, channels, seed, 12)) == []
    assert ((region.parts >= 1) & (region.parts <= 3)).all()
    assert (region.norms[-1] == 1).all() or net.arch.depth == 0


@pytest.mark.parametrize("key", strategies.VARIANTS)
def test_every_architecture_is_enclosed_and_what_is_half_as_large_is_not(key, rng):
    arch = strategies.variant(key, width=4, depth=6, step=0.2, activation="tanh")
    net = arch.init(rng, initialization="scaled-normal")
    x = rng.standard_normal((4, 4))
    points = drawn(x, 1e-3, [0, 2], 0)
    assert outside(net, regions.enclose(net, x, 1e-3, channels=[0, 2]), points) == []
    half = outside(net, regions.enclose(net, x, 0.5e-3, channels=[0, 2]), points)
    assert {"lower", "upper", "norms"} <= set(half)
    # how narrow: the outputs' interval is that of the points to first order, the rest is quadratic
    region = regions.enclose(net, x, 1e-5, channels=[0, 2])
    corners = drawn(x, 1e-5, [0, 2], 0, 200)
    spread = np.ptp(net(corners.reshape(-1, 4).astype(float)).reshape(corners.shape), axis=0)
    assert np.median((region.upper - region.lower) / spread) < 1.001
    norms = np.linalg.norm(net.sensitivity(x), 2, axis=(-2, -1))
    assert (region.norms < norms * 1.01).all() and (region.norms >= norms * (1 - 1e-14)).all()


@pytest.mark.parametrize("activation", strategies.SMOOTH[:-1])
def test_a_line_without_its_rest_does_not_enclose(activation, rng):
    net = pyham.H2(width=4, depth=6, step=0.3, activation=activation).init(rng)
    x = rng.standard_normal((4, 4))
    points = drawn(x, 1e-2, [0, 2], 0)
    assert outside(net, regions.enclose(net, x, 1e-2, channels=[0, 2], splits=1), points) == []
    found = outside(net, regions.enclose(net, x, 1e-2, channels=[0, 2], splits=1, enclosure=v22_regions.bare), points)
    assert {"lower", "upper"} <= set(found)


def test_claim_notices_lines_without_rest(monkeypatch):
    assert v22_regions.many(4, np.random.default_rng(0)).passed
    monkeypatch.setitem(regions.enclose.__kwdefaults__, "enclosure", v22_regions.bare)
    assert not v22_regions.many(4, np.random.default_rng(0)).passed


def test_many_channels_many_symbols_and_depth_zero(rng, monkeypatch):
    net = pyham.H1(width=10, depth=6, step=0.1).init(rng, initialization="scaled-normal")
    x = rng.standard_normal((2, 10))
    wide = regions.enclose(net, x, 1e-3)
    points = drawn(x, 1e-3, list(range(10)), 1)
    assert outside(net, wide, points) == []
    monkeypatch.setattr(affine, "LIMIT", 3)
    condensed = regions.enclose(net, x, 1e-3)
    assert outside(net, condensed, points) == []
    assert (condensed.norms[0] > wide.norms[0]).all()
    assert (condensed.norms[0] < 1.1 * wide.norms[0]).all()
    flat = regions.enclose(pyham.H2(width=4, depth=0).init(0), x[:, :4], 0.5, channels=[1])
    assert (flat.norms == 1).all() and (flat.gradient_lower > 1 - 1e-15).all()
    assert np.abs(flat.upper - flat.lower - [0, 1, 0, 0]).max() < 1e-14
    assert regions.enclose(net, x[:0], 0.1).norms.shape == (7, 0)


def test_what_overflows_is_infinite_and_never_small():
    net = pyham.ResNet(width=2, depth=40, step=1e9, activation="relu").init(0)
    region = regions.enclose(net, np.ones((1, 2)), 1e300, splits=2)
    assert np.isinf(region.norms[0]).all() and np.isneginf(region.lower).any() and np.isposinf(region.upper).any()


def test_sample_script_finds_nothing_and_notices_a_smaller_region(rng):
    net = pyham.H2(width=4, depth=16, step=0.1).init(0)
    x = rng.standard_normal((10, 4))
    region = regions.enclose(net, x, 1e-3, channels=[0, 3])
    smaller = regions.enclose(net, x, 0.9e-3, channels=[0, 3])
    for adversarial in (False, True):
        count = 40 if adversarial else 400
        assert excess(net, x, 1e-3, [0, 3], region, count, np.random.default_rng(0), adversarial=adversarial) < 0
        assert excess(net, x, 1e-3, [0, 3], smaller, count, np.random.default_rng(0), adversarial=adversarial) > 0


def test_a_network_on_a_graph_is_that_with_dense_weights(rng):
    net = pyham.H2(width=8, depth=4, step=0.2, graph="ring", nodes=4).init(rng)
    K = net.K
    dense = pyham.H2(width=8, depth=4, step=0.2).init(0).replace({"Kp": K[:, :4, :4], "Kq": K[:, 4:, 4:], "b": net.b})
    x = rng.standard_normal((3, 8))
    one, two = (regions.enclose(each, x, 1e-3, channels=[0, 5]) for each in (net, dense))
    assert np.allclose(one.norms, two.norms, rtol=1e-12) and np.allclose(one.upper, two.upper, rtol=1e-12)


# Classes


def classifier(net, classes, rng):
    head = Head(rng.standard_normal((1 if classes == 2 else classes, net.arch.width + 1)),
                "logistic" if classes == 2 else "softmax", 0.7)  # fmt: skip
    return Classifier(net, head, History.of([]))


@pytest.mark.parametrize("classes", [2, 4])
def test_margins_hold_and_no_input_within_a_certified_radius_changes_class(classes, rng):
    own = classifier(pyham.H2(width=4, depth=8, step=0.2).init(rng), classes, rng)
    x = rng.standard_normal((12, 4))
    found = regions.classes(own, x, 0.05, channels=[0, 3])
    points = drawn(x, 0.05, [0, 3], 2).astype(float)
    logits = own.logits(points.reshape(-1, 4)).reshape(24, 12, -1)
    z = np.concatenate([0 * logits, logits], axis=-1) if classes == 2 else logits
    margins = z[:, range(12), found.predicted][..., None] - z
    assert (found.predicted == own.predict(x)).all()
    assert (margins >= found.lower - 1e-12).all() and (margins <= found.upper + 1e-12).all()
    changed = (own.predict(points.reshape(-1, 4)).reshape(24, 12) != found.predicted).any(axis=0)
    assert changed.any() and found.constant.any() and not (changed & found.constant).any()
    radii = regions.certified_radius(own, x, channels=[0, 3], largest=0.5)
    near = regions.attack(own, x, radii, channels=[0, 3], rng=0)
    assert not near.changed.any() and (near.x == x).all() and np.isinf(near.distance).all()
    far = regions.attack(own, x, 0.5, channels=[0, 3], rng=0)
    assert (far.distance >= radii).all() and far.changed.any()
    hit = far.changed
    assert (own.predict(far.x[hit]) != found.predicted[hit]).all()
    assert np.allclose(np.abs(far.x - x)[hit].max(axis=1), far.distance[hit]) and (far.x[:, 1:3] == x[:, 1:3]).all()
    assert np.median(far.distance[hit] / radii[hit]) < 1.1
    larger = regions.attack(own, x[hit], far.distance[hit] * 1.05, channels=[0, 3], rng=1)
    assert larger.changed.mean() > 0.5


def test_rounding_of_margins_is_bounded_where_they_cancel(rng):
    own = classifier(pyham.H2(width=4, depth=0).init(0), 2, rng)
    x = rng.standard_normal((20, 4))
    for sample in x:
        own.head.layer[0, :4] *= 10 ** rng.uniform(0, 8, 4)
        own.head.layer[0, 4] = -(own.head.layer[0, :4] @ sample)
        found = regions.classes(own, sample[None], 0.0)
        row, y = ([Fraction(v) for v in values] for values in (own.head.layer[0], [*sample, 1.0]))
        z = (
            Fraction(own.head.gain)
            * sum(w * v for w, v in zip(row, y, strict=True))
            * (1 if found.predicted[0] else -1)
        )
        other = 1 - int(found.predicted[0])
        assert found.lower[0, other] <= z <= found.upper[0, other] and not found.constant[0]


def test_certified_radius_of_a_linear_classifier_is_its_distance_from_the_boundary(rng):
    own = classifier(pyham.H2(width=4, depth=0).init(0), 2, rng)
    x = rng.standard_normal((20, 4))
    exact = np.abs(own.logits(x)) / np.abs(own.w).sum()
    radii = regions.certified_radius(own, x, largest=100)
    assert (radii <= exact).all() and (radii > 0.96 * exact).all()
    assert (regions.certified_radius(own, x, largest=1e-6) == 1e-6).all()
    attacked = regions.attack(own, x, 1.001 * exact, rng=0)
    assert attacked.changed.all() and np.allclose(attacked.distance, exact, rtol=1e-6)
    assert regions.certified_radius(own, x[:0]).shape == regions.attack(own, x[:0], 1.0).distance.shape == (0,)
    undecided = classifier(own.net, 2, rng)
    undecided.head.layer[:] = 0
    assert (regions.certified_radius(undecided, x) == 0).all()


# Refusals


def test_arguments_are_refused_by_name(rng):
    net = pyham.H2(width=4, depth=2).init(0)
    x = np.ones((3, 4))
    swish = pyham.Activation("twice", lambda a: 2 * a, lambda a: 2 * np.ones_like(a), lambda a: a * a, 2.0)
    own = pyham.H2(width=4, depth=2, activation=swish).init(0)
    images = ConvH2(rows=4, columns=4, width=2, depths=(1,)).init(0)
    points = classifier(net, 2, rng)
    of_images = SimpleNamespace(net=images, head=points.head, lift=1)
    for call, error, message in (
        (lambda: regions.enclose(own, x, 0.1), ValueError, "activation: expected one whose second derivative is known"),
        (lambda: regions.enclose(images, x, 0.1), ValueError, "net: expected a network of vectors .*, got ConvH2"),
        (lambda: regions.enclose(points, x, 0.1), TypeError, "net: expected a Network, got Classifier"),
        (lambda: regions.enclose(net, x[:, :3], 0.1), ValueError, r"x: expected shape \(B, 4\), got \(3, 3\)"),
        (lambda: regions.enclose(net, x.astype(LONG), 0.1), TypeError, "x: expected dtype float32 or float64"),
        (lambda: regions.enclose(net, x, -1), ValueError, "radius: expected numbers >= 0, got -1"),
        (lambda: regions.enclose(net, x, np.ones(2)), ValueError, r"radius: expected a number, or shape \(3,\)"),
        (lambda: regions.enclose(net, x, LONG(0.1)), TypeError, "radius: expected dtype float32 or float64"),
        (lambda: regions.enclose(net, x, np.inf), ValueError, "radius: expected finite numbers"),
        (lambda: regions.enclose(net, x, 1, channels=[0, -4]), ValueError, "channels: expected different indices"),
        (lambda: regions.enclose(net, x, 1, channels=[4]), ValueError, "channels: expected different indices"),
        (lambda: regions.enclose(net, x, 1, channels=[]), ValueError, "channels: expected different indices"),
        (lambda: regions.enclose(net, x, 1, channels=3), TypeError, "channels: expected indices of a state, got int"),
        (lambda: regions.enclose(net, x, 1, splits=0), ValueError, "splits: expected an integer >= 1, got 0"),
        (lambda: regions.classes(net, x, 1), TypeError, "classifier: expected a Classifier, got Network"),
        (lambda: regions.classes(of_images, x, 1), ValueError, "classifier: expected one of points"),
        (lambda: regions.attack(points, x, 1, steps=0), ValueError, "steps: expected an integer >= 1, got 0"),
        (lambda: regions.certified_radius(points, x, largest=0), ValueError, "largest: expected a positive finite"),
    ):
        with pytest.raises(error, match=message):
            call()

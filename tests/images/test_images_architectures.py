"""Architectures of images as data, how their classifiers begin, and what they refuse."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.engines.results import Parts, Pixels
from pyham.training.losses import softmax
from tests.images.test_images import ARCHITECTURES, EPS, batch, classifier, relative, stages_of
from tests.oracles.refusals import refused


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_plain_data(name):
    arch = ARCHITECTURES[name]
    assert images.image_architecture(**arch.config()) == arch
    net = arch.init(0)
    assert {key: value.shape for key, value in net.params.items()} == arch.shapes


def test_defaults_and_numbers_of_other_kinds():
    arch = images.image_architecture("H1", depth=1)
    assert arch.shape == (8, 28, 28) and images.ConvH2().shape == (4, 28, 28)
    arch = images.ConvH2(np.int64(8), columns=np.uint8(4), step=Fraction(1, 2))
    assert [type(value) for value in (arch.rows, arch.columns, arch.step)] == [int, int, float]


@pytest.mark.parametrize("name", ["ConvH2", "H1", "H2", "MS1"])
def test_the_background_stays_0_in_a_centred_network(name):
    arch = ARCHITECTURES[name]
    found = images.untrained(arch, 0, dtype=np.float64)
    y = found.lifted(np.zeros((1, arch.rows, arch.columns), np.uint8))
    inside = y[..., 1:-1, 1:-1]  # outside an image there are zeros, not background
    assert np.abs(inside).max(initial=0) <= 20 * EPS
    assert not REFERENCE.forward(found.net.stages(), np.zeros_like(y)).any()
    assert not found.head.layer.any()


@pytest.mark.parametrize("initialization", images.INITIALIZATIONS)
def test_a_classifier_begins_with_a_lift_whose_outputs_are_of_the_size_of_its_inputs(initialization):
    arch = images.ConvH2(4, 4, width=16, depths=(2, 1))
    found = images.untrained(arch, 0, classes=7, initialization=initialization)
    kernel, bias = found.lift
    assert np.abs(kernel).max() <= 1 / 3 and abs(kernel.var() - 1 / 27) <= 0.01  # uniform: a third of (1 / 3)^2
    assert found.head.layer.shape == (7, 16 * 16 + 1) and found.net.dtype == np.float32
    scale = {"normal": 1.0}.get(initialization, (9 * 8) ** -0.5)  # inputs of a row of K: 8 channels of 3 x 3 pixels
    assert abs(found.net.params["Kp0"].std() - scale) <= 0.1 * scale
    assert found.net.params["b0"].any() != (initialization == "centred")
    assert np.abs(bias).max() <= 1 / 3 or initialization == "centred"


def test_a_classifier_takes_a_network_as_it_is():
    net = ARCHITECTURES["ConvH2"].init(0)
    found = images.untrained(net, 1)
    assert found.net is net and found.lift.kernel.dtype == np.float64 and found.head.gain == 0.3
    assert images.untrained(ARCHITECTURES["H1"], 1).head.gain == 0.025


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_smoothness_is_the_penalty_of_the_paper(name, rng):
    arch = ARCHITECTURES[name]
    params = {key: value.astype(complex) for key, value in arch.init(rng).params.items()}
    penalty, gradients = arch.smoothness(params)
    assert set(gradients) == set(params)
    if name.startswith("ConvH2"):
        steps = [np.diff(params[key], axis=0) for key in params]
        assert penalty == pytest.approx(arch.step / 2 * sum((s * s).sum() for s in steps))
    for key in params:
        place = tuple(rng.integers(0, side) for side in params[key].shape)
        params[key][place] += 1e-100j
        step = arch.smoothness(params)[0]
        params[key][place] = params[key][place].real
        assert abs(np.imag(step) / 1e-100 - gradients[key][place]) <= 1e-13 * max(1, np.abs(gradients[key]).max())


HUGE = "rows, columns: expected at most 16777216 numbers of a state, got .*"
test_what_is_refused = refused([
    *((lambda options: images.ConvH2(**options), *case) for case in [
        ({"width": 3}, ValueError, "width: expected an even integer, got 3"),
        ({"depths": ()}, TypeError, r"depths: expected one or more integers >= 1, got \(\)"),
        ({"depths": (2, 0)}, ValueError, "depths: expected an integer >= 1, got 0"),
        ({"depths": (1,) * 13}, ValueError, "depths: expected at most 12 groups, got 13"),
        ({"depths": (1, 1, 1, 1)}, ValueError, "rows: expected a multiple of 8 for 4 groups, got 28"),
        ({"rows": 0}, ValueError, "rows: expected an integer >= 1, got 0"),
        ({"columns": 2.0}, TypeError, "columns: expected an integer >= 1, got float"),
        ({"size": 2}, ValueError, "size: expected an odd integer, got 2"),
        ({"step": 0}, ValueError, "step: expected a positive finite number, got 0"),
        ({"rows": 10**9, "depths": (1,)}, ValueError, HUGE),
        ({"activation": "sine"}, ValueError, "activation: expected one of .*"),
    ]),
    *((lambda options: images.Pixelwise(**options), *case) for case in [
        ({"network": "H1"}, TypeError, "network: expected an Architecture, got str"),
        ({"network": pyham.H1(4, 1), "rows": 0}, ValueError, "rows: expected an integer >= 1, got 0"),
        ({"network": pyham.H1(4, 1), "rows": 10**9}, ValueError, HUGE),
    ]),
    *((lambda options: images.untrained(**{"network": ARCHITECTURES["H1"]} | options), *case) for case in [
        ({"gain": 0.0}, ValueError, "gain: expected a positive finite number, got 0.0"),
        ({"classes": 1}, ValueError, "classes: expected an integer >= 2, got 1"),
        ({"initialization": "uniform"}, ValueError,
         "initialization: expected one of 'centred', 'scaled-normal', 'normal', got .*"),
        *(({"network": other}, TypeError, "network: expected an architecture or a network of images, got H2.*")
          for other in (pyham.H2(4, 2), pyham.H2(4, 2).init(0))),
        ({"rng": -1}, ValueError, "rng: expected an integer >= 0, got -1"),
    ]),
])  # fmt: skip


def test_stages_of_images__raise_on_what_does_not_fit_together():
    stages = stages_of(ARCHITECTURES["ConvH2"], 0).sections[0]
    for change, message in (
        ({"c": stages.c[:1]}, "stages: A .* do not fit together"),
        ({"c": stages.c[:, :0]}, "stages: A .* do not fit together"),
        ({"src": (slice(0, 1),) * 3}, "stages: 4 stages do not divide into layers of 3 and 2"),
        ({"dst": (slice(0, 2),) * 2}, "stages: dst expected slices of length 1 in 2"),
        ({"A": stages.A[:0], "c": stages.c[:0], "W": stages.W[:0], "keep": 1, "squeeze": True}, "at least one stage"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(stages, **change)


def test_a_network_without_layers_is_lift_and_output_layer(rng):
    arch = images.image_architecture("H1", rows=3, columns=4, width=4, depth=0)
    model = classifier(arch, rng)
    pixels, labels, shifts = batch(arch, rng)
    arguments = Parts(model.lift, model.net.stages(), *model.head.scaled)
    assert relative(COMPILED.logits(arguments, pixels), REFERENCE.logits(arguments, pixels)) <= 1000 * EPS
    data = arguments, softmax, Pixels(pixels, labels, shifts, np.arange(len(pixels)))
    found, expected = (engine.classifier_gradient(*data)[2] for engine in (COMPILED, REFERENCE))
    assert relative(found.lift.kernel, expected.lift.kernel) <= 1000 * EPS


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_pixelwise_is_the_network_of_vectors_at_every_pixel(backend, rng):
    arch = ARCHITECTURES["H2"]
    net = arch.init(rng)
    at_one_pixel = pyham.Network(arch.network, net.params)
    y = rng.standard_normal((2, *arch.shape))
    expected = at_one_pixel(np.moveaxis(y, 1, -1).reshape(-1, 4)).reshape(2, 3, 4, 4)
    assert relative(np.moveaxis(net(y, backend=backend), 1, -1), expected) <= 100 * EPS

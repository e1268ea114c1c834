"""Classifiers: their parts fit together, what they say of themselves, and how classifiers of images begin."""

from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures.lift import Lift
from pyham.training import images as training_images
from pyham.training.classifier import Classifier
from pyham.training.head import Head
from pyham.training.protocol import Protocol
from pyham.training.samples import pixels_of
from pyham.training.trainer import train

CONV = images.ConvH2(8, 8, width=2, depths=(1, 1))
POINTS, PICTURES = Classifier.untrained(pyham.H2(4, 2).init(0), 3), images.untrained(CONV, 0, classes=3)
KERNEL, BIAS = PICTURES.lift


@pytest.mark.parametrize(
    ("first", "parts", "message"),
    [
        (POINTS, {"lift": PICTURES.lift}, "lift: expected no convolution for H2, got another"),
        (PICTURES, {"lift": None}, "lift: expected a convolution for ConvH2, got another"),
        (POINTS, {"head": PICTURES.head}, r"layer: expected shape \(C, 5\), got \(3, 129\)"),
        (POINTS, {"head": Head(np.zeros((2, 5)), "logistic")}, r"layer: expected shape \(1, 5\), got \(2, 5\)"),
        (POINTS, {"head": Head(np.zeros((3, 5), np.float32))}, "layer: expected dtype float64, as .* got float32"),
        (POINTS, {"head": Head(np.zeros((3, 5)), gain=0.0)}, "gain: expected a positive finite number, got 0.0"),
        (PICTURES, {"lift": Lift(KERNEL[:1], BIAS)}, r"lift: expected shape \(2, 1, 3, 3\), got"),
        (PICTURES, {"lift": Lift(KERNEL, BIAS[:1])}, r"bias: expected shape \(2,\), got"),
        (PICTURES, {"lift": Lift(KERNEL, BIAS.astype(float))}, "bias: expected dtype float32, as .* got float64"),
    ],
)
def test_classifier__raises_on_parts_that_do_not_fit_together(first, parts, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        replace(first, **parts)


def test_classes_weights_and_biases_are_those_of_the_loss(rng):
    logistic = Classifier.untrained(pyham.H2(4, 2).init(0), 2, "logistic")
    logistic.head.layer[:] = rng.standard_normal((1, 5))
    assert logistic.classes == 2 and logistic.w.shape == (4,) and isinstance(logistic.mu, float)
    POINTS.head.layer[:] = rng.standard_normal((3, 5))
    assert POINTS.classes == 3 and POINTS.w.shape == (4, 3) and POINTS.mu.shape == (3,)
    assert Classifier.untrained(pyham.H2(4, 2).init(0), 1).classes == 1
    x = rng.standard_normal((9, 4))
    np.testing.assert_array_equal(logistic.predict(x), logistic.logits(x) > 0)
    np.testing.assert_array_equal(POINTS.predict(x), POINTS.logits(x).argmax(axis=1))


def test_predictions_use_the_backend_that_is_asked_for_and_lifts_the_dtype(rng):
    for ask in (POINTS.predict, lambda x, backend: POINTS.accuracy(x, [0], backend=backend)):
        with pytest.raises(ValueError, match="backend: expected"):
            ask(np.zeros((1, 4)), backend="none")
    pixels = rng.integers(0, 256, (2, 8, 8)).astype(np.uint8)
    assert PICTURES.lifted(pixels).dtype == np.float32 and PICTURES.lifted(pixels, np.float64).dtype == np.float64
    x = rng.standard_normal((2, 4))
    assert np.array_equal(POINTS.lifted(x), x)


def test_lifts_begin_within_a_third(rng):
    for initialization in ("normal", "scaled-normal"):
        kernel, bias = images.untrained(
            images.ConvH2(8, 8, width=20, depths=(1,)), rng, initialization=initialization
        ).lift
        for part in (kernel, bias):
            assert part.min() < -0.2 < 0.2 < part.max() and np.abs(part).max() <= 1 / 3


@pytest.mark.parametrize("arch", [CONV, images.image_architecture("H1", rows=8, columns=8, width=4, depth=2)])
def test_training_begins_as_it_says(arch, monkeypatch):
    """With the recommended protocol of its architecture, and batches as if an output layer had been drawn."""
    seen = []
    monkeypatch.setattr(training_images.trainer, "train", lambda first, *data, **options: seen.append((first, options)))
    usual = images.CONVOLUTIONAL if arch is CONV else images.RECOMMENDED
    for protocol in (None, replace(usual, epochs=7)):
        images.train(arch, np.zeros((3, 8, 8), np.uint8), [0, 1, 2], rng=5, protocol=protocol)
        first, options = seen.pop()
        generator = np.random.default_rng(5)
        expected = images.untrained(arch, generator, classes=3)
        generator.uniform(size=expected.head.layer.shape)
        np.testing.assert_array_equal(first.lift.kernel, expected.lift.kernel)
        assert options["rng"].bit_generator.state == generator.bit_generator.state
        assert options["protocol"] == (protocol or usual)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_shifts_are_less_than_the_shorter_side_of_an_image(shape):
    arch = images.image_architecture("H1", rows=shape[0], columns=shape[1], width=4, depth=2)
    options = {"rng": 0, "protocol": replace(images.RECOMMENDED, epochs=0)}
    images.train(arch, np.zeros((2, *shape), np.uint8), [0, 1], shift=3, **options)
    with pytest.raises(ValueError, match="shift: expected less than the rows and columns of an image, got 4"):
        images.train(arch, np.zeros((2, *shape), np.uint8), [0, 1], shift=4, **options)


def test_what_no_file_could_be_loaded_as_is_trained_without_a_file_only(tmp_path):
    own = pyham.Activation("own", np.sin, np.cos, lambda a: 1 - np.cos(a), 1.0)
    net, options = pyham.H2(2, 1, activation=own).init(0), {"protocol": Protocol(epochs=1, output_epochs=0), "rng": 0}
    assert train(net, np.ones((4, 2)), np.arange(4) % 2, **options).net.arch.activation is own
    with pytest.raises(ValueError, match="net: expected a registered activation, got one named 'own'"):
        train(net, np.ones((4, 2)), np.arange(4) % 2, **options, checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pixels_are_copied_only_where_their_memory_is_not_in_order():
    pixels = np.zeros((4, 8, 8), np.uint8)
    assert pixels_of("pixels", pixels, CONV) is pixels
    for view in (pixels[::2], pixels.transpose(0, 2, 1)):
        found = pixels_of("pixels", view, CONV)
        assert found.flags.c_contiguous and found.shape == view.shape


def test_other_names_are_not_in_the_package():
    with pytest.raises(AttributeError, match=r"module 'pyham\.training' has no attribute 'nothing'"):
        _ = pyham.training.nothing

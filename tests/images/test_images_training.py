"""Trainings of image networks: bits, checkpoints, files, and the command line."""

import json
import re

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.commands import cli
from pyham.files import archive
from pyham.training.optimizers import Adam
from pyham.training.protocol import Protocol
from pyham.training.samples import split
from pyham.training.schedules import Cosine
from tests.training.test_resume import assert_same

EPS = float(np.finfo(np.float64).eps)
BACKENDS = ("numba", "reference")
SMALL = Protocol(epochs=3, batch=25, rate=0.02, scheme="joint", loss="softmax", schedule=Cosine(), alpha=1e-4)


def convolutional(pixels, depths=(1, 1), width=2):
    return images.ConvH2(*pixels.shape[1:], width=width, depths=depths)


def pixelwise(pixels, name="H1"):
    rows, columns = pixels.shape[1:]
    return images.image_architecture(name, rows=rows, columns=columns, width=4, depth=2, step=0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [convolutional, pixelwise])
def test_one_seed_gives_the_same_bits_with_any_number_of_threads(kind, dtype, data, small_blocks):
    train, other = data
    found = []
    before = pyham.get_num_threads()
    try:
        for threads in (1, 2, 3, 1):
            pyham.set_num_threads(threads)
            options = {"protocol": SMALL, "rng": 5, "shift": 1, "dtype": dtype, "validation": other}
            found.append(images.train(kind(train[0]), *train, **options))
    finally:
        pyham.set_num_threads(before)
    for one in found[1:]:
        assert_same(found[0], one)
    assert found[0].net.dtype == dtype
    assert found[0].losses[-1] < found[0].losses[0]
    other_seed = images.train(kind(train[0]), *train, protocol=SMALL, rng=6, shift=1, dtype=dtype)
    assert not np.array_equal(other_seed.lift.kernel, found[0].lift.kernel)


@pytest.mark.parametrize("kind", [convolutional, pixelwise])
def test_the_reference_engine_trains_the_same_network(kind, data):
    """With biases that are drawn: where they are 0, MNIST's background stands at relu's kink, and rounding decides the
    slope. And Adam divides by the gradient's size: where that is rounding, as at pixels that are background in all
    images, its usual ``eps`` would make steps of rounding."""
    train, _ = data
    protocol = Protocol(**vars(SMALL) | {"optimizer": Adam(eps=1e-3)})
    first = images.untrained(kind(train[0]), 5, initialization="scaled-normal", dtype=np.float64)
    options = {"protocol": protocol, "rng": 5, "shift": 1}
    one, two = (images.train(first, *train, backend=backend, **options).describe()[1] for backend in BACKENDS)
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=0, atol=100 * EPS)  # 24 steps carry rounding on


def test_training_learns_digits(data):
    (pixels, labels), other = data
    classifier = images.train(
        convolutional(pixels, width=4), pixels, labels, protocol=Protocol(**vars(SMALL) | {"epochs": 12}), rng=0
    )
    assert classifier.accuracy(pixels, labels) > 0.9  # ten classes; chance is 0.1
    assert classifier.accuracy(*other) > 0.6
    np.testing.assert_array_equal(classifier.predict(pixels), classifier.logits(pixels).argmax(axis=1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"protocol": Protocol()}, ValueError, "scheme: expected 'joint' for images, got 'alternating'"),
        ({"protocol": Protocol(scheme="joint")}, ValueError, "loss: expected 'softmax' for images, got 'logistic'"),
        ({"shift": -1}, ValueError, "shift: expected an integer >= 0, got -1"),
        ({"shift": 100}, ValueError, "shift: expected less than the rows and columns of an image, got 100"),
        ({"network": "H1"}, TypeError, "network: expected an architecture or a network of images, got str"),
        ({"classes": 1}, ValueError, "classes: expected an integer >= 2, got 1"),
        ({"pixels": np.zeros((3, 2, 2))}, TypeError, "pixels: expected pixels of dtype uint8, got float64"),
        ({"pixels": np.zeros((3, 2, 2), np.uint8)}, ValueError, r"pixels: expected shape \(B, \d+, \d+\), got"),
        ({"labels": np.arange(200), "classes": 10}, ValueError, "labels: expected integers from 0 to 9, got 10"),
        ({"labels": np.arange(200) + 1}, ValueError, "labels: expected integers from 0 to 199, got 200"),
        ({"labels": np.arange(200) - 1}, ValueError, "labels: expected integers from 0 to 198, got -1"),
        ({"validation": (np.zeros((1, 2, 2), np.uint8), [0])}, ValueError, r"validation pixels: expected shape \(B,"),
        ({"labels": np.zeros(3)}, ValueError, r"labels: expected shape \(200,\), got \(3,\)"),
        ({"resume": True}, ValueError, "checkpoint: expected a path to resume from, got None"),
        ({"rng": -1}, ValueError, "rng: expected an integer >= 0, got -1"),
    ],
)
def test_train__raises_on_wrong_arguments(change, error, message, data):
    (pixels, labels), _ = data
    arguments = {"network": pixelwise(pixels), "pixels": pixels, "labels": labels, "protocol": SMALL}
    with pytest.raises(error, match=message):
        images.train(**arguments | change)
    with pytest.raises(ValueError, match="classes, gain: expected none with a classifier, which has them, got one"):
        images.train(**arguments | {"network": images.untrained(pixelwise(pixels), 0), "gain": 1.0})
    with pytest.raises(TypeError, match="net: expected a classifier of images, or a network of points, got P"):
        pyham.training.train(pixelwise(pixels).init(0), pixels, labels)


def test_labels_need_not_have_every_class(data):
    (pixels, labels), _ = data
    few = labels < 3
    found = images.train(pixelwise(pixels), pixels[few], labels[few], rng=0, protocol=SMALL)
    assert found.classes == 3 and found.logits(pixels[:2]).shape == (2, 3)
    more = images.train(pixelwise(pixels), pixels[few], labels[few], classes=10, rng=0, protocol=SMALL)
    assert more.classes == 10


def test_split_holds_out_images_that_are_not_trained_on(rng):
    pixels, labels = np.arange(40, dtype=np.uint8).reshape(10, 2, 2), np.arange(10)
    fitting, held_out = split(pixels, labels, 0.3, rng)
    assert len(fitting[0]) == 7 and len(held_out[0]) == 3
    np.testing.assert_array_equal(np.sort(np.concatenate((fitting[1], held_out[1]))), labels)
    np.testing.assert_array_equal(pixels[fitting[1]], fitting[0])
    assert split(pixels, labels, 0, rng)[1] is None
    for share in (-0.1, 1, 0.99):
        with pytest.raises(ValueError, match="validation: expected a"):
            split(pixels, labels, share, rng)


# The command line


def train_command(folder, *arguments):
    words = ["train", "mnist", "--data", folder, "--epochs", 2, "--batch", 20, "--depth", 1, "--groups", 2]
    words += ["--architecture", "ConvH2", *arguments]
    return cli.main(list(map(str, words)))


def test_train_mnist_prints_accuracies_and_writes_files(folder, tmp_path, capsys):
    assert train_command(folder, "--json", tmp_path / "a.json", "--save", tmp_path / "net", "--shift", 1) == 0
    captured = capsys.readouterr()
    number = r"(\d+\.\d\d) %"
    line = rf"mnist, ConvH2, 2 layers, seed 0: accuracy train {number}, validation {number}, test {number}\n"
    printed = re.fullmatch(line, captured.out)
    assert printed and "loss" in captured.err and "accuracy" in captured.err
    result = json.loads((tmp_path / "a.json").read_text())
    assert f"{100 * result['accuracy']['test']:.2f}" == printed[3]
    assert result["shift"] == 1 and len(result["history"]["loss"]) == 2
    found = images.load(tmp_path / "net")
    assert found.net.arch == images.image_architecture(**result["architecture"]) and found.head.gain == result["gain"]
    assert found.history.to_dict() == result["history"]


@pytest.mark.parametrize("architecture", ["H1", "MLP"])
def test_train_mnist_with_networks_at_every_pixel(architecture, folder, tmp_path, capsys):
    words = ["train", "mnist", "--data", str(folder), "--epochs", "1", "--architecture", architecture, "--depth", "2"]
    assert cli.main([*words, "--validation", "0", "--save", str(tmp_path / "net")]) == 0
    assert re.search(rf"{architecture}, 2 layers, seed 0: accuracy train [\d.]+ %, test", capsys.readouterr().out)
    assert cli.main(["certify", str(tmp_path / "net"), "--data", str(folder), "--images", "1"]) == 0
    assert f"{architecture}(width=8" in capsys.readouterr().out


def test_a_stopped_command_goes_on_to_the_same_bits(folder, tmp_path, capsys, monkeypatch):
    from pyham.commands import planar as command

    whole, path = tmp_path / "whole", tmp_path / "run"
    assert train_command(folder, "--checkpoint", whole) == 0

    class Interrupting(command.Bar):
        def __call__(self, epoch):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "Bar", Interrupting)
        assert train_command(folder, "--checkpoint", path) == 130
    assert "has the last whole epoch, --resume goes on" in capsys.readouterr().out
    assert train_command(folder, "--checkpoint", path) == 2
    assert train_command(folder, "--checkpoint", path, "--resume") == 0
    (header, arrays), (other, others) = archive.read(whole), archive.read(path)
    assert header == other
    assert all(np.array_equal(arrays[name], others[name], equal_nan=True) for name in arrays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--validation", 1), "--validation: expected a number from 0 to below 1, got 1.0"),
        (("--shift", 50), "--shift: expected less than the rows and columns of an image, got 50"),
        (("--depth", 0), "--depth, --groups: expected an integer >= 1, got 0"),
        (("--groups", 9), "rows: expected a multiple of 256 for 9 groups, got "),
        (("--width", 3), "--width: expected an even integer, got 3"),
        (("--architecture", "H1"), "--groups: expected an option of H1, got one of ConvH2"),
        (("--interconnection", "J2"), "--interconnection: expected an option of ConvH2, got one of H1"),
        (("--seed", -1), "--seed: expected an integer >= 0, got -1"),
        (("--loss", "logistic"), "--loss: expected 'softmax' for images, got 'logistic'"),
        (("--training", "alternating"), "--training: expected 'joint' for images, got 'alternating'"),
        (("--resume",), "--resume: expected --checkpoint PATH as well, got none"),
        (("--rate", 1e30), "--rate: expected one at which training converges, got 1e+30"),
    ],
)
def test_train_mnist__says_what_is_wrong(arguments, message, folder, capsys):
    assert train_command(folder, *arguments) == 2
    assert f"python -m pyham train: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(("architecture", "expected"), [("H1", "RECOMMENDED"), ("ConvH2", "CONVOLUTIONAL")])
def test_the_defaults_of_the_command_are_the_recommended_protocol(architecture, expected, folder, monkeypatch):
    from pyham.commands import planar as command

    class Seen(Exception):
        pass

    def look(network, pixels, labels, *, protocol, **options):
        assert protocol == getattr(images, expected) and options["shift"] == 1
        raise Seen

    monkeypatch.setattr(command, "train", look)
    with pytest.raises(Seen):
        depth = [] if architecture == "H1" else ["--depth", "1", "--groups", "1"]
        cli.main(["train", "mnist", "--data", str(folder), "--architecture", architecture, *depth])


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_of_samples_and_classes(backend, data):
    """Weights of 1 change nothing, those of a class are those of its samples, and others change the result."""
    pixels, labels = data[0]
    options = {"protocol": SMALL, "rng": 0, "dtype": np.float64, "backend": backend}
    of_class = np.where(np.arange(10) == 3, 4.0, 1.0)
    given = {"none": {}, "ones": {"sample_weight": np.ones(len(labels))}, "class": {"class_weight": of_class}}
    given["sample"] = {"sample_weight": of_class[labels]}
    layers = {
        name: images.train(convolutional(pixels), pixels, labels, **options, **weights).head.layer
        for name, weights in given.items()
    }
    np.testing.assert_allclose(layers["ones"], layers["none"], rtol=0, atol=1e-12)  # another order of sums
    np.testing.assert_array_equal(layers["class"], layers["sample"])
    assert np.abs(layers["class"] - layers["none"]).max() > 1e-3

"""Trainings of image networks: bits, checkpoints, files, the command line, and certificates."""

import json
import re

import numpy as np
import pytest
from pyham.training.image_network import TRAINING
from pyham.training.image_trainer import split

import pyham
from pyham import images
from pyham.commands import cli
from pyham.engines import image_reference as reference
from pyham.engines.compiled import images as compiled
from pyham.files import archive
from pyham.training.optimizers import Adam
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine
from pyham.verification import image_certificate as certificate
from tests.oracles import digits

EPS = float(np.finfo(np.float64).eps)
SMALL = Protocol(epochs=3, batch=25, rate=0.02, scheme="joint", loss="softmax", schedule=Cosine(), alpha=1e-4)


@pytest.fixture(scope="module")
def data():
    """Pixels and labels to train on, and others: MNIST's or scikit-learn's digits."""
    arrays = digits.arrays()
    pixels, labels = arrays[digits.NAMES[0]], arrays[digits.NAMES[1]].astype(int)
    return (pixels[:200], labels[:200]), (pixels[200:260], labels[200:260])


def convolutional(pixels, depths=(1, 1), width=2):
    return images.ConvH2(*pixels.shape[1:], width=width, depths=depths)


def pixelwise(pixels, name="H1"):
    rows, columns = pixels.shape[1:]
    return images.image_architecture(name, rows=rows, columns=columns, width=4, depth=2, step=0.5)


def same(a, b):
    assert a.net.arch == b.net.arch
    for name, value in a.net.params.items():
        assert value.dtype == b.net.params[name].dtype
        np.testing.assert_array_equal(value, b.net.params[name])
    for name, column in vars(a.history).items():
        np.testing.assert_array_equal(column, getattr(b.history, name))


class Stop(Exception):
    pass


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
        same(found[0], one)
    assert found[0].net.dtype == dtype
    assert found[0].losses[-1] < found[0].losses[0]
    other_seed = images.train(kind(train[0]), *train, protocol=SMALL, rng=6, shift=1, dtype=dtype)
    assert not np.array_equal(other_seed.net.params["lift"], found[0].net.params["lift"])


@pytest.mark.parametrize("kind", [convolutional, pixelwise])
def test_the_reference_engine_trains_the_same_network(kind, data):
    """With biases that are drawn: where they are 0, MNIST's background stands at relu's kink, and rounding decides the
    slope. And Adam divides by the gradient's size: where that is rounding, as at pixels that are background in all
    images, its usual ``eps`` would make steps of rounding."""
    train, _ = data
    protocol = Protocol(**vars(SMALL) | {"optimizer": Adam(eps=1e-3)})
    arch = kind(train[0])
    net = images.ImageNetwork(arch, arch.init(5, initialization="scaled-normal"))
    options = {"protocol": protocol, "rng": 5, "shift": 1}
    one, two = (images.train(net, *train, backend=backend, **options) for backend in ("numba", "reference"))
    for name, value in one.net.params.items():
        np.testing.assert_allclose(value, two.net.params[name], rtol=0, atol=100 * EPS)  # 24 steps carry rounding on


def test_training_learns_digits(data):
    (pixels, labels), other = data
    classifier = images.train(
        convolutional(pixels, width=4), pixels, labels, protocol=Protocol(**vars(SMALL) | {"epochs": 12}), rng=0
    )
    assert classifier.accuracy(pixels, labels) > 0.9  # ten classes; chance is 0.1
    assert classifier.accuracy(*other) > 0.6
    np.testing.assert_array_equal(classifier.predict(pixels), classifier.net.logits(pixels).argmax(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [convolutional, pixelwise])
def test_resuming_after_any_epoch_changes_no_bit(kind, dtype, data, tmp_path):
    train, other = data
    options = {"protocol": SMALL, "shift": 2, "dtype": dtype, "validation": other, "about": {"seed": 1}}
    whole = images.train(kind(train[0]), *train, rng=1, **options)
    for after in (1, 2):
        path = tmp_path / f"{after}"

        def stop(heard, after=after):
            if heard.done == after:
                raise Stop

        with pytest.raises(Stop):
            images.train(kind(train[0]), *train, rng=1, **options, checkpoint=path, callback=stop)
        loaded = images.load(path)
        assert loaded.arch == whole.net.arch and loaded.dtype == dtype
        fresh = np.random.default_rng(99)  # not used again
        same(whole, images.train(kind(train[0]), *train, rng=fresh, **options, checkpoint=path, resume=True))
        with pytest.raises(ValueError, match="expected a training with shift 1, got one with 2"):
            images.train(kind(train[0]), *train, **options | {"shift": 1}, checkpoint=path, resume=True)
        with pytest.raises(ValueError, match="net: expected the architecture that the training began with"):
            images.train(pixelwise(train[0], "H2"), *train, **options, checkpoint=path, resume=True)
        with pytest.raises(ValueError, match="a network or a training, got one for images, which pyham"):
            pyham.load(path)


def test_ctrl_c_keeps_the_last_whole_epoch(data, tmp_path):
    train, _ = data
    path = tmp_path / "run"

    def interrupt(heard):
        if heard.done == 2:
            raise KeyboardInterrupt

    options = {"protocol": SMALL, "rng": 3, "checkpoint": path, "save_every": 3}
    with pytest.raises(KeyboardInterrupt):
        images.train(pixelwise(train[0]), *train, **options, callback=interrupt)
    assert len(archive.read(path)[0]["phases"]) == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"protocol": Protocol()}, ValueError, "scheme: expected 'joint' for images, got 'alternating'"),
        ({"protocol": Protocol(scheme="joint")}, ValueError, "loss: expected 'softmax' for images, got 'logistic'"),
        ({"shift": -1}, ValueError, "shift: expected an integer >= 0, got -1"),
        ({"shift": 100}, ValueError, "shift: expected less than the rows and columns of an image, got 100"),
        ({"network": "H1"}, TypeError, "network: expected an ImageArchitecture or ImageNetwork, got str"),
        ({"pixels": np.zeros((3, 2, 2))}, TypeError, "pixels: expected pixels of dtype uint8, got float64"),
        ({"pixels": np.zeros((3, 2, 2), np.uint8)}, ValueError, r"pixels: expected shape \(B, \d+, \d+\), got"),
        ({"labels": np.arange(200)}, ValueError, "labels: expected integers from 0 to 9, got 10"),
        ({"labels": np.zeros(3)}, ValueError, r"labels: expected shape \(200,\), got \(3,\)"),
        ({"resume": True}, ValueError, "checkpoint: expected a path to resume from, got None"),
        ({"rng": -1}, ValueError, "rng: expected an integer >= 0, got -1"),
    ],
)
def test_train__raises_on_wrong_arguments(change, error, message, data):
    (pixels, labels), _ = data
    arguments = {"network": pixelwise(pixels), "pixels": pixels, "labels": labels, "protocol": SMALL} | change
    with pytest.raises(error, match=message):
        images.train(**arguments)


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


# Files


@pytest.mark.parametrize("kind", [convolutional, pixelwise])
def test_networks_come_back_from_files(kind, data, tmp_path):
    pixels = data[0][0]
    arch = kind(pixels)
    net = images.ImageNetwork(arch, arch.init(0, dtype=np.float32))
    net.save(tmp_path / "net")
    loaded = images.load(tmp_path / "net")
    assert loaded.arch == arch and images.is_image_network(tmp_path / "net")
    np.testing.assert_array_equal(loaded.logits(pixels), net.logits(pixels))
    pyham.H2(4, 2).init(0).save(tmp_path / "vectors")
    assert not images.is_image_network(tmp_path / "vectors")
    with pytest.raises(ValueError, match="expected an image network or its training, got a file of another kind"):
        images.load(tmp_path / "vectors")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "ConvH3"},
        {"name": None},
        {"classes": 10**12},
        {"classes": "10"},
        {"rows": 10**9},
        {"rows": -8},
        {"depths": [10**9]},
        {"depths": [1] * 1000},
        {"depths": {"a": 1}},
        {"width": 10**15},
        {"size": 10**9 + 1},
        {"size": 2.5},
        {"step": "1"},
        {"activation": ["tanh"]},
        {"network": {}},
        None,
        [],
    ],
)
def test_load__raises_on_headers_that_describe_no_network(change, tmp_path):
    arch = images.ConvH2(8, 8, width=2, depths=(1,))
    config = arch.config() | change if isinstance(change, dict) else change
    header = {"kind": "image network", "architecture": config}
    archive.write(tmp_path / "net", header, arch.init(0))
    with pytest.raises(ValueError, match=r"net: expected an image network, got a header that describes none \("):
        images.load(tmp_path / "net")


@pytest.mark.parametrize("name", ["lift", "Kp0", "layer", "mu"])
def test_load__raises_on_arrays_of_another_network(name, tmp_path):
    arch = images.ConvH2(8, 8, width=2, depths=(1,))
    params = arch.init(0)
    for wrong in (params[name][:0], np.full_like(params[name], np.nan), None, params[name].astype(np.float32)):
        changed = {key: value for key, value in params.items() if key != name}
        if wrong is not None:
            changed[name] = wrong
        archive.write(tmp_path / "net", {"kind": "image network", "architecture": arch.config()}, changed)
        with pytest.raises(ValueError, match="net: expected an image network, got a header that describes none"):
            images.load(tmp_path / "net")


@pytest.mark.parametrize("where", [0, 9, 100, -1])
def test_load__raises_on_damaged_files(where, tmp_path):
    arch = images.ConvH2(8, 8, width=2, depths=(1,))
    images.ImageNetwork(arch, arch.init(0)).save(tmp_path / "net")
    content = bytearray((tmp_path / "net").read_bytes())
    content[where] ^= 0xFF
    (tmp_path / "net").write_bytes(bytes(content))
    with pytest.raises(ValueError, match="net: expected "):
        images.load(tmp_path / "net")


def test_checkpoints_say_what_they_are(data, tmp_path):
    train, _ = data
    images.train(pixelwise(train[0]), *train, protocol=SMALL, rng=0, checkpoint=tmp_path / "run")
    header, _ = archive.read(tmp_path / "run")
    assert header["kind"] == TRAINING and json.loads(json.dumps(header)) == header
    net = pyham.H2(4, 2).init(0)
    options = {"checkpoint": tmp_path / "run", "resume": True}
    with pytest.raises(ValueError, match="got one for images, which pyham"):
        pyham.training.train(net, np.zeros((4, 4)), [0, 1, 0, 1], **options)


# The command line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a few images in MNIST's files."""
    path = tmp_path_factory.mktemp("mnist")
    arrays = digits.arrays()
    for name, count in zip(digits.NAMES, (120, 120, 40, 40), strict=True):
        (path / name).write_bytes(digits.idx_bytes(arrays[name][:count]))
    return path


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
    assert images.load(tmp_path / "net").arch == images.image_architecture(**result["architecture"])


@pytest.mark.parametrize("architecture", ["H1", "MLP"])
def test_train_mnist_with_networks_at_every_pixel(architecture, folder, tmp_path, capsys):
    words = ["train", "mnist", "--data", str(folder), "--epochs", "1", "--architecture", architecture, "--depth", "2"]
    assert cli.main([*words, "--validation", "0", "--save", str(tmp_path / "net")]) == 0
    assert re.search(rf"{architecture}, 2 layers, seed 0: accuracy train [\d.]+ %, test", capsys.readouterr().out)
    assert cli.main(["certify", str(tmp_path / "net"), "--data", str(folder), "--images", "1"]) == 0
    assert f"{architecture}(width=8" in capsys.readouterr().out


def test_a_stopped_command_goes_on_to_the_same_bits(folder, tmp_path, capsys, monkeypatch):
    from pyham.commands import images as command

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


# Certificates


@pytest.fixture(scope="module")
def trained(data):
    (pixels, labels), _ = data
    return images.train(convolutional(pixels), pixels, labels, protocol=SMALL, rng=0).net


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_trained_network_is_certified_and_every_control_fails(dtype, trained, data, monkeypatch):
    found = images.certify(trained, data[1][0][:8], full=2, dtype=dtype)
    assert found.passed
    assert [check.name for check in found.checks] == ["symplectic", "norms", "two-form", "dot products"]
    assert all(check.control_failed for check in found.checks)
    assert json.loads(json.dumps(found.to_dict()))["passed"]
    assert "PASSED" in str(found) and f"{np.dtype(dtype)}" in str(found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("neighbour", ["forward_euler", "one_sign", "contracting"])
def test_a_network_that_is_none_is_not_certified(neighbour, dtype, trained, data, monkeypatch):
    groups = trained.groups
    if neighbour == "one_sign":
        y = trained.lifted(data[1][0][:3])
        broken = property(lambda net: certificate.one_sign(net.arch.lower(net.params), y))
        monkeypatch.setattr(images.ImageNetwork, "groups", broken)
        assert not images.certify(trained, data[1][0][:3], dtype=dtype).passed
    else:
        y = trained.lifted(data[1][0][:1]).astype(dtype)
        wrong = [g for g in getattr(certificate, neighbour)(groups)]
        wrong = [certificate.replace(g, **{k: getattr(g, k).astype(dtype) for k in "AcW"}) for g in wrong]
        rows = certificate.norms_and_defect(wrong, y[0], compiled)
        assert rows[0][0] > 1e-7


def test_the_sign_that_is_flipped_is_one_of_a_channel_that_is_alive():
    arch = images.ConvH2(4, 4, width=4, depths=(1,), activation="relu")
    params = arch.init(0)
    largest = np.abs(params["Kp0"][0]).max(axis=(1, 2, 3)).argmax()  # of Kp, which the last stage applies
    params["b0"][0] = [-100 if row == largest else 100 for row in range(2)] * 2
    groups, y = arch.lower(params), np.ones((1, 4, 4, 4))
    flipped = certificate.one_sign(groups, y)[-1].W[-1] != groups[-1].W[-1]
    assert flipped.sum() == 1 and not flipped[:, largest].any()


@pytest.mark.parametrize(("shape", "depths"), [((4, 4), (1, 1, 1)), ((2, 4), (2, 1))])
@pytest.mark.parametrize("seed", range(5))
def test_the_sign_that_is_flipped_is_one_of_an_entry_that_sees_the_image(shape, depths, seed):
    """Even where the image is smaller than a kernel: of 1 x 1 pixels only the entry in the middle sees anything."""
    arch = images.ConvH2(*shape, width=2, depths=depths)
    pixels = np.random.default_rng(seed).integers(0, 256, (3, *shape)).astype(np.uint8)
    assert images.certify(images.ImageNetwork(arch, arch.init(seed)), pixels).passed


def test_sensitivities_are_those_of_the_complex_step(trained, data):
    """Every column of Phi_0, and rho and norms as ``pyham.symplectic`` has them."""
    arch = images.ConvH2(4, 4, width=2, depths=(2, 1))
    groups = images.ImageNetwork(arch, arch.init(1)).groups
    y = np.random.default_rng(0).standard_normal((2, 4, 4))
    matrices = list(certificate.sensitivities(groups, y, compiled))
    assert len(matrices) == 4
    step = np.eye(32).reshape(32, 2, 4, 4) * 1e-100j
    jacobian = reference.forward(groups, y + step).imag.reshape(32, 32).T / 1e-100  # [c, i] = d(y_N)_c / d y_i
    np.testing.assert_allclose(matrices[-1], jacobian, rtol=0, atol=100 * EPS * np.abs(jacobian).max())
    J = pyham.interconnection.J1(32)
    for matrix in matrices:
        norms, expected = certificate.norms(matrix), pyham.symplectic.norms(matrix.T)
        assert {n: norms[n] for n in ("1", "inf", "fro")} == pytest.approx(
            {n: expected[n] for n in ("1", "inf", "fro")}
        )
        assert 0.9 * expected["2"] <= norms["2"] <= (1 + 100 * EPS) * expected["2"]
    noisy = matrices[-1] + 1e-3 * np.random.default_rng(1).standard_normal((32, 32))
    assert certificate.rho(noisy) == pytest.approx(pyham.symplectic.defect(noisy.T, J), rel=1e-6)


def test_certify__raises_on_wrong_arguments(trained, data):
    with pytest.raises(TypeError, match="net: expected an ImageNetwork, got str"):
        images.certify("net", data[1][0])
    with pytest.raises(ValueError, match="full: expected an integer from 1 to the 3 images, got 4"):
        images.certify(trained, data[1][0][:3], full=4)


def test_certify_command(trained, folder, tmp_path, capsys):
    trained.save(tmp_path / "net")
    words = ["certify", str(tmp_path / "net"), "--data", str(folder), "--images", "5", "--json", str(tmp_path / "c")]
    assert cli.main(words) == 0
    assert "ConvH2(" in capsys.readouterr().out and json.loads((tmp_path / "c").read_text())["passed"]
    assert cli.main([*words, "--full", "6"]) == 2
    assert "full: expected an integer from 1 to the 5 images, got 6" in capsys.readouterr().err


@pytest.mark.parametrize(("architecture", "expected"), [("H1", "RECOMMENDED"), ("ConvH2", "CONVOLUTIONAL")])
def test_the_defaults_of_the_command_are_the_recommended_protocol(architecture, expected, folder, monkeypatch):
    from pyham.commands import images as command

    class Seen(Exception):
        pass

    def look(network, pixels, labels, *, protocol, **options):
        assert protocol == getattr(images, expected) and options["shift"] == 1
        raise Seen

    monkeypatch.setattr(command, "train", look)
    with pytest.raises(Seen):
        depth = [] if architecture == "H1" else ["--depth", "1", "--groups", "1"]
        cli.main(["train", "mnist", "--data", str(folder), "--architecture", architecture, *depth])

"""Files that earlier versions wrote: what they hold comes back, and trainings go on from them to the same bits."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.data import plane as datasets
from pyham.files import archive
from pyham.training import Classifier, Protocol, train

FOLDER = Path(__file__).parent / "earlier"
IMAGES = {
    "image-training": images.ConvH2(4, 4, width=2, depths=(1, 1)),
    "image-training-pixelwise": images.image_architecture("H1", rows=4, columns=4, width=4, depth=2, step=0.5),
}
GAINS = {"image-training": 0.3, "image-training-pixelwise": 0.1}


@pytest.fixture(scope="module")
def expected():
    """What the networks computed when the files were written."""
    with np.load(FOLDER / "expected.npz") as arrays:
        return dict(arrays)


def agree(found, right):
    """To rounding: another engine, or another processor, may add in another order."""
    assert found.dtype == right.dtype and found.shape == right.shape
    assert np.abs(found - right).max() <= 1000 * np.finfo(right.dtype).eps * np.abs(right).max()


def test_a_network_comes_back(expected):
    net = pyham.load(FOLDER / "network.pyham")
    assert net.arch == pyham.H1(4, 2, 0.5, interconnection="J2")
    agree(net(expected["x"].astype(np.float32)), expected["network"])


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("logistic", 2), ("softmax", 3), ("image-network", 0), ("image-network-pixelwise", 0), *((k, 2) for k in IMAGES)],
)
def test_classifiers_and_trainings_come_back_with_their_output_layer(name, epochs, expected):
    found = pyham.load(FOLDER / f"{name}.pyham")
    assert isinstance(found, Classifier) and len(found.losses) == epochs
    agree(found.logits(expected["x" if found.lift is None else "pixels"]), expected[name])
    trained = name.replace("network", "training")
    if trained in IMAGES:
        assert found.classes == 3 and found.head.gain == GAINS[trained] and found.net.arch == IMAGES[trained]
    else:
        assert found.head.loss == name and found.lift is None


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_trainings_on_points_go_on(name, expected, tmp_path):
    shutil.copy(FOLDER / f"{name}.pyham", tmp_path / "run")
    x, labels, x_test, labels_test = datasets.train_test_split(*datasets.swiss_roll(48, rng=0))
    if name == "logistic":
        net, protocol = pyham.H2(4, 2, 0.3).init(0), Protocol(epochs=3, batch=8, scheme="joint")
    else:
        net = pyham.MS1(4, 2, 0.3).init(0)
        protocol = Protocol(epochs=2, output_epochs=1, batch=8, loss="softmax", levels=2)
    options = {"protocol": protocol, "rng": 1, "validation": (x_test, labels_test)}
    found = train(net, x, labels, **options, checkpoint=tmp_path / "run", resume=True)
    agree(found.logits(expected["x"]), expected[f"{name} end"])


@pytest.mark.parametrize("name", IMAGES)
def test_trainings_on_images_go_on(name, expected, tmp_path):
    shutil.copy(FOLDER / f"{name}.pyham", tmp_path / "run")
    protocol = Protocol(epochs=3, batch=8, rate=0.02, scheme="joint", loss="softmax", alpha=1e-3)
    options = {"protocol": protocol, "rng": 2, "shift": 1, "dtype": np.float64, "gain": GAINS[name]}
    data = IMAGES[name], expected["pixels"], expected["labels"]
    found = images.train(*data, **options, checkpoint=tmp_path / "run", resume=True)
    agree(found.logits(expected["pixels"]), expected[f"{name} end"])
    assert archive.read(tmp_path / "run")[0]["kind"] == "training"
    for change, message in (({"gain": 0.2}, "gain: expected"), ({"classes": 4}, "classes: expected 3")):
        with pytest.raises(ValueError, match=message):
            images.train(*data, **options | change, checkpoint=tmp_path / "run", resume=True)


@pytest.mark.parametrize("name", ["image-network", "image-training"])
@pytest.mark.parametrize("fault", ["classes", "layer", "mu", "architecture", "optimizer/m", "start"])
def test_load__raises_on_earlier_files_that_say_nonsense(name, fault, tmp_path):
    header, arrays = archive.read(FOLDER / f"{name}.pyham")
    prefix = "parameters/" if "training" in name else ""
    if fault in ("layer", "mu"):
        arrays[prefix + fault] = arrays[prefix + fault][1:]
    elif fault in arrays:
        arrays[fault] = arrays[fault][:3]
    elif fault in header:
        header[fault] = None
    elif fault == "classes":
        header["architecture"][fault] = 4
    else:
        return
    archive.write(tmp_path / "file", header, arrays)
    with pytest.raises(ValueError, match="file: expected a network, got a header that describes none"):
        pyham.load(tmp_path / "file")

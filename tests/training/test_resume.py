"""Checkpoints of trainings: going on from any epoch gives every bit of an undisturbed run; other files are refused."""

import os

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.files import archive, replacing
from pyham.training.optimizers import SGD, AdamW
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine
from pyham.training.trainer import train
from tests.oracles.sampling import first

PROTOCOLS = {
    "alternating": Protocol(epochs=3, output_epochs=2, batch=32),
    "joint": Protocol(epochs=4, batch=32, scheme="joint", optimizer=AdamW(), schedule=Cosine()),
    "noisy": Protocol(epochs=3, output_epochs=1, batch=32, noise=0.3),
    "momentum": Protocol(epochs=3, batch=32, scheme="joint", optimizer=SGD(momentum=0.9), rate=0.01),
    "multilevel": Protocol(epochs=2, output_epochs=2, batch=50, levels=3, prolongation="linear"),
    "patient": Protocol(epochs=8, output_epochs=4, batch=20, patience=2, rate=0.3),
    "softmax": Protocol(epochs=2, output_epochs=2, batch=32, loss="softmax"),
    "output only": Protocol(epochs=0, output_epochs=3, levels=2),
    "nothing": Protocol(epochs=0, output_epochs=0),
}
OF_IMAGES = Protocol(epochs=3, batch=25, rate=0.02, scheme="joint", loss="softmax", schedule=Cosine(), alpha=1e-4)
IMAGES = {
    "ConvH2": images.ConvH2(8, 8, width=2, depths=(1, 1)),
    "H1 at every pixel": images.image_architecture("H1", rows=8, columns=8, width=4, depth=2, step=0.5),
}


class Stop(Exception):
    pass


def start(protocol, dtype=np.float64):
    return {"net": pyham.H2(4, 3, 0.3).init(0, dtype=dtype), "rng": 1, "protocol": protocol}


def of_images(name, dtype=np.float64):
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    pixels = (rng.integers(0, 150, (90, 8, 8)) + 50 * labels[:, None, None]).astype(np.uint8)
    options = {"network": IMAGES[name], "pixels": pixels[:60], "labels": labels[:60], "protocol": OF_IMAGES, "rng": 1}
    return options | {"validation": (pixels[60:], labels[60:]), "shift": 2, "dtype": dtype}


def kind(name, dtype, data):
    """A function that trains, and its options."""
    if name in IMAGES:
        return images.train, of_images(name, dtype)
    return train, start(PROTOCOLS[name], dtype) | data


def assert_same(a, b):
    assert a.net.arch == b.net.arch
    (header, arrays), (other, others) = a.describe(), b.describe()
    assert header == other and arrays.keys() == others.keys()
    for name, value in arrays.items():
        assert value.dtype == others[name].dtype
        np.testing.assert_array_equal(value, others[name])
    for name, column in vars(a.history).items():
        np.testing.assert_array_equal(column, getattr(b.history, name))


@pytest.mark.parametrize(
    ("name", "dtype"),
    first(
        12,
        [*((name, np.float64) for name in [*PROTOCOLS, *IMAGES]), ("joint", np.float32), ("ConvH2", np.float32)]
        + [(name, np.float32) for name in [*PROTOCOLS, *IMAGES] if name not in ("joint", "ConvH2")],
    ),
)
def test_resuming_after_any_epoch_changes_no_bit(name, dtype, data, tmp_path):
    begin, options = kind(name, dtype, data)
    whole = begin(**options)
    fresh = options | {"rng": np.random.default_rng(99)}  # of which nothing is used when a training goes on
    for epoch in range(1, len(whole.losses) + 1):
        path = tmp_path / f"{epoch}"
        reached = []

        def stop(heard, epoch=epoch, reached=reached):
            if heard.done == epoch:
                reached.append(heard.classifier())
                raise Stop

        with pytest.raises(Stop):
            begin(**options, callback=stop, checkpoint=path)
        assert_same(pyham.load(path), reached[0])
        heard = []
        resumed = begin(**fresh, callback=heard.append, checkpoint=path, resume=True)
        assert [e.done for e in heard] == list(range(epoch + 1, len(whole.losses) + 1))
        assert_same(whole, resumed)
        assert_same(whole, begin(**fresh, checkpoint=path, resume=True))  # it is finished already
    assert len(os.listdir(tmp_path)) == len(whole.losses)


def test_a_chain_of_interruptions_changes_no_bit(data, tmp_path):
    options = start(PROTOCOLS["multilevel"]) | data
    stops = []

    def stop(heard):
        stops.append(heard.done)
        raise Stop

    while len(stops) < 8:
        with pytest.raises(Stop):
            train(**options, callback=stop, checkpoint=tmp_path / "run", resume=True)
    assert stops == list(range(1, 9))
    assert_same(train(**options), train(**options, callback=stop, checkpoint=tmp_path / "run", resume=True))


@pytest.mark.parametrize("name", ["nothing", "joint"])
def test_resume_without_a_file_begins_and_the_end_is_a_file_too(name, data, tmp_path):
    options = start(PROTOCOLS[name]) | data
    for _ in range(2):
        assert_same(train(**options), train(**options, checkpoint=tmp_path / "run", resume=True))
        assert_same(train(**options), pyham.load(tmp_path / "run"))


@pytest.mark.parametrize("moment", ["batch", "write"])
def test_ctrl_c_leaves_the_last_whole_epoch(moment, data, tmp_path, monkeypatch):
    options = start(Protocol(epochs=6, output_epochs=0, batch=32)) | data
    path = tmp_path / "run"
    calls = 0
    target, name = (pyham.training.model.PredictorModel, "gradient") if moment == "batch" else (replacing.os, "replace")
    exact = getattr(target, name)

    def interrupt(*arguments):
        nonlocal calls
        calls += 1
        if calls == (14 if moment == "batch" else 1):  # within the fourth of epochs of four batches
            raise KeyboardInterrupt
        return exact(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(target, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(**options, checkpoint=path, save_every=100 if moment == "batch" else 2)
    header, _ = archive.read(path)
    assert header["epoch"] == (3 if moment == "batch" else 2)
    assert os.listdir(tmp_path) == ["run"]
    assert_same(train(**options), train(**options, checkpoint=path, resume=True))


def test_save_every_spares_writes_and_the_end_is_always_saved(data, tmp_path, monkeypatch):
    saved = []
    exact = archive.write
    monkeypatch.setattr(archive, "write", lambda path, *rest: (saved.append(rest[0]["epoch"]), exact(path, *rest)))
    train(**start(Protocol(epochs=7, output_epochs=0)), **data, checkpoint=tmp_path / "run", save_every=3)
    assert saved == [3, 6, 7]


@pytest.mark.parametrize("name", ["alternating", "joint", "multilevel", "softmax", *IMAGES])
def test_pyham_load_gives_the_classifier_of_a_training(name, data, tmp_path):
    begin, options = kind(name, np.float32, data)
    classifier = begin(**options, checkpoint=tmp_path / "run")
    loaded = pyham.load(tmp_path / "run")
    assert_same(loaded, classifier)
    x = options["validation"][0]
    np.testing.assert_array_equal(loaded.logits(x), classifier.logits(x))
    loaded.save(tmp_path / "classifier")
    assert_same(pyham.load(tmp_path / "classifier"), classifier)


def test_generator_goes_on_where_it_was(data, tmp_path):
    options = start(PROTOCOLS["alternating"]) | data
    generator = np.random.Generator(np.random.PCG64DXSM(5))
    whole = train(**options | {"rng": np.random.Generator(np.random.PCG64DXSM(5))})

    def stop(heard):
        raise Stop

    with pytest.raises(Stop):
        train(**options | {"rng": generator}, checkpoint=tmp_path / "run", callback=stop)
    fresh = np.random.Generator(np.random.PCG64DXSM(99))
    assert_same(whole, train(**options | {"rng": fresh}, checkpoint=tmp_path / "run", resume=True))

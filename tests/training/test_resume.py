"""Checkpoints of trainings: going on from any epoch gives every bit of an undisturbed run; other files are refused."""

import json
import os

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.data import plane as datasets
from pyham.files import archive
from pyham.training.optimizers import SGD, AdamW
from pyham.training.protocol import Protocol
from pyham.training.schedules import Cosine
from pyham.training.trainer import train
from tests.training import kill_training

PROTOCOLS = {
    "alternating": Protocol(epochs=3, output_epochs=2, batch=32),
    "joint": Protocol(epochs=4, batch=32, scheme="joint", optimizer=AdamW(), schedule=Cosine()),
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


@pytest.fixture(scope="module")
def data():
    x, labels, x_test, labels_test = datasets.train_test_split(*datasets.swiss_roll(240, rng=0))
    return {"x": x, "labels": labels, "validation": (x_test, labels_test)}


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*PROTOCOLS, *IMAGES])
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


def test_a_training_without_epochs_writes_its_file_too(data, tmp_path):
    options = start(PROTOCOLS["nothing"]) | data
    train(**options, checkpoint=tmp_path / "run")
    assert_same(train(**options), train(**options, checkpoint=tmp_path / "run", resume=True))


def test_resume_without_a_file_begins(data, tmp_path):
    options = start(PROTOCOLS["joint"]) | data
    assert_same(train(**options), train(**options, checkpoint=tmp_path / "run", resume=True))


@pytest.mark.parametrize("moment", ["batch", "write"])
def test_ctrl_c_leaves_the_last_whole_epoch(moment, data, tmp_path, monkeypatch):
    options = start(Protocol(epochs=6, output_epochs=0, batch=32)) | data
    path = tmp_path / "run"
    calls = 0
    target, name = (pyham.training.model.ClassifierModel, "gradient") if moment == "batch" else (archive.os, "replace")
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


# What is refused


@pytest.fixture
def stopped(data, tmp_path):
    """(options, path) of a training stopped after its first epoch."""
    options = start(PROTOCOLS["alternating"]) | data | {"about": {"seed": 1}, "checkpoint": tmp_path / "run"}

    def stop(heard):
        raise Stop

    with pytest.raises(Stop):
        train(**options, callback=stop)
    return options | {"resume": True}, tmp_path / "run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": Protocol(epochs=9)}, "protocol: expected the one that the training began with, got another"),
        ({"net": pyham.H1(4, 3, 0.3).init(0)}, "net: expected the architecture that the training began with, got H1"),
        ({"net": pyham.H2(4, 3, 0.2).init(0)}, "net: expected the architecture that the training began with, got H2"),
        ({"labels": np.zeros(120)}, "x: expected the data that the training began with, got others"),
        ({"validation": None}, "x: expected the data that the training began with, got others"),
        ({"net": pyham.H2(4, 3, 0.3).init(0, dtype=np.float32)}, "net: expected dtype float64, as .* got float32"),
        ({"about": {"seed": 2}}, "training with seed 2, got one with 1"),
        ({"about": {"size": 2}}, "training with size 2, got one with None"),
    ],
)
def test_resume__raises_on_another_training(change, message, stopped):
    options, _ = stopped
    with pytest.raises(ValueError, match=f"run: expected .*{message}"):
        train(**options | change)


def test_resume__raises_on_another_training_of_images(data, tmp_path):
    options = of_images("ConvH2") | {"checkpoint": tmp_path / "run"}
    images.train(**options)
    for change, message in (
        ({"shift": 1}, "a training with shift 1, got one with 2"),
        ({"network": IMAGES["H1 at every pixel"]}, "net: expected the architecture that the training began with"),
        ({"gain": 0.5}, "gain: expected 0.3, as the training began, got 0.5"),
        ({"classes": 4}, "classes: expected 3, as the training began, got 4"),
        ({"dtype": np.float32}, "net: expected dtype float64, as the training began, got float32"),
    ):
        with pytest.raises(ValueError, match=f"run: expected .*{message}"):
            images.train(**options | change, resume=True)
    with pytest.raises(ValueError, match=r"run: expected .*net: expected the architecture that the training began"):
        train(**start(PROTOCOLS["joint"]), **data, checkpoint=tmp_path / "run", resume=True)


def test_resume__raises_on_a_network(stopped):
    options, path = stopped
    options["net"].save(path)
    with pytest.raises(ValueError, match="run: expected the checkpoint of a training, got a network"):
        train(**options)


def test_train__raises_on_generators_whose_state_files_do_not_hold(data, tmp_path):
    options = start(PROTOCOLS["joint"]) | data | {"rng": np.random.Generator(np.random.MT19937(0))}
    train(**options)
    with pytest.raises(TypeError, match="rng: expected a generator on PCG64 or PCG64DXSM, got MT19937"):
        train(**options, checkpoint=tmp_path / "run")


def test_train__raises_on_resume_without_a_path(data):
    with pytest.raises(ValueError, match="checkpoint: expected a path to resume from, got None"):
        train(**start(PROTOCOLS["joint"]), **data, resume=True)


def damaged(path, change):
    """The file with another header or other arrays, and a checksum that is right."""
    header, arrays = archive.read(path)
    change(header, arrays)
    archive.write(path, header, arrays)


def put(value, *keys):
    def change(header, arrays):
        inner = header
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


def array(name, value):
    return lambda header, arrays: arrays.__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        put(-1, "phase"),
        put(-2, "phase"),
        put(1, "over"),
        put(3, "phase"),
        put("0", "phase"),
        put(3, "epoch"),
        put(10**400, "epoch"),
        put(None, "steps"),
        put(-1, "age"),
        put(2**53, "steps"),
        put([], "phases"),
        put(["weights"], "depths"),
        put({}, "generator"),
        put("MT19937", "generator", "bit_generator"),
        put(2**128, "generator", "state", "state"),
        put(1.5, "generator", "state", "inc"),
        put(2, "generator", "has_uint32"),
        put(-1, "generator", "uinteger"),
        put([], "protocol"),
        put("adagrad", "protocol", "optimizer", "name"),
        put([1], "protocol", "schedule"),
        put(10**30, "protocol", "inner_steps"),
        put(60, "protocol", "levels"),
        put({"a": 1}, "data"),
        put(10**9, "architecture", "depth"),
        put({"name": "H1", "width": 10**6, "depth": 3}, "architecture"),
        put(10**9, "start", "depth"),
        array("parameters/layer", np.zeros((1, 4))),
        array("parameters/layer", np.full((1, 5), np.nan)),
        array("parameters/b", np.zeros((3, 4), np.float32)),
        array("optimizer/m", np.zeros(3)),
        array("optimizer/v", np.zeros(36, np.int64)),
        array("history/loss", np.zeros(2)),
        array("best", np.zeros(2)),
        lambda header, arrays: arrays.pop("optimizer/m"),
        lambda header, arrays: arrays.pop("parameters/layer"),
        lambda header, arrays: arrays.pop("parameters/Kp"),
        lambda header, arrays: header.pop("generator"),
        lambda header, arrays: header.pop("architecture"),
    ],
)
def test_resume__raises_on_a_state_that_is_none_although_its_checksum_is_right(change, stopped):
    options, path = stopped
    damaged(path, change)
    with pytest.raises(ValueError, match=r"run: expected "):
        train(**options)


def test_kills_at_random_moments_lose_nothing(capsys, slow):
    count, epochs = (300, 400) if slow else (2, 60)
    assert kill_training.main(["--count", str(count), "--epochs", str(epochs)]) == 0
    assert f"{count} kills" in capsys.readouterr().out


def test_the_killer_notices_lost_epochs_and_other_bits(stopped, monkeypatch):
    _, path = stopped
    other = path.with_name("other")
    header, arrays = archive.read(path)
    archive.write(other, header, arrays | {"parameters/b": np.nextafter(arrays["parameters/b"], 9)})
    assert kill_training.same(path, path) and not kill_training.same(path, other)

    class Done:
        returncode = 0

        def wait(self, delay):
            pass

        def communicate(self):
            return "1\n2\n", None

    monkeypatch.setattr(kill_training, "start", lambda *arguments: Done())
    failures = kill_training.strike(path, other, 1, 0.0, kill_training.Tally()).failures
    assert failures == (
        "epoch 2 was done, the checkpoint has 1",
        "a training that was killed and went on has other bits than one that was not",
    )


def test_checkpoints_are_plain_data(stopped):
    _, path = stopped
    header, arrays = archive.read(path)
    assert json.loads(json.dumps(header)) == header
    assert {array.dtype.kind for array in arrays.values()} == {"f"}

"""Checkpoints that a training does not go on from: another training's, and states that are none; and kills."""

import json

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.files import archive
from pyham.training.protocol import Protocol
from pyham.training.trainer import train
from tests.training import kill_training
from tests.training.test_resume import IMAGES, PROTOCOLS, Stop, of_images, start


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

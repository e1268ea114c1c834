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


WRONG = {
    "phase": (-1, -2, 3, "0"),
    "over": (1,),
    "epoch": (3, 10**400),
    "steps": (None, 2**53),
    "age": (-1,),
    "phases": ([], "w"),
    "depths": (["weights"], [1.5], [1, 1]),
    "generator": ({},),
    "generator/bit_generator": ("MT19937",),
    "generator/state/state": (2**128,),
    "generator/state/inc": (1.5,),
    "generator/has_uint32": (2,),
    "generator/uinteger": (-1,),
    "protocol": ([],),
    "protocol/optimizer/name": ("adagrad",),
    "protocol/schedule": ([1],),
    "protocol/inner_steps": (10**30,),
    "protocol/levels": (60,),
    "data": ({"a": 1},),
    "architecture/depth": (10**9,),
    "architecture": ({"name": "H1", "width": 10**6, "depth": 3},),
    "start/depth": (10**9,),
}
WRONG_ARRAYS = {
    "parameters/layer": (np.zeros((1, 4)), np.full((1, 5), np.nan), None),
    "parameters/b": (np.zeros((3, 4), np.float32),),
    "parameters/Kp": (None,),
    "optimizer/m": (np.zeros(3), None),
    "optimizer/v": (np.zeros(36, np.int64),),
    "history/loss": (np.zeros(2),),
    "best": (np.zeros(2),),
}


def refused_with(stopped, change):
    """Going on from the file with another header or other arrays, and a checksum that is right, is refused."""
    options, path = stopped
    header, arrays = archive.read(path)
    change(header, arrays)
    archive.write(path, header, arrays)
    with pytest.raises(ValueError, match=r"run: expected "):
        train(**options)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_resume__raises_on_a_header_that_describes_no_state(name, value, stopped):
    def change(header, arrays):
        *folders, last = name.split("/")
        for folder in folders:
            header = header[folder]
        header[last] = value

    refused_with(stopped, change)


@pytest.mark.parametrize(("name", "value"), [(k, value) for k, values in WRONG_ARRAYS.items() for value in values])
def test_resume__raises_on_arrays_of_no_state(name, value, stopped):
    refused_with(stopped, lambda header, arrays: arrays.pop(name) if value is None else arrays.update({name: value}))


@pytest.mark.parametrize("name", ["generator", "architecture"])
def test_resume__raises_on_a_header_without(name, stopped):
    refused_with(stopped, lambda header, arrays: header.pop(name))


@pytest.mark.seldom
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

"""``pyham.register``: a user's own architecture is saved and loaded, and what is not registered is not saved."""

from dataclasses import dataclass

import numpy as np
import pytest

import pyham
from pyham import images


@dataclass(frozen=True, eq=False)
class Doubled(pyham.ResNet):
    """A ResNet with an option of its own."""

    factor: float = 2.0


@pytest.fixture(autouse=True)
def forgotten():
    """What a test registers is gone after it."""
    yield
    pyham.ARCHITECTURES.pop("Doubled", None)


def test_an_architecture_of_one_s_own_is_saved_after_it_is_registered(tmp_path):
    net = Doubled(3, 2, 0.1, factor=4.0).init(0)
    pixelwise = images.untrained(images.Pixelwise(2, 2, Doubled(2, 2)), 0, classes=2)
    for save in (net.save, pixelwise.save):
        with pytest.raises(ValueError, match=r"^net: expected a registered arch.*; pyham.register\(Doubled\)"):
            save(tmp_path / "net")
    assert pyham.register(Doubled) is Doubled and pyham.register(Doubled) is Doubled
    net.save(tmp_path / "net")
    pixelwise.save(tmp_path / "pixelwise")
    again = pyham.load(tmp_path / "net")
    assert type(again.arch) is Doubled and again.arch == net.arch and again.arch.factor == 4.0
    np.testing.assert_array_equal(again.K, net.K)
    assert type(pyham.load(tmp_path / "pixelwise").net.arch.network) is Doubled
    assert pyham.architecture("Doubled", width=2, depth=1) == Doubled(2, 1)
    del pyham.ARCHITECTURES["Doubled"]
    with pytest.raises(ValueError, match=r"net: expected a network, got a header .*\(name: .*Doubled"):
        pyham.load(tmp_path / "net")


def test_a_newer_class_of_the_same_name_takes_its_place():
    pyham.register(Doubled)
    newer = dataclass(frozen=True, eq=False)(type("Doubled", (pyham.ResNet,), {}))
    assert pyham.register(newer) is newer is pyham.ARCHITECTURES["Doubled"]


@pytest.mark.parametrize("own", [Doubled(2, 2), dict, "H2", None])
def test_register__raises_on_what_is_neither_a_class_nor_an_activation(own):
    with pytest.raises(TypeError, match=r"^own: expected a subclass of Architecture, or an Activation, got "):
        pyham.register(own)


def test_register__raises_on_a_name_of_pyham_s():
    class H2(pyham.H1):
        pass

    for own in (H2, pyham.Activation("tanh", np.sin, np.cos, lambda a: 1 - np.cos(a), 1.0)):
        with pytest.raises(ValueError, match=r"^own: expected a name that is not one of pyham's, got '(H2|tanh)'"):
            pyham.register(own)

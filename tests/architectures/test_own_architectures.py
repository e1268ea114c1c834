"""Architectures of thirty lines: both engines, gradients, training, files, certificates and the command line."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham.training import Protocol, train
from pyham.verification import gradcheck
from tests.architectures.own.convolution import TiedImages
from tests.architectures.own.descent import Descent
from tests.architectures.own.graph import TiedGraph

EPS = np.finfo(float).eps
FOLDER = Path(__file__).with_name("own")
#: Not known to other tests, which go through all architectures that there are.
REGISTERED = {name: pyham.ARCHITECTURES.pop(name) for name in ("Descent", "TiedImages", "TiedGraph")}
NETS = {
    "Descent": Descent(4, 6, 0.2),
    "TiedImages": TiedImages(4, 3, 0.3),
    "TiedGraph": TiedGraph(12, 5, 0.2, scheme="verlet", damping=0.3, graph="ring", nodes=3),
}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, kind in REGISTERED.items():
        monkeypatch.setitem(pyham.ARCHITECTURES, name, kind)


@pytest.mark.parametrize("name", NETS)
def test_an_architecture_of_thirty_lines_runs_is_certified_saved_and_loaded(name, tmp_path):
    net = NETS[name].init(0, initialization="scaled-normal")
    x = np.random.default_rng(1).standard_normal((4, *net.arch.shape))
    np.testing.assert_allclose(net(x), net(x, backend="reference"), rtol=0, atol=1e-13)
    assert max(gradcheck.complex_step(net, x, np.ones_like(x)).values()) <= 1e-13
    certificate = pyham.certify(net, x)
    assert certificate.passed, str(certificate)
    held = {check.name for check in certificate.checks if check.guaranteed and check.holds}
    assert ({"symmetry"} if name == "Descent" else {"symplectic", "determinant", "norms"}) <= held
    net.save(tmp_path / "net.npz")
    back = pyham.load(tmp_path / "net.npz")
    assert back.arch == net.arch
    np.testing.assert_array_equal(back(x), net(x))
    source = (
        FOLDER / f"{ {'Descent': 'descent', 'TiedImages': 'convolution', 'TiedGraph': 'graph'}[name] }.py"
    ).read_text()
    (definition,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert definition.end_lineno - definition.lineno < 40


def test_a_law_of_ones_own_is_checked_with_its_control_and_a_broken_one_is_refused(monkeypatch):
    net, x = Descent(4, 6, 0.2).init(0), np.random.default_rng(1).standard_normal((5, 4))
    (check,) = [check for check in pyham.certify(net, x).checks if check.name == "symmetry"]
    assert check.holds and check.control == "one entry of D moved" and check.control_failed and check.tolerance < 1e-12
    monkeypatch.setattr(Descent, "coupling", property(lambda self: -np.eye(4) + np.eye(4, k=1) / 100))
    broken = Descent(4, 6, 0.2).init(0)
    assert not pyham.certify(broken, x).passed


@pytest.mark.parametrize("name", ["Descent", "TiedGraph"])
def test_an_architecture_of_ones_own_trains(name):
    points, labels = pyham.datasets.double_moons(400, width=NETS[name].width, rng=0)
    protocol = Protocol(scheme="joint", epochs=4, output_epochs=0)
    classifier = train(NETS[name].init(0), points, labels, protocol=protocol, rng=0)
    assert classifier.history.loss[-1] < classifier.history.loss[0]


def test_descent_lets_the_energy_fall_in_small_steps():
    K, b = np.random.default_rng(0).standard_normal((4, 4)), np.zeros(4)
    net = Descent(4, 50, 0.02).init(0, initialization={"K": K, "b": b})
    along = np.array([net.energy(y)[0] for y in net.trace(np.ones((3, 4))).states])
    assert (np.diff(along, axis=0) < 0).all()


@pytest.mark.seldom
def test_the_command_line_imports_trains_and_certifies_it(tmp_path):
    (tmp_path / "my_networks.py").write_text((FOLDER / "descent.py").read_text())
    own = [sys.executable, "-m", "pyham", "--import", "my_networks"]
    few = ["--architecture", "Descent", "--depth", "2", "--samples", "40", "--epochs", "1"]

    def run(*words):
        return subprocess.run([*own, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300)

    trained = run("train", "double-moons", *few, "--json", "-", "--checkpoint", "run.npz")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout[trained.stdout.index("{") :])["architecture"]["name"] == "Descent"
    certified = run("certify", "run.npz")
    assert certified.returncode == 0 and "D = D^T" in certified.stdout, certified.stderr + certified.stdout
    several = run("train", "double-moons", *few, "--seeds", "2", "--jobs", "2")
    assert several.returncode == 0, several.stderr
    for words, said in (
        (["--import"], "expected the name of a module"),
        (["--import=nowhere"], "No module named 'nowhere'"),
    ):
        refused = subprocess.run([*own[:3], *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 2 and said in refused.stderr

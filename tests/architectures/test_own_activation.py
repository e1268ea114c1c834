"""Activations of a user's own: in every architecture, on both engines, in bounds, files and trainings."""

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.distributed import network
from pyham.training import train
from pyham.training.protocol import Protocol
from pyham.verification import bounds, gradcheck

EPS = np.finfo(float).eps
SINE = pyham.Activation("sine", np.sin, np.cos, lambda a: 1 - np.cos(a), 1.0)


@pytest.fixture
def registered():
    """The sine by its name, for one test."""
    yield pyham.register(SINE)
    del pyham.ACTIVATIONS["sine"]


@pytest.mark.parametrize("name", pyham.ARCHITECTURES)
def test_both_engines_run_it_in_every_architecture(name, rng):
    net = pyham.architecture(name, width=4, depth=5, step=0.3, activation=SINE).init(0)
    x, g = rng.standard_normal((2, 7, 4))
    np.testing.assert_array_equal(net(x), net(x, backend="reference"))
    assert max(gradcheck.complex_step(net, x, g).values()) <= 1e-13
    y = net(x[:, :2].repeat(2, axis=1))
    assert np.isfinite(y).all() and np.abs(net(x) - net.replace({"b": net.b + 2 * np.pi})(x)).max() <= 200 * EPS


def test_the_layer_is_its_formula(rng):
    net = pyham.MLP(3, 1, activation=SINE).init(0)
    x = rng.standard_normal((5, 3))
    np.testing.assert_allclose(net(x), np.sin(x @ net.K[0].T + net.b[0]), rtol=0, atol=4 * EPS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_of_images_run_it_too(dtype):
    pixels, labels = np.random.default_rng(0).integers(0, 256, (12, 4, 4)).astype(np.uint8), np.arange(12) % 2
    arch = images.ConvH2(4, 4, width=2, depths=(1, 1), activation=SINE)
    first = images.untrained(arch, 0, classes=2, dtype=dtype)
    np.testing.assert_allclose(
        first.logits(pixels), first.logits(pixels, backend="reference"), rtol=0, atol=50 * np.finfo(dtype).eps
    )
    trained = images.train(first, pixels, labels, rng=0)
    assert np.isfinite(trained.history.loss).all() and trained.history.loss[-1] < trained.history.loss[0]
    assert arch != images.ConvH2(4, 4, width=2, depths=(1, 1), activation="tanh")


def test_nodes_of_a_graph_run_it_too(rng):
    net = pyham.H1(4, 3, 0.2, activation=SINE).init(0)
    net = net.replace({"K": net.K * np.tile(np.eye(2), (2, 2))})  # entries within each of two nodes
    np.testing.assert_allclose(
        network.distribute(net, "full", nodes=2)(x := rng.standard_normal((6, 4))), net(x), rtol=0, atol=20 * EPS
    )


def test_another_function_under_a_name_of_the_package_runs_as_itself(monkeypatch, rng):
    """In ``ACTIVATIONS`` too, where one may have been put without asking."""
    monkeypatch.setitem(pyham.ACTIVATIONS, "tanh", SINE)
    net, x = pyham.H2(2, 2).init(0), rng.standard_normal((3, 2))
    np.testing.assert_array_equal(net(x), net(x, backend="reference"))
    monkeypatch.undo()
    assert np.abs(net(x) - pyham.H2(2, 2).init(0)(x)).max() > 1e-3


def test_bounds_hold_and_the_certificate_passes(rng):
    net, x = pyham.H2(4, 6, 0.2, activation=SINE).init(0), rng.standard_normal((20, 4))
    norms = np.linalg.norm(net.sensitivity(x), 2, axis=(-2, -1)).max(axis=1)
    assert (norms <= bounds.upper(net) * (1 + 1e-12)).all()
    assert pyham.certify(net, x).passed
    steep = pyham.H2(4, 6, 0.2, activation=pyham.Activation("s", np.sin, np.cos, lambda a: 1 - np.cos(a), 2.0)).init(0)
    np.testing.assert_allclose(bounds.excursions(steep), 2 * bounds.excursions(net), rtol=1e-14)
    np.testing.assert_allclose(  # sine's slope may be negative, so half of ||J|| ||K||^2 is not enough
        bounds.log_norm(net), 2 * bounds.log_norm(pyham.H2(4, 6, 0.2).init(0)), rtol=1e-14
    )
    assert np.isfinite(net.energy(x)).all()


def test_files_hold_what_is_registered_only(tmp_path, rng):
    net, x = pyham.H2(2, 2, activation=SINE).init(0), rng.standard_normal((8, 2))
    trainer = Protocol(epochs=1, output_epochs=1)
    labels = np.arange(8) % 2
    classifier = train(net, x, labels, protocol=trainer, rng=0)
    for save in (
        net.save, classifier.save, lambda path: train(net, x, labels, protocol=trainer, rng=0, checkpoint=path),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^net: expected a registered activation, got one named 'sine'.*register"):
            save(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_is_registered_is_saved_and_loaded(registered, tmp_path, rng):
    net, x = pyham.H1(2, 2, activation="sine").init(0), rng.standard_normal((4, 2))
    assert net.arch == pyham.H1(2, 2, activation=SINE) != pyham.H1(2, 2)
    net.save(tmp_path / "net")
    again = pyham.load(tmp_path / "net")
    assert again.arch == net.arch and str(again.arch).count("'sine'") == 1
    np.testing.assert_array_equal(again(x), net(x))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": ""}, TypeError, "name: expected a name, got ''"),
        ({"sigma": None}, TypeError, "sigma: expected a function, got NoneType"),
        ({"slope": 0}, ValueError, "slope: expected a positive finite number, got 0"),
        ({"slope": np.cos}, TypeError, "slope: expected a positive finite number, got ufunc"),
        ({"slope": 0.9}, ValueError, r"slope: expected a bound of \|derivative\|, which is 0.99.* somewhere, got 0.9"),
        ({"derivative": np.sin}, ValueError, "derivative: expected sigma's derivative, got another function, at "),
        ({"derivative": lambda a: np.cos(a) + (a > 20.3).astype(a.dtype), "slope": 2}, ValueError, ".*, at 20.321$"),
        ({"integrand": np.cos}, ValueError, "integrand: expected a function whose derivative is sigma, got another"),
        ({"sigma": lambda a: 0.0}, ValueError, r"sigma: expected \(400,\) float64, as its argument is, got float"),
        ({"sigma": lambda a: np.sin(a).ravel()}, ValueError, r"sigma: expected \(20, 20\) float32, .* got \(400,\) fl"),
        ({"derivative": lambda a: np.cos(a, dtype=float)}, ValueError, "derivative: .* float32, .* float64"),
    ],
)
def test_activation__raises_on_functions_that_do_not_fit_together(change, error, message):
    parts = {"name": "s", "sigma": np.sin, "derivative": np.cos, "integrand": lambda a: 1 - np.cos(a), "slope": 1.0}
    with pytest.raises(error, match=f"^{message}"):
        pyham.H2(2, 2, activation=pyham.Activation(**parts | change))


def test_the_package_s_own_fit_together_and_what_rounding_takes_beyond_the_slope():
    above = pyham.Activation("a", lambda a: a, lambda a: np.ones_like(a) + a.dtype.type(1e-10), lambda a: a * a / 2, 1)
    assert pyham.H2(2, 2, activation=above).activation is above
    for own in pyham.ACTIVATIONS.values():
        pyham.H2(2, 2, activation=pyham.Activation(own.name, own.sigma, own.derivative, own.integrand, own.slope))

"""Options that are learnt at every pixel, and in networks of convolutions: gradients, training, laws, files."""

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures.images import Pixelwise
from pyham.training.protocol import Protocol

EPS = float(np.finfo(np.float64).eps)
CASES = {
    "ConvH2": images.ConvH2(8, 8, width=4, depths=(2, 1, 2), activation="tanh", damping="learnt"),
    "Pixelwise H2": Pixelwise(4, 4, network=pyham.H2(4, 3, 0.3, scheme="verlet", X="learnt", damping="learnt")),
    "Pixelwise H1": Pixelwise(
        4, 4,
        network=pyham.H1(4, 3, 0.3, interconnection="learnt", dissipation="learnt", damping="learnt"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_what_is_learnt_are_those_of_the_complex_step(case, rng):
    arch = CASES[case]
    net = arch.init(rng, initialization="scaled-normal")
    x, g = rng.standard_normal((3, *arch.shape)), rng.standard_normal((3, *arch.output_shape))
    found, again = net.gradient(x, g), net.adjoint(net.trace(x), g)
    plain = net.gradient(x, g, backend="reference")
    learnt = set(arch.shapes) - set(net.settled.arch.shapes)
    assert learnt
    for name in learnt:
        step = np.zeros(arch.shapes[name])
        for place in np.ndindex(step.shape):
            params = {key: value.astype(complex) for key, value in net.params.items()}
            params[name][place] += 1e-30j
            other = pyham.Network(arch, params)
            step[place] = (other(x.astype(complex), backend="reference") * g).sum().imag / 1e-30
        size = np.abs(step).max()
        for gradient in (found, again, plain):
            assert np.abs(gradient.params[name] - step).max() <= 1e-13 * size


@pytest.mark.parametrize("case", CASES)
def test_classifiers_train_on_both_engines_alike_and_the_laws_hold(case, rng, tmp_path):
    arch = CASES[case]
    pixels, labels = rng.integers(0, 256, (24, arch.rows, arch.columns)).astype(np.uint8), np.arange(24) % 3
    protocol = Protocol(scheme="joint", loss="softmax", epochs=2, batch=8, output_epochs=0, rate=0.01)
    trained, other = (
        images.train(arch, pixels, labels, protocol=protocol, dtype=np.float64, rng=0, backend=backend)
        for backend in ("numba", "reference")
    )
    begun = images.untrained(arch, 0, classes=3, dtype=np.float64).net.params
    for name, value in trained.net.params.items():
        np.testing.assert_allclose(value, other.net.params[name], rtol=0, atol=1e-9)  # Adam divides by small numbers
        assert (value != begun[name]).any()
    trained.save(tmp_path / "model")
    loaded = pyham.load(tmp_path / "model")
    assert loaded.net.arch.config() == trained.net.arch.config()
    y = trained.lifted(pixels[:4])
    np.testing.assert_array_equal(loaded.net(y), trained.net(y))
    np.testing.assert_allclose(trained.net.settled(y), trained.net(y), rtol=0, atol=64 * EPS * np.abs(y).max())
    assert pyham.certify(trained.net, y).passed

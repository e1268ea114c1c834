"""Certificates of classifiers of images, and what they do not let pass."""

import json
from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures.chain import Chain
from pyham.commands import cli
from pyham.engines.reference import REFERENCE
from pyham.verification import matrices, neighbours
from tests.oracles import recursion

EPS = float(np.finfo(np.float64).eps)
OF_ALL = ["forward pass", "sensitivities", "backpropagation", "symplectic"]
OF_SMALL = ["eigenvalues", "singular values"]
REST = ["norms", "upper bound", "gradients"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_trained_network_is_certified_and_every_control_fails(dtype, trained, data, monkeypatch):
    pixels = data[1][0][:8]
    found = images.certify(trained, pixels, full=2, dtype=dtype)
    assert found.passed, str(found)
    assert [check.name for check in found.checks] == [*OF_ALL, *OF_SMALL, "two-form", "determinant", *REST]
    assert all(check.control_failed or not check.decided for check in found.checks)
    assert dtype == np.float32 or all(check.decided for check in found.checks)
    assert json.loads(json.dumps(found.to_dict()))["passed"]
    assert "PASSED" in str(found) and f"{np.dtype(dtype)}" in str(found)
    monkeypatch.setattr(matrices, "LARGE", 8)  # as where a state has thousands of numbers
    monkeypatch.setattr("pyham.verification.questions.LARGE", 8)
    monkeypatch.setattr("pyham.verification.certificate.LARGE", 8)
    large = images.certify(trained, pixels, dtype=dtype)
    assert large.passed and all(check.control_failed or not check.decided for check in large.checks), str(large)
    assert dtype == np.float32 or all(check.decided for check in large.checks)
    assert [check.name for check in large.checks] == [*OF_ALL, "two-form", *REST]
    least, true = (certificate.facts["smallest norm"] for certificate in (large, found))
    assert 0.9 * true <= least  # a lower bound, of one image


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("large", [False, True])
def test_one_sign_of_one_kernel_is_noticed(dtype, large, trained, data, monkeypatch):
    """Off the diagonal of a kernel, so that the map is no longer symplectic.

    In float32 the step is a tenth of the trained one. What rounding can do within a layer grows with the square of the
    norms of its weights: at the whole step float32's tolerance is as large as what one sign changes.
    """
    step = dtype(0.1 if dtype == np.float32 else 1)
    sections = [replace(section, W=section.W * step) for section in trained.net.stages(dtype).sections]
    sections[-1].W[-1, 0, 1] *= -1
    broken = Chain(sections)
    monkeypatch.setattr(type(trained.net), "stages", lambda net, dtype=None: broken)
    if large:
        monkeypatch.setattr(matrices, "LARGE", 8)
        monkeypatch.setattr("pyham.verification.questions.LARGE", 8)
    found = images.certify(trained, data[1][0][:3], full=1, dtype=dtype)
    refused = {check.name for check in found.checks if not check.holds}
    assert {"symplectic", "two-form"} <= refused and not found.passed


def convolved(K, y):
    """K of forward Euler, Kp on p and Kq on q."""
    m = y.shape[1] // 2
    return np.concatenate([recursion.applied(K[0], y[:, :m]), recursion.applied(K[1], y[:, m:])], axis=1)


def test_the_neighbour_is_forward_euler_with_the_same_weights():
    arch = images.ConvH2(4, 6, width=2, depths=(2, 1), step=0.3, size=5, activation="tanh")
    net, y = arch.init(0, initialization="scaled-normal"), np.random.default_rng(1).standard_normal((2, 2, 4, 6))
    euler = y
    for i in range(2):
        euler = recursion.squeezed(euler) if i else euler
        for *K, b in zip(*(net.params[f"{name}{i}"] for name in ("Kp", "Kq", "b")), strict=True):
            p, q = np.split(np.tanh(convolved(K, euler) + b[:, None, None]), 2, axis=1)
            change = [-recursion.pulled(K[1], q), recursion.pulled(K[0], p)]
            euler = euler + 0.3 * np.concatenate(change, axis=1)
    made = REFERENCE.forward(neighbours.euler_stages(net.stages()), y)
    np.testing.assert_allclose(made, euler, rtol=0, atol=100 * EPS)


@pytest.mark.parametrize(("shape", "depths", "size"), [((4, 4), (1, 1, 1), 3), ((2, 4), (2, 1), 3), ((4, 4), (2,), 1)])
@pytest.mark.parametrize("seed", range(5))
def test_small_images_and_kernels_of_one_entry_are_not_refused(shape, depths, size, seed):
    """Where an image is smaller than a kernel, some entries see nothing; 1 x 1 kernels may commute."""
    pixels = np.random.default_rng(seed).integers(0, 256, (3, *shape)).astype(np.uint8)
    found = images.certify(images.untrained(images.ConvH2(*shape, width=2, depths=depths, size=size), seed), pixels)
    assert found.passed, str(found)


@pytest.mark.parametrize("step", [1e-6, 1e-3])
def test_small_steps_are_not_refused(step):
    """A lower estimate of a norm was held against 1 as if it were the norm."""
    for seed in range(5):
        net = images.ConvH2(4, 4, width=4, depths=(2,), step=step).init(seed, initialization="scaled-normal")
        assert pyham.certify(net, np.random.default_rng(seed).standard_normal((3, 4, 4, 4))).passed


def test_norms_of_large_matrices_are_bounded_from_below():
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((3, 40, 40)) * np.array([1, 1e-3, 0])[:, None, None]
    lower, true = matrices._power(phi), np.linalg.norm(phi, 2, axis=(1, 2))
    assert (0.9 * true <= lower).all() and (lower <= true * (1 + 100 * EPS)).all()


def test_networks_at_every_pixel_are_certified_on_their_pixels():
    net = images.image_architecture("H2", depth=3, width=4, rows=2, columns=3).init(0)
    y = np.random.default_rng(0).standard_normal((5, 4, 2, 3))
    some, every = pyham.certify(net, y, full=2), pyham.certify(net, y)
    assert some.passed and every.passed and some.samples == every.samples == 30
    assert {check.name for check in some.checks} - {check.name for check in every.checks} == {"two-form"}


def test_certify__raises_on_wrong_arguments(trained, data):
    for other in ("net", trained.net):
        with pytest.raises(TypeError, match="classifier: expected a Classifier of images, got"):
            images.certify(other, data[1][0])
    with pytest.raises(ValueError, match="full: expected an integer from 0 to the 3 samples, got 4"):
        images.certify(trained, data[1][0][:3], full=4)


def test_certify_command(trained, folder, tmp_path, capsys):
    trained.save(tmp_path / "net")
    words = ["certify", str(tmp_path / "net"), "--data", str(folder), "--images", "5", "--json", str(tmp_path / "c")]
    assert cli.main(words) == 0
    assert "ConvH2(" in capsys.readouterr().out and json.loads((tmp_path / "c").read_text())["passed"]
    assert cli.main([*words, "--full", "6"]) == 2
    assert "full: expected an integer from 0 to the 5 samples, got 6" in capsys.readouterr().err
    trained.net.save(tmp_path / "net")
    assert cli.main(words) == 2
    assert "net: expected a classifier, whose lift makes states of images, got a network" in capsys.readouterr().err

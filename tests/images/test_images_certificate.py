"""Certificates of classifiers of images, and what they do not let pass."""

import json

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.commands import cli
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.verification import image_certificate as certificate

EPS = float(np.finfo(np.float64).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_trained_network_is_certified_and_every_control_fails(dtype, trained, data):
    found = images.certify(trained, data[1][0][:8], full=2, dtype=dtype)
    assert found.passed
    assert [check.name for check in found.checks] == ["symplectic", "norms", "two-form", "dot products"]
    assert all(check.control_failed for check in found.checks)
    assert json.loads(json.dumps(found.to_dict()))["passed"]
    assert "PASSED" in str(found) and f"{np.dtype(dtype)}" in str(found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("neighbour", ["forward_euler", "one_sign", "contracting"])
def test_a_network_that_is_none_is_not_certified(neighbour, dtype, trained, data, monkeypatch):
    y = trained.lifted(data[1][0][:3], dtype)
    wrong = trained.net.stages(dtype)
    if neighbour == "one_sign":
        broken = certificate.one_sign(wrong, y)
        monkeypatch.setattr(type(trained.net), "stages", lambda net, dtype: broken)
        assert not images.certify(trained, data[1][0][:3], dtype=dtype).passed
    else:
        rows = certificate.norms_and_defect(getattr(certificate, neighbour)(wrong), y[0], COMPILED)
        assert rows[0][0] > 1e-7


def test_the_sign_that_is_flipped_is_one_of_a_channel_that_is_alive():
    net = images.ConvH2(4, 4, width=4, depths=(1,), activation="relu").init(0, initialization="scaled-normal")
    largest = np.abs(net.params["Kp0"][0]).max(axis=(1, 2, 3)).argmax()  # of Kp, which the last stage applies
    net = net.replace({"b0": [[-100 if row == largest else 100 for row in range(2)] * 2]})
    stages, y = net.stages(), np.ones((1, 4, 4, 4))
    flipped = certificate.one_sign(stages, y).sections[-1].W[-1] != stages.sections[-1].W[-1]
    assert flipped.sum() == 1 and not flipped[:, largest].any()


@pytest.mark.parametrize(("shape", "depths"), [((4, 4), (1, 1, 1)), ((2, 4), (2, 1))])
@pytest.mark.parametrize("seed", range(5))
def test_the_sign_that_is_flipped_is_one_of_an_entry_that_sees_the_image(shape, depths, seed):
    """Even where the image is smaller than a kernel: of 1 x 1 pixels only the entry in the middle sees anything."""
    pixels = np.random.default_rng(seed).integers(0, 256, (3, *shape)).astype(np.uint8)
    assert images.certify(images.untrained(images.ConvH2(*shape, width=2, depths=depths), seed), pixels).passed


def test_sensitivities_are_those_of_the_complex_step():
    """Every column of Phi_0, and rho and norms as ``pyham.symplectic`` has them."""
    stages = images.ConvH2(4, 4, width=2, depths=(2, 1)).init(1, initialization="scaled-normal").stages()
    y = np.random.default_rng(0).standard_normal((2, 4, 4))
    matrices = list(certificate.sensitivities(stages, y, COMPILED))
    assert len(matrices) == 4
    step = np.eye(32).reshape(32, 2, 4, 4) * 1e-100j
    jacobian = REFERENCE.forward(stages, y + step).imag.reshape(32, 32).T / 1e-100  # [c, i] = d(y_N)_c / d y_i
    np.testing.assert_allclose(matrices[-1], jacobian, rtol=0, atol=100 * EPS * np.abs(jacobian).max())
    J = pyham.interconnection.J1(32)
    for matrix in matrices:
        norms, expected = certificate.norms(matrix), pyham.symplectic.norms(matrix.T)
        assert {n: norms[n] for n in ("1", "inf", "fro")} == pytest.approx(
            {n: expected[n] for n in ("1", "inf", "fro")}
        )
        assert 0.9 * expected["2"] <= norms["2"] <= (1 + 100 * EPS) * expected["2"]
    noisy = matrices[-1] + 1e-3 * np.random.default_rng(1).standard_normal((32, 32))
    assert certificate.rho(noisy) == pytest.approx(pyham.symplectic.defect(noisy.T, J), rel=1e-6)


def test_certify__raises_on_wrong_arguments(trained, data):
    for other in ("net", trained.net):
        with pytest.raises(TypeError, match="classifier: expected a Classifier of images, got"):
            images.certify(other, data[1][0])
    with pytest.raises(ValueError, match="full: expected an integer from 1 to the 3 images, got 4"):
        images.certify(trained, data[1][0][:3], full=4)


def test_certify_command(trained, folder, tmp_path, capsys):
    trained.save(tmp_path / "net")
    words = ["certify", str(tmp_path / "net"), "--data", str(folder), "--images", "5", "--json", str(tmp_path / "c")]
    assert cli.main(words) == 0
    assert "ConvH2(" in capsys.readouterr().out and json.loads((tmp_path / "c").read_text())["passed"]
    assert cli.main([*words, "--full", "6"]) == 2
    assert "full: expected an integer from 1 to the 5 images, got 6" in capsys.readouterr().err
    trained.net.save(tmp_path / "net")
    assert cli.main(words) == 2
    assert "net: expected a classifier, whose lift makes states of images, got a network" in capsys.readouterr().err

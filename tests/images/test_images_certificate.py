"""Certificates of classifiers of images, and what they do not let pass."""

import json
from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.architectures.stages import Chain
from pyham.commands import cli
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.reference import REFERENCE
from pyham.verification import image_certificate as certificate
from tests.oracles import recursion

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


@pytest.mark.parametrize(("activation", "off"), [("relu", -100), ("tanh", 100)])
def test_the_sign_that_is_flipped_is_one_of_a_channel_that_is_alive(activation, off):
    net = images.ConvH2(4, 4, width=4, depths=(1,), activation=activation).init(0, initialization="scaled-normal")
    largest = np.abs(net.params["Kp0"][0]).max(axis=(1, 2, 3)).argmax()  # of Kp, which the last stage applies
    Kp = net.params["Kp0"] * (1 + 9 * np.eye(2)[:, :, None, None])  # what does most is on the diagonal
    net = net.replace({"b0": [[off if row == largest else 0.1 for row in range(2)] * 2], "Kp0": Kp})
    stages, y = net.stages(), np.ones((1, 4, 4, 4))
    W, broken = (some.sections[-1].W for some in (stages, certificate.one_sign(stages, y)))
    flipped = broken[-1] != W[-1]
    np.testing.assert_array_equal(broken, np.where([np.zeros_like(flipped), flipped], -W, W))
    assert flipped.sum() == 1 and not flipped[:, largest].any() and not flipped[[0, 1], [0, 1]].any()


def convolved(K, y):
    """K of forward Euler, Kp on p and Kq on q."""
    m = y.shape[1] // 2
    return np.concatenate([recursion.applied(K[0], y[:, :m]), recursion.applied(K[1], y[:, m:])], axis=1)


def test_neighbours_are_forward_euler_and_an_MLP_with_the_same_weights():
    arch = images.ConvH2(4, 6, width=2, depths=(2, 1), step=0.3, size=5, activation="tanh")
    net, y = arch.init(0, initialization="scaled-normal"), np.random.default_rng(1).standard_normal((2, 2, 4, 6))
    euler = mlp = y
    for i in range(2):
        euler, mlp = (recursion.squeezed(state) if i else state for state in (euler, mlp))
        for *K, b in zip(*(net.params[f"{name}{i}"] for name in ("Kp", "Kq", "b")), strict=True):
            p, q = np.split(np.tanh(convolved(K, euler) + b[:, None, None]), 2, axis=1)
            change = [-recursion.pulled(K[1], q), recursion.pulled(K[0], p)]
            euler = euler + 0.3 * np.concatenate(change, axis=1)
            size = np.linalg.norm(K, 2, axis=(1, 2)).max(axis=0).sum()  # of each entry of a kernel, the larger half
            mlp = np.tanh(convolved([0.5 / size * half for half in K], mlp) + b[:, None, None])
    for make, expected in ((certificate.forward_euler, euler), (certificate.contracting, mlp)):
        np.testing.assert_allclose(REFERENCE.forward(make(net.stages()), y), expected, rtol=0, atol=100 * EPS)


def test_what_is_measured_is_what_the_checks_say(monkeypatch):
    """Of a network that is not symplectic, where the numbers are not rounding."""
    net = images.ConvH2(4, 4, width=2, depths=(2, 1), activation="tanh").init(1, initialization="scaled-normal")
    first, second = net.stages().sections
    noise = np.random.default_rng(0).standard_normal(first.W.shape)
    wrong = Chain([replace(first, W=first.W + 0.1 * noise), second])
    monkeypatch.setattr(type(net), "stages", lambda net, dtype=None: wrong.astype(dtype or float))
    y = np.random.default_rng(0).standard_normal((3, 2, 4, 4))
    for backend in ("numba", "reference"):
        found = certificate.certify(net, y, full=2, backend=backend)
        phi, J = net.sensitivity(y), -pyham.interconnection.J1(32)
        measured = {check.name: check.measured for check in found.checks}
        assert measured["symplectic"] == pytest.approx(pyham.symplectic.defect(phi[:, :2], J).max())
        sizes = pyham.symplectic.norms(phi[:, :2])
        assert measured["norms"] == pytest.approx(1 - min(v[:-1].min() for v in sizes.values()), abs=0.1)
        facts = {f"norm {name} of Phi_0, smallest": sizes[name][0].min() for name in ("1", "2", "inf", "fro")}
        assert found.facts == pytest.approx(facts, rel=0.1) and list(found.facts) == list(facts)
        assert found.facts["norm fro of Phi_0, smallest"] == pytest.approx(sizes["fro"][0].min())
        u, v = np.random.default_rng(0).standard_normal((2, 3, 32))
        there = [np.einsum("bac,bc->ba", phi[0], w) for w in (u, v)]
        forms = [np.einsum("ba,ac,bc->b", a, J, c) for a, c in (there, (u, v))]
        length = [np.prod(np.linalg.norm(pair, axis=-1), axis=0) for pair in (there, (u, v))]
        expected = (np.abs(forms[0] - forms[1]) / sum(length)).max()
        assert measured["two-form"] == pytest.approx(expected)
        assert measured["dot products"] < 1e-14
        assert found.checks[0].statement.endswith("2 images") and all(check.guaranteed for check in found.checks)
    assert certificate.certify(net, y).checks[0].statement.endswith("1 images")
    with pytest.raises(TypeError, match="x: expected float32 or float64 for backend='numba'"):
        certificate.certify(net, y.astype(np.longdouble))
    certified = certificate.certify(net, y.astype(np.longdouble), backend="reference")
    assert certified.dtype == "float128" and not certified.passed
    X = phi[0].swapaxes(1, 2)  # against the sensitivities of another network: v, u and u, v change places
    other = net.replace({name: 1.1 * value for name, value in net.params.items()})
    right, broken = wrong, other.arch.lower(other.params)
    monkeypatch.undo()
    back = other.sensitivity(y)[0]
    gap = np.einsum("ba,bac,bc->b", v, X, u) - np.einsum("ba,bac,bc->b", u, back, v)
    sizes = [np.linalg.norm(a, axis=1) for a in (v, np.einsum("bac,bc->ba", X, u), np.einsum("bac,bc->ba", back, v), u)]
    expected = (np.abs(gap) / (sizes[0] * sizes[1] + sizes[2] * sizes[3])).max()
    shaped = u.reshape(y.shape), v.reshape(y.shape)
    assert certificate.dot_products(right, broken, y, *shaped, REFERENCE) == pytest.approx(expected)


def test_norms_of_matrices_of_zeros():
    assert certificate.norms(np.zeros((4, 4))) == dict.fromkeys(certificate.NORMS, 0.0)
    assert certificate.norms(np.diag([2.0, 0, 0, 0]))["2"] == pytest.approx(2, rel=8 * EPS)


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
    with pytest.raises(TypeError, match="net: expected a Network, got str"):
        certificate.certify("net", data[1][0])


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

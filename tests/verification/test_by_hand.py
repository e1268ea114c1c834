"""Bounds from norms of the parameters, and the residuals of ``pyham.symplectic``, by their definitions."""

import numpy as np
import pytest

import pyham
from pyham.verification import bounds, symplectic
from tests.oracles import equations
from tests.oracles.equations import norm
from tests.oracles.rounding import eps

ROUNDING = 256 * eps(np.float64)  # sums of some ten terms, through up to 14 stages, are right to some 10 eps
MATRICES = {
    "diagonal": np.diag([2.0, 1, 1, 1]),
    "random": np.random.default_rng(0).standard_normal((4, 4)),
    "small": 0.1 * np.random.default_rng(1).standard_normal((4, 4)),
}


@pytest.mark.parametrize("name", equations.architectures())
def test_bounds_are_products_over_the_stages(name):
    net, _, _ = equations.network(name)
    drives, J, keeps = equations.drives(net), equations.structure(net), net.arch.name != "MLP"
    partitioned = "scheme" in net.arch.config()
    factors = {"sharp": np.log1p, "product": np.log1p}
    if partitioned:
        factors["sharp"] = lambda v: np.arcsinh(v / 2)
    if not keeps:
        factors = dict.fromkeys(factors, np.log)
    for kind, factor in factors.items():
        logs = [sum(factor(v) for layer in drives[j:] for v in layer) for j in range(len(drives) + 1)]
        np.testing.assert_allclose(bounds.log_upper(net, kind), logs, rtol=ROUNDING, atol=ROUNDING)
        if kind == "sharp" and partitioned:
            np.testing.assert_allclose(bounds.lower(net), np.exp(-np.array(logs)), rtol=ROUNDING)
    if keeps:
        most = max(map(sum, drives))
        logs = [np.log(4) / 2 + most * (len(drives) - j) for j in range(len(drives) + 1)]
        np.testing.assert_allclose(bounds.log_upper(net, "paper"), logs, rtol=ROUNDING)
    if J is not None:
        S = 0.25 if net.arch.activation == "logistic" else 1.0
        growth = [S / 2 * norm(J) * norm(K) ** 2 for K in equations.weights(net)]
        np.testing.assert_allclose(bounds.log_norm(net), growth, rtol=ROUNDING)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "identity"])
def test_one_shear_at_rest_attains_the_sharp_bound(activation):
    net = pyham.H2(4, 1, 0.3, activation).init(0)
    net = net.replace({"Kp": np.zeros((1, 2, 2)), "b": np.zeros((1, 4))})
    size = norm(net.sensitivity(np.zeros((1, 4)), backend="reference")[0, 0])
    np.testing.assert_allclose(bounds.log_upper(net)[0], np.log(size), rtol=ROUNDING)


def test_gradient_ratio_compares_with_the_last_layer():
    delta = np.array([[[3.0, 4.0]], [[0.0, 2.0]], [[1.0, 0.0]]])
    np.testing.assert_allclose(bounds.gradient_ratio(delta), [[5.0], [2.0], [1.0]], rtol=ROUNDING)


@pytest.mark.parametrize("name", MATRICES)
def test_residuals_by_their_definitions(name):
    P, I, J = MATRICES[name], np.eye(4), np.zeros((4, 4))
    J[:2, 2:], J[2:, :2] = -equations.X.T, equations.X
    size, D = max(1.0, norm(P) ** 2), P.T @ J @ P - J
    fro = np.linalg.norm(D) / np.linalg.norm(J) / max(1.0, np.linalg.norm(P) ** 2)
    np.testing.assert_allclose(symplectic.defect(P, J), fro, rtol=ROUNDING)
    np.testing.assert_allclose(symplectic.defect(P, J, norm="2"), norm(D) / norm(J) / size, rtol=ROUNDING)
    numpy = {"1": 1, "2": 2, "inf": np.inf, "fro": "fro", "nuc": "nuc"}
    for key, value in symplectic.norms(P).items():
        np.testing.assert_allclose(value, np.linalg.norm(P, numpy[key]), rtol=ROUNDING)
    det = np.linalg.det(P)
    residual = abs(det - 1) / max(4.0, np.linalg.norm(P) * np.linalg.norm(det * np.linalg.inv(P)))
    np.testing.assert_allclose(symplectic.determinant(P), [det, residual], rtol=ROUNDING)
    far = max(abs(l) * np.linalg.svd(P - I / l, compute_uv=False)[-1] for l in np.linalg.eigvals(P))
    pairing = symplectic.eigenvalue_pairing(P, J)
    np.testing.assert_allclose(pairing, far / np.linalg.cond(J) / size, rtol=ROUNDING, atol=ROUNDING)
    s = np.linalg.svd(P, compute_uv=False)
    pairs = np.abs(s * s[::-1] - 1).max() / size
    np.testing.assert_allclose(symplectic.singular_value_pairing(P), pairs, rtol=ROUNDING)


def test_orthogonal_structures():
    from pyham.architectures.interconnection import J1, J2

    assert symplectic.is_orthogonal(J1(4)) and not symplectic.is_orthogonal(J2(4))

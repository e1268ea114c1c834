"""Certificates of layers that are any functions."""

from functools import partial

import numpy as np
import pytest

import pyham
from pyham.engines.reference import REFERENCE, layer
from pyham.verification import certify_layers
from pyham.verification.layers import fit
from tests.oracles.refusals import refused
from tests.oracles.strategies import skew

n, N = 4, 5


def layers_of(net):
    """A network of pyham as a list of functions, in NumPy."""
    stages = net.stages()
    return [lambda y, j=j: layer(stages, j, y)[-1] for j in range(stages.depth)]


def jacobians_of(net):
    stages = net.stages()
    return [
        lambda y, j=j: REFERENCE.sensitivities(stages.layers(j, j + 1), y)[0].swapaxes(1, 2)
        for j in range(stages.depth)
    ]


def real_only(function):
    """The same function for those who cannot compute with complex numbers."""

    def only(y):
        if np.iscomplexobj(y):
            raise TypeError("real numbers only")
        return function(y)

    return only


def samples(batch=6):
    return np.random.default_rng(0).standard_normal((batch, n))


def checks(certificate):
    return {check.name: check for check in certificate.checks}


NET = pyham.H2(n, N, 0.3, X=np.array([[1.0, 0.5], [0.2, -0.7]])).init(3)
WAYS = {
    "complex step": (layers_of(NET), {}),
    "differences": ([real_only(f) for f in layers_of(NET)], {}),
    "given": (layers_of(NET), {"derivatives": jacobians_of(NET)}),
}


@pytest.mark.parametrize("J", [NET.arch.J, "fit"], ids=["J given", "J fitted"])
@pytest.mark.parametrize("way", WAYS)
def test_a_symplectic_network_is_certified_with_the_norms_that_pyham_finds(way, J):
    layers, options = WAYS[way]
    certificate = certify_layers(layers, samples(), J=J, **options)
    assert certificate.passed and all(check.control_failed for check in certificate.checks), str(certificate)
    expected = {"layers", "symplectic", "determinant", "norms"} | ({"derivatives"} if way == "given" else set())
    assert set(checks(certificate)) == expected
    norms = np.linalg.norm(NET.sensitivity(samples()), 2, axis=(2, 3))
    facts = certificate.facts
    assert facts["median"] == pytest.approx(np.median(norms[0]), rel=1e-8)
    assert facts["largest"] == pytest.approx(norms[0].max(), rel=1e-8)
    assert facts[f"layer {N - 1}"] == pytest.approx(np.median(norms[N - 1]), rel=1e-8)


@pytest.mark.parametrize("way", ["complex step", "differences"])
@pytest.mark.parametrize("where", range(N))
def test_the_layer_that_breaks_the_law_is_named(way, where):
    layers = list(WAYS[way][0])
    layers[where] = real_only(lambda y: y + 0.01 * np.tanh(y @ np.ones((n, n)))) if way == "differences" else (
        lambda y: y + 0.01 * np.tanh(y @ np.ones((n, n)))
    )  # fmt: skip
    certificate = certify_layers(layers, samples(), J=NET.arch.J)
    assert not certificate.passed and checks(certificate)["layers"].layer == where


def test_derivatives_that_are_none_are_refused():
    wrong = jacobians_of(NET)
    wrong[2] = lambda y: jacobians_of(NET)[2](y).swapaxes(1, 2)
    found = checks(certify_layers(layers_of(NET), samples(), derivatives=wrong))
    assert not found["derivatives"].holds and found["derivatives"].layer == 2


def test_real_parts_inside_a_layer_are_noticed_and_measured_otherwise():
    """A complex step through ``abs`` gives a derivative that is none."""
    certificate = certify_layers([lambda y: y + 0.5 * np.abs(y)], 1 + np.abs(samples()))
    assert certificate.facts["largest"] == pytest.approx(1.5, rel=1e-6)


def test_the_fitted_structure_is_that_of_the_network():
    J = skew(n, 0)
    rng = np.random.default_rng(0)
    D = []
    for _ in range(6):
        S = rng.standard_normal((n, n))
        generator = J @ (S + S.T)  # D J D^T = J for D = exp(J S), S symmetric
        D.append(np.linalg.multi_dot([np.linalg.inv(np.eye(n) - generator / 10), np.eye(n) + generator / 10]))
    found = fit(np.array(D))
    assert min(np.abs(found - sign * J / np.linalg.norm(J)).max() for sign in (1, -1)) < 1e-12


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("way", [lambda f: f, real_only], ids=["complex step", "differences"])
def test_large_sensitivities_are_not_refused_and_said_to_be_undecided_where_they_are(size, way):
    """Where errors exceed what doubling changes a control need not fail, and there is none."""
    J = pyham.interconnection.J1(n)
    shear = np.eye(n) + size * np.eye(n)[[2, 3, 0, 1]] * (np.arange(n) < 2)
    found = certify_layers([way(lambda y: y @ shear.T)] * 2, samples(), J=J)
    assert found.passed, str(found)
    for check in found.checks:
        assert check.control_failed or (check.control is None and check.reason)
    assert size > 1 or (found.undecided == 0 and all(check.control for check in found.checks))


def test_without_layers_or_samples():
    for layers, x in (([], samples()), (layers_of(NET), samples(0))):
        certificate = certify_layers(layers, x, J=NET.arch.J)
        assert certificate.passed and {check.control for check in certificate.checks} == {None}


SKEW = "J: expected a skew-symmetric matrix other than 0, or 'fit'"
some = partial(certify_layers, layers_of(NET))
test_what_is_refused = refused([
    (lambda layers: certify_layers(layers, samples()), 3, TypeError, "layers: expected a list of functions, got int"),
    (lambda layers: certify_layers(layers, samples()), [3], TypeError, r"layers\[0\]: expected a function, got int"),
    (lambda J: some(samples(), J=J), np.eye(n), ValueError, SKEW),
    (lambda J: some(samples(), J=J), np.zeros((n, n)), ValueError, SKEW),
    (lambda found: some(samples(), derivatives=found), [], ValueError,
     "derivatives: expected 5, one for each layer, got 0"),
    (lambda error: some(samples(), error=error), 2.0, ValueError, "error: expected a number between 0 and 1, got 2.0"),
    (lambda f: certify_layers([f], samples()), lambda y: y[:, :2], ValueError,
     r"layers\[0\]: expected values of shape \(6, 4\), got \(6, 2\)"),
    (lambda f: certify_layers([f], samples()), lambda y: 1j * y, TypeError,
     r"layers\[0\]: expected real values, got dtype complex128"),
    (some, np.ones(3), ValueError, "x: .*"),
])  # fmt: skip

"""Certificates pass for no engine that computes something else, and for no control that does not fail."""

import dataclasses

import numpy as np
import pytest

import pyham
from pyham.engines.compiled import dense as compiled
from pyham.engines.reference import REFERENCE as reference
from pyham.engines.reference import Reference
from pyham.verification import neighbours
from pyham.verification.matrices import MatrixNumbers
from pyham.verification.structure import defect
from tests.verification.test_certificate import checks, n, network, samples


def engine(**replaced):
    """The NumPy engine with some functions replaced."""
    return type("Sabotaged", (Reference,), {name: staticmethod(function) for name, function in replaced.items()})()


def sensitivity_with(change):
    return engine(sensitivity=lambda stages, states, last=None: change(reference.sensitivity(stages, states, last)))


def adjoint_with(change):
    def adjoint(stages, states, g):
        delta, gradients = reference.adjoint(stages, states, g)
        return change(delta), gradients

    return engine(adjoint=adjoint)


def noisy(size):
    def change(array):
        return array * (1 + size * np.random.default_rng(0).standard_normal(array.shape))

    return change


def one_entry(array):
    array = array.copy()
    array[(0, *(0 for _ in array.shape[1:]))] += 1e-9
    return array


def one_sample_nan(array):
    array = array.copy()
    array[0, 3] = np.nan
    return array


SABOTAGE = {
    "transposed Phi": sensitivity_with(lambda phi: phi.swapaxes(-1, -2)),
    "noise in Phi": sensitivity_with(noisy(1e-10)),
    "one wrong entry of Phi": sensitivity_with(one_entry),
    "NaN in Phi": sensitivity_with(one_sample_nan),
    "layers of Phi in reverse": sensitivity_with(lambda phi: phi[::-1]),
    "samples of Phi in reverse": sensitivity_with(lambda phi: phi[:, ::-1]),
    "sign of Phi": sensitivity_with(lambda phi: -phi),
    "Phi too small": sensitivity_with(lambda phi: phi * 0.99),
    "inverse of Phi": sensitivity_with(np.linalg.inv),
    "noise in delta": adjoint_with(noisy(1e-10)),
    "one wrong entry of delta": adjoint_with(one_entry),
    "NaN in delta": adjoint_with(one_sample_nan),
    "delta of no layer": adjoint_with(lambda delta: np.broadcast_to(delta[-1], delta.shape)),
    "zero delta": adjoint_with(np.zeros_like),
}
SABOTAGED = ["H2-plain", "H2-verlet-q-first", "MS1-semi-implicit-p-first", "H1-J2", "MLP", "MS2"]


@pytest.mark.parametrize("backend", [engine(), compiled.DENSE], ids=["NumPy's, nothing replaced", "compiled"])
@pytest.mark.parametrize("key", SABOTAGED)
def test_engines_that_are_given_as_objects_pass(key, backend):
    assert pyham.certify(network(key), samples(), backend=backend).passed


@pytest.mark.parametrize("key", SABOTAGED)
@pytest.mark.parametrize("fault", SABOTAGE)
def test_no_certificate_passes_on_a_sabotaged_engine(fault, key):
    certificate = pyham.certify(network(key), samples(), backend=SABOTAGE[fault])
    assert not certificate.passed, str(certificate)
    assert "NOT PASSED" in str(certificate)


def test_no_certificate_passes_whose_control_does_not_fail(monkeypatch):
    reading = MatrixNumbers.reading
    monkeypatch.setattr(MatrixNumbers, "reading", lambda self, name, scale=1.0: reading(self, name))
    monkeypatch.setattr(neighbours, "euler_stages", lambda stages: stages)
    certificate = pyham.certify(network(), samples())
    assert not certificate.passed and "DOES NOT FAIL" in str(certificate)


def test_half_of_every_slope_in_the_backward_pass_is_refused():
    """MatrixNumbers and adjoints agree then, and are symplectic; the forward pass's derivative tells."""
    half = engine(
        sensitivity=lambda stages, states, last=None: reference.sensitivity(halved(stages), states, last),
        adjoint=lambda stages, states, g: reference.adjoint(halved(stages), states, g),
    )
    found = checks(pyham.certify(network(), samples(), backend=half))
    refused = {"sensitivities", "backpropagation"}
    assert {name for name, check in found.items() if not check.holds} == refused


def halved(stages):
    sigma = stages.activation
    wrong = pyham.Activation("wrong", sigma.sigma, lambda a: sigma.derivative(a) / 2, sigma.integrand, sigma.slope)
    return dataclasses.replace(stages, activation=wrong)


@pytest.mark.parametrize("norm", ["fro", "2"])
def test_defect_of_MS1_is_that_of_K_transposed(norm):
    net = network("MS1-semi-implicit-p-first")
    net = net.replace({"A": np.broadcast_to(net.params["A"][0], net.arch.shapes["A"])})
    phi = np.random.default_rng(0).standard_normal((3, n, n))
    for of, J, P in ((net, net.K[0].T, phi.swapaxes(1, 2)), (network(), network().arch.J, phi)):
        np.testing.assert_array_equal(defect(phi, of, norm=norm), pyham.symplectic.defect(P, J, norm=norm))


def test_transposed_sensitivities_are_symplectic_too_and_only_the_forward_pass_tells():
    certificate = pyham.certify(network(), samples(), backend=SABOTAGE["transposed Phi"])
    assert [check.name for check in certificate.checks if not check.holds] == ["sensitivities"]

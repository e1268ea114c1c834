"""Certificates as text and as plain data, and what is refused."""

import dataclasses
from functools import partial

import numpy as np

import pyham
from tests.oracles.refusals import refused
from tests.verification.test_certificate import n, network, samples
from tests.verification.test_certificate_faults import SABOTAGE


def test_print_of_a_certificate_that_passes():
    lines = str(pyham.certify(network(), samples())).splitlines()
    assert lines[0].startswith("H2(width=4, depth=8, step=0.2, activation='tanh'")
    assert lines[0].endswith("20 samples, float64: PASSED")
    assert set(lines[1]) == {"-"}
    assert lines[2].split() == ["check", "measured", "tolerance", "verdict", "control", "measured"]
    statements = [
        "y_j+1 = F_j(y_j), by the reference",
        "Phi_j = X_j^T Phi_j+1",
        "delta_j = X_j^T delta_j+1",
        "Phi^T J Phi = J",
        "eigenvalues in pairs l, 1/l",
        "singular values in pairs s, 1/s",
        "det Phi = 1",
        "every norm of Phi >= 1",
        "||Phi_j|| <= sharp bound",
        "1/bound <= |delta_j|/|delta_N| <= bound",
    ]
    assert len(lines) == 3 + len(statements) + 1
    assert len({line.index("  holds  ") for line in lines[3:-1]}) == 1  # columns
    assert lines[-1].startswith("at the input: smallest norm 1.")
    for line, statement in zip(lines[3:-1], statements, strict=True):
        measured, tolerance, verdict = line.removeprefix(statement).split()[:3]
        assert float(measured) <= float(tolerance) <= 1e-13
        assert verdict == "holds"
        assert line.endswith(" fails")
        assert len(line) <= len(lines[1])


def test_print_of_a_certificate_that_does_not_pass():
    text = str(pyham.certify(network(), samples(), backend=SABOTAGE["noise in Phi"]))
    assert "float64: NOT PASSED" in text
    assert next(line for line in text.splitlines() if "VIOLATED" in line).startswith("Phi_j = X_j^T Phi_j+1  ")


def test_a_control_that_does_not_fail_makes_a_certificate_fail_and_print_tells_of_it():
    certificate = pyham.certify(network(), samples())
    blind = dataclasses.replace(certificate.checks[0], control_failed=False)
    certificate = dataclasses.replace(certificate, checks=(blind, *certificate.checks[1:]))
    assert not certificate.passed and "DOES NOT FAIL" in str(certificate)


def test_what_balls_prove_is_shown_as_proven_with_the_true_errors_of_both_engines():
    x = samples(3)
    found = pyham.certify(network(), x, arithmetic="balls")
    assert found.passed and [check.name for check in found.checks if check.proof == "proven"] == PROVEN
    assert [check.name for check in found.checks if check.verdict == "proven"] == PROVEN
    assert 0 < found.facts["true error of numba"] < 1e-13 and 0 < found.facts["true error of reference"] < 1e-13
    euler = {check.name: check for check in pyham.certify(network("H1-J1"), x, arithmetic="balls").checks}
    assert (euler["symplectic"].proof, euler["symplectic"].verdict) == ("excluded", "not promised")
    assert str(found).count("proven") == 3


PROVEN = ["symplectic", "determinant", "norms"]


def test_what_is_proven_of_regions_stands_among_the_facts():
    x = samples(3)
    found = pyham.certify(network(), x, radius=1e-3, channels=[0, 3]).facts
    region = pyham.regions.enclose(network(), x, 1e-3, channels=[0, 3])
    assert found["within 0.001 every norm at most"] == region.norms[0].max() >= found["largest"]
    assert found["within 0.001 every gradient at least"] == region.gradient_lower[0].min() > 0
    assert "within 0.001 every gradient at least" not in pyham.certify(network("MLP"), x, radius=1e-3).facts
    assert pyham.certify(network(), samples(0), radius=1e-3).passed


def test_print_of_what_holds_without_being_promised_has_a_footnote():
    text = str(pyham.certify(network("MS2", step=1e-3), samples(1)))
    assert ("holds*" in text) == ("* found on these samples, not promised by theory" in text)


# What is refused


test_what_is_refused = refused([
    (partial(pyham.certify, x=samples()), None, TypeError, "net: expected a Network, got NoneType"),
    (partial(pyham.certify, x=samples()), "H2", TypeError, "net: expected a Network, got str"),
    (partial(pyham.certify, x=samples()), pyham.H2(width=4, depth=1), TypeError, "net: expected a Network, got H2"),
    (partial(pyham.certify, network()), np.ones((20, 3)), ValueError, r"x: expected shape \(B, 4\), got \(20, 3\)"),
    (partial(pyham.certify, network()), np.full((2, n), np.nan), ValueError, r"x: .*, got nan at index \(0, 0\)"),
    (partial(pyham.certify, network(), backend="reference"), samples() * 1j, TypeError, "x: .*"),
    (lambda word: pyham.certify(network(), samples(), arithmetic=word), "exact", ValueError,
     "arithmetic: expected one of 'float', 'balls', got 'exact'"),
    (lambda some: pyham.certify(network(), samples(), channels=some), [0], ValueError,
     r"channels: expected none without a radius, got \[0\]"),
    (lambda word: pyham.certify(network(), samples(), full=word), 21, ValueError,
     "full: expected an integer from 0 to the 20 samples, got 21"),
    (lambda name: pyham.certify(network(), samples(), backend=name), "torch", ValueError,
     "backend: expected one of 'numba', 'reference', got 'torch'"),
])  # fmt: skip

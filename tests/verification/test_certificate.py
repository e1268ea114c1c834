"""Certificates: they pass for sound networks, and for no engine that computes something else."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings

import pyham
from pyham.verification import bounds
from tests.oracles.rounding import eps
from tests.oracles.strategies import (
    SMOOTH,
    SPLIT,
    VARIANTS,
    networks_with_inputs,
    pairs,
    skew,
    variant,
    well_conditioned,
)

N, n = 8, 4
SOME = ["MS3-semi-implicit-p-first", "H2-plain", "H1-J1", "MLP"]
EXACT = [key for key, (name, _) in VARIANTS.items() if name in ("H2", "MS3")]


def network(key="H2-plain", activation="tanh", depth=N, step=0.2):
    return variant(key, width=n, depth=depth, step=step, activation=activation).init(7)


def samples(batch=20, dtype=np.float64):
    return np.random.default_rng(0).standard_normal((batch, n)).astype(dtype)


def checks(certificate):
    return {check.name: check for check in certificate.checks}


# Sound networks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("key", "activation"), pairs(SMOOTH))
def test_sound_networks_pass(key, activation, dtype):
    certificate = pyham.certify(network(key, activation), samples(dtype=dtype))
    assert certificate.passed, str(certificate)


@given(networks_with_inputs(max_depth=40, max_batch=10))
@settings(max_examples=60)
def test_random_networks_pass(case):
    certificate = pyham.certify(*case)
    assert all(check.holds for check in certificate.checks if check.guaranteed), str(certificate)
    # Of a unit of relu that is on for no sample nothing can be broken, and then a control may not fail.
    assert certificate.passed or case[0].arch.activation == "relu", str(certificate)


def with_biases(key, part, value, activation="relu", depth=N):
    net = network(key, activation, depth)
    b = net.b.copy()
    b[part] = value
    return net.replace({"b": b})


def unusual():
    """Networks and samples that are sound, and for which tolerances and controls are hard to choose."""
    for key in VARIANTS:  # as many samples as it takes for every unit to be on somewhere
        yield f"{key} with relu", network(key, "relu"), samples(200)
    for key in ("H2-plain", "MS3-semi-implicit-p-first"):
        # ||Phi|| reaches 1e9 in float32, where the smallest singular values and the determinant are lost in rounding.
        yield f"{key}, deep", network(key, depth=1024), samples(5, np.float32)
    for smallest in (1, 1e-3, 1e-6):
        A = well_conditioned(n // 2, 0) @ np.diag([1, smallest])
        net = network("MS1-semi-implicit-p-first")
        yield f"constant MS1, {smallest}", net.replace({"A": np.broadcast_to(A, net.arch.shapes["A"])}), samples()
    yield "ill-conditioned X", pyham.H2(width=n, depth=N, step=0.2, X=np.diag([1, 1e-5])).init(0), samples()
    for name, J in (("J2", "J2"), ("skew", skew(5, 0))):  # singular: eigenvalues need not pair
        net = pyham.H1(width=5, depth=N, step=0.2, interconnection=J).init(0)
        yield f"odd width, {name}", net, np.random.default_rng(0).standard_normal((20, 5))
    for key in SOME:
        # relu far below its kink: such a layer is the identity (MLP: zero), and no control can break what does nothing.
        yield f"{key}, all layers off", with_biases(key, slice(None), -1e3), samples(200)
        yield f"{key}, the last layer off", with_biases(key, slice(-1, None), -1e3), samples(200)
        # sigma' from 1e-3 to 1e-28: layers near the identity, where a control must find something to break, or say
        # nothing.
        for bias in (4.0, 8.0, 16.0, 32.0):
            yield f"{key}, saturated by {bias}", with_biases(key, slice(None), bias, "tanh"), samples()
        for size in (1e-9, 1e-3, 10, 100, 1e4):
            yield f"{key}, inputs of size {size}", network(key), size * samples()
    for key in ("MS3-yoshida4-p-first", "MS3-semi-implicit-q-first", "H2-plain"):
        # Only p or only q moves, by shears that commute, and forward Euler with the same weights is symplectic, too.
        for depth, half in ((d, h) for d in (1, N) for h in (slice(0, n // 2), slice(n // 2, n))):
            net = with_biases(key, (slice(None), half), -1e3, depth=depth)
            yield f"{key}, {depth} layers, {half} off", net, samples(200)
    yield "the first layer off", with_biases("MLP", slice(0, 1), -1e3), samples(200)
    for key, weights in (("MS1-semi-implicit-p-first", "A"), ("H1-J1", "K")):
        net = network(key)  # of MS1 there is then no J
        singular = {weights: net.params[weights] * (np.arange(N) != 3)[:, None, None]}
        yield f"{key}, singular weights", net.replace(singular), samples()
    for key in ("MS3-semi-implicit-p-first", "H2-plain", "H1-J1", "ResNet"):
        for step in (1e-3, 1e-6, 1e-12):
            yield f"{key}, step {step}", network(key, step=step), samples()


@pytest.mark.parametrize(("net", "x"), [pytest.param(*case, id=name) for name, *case in unusual()])
def test_unusual_networks_pass(net, x):
    certificate = pyham.certify(net, x)
    assert certificate.passed, str(certificate)
    if net.arch.name == "MS1" and (net.K[0] == net.K).all():
        assert checks(certificate)["symplectic"].guaranteed
    assert net.arch.name != "H1" or ("eigenvalues" in checks(certificate)) == (net.arch.width % 2 == 0)
    if net.arch.name == "MLP" and net.arch.activation == "relu" and not (net.b[-1] < 0).all():
        assert checks(certificate)["upper bound"].control_failed


@pytest.mark.parametrize("params", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_any_dtype_of_parameters_and_samples_passes(params, dtype):
    X = well_conditioned(n // 2, 0)
    net = pyham.H2(width=n, depth=N, step=0.2, X=X).init(0, dtype=params)
    certificate = pyham.certify(net, samples(dtype=dtype), backend="reference")
    assert certificate.passed, str(certificate)


@pytest.mark.parametrize("key", VARIANTS)
def test_nothing_to_check_passes_without_controls(key, backend):
    for depth, batch in ((0, 5), (N, 0), (0, 0)):
        certificate = pyham.certify(network(key, depth=depth), samples(batch), backend=backend)
        assert certificate.passed, str(certificate)
        assert certificate.samples == batch
        assert {check.control_failed for check in certificate.checks} == {None}


@pytest.mark.parametrize("key", ["H1-J2", "ResNet", "MLP", "H2-plain"])
@pytest.mark.parametrize("step", [3.0, 1e4])
def test_huge_sensitivities_are_judged_without_warnings(key, step):
    # Norms of 1e170 at step 3; overflow to inf at step 1e4, about which nothing can be certified.
    net = network(key, "identity", depth=300, step=step)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certificate = pyham.certify(net, samples(3))
    if not np.isfinite(net.sensitivity(samples(3))).all():
        assert not certificate.passed, str(certificate)


# What is asked


@pytest.mark.parametrize("key", VARIANTS)
def test_each_architecture_has_its_checks_its_promises_and_controls_that_fail(key):
    certificate = pyham.certify(network(key), samples())
    name, asked = VARIANTS[key][0], checks(certificate)
    of_pairs = {"symplectic", "determinant", "eigenvalues"}
    expected = {"norms", "upper bound", "backpropagation"}
    expected |= {"gradients"} if name in SPLIT else set()
    expected |= {"euler defect"} if name == "H1" else set()
    expected |= of_pairs if name in ("MS3", "H2", "H1") else set()
    expected |= {"singular values"} if name == "MS3" or key in ("H1-J1", "H2-plain") else set()
    assert set(asked) == expected
    for promised in (of_pairs | {"singular values", "norms"}) & expected:
        assert asked[promised].guaranteed == (key in EXACT)
    assert all(asked[always].guaranteed for always in expected - of_pairs - {"singular values", "norms"})
    for check in asked.values():
        if check.guaranteed:
            assert check.control and check.control_failed is True
            assert check.control_measured > check.tolerance >= check.measured
    phi = network(key).sensitivity(samples())
    smallest = np.min(list(pyham.symplectic.norms(phi[:-1]).values()))
    assert asked["norms"].measured == 1 - smallest
    facts, (least, median, most) = dict(certificate.facts), np.quantile(np.linalg.norm(phi[0], 2, (1, 2)), (0, 0.5, 1))
    mean = np.linalg.norm(phi[0].mean(axis=0), 2)
    norms = {"smallest norm": least, "median": median, "largest": most, "norm of the batch mean": mean}
    kinds = bounds.KINDS if name != "MLP" else ("product", "sharp")
    upper = {f"{kind} bound": bounds.upper(network(key), kind)[0] for kind in kinds}
    assert facts == pytest.approx(norms | upper, rel=1e-12) and list(facts) == [*norms, *upper]
    data = certificate.to_dict()  # plain data, fit for JSON
    assert data["facts"] == facts and data["checks"][0]["measured"] == certificate.checks[0].measured
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["passed"], data["samples"], data["dtype"]) == (True, 20, "float64")
    assert [row["name"] for row in data["checks"]] == list(asked)
    assert set(data["checks"][0]) == {field.name for field in dataclasses.fields(certificate.checks[0])}


def test_forward_euler_is_reported_as_not_symplectic_but_passes():
    certificate = pyham.certify(network("H1-J1"), samples())
    symplectic = checks(certificate)["symplectic"]
    assert not symplectic.guaranteed
    assert not symplectic.holds
    assert certificate.passed
    assert "not promised" in str(certificate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tolerances_are_four_eps_a_stage_and_the_defect_the_largest_of_all_layers_and_samples(dtype):
    net, x = network("H2-yoshida4-p-first"), samples(dtype=dtype)
    certificate = pyham.certify(net, x)
    assert {check.tolerance for check in certificate.checks} == {4 * eps(dtype) * 7 * N}
    rho = pyham.symplectic.defect(net.sensitivity(x), net.interconnection)
    assert checks(certificate)["symplectic"].measured == rho.max()
    assert certificate == pyham.certify(net, x)  # the same in every run

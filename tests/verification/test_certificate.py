"""Certificates: they pass for sound networks, and for no engine that computes something else."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings

import pyham
from pyham.verification import bounds
from tests.oracles import equations
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
    assert certificate.passed, str(certificate)
    for check in certificate.checks:  # a control that fails, or a reason
        assert (check.control_failed is True and check.reason is None) or (check.control is None and check.reason)


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
    of_J = {"symplectic", "eigenvalues"} | ({"singular values"} if name == "MS3" else set())
    of_J |= {"singular values"} if key in ("H1-J1", "H1-dissipative", "H2-plain") else set()
    always = {"forward pass", "sensitivities", "backpropagation", "upper bound"}
    of_shears = {"norms", "determinant", "gradients"}
    expected = always | {"norms"}
    expected |= of_shears if name in SPLIT else set()
    expected |= {"euler defect", "determinant"} if name == "H1" else set()
    expected |= of_J if name in ("MS3", "H2", "H1") else set()
    assert set(asked) == expected
    promised = always | {"euler defect"} | (of_shears if name in SPLIT else set()) | (of_J if key in EXACT else set())
    assert {check.name for check in certificate.checks if check.guaranteed} == promised & expected
    for check in asked.values():
        assert check.decided
        if check.guaranteed:
            assert check.control and check.control_failed is True
            assert check.control_measured > check.tolerance >= check.measured
    phi = network(key).sensitivity(samples())
    smallest = np.min(list(pyham.symplectic.norms(phi).values()), axis=0)
    where = asked["norms"].layer, asked["norms"].sample
    c = np.prod(equations.kept(network(key))) ** (N - where[0]) if name in SPLIT else 1.0
    assert asked["norms"].measured == pytest.approx(1 - smallest[where] / np.sqrt(c), abs=4 * eps(np.float64))
    facts, (least, median, most) = dict(certificate.facts), np.quantile(np.linalg.norm(phi[0], 2, (1, 2)), (0, 0.5, 1))
    mean = np.linalg.norm(phi[0].mean(axis=0), 2)
    norms = {"smallest norm": least, "median": median, "largest": most, "norm of the batch mean": mean}
    kinds = bounds.KINDS if name != "MLP" else ("product", "sharp")
    upper = {f"{kind} bound": bounds.upper(network(key), kind)[0] for kind in kinds}
    upper = ({"sqrt(c)": np.sqrt(np.prod(equations.kept(network(key))) ** N)} if "damped" in key else {}) | upper
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
def test_the_number_is_that_of_the_layer_and_sample_nearest_to_its_tolerance(dtype):
    net, x = network("H2-yoshida4-p-first"), samples(dtype=dtype)
    certificate = pyham.certify(net, x)
    found = checks(certificate)["symplectic"]
    rho = pyham.symplectic.defect(net.sensitivity(x), net.interconnection)
    assert found.measured == pytest.approx(rho[found.layer, found.sample], rel=0.1, abs=eps(np.float64))
    assert certificate == pyham.certify(net, x)  # the same in every run


# What was wrong once


def test_eigenvalues_of_wide_networks_and_of_many_samples_are_not_refused():
    """A tolerance of four eps a stage knew nothing of the error of eigenvalues, which grows with the width."""
    for width, batch, step, seeds in ((64, 1, 0.1, 10), (48, 1, 0.1, 10), (16, 200, 0.1, 3), (16, 5, 1e-5, 5)):
        for seed in range(seeds):
            net = pyham.H2(width, 1, step).init(seed, initialization="scaled-normal")
            assert pyham.certify(net, np.random.default_rng(seed + 1).standard_normal((batch, width))).passed


def test_every_control_fails_where_there_is_something_to_break():
    """Of the two-dimensional one-layer network of seed 7 a stretched stage did not exceed the bound of the layer."""
    for seed in range(40):
        for activation in ("tanh", "relu"):
            net = pyham.H2(2, 1, 0.5, activation).init(seed)
            certificate = pyham.certify(net, np.random.default_rng(seed).standard_normal((1, 2)))
            assert certificate.passed and all(check.control_failed for check in certificate.checks), str(certificate)


def test_bounds_are_those_of_the_network_that_runs():
    """Rounded to float32, weights may be larger: a bound that is attained was exceeded by 2e-8."""
    for dtype in (np.float32, np.float64):
        for seed in range(30):
            net = pyham.H1(4, 3, 0.1, "identity", interconnection="J1").init(seed, dtype=np.float64)
            net = net.replace({"K": np.eye(4) * net.params["K"][:, :1, :1], "b": np.zeros((3, 4))})
            norm = np.linalg.norm(net.sensitivity(np.zeros((1, 4), dtype))[:, 0].astype(float), 2, axis=(1, 2))
            # J has no real eigenvector: the norm of I + h k^2 J is sqrt(1 + h^2 k^4) and stays below 1 + h k^2.
            assert (norm <= bounds.upper(net, dtype=dtype) * (1 + 20 * eps(dtype))).all()
            assert pyham.certify(net, np.zeros((1, 4), dtype)).passed


def test_what_rounding_may_hide_is_counted_and_said():
    """In float32 nothing can be said of det Phi where ||Phi|| is 1e9; of small networks everything."""
    net, x = network("H2-plain", depth=1024), samples(5, np.float32)
    certificate = pyham.certify(net, x)
    assert certificate.passed and certificate.undecided == sum(not check.decided for check in certificate.checks) > 0
    assert f"float32: PASSED, {certificate.undecided} undecided" in str(certificate)
    assert certificate.to_dict()["undecided"] == certificate.undecided
    assert pyham.certify(network(), samples()).undecided == 0


def test_weights_that_undo_each_other_are_not_refused():
    """Kp = M and Kq = M^-T of condition 1e4: sensitivities are large on the way, and small in the end."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2))
    M = U @ np.diag(np.logspace(2, -2, 4)) @ V
    net = pyham.H2(8, 6, 0.1, scheme="verlet").init(0)
    net = net.replace({"Kp": np.broadcast_to(M, (6, 4, 4)), "Kq": np.broadcast_to(np.linalg.inv(M).T, (6, 4, 4))})
    certificate = pyham.certify(net, rng.standard_normal((10, 8)))
    assert certificate.passed and checks(certificate)["symplectic"].decided, str(certificate)

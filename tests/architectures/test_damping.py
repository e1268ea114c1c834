"""Damped networks: the law Phi^T J Phi = c J on random ones, gradients, files, refinement, images and processes."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham.architectures.images import ConvH2, Pixelwise
from pyham.distributed import distribute
from pyham.training.multilevel import prolong
from pyham.verification import balls, continuous, symplectic
from pyham.verification.ball_stages import one_ulp
from pyham.verification.structure import log_factors
from tests.oracles.strategies import ORDERS, SCHEMES, seeds, well_conditioned

EPS = np.finfo(float).eps
rates = st.floats(-2, 2)


@st.composite
def damped(draw, names=("H2", "MS3", "MS1"), deepest=60):
    """A network with T = 1, rates of all kinds, and samples."""
    name, m, depth = draw(st.sampled_from(names)), draw(st.integers(1, 4)), draw(st.integers(1, deepest))
    rng = np.random.default_rng(draw(seeds))
    damping = draw(
        st.one_of(
            rates,
            st.tuples(rates, rates),
            st.just(rng.uniform(-2, 2, (depth, 2))),
            st.just(rng.uniform(-2, 2, (depth, 1))),
        )
    )
    options = {"scheme": draw(st.sampled_from(SCHEMES)), "order": draw(st.sampled_from(ORDERS)), "damping": damping}
    if name == "H2" and draw(st.booleans()):
        options["X"] = well_conditioned(m, 0)
    arch = pyham.architecture(name, width=2 * m, depth=depth, step=1 / depth, **options)
    if name == "MS1":
        net = arch.init(rng, initialization={"A": well_conditioned(m, 1)})
    else:
        net = arch.init(rng, initialization="scaled-normal")
    return net, rng.standard_normal((3, 2 * m))


@given(damped())
def test_sensitivities_of_damped_networks_are_symplectic_but_for_the_factor_of_their_rates(case):
    net, x = case
    table = np.broadcast_to(np.asarray(net.arch.damping), (net.arch.depth, 2))
    c = np.exp(-net.arch.step * np.append(table.sum(axis=1)[::-1].cumsum()[::-1], 0))
    limit = 4 * EPS * len(net.stages().A) + 4 * EPS * abs(np.log(c[0]))
    J = np.asarray(net.interconnection)
    for backend in ("numba", "reference"):
        phi = net.sensitivity(x, backend=backend) / np.sqrt(c)[:, None, None, None]
        assert symplectic.defect(phi, J).max() <= limit * np.linalg.cond(J)
        assert symplectic.determinant(phi)[1].max() <= limit * net.arch.width
        assert min(norm.min() for norm in symplectic.norms(phi).values()) >= 1 - limit * net.arch.width
    np.testing.assert_allclose(log_factors(net), np.log(c), atol=1e-14)


@given(damped(deepest=6), seeds)
def test_gradients_of_damped_networks_are_those_of_a_complex_step(case, seed):
    net, x = case
    rng = np.random.default_rng(seed)
    g = rng.standard_normal(x.shape)
    found = net.gradient(x, g)
    directions = {name: rng.standard_normal(value.shape) for name, value in net.params.items()}
    stepped = net.replace({name: value + 1e-100j * directions[name] for name, value in net.params.items()})
    expected = (stepped(x.astype(complex), backend="reference") * g).sum().imag / 1e-100
    terms = [found.params[name] * directions[name] for name in directions]
    size = sum(np.abs(term).sum() for term in terms)
    assert abs(sum(term.sum() for term in terms) - expected) <= 1e-13 * size


@given(damped(deepest=40))
def test_undoing_damped_layers_leads_back_and_the_drift_is_within_its_budget(case):
    net, x = case
    plain = net.gradient(x, np.ones_like(x))
    rebuilt = net.gradient(x, np.ones_like(x), memory="reversible", budget=1e-9)
    assert rebuilt.drift.error <= 1e-9
    for name, value in plain.params.items():
        np.testing.assert_allclose(rebuilt.params[name], value, rtol=0, atol=1e-6 * np.abs(value).max())


@given(damped(deepest=12))
def test_certificates_of_damped_networks_pass_with_controls_that_fail(case):
    net, x = case
    certificate = pyham.certify(net, x)
    assert certificate.passed, str(certificate)
    assert pyham.certify(net, x.astype(np.float32)).passed


def test_a_fast_damped_network_rebuilds_nothing_that_cannot_be_rebuilt():
    """Undoing a layer multiplies errors by exp(rate h): the budget is what keeps states, not the user."""
    net = pyham.H2(4, 64, 0.5, damping=3.0).init(0)
    x = np.random.default_rng(0).standard_normal((4, 4))
    found = net.gradient(x, np.ones_like(x), memory="reversible")
    assert found.drift.kept > 0
    for name, value in net.gradient(x, np.ones_like(x)).params.items():
        np.testing.assert_allclose(found.params[name], value, rtol=0, atol=1e-8 * np.abs(value).max())


def test_a_wrong_rate_is_refused_by_the_certificate(monkeypatch):
    net = pyham.H2(4, 16, 0.1, damping=(0.3, 0.5)).init(0)
    x = np.random.default_rng(0).standard_normal((10, 4))
    stated = pyham.H2.log_factors
    monkeypatch.setattr(pyham.H2, "log_factors", lambda self: 1.001 * stated(self))
    asked = {check.name: check for check in pyham.certify(net, x).checks}
    for name in ("symplectic", "eigenvalues", "singular values", "determinant"):
        assert not asked[name].holds


def test_balls_prove_the_law_and_exclude_a_changed_weight():
    pytest.importorskip("flint")
    net = pyham.MS3(4, 8, 0.2, scheme="verlet", damping=(0.4, -0.7)).init(0)
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert balls.prove(net, x).proven
    stages = balls.lower(net, 40)
    changed = stages.changed("A", one_ulp, (2, 0, 1))
    assert balls.examine(changed, x).symplectic.verdict == "excluded"
    wrong = tuple(c * 1.0000001 for c in stages.factors[:-1]) + stages.factors[-1:]
    assert balls.examine(replace(stages, factors=wrong), x).symplectic.verdict == "excluded"


def test_rates_by_layer_are_those_of_networks_of_one_layer():
    rng = np.random.default_rng(0)
    table, x = rng.uniform(-1, 1, (3, 2)), rng.standard_normal((5, 4))
    whole = pyham.H2(4, 3, 0.3, scheme="verlet", damping=table).init(0)
    y = x
    for j in range(3):
        layer = pyham.H2(4, 1, 0.3, scheme="verlet", damping=tuple(table[j]))
        y = pyham.Network(layer, {name: value[j : j + 1] for name, value in whole.params.items()})(y)
    np.testing.assert_array_equal(whole(x), y)


def test_without_weights_p_and_q_fade_at_their_rates():
    net = pyham.H2(4, 10, 0.1, damping=(0.5, -1.5))
    net = pyham.Network(net, {name: np.zeros(shape) for name, shape in net.shapes.items()})
    x = np.ones((1, 4))
    np.testing.assert_allclose(net(x)[0], [np.exp(-0.5)] * 2 + [np.exp(1.5)] * 2, rtol=1e-14)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_network_is_the_equation_with_damping_in_the_limit(scheme):
    coarse = pyham.H2(4, 2, 0.4, scheme=scheme, damping=[(0.7, -0.4), (0.1, 0.9)]).init(3)
    x = np.random.default_rng(1).standard_normal((4, 4))
    fine, errors, exact = coarse, [], continuous.sensitivity(coarse, x)
    for k in (2, 4, 8, 16, 32):
        fine = prolong(fine)
        errors.append(np.abs(fine.sensitivity(x)[::k] - exact).max())
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(
        {"semi-implicit": 1, "verlet": 2, "yoshida4": 4}[scheme], abs=0.1
    )
    bound = continuous.log_upper(coarse)
    assert (np.log(np.linalg.norm(exact, 2, axis=(-2, -1))) <= bound[:, None] + 1e-10).all()
    delta = continuous.adjoint(coarse, x, np.ones_like(x))
    np.testing.assert_allclose(delta, np.einsum("jbac,bc->jba", exact, np.ones_like(x)), atol=1e-9)


@pytest.mark.parametrize("damping", [0.3, (0.2, -0.1), np.linspace(-1, 1, 8).reshape(4, 2)], ids=str)
def test_damped_networks_are_saved_compared_and_shown(damping, tmp_path):
    net = pyham.H2(4, 4, 0.5, damping=damping).init(0)
    net.save(tmp_path / "net.npz")
    back = pyham.load(tmp_path / "net.npz")
    assert back.arch == net.arch and "damping" in str(net.arch)
    assert net.arch != pyham.H2(4, 4, 0.5)
    x = np.ones((2, 4))
    np.testing.assert_array_equal(back(x), net(x))
    assert pyham.H2(4, 4, 0.5, damping=0.0) == pyham.H2(4, 4, 0.5) and "damping" not in str(pyham.H2(4, 4))


def test_damped_images_keep_the_law():
    table = np.array([[0.3, -0.1], [0.2, 0.2], [0.1, 0.0]])
    arch = ConvH2(rows=4, columns=4, width=2, depths=(2, 1), step=0.5, activation="tanh", damping=table)
    net = arch.init(0, initialization="scaled-normal")
    assert pyham.architectures.images.image_architecture(**arch.config()) == arch
    x = np.random.default_rng(0).standard_normal((2, 2, 4, 4))
    phi = net.sensitivity(x)
    c = np.exp(-0.5 * np.append(table.sum(axis=1)[::-1].cumsum()[::-1], 0))
    assert symplectic.defect(phi / np.sqrt(c)[:, None, None, None], net.interconnection).max() < 100 * EPS
    np.testing.assert_allclose(log_factors(net), np.log(c), atol=1e-15)
    assert pyham.certify(net, x).passed
    pixelwise = Pixelwise(rows=2, columns=3, network=pyham.H2(4, 3, 0.2, damping=0.5)).init(0)
    assert pyham.certify(pixelwise, np.random.default_rng(1).standard_normal((2, 4, 2, 3))).passed


@pytest.mark.parametrize("scheme", SCHEMES)
def test_damped_networks_are_the_same_on_processes(scheme):
    net = pyham.H2(8, 3, 0.3, scheme=scheme, damping=(0.4, -0.2)).init(0)
    x = np.random.default_rng(0).standard_normal((5, 8))
    for one_round in (False, True):
        together = distribute(net, "full", nodes=4, one_round=one_round)
        trace = together.trace(x)
        np.testing.assert_allclose(trace.output, net(x), rtol=1e-13, atol=1e-14)
        found, expected = together.adjoint(trace, np.ones_like(x)), net.gradient(x, np.ones_like(x))
        for name, value in expected.params.items():
            np.testing.assert_allclose(found.params[name], value, rtol=1e-11, atol=1e-13)
    by_layer = pyham.H2(8, 3, damping=np.array([[1, 2], [1, 3], [2, 2]])).init(0)
    with pytest.raises(ValueError, match="damping: expected rates that are the same in all layers"):
        distribute(by_layer, "full", nodes=4)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("fast", TypeError, "damping: expected a finite number"),
        (True, TypeError, "damping: expected a finite number"),
        ((1, 2, 3), ValueError, r"got shape \(3,\)"),
        (np.zeros((5, 2)), ValueError, r"got shape \(5, 2\)"),
        (np.nan, ValueError, "got nan"),
        ((0.1, np.inf), ValueError, "got .*inf"),
        (500.0, ValueError, "damping: expected rates of at most 40 / step, got 500"),
    ],
)
def test_rates_that_are_none_are_refused_by_name(value, error, words):
    with pytest.raises(error, match=words):
        pyham.H2(4, 4, damping=value)
    with pytest.raises(TypeError, match="damping: expected one of the options of ResNet"):
        pyham.architecture("ResNet", width=4, depth=4, damping=0.1)

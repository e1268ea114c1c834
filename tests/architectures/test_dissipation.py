"""H1 with dissipation and damping: gradients, laws of a layer, energy, contraction, files, graphs, processes."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham.distributed import distribute
from pyham.verification import bounds, continuous, euler
from tests.oracles.strategies import seeds, skew

EPS = np.finfo(float).eps


def semidefinite(n, seed, rank=None):
    L = np.random.default_rng(seed).standard_normal((n, n if rank is None else rank)) / np.sqrt(n)
    return (L @ L.T + (L @ L.T).T) / 2


@st.composite
def dissipative(draw, deepest=8):
    n, depth, seed = draw(st.integers(2, 6)), draw(st.integers(1, deepest)), draw(seeds)
    R = draw(st.sampled_from([None, 0.0, 0.3, 2.0, semidefinite(n, 0), semidefinite(n, 1, 1)]))
    J = draw(st.sampled_from(["J2", skew(n, 2), *(["J1"] if n % 2 == 0 else [])]))
    damping = draw(st.sampled_from([0.0, 0.5, -0.7]))
    arch = pyham.H1(n, depth, 1 / depth, interconnection=J, dissipation=R, damping=damping)
    return arch.init(seed), np.random.default_rng(seed).standard_normal((3, n))


@given(dissipative(), seeds)
def test_gradients_with_dissipation_are_those_of_a_complex_step(case, seed):
    net, x = case
    rng = np.random.default_rng(seed)
    g = rng.standard_normal(x.shape)
    found = net.gradient(x, g)
    directions = {name: rng.standard_normal(value.shape) for name, value in net.params.items()}
    stepped = net.replace({name: value + 1e-100j * directions[name] for name, value in net.params.items()})
    expected = (stepped(x.astype(complex), backend="reference") * g).sum().imag / 1e-100
    terms = [found.params[name] * directions[name] for name in directions]
    assert abs(sum(term.sum() for term in terms) - expected) <= 1e-13 * sum(np.abs(term).sum() for term in terms)


@given(dissipative())
def test_layers_follow_the_equation_and_their_defect_the_closed_form(case):
    net, x = case
    arch, y = net.arch, x
    R = arch.J - arch.coupling
    k = np.exp(-arch.damping * arch.step)
    t = arch.step if arch.damping == 0 else (1 - k) / arch.damping
    for K, b in zip(net.K, net.b, strict=True):
        y = k * y + t * np.tanh(y @ K.T + b) @ K @ (arch.J - R).T
    for backend in ("numba", "reference"):
        np.testing.assert_allclose(net(x, backend=backend), y, rtol=0, atol=1e-12 * np.abs(y).max())
    assert euler.residual(net, x).max() <= 4 * arch.width * EPS * (1 + np.linalg.norm(R, 2)) ** 2


@given(dissipative())
def test_no_norm_exceeds_the_bounds_and_certificates_pass(case):
    net, x = case
    measured = np.log(np.linalg.norm(net.sensitivity(x), 2, axis=(-2, -1)).max(axis=1))
    sharp, product, paper = (bounds.log_upper(net, kind) for kind in ("sharp", "product", "paper"))
    slack = 100 * EPS * net.arch.depth
    assert (measured <= sharp + slack).all() and (sharp <= product + slack).all() and (product <= paper + slack).all()
    certificate = pyham.certify(net, x)
    assert certificate.passed, str(certificate)
    assert pyham.certify(net, x.astype(np.float32)).passed


def test_a_contracting_network_brings_all_samples_together():
    net = pyham.H1(4, 64, 0.25, dissipation=0.5, damping=1.0).init(0, initialization={"K": 0.4 * np.eye(4)})
    assert (bounds.contraction(net) > 0.8).all()
    x = np.random.default_rng(0).standard_normal((50, 4)) * 10
    y = net(x)
    assert np.ptp(y, axis=0).max() <= 1e-4
    exact = continuous.sensitivity(pyham.Network(net.arch, net.params), x[:2])
    assert (np.linalg.norm(exact, 2, axis=(-2, -1)).max(axis=1) <= np.exp(continuous.log_upper(net)) * (1 + 1e-9)).all()


def test_energy_is_lost_along_the_flow_of_a_dissipative_network_and_not_without():
    rng = np.random.default_rng(0)
    K, b, x = rng.standard_normal((4, 4)) / 2, rng.standard_normal(4), rng.standard_normal((5, 4))
    for R, lost in ((semidefinite(4, 3), True), (None, False)):
        net = pyham.H1(4, 20, 0.1, dissipation=R).init(0, initialization={"K": K, "b": b})
        along = np.array([net.energy(y)[0] for y in continuous.flow(net, x)])
        if lost:
            assert (np.diff(along, axis=0) < 0).all()
        else:
            np.testing.assert_allclose(along, np.broadcast_to(along[0], along.shape), rtol=1e-10)


@pytest.mark.parametrize("R", [0.5, semidefinite(4, 0)], ids=["number", "matrix"])
def test_dissipative_networks_are_saved_compared_and_shown(R, tmp_path):
    net = pyham.H1(4, 3, 0.5, dissipation=R, damping=0.2).init(0)
    net.save(tmp_path / "net.npz")
    back = pyham.load(tmp_path / "net.npz")
    assert back.arch == net.arch != pyham.H1(4, 3, 0.5) and "dissipation" in str(net.arch)
    np.testing.assert_array_equal(back(np.ones((1, 4))), net(np.ones((1, 4))))
    plain = str(pyham.H1(4, 3, dissipation=0.0))
    assert plain == str(pyham.H1(4, 3)) and "dissipation" not in plain and "damping" not in plain


def test_dissipation_on_graphs_and_processes():
    x = np.random.default_rng(0).standard_normal((5, 8))
    on_ring = pyham.H1(8, 3, 0.2, graph="ring", nodes=4, dissipation=0.4, damping=0.1).init(0)
    dense = pyham.Network(pyham.H1(8, 3, 0.2, dissipation=0.4, damping=0.1), {"K": on_ring.K, "b": on_ring.b})
    np.testing.assert_allclose(on_ring(x), dense(x), rtol=1e-13, atol=1e-13)
    together = distribute(dense, "ring", nodes=4)
    trace = together.trace(x)
    np.testing.assert_allclose(trace.output, dense(x), rtol=1e-13, atol=1e-13)
    found, expected = together.adjoint(trace, np.ones_like(x)), dense.gradient(x, np.ones_like(x))
    within = on_ring.K != 0
    np.testing.assert_allclose(found.params["K"][within], expected.params["K"][within], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.params["b"], expected.params["b"], rtol=1e-11, atol=1e-13)
    with pytest.raises(ValueError, match="dissipation: expected entries on the edges of the graph"):
        pyham.H1(8, 3, graph="ring", nodes=4, dissipation=semidefinite(8, 0))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"dissipation": -0.1}, ValueError, "dissipation"),
        ({"dissipation": np.nan}, ValueError, "dissipation"),
        ({"dissipation": "some"}, TypeError, "dissipation"),
        ({"dissipation": np.eye(3)}, ValueError, "dissipation: expected"),
        (
            {"dissipation": np.diag([1.0, 1, 1, -0.1])},
            ValueError,
            "positive semidefinite matrix, got the eigenvalue -0.1",
        ),
        ({"dissipation": np.eye(4, k=1)}, ValueError, r"expected a symmetric matrix, got R\[0, 1\] = 1.0"),
        ({"damping": np.inf}, ValueError, "damping"),
        ({"damping": (1.0, 2.0)}, TypeError, "damping"),
        ({"damping": 1e6}, ValueError, "damping: expected rates of at most 40 / step"),
    ],
)
def test_what_is_no_dissipation_is_refused_by_name(options, error, words):
    with pytest.raises(error, match=words):
        pyham.H1(4, 4, **options)

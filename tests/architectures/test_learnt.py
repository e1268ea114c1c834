"""Learnt options: gradients by complex step, laws on the way of a training, files, and what is refused."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham.architectures.learnt import PARAMETERS
from pyham.distributed import distribute
from pyham.training import Protocol, train
from pyham.training.multilevel import prolong
from pyham.verification import bounds, continuous, symplectic
from tests.oracles.strategies import ORDERS, SCHEMES, seeds

EPS = np.finfo(float).eps


@st.composite
def learning(draw):
    """A network with learnt options, their parameters moved away from where they begin, and samples."""
    name, depth, seed = draw(st.sampled_from(["H1", "H2", "MS1", "MS3"])), draw(st.integers(1, 8)), draw(seeds)
    rng = np.random.default_rng(seed)
    if name == "H1":
        n = draw(st.integers(2, 5))
        names = draw(st.lists(st.sampled_from(["interconnection", "dissipation", "damping"]), min_size=1, unique=True))
        options = dict.fromkeys(names, "learnt")
        if n % 2 and "interconnection" not in options:
            options["interconnection"] = "J2"
    else:
        n = 2 * draw(st.integers(1, 3))
        names = (
            draw(st.lists(st.sampled_from(["X", "damping"]), min_size=1, unique=True)) if name == "H2" else ["damping"]
        )
        options = dict.fromkeys(names, "learnt")
        options |= {"scheme": draw(st.sampled_from(SCHEMES)), "order": draw(st.sampled_from(ORDERS))}
    net = pyham.architecture(name, width=n, depth=depth, step=1 / depth, **options).init(rng)
    moved = {
        key: net.params[key] + 0.3 * rng.standard_normal(net.params[key].shape)
        for key in PARAMETERS.values()
        if key in net.params
    }
    return net.replace(moved), rng.standard_normal((3, n))


@given(learning(), seeds, st.sampled_from(["numba", "reference"]))
def test_gradients_of_learnt_options_are_those_of_a_complex_step(case, seed, backend):
    net, x = case
    rng = np.random.default_rng(seed)
    g = rng.standard_normal(x.shape)
    found = net.gradient(x, g, backend=backend)
    same = net.adjoint(net.trace(x, backend=backend), g, backend=backend)
    assert set(found.params) == set(net.arch.shapes)
    for name, value in net.params.items():
        assert found.params[name].shape == value.shape
        np.testing.assert_allclose(
            same.params[name], found.params[name], rtol=0, atol=1e-12 * (1 + np.abs(found.params[name]).max())
        )
        direction = rng.standard_normal(value.shape)
        others = {key: other.astype(complex) for key, other in net.params.items()}
        stepped = net.replace(others | {name: value + 1e-100j * direction})
        expected = (stepped(x.astype(complex), backend="reference") * g).sum().imag / 1e-100
        size = np.abs(found.params[name] * direction).sum() + np.abs(g * net(x)).sum()
        assert abs((found.params[name] * direction).sum() - expected) <= 1e-13 * size


@given(learning())
def test_a_learnt_network_is_the_fixed_one_with_its_numbers(case):
    net, x = case
    fixed, params = net.settled, net.params
    options = {key: value for key, value in net.arch.options().items() if key not in net.arch.learnt}
    if "X" in net.arch.learnt:
        options["X"] = params["X"]
    if "interconnection" in net.arch.learnt:
        options["interconnection"] = params["S"] - params["S"].T
    if "dissipation" in net.arch.learnt:
        options["dissipation"] = params["L"] @ params["L"].T
    if "damping" in net.arch.learnt:
        rates = np.logaddexp(0, params["damping"])
        options["damping"] = rates[0] if rates.shape == (1,) else rates
    twin = pyham.Network(type(net.arch)(**options), fixed.params)
    np.testing.assert_allclose(net(x), twin(x), rtol=0, atol=1e-13 * (1 + np.abs(net(x)).max()))
    np.testing.assert_allclose(bounds.log_upper(net), bounds.log_upper(twin), rtol=1e-12)
    certificate = pyham.certify(net, x)
    assert certificate.passed, str(certificate)
    assert "'learnt'" in certificate.network
    np.testing.assert_allclose(continuous.flow(net, x, rtol=1e-9), continuous.flow(twin, x, rtol=1e-9), atol=1e-7)
    assert net.explain(x[0]) is not None


def test_sensitivities_stay_symplectic_for_every_X_on_the_way_of_a_training():
    points, labels = pyham.datasets.double_moons(400, rng=0)
    arch = pyham.H2(4, 8, 0.25, X="learnt", damping="learnt")
    seen = []

    def look(epoch):
        net = epoch.classifier().net
        rates = np.logaddexp(0, net.params["damping"])
        c = np.exp(-net.arch.step * np.append(rates.sum(axis=1)[::-1].cumsum()[::-1], 0))
        phi = net.sensitivity(points[:20]) / np.sqrt(c)[:, None, None, None]
        X = net.params["X"]
        J = np.block([[np.zeros((2, 2)), -X.T], [X, np.zeros((2, 2))]])
        moved_after = np.block([[np.zeros((2, 2)), -X.T - 0.1], [X + 0.1, np.zeros((2, 2))]])
        seen.append((symplectic.defect(phi, J).max(), symplectic.defect(phi, moved_after).max(), X, rates))

    protocol = Protocol(scheme="joint", epochs=5, output_epochs=0)
    classifier = train(arch.init(0), points, labels, protocol=protocol, rng=0, callback=look)
    for defect, control, _, rates in seen:
        assert defect <= 4 * EPS * 16 and control > 1e-4 and (rates > 0).all()
    assert np.abs(seen[-1][2] - np.eye(2)).max() > 0.01 and np.ptp(seen[-1][3]) > 0.01  # they are learnt
    assert classifier.accuracy(points, labels) > 0.5
    assert pyham.certify(classifier.net, points[:20]).passed


@pytest.mark.parametrize("memory", ["store", "checkpoint", "reversible"])
def test_rates_are_learnt_in_less_memory_too(memory):
    net = pyham.H2(4, 40, 0.05, damping="learnt").init(0)
    x = np.random.default_rng(0).standard_normal((5, 4))
    found, expected = net.gradient(x, np.ones_like(x), memory=memory), net.gradient(x, np.ones_like(x))
    np.testing.assert_allclose(found.params["damping"], expected.params["damping"], rtol=1e-6, atol=1e-9)


def test_learnt_networks_are_saved_refined_and_begin_as_they_are_said_to(tmp_path):
    net = pyham.H1(4, 3, 0.5, interconnection="learnt", dissipation="learnt", damping="learnt").init(0)
    np.testing.assert_array_equal(net.interconnection, pyham.interconnection.J1(4))
    np.testing.assert_allclose(net.settled.arch.coupling, pyham.interconnection.J1(4) - np.eye(4) / 100, atol=1e-17)
    assert net.settled.arch.damping == pytest.approx(np.log1p(np.exp(-2)))
    net.save(tmp_path / "net.npz")
    back = pyham.load(tmp_path / "net.npz")
    assert back.arch == net.arch and back.arch.learnt == ("interconnection", "dissipation", "damping")
    np.testing.assert_array_equal(back(np.ones((1, 4))), net(np.ones((1, 4))))
    finer = prolong(pyham.H2(4, 2, 0.5, X="learnt", damping="learnt").init(0))
    assert finer.params["X"].shape == (2, 2) and finer.params["damping"].shape == (4, 2)
    given_X = pyham.H2(4, 2, X="learnt").init(0, initialization={"X": 2 * np.eye(2)})
    np.testing.assert_array_equal(given_X.settled.arch.X, 2 * np.eye(2))
    pair = distribute(pyham.H2(4, 2, 0.5, damping=(0.1, 0.2)).init(0), "full", nodes=2)
    assert pair.arch.damping == (0.1, 0.2)


def test_what_cannot_be_learnt_is_refused_by_name():
    with pytest.raises(ValueError, match="X: expected a matrix for a network on a graph, got 'learnt'"):
        pyham.H2(8, 2, X="learnt", graph="ring", nodes=4)
    arch = pyham.H2(4, 2, X="learnt")
    with pytest.raises(ValueError, match=r"X: expected a matrix, got 'learnt'; net.settled"):
        _ = arch.J
    with pytest.raises(ValueError, match="damping: expected a matrix, got"):
        _ = pyham.H2(4, 2, damping="learnt").rates
    with pytest.raises(TypeError):
        pyham.H2(4, 2, X="guessed")


def test_rates_of_a_network_on_a_graph_are_learnt():
    net = pyham.MS3(8, 3, 0.2, damping="learnt", graph="ring", nodes=4).init(0, initialization="scaled-normal")
    x = np.random.default_rng(0).standard_normal((3, 8))
    assert net.params["damping"].shape == (3, 2) and pyham.certify(net, x).passed
    dense = pyham.MS3(8, 3, 0.2, damping="learnt")
    K = net.K
    twin = pyham.Network(dense, {"K1": K[:, :4, 4:], "K2": K[:, 4:, :4], "b": net.b, "damping": net.params["damping"]})
    found, expected = (one.gradient(x, np.ones_like(x)).params["damping"] for one in (net, twin))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())

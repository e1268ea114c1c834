"""Gradients from rebuilt states: their drift, its budget, and the states that are kept."""

import numpy as np
import pytest

import pyham
from pyham.engines import contract
from tests.engines.test_memory import furthest
from tests.oracles.rounding import eps, relative


@pytest.fixture(scope="module")
def deep():
    """(net, x, g): 1024 layers in float32, which amplify rounding errors on the way back by some ten thousand."""
    rng = np.random.default_rng(0)
    net = pyham.H2(width=4, depth=1024, step=0.1).init(0, dtype=np.float32)
    return net, *rng.standard_normal((2, 20, 4)).astype(np.float32)


def test_budget_keeps_the_gradient_of_a_deep_network_accurate(deep):
    net, x, g = deep
    store = net.gradient(x, g)
    exact = net.gradient(x.astype(float), g.astype(float))
    rounding = max(relative(store.params[name].astype(float), value) for name, value in exact.params.items())
    kept = net.gradient(x, g, memory="reversible")
    assert 0 < kept.drift.error <= kept.drift.budget == eps(np.float32) ** (2 / 3)
    assert kept.drift.kept > 0
    # Far below what single precision costs by itself; states wrong by the budget at the most, amplified tenfold
    assert furthest(kept, store) <= min(rounding / 10, 10 * kept.drift.budget)


def test_control_without_a_budget_the_gradient_of_a_deep_network_is_wrong(deep):
    net, x, g = deep
    assert np.abs(net.inverse(net(x)) - x).max() > 0.01
    blind = net.gradient(x, g, memory="reversible", budget=np.inf)
    assert blind.drift.error > 0.01
    assert blind.drift.kept == blind.drift.most == 0
    assert furthest(blind, net.gradient(x, g)) > 0.05


@pytest.mark.parametrize("budget", [0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0])
def test_drift_stays_within_its_budget_and_most_within_log2_of_the_layers(deep, budget, backend):
    whole, x, g = deep
    for depth in (17, 100, 511, 512, 513, 1024):
        params = {name: value[:depth] for name, value in whole.params.items()}
        net = pyham.Network(pyham.H2(width=4, depth=depth, step=0.1), params)
        few = slice(None) if backend == "numba" else slice(1)
        drift = net.gradient(x[few], g[few], memory="reversible", budget=budget, backend=backend).drift
        assert 0 <= drift.error <= drift.budget == budget
        assert drift.most <= np.log2(depth) + 1
        assert drift.most <= drift.kept < max(1, 2 * depth / contract.SHORTEST)
        if backend == "reference" and depth > 100:
            break  # Python takes its time


def test_a_larger_budget_never_costs_accuracy_that_it_does_not_state(deep):
    net, x, g = deep
    store = net.gradient(x, g)
    errors = [furthest(net.gradient(x, g, memory="reversible", budget=b), store) for b in (0, 1e-6, 1e-4, np.inf)]
    assert errors[0] == 0
    assert errors == sorted(errors)


@pytest.mark.parametrize("batch", [65, 350])
def test_the_drift_reported_is_the_largest_of_all_blocks(deep, batch, small_blocks):
    net, x, g = deep
    x, g = (np.resize(array, (batch, 4)) for array in (x, g))
    x[:-1] = x[0]  # all but the last sample are one
    for budget in (np.inf, 1e-5):
        first, last, both = (
            net.gradient(a, b, memory="reversible", budget=budget).drift
            for a, b in ((x[:1], g[:1]), (x[-1:], g[-1:]), (x, g))
        )
        if budget == np.inf:
            assert both.error == max(first.error, last.error)
        assert both.kept >= max(first.kept, last.kept)
        assert both.most >= max(first.most, last.most)

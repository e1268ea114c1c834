"""Prolongation in time: the deeper network discretises the same continuous one, to the order stated."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import pyham
from pyham.training.multilevel import KINDS, prolong

N = 4
CASES = [
    (pyham.H1(4, N, 0.25), 1, 1),
    (pyham.ResNet(4, N, 0.25), 1, 1),
    (pyham.MS2(4, N, 0.25), 1, 1),
    (pyham.MS1(4, N, 0.25), 1, 1),
    (pyham.MS3(4, N, 0.25), 1, 1),
    (pyham.H2(4, N, 0.25), 1, 1),
    (pyham.H2(4, N, 0.25, scheme="verlet"), 2, 1),
    (pyham.H2(4, N, 0.25, scheme="yoshida4"), 4, 1),
]


def flow(net, x, kind):
    """y(T) of y' = J K(t)^T sigma(K(t) y + b(t)) by SciPy, interval by interval, since K(t) has kinks or jumps."""
    K, b, h, J = net.K, net.b, net.arch.step, net.arch.J
    y = x.ravel()
    for j in range(len(K)):
        after = min(j + 1, len(K) - 1) if kind == "linear" else j

        def field(t, y, j=j, after=after):
            Kt, bt = (v[j] + (v[after] - v[j]) * (t / h - j) for v in (K, b))
            s = np.tanh(y.reshape(x.shape) @ Kt.T + bt)
            return (s @ (J @ Kt.T).T if J is not None else s).ravel()

        y = solve_ivp(field, (j * h, (j + 1) * h), y, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    return y.reshape(x.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("arch", "repeat", "linear"), CASES, ids=lambda value: str(value))
def test_deeper_networks_converge_to_one_equation_with_the_order_stated(arch, repeat, linear, kind, rng):
    net, x = arch.init(rng, initialization="scaled-normal"), rng.standard_normal((5, 4))
    exact = flow(net, x, kind)
    errors = []
    for _ in range(7):
        errors.append(np.abs(net(x) - exact).max())
        net = prolong(net, kind)
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    order = repeat if kind == "repeat" else linear
    resolved = np.array(errors[1:]) > 1e-9  # below, the oracle's own error shows
    assert orders[resolved][-1] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_prolongation_keeps_time_type_and_weights_at_the_nodes(kind):
    net = pyham.H2(4, 3, 0.5, order="q-first").init(0, dtype=np.float32)
    deep = prolong(net, kind)
    assert deep.arch == pyham.H2(4, 6, 0.25, order="q-first") and deep.dtype == np.float32
    for name, value in net.params.items():
        np.testing.assert_array_equal(deep.params[name][::2], value)
    between = net.b if kind == "repeat" else np.stack([(net.b[0] + net.b[1]) / 2, (net.b[1] + net.b[2]) / 2, net.b[2]])
    np.testing.assert_array_equal(deep.b[1::2], between)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [0, 1])
def test_prolongation_of_hardly_any_layers(depth, kind):
    deep = prolong(pyham.H1(4, depth).init(0), kind)
    assert deep.arch.depth == 2 * depth


def test_prolong__raises_on_what_has_no_time():
    with pytest.raises(ValueError, match="net: expected a network that discretises an equation, got MLP"):
        prolong(pyham.MLP(4, 2).init(0))
    with pytest.raises(TypeError, match="net: expected a Network, got H1"):
        prolong(pyham.H1(4, 2))
    with pytest.raises(ValueError, match="kind: expected one of 'repeat', 'linear', got 'cubic'"):
        prolong(pyham.H1(4, 2).init(0), "cubic")

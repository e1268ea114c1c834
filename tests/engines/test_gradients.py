"""The backward pass of both engines by other routes: complex step, differences, dot products, Taylor remainders."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from pyham.engines.reference import REFERENCE as reference
from pyham.engines.reference import layer
from pyham.verification import gradcheck
from tests.oracles.refusals import refused
from tests.oracles.rounding import eps
from tests.oracles.strategies import SMOOTH, VARIANTS, pairs, variant

EPS = eps(np.float64)
N, n = 3, 4


def network(key, activation="tanh", depth=N):
    arch = variant(key, width=n, depth=depth, step=0.3, activation=activation)
    return arch.init(5, initialization="scaled-normal")


def samples(batch=3):
    return np.random.default_rng(1).standard_normal((2, batch, n))


@pytest.mark.parametrize(("key", "activation"), pairs(SMOOTH))
def test_adjoint_and_sensitivity_equal_complex_step_and_pass_the_other_checks(key, activation, backend):
    net = network(key, activation)
    errors = gradcheck.complex_step(net, *samples(), backend=backend)
    assert set(errors) == {*net.params, "x"}
    assert max(errors.values()) <= 1e-13  # 450 eps, for at most 21 stages of four products and a sum over samples
    assert gradcheck.sensitivity(net, samples()[0], backend=backend) <= 1e-13
    residuals = gradcheck.dot_product(net, samples()[0], backend=backend)
    assert set(residuals) == {"tangent", "adjoint", "output"} and max(residuals.values()) <= 1e-13
    assert backend == "reference" or residuals["output"] == 0  # the same operations
    rows = gradcheck.taylor(net, *samples(), backend=backend)
    assert gradcheck.orders(rows) == pytest.approx((1, 2), abs=0.1)
    assert all(row.t == before.t / 2 for before, row in pairwise(rows))


@pytest.mark.parametrize("key", ["MS1-verlet-q-first", "MS2", "H1-skew", "MLP"])
def test_adjoint_equals_a_complex_step_written_here(key, backend):
    # The same without pyham.gradcheck: the parameters of one sample at once, as directions of one loss.
    net = network(key)
    x, g = samples()
    gradients = net.adjoint(net.trace(x, backend=backend), g, backend=backend).params
    for name, value in net.params.items():
        for k in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[k] += 1e-100j
            params = {other: array.astype(complex) for other, array in net.params.items()} | {name: moved}
            y = reference.forward(net.arch.lower(params), x.astype(complex))
            oracle = (g * y.imag).sum() * 1e100
            assert abs(gradients[name][k] - oracle) <= 1e-13 * np.abs(gradients[name]).max()


def distance_from_kinks(net, x):
    """The smallest |a| (B,) to which some stage applies sigma."""
    stages, states = net.stages(), net.trace(x).states
    distance = np.full(len(x), np.inf)
    for j in range(N):
        inner = layer(stages, j, states[j])
        for stage, y in zip(stages.of_layer(j), inner, strict=False):
            distance = np.minimum(distance, np.abs(stage.inner(y)).min(axis=1))
    return distance


@pytest.mark.parametrize("key", VARIANTS)
def test_adjoint_of_relu_networks_equals_central_differences_away_from_kinks(key, backend):
    net = network(key, "relu")
    candidates, g = samples(20)
    step = 6e-6
    away = distance_from_kinks(net, candidates) > 100 * step  # on a kink, the differences say nothing
    x, g = candidates[away][:3], g[:3]
    assert len(x) == 3
    errors = gradcheck.finite_difference(net, x, g, step=step, backend=backend)
    # Rounding: a few eps of the terms of L = <g, y_N>, over the step. Truncation: step^2 / 6 times the third derivative
    # of the polynomial that a relu network is between kinks, of size 1 to 10. Both absolute.
    terms = np.abs(g * net(x)).sum()
    adjoint = net.adjoint(net.trace(x), g)
    for name, gradient in (adjoint.params | {"x": adjoint.delta[0]}).items():
        size = np.abs(gradient).max() or 1.0  # where all units are dead the error is absolute
        assert errors[name] * size <= 10 * (EPS * terms / step + step**2)


@pytest.mark.parametrize("key", ["H2-plain", "MS2", "MLP"])
def test_checks_hold_without_layers_and_without_samples(key, backend):
    for depth, batch in ((0, 3), (N, 0), (0, 0)):
        net = network(key, depth=depth)
        x, g = samples(batch)
        assert max(gradcheck.complex_step(net, x, g, backend=backend).values()) <= 2 * EPS  # (t g) / t
        assert gradcheck.sensitivity(net, x, backend=backend) == 0
        # <v, I u> and <v, u> may be summed in another order
        assert max(gradcheck.dot_product(net, x, backend=backend).values()) <= n * EPS


@pytest.mark.parametrize("key", ["H2-plain", "H1-J2", "MLP"])
def test_single_precision_networks_are_checked_in_double(key, backend):
    net = network(key)
    single = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    x, g = samples()
    errors = gradcheck.complex_step(single, x.astype(np.float32), g.astype(np.float32), backend=backend)
    assert max(errors.values()) <= 1e-13


NET, X = network("H2-plain"), samples()[0]
WITH_G = [gradcheck.complex_step, gradcheck.finite_difference, gradcheck.taylor]
test_what_is_refused = refused([
    *((partial(check, NET, X), X[:, :2], ValueError, "g: expected shape .*") for check in WITH_G),
    *(
        (partial(check, NET), X[:, :2], ValueError, r"x: expected shape \(B, 4\), got \(3, 2\)")
        for check in [gradcheck.sensitivity, gradcheck.dot_product, *(partial(check, g=X) for check in WITH_G)]
    ),
])  # fmt: skip


def test_checks_take_any_loss(backend):
    net = network("H2-plain")
    x, target = samples()

    def squared(y):
        return ((y - target) ** 2).sum() / 2, y - target

    def wrong(y):
        return squared(y)[0], 1.01 * (y - target)

    assert max(gradcheck.complex_step(net, x, squared, backend=backend).values()) <= 1e-13
    assert max(gradcheck.finite_difference(net, x, squared, backend=backend).values()) <= 1e-8
    first, second = gradcheck.orders(gradcheck.taylor(net, x, squared, backend=backend))
    assert abs(first - 1) < 0.1 and abs(second - 2) < 0.1
    assert min(gradcheck.complex_step(net, x, wrong, backend=backend).values()) > 9e-3
    assert abs(gradcheck.orders(gradcheck.taylor(net, x, wrong, backend=backend))[1] - 1) < 0.1

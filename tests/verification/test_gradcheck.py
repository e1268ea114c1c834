"""The checks of gradients measure what they say, and notice engines that are wrong in one function."""

import warnings

import numpy as np
import pytest

import pyham
from pyham.engines.reference import REFERENCE as reference
from pyham.engines.reference import Reference
from pyham.verification import gradcheck

N, n = 3, 4
NET = pyham.H2(n, N, 0.3).init(0)
X, G = np.random.default_rng(1).standard_normal((2, 3, n))


def engine(function, change):
    """The NumPy engine whose results of one function are changed."""
    original = getattr(reference, function)
    return type("Wrong", (Reference,), {function: lambda self, *arguments: change(original(*arguments))})()


def test_sensitivity_is_relative_to_the_oracle_and_of_the_engine_that_was_asked_for():
    assert gradcheck.sensitivity(NET, X, backend=engine("sensitivity", lambda phi: 3 * phi)) == pytest.approx(2)
    assert gradcheck.sensitivity(NET, X[:0]) == 0


def test_residuals_of_dot_products():
    rng = np.random.default_rng(0)
    v, u = rng.standard_normal((2, *X.shape))
    found = gradcheck.dot_product(NET, X, backend=engine("sensitivity", lambda phi: 3 * phi))
    phi = NET.sensitivity(X)
    Xv = np.einsum("ba,jbac->jbc", v, phi)
    size = np.linalg.norm(Xv, axis=-1) * np.linalg.norm(u, axis=-1)
    assert found["tangent"] == pytest.approx((2 * np.abs((Xv * u).sum(axis=-1)) / size).max())
    assert found["adjoint"] == pytest.approx(2 / 3) and found["output"] == 0

    def only_the_last(phi):
        return np.concatenate([phi[:-1], 3 * phi[-1:]])

    assert gradcheck.dot_product(NET, X, backend=engine("sensitivity", only_the_last))["tangent"] > 0.1
    assert gradcheck.dot_product(NET, X, backend=engine("forward", lambda y: 3 * y))["output"] == pytest.approx(2 / 3)
    assert gradcheck.dot_product(NET, X, backend=engine("trace", lambda y: 3 * y))["output"] == pytest.approx(2)
    wrong = engine("adjoint", lambda found: (3 * found[0], found[1]))
    assert gradcheck.dot_product(NET, X, backend=wrong)["adjoint"] == pytest.approx(2)


def test_gradients_from_wrong_states_are_noticed():
    wrong = engine("trace", lambda states: states + 0.1)
    assert max(gradcheck.complex_step(NET, X, G, backend=wrong).values()) > 1e-3
    assert gradcheck.orders(gradcheck.taylor(NET, X, G, backend=wrong))[1] < 1.5


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_the_direction_of_a_taylor_table_leans_to_the_gradient_however_large_that_is(size):
    adjoint = NET.adjoint(NET.trace(X), size * G)
    gradient = np.sqrt(sum((value**2).sum() for value in (*adjoint.params.values(), adjoint.input)))
    last = gradcheck.taylor(NET, X, size * G)[-1]
    assert 0.85 <= last.first / last.t / gradient <= 0.95  # near 2 / sqrt(5)


def test_a_loss_that_is_constant_has_no_orders_and_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for net, x in ((NET, X), (pyham.H2(n, 0).init(0), X[:0])):
            rows = gradcheck.taylor(net, x, np.zeros_like(x))
            assert not any(row.first or row.second for row in rows)
            assert np.isnan(gradcheck.orders(rows)).all()

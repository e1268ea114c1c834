"""Forward Euler's defect in closed form: measured layer by layer, and where it must not hold."""

from functools import partial

import numpy as np
import pytest

import pyham
from pyham.engines.reference import REFERENCE as reference
from pyham.verification import euler
from tests.oracles.refusals import refused
from tests.oracles.rounding import eps
from tests.oracles.strategies import ACTIVATIONS, NAMES, skew

N, n = 6, 4


def network(J="J1", activation="tanh", depth=N, step=0.3, width=n):
    arch = pyham.H1(width=width, depth=depth, step=step, activation=activation, interconnection=J)
    return arch.init(2)


def samples(batch=20, width=n):
    return np.random.default_rng(0).standard_normal((batch, width))


def test_layer_jacobians_equal_complex_step(backend):
    net, x = network(), samples()
    D = euler.layer_jacobians(net, x, backend=backend)
    assert D.shape == (N, 20, n, n)
    states, stages = net.trace(x).states, net.stages(complex)
    for j in range(N):
        for c in range(n):
            column = reference.forward(stages.layers(j, j + 1), states[j] + 1e-100j * np.eye(n)[c]).imag * 1e100
            # one stage: products of length 4, and tanh' to a few eps
            assert np.abs(D[j, :, :, c] - column).max() <= 20 * eps(np.float64) * np.abs(D[j]).max()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("J", "width"), [("J1", n), ("J2", n), (skew(n, 0), n), (skew(5, 0), 5)])
def test_measured_defect_equals_the_closed_form_and_not_that_without_the_transpose(J, width, activation, backend):
    net, x = network(J, activation, width=width), samples(width=width)
    for dtype in (np.float32, np.float64, *([np.longdouble] if backend == "reference" else [])):
        residual = euler.residual(net, x.astype(dtype), backend=backend)
        assert residual.shape == (N, 20)
        # One stage: products of length n in D, and in both sides of the equation, normalised by ||J|| ||D||^2.
        assert residual.max() <= 4 * width * max(eps(dtype), eps(np.float64))  # measured in double
    if activation == "tanh":
        wrong = euler.residual(net, x, transpose=False, backend=backend)
        assert np.median(wrong) > 1e-3 or width == 5  # h^2 ||JS||^2 / ||D||^2
        measured, _, D = euler.defects(net, x)
        size = np.linalg.norm(D, axis=(2, 3)) ** 2
        assert (np.linalg.norm(measured, axis=(2, 3)) > 1e3 * eps(np.float64) * size).all()  # never 0


@pytest.mark.parametrize("J", ["J1", "J2", skew(n, 0)], ids=["J1", "J2", "skew"])
def test_closed_form_is_written_out(J):
    net, x = network(J), samples(1)
    _, closed, _ = euler.defects(net, x)
    J, K, b, h = net.interconnection, net.K[0], net.b[0], net.arch.step
    S = K.T @ np.diag(1 - np.tanh(K @ x[0] + b) ** 2) @ K
    by_hand = h**2 * (J @ S) @ J @ (J @ S).T
    assert np.abs(closed[0, 0] - by_hand).max() <= 50 * eps(np.float64) * np.abs(by_hand).max()


def test_defect_is_of_second_order_in_the_step():
    x = samples()
    sizes = [np.linalg.norm(euler.defects(network(step=h, depth=1), x)[0], axis=(2, 3)) for h in (0.2, 0.1)]
    # Exactly h^2, since the first layer's D is taken at the same x; rounding of D, eps / h^2.
    np.testing.assert_allclose(sizes[0] / sizes[1], 4, rtol=1e3 * eps(np.float64) / 0.01 / np.min(sizes[1]))


@pytest.mark.parametrize("depth, batch", [(0, 3), (3, 0), (0, 0)])
def test_no_layers_and_no_samples(depth, batch, backend):
    net, x = network(depth=depth), samples(batch)
    assert euler.residual(net, x, backend=backend).shape == (depth, batch)
    assert [part.shape for part in euler.defects(net, x, backend=backend)] == [(depth, batch, n, n)] * 3


test_what_is_refused = refused([
    *((partial(function, x=samples()), pyham.architecture(name, width=n, depth=N).init(0), ValueError,
       f"net: expected H1, got {name}")
      for function in (euler.defects, euler.residual) for name in NAMES if name != "H1"),
    (partial(euler.residual, network()), np.ones((20, 3)), ValueError, r"x: expected shape \(B, 4\), got \(20, 3\)"),
])  # fmt: skip

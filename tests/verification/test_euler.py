"""Forward Euler's defect in closed form: measured layer by layer, and where it must not hold."""

import numpy as np
import pytest

import pyham
from pyham.engines.reference import REFERENCE as reference
from pyham.verification import euler
from tests.oracles.rounding import eps
from tests.oracles.strategies import ACTIVATIONS, NAMES, skew

N, n = 6, 4
STRUCTURES = {"J1": "J1", "J2": "J2", "skew": skew(n, 0)}


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


def test_layer_jacobians_multiply_to_the_sensitivity(backend):
    net, x = network(), samples()
    D, phi = euler.layer_jacobians(net, x, backend=backend), net.sensitivity(x, backend=backend)
    product = np.broadcast_to(np.eye(n), (20, n, n))
    for j in range(N):
        product = D[j] @ product  # dy_{j+1}/dy_0
    assert np.abs(product.swapaxes(1, 2) - phi[0]).max() <= 50 * eps(np.float64) * np.abs(phi).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("J", STRUCTURES)
def test_measured_defect_equals_the_closed_form(J, activation, dtype, backend):
    net = network(STRUCTURES[J], activation)
    residual = euler.residual(net, samples().astype(dtype), backend=backend)
    assert residual.shape == (N, 20)
    # One stage: products of length n in D, and in both sides of the equation, normalised by ||J|| ||D||^2.
    assert residual.max() <= 4 * n * eps(dtype)


@pytest.mark.parametrize("J", STRUCTURES)
def test_closed_form_is_written_out(J):
    net, x = network(STRUCTURES[J]), samples(1)
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


@pytest.mark.parametrize("J", STRUCTURES)
def test_closed_form_fails_without_the_transpose(J, backend):
    net, x = network(STRUCTURES[J]), samples()
    residual = euler.residual(net, x, transpose=False, backend=backend)
    assert np.median(residual) > 1e-3  # h^2 ||JS||^2 / ||D||^2


def test_defect_is_never_zero_in_general():
    measured, _, D = euler.defects(network(), samples())
    assert (np.linalg.norm(measured, axis=(2, 3)) > 1e3 * eps(np.float64) * np.linalg.norm(D, axis=(2, 3)) ** 2).all()


@pytest.mark.parametrize("depth, batch", [(0, 3), (3, 0), (0, 0)])
def test_no_layers_and_no_samples(depth, batch, backend):
    net, x = network(depth=depth), samples(batch)
    assert euler.residual(net, x, backend=backend).shape == (depth, batch)
    assert [part.shape for part in euler.defects(net, x, backend=backend)] == [(depth, batch, n, n)] * 3


def test_odd_widths_hold_too():
    assert euler.residual(network(skew(5, 0), width=5), samples(width=5)).max() <= 4 * 5 * eps(np.float64)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "H1"])
@pytest.mark.parametrize("function", [euler.defects, euler.residual])
def test_euler__raises_on_other_than_H1(function, name):
    net = pyham.architecture(name, width=n, depth=N).init(0)
    with pytest.raises(ValueError, match=rf"^net: expected H1, got {name}$"):
        function(net, samples())


def test_euler__raises_on_x_of_wrong_shape():
    with pytest.raises(ValueError, match=r"^x: expected shape \(B, 4\), got \(20, 3\)$"):
        euler.residual(network(), np.ones((20, 3)))

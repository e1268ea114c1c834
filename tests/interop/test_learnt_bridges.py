"""Damped, dissipative and learning networks in PyTorch and JAX: their gradients are pyham's own."""

import numpy as np
import pytest

import pyham

ARCHS = {
    "damped": pyham.H2(4, 6, 0.2, scheme="verlet", damping=(0.3, -0.1)),
    "dissipative": pyham.H1(4, 6, 0.2, dissipation=0.4, damping=0.2),
    "X and rates": pyham.H2(4, 6, 0.2, X="learnt", damping="learnt"),
    "J, R and rate": pyham.H1(4, 6, 0.2, interconnection="learnt", dissipation="learnt", damping="learnt"),
}


def problem(name):
    rng = np.random.default_rng(0)
    net = ARCHS[name].init(1)
    x, g = rng.standard_normal((2, 5, 4))
    return net, x, g, net.gradient(x, g)


@pytest.mark.parametrize("name", ARCHS)
def test_pytorch_has_the_same_gradients(name):
    torch = pytest.importorskip("torch")
    bridge = pytest.importorskip("pyham.interop.torch")
    net, x, g, expected = problem(name)
    module, start = bridge.to_torch(net), torch.tensor(x, requires_grad=True)
    (module(start) * torch.tensor(g)).sum().backward()
    np.testing.assert_allclose(start.grad.numpy(), expected.input, rtol=0, atol=1e-13)
    found = dict(module.named_parameters())
    assert set(found) == set(net.params)
    for key, value in expected.params.items():
        np.testing.assert_allclose(found[key].grad.numpy(), value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ARCHS)
def test_jax_has_the_same_gradients(name):
    jax = pytest.importorskip("jax")
    bridge = pytest.importorskip("pyham.interop.jax")
    net, x, g, expected = problem(name)
    jax.config.update("jax_enable_x64", True)
    apply, params = bridge.to_jax(net), bridge.parameters(net)
    found = jax.grad(lambda p: (apply(p, jax.numpy.asarray(x)) * g).sum())(params)
    for key, value in expected.params.items():
        np.testing.assert_allclose(np.asarray(found[key]), value, rtol=0, atol=1e-12)

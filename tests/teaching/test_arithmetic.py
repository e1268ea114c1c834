"""The playground's arithmetic is pyham's: computed by a real browser, compared to 1e-12."""

import json

import numpy as np
import pytest

import pyham
from pyham.training import losses, updates

SCHEMES = ("semi-implicit", "verlet", "yoshida4")
SPLIT = [(name, s) for name in ("H2", "MS3") for s in SCHEMES]
NETWORKS = [(name, None) for name in ("MLP", "ResNet", "H1")] + SPLIT
RTOL = 1e-12


def problem(name, scheme, activation, seed=0, depth=6, samples=3, step=0.3, damping=0.0):
    """A network, and what the page needs to know of it."""
    rng = np.random.default_rng(seed)
    settings = {"depth": depth, "step": step, "activation": activation} | ({"scheme": scheme} if scheme else {})
    settings |= {"damping": damping} if damping else {}
    net = pyham.architecture(name, width=4, **settings).init(rng)
    x, g = rng.standard_normal((2, samples, 4))
    labels, head = rng.integers(0, 2, samples), rng.standard_normal(5)
    given = settings | {"architecture": name, "rate": 0.05, "steps": 3}
    given |= {key: value.tolist() for key, value in (("x", x), ("g", g), ("labels", labels), ("head", head))}
    return net, x, g, labels, head, given | {"params": {key: value.tolist() for key, value in net.params.items()}}


def close(found, expected):
    """Equal to 1e-12, relative to the largest entry of the layer or parameter that they belong to."""
    found = np.reshape(np.asarray(found, float), expected.shape)
    np.testing.assert_array_less(np.abs(found - expected), RTOL * max(np.abs(expected).max(), 1e-300) + 1e-300)


def compute(session, given):
    return session.evaluate(f"pyhamPlayground.compute({json.dumps(given)})")


@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic", "identity", "softplus"])
@pytest.mark.parametrize(("name", "scheme"), NETWORKS)
def test_browser_computes_what_pyham_computes(session, name, scheme, activation):
    check_all(session, *problem(name, scheme, activation))


@pytest.mark.parametrize("damping", [-0.3, 0.05, 1.0])
@pytest.mark.parametrize(("name", "scheme"), SPLIT)
def test_browser_damps_as_exact_flows_do(session, name, scheme, damping):
    check_all(session, *problem(name, scheme, "tanh", damping=damping), damping)


def check_all(session, net, x, g, labels, head, given, damping=0.0):
    """Forward pass, adjoint, sensitivities, norms, residuals and training.

    With damping Phi_j^T J Phi_j = c_j J, which is to say that Phi_j / sqrt(c_j) is symplectic.
    """
    found = compute(session, given)
    trace = net.trace(x, backend="reference")
    adjoint = net.adjoint(trace, g, backend="reference")
    phi = net.sensitivity(x, backend="reference")
    for key, expected in (("states", trace.states), ("delta", adjoint.delta), ("phi", phi)):
        for layer, exact in zip(np.reshape(found[key], expected.shape), expected, strict=True):
            close(layer, exact)
    for key, expected in adjoint.params.items():
        close(found["gradient"][key], expected)
    np.testing.assert_allclose(np.reshape(found["norms"], phi.shape[:2]), pyham.symplectic.norms(phi)["2"], rtol=RTOL)
    root = np.exp(-damping * net.arch.step * np.arange(net.arch.depth, -1, -1))[:, None]  # sqrt(c_j)
    J = pyham.H1(4, 1).J if net.interconnection is None else net.interconnection
    defect = pyham.symplectic.defect(phi / root[..., None, None], J)
    np.testing.assert_allclose(np.reshape(found["defect"], phi.shape[:2]), defect, RTOL, 8 * np.finfo(float).eps)
    if damping:
        assert (np.reshape(found["norms"], phi.shape[:2]) >= root * (1 - RTOL)).all()
        assert np.max(found["defect"]) < 1e-14
    check_training(net, x, labels, head, given, found)


def check_training(net, x, labels, head, given, found):
    """Steps of Adam on network and output layer together, with pyham's own loss and update."""
    names, head = list(net.params), head.copy()
    sizes = np.cumsum([0, *(net.params[name].size for name in names)])
    theta = np.concatenate([*(net.params[name].ravel() for name in names), head])
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, given["steps"] + 1):
        params = {n: theta[a:b].reshape(net.params[n].shape) for n, a, b in zip(names, sizes, sizes[1:], strict=False)}
        now, head = net.replace(params), theta[sizes[-1] :]
        y = now(x, backend="reference")
        loss, dz = losses.logistic(y @ head[:4] + head[4], labels)
        grads = now.adjoint(now.trace(x, backend="reference"), dz[:, None] * head[:4], backend="reference").params
        gradient = np.concatenate([*(grads[name].ravel() for name in names), y.T @ dz, [dz.sum()]])
        close(found["losses"][t - 1], np.array(loss))
        updates.adam(theta, m, v, gradient, t, given["rate"], (0.9, 0.999), 1e-8, 0.0)
    for name, a, b in zip(names, sizes, sizes[1:], strict=False):
        close(found["trained"][name], theta[a:b])
    close(found["head"], theta[sizes[-1] :])


@pytest.mark.parametrize(("name", "expected"), [("MLP", 1e-16), ("H2", 1)])
def test_browser_agrees_on_norms_of_deep_networks(session, name, expected):
    """Vanishing to far below eps, and growing: the norm is scaled before anything is squared."""
    net, x, *_, given = problem(name, "semi-implicit" if name == "H2" else None, "tanh", depth=100)
    del given["labels"]
    found = np.reshape(compute(session, given)["norms"], (101, 3))
    exact = pyham.symplectic.norms(net.sensitivity(x, backend="reference"))["2"]
    assert (found[0] < expected).all() if name == "MLP" else (found >= 1 - 1e-12).all()
    np.testing.assert_allclose(found, exact, rtol=1e-9)  # rounding is amplified by a hundred layers


@pytest.mark.parametrize("step", [1e-1, 1e-4, 1e-8, 1e-15])
@pytest.mark.parametrize("name", ["ResNet", "H1", "H2"])
def test_browser_agrees_on_norms_near_the_identity(session, name, step):
    """All singular values are close to each other there, which is hard for methods that look for the largest."""
    net, x, *_, given = problem(name, "semi-implicit" if name == "H2" else None, "tanh", step=step)
    found = np.reshape(compute(session, given)["norms"], (7, 3))
    exact = pyham.symplectic.norms(net.sensitivity(x, backend="reference"))["2"]
    np.testing.assert_allclose(found, exact, rtol=RTOL)


@pytest.mark.parametrize(("name", "damping"), [("H2", -1.0), ("MS3", 0.35), ("H2", 1.0)])
def test_browser_keeps_the_law_of_damping_in_deep_networks(session, name, damping):
    """Norms down to exp(-120) and up: no squared number vanishes, and the residual stays at rounding."""
    net, x, *_, given = problem(name, "verlet", "tanh", depth=400, damping=damping)
    del given["labels"]
    found = compute(session, given)
    norms, defect = (np.reshape(found[key], (401, 3)) for key in ("norms", "defect"))
    exact = pyham.symplectic.norms(net.sensitivity(x, backend="reference"))["2"]
    np.testing.assert_allclose(norms, exact, rtol=1e-9)  # rounding is amplified by four hundred layers
    layers = np.arange(400, -1, -1)[:, None]
    assert (norms >= np.exp(-damping * 0.3 * layers) * (1 - 1e-12)).all()
    assert (defect <= 4 * np.finfo(float).eps * 3 * np.maximum(layers, 1)).all()


def test_networks_that_are_not_split_are_not_damped(session):
    *_, given = problem("H1", None, "tanh")
    assert compute(session, given | {"damping": 0.5}) == compute(session, given)


def test_a_planted_fault_is_found(session):
    """The comparison itself notices one wrong sign."""
    net, x, *_, given = problem("H2", "semi-implicit", "tanh")
    given["params"]["Kp"][2][0][1] *= -1
    found = compute(session, given)
    with pytest.raises(AssertionError):
        close(found["states"], net.trace(x, backend="reference").states)

"""Optimisers against PyTorch's, their closed-form first steps, and schedules at their ends."""

import numpy as np
import pytest

from pyham.engines.compiled import updates as compiled_updates
from pyham.training import updates
from pyham.training.optimizers import SGD, Adam, AdamW, Descent
from pyham.training.schedules import Constant, Cosine, Step
from tests.oracles.refusals import refused

EPS = np.finfo(float).eps
TWINS = [updates, compiled_updates]
METHODS = [
    SGD(),
    SGD(momentum=0.9),
    SGD(momentum=0.9, nesterov=True),
    Adam(),
    Adam(beta1=0.5, beta2=0.9, eps=1e-3),
    AdamW(),
    AdamW(decay=0.3, beta1=0.8),
]


def peer(torch, method, theta, rate):
    if isinstance(method, SGD):
        return torch.optim.SGD([theta], lr=rate, momentum=method.momentum, nesterov=method.nesterov)
    kind, decay = (torch.optim.AdamW, method.decay) if isinstance(method, AdamW) else (torch.optim.Adam, 0)
    return kind([theta], lr=rate, betas=method.betas, eps=method.eps, weight_decay=decay)


@pytest.mark.parametrize("steps", TWINS, ids=lambda module: module.__name__)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_steps_are_those_of_pytorch(method, steps, rng):
    torch = pytest.importorskip("torch")
    theta = rng.standard_normal(7)
    theirs = torch.tensor(theta, requires_grad=True)
    descent, optimizer = Descent(method, theta, steps), peer(torch, method, theirs, 0.1)
    for t in range(60):
        gradient = rng.standard_normal(7) * (1 + theta**2)
        rate = 0.1 / (1 + t)  # rates may change from step to step
        optimizer.param_groups[0]["lr"] = rate
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        descent.step(gradient, rate)
        # t steps of a few roundings each, of numbers below 10
        assert np.abs(theta - theirs.detach().numpy()).max() <= (t + 1) * 16 * EPS * 10


@pytest.mark.parametrize("steps", TWINS, ids=lambda module: module.__name__)
def test_first_steps_have_closed_forms(steps):
    start, g = np.array([1.0, -2.0, 3.0]), np.array([0.5, -4.0, 1e-3])

    def after(method, count=1):
        theta = start.copy()
        descent = Descent(method, theta, steps)
        for _ in range(count):
            descent.step(g, 0.1)
        return theta

    np.testing.assert_allclose(after(SGD()), start - 0.1 * g, rtol=4 * EPS)
    np.testing.assert_allclose(after(SGD(0.5), 2), start - 0.1 * 2.5 * g, rtol=4 * EPS)
    np.testing.assert_allclose(after(SGD(0.5, True)), start - 0.1 * 1.5 * g, rtol=4 * EPS)
    sign = g / (np.abs(g) + 1e-8)  # with the same gradient throughout, Adam's means are exact
    np.testing.assert_allclose(after(Adam(), 3), start - 0.3 * sign, rtol=64 * EPS)
    np.testing.assert_allclose(after(AdamW(decay=0.5)), 0.95 * start - 0.1 * sign, rtol=64 * EPS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_compiled_steps_are_the_plain_ones_in_the_dtype_of_the_parameters(method, dtype, rng):
    start = rng.standard_normal(33).astype(dtype)
    thetas = start.copy(), start.copy()
    both = [Descent(method, theta, steps) for theta, steps in zip(thetas, TWINS, strict=True)]
    for t in range(1, 20):
        gradient = rng.standard_normal(33).astype(dtype)
        for descent in both:
            descent.step(gradient, 0.1)
        assert np.abs(thetas[0] - thetas[1]).max() <= t * 16 * np.finfo(dtype).eps
    for name, slot in both[0].slots.items():
        assert slot.dtype == both[1].slots[name].dtype == thetas[0].dtype == thetas[1].dtype == dtype
    assert both[0].t == both[1].t == 19


def test_schedules_begin_at_one_and_end_where_they_say():
    assert [Constant()(t, 3) for t in (0, 1.5, 2.9)] == [1, 1, 1]
    assert [Step(0.8)(t, 9) for t in (0, 0.9, 1, 3.2)] == [1, 1, 0.8, pytest.approx(0.8**3)]
    assert [Step(0.1, every=2)(t, 9) for t in (1.9, 2, 4)] == [1, 0.1, pytest.approx(0.01)]
    assert [Cosine()(t, 8) for t in (0, 4, 8)] == [1, pytest.approx(0.5), pytest.approx(0, abs=EPS)]
    assert [Cosine(0.2)(t, 8) for t in (0, 4, 8)] == [1, pytest.approx(0.6), pytest.approx(0.2)]


test_methods__raise_on_impossible_numbers = refused(
    (lambda options, kind=kind: kind(**options), options, error, message)
    for kind, options, error, message in [
        (SGD, {"momentum": 1.0}, ValueError, "momentum: expected a number from 0 to below 1, got 1.0"),
        (SGD, {"nesterov": 1}, TypeError, "nesterov: expected True or False, got int"),
        (Adam, {"beta2": -0.1}, ValueError, "beta2: expected a number from 0 to below 1, got -0.1"),
        (Adam, {"beta1": np.nan}, ValueError, "beta1: expected a finite number, got nan"),
        (Adam, {"beta1": "0.9"}, TypeError, "beta1: expected a finite number, got str"),
        (Adam, {"eps": 0}, ValueError, "eps: expected a positive finite number, got 0"),
        (AdamW, {"beta1": 2.0}, ValueError, "beta1: expected a number from 0 to below 1, got 2.0"),
        (AdamW, {"decay": -1.0}, ValueError, "decay: expected a number >= 0, got -1.0"),
        (Step, {"factor": 0.0}, ValueError, "factor: expected a positive finite number, got 0.0"),
        (Step, {"every": 0}, ValueError, "every: expected an integer >= 1, got 0"),
        (Cosine, {"final": 2}, ValueError, "final: expected a number from 0 to 1, got 2"),
    ]
)

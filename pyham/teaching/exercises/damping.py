"""Exercises of the tutorial 11: networks whose gradients fade at a rate that is chosen."""

from typing import Any

import numpy as np

from pyham.teaching.exercises.checking import Function, Numbers

Array = np.ndarray[Any, Any]

DEPTH, STEP, LEAST = 64, 0.1, 1e-3  # of the network whose rate is asked for


def _factor(rates: Array, h: float, j: int) -> float:
    return float(np.exp(-h * rates[j:].sum()))


def _rates(rng: np.random.Generator) -> tuple[Array, float, int]:
    depth = int(rng.integers(1, 9))
    return rng.uniform(-1, 1, (depth, 2)), float(rng.uniform(0.1, 0.5)), int(rng.integers(depth + 1))


def _phi(z: float) -> float:
    return float(-np.expm1(-z) / z) if z else 1.0


def _near_and_far(rng: np.random.Generator) -> tuple[float]:
    """0, a number of any size that is nearly 0, or one that is not."""
    sign = float(rng.choice([-1, 1]))
    return ((0.0, sign * 10 ** rng.uniform(-14, -3), sign * rng.uniform(0.5, 10))[int(rng.integers(3))],)


def _jacobian(q: Array, K: Array, g: float, t: float) -> Array:
    m, slope = len(q), 1 - np.tanh(K @ q) ** 2
    S = t * _phi(g * t) * K.T @ (slope[:, None] * K)
    return np.block([[np.exp(-g * t) * np.eye(m), -S], [np.zeros((m, m)), np.eye(m)]])


def _stage(rng: np.random.Generator) -> tuple[Array, Array, float, float]:
    rate = float(rng.choice([-1, 1]) * rng.uniform(0.2, 2))
    return rng.standard_normal(2), rng.standard_normal((2, 2)), rate, float(rng.uniform(0.1, 1))


EXERCISES = (
    Function(
        "11.1",
        "Write factor(rates, h, j): c_j of a network with the step h whose layers have these rates, an array (N, 2) of "
        "those of p and of q.",
        lambda: _factor,
        ("Only the layers from j on lie behind layer j.", "c_j = exp(-h sum of rates[j:]), and c_N = 1."),
        draw=_rates,
    ),
    Function(
        "11.2",
        "Write phi(z): (1 - exp(-z)) / z to nine digits for every z, very small ones and 0 included.",
        lambda: _phi,
        (
            "1 - exp(-z) loses its digits where exp(-z) is nearly 1; np.expm1(x) is exp(x) - 1 without that loss.",
            "-np.expm1(-z) / z, and the limit 1 where z is 0.",
        ),
        draw=_near_and_far,
    ),
    Numbers(
        "11.3",
        "A network of 64 layers with h = 0.1 is damped at one rate, the same for p and for q. What is the largest rate "
        "at which the norm of Phi_0 cannot fall below 1e-3?",
        lambda: float(-np.log(LEAST) / (DEPTH * STEP)),
        ("Every norm is at least sqrt(c_0).", "With gp = gq = g, sqrt(c_0) = exp(-64 h g)."),
    ),
    Function(
        "11.4",
        "Write jacobian(q, K, g, t): the Jacobian (2 m, 2 m) of the damped stage p <- exp(-g t) p - t phi(g t) K^T "
        "tanh(K q), which leaves q as it is, for (p, q) with m numbers each and g not 0.",
        lambda: _jacobian,
        (
            "np.block puts it together from [[dp/dp, dp/dq], [0, I]].",
            "dp/dp = exp(-g t) I and dp/dq = -t phi(g t) K^T diag(1 - tanh(K q)^2) K.",
        ),
        draw=_stage,
    ),
)

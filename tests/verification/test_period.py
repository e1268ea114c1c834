"""The period of the planar example: against integrated orbits, quadrature and differences."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from pyham.verification import continuous
from tests.oracles.rounding import eps
from validation import claim

EPS = eps(np.float64)


@pytest.mark.parametrize("energy", [0.01, 0.3, 1.0, 2.5, 6.0])
def test_period_equals_that_of_the_integrated_orbit_and_eight_eighths_by_quadrature(energy):
    def crossing(t, y):  # of the axis y_2 = 0, from which the orbit starts, in the same direction
        return y[1]

    crossing.direction = 1.0
    rate, start = 0.3, [np.arccosh(np.exp(energy)), 0.0]
    period = continuous.period(energy, rate)
    field = lambda t, y: rate * np.array([-np.tanh(y[1]), np.tanh(y[0])])  # noqa: E731
    solved = solve_ivp(field, (0, 1.5 * period), start, "DOP853", events=crossing, rtol=1e-12, atol=1e-13)
    found = [t for t in solved.t_events[0] if t > 0.1 * period]
    # Local errors over some hundred steps; the crossing by a root in the dense output, of seventh order
    assert found[0] == pytest.approx(period, rel=1e-9)
    assert period == pytest.approx(continuous.period(energy) / rate, rel=4 * EPS)

    def time(u):
        return 1 / np.tanh(np.arccosh(np.exp(energy) / np.cosh(u)))

    eighth, error = quad(time, 0, np.arccosh(np.exp(energy / 2)), epsabs=0, epsrel=1e-12)
    # arccosh loses digits near 1, where its condition number is 1 / (energy); then quad's own estimate
    assert continuous.period(energy) == pytest.approx(8 * eighth, rel=100 * EPS / energy + 8 * error)


@pytest.mark.parametrize("energy", [0.05, 0.5, 1.0, 3.0, 10.0])
def test_period_derivative_equals_differences_extrapolated(energy):
    def central(d):
        return (continuous.period(energy + d) - continuous.period(energy - d)) / (2 * d)

    d = 1e-2 * min(energy, 1)
    difference = (64 * central(d / 4) - 20 * central(d / 2) + central(d)) / 45  # Richardson: error of order d^6
    rounding = 20 * EPS * continuous.period(energy) / d
    scale = continuous.period_derivative(energy) / min(energy, 1) ** 6
    assert abs(continuous.period_derivative(energy) - difference) <= scale * d**6 + rounding
    slow = continuous.period_derivative(energy, 0.3)
    assert slow == pytest.approx(continuous.period_derivative(energy) / 0.3, rel=4 * EPS)


def test_small_oscillations_are_harmonic_and_large_ones_slow():
    assert continuous.period(1e-12) == pytest.approx(2 * np.pi, rel=1e-12)  # P = 2 pi + pi E
    assert continuous.period_derivative(1e-12) == pytest.approx(np.pi, rel=1e-11)
    # K(m) = log(4 / sqrt(1 - m)) + O((1 - m) log(1 - m)): the orbit becomes a square, run through at unit speed
    assert continuous.period(100.0) == pytest.approx(4 * (np.log(4) + 100), rel=10 * EPS)
    assert continuous.period_derivative(100.0) == pytest.approx(4, rel=10 * EPS)


def test_claim_of_the_counterexample_notices_a_wrong_period(monkeypatch):
    exact = continuous.period_derivative
    monkeypatch.setattr(continuous, "period_derivative", lambda *arguments: exact(*arguments) * (1 + 1e-6))
    results = list(claim.modules(["V13"])["V13"].check(claim.Lab(0, quick=True)))
    assert [r.passed for r in results] == [False, False, True, False]  # the third is the harmonic oscillator

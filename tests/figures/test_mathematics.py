"""What the arrays of figures are by mathematics: laws, bases, points, and what no network can do."""

import numpy as np
import pytest

import pyham
from figures import approximation, counterexample, features, robustness
from figures.setup import Setup

QUICK = Setup(quick=True, seeds=1)


def test_law_passes_through_the_entries_of_the_counterexample():
    arrays = counterexample.compute(QUICK)
    per_period = (len(arrays["time"]) - 1) // (len(arrays["law"]) - 1)
    assert np.abs(arrays["jacobian"][::per_period] - arrays["law"]).max() < 1e-6  # of entries up to 4; rtol is 1e-9


def test_basis_of_features_is_orthonormal_and_keeps_the_logits(rng):
    w, output = rng.standard_normal(5), rng.standard_normal((20, 5))
    Q = features.basis(w, output)
    eps = np.finfo(float).eps
    assert np.abs(Q.T @ Q - np.eye(2)).max() < 20 * eps  # sums of 5 products, twice
    assert np.abs((output @ Q)[:, 0] * np.linalg.norm(w) - output @ w).max() < 100 * eps


def test_disc_and_ring_have_half_of_the_points_each_and_spread_them_evenly():
    x = approximation.disc_and_ring(2000)
    radii = np.linalg.norm(x, axis=1)
    values = approximation.TASKS["nested"].values(x)
    assert values.mean() == 0 and radii[values < 0].max() <= 0.4
    assert radii[values > 0].min() >= 0.6 and radii.max() <= 1
    assert np.abs(x[values < 0].mean(axis=0)).max() < 0.01  # of a disc of radius 0.4
    assert abs((radii[values > 0] ** 2).mean() - (0.6**2 + 1) / 2) < 1e-3  # the area's, of the ring


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_networks_of_the_plane_have_no_minimum_within_a_disc(depth, rng):
    """What the proof says, for weights that are large: the value at the centre is not below all on the circle."""
    turn = np.linspace(0, 2 * np.pi, 20_001)
    points = np.vstack([np.zeros((1, 2)), 0.8 * np.stack([np.cos(turn), np.sin(turn)], axis=1)])
    for _ in range(20):
        net = pyham.H2(2, depth, 0.5).init(rng)
        centre, *circle = net(points) @ rng.standard_normal(2)
        assert min(circle) <= centre <= max(circle)


def test_the_contracting_network_brings_all_samples_together(rng):
    """Its Jacobian is symmetric with eigenvalues of at most -1/10, whatever the weights: as long as steps are small."""
    kind = robustness.KINDS["H1, contracting"]
    for size in (0.1, 1.0, 10.0):
        K = size * rng.standard_normal((1, 4, 4))
        step = 0.5 / np.linalg.norm(K[0], 2) ** 2
        net = pyham.Network(pyham.H1(4, 1, step, **kind.options), {"K": K, "b": rng.standard_normal((1, 4))})
        phi = net.sensitivity(rng.standard_normal((100, 4)))[0]
        assert np.abs(phi - phi.swapaxes(1, 2)).max() <= 8 * np.finfo(float).eps
        assert np.linalg.eigvalsh(phi).max() <= np.exp(-0.1 * step) * (1 + 8 * np.finfo(float).eps)


@pytest.mark.seldom
def test_attacks_find_no_less_than_what_is_certified():
    arrays = robustness.compute(QUICK)
    assert (arrays["certified"] <= arrays["attacked"]).all()
    assert arrays["noisy"].shape == (3, 3, 1, 5) and ((arrays["noisy"] >= 0) & (arrays["noisy"] <= 1)).all()
    assert (np.diff(arrays["neighbours"][:, [0, -1]]) < 0).all()  # noise hides classes from the nearest sample, too

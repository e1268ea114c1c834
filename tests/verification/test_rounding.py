"""The error analysis behind tolerances, against more digits; and a few random certificates, right and broken."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings

import pyham
from pyham.engines.choice import select
from pyham.verification import rounding
from pyham.verification.structure import error_of, inverse_transpose
from tests.oracles.strategies import VARIANTS, networks_with_inputs, variant
from tests.verification.certify_random import broken, right

WIDE = np.longdouble


@given(networks_with_inputs(max_depth=12, max_batch=5, min_batch=1))
@settings(max_examples=60)
def test_one_layer_is_as_near_to_the_exact_one_as_the_analysis_says(case):
    """States, sensitivities and their defects in float32, against the same numbers in extended precision."""
    net, x = case
    if not net.arch.depth:
        return
    x = x.astype(np.float32)
    u, stages, engine = rounding.unit(np.float32), net.stages(np.float32), select("numba", x.dtype)
    states, at = engine.trace(stages, x), rounding.sizes(stages, net.arch, u)
    phi = engine.sensitivities(stages, x)
    size = rounding.length(phi.astype(np.float64), 2)
    for j in range(net.arch.depth):
        there = rounding.against_reference(stages.astype(np.float64), j, states[j], u)
        assert (np.abs(there.state - states[j + 1]) <= there.error).all()
        exact = select("reference", np.dtype(WIDE)).sensitivities(
            stages.layers(j, j + 1).astype(WIDE), states[j].astype(WIDE), phi[j + 1].astype(WIDE)
        )
        wide, n = stages.astype(np.float64), x.shape[1]
        steps = np.broadcast_to(np.eye(n)[:, None], (n, *x.shape))
        X, of_slopes = rounding.tangent(wide, j, states[j].astype(np.float64), steps, there.slopes)
        slopes = rounding.length(np.einsum("kbc,bcd->bkd", of_slopes, np.abs(phi[j + 1])), 2)
        allowed = rounding.of_layer(rounding.Sizes(*(part[j : j + 1] for part in at)))[0] * size[j + 1] + slopes
        np.testing.assert_allclose(
            np.einsum("kbc,bcd->bkd", X, phi[j + 1]), exact[0].astype(float), rtol=0, atol=1e-10 * size.max()
        )
        apart = rounding.length((phi[j] - exact[0]).astype(np.float64), 2)
        assert (apart <= allowed + 1e-30).all()
    if net.arch.J is not None and stages.shears:
        rho = pyham.symplectic.defect(phi, net.arch.J) * np.linalg.norm(net.arch.J) * np.maximum(1, size) ** 2
        assert (rho <= rounding.defect(at, size, None, True) * np.linalg.norm(net.arch.J, 2) + 1e-14 * size**2).all()


@pytest.mark.parametrize("key", VARIANTS)
def test_tolerances_are_not_idle(key):
    """What the analysis allows for one layer of width 4 is at most some hundred roundoffs."""
    net = variant(key, width=4, depth=3, step=0.1).init(0, initialization="scaled-normal")
    at = rounding.sizes(net.stages(), net.arch, rounding.U)
    assert (at.error > 0).all() and at.error.max() < 300 * rounding.U
    assert at.lowering.max() < 300 * rounding.U and (at.stretch >= (0 if net.arch.name == "MLP" else 1)).all()


def test_sizes_between_stages_are_bounded_from_both_sides():
    values = np.array([[2.0], [8.0], [1.0]])
    stretch = np.array([[2.0, 3.0, 4.0], [1.5, 1.5, 1.5]])
    one_way = rounding.inside(values, stretch, False)[..., 0]
    np.testing.assert_array_equal(one_way, [[2, 96, 32, 8], [8, 2.25, 1.5, 1]])
    np.testing.assert_array_equal(rounding.inside(values, stretch, True)[0, :, 0], [2, 4, 12, 8])


def test_lengths_neither_overflow_nor_underflow():
    values = np.array([[3e200, 4e200], [3e-200, 4e-200], [0, 0], [np.inf, 1]])
    np.testing.assert_allclose(rounding.length(values), [5e200, 5e-200, 0, np.inf], rtol=1e-15)
    np.testing.assert_allclose(rounding.length(values[:2].reshape(1, 2, 2), 2), [5e200], rtol=1e-15)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
def test_inverses_are_right_to_rounding(condition):
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    K = U @ np.diag(np.logspace(0, -np.log10(condition), 6)) @ V
    A = K[:3, 3:] + 3 * condition**-0.5 * np.eye(3)  # MS1 has K = [[0, A], [-A^T, 0]]
    for matrix in (K, np.block([[np.zeros((3, 3)), A], [-A.T, np.zeros((3, 3))]])):
        with mpmath.workdps(50):
            exact = np.array((mpmath.matrix(matrix.tolist()) ** -1).tolist(), float).T
        error = np.linalg.norm(inverse_transpose(matrix) - exact) / np.linalg.norm(exact)
        assert error <= 4 * len(K) * np.linalg.cond(matrix) * 2.0**-64 + 2.0**-51
    net = pyham.MS1(6, 1, 0.1).init(0).replace({"A": A[None]})
    assert error <= error_of(net) <= 100 * (len(K) * np.linalg.cond(matrix) * 2.0**-64 + 2.0**-52)
    assert error_of(pyham.H2(6, 1, 0.1).init(0)) == 0
    assert inverse_transpose(np.zeros((3, 3))) is None
    assert inverse_transpose(np.diag([1.0, 1e-13])) is None


def test_random_networks_are_certified_and_faults_are_not():
    """A few of ``python -m tests.verification.certify_random``, which takes thousands."""
    count = 20
    assert {right(seed)[1] for seed in range(count)} <= {"passed", "overflow"}
    verdicts = [broken(seed) for seed in range(1000, 1000 + count)]
    assert [text for _, verdict, text, *_ in verdicts if verdict == "MISSED"] == []
    assert sum(verdict == "refused" for _, verdict, *_ in verdicts) >= count / 3

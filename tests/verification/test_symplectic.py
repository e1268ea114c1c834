"""Residuals of symplecticity and what follows from it, on matrices whose answer is known."""

import re
from functools import partial

import numpy as np
import pytest

from pyham.architectures.interconnection import J1, J2, from_block
from pyham.verification import symplectic
from tests.oracles.refusals import refused
from tests.oracles.strategies import skew, symplectic_matrices, well_conditioned

EPS = np.finfo(np.float64).eps
RESIDUALS = {
    "defect": lambda phi: symplectic.defect(phi, J1(phi.shape[-1])),
    "defect in the 2-norm": lambda phi: symplectic.defect(phi, J1(phi.shape[-1]), norm="2"),
    "determinant": lambda phi: symplectic.determinant(phi)[1],
    "eigenvalues": lambda phi: symplectic.eigenvalue_pairing(phi, J1(phi.shape[-1])),
    "singular values": symplectic.singular_value_pairing,
}
FACTORS = 8


@pytest.fixture(params=RESIDUALS)
def residual(request):
    return RESIDUALS[request.param]


def perturbed(phi, size, seed=0):
    """Each matrix plus a random one of `size` times its norm."""
    E = np.random.default_rng(seed).standard_normal(phi.shape)
    scale = np.linalg.norm(phi, axis=(-2, -1), keepdims=True) / np.linalg.norm(E, axis=(-2, -1), keepdims=True)
    return phi + size * scale * E


MATRICES = {
    "diagonal": np.diag([2.0, 1, 1, 1]),
    "random": np.random.default_rng(0).standard_normal((4, 4)),
    "small": 0.1 * np.random.default_rng(1).standard_normal((4, 4)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_residuals_by_their_definitions(name):
    P, I, J = MATRICES[name], np.eye(4), from_block(np.array([[1.0, -0.4], [0.9, 0.7]]))
    close, norm = partial(np.testing.assert_allclose, rtol=256 * EPS), partial(np.linalg.norm, ord=2)
    size, D = max(1.0, norm(P) ** 2), P.T @ J @ P - J
    fro = np.linalg.norm(D) / np.linalg.norm(J) / max(1.0, np.linalg.norm(P) ** 2)
    close(symplectic.defect(P, J), fro)
    close(symplectic.defect(P, J, norm="2"), norm(D) / norm(J) / size)
    det = np.linalg.det(P)
    residual = abs(det - 1) / max(4.0, np.linalg.norm(P) * np.linalg.norm(det * np.linalg.inv(P)))
    close(symplectic.determinant(P), [det, residual])
    far = max(abs(l) * np.linalg.svd(P - I / l, compute_uv=False)[-1] for l in np.linalg.eigvals(P))
    close(symplectic.eigenvalue_pairing(P, J), far / np.linalg.cond(J) / size, atol=256 * EPS)
    s = np.linalg.svd(P, compute_uv=False)
    close(symplectic.singular_value_pairing(P), np.abs(s * s[::-1] - 1).max() / size)


# The defect


@pytest.mark.parametrize(("n", "size"), [(2, 1), (16, 1), (4, 1), (4, 10), (4, 100)])
def test_residuals_of_symplectic_matrices_are_at_rounding_however_large_they_are(residual, n, size):
    phi = symplectic_matrices(200, n, FACTORS, seed=1, size=size)
    # Each of the factors adds a few eps; products and decompositions of the size of n add n eps.
    assert residual(phi).max() <= 4 * EPS * (FACTORS + n)
    if size == 100:
        assert np.linalg.norm(phi, axis=(1, 2)).max() > 1e12
        assert np.linalg.norm(phi.swapaxes(1, 2) @ J1(n) @ phi - J1(n), axis=(1, 2)).max() > 1


@pytest.mark.parametrize("J", [J1(6), J2(6), skew(6, 0), from_block(well_conditioned(3, 0)), 1e9 * J1(6)])
@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0])
def test_compiled_defect_equals_loop(J, size):
    phi = perturbed(symplectic_matrices(50, 6, FACTORS, seed=1), size)
    norm = lambda M: np.sqrt((M**2).sum())  # noqa: E731
    expected = np.array([norm(P.T @ J @ P - J) / norm(J) / max(1, norm(P)) ** 2 for P in phi])
    # rho itself is a difference of numbers of size 1, each known to n eps.
    assert np.abs(symplectic.defect(phi, J) - expected).max() <= 6 * EPS * (1 + expected.max())


def test_J_that_is_not_orthogonal():
    # For such J Phi^T J Phi = J and Phi J Phi^T = J differ: S^-1 Phi S is symplectic for S^T J1 S.
    S = np.array([[1.0, 2], [0, 1]])
    S = np.block([[S, np.zeros((2, 2))], [np.zeros((2, 2)), np.eye(2)]])
    J = S.T @ J1(4) @ S
    phi = np.linalg.inv(S) @ symplectic_matrices(20, 4, 2, seed=0) @ S
    assert symplectic.defect(phi, J).max() <= 100 * EPS
    assert symplectic.defect(phi.swapaxes(1, 2), J).min() > 1e-3
    assert symplectic.eigenvalue_pairing(phi, J).max() <= 100 * EPS
    assert symplectic.singular_value_pairing(phi).max() > 1e-3


def test_float32_is_exact_in_double():
    phi = symplectic_matrices(50, 4, FACTORS, seed=1).astype(np.float32)
    np.testing.assert_array_equal(symplectic.defect(phi, J1(4)), symplectic.defect(phi.astype(np.float64), J1(4)))
    rho = symplectic.defect(phi, J1(4).astype(np.float32))
    assert rho.max() <= 4 * np.finfo(np.float32).eps  # one rounding of each entry
    assert rho.max() >= np.finfo(np.float32).eps / 100
    assert rho.dtype == np.float64


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda phi: phi[::-1][::-1], lambda phi: phi.swapaxes(0, 1)])
def test_memory_layout_does_not_matter(layout):
    phi = symplectic_matrices(12, 4, FACTORS, seed=1).reshape(3, 4, 4, 4)
    given, plain = layout(phi), np.ascontiguousarray(layout(phi))
    np.testing.assert_array_equal(symplectic.defect(given, J1(4)), symplectic.defect(plain, J1(4)))


# Shapes


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (0,), (4, 0), (0, 4)])
def test_results_have_the_leading_shape(leading):
    phi = np.broadcast_to(np.eye(4), (*leading, 4, 4))
    for residual in RESIDUALS.values():
        assert residual(phi).shape == leading
        np.testing.assert_array_equal(residual(phi) <= 4 * EPS, True)
    assert {value.shape for value in symplectic.norms(phi).values()} == {leading}
    assert symplectic.determinant(phi)[0].shape == leading


# What is not finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_residuals_and_norms_of_what_is_not_finite_are_inf(bad):
    phi = symplectic_matrices(3, 4, FACTORS, seed=1)
    clean = {name: residual(phi) for name, residual in RESIDUALS.items()} | symplectic.norms(phi)
    phi[1, 2, 3] = bad
    for name, dirty in ({name: residual(phi) for name, residual in RESIDUALS.items()} | symplectic.norms(phi)).items():
        assert dirty[1] == np.inf, name
        np.testing.assert_array_equal(dirty[[0, 2]], clean[name][[0, 2]])


@pytest.mark.parametrize("size", [1e150, 1e200, 1e300])
def test_residuals_of_huge_matrices_are_numbers_without_warnings(residual, size):
    # diag(size, 1 / size) is symplectic; a random matrix of that size is far from it.
    n = 4
    good = np.diag([size, size, 1 / size, 1 / size])
    assert residual(good) <= 4 * EPS * n
    bad = size * np.random.default_rng(0).standard_normal((n, n))
    assert residual(bad) > 1e-3


def test_residuals_of_the_zero_matrix_are_finite_and_large(residual):
    assert 1e-3 < residual(np.zeros((4, 4))) < np.inf


# Norms, determinants, pairings


@pytest.mark.parametrize("name, order", [("1", 1), ("2", 2), ("inf", np.inf), ("fro", "fro"), ("nuc", "nuc")])
def test_norms_equal_those_of_numpy(name, order):
    phi = np.random.default_rng(0).standard_normal((5, 3, 7, 7))
    expected = np.linalg.norm(phi, order, axis=(-2, -1))
    np.testing.assert_allclose(symplectic.norms(phi)[name], expected, rtol=7 * EPS)  # sums of 7 terms


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_norms_of_huge_and_tiny_matrices_neither_overflow_nor_underflow(size):
    expected = {"1": 2, "2": 2, "inf": 2, "fro": np.sqrt(8), "nuc": 4}
    phi = size * np.diag([2.0, 2.0])
    assert tuple(symplectic.norms(phi)) == symplectic.NORMS
    for name, value in symplectic.norms(phi).items():
        assert value == pytest.approx(size * expected[name], rel=8 * EPS)


def test_lists_and_integers_are_matrices():
    assert symplectic.defect([[0, 1], [-1, 0]], [[0, 1], [-1, 0]]) == 0
    assert symplectic.norms([[3, 0], [0, 4]])["fro"] == pytest.approx(5, rel=4 * EPS)
    assert symplectic.determinant([[2, 0], [0, 1]])[0] == pytest.approx(2, rel=4 * EPS)


def test_determinant_equals_numpy_and_is_nan_of_what_is_not_finite():
    phi = np.random.default_rng(0).standard_normal((50, 5, 5))
    np.testing.assert_array_equal(symplectic.determinant(phi)[0], np.linalg.det(phi))
    assert np.isnan(symplectic.determinant(np.full((2, 2), np.nan))[0])
    between = np.diag([1e200, 1e200, 1e-200, 2e-200])  # products on the way overflow
    assert symplectic.determinant(between)[0] == pytest.approx(2, rel=1e-12)


def test_eigenvalues_that_are_defective_are_no_violation():
    phi = np.array([[1.0, 1e3], [0, 1]])  # a Jordan block: eigenvalues are known to sqrt(eps) only
    assert symplectic.eigenvalue_pairing(phi, J1(2)) <= 8 * EPS


def test_is_orthogonal_to_rounding():
    J = from_block(np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0])
    assert all(symplectic.is_orthogonal(matrix) is True for matrix in (J, J1(4), J2(2)))
    assert all(symplectic.is_orthogonal(matrix) is False for matrix in (J * (1 + 1e-12), J2(4), 2 * J1(4)))


# What is refused

defect, paired = symplectic.defect, symplectic.eigenvalue_pairing
OF_PHI = [partial(f, J=J1(2)) for f in (defect, paired)]
OF_PHI += [symplectic.norms, symplectic.determinant, symplectic.singular_value_pairing]
OF_J = [partial(f, np.eye(4)) for f in (defect, paired)]
test_what_is_refused = refused([
    *(
        (f, np.ones(shape), ValueError, rf"phi: expected shape \(\.\.\., n, n\), got {re.escape(str(shape))}")
        for f in OF_PHI for shape in [(2,), (2, 3), (5, 2, 3), (), (3, 0, 0)]
    ),
    *(
        (f, phi, TypeError, "phi: expected real numbers, got dtype .*")
        for f in OF_PHI for phi in [np.eye(2) * 1j, np.full((2, 2), None), [["a", "b"], ["c", "d"]]]
    ),
    *((f, J1(2), ValueError, r"J: expected shape \(4, 4\), got \(2, 2\)") for f in OF_J),
    *((f, J1(4) * np.nan, ValueError, r"J: expected finite numbers, got nan at index \(0, 0\)") for f in OF_J),
    *((f, J1(4) * 1j, TypeError, "J: expected .*real.*, got .*complex128") for f in OF_J),
    *((partial(OF_J[0], norm=norm), np.zeros((4, 4)), ValueError, ".*, got zeros") for norm in ("fro", "2")),
    (partial(paired, np.eye(3)), J2(3), ValueError, "J: expected a nonsingular matrix.*"),
    *((lambda norm: defect(np.eye(2), J1(2), norm=norm), norm, error, "norm: expected one of 'fro', '2', got .*")
      for norm, error in [("1", ValueError), ("nuc", ValueError), (2, TypeError)]),
])  # fmt: skip

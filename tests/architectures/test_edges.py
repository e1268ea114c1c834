"""Matrices on the edges of a graph: every function against the dense matrix, for every dtype, empty rows included."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyham.architectures import edges
from pyham.architectures.edges import Composition, Edges

DTYPES = ("float16", "float32", "float64", "longdouble", "complex64", "complex128", "mpmath")


def numbers(rng, shape, dtype):
    """Normal numbers of that dtype, of mpmath where it says so."""
    values = rng.standard_normal(shape)
    if dtype == "mpmath":
        return np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(values))
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def patterns(rng, r, k, density=0.3):
    rows, columns = np.nonzero(rng.random((r, k)) < density)
    order = rng.permutation(len(rows))
    return Edges(rows[order], columns[order], (r, k))


def close(found, expected, dtype):
    eps = 2.0**-50 if dtype == "mpmath" else float(np.finfo(dtype).eps)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert float(np.abs(found - expected).max(initial=0)) <= 200 * eps * scale


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.integers(0, 10**6), st.sampled_from([(), (3,), (2, 3)]))
def test_the_functions_of_the_map_are_those_of_the_dense_matrix(dtype, seed, lead):
    rng = np.random.default_rng(seed)
    r, k = rng.integers(1, 7, 2)
    pattern = patterns(rng, r, k)
    M, y, g = (numbers(rng, s, dtype) for s in ((len(pattern),), (*lead, k), (*lead, r)))
    dense = pattern.dense(M)
    close(pattern.apply(M, y), y @ dense.T, dtype)
    close(pattern.transposed(M, g), g @ dense, dtype)
    outer = pattern.from_dense((g.reshape(-1, r).T @ y.reshape(-1, k)) * (pattern.dense(M * 0 + 1) != 0))
    close(pattern.outer(g, y), outer, dtype)


@given(st.integers(0, 10**6))
def test_the_transposed_pattern_and_what_is_where(seed):
    rng = np.random.default_rng(seed)
    pattern = patterns(rng, *rng.integers(1, 7, 2))
    M = rng.standard_normal(len(pattern))
    np.testing.assert_array_equal(pattern.transpose.dense(M[pattern.by_column]), pattern.dense(M).T)
    np.testing.assert_array_equal(pattern.find(pattern.rows, pattern.columns), np.arange(len(pattern)))
    dense = pattern.dense(np.ones(len(pattern)))
    rows, columns = np.nonzero(dense == 0)
    assert (pattern.find(rows, columns) == -1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.integers(0, 10**6), st.booleans())
def test_compositions_are_products_with_the_transpose(dtype, seed, permutation):
    rng = np.random.default_rng(seed)
    d, k, r = rng.integers(1, 6, 3)
    A = patterns(rng, r, k)
    M = Edges(np.arange(k), rng.permutation(k), (k, k)) if permutation else patterns(rng, d, k)
    m, a = numbers(rng, len(M), dtype), numbers(rng, (2, len(A)), dtype)
    made = Composition(M, A)
    assert len(made) == len(A) or not permutation
    W = made.dense(made.composed(m, a))
    close(W, M.dense(m) @ A.dense(a).swapaxes(1, 2), dtype)
    dW = numbers(rng, (2, len(made)), dtype)
    dense = made.dense(dW).swapaxes(1, 2) @ M.dense(m)
    close(made.composed_transposed(m, dW), A.from_dense(dense * (A.dense(a * 0 + 1) != 0)), dtype)


@given(st.integers(0, 10**6))
def test_the_norms_of_large_matrices_are_bounded(seed):
    rng = np.random.default_rng(seed)
    pattern = patterns(rng, *rng.integers(1, 7, 2))
    M = rng.standard_normal((3, len(pattern)))
    exact = pattern.norm(M)
    np.testing.assert_allclose(exact, np.linalg.norm(pattern.dense(M), 2, axis=(1, 2)), atol=1e-14)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges, "EXACT", 0)
        bound = pattern.norm(M)
    rows, columns = (np.abs(pattern.dense(M)).sum(axis=axis).max(axis=1) for axis in (2, 1))
    np.testing.assert_allclose(bound, np.sqrt(rows * columns), rtol=1e-14)
    assert (exact <= bound * (1 + 1e-14)).all()


def test_work_in_parts_gives_the_same_bits(monkeypatch, rng):
    pattern = patterns(rng, 40, 30)
    M, y, g = rng.standard_normal(len(pattern)), rng.standard_normal((50, 30)), rng.standard_normal((50, 40))
    whole = pattern.outer(g, y), edges._summed(y, pattern.columns, M, pattern.starts)
    monkeypatch.setattr(edges, "CHUNK", 100)
    parts = pattern.outer(g, y), edges._summed(y, pattern.columns, M, pattern.starts)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_from_dense__raises_on_an_entry_off_the_pattern():
    pattern = Edges(np.array([0, 1]), np.array([0, 1]), (2, 2))
    K = np.zeros((3, 2, 2))
    K[2, 1, 0] = 0.5
    with pytest.raises(ValueError, match=r"K: expected 0 off the edges of the graph, got K\[2, 1, 0\] = 0.5"):
        pattern.from_dense(K)

"""Matrices and convolutions as kinds of maps: every function against the sums written out in the oracles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyham.architectures import maps
from pyham.architectures.convolution import squeeze, unsqueeze
from pyham.architectures.maps import DENSE, Convolution
from tests.oracles import recursion

EPS = float(np.finfo(np.float64).eps)
KINDS = {"matrices": DENSE} | {f"kernels of size {size}": Convolution(size) for size in (1, 3, 5)}


def close(found, expected, terms):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) <= 8 * terms * EPS * max(1, np.abs(expected).max(initial=0))


def drawn(kind, seed):
    """Sizes d, r, k, the generator, and what follows the channels of a map and of a state."""
    rng = np.random.default_rng(seed)
    if kind is DENSE:
        return *rng.integers(1, 5, 3), rng, (), ()
    return *rng.integers(1, 5, 3), rng, (kind.size,) * 2, tuple(rng.integers(1, 7, 2))  # smaller than a kernel, too


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(st.integers(0, 10**6), st.sampled_from([(3,), (0,), (2, 3)]))
def test_functions_of_a_map(kind, seed, lead):
    _, r, k, rng, sides, space = drawn(kind, seed)
    M, c = rng.standard_normal((r, k, *sides)), rng.standard_normal(r)
    y, g = rng.standard_normal((*lead, k, *space)), rng.standard_normal((*lead, r, *space))
    flat_y, flat_g = y.reshape(-1, k, *space), g.reshape(-1, r, *space)
    terms = max(r, k) * np.prod(sides, dtype=int)
    close(kind.apply(M, y), recursion.applied(M, flat_y).reshape(g.shape), terms)
    close(kind.transposed(M, g), recursion.pulled(M, flat_g).reshape(y.shape), terms)
    close(kind.outer(flat_g, flat_y), recursion.products(M, flat_g, flat_y), flat_g.size)
    np.testing.assert_array_equal(kind.add(g, c), g + c.reshape(r, *(1 for _ in space)))
    close(kind.total(flat_g), flat_g.sum(axis=tuple(i for i in range(flat_g.ndim) if i != 1)), flat_g.size)
    np.testing.assert_array_equal(y[kind.channels(slice(0, 1))], y[(slice(None),) * len(lead) + (slice(0, 1),)])
    identity = kind.identity(k, np.dtype(np.float64))
    np.testing.assert_array_equal(kind.apply(identity, y), y)
    assert identity.dtype == np.float64


@pytest.mark.parametrize("factor", ["any", "one entry a column", "one entry a row"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(seed=st.integers(0, 10**6))
def test_compositions_with_a_matrix(kind, seed, factor):
    """W = M A^T pulls back by A and then mixes channels; and the gradient of A from that of W."""
    d, r, k, rng, sides, space = drawn(kind, seed)
    M, A = rng.standard_normal((d, k)), rng.standard_normal((2, r, k, *sides))
    if factor != "any":
        size, other = (d, k) if factor == "one entry a column" else (k, d)
        kept = np.arange(size)[:, None] == rng.integers(0, size, other)
        M = M * (kept if factor == "one entry a column" else kept.T)
    W, a = kind.composed(M, A), rng.standard_normal((3, r, *space))
    assert W.shape == (2, d, r, *sides)
    terms = 4 * r * k * np.prod(sides, dtype=int)
    for of_W, of_A in zip(W, A, strict=True):
        close(kind.apply(of_W, a), np.einsum("dk,bk...->bd...", M, recursion.pulled(of_A, a)), terms)
    dW = rng.standard_normal(W.shape)
    left, right = np.vdot(W, dW), np.vdot(A, kind.composed_transposed(M, dW))
    assert abs(left - right) <= terms * EPS * np.linalg.norm(M) * np.linalg.norm(A) * np.linalg.norm(dW)


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (5, 3)])
def test_terms_are_the_products_in_the_longest_sum(rows, columns):
    assert DENSE.terms(np.ones((7, rows, columns))) == max(rows, columns)
    for size in (1, 3, 5):
        M = np.ones((4, rows, columns, size, size))
        largest = [Convolution(size).apply(M[0], np.ones((1, columns, 9, 9))).max()]
        largest.append(Convolution(size).transposed(M[0], np.ones((1, rows, 9, 9))).max())
        assert Convolution(size).terms(M) == max(largest)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_norms_are_the_sums_of_those_of_the_matrices_of_a_kernel(kind, rng):
    M = rng.standard_normal((3, 2, 4, *(() if kind is DENSE else (kind.size,) * 2)))
    expected = np.linalg.norm(M, 2, axis=(1, 2)).reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(kind.norm(M), expected, rtol=100 * EPS)
    assert kind.norm(M.astype(np.float32)).dtype == np.float64 and kind.norm(M[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [(2, 4, 4, 6), (1, 2, 2, 2)])
def test_squeeze_is_a_permutation_of_p_and_the_same_of_q(shape, rng):
    y = rng.standard_normal(shape)
    np.testing.assert_array_equal(squeeze(y), recursion.squeezed(y))
    np.testing.assert_array_equal(unsqueeze(squeeze(y)), y)
    half = shape[1] // 2
    p, q = squeeze(y[:, :half]), squeeze(y[:, half:])
    np.testing.assert_array_equal(squeeze(y), np.concatenate([p, q], axis=1))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["runs", "permutation", "any"]), st.integers(0, 10**6))
def test_picking_columns_is_a_product(b, c, kind, seed):
    """Of few and of many numbers, which are treated differently; a number is copied and multiplied once: exactly."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, b, c) if kind != "runs" else np.sort(rng.integers(0, b, c))
    M = np.zeros((b, c))
    M[rows, np.arange(c)] = rng.choice([-1, 1], c) * (1 if kind == "runs" else rng.standard_normal(c))
    if kind == "any":
        M[int(rng.integers(b)), int(rng.integers(c))] += 1
    pick = maps.Pick.of(M)
    assert (pick is None) == ((M != 0).sum(axis=0) != 1).any()
    for count in (1, 1 + maps.LARGE // b):
        stack = rng.standard_normal((count, 1, b))
        if pick is not None:
            np.testing.assert_array_equal(pick.times(stack), stack @ M)


def test_what_is_known_of_a_matrix_is_of_that_matrix():
    M = np.eye(3)
    assert maps._picks(M)[0].entries.tolist() == [1, 1, 1]
    M *= 2  # it could be written to
    assert maps._picks(M)[0].entries.tolist() == [2, 2, 2]
    M.flags.writeable = False
    assert maps._picks(M) is maps._picks(M)  # now it cannot
    known = len(maps._known)
    del M
    assert len(maps._known) == known - 1

"""Interconnection matrices: signs, structure, and what is refused."""

from functools import partial

import numpy as np
import pytest

from pyham.architectures import interconnection
from pyham.architectures.interconnection import J1, J2, entries, from_block, half, invertible
from tests.oracles.refusals import refused
from tests.oracles.strategies import well_conditioned

EPS = np.finfo(np.float64).eps


def test_signs():
    np.testing.assert_array_equal(J1(4), [[0, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0], [0, -1, 0, 0]])
    np.testing.assert_array_equal(J2(3), [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]])
    expected = [[0, 0, -1, -3], [0, 0, -2, -4], [1, 2, 0, 0], [3, 4, 0, 0]]
    np.testing.assert_array_equal(from_block(np.array([[1.0, 2.0], [3.0, 4.0]])), expected)


@pytest.mark.parametrize("width", [2, 4, 6, 16])
def test_J1_is_minus_the_block_matrix_of_the_identity_and_orthogonal(width):
    J = J1(width)
    np.testing.assert_array_equal(from_block(np.eye(width // 2)), -J)
    np.testing.assert_array_equal(J.T @ J, np.eye(width))
    for skew_symmetric in (J, J2(width), from_block(well_conditioned(width // 2, 0))):
        assert skew_symmetric.shape == (width, width)
        np.testing.assert_array_equal(skew_symmetric.T, -skew_symmetric)


@pytest.mark.parametrize("width", range(1, 14))
def test_J2_is_nonsingular_iff_the_width_is_even(width):
    # A skew matrix has even rank; for odd n, J2's null vector alternates in sign.
    assert np.linalg.matrix_rank(J2(width)) == width - width % 2
    assert np.linalg.det(J2(width)) == pytest.approx(1 - width % 2, abs=2**width * EPS)  # 2^(n-1) bounds pivot growth


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, int])
def test_given_matrices_keep_their_numbers_and_dtype(dtype):
    floating = np.float64 if dtype is int else dtype
    X, J = np.array([[1, 2], [0, 4]], dtype), J1(4).astype(dtype)
    for found, expected in ((interconnection.skew(J, 4), J), (invertible(X, 2), X), (from_block(X)[2:, :2], X)):
        assert found.dtype == floating
        np.testing.assert_array_equal(found, expected)


def test_entries_of_J1_are_those_of_the_matrix():
    for sign in (1.0, -1.0):
        for found, expected in zip(interconnection.entries_of_J1(6, sign), entries(sign * J1(6)), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_half_is_half_of_the_width():
    assert [half(n) for n in (2, 4, 100)] == [1, 2, 50]


def test_invertible_takes_ill_conditioned_but_nonsingular():
    X = np.diag([1.0, 1e-12])
    np.testing.assert_array_equal(invertible(X, 2), X)


def J1_with(value, other=0.0):
    """J1(4) with the first number at (0, 1), which is 0, and the other at (1, 0)."""
    J = J1(4)
    J[0, 1], J[1, 0] = value, other
    return J


skew_of_4, of_2 = partial(interconnection.skew, width=4), partial(invertible, size=2)
UNEVEN = r"width: expected an even number \(the state is y = \(p, q\)\), got {}"
NOT_SKEW = r"interconnection: expected a skew-symmetric matrix \(J\^T = -J\), got J\[{}\] = {} and J\[{}\] = {}"
SINGULAR = r"X: expected a nonsingular matrix, got singular values from \S+ down to \S+"
test_what_is_refused = refused([
    *((f, n, ValueError, UNEVEN.format(n)) for f in (J1, half) for n in (3, 7)),
    *((f, n, ValueError, f"width: expected an integer >= 2, got {n}") for f in (J1, half) for n in (0, -2)),
    *((J2, n, ValueError, f"width: expected an integer >= 1, got {n}") for n in (0, -2)),
    *(
        (f, n, TypeError, rf"width: expected an integer >= \d, got {type(n).__name__}")
        for f in (J1, J2, half) for n in (4.0, True, "4", None)
    ),
    (from_block, np.ones((2, 3)), ValueError, r"X: expected shape \(\d, \d\), got \(2, 3\)"),
    (from_block, np.ones(2), ValueError, r"X: expected shape \(\d, \d\), got \(2,\)"),
    (from_block, 1.0, ValueError, r"X: expected shape \(0, 0\), got \(\)"),
    (skew_of_4, J1_with(1e-300), ValueError, NOT_SKEW.format("0, 1", "1e-300", "1, 0", "0.0")),
    (skew_of_4, J1(4) + np.diag([0, 2, 0, 0]), ValueError, NOT_SKEW.format("1, 1", "2.0", "1, 1", "2.0")),
    (skew_of_4, J1(2), ValueError, r"interconnection: expected shape \(4, 4\), got \(2, 2\)"),
    (skew_of_4, J1_with(np.nan, np.nan), ValueError, r"interconnection: .* finite .*, got nan at index \(0, 1\)"),
    (skew_of_4, J1_with(np.inf, -np.inf), ValueError, r"interconnection: .* finite .*, got inf at index \(0, 1\)"),
    (skew_of_4, J1(4) * 1j, TypeError, "interconnection: expected a real matrix, got dtype complex128"),
    (skew_of_4, [[None, None], [None, None]], TypeError, "interconnection: expected numbers, got dtype object"),
    (skew_of_4, [[0, 1], [-1]], ValueError, "interconnection: expected .*, got nested sequences of unequal lengths"),
    *((of_2, X, ValueError, SINGULAR) for X in (np.zeros((2, 2)), np.ones((2, 2)), [[1, 2], [2, 4 + 4 * EPS]])),
    (of_2, np.eye(3), ValueError, r"X: expected shape \(2, 2\), got \(3, 3\)"),
    (of_2, [[1, 0], [np.nan, 1]], ValueError, r"X: expected finite numbers, got nan at index \(1, 0\)"),
    (of_2, np.eye(2) * 1j, TypeError, "X: expected a real matrix, got dtype complex128"),
])  # fmt: skip

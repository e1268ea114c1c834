"""Register blocks against NumPy in higher precision: every remainder of rows, columns and vectors, nothing outside."""

import numba
import numpy as np
import pytest

from pyham.engines.compiled import addresses, tiles
from pyham.engines.compiled.addresses import address, aligned, carve, hold, lanes, room, shift
from pyham.engines.compiled.register_blocks import add_outer, product
from tests.oracles.rounding import eps

GUARD = 64  # numbers before and after every matrix
SIZES = [*range(1, 10), 17, 34]
VECTORS = (1, 2, 4, 5, 9)  # of a row: none, one or two wide blocks of four, and a rest
DTYPES = [np.float32, np.float64]


@numba.njit(error_model="numpy")
def call_product(start, M, row, column, y, out, r, k, T):
    product(
        shift(address(start), GUARD), shift(address(M), GUARD), row, column,
        shift(address(y), GUARD), shift(address(out), GUARD), r, k, T,
    )  # fmt: skip


@numba.njit(error_model="numpy")
def call_add_outer(u, v, out, r, k, T):
    add_outer(shift(address(u), GUARD), shift(address(v), GUARD), shift(address(out), GUARD), r, k, T)


@numba.njit(error_model="numpy")
def call_distance(y, z, size, n, T):
    return tiles.distance(address(y), address(z), size, n, T)


@numba.njit
def call_lanes(array):
    return lanes(address(array))


@numba.njit
def mark_aligned(array, start):
    aligned(shift(address(array), start))[0] = 1
    hold(array)


@numba.njit
def fill_carved(sizes, array):
    """Fill the pieces with 1, 2, 3; returns the room that they take."""
    first, second, third = carve(array, sizes)
    for t in range(sizes[0]):
        first[t] = 1
    for t in range(sizes[1]):
        second[t] = 2
    for t in range(sizes[2]):
        third[t] = 3
    hold(array)
    return room(array, sizes)


def guarded(matrix, guard):
    """The matrix between guards, flat."""
    return np.pad(matrix.ravel(), GUARD, constant_values=matrix.dtype.type(guard))


def inside(flat, shape):
    """The matrix, after a look at its guards."""
    before, values, after = np.split(flat, [GUARD, GUARD + int(np.prod(shape))])
    assert (before == 7).all() and (after == 7).all(), "written outside"
    return values.reshape(shape)


@pytest.mark.parametrize("from_out", [True, False], ids=["from out", "from a vector"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_product_is_start_plus_M_y(dtype, transposed, from_out, rng):
    for r in SIZES:
        for k in SIZES:
            for vectors in VECTORS:
                T = vectors * call_lanes(np.empty(1, dtype))
                M = rng.standard_normal((r, k)).astype(dtype)
                y = rng.standard_normal((k, T)).astype(dtype)
                out = rng.standard_normal((r, T)).astype(dtype)
                start = out if from_out else rng.standard_normal((r, 1)).astype(dtype)
                row, column = (1, r) if transposed else (k + 2, 1)
                written = guarded(out, 7)
                first = written if from_out else guarded(start, np.nan)  # NaN would show if it were read
                rows_of_a_larger_matrix = np.pad(M, ((0, 0), (0, 2)), constant_values=dtype(np.nan))
                matrix = guarded(M.T.copy() if transposed else rows_of_a_larger_matrix, np.nan)
                call_product(first, matrix, row, column, guarded(y, np.nan), written, r, k, T)
                wide_M, wide_y, wide_start = (a.astype(np.longdouble) for a in (M, y, start))
                # Sums of k + 1 terms, in any order: k roundings of products, if not fused, and k of sums.
                bound = (2 * k + 1) * eps(dtype) * (np.abs(wide_start) + np.abs(wide_M) @ np.abs(wide_y))
                assert (np.abs(inside(written, (r, T)) - (wide_start + wide_M @ wide_y)) <= bound).all(), (r, k, T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_column_of_a_product_is_bitwise_the_same_wherever_it_stands(dtype, rng):
    """So a sample's result does not depend on the samples beside it, nor on the number of rows below."""
    L = call_lanes(np.empty(1, dtype))
    T = 9 * L
    for r, k in ((7, 6), (3, 9)):
        M = rng.standard_normal((r, k)).astype(dtype)
        column = rng.standard_normal((k, 1)).astype(dtype)
        c = rng.standard_normal((r, 1)).astype(dtype)
        found = []
        for rows, width in ((r, T), (r, L), (1, T), (2, L)):
            out = guarded(np.zeros((rows, width), dtype), 7)
            y = np.broadcast_to(column, (k, width)).copy()
            call_product(guarded(c[:rows], 7), guarded(M[:rows], 7), k, 1, guarded(y, 7), out, rows, k, width)
            found.append(inside(out, (rows, width)))
        for block in found:
            np.testing.assert_array_equal(block, np.broadcast_to(found[0][: len(block), :1], block.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_add_outer_adds_u_v_transposed(dtype, rng):
    for r in SIZES:
        for k in SIZES:
            for vectors in VECTORS:
                T = vectors * call_lanes(np.empty(1, dtype))
                u = rng.standard_normal((r, T)).astype(dtype)
                v = rng.standard_normal((k, T)).astype(dtype)
                out = rng.standard_normal((r, k)).astype(dtype)
                written = guarded(out, 7)
                call_add_outer(guarded(u, np.nan), guarded(v, np.nan), written, r, k, T)
                wide_u, wide_v, wide_out = (a.astype(np.longdouble) for a in (u, v, out))
                # Sums of T + 1 terms, in any order: T roundings of products, if not fused, and T of sums.
                bound = (2 * T + 1) * eps(dtype) * (np.abs(wide_out) + np.abs(wide_u) @ np.abs(wide_v).T)
                assert (np.abs(inside(written, (r, k)) - (wide_out + wide_u @ wide_v.T)) <= bound).all(), (r, k, T)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bad_numbers_stay_in_their_column_and_row(dtype, bad, rng):
    r, k, T = 7, 6, 9 * call_lanes(np.empty(1, dtype))
    M, y, u = (rng.standard_normal(shape).astype(dtype) for shape in ((r, k), (k, T), (r, T)))
    for t in (0, T // 2, T - 1):
        dirty = y.copy()
        dirty[k - 1, t] = bad
        out = guarded(np.zeros((r, T), dtype), 7)
        call_product(out, guarded(M, 7), k, 1, guarded(dirty, 7), out, r, k, T)
        np.testing.assert_array_equal(np.isfinite(inside(out, (r, T))), np.arange(T)[None].repeat(r, 0) != t)
        sums = guarded(np.zeros((r, k), dtype), 7)
        call_add_outer(guarded(u, 7), guarded(dirty, 7), sums, r, k, T)
        np.testing.assert_array_equal(np.isfinite(inside(sums, (r, k))), np.arange(k)[None].repeat(r, 0) != k - 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_aligned_is_the_next_multiple_of_64_bytes_and_vectors_are_as_wide_as_the_machines(dtype):
    size = np.dtype(dtype).itemsize
    assert call_lanes(np.empty(1, dtype)) * size == addresses.WIDTH in (32, 64)
    for start in range(64 // size + 1):
        array = np.zeros(3 * 64 // size, dtype)
        mark_aligned(array, start)
        (found,) = np.flatnonzero(array)
        assert (array.ctypes.data + found * size) % 64 == 0
        assert 0 <= found - start < 64 // size


@pytest.mark.parametrize("sizes", [(1, 0, 17), (16, 33, 8), (0, 0, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_carved_pieces_are_aligned_and_apart_and_fit_into_their_room(dtype, sizes):
    array = np.zeros(200, dtype)
    count = fill_carved(sizes, array)
    line = 64 // array.itemsize
    for piece, size in enumerate(sizes, start=1):
        (found,) = np.nonzero(array == piece)
        np.testing.assert_array_equal(found, np.arange(size) + found[:1])  # nobody wrote into it afterwards
        assert (found < count).all()
        assert not size or (array.ctypes.data + found[0] * array.itemsize) % 64 == 0
    assert count <= sum(-(-size // line) * line for size in sizes) + line


@pytest.mark.parametrize("dtype", DTYPES)
def test_distance_is_the_largest_over_the_samples_relative_to_each_or_NaN(dtype, rng):
    n, T, size = 3, 16, 11
    z = rng.standard_normal((n, T)).astype(dtype)
    y = z + 0.01 * rng.standard_normal((n, T)).astype(dtype)
    y[:, size:] = 1e6, np.nan, np.nan, 0, 0  # beyond the batch
    expected = (np.abs(y - z).max(axis=0) / np.abs(z).max(axis=0))[:size].max()
    assert abs(call_distance(y, z, size, n, T) - expected) <= 4 * eps(dtype) * expected  # a difference and a quotient
    assert call_distance(z, z, size, n, T) == 0
    for place in np.ndindex(n, size):  # a state that was rebuilt as NaN must not count as rebuilt
        wrong = y.copy()
        wrong[place] = np.nan
        assert np.isnan(call_distance(wrong, z, size, n, T)), place
    y[:, 4] = z[:, 4] = 0
    assert np.isfinite(call_distance(y, z, size, n, T))  # 0 / 0 is no error
    y[1, 4] = 1e-30
    assert call_distance(y, z, size, n, T) == np.inf

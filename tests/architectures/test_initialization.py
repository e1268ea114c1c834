"""Initial parameters: their distribution, given arrays, reproducibility, and what is refused.

Statistical bounds have a chance of 1e-6 to fail for a correct generator and a random seed; the seed is fixed, so they
pass or fail once and for all.
"""

import numpy as np
import pytest
from scipy import stats

import pyham
from pyham.architectures.initialization import draw
from tests.oracles.refusals import refused
from tests.oracles.strategies import NAMES, SPLIT

CHANCE = 1e-6


def make(name, **options):
    return pyham.architecture(name, **{"width": 8, "depth": 60} | options)


def all_numbers(net):
    return np.concatenate([value.ravel() for value in net.params.values()])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("initialization", ["normal", "scaled-normal"])
def test_parameters_are_normal_with_the_stated_variance(name, initialization):
    inputs = 4 if name in SPLIT else 8  # numbers that a stage reads
    scale = 1.0 if initialization == "normal" else inputs**-0.5
    for value in make(name).init(11, initialization=initialization).params.values():
        sample = value.ravel() / scale
        low, high = stats.chi2.ppf([CHANCE / 2, 1 - CHANCE / 2], sample.size)
        assert low <= (sample**2).sum() <= high
        assert abs(sample.mean()) * np.sqrt(sample.size) <= stats.norm.isf(CHANCE / 2)
        assert stats.kstest(sample, "norm").pvalue >= CHANCE


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_generators(name):
    init = make(name).init
    first = all_numbers(init(5))
    assert len(np.unique(first)) == len(first)  # parameters and layers are independent draws
    rng = np.random.default_rng(5)
    for same in (init(np.int64(5)), init(rng), init(5, initialization="normal")):
        np.testing.assert_array_equal(all_numbers(same), first)
    for other in (init(6), init(rng), init()):  # a generator moves on; no seed is fresh entropy
        assert not np.intersect1d(all_numbers(other), first).size
    assert all_numbers(make(name, depth=0).init(0)).size == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_dtype_is_that_asked_for_and_numbers_are_rounded_to_it(name, dtype):
    net = make(name).init(0, dtype=dtype)
    assert net.dtype == dtype
    np.testing.assert_array_equal(all_numbers(net), all_numbers(make(name).init(0)).astype(dtype))


def test_given_arrays_are_broadcast_and_take_the_dtype():
    A, b = np.arange(16).reshape(4, 4), np.full((60, 8), 2.0)
    net = make("MS1").init(0, initialization={"A": A, "b": b}, dtype=np.float32)
    b[:] = 1
    np.testing.assert_array_equal(net.params["A"], np.broadcast_to(A, (60, 4, 4)))
    np.testing.assert_array_equal(net.params["b"], np.full((60, 8), 2.0))
    assert net.params["A"].dtype == net.params["b"].dtype == np.float32


def test_names_that_are_not_given_are_drawn_from_the_standard_normal():
    sample = make("H1").init(0, initialization={"b": 0.0}).params["K"].ravel()
    assert stats.kstest(sample, "norm").pvalue >= CHANCE


SCALES = {"normal": 1.0, "scaled-normal": 0.25}


def test_draw_scales_by_the_number_of_inputs():
    normal, scaled = (
        draw({"K": (3, 3)}, lambda kind: {"K": SCALES[kind]}, 0, kind)["K"] for kind in ("normal", "scaled-normal")
    )
    np.testing.assert_array_equal(scaled, normal / 4)  # a power of 2: exactly


INIT = make("H1").init
ONE_OF = "initialization: expected one of 'normal', 'scaled-normal', got {}"
DTYPE = "dtype: expected a floating or complex dtype, got .*"


def given(b):
    return INIT(0, initialization={"b": b})


test_what_is_refused = refused([
    (lambda kind: INIT(0, initialization=kind), "glorot", ValueError, ONE_OF.format("'glorot'")),
    *((lambda kind: INIT(0, initialization=kind), wrong, TypeError, ONE_OF.format(".*"))
      for wrong in (None, 1.0, ["normal"])),
    (lambda kind: INIT(0, initialization=kind), {"A": 0.0}, ValueError, ".*: expected one of 'K', 'b', got 'A'"),
    (lambda K: INIT(0, initialization={"K": K}), np.ones((3, 8)), ValueError,
     r"initialization\['K'\]: expected shape \(60, 8, 8\), got \(3, 8\)"),
    (given, np.nan, ValueError, r".*'b'\]: expected finite numbers, got nan at index \(0, 0\)"),
    (given, -np.inf, ValueError, r".*'b'\]: expected finite numbers, got -inf at index \(0, 0\)"),
    (given, "one", TypeError, r"initialization\['b'\]: expected numbers, got dtype <U3"),
    (given, None, TypeError, r"initialization\['b'\]: expected numbers, got dtype object"),
    (given, [[1, 2], [3]], ValueError, r"initialization\['b'\]: .*got nested sequences of unequal lengths"),
    (given, 1j, TypeError, r"initialization\['b'\]: expected a real .*got .*complex128"),
    *((lambda dtype: INIT(0, dtype=dtype), dtype, TypeError, DTYPE) for dtype in (int, bool, "U3", object)),
    (lambda dtype: INIT(0, dtype=dtype), "half a double", TypeError, ".* dtype, got 'half a double'"),
    *((INIT, seed, TypeError, f"rng: expected an integer >= 0, got {type(seed).__name__}")
      for seed in (1.0, "1", True, np.random.RandomState(0))),
    (pyham.MLP(10**6, 10**6).init, 0, MemoryError, "depth, width: expected at most the .* GB that there are, got .*"),
    (INIT, -1, ValueError, "rng: expected an integer >= 0, got -1"),
])  # fmt: skip

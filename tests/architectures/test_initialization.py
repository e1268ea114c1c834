"""Initial parameters: their distribution, given arrays, reproducibility, and what is refused.

Statistical bounds have a chance of 1e-6 to fail for a correct generator and a random seed; the seed is fixed, so they
pass or fail once and for all.
"""

import numpy as np
import pytest
from scipy import stats

import pyham
from pyham.architectures.initialization import draw
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


def test_normal_is_the_default():
    default, normal = make("H2").init(0), make("H2").init(0, initialization="normal")
    np.testing.assert_array_equal(all_numbers(default), all_numbers(normal))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_layers_are_independent_draws(name):
    numbers = all_numbers(make(name).init(0))
    assert len(np.unique(numbers)) == len(numbers)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_parameters(name):
    first, second = make(name).init(5), make(name).init(np.random.default_rng(5))
    np.testing.assert_array_equal(all_numbers(first), all_numbers(second))


def test_other_seed_other_parameters():
    assert not np.intersect1d(all_numbers(make("H1").init(5)), all_numbers(make("H1").init(6))).size


def test_a_generator_moves_on():
    rng = np.random.default_rng(5)
    assert not np.intersect1d(all_numbers(make("H1").init(rng)), all_numbers(make("H1").init(rng))).size


def test_no_seed_is_fresh_entropy():
    assert not np.intersect1d(all_numbers(make("H1").init()), all_numbers(make("H1").init())).size


def test_numpy_integers_are_seeds():
    np.testing.assert_array_equal(all_numbers(make("H1").init(np.int64(5))), all_numbers(make("H1").init(5)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_dtype_is_that_asked_for_and_numbers_are_rounded_to_it(name, dtype):
    net = make(name).init(0, dtype=dtype)
    assert net.dtype == dtype
    np.testing.assert_array_equal(all_numbers(net), all_numbers(make(name).init(0)).astype(dtype))


def test_given_arrays_are_broadcast():
    A = np.arange(16.0).reshape(4, 4)
    net = make("MS1").init(0, initialization={"A": A, "b": 2})
    np.testing.assert_array_equal(net.params["A"], np.broadcast_to(A, (60, 4, 4)))
    np.testing.assert_array_equal(net.params["b"], np.full((60, 8), 2.0))


def test_names_that_are_not_given_are_drawn_from_the_standard_normal():
    sample = make("H1").init(0, initialization={"b": 0.0}).params["K"].ravel()
    assert stats.kstest(sample, "norm").pvalue >= CHANCE


def test_given_arrays_are_copied():
    b = np.zeros((60, 8))
    net = make("H1").init(0, initialization={"b": b})
    b[:] = 1
    assert not net.params["b"].any()


def test_given_arrays_take_the_dtype():
    net = make("H1").init(0, initialization={"b": np.ones(8, dtype=int)}, dtype=np.float32)
    assert net.params["b"].dtype == np.float32


def test_depth_zero_has_empty_parameters():
    for name in NAMES:
        assert all_numbers(make(name, depth=0).init(0)).size == 0


SCALES = {"normal": 1.0, "scaled-normal": 0.25}


def test_draw_scales_by_the_number_of_inputs():
    normal, scaled = (
        draw({"K": (3, 3)}, lambda kind: {"K": SCALES[kind]}, 0, kind)["K"] for kind in ("normal", "scaled-normal")
    )
    np.testing.assert_array_equal(scaled, normal / 4)  # a power of 2: exactly


def test_init__raises_on_unknown_initialization():
    with pytest.raises(ValueError, match=r"^initialization: expected one of 'normal', 'scaled-normal', got 'glorot'$"):
        make("H1").init(0, initialization="glorot")


@pytest.mark.parametrize("wrong", [None, 1.0, ["normal"]])
def test_init__raises_on_what_is_neither_name_nor_mapping(wrong):
    with pytest.raises(TypeError, match=r"^initialization: expected one of 'normal', 'scaled-normal', got "):
        make("H1").init(0, initialization=wrong)


def test_init__raises_on_unknown_parameter():
    with pytest.raises(ValueError, match=r"^initialization: expected one of 'K', 'b', got 'A'$"):
        make("H1").init(0, initialization={"A": 0.0})


def test_init__raises_on_array_that_does_not_broadcast():
    with pytest.raises(ValueError, match=r"^initialization\['K'\]: expected shape \(60, 8, 8\), got \(3, 8\)$"):
        make("H1").init(0, initialization={"K": np.ones((3, 8))})


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_init__raises_on_numbers_that_are_not_finite(bad):
    with pytest.raises(ValueError, match=rf"'b'\]: expected finite numbers, got {bad} at index \(0, 0\)$"):
        make("H1").init(0, initialization={"b": bad})


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        ("one", TypeError, "expected numbers, got dtype <U3"),
        (None, TypeError, "expected numbers, got dtype object"),
        ([[1, 2], [3]], ValueError, ".*got nested sequences of unequal lengths"),
        (1j, TypeError, "expected a real .*got .*complex128"),
    ],
)
def test_init__raises_on_given_arrays_that_are_not_real_numbers(wrong, error, message):
    with pytest.raises(error, match=rf"^initialization\['b'\]: {message}"):
        make("H1").init(0, initialization={"b": wrong})


@pytest.mark.parametrize("dtype", [int, bool, "U3", object])
def test_init__raises_on_dtype_that_is_not_floating(dtype):
    with pytest.raises(TypeError, match=r"^dtype: expected a floating or complex dtype, got "):
        make("H1").init(0, dtype=dtype)


def test_init__raises_on_what_is_no_dtype():
    with pytest.raises(TypeError, match=r"^dtype: expected a floating or complex dtype, got 'half a double'"):
        make("H1").init(0, dtype="half a double")


@pytest.mark.parametrize("seed", [1.0, "1", True, np.random.RandomState(0)])
def test_init__raises_on_what_is_no_seed(seed):
    with pytest.raises(TypeError, match=rf"^rng: expected an integer >= 0, got {type(seed).__name__}$"):
        make("H1").init(seed)


def test_init__raises_on_negative_seed():
    with pytest.raises(ValueError, match=r"^rng: expected an integer >= 0, got -1$"):
        make("H1").init(-1)

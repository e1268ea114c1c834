"""tanh, logistic and softplus of the kernels: accuracy against mpmath, exact cases, coefficients, instructions."""

import importlib.util
import platform
import re

import mpmath
import numba
import numpy as np
import pytest
from mpmath import mp, mpf

from pyham.engines.compiled import elementary, settings

NAMES = ["tanh", "logistic", "softplus"]
CONSTANTS = {np.float64: elementary.FLOAT64, np.float32: elementary.FLOAT32}
# Units in the last place. Each rounding counts up to one unit where the result is just below a power of two. tanh: the
# fraction below 1/2 with four roundings at half weight, and the last one. logistic: E, 1 + E and the quotient.
# softplus: those three in y, and y + y v L, whose second part brings half a unit more.
TOLERANCE = {"tanh": 2.0, "logistic": 2.5, "softplus": 4.0}
EXACT = {
    "tanh": mpmath.tanh,
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}


@pytest.fixture(autouse=True)
def precision():
    """Far more digits than the results have, and than the equations for the coefficients lose."""
    with mp.workdps(40):
        yield


@pytest.fixture(params=CONSTANTS, ids=lambda dtype: dtype.__name__)
def dtype(request):
    return request.param


def plain():
    """The module once more, without the permission to fuse multiplications and additions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "kernel", numba.njit(error_model="numpy"))
        spec = importlib.util.spec_from_file_location("elementary_plain", elementary.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def loop(module, name, fastmath):
    function = getattr(module, name)

    @numba.njit(error_model="numpy", fastmath=fastmath)
    def run(x, out):
        for t in range(len(x)):
            out[t] = function(x[t])

    return run


@pytest.fixture(scope="module")
def loops():
    """Loops over arrays, by the name of the function; "plain" before the name for those without fused operations."""
    module = plain()
    fused = {name: loop(elementary, name, {"contract"}) for name in NAMES}
    return fused | {f"plain {name}": loop(module, name, False) for name in NAMES}


def evaluate(run, x):
    out = np.empty_like(x)
    run(x, out)
    return out


def error(values, x, name):
    """Largest error in units in the last place of the exact result."""
    info = np.finfo(x.dtype)
    worst = mpf(0)
    for value, argument in zip(values.tolist(), x.tolist(), strict=True):
        exact = EXACT[name](mpf(argument))
        exponent = max(mpmath.frexp(exact)[1] - 1, info.minexp) - info.nmant
        worst = max(worst, abs(mpmath.ldexp(value - exact, -exponent)))
    return float(worst)


def everywhere(dtype, rng):
    """Both signs, all magnitudes, and what the algorithms treat specially: reach, ends, boundaries of the reduction."""
    info = np.finfo(dtype)
    end = 2 - 2 * CONSTANTS[dtype].vanished
    steps = np.log(2) / 4 * np.concatenate([np.arange(1, 120), rng.integers(120, 4 * end, 80)])
    magnitudes = [
        np.exp2(rng.uniform(info.minexp - info.nmant, np.log2(end), 600)),
        rng.uniform(0, 1, 300),
        rng.uniform(0, 8, 400),
        rng.uniform(0, 45, 200),
        rng.uniform(0, end, 100),
        rng.uniform(-1, 1, 200) * end * 0.08 + end * 0.92,  # where logistic and softplus are subnormal
        np.repeat(steps, 2) * (1 + rng.uniform(-4, 4, 2 * len(steps)) * info.eps),
        elementary.REACH * (1 + np.arange(-20, 20) * info.eps),
        np.arange(1, 40) * info.smallest_subnormal,
        [info.tiny, info.max, info.max / 3],
    ]
    with np.errstate(over="ignore"):
        x = np.concatenate(magnitudes).astype(dtype)
    return np.concatenate([x, -x])


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_a_few_units_in_the_last_place(loops, name, dtype, rng):
    x = everywhere(dtype, rng)
    x = x[np.isfinite(x) & (np.abs(x) < 4000)]  # beyond: the limits below; mpmath would need more digits
    fused = evaluate(loops[name], x)
    assert error(fused, x, name) <= TOLERANCE[name]
    unfused = evaluate(loops[f"plain {name}"], x)
    assert error(unfused[fused != unfused], x[fused != unfused], name) <= TOLERANCE[name]


@pytest.mark.parametrize("name", NAMES)
def test_limits_and_nan_are_exact(loops, name, dtype):
    largest = np.finfo(dtype).max
    x = np.array([-np.inf, -largest, -4000, 4000, largest, np.inf, np.nan] * 5, dtype)  # a packed part and a rest
    expected = {"tanh": np.sign(x), "logistic": np.float64(x > 0), "softplus": np.maximum(x, 0)}[name]
    expected[np.isnan(x)] = np.nan
    for key in (name, f"plain {name}"):
        np.testing.assert_array_equal(evaluate(loops[key], x), expected)


def test_values_at_zero_are_exact_or_correctly_rounded(loops, dtype):
    zeros = np.array([0.0, -0.0], dtype)
    at_zero = evaluate(loops["tanh"], zeros)
    np.testing.assert_array_equal(at_zero, 0)
    np.testing.assert_array_equal(np.signbit(at_zero), [False, True])
    np.testing.assert_array_equal(evaluate(loops["logistic"], zeros), 0.5)
    np.testing.assert_array_equal(evaluate(loops["softplus"], zeros), dtype(np.log(2)))


def test_tanh_is_odd_to_the_bit_and_at_most_one(loops, dtype, rng):
    x = everywhere(dtype, rng)
    values = evaluate(loops["tanh"], x)
    assert values.tobytes() == (-evaluate(loops["tanh"], -x)).tobytes()
    assert np.abs(values).max() == 1


def test_tanh_of_a_small_number_is_the_number(loops, dtype, rng):
    x = everywhere(dtype, rng)
    x = x[np.abs(x) < np.sqrt(np.finfo(dtype).eps)]  # x**3 / 3 is then below half a unit in the last place
    np.testing.assert_array_equal(evaluate(loops["tanh"], x), x)


def test_tanh_is_monotone_on_a_dense_grid(loops, dtype):
    grid = np.linspace(-22, 22, 200_001).astype(dtype)
    assert np.diff(evaluate(loops["tanh"], grid)).min() >= 0


def test_neighbours_of_tanh_never_fall_by_more_than_a_unit_in_the_last_place(loops, dtype):
    """An error below one unit on either side could be a fall of two."""
    bits = np.dtype(f"i{np.dtype(dtype).itemsize}")
    for start in (0.1, 0.3, 0.64, 0.66, 0.87, 1.7, 5.0):
        x = (np.array(start, dtype).view(bits) + np.arange(20_000, dtype=bits)).view(dtype)
        values = evaluate(loops["tanh"], x)
        assert np.diff(values).min() >= -np.spacing(values[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_value_does_not_depend_on_its_place_in_an_array(loops, name, dtype, rng):
    """The last few elements go through scalar instructions, and the bits must not tell."""
    x = everywhere(dtype, rng)
    one_by_one = np.concatenate([evaluate(loops[name], x[t : t + 1]) for t in range(len(x))])
    np.testing.assert_array_equal(evaluate(loops[name], x), one_by_one)


@pytest.mark.parametrize("name", NAMES)
def test_type_of_the_argument_is_kept_and_others_are_refused(name, dtype):
    function = getattr(elementary, name)
    function(dtype(1))
    kind = numba.from_dtype(np.dtype(dtype))
    assert [s.return_type for s in function.nopython_signatures if s.args == (kind,)] == [kind]
    with pytest.raises(numba.TypingError):
        function(1)


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names of x86 instructions")
@pytest.mark.parametrize("name", NAMES)
def test_loop_becomes_packed_arithmetic_of_one_type(loops, name, dtype):
    evaluate(loops[name], np.zeros(1, dtype))
    kind = numba.from_dtype(np.dtype(dtype))
    assembly = next(text for (x, _), text in loops[name].inspect_asm().items() if x.dtype == kind)
    packed = "pd" if dtype is np.float64 else "ps"
    for operation in ("mul", "div", "add"):
        assert re.search(rf"\sv?\w*{operation}\w*{packed}\s.*%[xyz]mm", assembly)
    assert not re.search(r"\sv?cvt[sp][sd]2[sp][sd]\s", assembly)  # no conversion between the two types


def nodes(end, number):
    """Chebyshev nodes of [0, end]."""
    return [mpf(end) * (1 + mpmath.cos(mp.pi * (2 * i + 1) / (2 * number))) / 2 for i in range(number)]


def tanh_ratio(w):
    """tanh(r) / r, w = r**2"""
    return mpmath.tanh(mpmath.sqrt(w)) / mpmath.sqrt(w)


def log_part(v):
    """(2 artanh(y / 2) / y - 1) / v, v = y**2"""
    y = mpmath.sqrt(v)
    return (2 * mpmath.atanh(y / 2) / y - 1) / v


def interpolate(function, end, number):
    points = nodes(end, number)
    powers = mpmath.matrix([[x**j for j in range(number)] for x in points])
    return list(mpmath.lu_solve(powers, mpmath.matrix([function(x) for x in points])))


def interpolate_tanh(end, in_n, in_p):
    """N and P - 1 over w of tanh(r) / r = P / (P + w N)."""
    rows, right = [], []
    for w in nodes(end, in_n + in_p):
        f = tanh_ratio(w)
        rows.append([f * w**j for j in range(in_n)] + [(f - 1) * w**j for j in range(in_p)])
        right.append((1 - f) / w)
    solution = list(mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix(right)))
    return solution[:in_n], solution[in_n:]


# Written out, to be read with all digits: REACH**2; 0.174**2, a little above (ln 2 / 4)**2; the square of 2/3
REACH_SQUARED, EXP_END, LOG_END = "0.4225", "0.030276", "4/9"


def test_coefficients_come_from_the_stated_interpolation(dtype):
    c = CONSTANTS[dtype]
    n, p = interpolate_tanh(REACH_SQUARED, len(c.tanh_n), len(c.tanh_p) - 1)
    q = interpolate(lambda w: (1 / tanh_ratio(w) - 1) / w, EXP_END, len(c.exp_q) - 1)
    log_l = interpolate(log_part, LOG_END, len(c.log_l))
    for stored, solved in [(c.tanh_n, n), (c.tanh_p, [1, *p]), (c.exp_q, [1, *q]), (c.log_l, log_l)]:
        assert stored == tuple(dtype(float(v)) for v in solved)


def test_approximations_are_exact_to_a_fifth_of_a_unit_in_the_last_place(dtype):
    c = CONSTANTS[dtype]

    def value(coefficients, x):
        return sum(mpf(float(v)) * x**k for k, v in enumerate(coefficients))

    def tanh_error(w):
        p = value(c.tanh_p, w)
        return p / (p + w * value(c.tanh_n, w)) / tanh_ratio(w) - 1

    def exp_error(w):  # of (Q + r) / (Q - r), for both signs of r
        q, r = value(c.exp_q, w), mpmath.sqrt(w)
        return (q + r) / (q - r) / mpmath.exp(2 * r) - 1

    def log_error(v):
        return (1 + v * value(c.log_l, v)) / (1 + v * log_part(v)) - 1

    for relative, end in [(tanh_error, REACH_SQUARED), (exp_error, EXP_END), (log_error, LOG_END)]:
        assert max(abs(relative(mpf(end) * k / 300)) for k in range(1, 301)) < 0.2 * np.finfo(dtype).eps / 2


def test_reduction_subtracts_multiples_of_half_ln_2_exactly(dtype):
    c, info = CONSTANTS[dtype], np.finfo(dtype)
    half_ln2 = mpmath.log(2) / 2
    most = int(-c.vanished * c.inverse_step) + 1
    numerator, _ = float(c.step_high).as_integer_ratio()
    assert numerator.bit_length() + most.bit_length() <= info.nmant + 1
    assert most * abs(mpf(float(c.step_high)) + mpf(float(c.step_low)) - half_ln2) < float(info.eps) / 200
    assert c.step == dtype(float(half_ln2))
    assert c.inverse_step == dtype(float(1 / half_ln2))


def test_ends_lie_where_nothing_is_left(dtype):
    c, info = CONSTANTS[dtype], np.finfo(dtype)
    assert mpmath.exp(-2 * mpf(float(c.saturated))) < info.eps / 4
    assert mpmath.exp(2 * mpf(float(c.vanished))) < mpf(float(info.smallest_subnormal)) / 2
    assert mpmath.tanh(elementary.REACH) > mpf(1) / 2

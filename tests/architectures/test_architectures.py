"""Architectures as data: by name, equal and hashed, immutable; and what is refused."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

import pyham
from tests.oracles.refusals import refused
from tests.oracles.strategies import NAMES, ORDERS, SCHEMES, SPLIT, architectures, skew, well_conditioned

N, n, m, h = 3, 4, 2, 0.3


def make(name, **options):
    return pyham.architecture(name, **{"width": n, "depth": N, "step": h} | options)


@given(architectures())
def test_config_is_plain_data_that_builds_an_equal_architecture(arch):
    assert type(arch) is getattr(pyham, arch.name)
    rebuilt = pyham.architecture(**json.loads(json.dumps(arch.config())))
    assert rebuilt == arch
    assert hash(rebuilt) == hash(arch)
    assert rebuilt.config() == arch.config()
    assert arch != arch.config() and arch != arch.name


def test_architectures_that_differ_in_anything_are_not_equal():
    kinds = [make(name, **change) for name in NAMES
             for change in ({}, {"width": 6}, {"depth": 4}, {"step": 7}, {"activation": "relu"})]  # fmt: skip
    kinds += [
        make(name, scheme=scheme, order=order, width=8) for name in SPLIT for scheme in SCHEMES for order in ORDERS
    ]
    kinds += [make("H2", X=well_conditioned(m, seed)) for seed in (0, 1)]
    kinds += [make("H1", interconnection=J) for J in ("J2", skew(n, 0), skew(n, 1))]
    assert len(set(kinds)) == len(kinds)
    assert make("H2", X=well_conditioned(m, 0)) == make("H2", X=well_conditioned(m, 0).tolist())


def test_equal_architectures_hash_alike_whatever_the_sign_of_zero():
    plus = pyham.interconnection.J1(n) + 0.0
    one, other = (make("H1", interconnection=J) for J in (plus, np.where(plus == 0, -0.0, plus)))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("name", NAMES)
def test_architectures_are_frozen(name):
    arch = make(name)
    for field in ("width", "depth", "step", "activation"):
        with pytest.raises(AttributeError):
            setattr(arch, field, getattr(arch, field))
    assert str(arch).startswith(f"{name}(width=4, depth=3, step=0.3, activation='tanh'")


@pytest.mark.parametrize("name, option, matrix", [("H2", "X", np.eye(m)), ("H1", "interconnection", skew(n, 0))])
def test_given_matrices_are_copied(name, option, matrix):
    given_matrix = matrix.copy()
    arch = make(name, **{option: given_matrix})
    given_matrix[:] = 7
    np.testing.assert_array_equal(getattr(arch, option), matrix)
    assert np.array_equal(arch.J.T, -arch.J)


@pytest.mark.parametrize("name", ["MS3", "H1", "H2"])
def test_J_is_read_only(name):
    with pytest.raises(ValueError, match="read-only"):
        make(name).init(0).interconnection[0, 0] = 1


def test_integers_and_fractions_are_numbers():
    arch = pyham.MLP(width=np.int64(4), depth=np.uint8(3), step=Fraction(1, 2))
    assert (arch.width, arch.depth, arch.step) == (4, 3, 0.5)
    assert [type(value) for value in (arch.width, arch.depth, arch.step)] == [int, int, float]


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in ("MS2", "MLP", "ResNet")),
     *(("H1", {"interconnection": J}) for J in ("J2", skew(5, 0)))],
)  # fmt: skip
def test_odd_widths_are_allowed_where_there_are_no_halves(name, options, rng):
    assert make(name, width=5, **options).init(0)(rng.standard_normal((2, 5))).shape == (2, 5)
    assert options or make(name, width=1).init(0)(np.ones((2, 1))).shape == (2, 1)


# What is refused

STEP = "step: expected a positive finite number, got {}"
NO_SKEW = r"interconnection: expected a skew-symmetric matrix .*got J\[0, 0\] = 1.0 and J\[0, 0\] = 1.0"
SINGULAR = r"X: expected a nonsingular matrix, got singular values from 2 down to \S+"


def refusals():
    for name in NAMES:
        for width in (0, -4):
            yield {"name": name, "width": width}, ValueError, f"width: expected an integer >= [12], got {width}"
        yield {"name": name, "depth": -1}, ValueError, "depth: expected an integer >= 0, got -1"
        for value in (True, np.True_, 4.0, "4", None, [4]):
            for size in ("width", "depth"):
                message = rf"{size}: expected an integer >= \d, got {type(value).__name__}"
                yield {"name": name, size: value}, TypeError, message
        for step in (0, 0.0, -0.1, np.nan, np.inf):
            yield {"name": name, "step": step}, ValueError, STEP.format(step)
        yield {"name": name, "activation": "Tanh"}, ValueError, "activation: expected one of 'tanh', .*, got 'Tanh'"
        message = rf"layers: expected one of the options of {name} \(width, depth, step, .*\), got .*"
        yield {"name": name, "layers": 3}, TypeError, message
    for name in SPLIT:
        for width in (3, 7):
            yield {"name": name, "width": width}, ValueError, f"width: expected an even number .*, got {width}"
        for argument, allowed in (("scheme", SCHEMES), ("order", ORDERS)):
            message = f"{argument}: expected one of {', '.join(map(repr, allowed))}, got 'euler'"
            yield {"name": name, argument: "euler"}, ValueError, message
    yield {"name": "H1", "width": 1, "interconnection": "J2"}, ValueError, "width: expected an integer >= 2, got 1"
    yield {"name": "H1", "width": 5}, ValueError, "width: expected an even number .*, got 5"
    yield {"name": "MLP", "step": 10**400}, ValueError, STEP.format("1000.*")
    for step in (True, "0.1", None, 1j, [0.1]):
        yield {"name": "MLP", "step": step}, TypeError, STEP.format(type(step).__name__)
    for argument in ("scheme", "order", "activation"):
        yield {argument: 1}, TypeError, f"{argument}: expected one of '.*, got int"
    yield {"name": "H3"}, ValueError, "name: expected one of 'MS1', 'MS2', 'MS3', 'H1', 'H2', .*, got 'H3'"
    for name, option in (("MS2", "scheme"), ("MLP", "X"), ("H2", "interconnection"), ("MS3", "X")):
        yield {"name": name, option: "J1"}, TypeError, rf"{option}: expected one of the options of {name} \(.*"
    for J, error, message in (
        ("J3", ValueError, "interconnection: expected one of 'J1', 'J2', got 'J3'"),
        (np.eye(n), ValueError, NO_SKEW),
        (pyham.interconnection.J1(2), ValueError, r"interconnection: expected shape \(4, 4\), got \(2, 2\)"),
        (np.full((n, n), np.nan), ValueError, r"interconnection: expected finite .*, got nan at index \(0, 0\)"),
        (skew(n, 0) * 1j, TypeError, "interconnection: expected a real matrix, got dtype complex128"),
        (None, TypeError, "interconnection: expected numbers, got dtype object"),
    ):
        yield {"name": "H1", "interconnection": J}, error, message
    for X, error, message in (
        (np.ones((m, m)), ValueError, SINGULAR),
        (np.eye(n), ValueError, r"X: expected shape \(2, 2\), got \(4, 4\)"),
        (np.ones(m), ValueError, r"X: expected shape \(2, 2\), got \(2,\)"),
        ([[1, 0], [0, np.nan]], ValueError, r"X: expected finite numbers, got nan at index \(1, 1\)"),
        ([[1, 0], [0, np.inf]], ValueError, r"X: expected finite numbers, got inf at index \(1, 1\)"),
        (np.eye(m) * 1j, TypeError, "X: expected a real matrix, got dtype complex128"),
        ("I", TypeError, "X: expected numbers, got dtype <U1"),
    ):
        yield {"X": X}, error, message


test_what_is_refused = refused([
    *((lambda options: make(**{"name": "H2"} | options), *refusal) for refusal in refusals()),
    (lambda of: pyham.architecture("H2", **of), {"depth": 1}, TypeError, "width: expected an integer, got nothing"),
    (lambda of: pyham.architecture("H2", **of), {"width": 4}, TypeError, "depth: expected an integer, got nothing"),
])  # fmt: skip

"""Architectures as data: by name, equal and hashed, immutable; and what is refused."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

import pyham
from tests.architectures.test_architectures import N, h, m, make, n
from tests.oracles.refusals import refused
from tests.oracles.strategies import NAMES, ORDERS, SCHEMES, SPLIT, architectures, skew, well_conditioned

# By name, as data


@pytest.mark.parametrize("name", NAMES)
def test_architecture_by_name_is_the_class(name):
    kind = getattr(pyham, name)
    arch = pyham.architecture(name, width=n, depth=N, step=h)
    assert type(arch) is kind
    assert arch == kind(width=n, depth=N, step=h)
    assert arch.name == name


@given(architectures())
def test_config_is_plain_data_that_builds_an_equal_architecture(arch):
    rebuilt = pyham.architecture(**json.loads(json.dumps(arch.config())))
    assert rebuilt == arch
    assert hash(rebuilt) == hash(arch)
    assert rebuilt.config() == arch.config()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changed", [{"width": 6}, {"depth": 4}, {"step": 7}, {"activation": "relu"}])
def test_architectures_that_differ_are_not_equal(name, changed):
    assert make(name) != make(name, **changed)
    assert make(name) != make("MLP" if name == "ResNet" else "ResNet")


@pytest.mark.parametrize("name", SPLIT)
def test_architectures_differ_by_scheme_and_order(name):
    kinds = [make(name, scheme=scheme, order=order) for scheme in SCHEMES for order in ORDERS]
    assert len(set(kinds)) == len(kinds)


def test_architectures_differ_by_their_matrices():
    assert make("H2", X=well_conditioned(m, 0)) != make("H2", X=well_conditioned(m, 1))
    assert make("H2", X=well_conditioned(m, 0)) == make("H2", X=well_conditioned(m, 0).tolist())
    assert make("H1", interconnection="J1") != make("H1", interconnection="J2")
    assert make("H1", interconnection=skew(n, 0)) != make("H1", interconnection=skew(n, 1))


def test_equal_architectures_hash_alike_whatever_the_sign_of_zero():
    plus = pyham.interconnection.J1(n) + 0.0
    minus = np.where(plus == 0, -0.0, plus)
    one, other = make("H1", interconnection=plus), make("H1", interconnection=minus)
    assert one == other
    assert hash(one) == hash(other)


def test_an_architecture_equals_nothing_else():
    assert make("MLP") != "MLP"
    assert make("MLP") != make("MLP").config()


@pytest.mark.parametrize("name", NAMES)
def test_architectures_are_frozen(name):
    arch = make(name)
    for field in ("width", "depth", "step", "activation"):
        with pytest.raises(AttributeError):
            setattr(arch, field, getattr(arch, field))


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


@pytest.mark.parametrize("name", NAMES)
def test_str_names_the_architecture_and_its_options(name):
    assert str(make(name)).startswith(f"{name}(width=4, depth=3, step=0.3, activation='tanh'")


# Widths


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SPLIT and name != "H1"])
def test_odd_widths_are_allowed_where_there_are_no_halves(name, rng):
    assert make(name, width=5).init(0)(rng.standard_normal((2, 5))).shape == (2, 5)


@pytest.mark.parametrize("J", ["J2", skew(5, 0)], ids=["J2", "skew"])
def test_odd_widths_are_allowed_for_J_other_than_J1(J, rng):
    assert make("H1", width=5, interconnection=J).init(0)(rng.standard_normal((2, 5))).shape == (2, 5)


# What is refused

STEP = "step: expected a positive finite number, got {}"
NO_SKEW = r"interconnection: expected a skew-symmetric matrix .*got J\[0, 0\] = 1.0 and J\[0, 0\] = 1.0"
SINGULAR = r"X: expected a nonsingular matrix, got singular values from 2 down to \S+"


def built(options):
    """The architecture of that name, with these options in place of the usual ones."""
    return make(**{"name": "H2"} | options)


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


test_what_is_refused = refused([(built, *refusal) for refusal in refusals()])


@pytest.mark.parametrize(("missing", "given"), [("width", {"depth": 1}), ("depth", {"width": 4})])
def test_architecture__raises_on_missing_size(missing, given):
    with pytest.raises(TypeError, match=rf"^{missing}: expected an integer, got nothing$"):
        pyham.architecture("H2", **given)

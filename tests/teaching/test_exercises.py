"""Exercises accept their solutions, refuse everything else in words, and are those of the tutorials."""

import re
from pathlib import Path

import numpy as np
import pytest

import pyham
from pyham.teaching import exercises
from pyham.teaching.exercises import checking

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
NOTHING = (None, "?", float("nan"), [], [[1, 2], [3]], np.full((7, 7), 1.0), object(), lambda *_: None, lambda: 0)


def wrong_answers(one):
    """Answers that resemble the right one."""
    right = one.answer()
    if isinstance(one, checking.Choice):
        return [word for word in one.options if word != right]
    if isinstance(one, checking.Function):

        def changed(change):
            def function(*arguments):
                found = right(*arguments)
                return tuple(map(change, found)) if isinstance(found, tuple) else change(found)

            return function

        return [changed(change) for change in (lambda v: v + 1, lambda v: np.asarray(v)[None], lambda v: None)] + [
            changed(lambda v: 1.001 * np.asarray(v) + 1e-3)
        ]
    value = np.asarray(right, float)
    return [-value, 2 * value, value / 2, value + 1, value * (1 + 1e-4), value[None], value.astype(complex)]


@pytest.mark.parametrize("name", exercises.exercises())
def test_solutions_are_accepted_and_wrong_answers_are_not(name):
    one = exercises.exercise(name)
    verdict = exercises.check(name, one.answer())
    assert verdict and str(verdict) == repr(verdict) == f"{name}: Right."
    for answer in (*NOTHING, *wrong_answers(one)):
        verdict = exercises.check(name, answer)
        assert not verdict and verdict.words.startswith(f"{name}: ") and len(verdict.words) > 12
    assert one.question and len(one.hints) >= 2


def no_phi(q, K, g, t):
    """The Jacobian of the stage whose field is applied for t, not t phi(g t)."""
    right = exercises.exercise("11.4").right(q, K, g, t)
    right[: len(q), len(q) :] *= g * t / -np.expm1(-g * t)
    return right


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("11.1", lambda rates, h, j: np.exp(-h * rates[j:].sum() / 2)),  # sqrt(c_j)
        ("11.1", lambda rates, h, j: np.exp(-h * rates[: len(rates) - j].sum())),  # the layers in front
        ("11.1", lambda rates, h, j: np.exp(-h * rates[j + 1 :].sum())),
        ("11.1", lambda rates, h, j: np.exp(h * rates[j:].sum())),
        ("11.2", lambda z: (1 - np.exp(-z)) / z if z else 1.0),  # loses its digits near 0
        ("11.2", lambda z: -np.expm1(-z) / z),  # not at 0
        ("11.2", lambda z: 1 - z / 2 + z**2 / 6),  # near 0 only
        ("11.2", lambda z: np.expm1(z) / z if z else 1.0),
        ("11.3", np.log(1e3) / 3.2),  # gp + gq
        ("11.3", np.log(1e3) / 12.8),  # c for sqrt(c)
        ("11.3", np.log(1e3) / 6.3),  # one layer less
        ("11.4", no_phi),
        ("11.4", lambda *given: exercises.exercise("11.4").right(*given).T),
        ("11.4", lambda q, K, g, t: exercises.exercise("11.4").right(q, K, -g, t)),
        ("11.4", lambda q, K, g, t: exercises.exercise("11.4").right(q, K.T, g, t)),
    ],
)
def test_slips_with_damping_are_refused(name, answer):
    assert not exercises.check(name, answer)


def test_factor_and_jacobian_of_damping_are_those_of_a_network():
    rates, step = np.array([[0.5, -0.2], [0.1, 0.7]]), 0.3
    net = pyham.H2(4, 2, step, damping=rates).init(0)
    phi, J = net.sensitivity(np.ones((1, 4)))[:, 0], net.interconnection
    for j in range(3):
        c = exercises.exercise("11.1").right(rates, step, j)
        np.testing.assert_allclose(phi[j].T @ J @ phi[j], c * J, atol=1e-14)
    g, q, K = 0.6, np.array([0.4, -1.1]), net.params["Kq"][:1]
    stage = pyham.Network(pyham.H2(4, 1, step, damping=(g, 0)), {"Kp": 0 * K, "Kq": K, "b": np.zeros((1, 4))})
    expected = exercises.exercise("11.4").right(q, K[0], g, step)
    np.testing.assert_allclose(stage.sensitivity([[0.0, 0.0, *q]])[0, 0].T, expected, atol=1e-15)


def test_words_say_what_is_wrong():
    wanted = np.array([[1.0, 2.0], [3.0, 4.0]])
    raised = wanted + np.array([[0, 0], [1, 0]])
    says = lambda given, right=wanted: checking.compared(given, np.asarray(right), 1e-9)  # noqa: E731
    assert says(-wanted) == "the sign is wrong"
    assert says(wanted.T) == "this is the transpose of what it should be"
    assert says(2 * wanted) == "this is twice what it should be" and "half" in says(wanted / 2)
    assert "entry [1, 0]" in says(raised) and "too large" in says(raised)
    assert says([1.0]) == "expected an array of shape (2, 2), got shape (1,)"
    assert "transpose" in says(np.ones((2, 3)), np.ones((3, 2)))
    assert says(0.25, 4.0) == "this is the reciprocal of what it should be"
    assert says(5.0, 4.0) == "this is too large" and says(3.0, 4.0) == "this is too small"
    assert (
        says("four", 4.0) == "expected a number, got str 'four'" and says(None, 4.0) == "expected a number, got nothing"
    )
    assert says(True, 4.0) == "expected a number, got bool True" and "finite" in says(np.inf, 4.0)
    broken = exercises.check("01.2", lambda p, q: 1 / 0)
    assert "raised ZeroDivisionError" in broken.words


def test_hints_come_one_after_the_other_and_names_are_checked():
    hints = exercises.exercise("04.1").hints
    exercises._asked.pop("04.1", None)
    assert [exercises.hint("04.1") for _ in range(3)] == [*hints, hints[-1]]
    with pytest.raises(ValueError, match=r"name: expected one of .*01\.1.*, got '99\.1'"):
        exercises.check("99.1", 0)


def test_tutorials_ask_them_all_and_no_others():
    asked = {}
    for page in sorted(TUTORIALS.glob("[0-9]*.md")):
        for name, question in re.findall(r"^\*\*(\d\d\.\d)\*\* (.+(?:\n(?!\n).+)*)", page.read_text(), re.MULTILINE):
            assert name[:2] == page.name[:2]
            asked[name] = " ".join(question.replace("`", "").split())
    assert sorted(asked) == exercises.exercises()
    for name, question in asked.items():
        assert question == exercises.exercise(name).question

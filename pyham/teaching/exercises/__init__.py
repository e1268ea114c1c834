"""Exercises of the tutorials, whose answers a function checks: ``check("03.2", answer)``.

``checking`` has the kinds of questions and says in words what is wrong with an answer; each other module has the
exercises of a few tutorials. To add one, write it there: it is found by its name. Answers are computed, not stored.
"""

from typing import Any

from pyham import _check
from pyham.teaching.exercises import backwards, beyond, damping, structure
from pyham.teaching.exercises.checking import Exercise, Judgement

__all__ = ["Exercise", "Judgement", "check", "exercises", "hint"]

_ALL = {one.name: one for module in (backwards, structure, beyond, damping) for one in module.EXERCISES}
_asked: dict[str, int] = {}


def exercises() -> list[str]:
    """The names of all exercises, "01.1" being the first of tutorial 01."""
    return sorted(_ALL)


def exercise(name: str) -> Exercise:
    """The exercise of that name: its ``question``, its ``hints``, and ``check``."""
    return _ALL[_check.choice("name", name, exercises())]


def check(name: str, answer: Any) -> Judgement:
    """Whether the answer is right, and in words what is wrong if it is not; true where it is right.

    Parameters
    ----------
    name : of the exercise, such as "03.2"
    answer : a number, an array, a word or a function, as the exercise asks for

    Raises
    ------
    ValueError
        If there is no exercise of that name; the message lists those that there are.
    """
    return exercise(name).check(answer)


def hint(name: str) -> str:
    """The first hint of an exercise, at the next call the second, and from then on the last one again."""
    hints = exercise(name).hints
    _asked[name] = asked = _asked.get(name, 0) + 1
    return hints[min(asked, len(hints)) - 1]

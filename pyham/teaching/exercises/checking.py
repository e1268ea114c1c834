"""Kinds of questions, and what is wrong with an answer, in words."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

RIGHT = "Right."
TRIES = 20  # arguments on which a function is compared with the right one


class Judgement(NamedTuple):
    """What ``check`` gives: print it, or ask whether it is true."""

    right: bool
    words: str

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        return self.words

    def __repr__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Exercise(ABC):
    """One question.

    Parameters
    ----------
    name : "03.2" is the second exercise of tutorial 03
    question : as the tutorial asks it
    answer : computes the right answer
    hints : from the first to the one that gives most away
    """

    name: str
    question: str
    answer: Callable[[], Any]
    hints: Sequence[str]

    @cached_property
    def right(self) -> Any:
        """The right answer, computed once."""
        return self.answer()

    def check(self, given: Any) -> Judgement:
        """The verdict on an answer."""
        problem = self.problem(given)
        return Judgement(not problem, f"{self.name}: {problem or RIGHT}")

    @abstractmethod
    def problem(self, given: Any) -> str:
        """What is wrong, as a sentence; "" if nothing is."""


@dataclass(frozen=True)
class Numbers(Exercise):
    """A number, or an array of them, within a relative tolerance of ``rtol``."""

    rtol: float = 1e-6

    def problem(self, given: Any) -> str:
        return compared(given, np.asarray(self.right), self.rtol)


@dataclass(frozen=True)
class Choice(Exercise):
    """One of several words, ``answer()`` being the right one."""

    options: Sequence[str] = ()

    def problem(self, given: Any) -> str:
        if not isinstance(given, str):
            return f"expected one of {', '.join(map(repr, self.options))}, got {type(given).__name__}"
        word = given.strip().lower()
        if word not in self.options:
            return f"expected one of {', '.join(map(repr, self.options))}, got {given!r}"
        return "" if word == self.right else f"{word!r} is not right; hint({self.name!r}) helps"


@dataclass(frozen=True)
class Function(Exercise):
    """A function that must give what ``answer()``, a function too, gives, on random arguments ``draw(rng)``."""

    draw: Callable[[np.random.Generator], tuple[Any, ...]] = lambda rng: (rng.standard_normal(),)
    rtol: float = 1e-9

    def problem(self, given: Any) -> str:
        if not callable(given):
            return f"expected a function, got {type(given).__name__}"
        rng, right = np.random.default_rng(0), self.right
        for _ in range(TRIES):
            arguments = self.draw(rng)
            kept = tuple(np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments)
            shown = ", ".join(np.array2string(np.asarray(a), precision=3, separator=", ") for a in arguments)
            try:
                came = given(*arguments)
            except Exception as error:  # whatever the learner's code does is to be shown
                return f"with the arguments {shown} your function raised {type(error).__name__}: {error}"
            wanted = right(*kept)
            if isinstance(wanted, tuple):
                if not isinstance(came, (tuple, list)) or len(came) != len(wanted):
                    return f"expected a function that returns {len(wanted)} things, got {type(came).__name__}"
                problems = [compared(c, np.asarray(w), self.rtol) for c, w in zip(came, wanted, strict=True)]
                problem = next((f"number {i + 1} of the results: {p}" for i, p in enumerate(problems) if p), "")
            else:
                problem = compared(came, np.asarray(wanted), self.rtol)
            if problem:
                return f"with the arguments {shown}: {problem}"
        return ""


def compared(given: Any, wanted: Array, rtol: float) -> str:
    """How a number or an array differs from the one that is wanted; "" if it does not."""
    try:
        came = np.asarray(given)
    except ValueError:
        came = np.asarray(given, dtype=object)
    expected = "a number" if not wanted.ndim else f"an array of shape {wanted.shape}"
    if wanted.dtype == bool:
        if came.dtype != bool or came.shape != wanted.shape:
            return (
                f"expected {'True or False' if not wanted.ndim else expected + ' of truth values'}, got {kind(given)}"
            )
        return "" if (came == wanted).all() else "it is the other way round" if not wanted.ndim else "not all are right"
    if came.dtype.kind not in "fiu" or came.dtype == bool:
        return f"expected {expected}, got {kind(given)}"
    if came.shape != wanted.shape:
        turned = came.ndim == 2 and came.T.shape == wanted.shape
        return f"expected {expected}, got shape {came.shape}{', which is its transpose' if turned else ''}"
    if not np.isfinite(came).all():
        return f"expected {expected} that is finite, got infinity or NaN"
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    if (np.abs(came - wanted) <= rtol * scale).all():
        return ""
    return related(came.astype(float), wanted.astype(float), max(rtol, 1e-6) * scale)


def related(came: Array, wanted: Array, near: float) -> str:
    """What a wrong answer has to do with the right one."""

    def close(other: Array) -> bool:
        return bool((np.abs(came - other) <= near).all())

    if close(-wanted):
        return "the sign is wrong"
    for factor, words in ((2.0, "twice"), (0.5, "half of")):
        if close(factor * wanted):
            return f"this is {words} what it should be"
    if came.ndim == 2 and came.shape[0] == came.shape[1] and close(wanted.T):
        return "this is the transpose of what it should be"
    if not wanted.ndim:
        with np.errstate(divide="ignore"):
            if wanted and close(1 / wanted):
                return "this is the reciprocal of what it should be"
        return "this is too large" if came > wanted else "this is too small"
    wrong = np.argwhere(np.abs(came - wanted) > near)[0]
    place = "[" + ", ".join(map(str, wrong)) + "]"
    size = "large" if came[tuple(wrong)] > wanted[tuple(wrong)] else "small"
    return f"entry {place} is not right: {came[tuple(wrong)]:.6g} is too {size}"


def kind(given: Any) -> str:
    """What somebody gave."""
    return "nothing" if given is None else f"{type(given).__name__} {given!r}"[:60]

"""What a check finds, and how far that may be from zero."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from pyham import continuous
from validation.faults import EPS

Array = np.ndarray[Any, Any]


class Reading(NamedTuple):
    """What a check found on a network: a residual, and whether it is one that must not be."""

    check: str
    network: str
    residual: float
    wrong: bool


Check = Callable[[], Iterable[Reading]]

#: For what is exact but for rounding: sums of some ten terms, through up to 14 stages, are right to some 10 eps; and
#: room for 150 samples, and for another machine's tanh and order of summation
ROUNDING = 256 * EPS
#: Compiled and reference differ in the order of their sums, over up to 150 samples
ENGINES = 50 * EPS
#: DOP853 keeps the error of a step below RTOL; three layers of a few steps, whose errors grow
SOLVER = 1000 * continuous.RTOL


def reading(check: str, network: str, values: Array, limit: float) -> Reading:
    """The largest of the values, which is wrong above the limit, or if NaN."""
    largest = float(np.max(values))
    return Reading(check, network, largest, not largest <= limit)


def difference(found: Array, right: Any) -> Array:
    """Largest difference relative to the largest entry of ``right``; inf if the shapes differ."""
    if np.shape(found) != np.shape(right):
        return np.array(np.inf)
    size = float(np.max(np.abs(right)))
    return np.asarray(np.max(np.abs(found - right)) / (size if size > 0 else 1.0))


def norm(M: Array) -> float:
    """||M||_2."""
    return float(np.linalg.norm(M, 2))

"""``Law``: what an architecture of one's own promises of its networks, as its certificate asks it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pyham.network import Network

Array = np.ndarray[Any, Any]
#: From a network and samples x (B, n): numbers, and what rounding may make of them, of every layer and sample (N, B).
Measure = Callable[[Network, Array], tuple[Array, Array]]


class Law(NamedTuple):
    """A statement that is checked by numbers that are at most their tolerance, and a neighbour for which they are not.

    Parameters
    ----------
    name, statement : one word or two, and the formula
    measure : a function (net, x) -> (numbers, tolerances), each (N, B) or broadcast to it
    neighbour : what the control is
    control : as ``measure``, of the neighbouring case, which must violate its tolerance somewhere

    An architecture lists its laws in a method ``laws(self)``; ``pyham.certify`` asks them after its own questions.
    """

    name: str
    statement: str
    measure: Measure
    neighbour: str
    control: Measure

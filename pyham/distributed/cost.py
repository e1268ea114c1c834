"""What a step costs a node, counted, and a model of the time that it takes: latency, bandwidth and arithmetic.

A forward and a backward pass of an H1 network in which every node owns r states, hears d neighbours, and J is block
diagonal. In each layer and for B samples of s bytes a number:

    messages sent    4 d                    y, K^T sigma, h J^T delta and K^T g, one for each neighbour
    bytes sent       4 d r B s
    multiplications  12 r (d + 1) r B       and additions: six products with the node's rows of K, 2 r k B each

The counts are exact, and tested against what is sent. The time is a model, a sum of what each of them takes:

    seconds = a layers + latency messages + bytes / bandwidth + operations / rate
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Work(NamedTuple):
    """Of one node and step, or of all nodes: layers passed, messages and bytes sent, multiplications and additions."""

    layers: float
    messages: float
    bytes: float
    operations: float


def node(degree: float, *, states: int, layers: int, samples: int, itemsize: int = 8) -> Work:
    """What a step costs a node that hears ``degree`` others and owns ``states`` entries of y."""
    block = states * samples
    return Work(layers, 4 * degree * layers, 4 * degree * layers * block * itemsize,
                12 * (degree + 1) * states * layers * block)  # fmt: skip


def total(degrees: Array, **sizes: int) -> Work:
    """The sum over nodes of these degrees (M,)."""
    return Work(*np.sum([node(float(d), **sizes) for d in degrees], axis=0).tolist())


@dataclass(frozen=True)
class CostModel:
    """Seconds that each unit of ``Work`` takes."""

    layer: float
    message: float
    byte: float
    operation: float

    def seconds(self, work: Work) -> float:
        """Of that work, one thing after the other."""
        parts = zip((self.layer, self.message, self.byte, self.operation), work, strict=True)
        return float(sum(a * b for a, b in parts))

    @classmethod
    def fit(cls, works: Sequence[Work], seconds: Sequence[float]) -> "CostModel":
        """The model whose relative errors have the smallest sum of squares; no unit takes less than no time."""
        from scipy.optimize import nnls  # here, because importing pyham should not import SciPy

        A = np.array(works) / np.asarray(seconds)[:, None]
        scale = np.where(A.any(axis=0), A.max(axis=0), 1)  # what nobody has done takes no time
        found, _ = nnls(A / scale, np.ones(len(A)))
        return cls(*(found / scale).tolist())

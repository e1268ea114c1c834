"""On a graph: MS3 with one matrix for both halves, on the edges of any graph."""

from dataclasses import dataclass

import pyham
from pyham.architectures.on_graph import OnGraph
from pyham.architectures.split import Split


@pyham.register
@dataclass(frozen=True, eq=False, repr=False)
class TiedGraph(OnGraph, Split):
    """p <- p + h M^T sigma(M q + b1), q <- q - h M^T sigma(M p + b2)."""

    @property
    def shapes(self):
        return {"M": (self.depth, *self.block_shape), "b": (self.depth, self.width)}

    @property
    def J(self):
        return pyham.interconnection.J1(self.width)

    @property
    def entries_of_J(self):
        return pyham.interconnection.entries_of_J1(self.width)

    def weights(self, params):
        return params["M"], params["M"]

    def collect(self, gradients):
        return {"M": gradients[0] + gradients[1]}

"""With a convolution: H2 of images whose two halves share one kernel a layer, at one resolution."""

from dataclasses import dataclass

import pyham
from pyham.architectures.base import Part
from pyham.architectures.maps import Convolution
from pyham.architectures.schemes import SPLITTINGS


@pyham.register
@dataclass(frozen=True, eq=False)
class TiedImages(pyham.Architecture):
    """p <- p - h M^T * sigma(M * q + bq), q <- q + h M^T * sigma(M * p + bp); states are (B, width, 6, 6)."""

    @property
    def parts(self):
        p, q = slice(0, self.width // 2), slice(self.width // 2, self.width)
        return Part(dst=p, rows=q, src=q), Part(dst=q, rows=p, src=p)

    steps = SPLITTINGS["verlet"]
    maps = Convolution(3), Convolution(3)

    @property
    def shape(self):
        return self.width, 6, 6

    @property
    def J(self):
        return -pyham.interconnection.J1(self.width * 36)

    @property
    def coupling(self):
        return -pyham.interconnection.J1(self.width)

    @property
    def shapes(self):
        m = self.width // 2
        return {"M": (self.depth, m, m, 3, 3), "b": (self.depth, self.width)}

    def weights(self, params):
        return params["M"], params["M"]

    def collect(self, gradients):
        return {"M": gradients[0] + gradients[1]}

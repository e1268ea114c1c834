"""Dissipative by hand: y <- y - h K^T sigma(K y + b), the descent of H, with a law of its own for the certificate."""

from dataclasses import dataclass

import numpy as np

import pyham
from pyham.architectures.base import Part
from pyham.architectures.schemes import EULER
from pyham.verification import Law, euler


def asymmetry(net, x, factor=1.0):
    """||D - D^T|| of every layer's Jacobian, and a bound of its rounding errors."""
    D = euler.layer_jacobians(net, x).astype(float)
    size = np.linalg.norm(D, axis=(-2, -1))
    D[..., 0, 1] += 1 - factor  # the control: one entry moved
    return np.linalg.norm(D - D.swapaxes(-1, -2), axis=(-2, -1)), 8 * x.shape[1] * np.finfo(x.dtype).eps * (1 + size)


@pyham.register
@dataclass(frozen=True, eq=False)
class Descent(pyham.Architecture):
    """y' = -grad H: energy falls, and every layer's Jacobian is symmetric."""

    @property
    def parts(self):
        return (Part(dst=slice(0, self.width), rows=slice(0, self.width), src=slice(0, self.width)),)

    steps = EULER
    interconnected = True

    @property
    def coupling(self):
        return -np.eye(self.width)

    @property
    def shapes(self):
        return {"K": (self.depth, self.width, self.width), "b": (self.depth, self.width)}

    def weights(self, params):
        return (params["K"],)

    def collect(self, gradients):
        return {"K": gradients[0]}

    def laws(self):
        return (Law("symmetry", "D = D^T", asymmetry, "one entry of D moved", lambda n, x: asymmetry(n, x, 0.9)),)

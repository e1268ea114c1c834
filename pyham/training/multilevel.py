"""Multilevel training: the weights of a network, carried in time to one of twice the depth and half the step.

Both networks discretise the same continuous one, in the same sense: with the weights K(t) of a network of N layers as

=======  ===============================================================================================================
kind     K(t)
=======  ===============================================================================================================
repeat   a constant on every interval [j h, (j + 1) h): layers 2 j and 2 j + 1 get K_j (Chang et al., ICLR 2018)
linear   a piecewise linear function with nodes K_j at j h, constant after the last node: layer 2 j gets K_j and layer
         2 j + 1 the mean of K_j and K_{j+1} (Haber and Ruthotto 2017)
=======  ===============================================================================================================

K(t) is the same before and after, whatever the number of doublings. So outputs converge to those of one and the same
equation: of "repeat" with the order of the scheme, since K is constant within every step; of "linear" with order 1,
since every scheme here takes the weights of a step at its beginning. Biases and all other parameters go likewise:
assembling K from them is linear.
"""

from typing import Any

import numpy as np

from pyham import _check
from pyham.network import Network

Array = np.ndarray[Any, Any]

KINDS = ("repeat", "linear")


def prolong(net: Network, kind: str = "repeat") -> Network:
    """The network of twice the depth and half the step, the final time unchanged.

    Raises
    ------
    TypeError, ValueError
        If ``net`` is no network, or an MLP, which discretises no equation; or ``kind`` is unknown.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    if not net.arch.keep:
        raise ValueError(f"net: expected a network that discretises an equation, got {net.arch.name}")
    _check.choice("kind", kind, KINDS)
    arch = net.arch.refined()
    same = {name for name, shape in arch.shapes.items() if shape == net.params[name].shape}  # learnt, of no layer
    refined = {name: value if name in same else _refine(value, kind) for name, value in net.params.items()}
    return Network(arch, refined)


def _refine(value: Array, kind: str) -> Array:
    """Twice as many layers (2 N, ...) from (N, ...)."""
    fine = np.repeat(value, 2, axis=0)
    if kind == "linear":
        fine[1:-1:2] = (value[:-1] + value[1:]) / 2
    return fine

"""Neighbouring networks in which a check must fail: the same weights without the structure that the theorem needs."""

from dataclasses import replace
from typing import Any

import numpy as np

from pyham.architectures.base import Architecture
from pyham.architectures.stages import Stages
from pyham.architectures.vectors import H1, MLP, ResNet
from pyham.network import Network
from pyham.verification.bounds import spectral_norm

Array = np.ndarray[Any, Any]


def forward_euler(net: Network) -> Network:
    """The same K, b, J and step by forward Euler: not symplectic, by h^2 a layer."""
    arch = net.arch
    twin: Architecture
    if arch.J is None:
        twin = ResNet(arch.width, arch.depth, arch.step, arch.activation)
    else:
        twin = H1(arch.width, arch.depth, arch.step, arch.activation, interconnection=arch.J)
    return Network(twin, {"K": net.K, "b": net.b})


def contracting_mlp(net: Network) -> Network:
    """An MLP with the same weights, scaled to S ||K_j||_2 = 1/2: every layer halves sensitivities at least."""
    arch = net.arch
    slope = net.stages().activation.slope
    sizes = np.maximum(spectral_norm(net.K), np.finfo(np.float64).tiny)
    scale = (0.5 / slope / sizes).astype(net.dtype)
    mlp = MLP(arch.width, arch.depth, arch.step, arch.activation)
    return Network(mlp, {"K": net.K * scale[:, None, None], "b": net.b})


class Stretched(Network):
    """A network whose last stage is ``factor`` times what its parameters say: bounds computed from them fail."""

    def __init__(self, net: Network, factor: float) -> None:
        super().__init__(net.arch, dict(net.params))
        self._factor = factor

    def stages(self, dtype: object = None) -> Stages:
        stages = super().stages(dtype)
        W = stages.W.copy()
        W[-1:] *= stages.dtype.type(self._factor)
        return replace(stages, W=W)

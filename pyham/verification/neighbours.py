"""Neighbouring networks in which a check must fail: the same weights without the structure that the theorem needs."""

from dataclasses import replace
from typing import Any

import numpy as np

from pyham.architectures.base import Architecture
from pyham.architectures.chain import AnyStages, Chain
from pyham.architectures.maps import DENSE
from pyham.architectures.vectors import H1, ResNet
from pyham.network import Network

Array = np.ndarray[Any, Any]


def forward_euler(net: Network) -> Network:
    """The same K, b, J and step by forward Euler: not symplectic, by h^2 a layer."""
    net = net.settled
    arch = net.arch
    twin: Architecture
    if arch.J is None:
        twin = ResNet(arch.width, arch.depth, arch.step, arch.activation)
    else:
        twin = H1(arch.width, arch.depth, arch.step, arch.activation, interconnection=arch.J)
    return Network(twin, {"K": net.K, "b": net.b})


def euler_stages(stages: AnyStages) -> AnyStages:
    """All stages of a layer at once, each from the state that enters the layer: forward Euler with the same weights."""
    found = []
    for section in stages.sections:
        N, L, n = section.depth, section.per_layer, section.width
        A_map, W_map = (of if of.space else DENSE for of in section.maps)
        A, W = (M if of.space else of.dense(M) for of, M in zip(section.maps, (section.A, section.W), strict=True))
        r, space = A.shape[1], A.shape[3:]
        rows = np.zeros((N, L * r, n, *space), A.dtype)
        columns = np.zeros((N, n, L * r, *space), A.dtype)
        for s, (src, dst) in enumerate(zip(section.src, section.dst, strict=True)):
            own = slice(s * r, (s + 1) * r)
            rows[:, own, src], columns[:, dst, own] = A[s::L], W[s::L]
        everything = (slice(0, n),)
        c = section.c.reshape(N, L * r)
        keep = section.keep[::L]
        changed = replace(section, A=rows, c=c, W=columns, src=everything, dst=everything, keep=keep)
        found.append(replace(changed, maps=(A_map, W_map)))
    return found[0] if len(found) == 1 else Chain(found)

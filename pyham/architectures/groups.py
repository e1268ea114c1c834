"""The one form of every image network: groups of convolutional stages.

The state is y (B, C, H, W). A group begins with a squeeze, or not, and then stage s reads the channels ``src`` and
updates the channels ``dst``, as in ``pyham.architectures.stages`` with a convolution * in the place of the matrix
product:

    y[dst] <- keep * y[dst] + W_s * sigma(A_s * y[src] + c_s)

Kernels of size 1 act on every pixel by itself: a network of ``pyham.architectures.stages`` at every pixel
(``pixelwise``). An architecture is a lowering, parameters to groups, and its pullback; the engines know groups only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import Activation
from pyham.architectures.stages import StageGradients, Stages

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Group:
    """S stages at one resolution.

    Parameters
    ----------
    A (S, r, k, t, t), c (S, r), W (S, d, r, t, t) : t odd
    src, dst : slices of channels, of lengths k and d, one for each of the stages of a layer
    keep : True to add to y[dst], False to overwrite it
    channels : C, after the squeeze
    squeeze : whether 2 x 2 pixels become 4 channels first
    """

    A: Array
    c: Array
    W: Array
    src: tuple[slice, ...]
    dst: tuple[slice, ...]
    keep: bool
    activation: Activation
    channels: int
    squeeze: bool = False

    def __post_init__(self) -> None:
        count, r, k, t, _ = self.A.shape
        d = self.W.shape[1]
        if self.c.shape != (count, r) or self.W.shape != (count, d, r, t, t) or self.A.shape[-1] != t or not t % 2:
            raise ValueError(f"group: A {self.A.shape}, c {self.c.shape} and W {self.W.shape} do not fit together")
        if len(self.src) != len(self.dst) or not self.src or count % len(self.src):
            raise ValueError(f"group: {count} stages do not divide into layers of {len(self.src)} and {len(self.dst)}")
        if self.squeeze and not count:
            raise ValueError("group: expected at least one stage after a squeeze, got none")
        for name, slices, length in (("src", self.src, k), ("dst", self.dst, d)):
            for s in slices:
                if not 0 <= s.start < s.stop <= self.channels or s.stop - s.start != length:
                    raise ValueError(f"group: {name} expected slices of {length} among {self.channels}, got {s}")

    @property
    def per_layer(self) -> int:
        """Stages per layer."""
        return len(self.src)

    @property
    def depth(self) -> int:
        """Layers."""
        return len(self.A) // self.per_layer

    @property
    def size(self) -> int:
        """t of the kernels."""
        return int(self.A.shape[-1])

    def layer(self, j: int) -> "Group":
        """Layer j alone, without the squeeze."""
        part = slice(j * self.per_layer, (j + 1) * self.per_layer)
        return replace(self, A=self.A[part], c=self.c[part], W=self.W[part], squeeze=False)


class Lift(NamedTuple):
    """The first layer, from one channel to C: y_0 = kernel * x + bias, kernel (C, 1, 3, 3) and bias (C,)."""

    kernel: Array
    bias: Array


def pixelwise(stages: Stages) -> Group:
    """A network of vectors as one group, which applies it to the channels of every pixel."""
    A, W = stages.A[..., None, None], stages.W[..., None, None]
    return Group(A, stages.c, W, stages.src, stages.dst, stages.keep, stages.activation, stages.width)


def flat(gradients: StageGradients) -> StageGradients:
    """Gradients of kernels of size 1, as those of matrices."""
    return StageGradients(gradients.A[..., 0, 0], gradients.c, gradients.W[..., 0, 0])


def shapes(groups: Sequence[Group], rows: int, columns: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of the state in each group, from images of that many rows and columns."""
    found = []
    for group in groups:
        if group.squeeze:
            rows, columns = rows // 2, columns // 2
        found.append((group.channels, rows, columns))
    return found

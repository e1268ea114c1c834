"""The one form of every network: a sequence of stages.

Stage s reads the slice ``src`` of the state y and updates the slice ``dst``:

    y[dst] <- keep * y[dst] + W_s sigma(A_s y[src] + c_s)          keep = 1 (residual) or 0 (MLP)

Forward Euler is one stage per layer with src = dst = all; semi-implicit Euler is two, Stormer-Verlet three, Yoshida's
scheme seven. Stage s belongs to layer s // per_layer. The engine knows stages only.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import Activation

Array = np.ndarray[Any, Any]


class StageGradients(NamedTuple):
    """Derivatives of a loss with respect to A (S, r, k), c (S, r) and W (S, d, r) of every stage."""

    A: Array
    c: Array
    W: Array


@dataclass(frozen=True, eq=False)
class Stages:
    """S stages of a network of width n: all share their shapes and activation; the slices repeat in every layer.

    Parameters
    ----------
    A (S, r, k), c (S, r) : what a stage reads, A y[src] + c
    W (S, d, r) : what it does with it, W sigma(...)
    src, dst : tuples of slices of lengths k and d, one for each of the stages of a layer
    keep : True to add to y[dst], False to overwrite it
    width : n
    """

    A: Array
    c: Array
    W: Array
    src: tuple[slice, ...]
    dst: tuple[slice, ...]
    keep: bool
    activation: Activation
    width: int

    def __post_init__(self) -> None:
        count, r, k = self.A.shape
        d = self.W.shape[1]
        if self.c.shape != (count, r) or self.W.shape != (count, d, r):
            raise ValueError(f"stages: A {self.A.shape}, c {self.c.shape} and W {self.W.shape} do not fit together")
        if not self.A.dtype == self.c.dtype == self.W.dtype:
            raise TypeError(f"stages: expected one dtype, got {self.A.dtype}, {self.c.dtype} and {self.W.dtype}")
        if len(self.src) != len(self.dst) or not self.src or count % len(self.src):
            raise ValueError(f"stages: {count} stages do not divide into layers of {len(self.src)} and {len(self.dst)}")
        for name, slices, length in (("src", self.src, k), ("dst", self.dst, d)):
            for s in slices:
                if not 0 <= s.start < s.stop <= self.width or s.stop - s.start != length or s.step not in (None, 1):
                    raise ValueError(f"stages: {name} expected slices of length {length} in {self.width}, got {s}")

    @property
    def per_layer(self) -> int:
        """Stages per layer."""
        return len(self.src)

    @property
    def depth(self) -> int:
        """Layers N."""
        return len(self.A) // self.per_layer

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.A.dtype

    @property
    def shears(self) -> bool:
        """Whether every stage adds a function of one part of the state to a disjoint part: invertible, det 1."""
        return self.keep and all(
            src.stop <= dst.start or dst.stop <= src.start for src, dst in zip(self.src, self.dst, strict=True)
        )

    def layers(self, start: int, stop: int) -> "Stages":
        """The stages of the layers start .. stop - 1."""
        part = slice(start * self.per_layer, stop * self.per_layer)
        return replace(self, A=self.A[part], c=self.c[part], W=self.W[part])

    def astype(self, dtype: object) -> "Stages":
        """The same stages in another dtype."""
        target: Any = np.dtype(dtype)  # type: ignore[call-overload]
        if target == self.dtype:
            return self
        return replace(self, A=self.A.astype(target), c=self.c.astype(target), W=self.W.astype(target))

"""The one form of every network: a sequence of stages.

Stage s reads the channels ``src`` of the state y and updates the channels ``dst``:

    y[dst] <- keep * y[dst] + W_s sigma(A_s y[src] + c_s)          keep = 1 (residual), 0 (MLP), or another number

A and W are linear maps of one of the kinds of ``pyham.architectures.maps``: matrices, convolutions of images, or
matrices on the edges of a graph. Forward Euler is one stage per layer with src = dst = all; semi-implicit Euler is two,
Stormer-Verlet three, Yoshida's scheme seven. Stage s belongs to layer s // per_layer. The engines know stages only.

Networks of images may fall in resolution: a ``squeeze`` before the first stage makes four channels of 2 x 2 pixels, and
a ``pyham.architectures.chain.Chain`` is several such ``Stages`` one after the other.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import Activation
from pyham.architectures.convolution import squeeze, unsqueeze
from pyham.architectures.maps import DENSE, Convolution, Dense, Map

Array = np.ndarray[Any, Any]


class StageGradients(NamedTuple):
    """Derivatives of a loss with respect to A (S, ...), c (S, r) and W (S, ...) of every stage."""

    A: Array
    c: Array
    W: Array


Gradients = StageGradients | tuple[StageGradients, ...]  # of Stages, of a Chain


class Stage(NamedTuple):
    """One stage: its numbers, and the indices of a state's channels that it reads and updates."""

    A: Array
    c: Array
    W: Array
    keep: Any
    src: tuple[Any, ...]
    dst: tuple[Any, ...]
    maps: tuple[Map, Map]
    activation: Activation

    def inner(self, y: Array) -> Array:
        """a = A y[src] + c (..., r, *space) of a state y (..., n, *space)."""
        A = self.maps[0]
        return A.add(A.apply(self.A, y[self.src]), self.c)

    def update(self, a: Array) -> Array:
        """W sigma(a) (..., d, *space)."""
        return self.maps[1].apply(self.W, self.activation.sigma(a))


@dataclass(frozen=True, eq=False)
class Stages:
    """S stages of a network: all share their shapes and activation; the slices repeat in every layer.

    Parameters
    ----------
    A (S, ...), c (S, r) : what a stage reads, A y[src] + c; matrices (S, r, k), kernels (S, r, k, t, t), entries (S, E)
    W (S, ...) : what it does with it, W sigma(...); matrices (S, d, r), and so on
    src, dst : tuples of slices of channels, one for each of the stages of a layer
    keep : the factor of y[dst], one number or one for every stage (S,)
    width : channels of the state; n for vectors
    maps : the kinds of A and of W
    squeeze : whether 2 x 2 pixels become 4 channels before the first stage
    """

    A: Array
    c: Array
    W: Array
    src: tuple[slice, ...]
    dst: tuple[slice, ...]
    keep: Any
    activation: Activation
    width: int
    maps: tuple[Map, Map] = (DENSE, DENSE)
    squeeze: bool = False

    def __post_init__(self) -> None:
        count, dtype = len(self.A), self.A.dtype
        channelwise = all(isinstance(kind, (Dense, Convolution)) for kind in self.maps)  # A (S, r, k, ..)
        if not dtype == self.c.dtype == self.W.dtype:
            raise TypeError(f"stages: expected one dtype, got {dtype}, {self.c.dtype} and {self.W.dtype}")
        if len(self.c) != count or len(self.W) != count or (channelwise and not self._matrices_fit()):
            raise ValueError(f"stages: A {self.A.shape}, c {self.c.shape} and W {self.W.shape} do not fit together")
        if len(self.src) != len(self.dst) or not self.src or count % len(self.src):
            raise ValueError(f"stages: {count} stages do not divide into layers of {len(self.src)} and {len(self.dst)}")
        if self.squeeze and not count:
            raise ValueError("stages: expected at least one stage after a squeeze, got none")
        if not isinstance(self.keep, np.ndarray):
            object.__setattr__(self, "keep", np.full(count, self.keep, dtype if dtype.kind != "O" else None))
        elif self.keep.shape != (count,):
            raise ValueError(
                f"stages: expected one number keep for each of {count} stages, got shape {self.keep.shape}"
            )
        for name, slices in (("src", self.src), ("dst", self.dst)):
            length = slices[0].stop - slices[0].start
            if channelwise:
                length = self.A.shape[2] if name == "src" else self.W.shape[1]
            for s in slices:
                if not 0 <= s.start < s.stop <= self.width or s.stop - s.start != length or s.step not in (None, 1):
                    raise ValueError(f"stages: {name} expected slices of length {length} in {self.width}, got {s}")

    def _matrices_fit(self) -> bool:
        if self.A.ndim != 3 + self.maps[0].space or self.W.ndim != 3 + self.maps[1].space:
            return False
        return self.c.shape[1:] == self.A.shape[1:2] == self.W.shape[2:3]

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
    def count(self) -> int:
        """Stages S."""
        return len(self.A)

    @property
    def sections(self) -> "tuple[Stages, ...]":
        """This alone: the parts of a chain are several."""
        return (self,)

    @property
    def shears(self) -> bool:
        """Whether every stage adds a function of one part of the state to a disjoint part: invertible, det 1.

        That part may be multiplied by a positive number before, if the parts are halves: with damping det is known.
        """
        return self._keeps_enough and all(
            src.stop <= dst.start or dst.stop <= src.start for src, dst in zip(self.src, self.dst, strict=True)
        )

    @cached_property
    def _keeps_enough(self) -> bool:
        halves = all(2 * (dst.stop - dst.start) == self.width for dst in self.dst)
        return bool((self.keep == 1).all() or (halves and (np.real(self.keep) > 0).all()))

    def layers(self, start: int, stop: int) -> "Stages":
        """The stages of the layers start .. stop - 1."""
        part = slice(start * self.per_layer, stop * self.per_layer)
        squeezed = self.squeeze and start == 0 and stop > 0
        return replace(self, A=self.A[part], c=self.c[part], W=self.W[part], keep=self.keep[part], squeeze=squeezed)

    def renewed(self, A: Array, c: Array, W: Array) -> "Stages":
        """The same stages with other numbers of the same shapes and dtype; what is known of the slices is kept."""
        if (A.shape, c.shape, W.shape, A.dtype) != (self.A.shape, self.c.shape, self.W.shape, self.A.dtype):
            raise ValueError(f"stages: expected A {self.A.shape}, c {self.c.shape} and W {self.W.shape}, got others")
        _ = self.places  # worked out here once, not by each of the others
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, A=A, c=c, W=W)
        return other

    @cached_property
    def places(self) -> tuple[Array, Array, Array]:
        """Where src and dst begin, for each stage of a layer, and keep (S,), as arrays for compiled loops."""
        starts = [np.array([part.start for part in slices]) for slices in (self.src, self.dst)]
        return starts[0], starts[1], np.array(self.keep, order="C")

    def astype(self, dtype: object) -> "Stages":
        """The same stages in another dtype."""
        target: Any = np.dtype(dtype)  # type: ignore[call-overload]
        if target == self.dtype:
            return self
        A, c, W, keep = (array.astype(target) for array in (self.A, self.c, self.W, self.keep))
        return replace(self, A=A, c=c, W=W, keep=keep)

    # What the recursions of the engines ask for

    def of_layer(self, j: int) -> list[Stage]:
        """The stages of layer j, in their order."""
        first = j * self.per_layer
        return [
            Stage(
                self.A[first + i], self.c[first + i], self.W[first + i], self.keep[first + i],
                self.maps[0].channels(self.src[i]), self.maps[0].channels(self.dst[i]), self.maps, self.activation,
            )
            for i in range(self.per_layer)
        ]  # fmt: skip

    def enter(self, j: int, y: Array) -> Array:
        """The state that the first stage of layer j reads, from that which enters the layer: squeezed, or the same."""
        return squeeze(y) if self.squeeze and j == 0 else y

    def leave(self, j: int, delta: Array) -> Array:
        """The transpose of ``enter``, which is its inverse."""
        return unsqueeze(delta) if self.squeeze and j == 0 else delta

    def zero_gradients(self) -> Any:
        """Zeros for the gradients of all stages."""
        return StageGradients(np.zeros_like(self.A), np.zeros_like(self.c), np.zeros_like(self.W))

    def part(self, gradients: Any, start: int, stop: int) -> Any:
        """Views of the gradients of the layers start .. stop - 1, as ``layers(start, stop)`` has them."""
        return StageGradients(*(g[start * self.per_layer : stop * self.per_layer] for g in gradients))

    def gradients_of_layer(self, gradients: Any, j: int) -> StageGradients:
        """Views of those of layer j, one entry for each of its stages."""
        return StageGradients(*self.part(gradients, j, j + 1))

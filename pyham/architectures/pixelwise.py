"""A network of vectors at every pixel of an image, and what it shares with other architectures of images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.activations import Activation
from pyham.architectures.base import Architecture
from pyham.architectures.interface import ArchitectureBase
from pyham.architectures.maps import Convolution
from pyham.architectures.stages import StageGradients, Stages
from pyham.architectures.vectors import architecture

Array = np.ndarray[Any, Any]

LARGEST = 1 << 24  # numbers of a state, at most: a file may ask for any


@dataclass(frozen=True, eq=False)
class ImageArchitecture(ArchitectureBase):
    """What both share: images of ``rows`` x ``columns`` pixels.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """

    rows: int = 28
    columns: int = 28

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            object.__setattr__(self, name, _check.integer(name, getattr(self, name), 1))

    def limited(self) -> None:
        """Refuse states that are larger than any image needs."""
        if prod(self.shape) > LARGEST:
            raise ValueError(f"rows, columns: expected at most {LARGEST} numbers of a state, got {prod(self.shape)}")


@dataclass(frozen=True, eq=False)
class Pixelwise(ImageArchitecture):
    """``network`` (an Architecture of width C, or its ``config()``) at every pixel."""

    network: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.network, Mapping):
            object.__setattr__(self, "network", architecture(**self.network))
        if not isinstance(self.network, Architecture):
            raise TypeError(f"network: expected an Architecture, got {type(self.network).__name__}")
        self.limited()

    def __str__(self) -> str:
        return f"{self.network} at every pixel of {self.rows} x {self.columns}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.width, self.rows, self.columns

    @property
    def depth(self) -> int:
        """Layers N."""
        return int(self.network.depth)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self.network.shapes)

    @property
    def keep(self) -> bool:  # type: ignore[override]
        return bool(self.network.keep)

    def config(self) -> dict[str, Any]:
        return super().config() | {"network": self.network.config()}

    def log_factors(self) -> Array | None:
        found: Array | None = self.network.log_factors()
        return found

    @property
    def sigma(self) -> Activation | None:
        return self.network.sigma

    def lower(self, params: Mapping[str, Array]) -> Stages:
        stages = self.network.lower(params)
        A, W = stages.A[..., None, None], stages.W[..., None, None]
        return replace(stages, A=A, W=W, maps=(Convolution(1), Convolution(1)))

    def pullback(self, gradients: Any) -> dict[str, Array]:
        return dict(self.network.pullback(_of_pixels(gradients)))

    @property
    def learnt(self) -> tuple[str, ...]:
        return self.network.learnt

    def settled(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        network, rest = self.network.settled(params)
        return (replace(self, network=network) if self.learnt else self), rest

    def first_values(self) -> dict[str, Array]:
        return self.network.first_values()

    def gradients_at(self, sums: Any, params: Mapping[str, Array], ends: Array) -> dict[str, Array]:
        return self.network.gradients_at(_of_pixels(sums), params, ends)

    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        return self.network.smoothness(params)

    def scales(self, initialization: str) -> dict[str, float]:
        return self.network.scales(initialization)

    def assemble(self, params: Mapping[str, Array]) -> Array:
        """K (N, C, C) of the network at every pixel."""
        return self.network.assemble(params)


def _of_pixels(gradients: Any) -> StageGradients:
    """Those of a network of vectors, from those of convolutions of size 1."""
    A, c, W = gradients
    return StageGradients(A[..., 0, 0], c, W[..., 0, 0])

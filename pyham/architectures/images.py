"""Networks of images, as data: a network of vectors at every pixel, and one whose weights are convolutions.

A state is y (B, C, rows, columns). What comes before, from pixels to y_0, and behind, from y_N to classes, belongs to a
classifier (``pyham.training``).

===========  ==============================================================  ==========================================
name         layers                                                          symplectic
===========  ==============================================================  ==========================================
Pixelwise    any network of ``pyham.architectures`` of width C, on the       as that network is
             channels of every pixel (Galimberti et al. 2023)
ConvH2       p <- p - h Kq^T * sigma(Kq * q + bq),                           for J1, with any kernels, from y_0 to y_N
             q <- q + h Kp^T * sigma(Kp * p + bp),  Kp and Kq convolutions,
             at falling resolution: a squeeze between groups of layers
===========  ==============================================================  ==========================================

In ConvH2 the first half of the channels is p, the second q. A squeeze makes 4 channels of 2 x 2 pixels, of p and of q
alike, so it is a permutation P of p and the same P of q, which preserves J1: receptive field and width grow, nothing is
lost, and the whole map from y_0 to y_N is symplectic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.activations import Activation
from pyham.architectures.chain import Chain
from pyham.architectures.damping import checked_damping
from pyham.architectures.interconnection import J1
from pyham.architectures.learnt import is_learnt
from pyham.architectures.maps import Convolution, Map
from pyham.architectures.pixelwise import ImageArchitecture, Pixelwise
from pyham.architectures.vectors import H2, architecture

Array = np.ndarray[Any, Any]

__all__ = ["ConvH2", "ConvolutionalH2", "ImageArchitecture", "Pixelwise", "image_architecture"]


@dataclass(frozen=True, eq=False)
class ConvolutionalH2(H2):
    """H2 with kernels Kp, Kq (N, m, m, t, t) of ``size`` t in the place of matrices; its ``width`` are channels."""

    size: int = 3

    @property
    def maps(self) -> tuple[Map, Map]:
        return Convolution(self.size), Convolution(self.size)

    @property
    def inputs(self) -> int:
        return self.size**2 * self.width // 2

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        sides = (self.size, self.size)
        return {k: (*v, *sides) if k in ("Kp", "Kq") else v for k, v in super().shapes.items()}


@dataclass(frozen=True, eq=False)
class ConvH2(ImageArchitecture):
    """H2 whose Kp and Kq are convolutions of size ``size``.

    Parameters
    ----------
    width : C of y_0, even; four times that after each squeeze
    depths : layers of each group; before every group but the first comes a squeeze
    step : h;  activation : a name, or an Activation; relu, as in Chang et al. 2018, learns faster here than tanh does
    damping : rates of p and q, as of ``H2``; an array has as many rows as there are layers in all groups

    Parameters of group i, with m = C 4^i / 2: Kp<i>, Kq<i> (N_i, m, m, t, t) and b<i> (N_i, 2 m), bp first; and
    damping<i> (N_i, 2) where it is "learnt".
    """

    width: int = 4
    depths: tuple[int, ...] = (2, 2, 2)
    step: float = 0.5
    size: int = 3
    activation: str | Activation = "relu"
    damping: Any = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if _check.integer("width", self.width, 2) % 2:
            raise ValueError(f"width: expected an even integer, got {self.width}")
        if not isinstance(self.depths, (list, tuple)) or not self.depths:
            raise TypeError(f"depths: expected one or more integers >= 1, got {self.depths!r}")
        if len(self.depths) > 12:
            raise ValueError(f"depths: expected at most 12 groups, got {len(self.depths)}")
        object.__setattr__(self, "depths", tuple(_check.integer("depths", depth, 1) for depth in self.depths))
        factor = 2 ** (len(self.depths) - 1)
        for name in ("rows", "columns"):
            if getattr(self, name) % factor:
                raise ValueError(
                    f"{name}: expected a multiple of {factor} for {len(self.depths)} groups, got {getattr(self, name)}"
                )
        object.__setattr__(self, "step", _check.positive("step", self.step))
        if _check.integer("size", self.size, 1) % 2 == 0:
            raise ValueError(f"size: expected an odd integer, got {self.size}")
        if not is_learnt(self.damping):
            object.__setattr__(self, "damping", checked_damping(self.damping, self.depth))
        self.limited()
        self.groups  # noqa: B018  builds them now, so that an unknown activation is refused here

    def config(self) -> dict[str, Any]:
        return super().config() | {"depths": list(self.depths)}

    @cached_property
    def groups(self) -> tuple[ConvolutionalH2, ...]:
        """The network of each group, of width C 4^i."""
        options: dict[str, Any] = {"step": self.step, "activation": self.activation, "size": self.size}
        ends, by_layer = np.cumsum(self.depths), np.ndim(self.damping) == 2
        return tuple(
            ConvolutionalH2(
                self.width * 4**i,
                depth,
                damping=self.damping[end - depth : end] if by_layer else self.damping,
                **options,
            )
            for i, (depth, end) in enumerate(zip(self.depths, ends, strict=True))
        )

    def options(self) -> dict[str, Any]:
        found, damped = super().options(), is_learnt(self.damping) or np.any(self.damping)
        return found if damped else {k: v for k, v in found.items() if k != "damping"}

    @property
    def learnt(self) -> tuple[str, ...]:
        return ("damping",) if is_learnt(self.damping) else ()

    def settled(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        if not self.learnt:
            return self, dict(params)
        settled = [group.settled(self._of_group(params, i)) for i, group in enumerate(self.groups)]
        rates = np.concatenate([group.damping for group, _ in settled])
        return replace(self, damping=rates), {
            f"{k}{i}": v for i, (_, rest) in enumerate(settled) for k, v in rest.items()
        }

    def first_values(self) -> dict[str, Array]:
        return {
            f"{name}{i}": value for i, group in enumerate(self.groups) for name, value in group.first_values().items()
        }

    def gradients_at(self, sums: Any, params: Mapping[str, Array], ends: Array) -> dict[str, Array]:
        """A squeeze permutes the numbers of p, and of q, so that ``ends`` of both are the same in front of it."""
        if not self.learnt:
            return self.pullback(sums)
        found: dict[str, Array] = {}
        for i in reversed(range(len(self.groups))):
            of_group, ends = self.groups[i].gradients_until(sums[i], self._of_group(params, i), ends)
            found |= {f"{name}{i}": value for name, value in of_group.items()}
        return {name: found[name] for name in self.shapes}

    def log_factors(self) -> Array:
        return np.concatenate([group.log_factors() for group in self.groups])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.width, self.rows, self.columns

    @property
    def output_shape(self) -> tuple[int, ...]:
        shrunk = 2 ** (len(self.depths) - 1)
        return self.width * shrunk**2, self.rows // shrunk, self.columns // shrunk

    @property
    def depth(self) -> int:
        """Layers N."""
        return sum(self.depths)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {f"{name}{i}": shape for i, group in enumerate(self.groups) for name, shape in group.shapes.items()}

    @cached_property
    def J(self) -> Array:
        """J = -J1 (n, n), p the first half of a state's numbers in every group."""
        return _check.read_only(-J1(prod(self.shape)))

    def lower(self, params: Mapping[str, Array]) -> Chain:
        sections = [group.lower(self._of_group(params, i)) for i, group in enumerate(self.groups)]
        return Chain([replace(section, squeeze=i > 0) for i, section in enumerate(sections)])

    def pullback(self, gradients: Any) -> dict[str, Array]:
        found = [group.pullback(part) for group, part in zip(self.groups, gradients, strict=True)]
        return {f"{name}{i}": value for i, part in enumerate(found) for name, value in part.items()}

    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        penalty: Any = 0.0
        found: dict[str, Array] = {}
        for i, group in enumerate(self.groups):
            value, gradients = group.smoothness(self._of_group(params, i))
            penalty += value
            found |= {f"{name}{i}": gradient for name, gradient in gradients.items()}
        return penalty, found

    def _of_group(self, params: Mapping[str, Array], i: int) -> dict[str, Array]:
        """The parameters of group i, without its number."""
        return {name: params[f"{name}{i}"] for name in self.groups[i].shapes}

    def scales(self, initialization: str) -> dict[str, float]:
        return {f"{k}{i}": v for i, group in enumerate(self.groups) for k, v in group.scales(initialization).items()}


def image_architecture(name: str, **options: Any) -> ImageArchitecture:
    """ "ConvH2" or "Pixelwise" with its options, or the name of any network of vectors, with its options.

    Of the latter, ``rows`` and ``columns`` are the images'; ``width`` is 8 unless given.
    """
    if name == "ConvH2":
        return ConvH2(**options)
    if name == "Pixelwise":
        return Pixelwise(**options)
    images = {key: options.pop(key) for key in ("rows", "columns") if key in options}
    return Pixelwise(**images, network=architecture(name, **{"width": 8} | options))

"""Two kinds of image networks, as data: a network of vectors at every pixel, and one whose weights are convolutions.

Both begin with a lift, a convolution of size 3 from the image to C channels, and end with a linear layer on all of y_N.

===========  ==============================================================  ==========================================
name         between lift and linear layer                                   symplectic
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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures import penalties
from pyham.architectures.activations import activation as find_activation
from pyham.architectures.base import Architecture
from pyham.architectures.convolution import transposed
from pyham.architectures.groups import Group, flat, pixelwise
from pyham.architectures.image_base import ImageArchitecture, limited
from pyham.architectures.stages import StageGradients
from pyham.architectures.vectors import architecture

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pixelwise(ImageArchitecture):
    """``network`` (an Architecture of width C, or its ``config()``) at every pixel."""

    network: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.network, Mapping):
            object.__setattr__(self, "network", architecture(**self.network))
        if not isinstance(self.network, Architecture):
            raise TypeError(f"network: expected an Architecture, got {type(self.network).__name__}")
        limited(self.features)

    @property
    def name(self) -> str:
        return "Pixelwise"

    def __str__(self) -> str:
        return f"{self.network} at every pixel of {self.rows} x {self.columns}"

    @property
    def channels(self) -> int:
        return int(self.network.width)

    @property
    def depth(self) -> int:
        return int(self.network.depth)

    @property
    def inner(self) -> dict[str, tuple[int, ...]]:
        return dict(self.network.shapes)

    def config(self) -> dict[str, Any]:
        return super().config() | {"network": self.network.config()}

    def lower(self, params: Mapping[str, Array]) -> list[Group]:
        return [pixelwise(self.network.lower({name: params[name] for name in self.inner}))]

    def pullback(self, gradients: Sequence[StageGradients]) -> dict[str, Array]:
        return dict(self.network.pullback(flat(gradients[0])))

    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        return penalties.smoothness(self.network, {name: params[name] for name in self.inner})

    def scales(self, initialization: str) -> dict[str, float]:
        part = self.network.parts[0].src
        scale = 1.0 if initialization == "normal" else (part.stop - part.start) ** -0.5
        return dict.fromkeys(self.inner, scale)


@dataclass(frozen=True)
class ConvH2(ImageArchitecture):
    """H2 whose Kp and Kq are convolutions of size ``size``.

    Parameters
    ----------
    width : C of y_0, even; four times that after each squeeze
    depths : layers of each group; before every group but the first comes a squeeze
    step : h;  activation : sigma's name; relu, as in Chang et al. 2018, learns faster here than tanh does

    Parameters of group i, with m = C 4^i / 2: Kp<i>, Kq<i> (N_i, m, m, t, t) and b<i> (N_i, 2 m), bp first.
    """

    gain: float = 0.3
    width: int = 4
    depths: tuple[int, ...] = (2, 2, 2)
    step: float = 0.5
    size: int = 3
    activation: str = "relu"

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
        find_activation(self.activation)
        limited(self.features)

    def config(self) -> dict[str, Any]:
        return super().config() | {"depths": list(self.depths)}

    def __str__(self) -> str:
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        return f"ConvH2({', '.join(f'{name}={value!r}' for name, value in options.items())})"

    @property
    def channels(self) -> int:
        return self.width

    @property
    def depth(self) -> int:
        return sum(self.depths)

    @property
    def halves(self) -> list[int]:
        """m of each group."""
        return [self.width * 4**i // 2 for i in range(len(self.depths))]

    @property
    def inner(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for i, (N, m) in enumerate(zip(self.depths, self.halves, strict=True)):
            kernels = (N, m, m, self.size, self.size)
            found |= {f"Kp{i}": kernels, f"Kq{i}": kernels, f"b{i}": (N, 2 * m)}
        return found

    def lower(self, params: Mapping[str, Array]) -> list[Group]:
        groups = []
        for i, m in enumerate(self.halves):
            A, c = self._interleaved(params, i)
            W = transposed(A) * np.asarray(self.step, A.dtype)
            W[0::2] *= -1
            p, q = slice(0, m), slice(m, 2 * m)
            sigma = find_activation(self.activation)
            groups.append(Group(A, c, W, (q, p), (p, q), True, sigma, 2 * m, squeeze=i > 0))
        return groups

    def pullback(self, gradients: Sequence[StageGradients]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for i, (dA, dc, dW) in enumerate(gradients):
            h = np.asarray(self.step, dA.dtype)
            Kq = dA[0::2] - h * transposed(dW[0::2])
            Kp = dA[1::2] + h * transposed(dW[1::2])
            found |= {f"Kp{i}": Kp, f"Kq{i}": Kq, f"b{i}": np.concatenate((dc[1::2], dc[0::2]), axis=1)}
        return found

    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        penalty = 0.0
        found: dict[str, Array] = {}
        for name in self.inner:
            steps = np.diff(params[name], axis=0)
            penalty += self.step / 2 * (steps * steps).sum().item()
            found[name] = np.zeros_like(params[name])
            found[name][:-1] -= np.asarray(self.step, steps.dtype) * steps
            found[name][1:] += np.asarray(self.step, steps.dtype) * steps
        return penalty, found

    def scales(self, initialization: str) -> dict[str, float]:
        if initialization == "normal":
            return dict.fromkeys(self.inner, 1.0)
        return {name: (self.size**2 * self.halves[int(name.lstrip("Kpqb"))]) ** -0.5 for name in self.inner}

    def _interleaved(self, params: Mapping[str, Array], i: int) -> tuple[Array, Array]:
        """A (2 N, m, m, t, t) and c (2 N, m) of the stages: Kq, Kp, Kq, Kp and so on."""
        Kp, Kq, b = (params[f"{name}{i}"] for name in ("Kp", "Kq", "b"))
        N, m = Kp.shape[:2]
        A = np.stack((Kq, Kp), axis=1).reshape(2 * N, *Kp.shape[1:])
        return A, np.stack((b[:, m:], b[:, :m]), axis=1).reshape(2 * N, m)


def image_architecture(name: str, **options: Any) -> ImageArchitecture:
    """ "ConvH2" or "Pixelwise" with its options, or the name of any network of vectors, with its options.

    Of the latter, ``rows``, ``columns``, ``classes`` and ``gain`` (0.025) are the image network's; ``width`` is 8
    unless given.
    """
    if name == "ConvH2":
        return ConvH2(**options)
    if name == "Pixelwise":
        return Pixelwise(**options)
    images: dict[str, Any] = {"gain": 0.025}
    images |= {key: options.pop(key) for key in ("rows", "columns", "classes", "gain") if key in options}
    return Pixelwise(**images, network=architecture(name, **{"width": 8} | options))

"""What all image architectures share: ``ImageArchitecture``, and the first and last layer among the parameters."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.groups import Group, Lift
from pyham.architectures.stages import StageGradients
from pyham.engines.image_reference import MEAN, SPREAD

Array = np.ndarray[Any, Any]

INITIALIZATIONS = ("centred", "scaled-normal", "normal")
LARGEST = 1 << 24  # numbers of a state, at most: a file may ask for any


@dataclass(frozen=True)
class ImageArchitecture(ABC):
    """What both share: images of ``rows`` x ``columns`` pixels, ``classes`` of them, and the linear layer's ``gain``.

    z = gain (layer y_N + mu): a step of Adam changes every parameter by about its rate, and a logit by a sum of such
    changes over n features; a gain below 1 trains the linear layer more slowly than what is before it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """

    rows: int = 28
    columns: int = 28
    classes: int = 10
    gain: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", _check.positive("gain", self.gain))
        for name, least in (("rows", 1), ("columns", 1), ("classes", 2)):
            object.__setattr__(self, name, _check.integer(name, getattr(self, name), least))

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    @abstractmethod
    def channels(self) -> int:
        """C of y_0."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """Layers between lift and linear layer."""

    @property
    @abstractmethod
    def inner(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters between lift and linear layer, by name."""

    @abstractmethod
    def lower(self, params: Mapping[str, Array]) -> list[Group]:
        """The groups of stages of the network with these parameters."""

    @abstractmethod
    def pullback(self, gradients: Sequence[StageGradients]) -> dict[str, Array]:
        """Gradients of the parameters ``inner`` from those of the groups."""

    @abstractmethod
    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        """(h / 2) sum of ||K_{j+1} - K_j||^2 + ||b_{j+1} - b_j||^2, and its gradients."""

    @abstractmethod
    def scales(self, initialization: str) -> dict[str, float]:
        """Standard deviations of the initial parameters ``inner``."""

    @property
    def features(self) -> int:
        """n = C H W, which squeezes leave as it is."""
        return self.channels * self.rows * self.columns

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters, by name."""
        ends = {"layer": (self.classes, self.features), "mu": (self.classes,)}
        return {"lift": (self.channels, 1, 3, 3), "lift_bias": (self.channels,)} | self.inner | ends

    def config(self) -> dict[str, Any]:
        """Name and options as plain data, from which ``image_architecture(**config)`` builds an equal one."""
        return {"name": self.name} | {f.name: getattr(self, f.name) for f in fields(self)}

    def init(
        self, rng: np.random.Generator | int | None = None, *, initialization: str = "centred", dtype: Any = np.float64
    ) -> dict[str, Array]:
        """Initial parameters in ``dtype``.

        The lift's kernels are uniform within 1 / 3, one over the square root of their inputs; the linear layer is 0.
        ``initialization`` is one of

        - "normal": K and b normal, of standard deviation 1, and the lift's bias uniform within 1 / 3;
        - "scaled-normal": the same, K and b divided by the square root of the inputs;
        - "centred": K scaled normal, b = 0, and a bias with which the background of an image, where all pixels are 0,
          becomes the state 0, and stays it where sigma(0) = 0. Otherwise the background, which all images share, makes
          the largest part of what the linear layer sees, and nothing can be told from it.
        """
        generator = _check.generator(rng)
        _check.choice("initialization", initialization, INITIALIZATIONS)
        scales = self.scales(initialization)
        params: dict[str, Array] = {}
        for name, shape in self.shapes.items():
            if name in self.inner:
                value = scales[name] * generator.standard_normal(shape)
            else:
                value = generator.uniform(-1 / 3, 1 / 3, shape)
            params[name] = value
        for name in ("layer", "mu"):
            params[name] = np.zeros_like(params[name])
        if initialization == "centred":
            params["lift_bias"] = params["lift"].sum(axis=(1, 2, 3)) * (MEAN / SPREAD)
            params |= {name: np.zeros_like(params[name]) for name in self.inner if name.startswith("b")}
        return {name: value.astype(dtype) for name, value in params.items()}


def lift_of(params: Mapping[str, Array]) -> Lift:
    """The first layer among the parameters."""
    return Lift(params["lift"], params["lift_bias"])


def head_of(arch: ImageArchitecture, params: Mapping[str, Array]) -> tuple[Array, Array]:
    """The linear layer as it acts on y_N: gain layer (C, n) and gain mu (C,)."""
    gain = np.asarray(arch.gain, params["mu"].dtype)
    return gain * params["layer"], gain * params["mu"]


def limited(features: int) -> None:
    if features > LARGEST:
        raise ValueError(f"rows, columns: expected at most {LARGEST} numbers of a state, got {features}")

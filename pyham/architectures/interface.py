"""What every architecture can say of itself: names, shapes, options, and stages from parameters and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyham.architectures.activations import Activation
from pyham.architectures.activations import activation as find_activation
from pyham.architectures.chain import AnyStages
from pyham.architectures.initialization import draw

if TYPE_CHECKING:
    from pyham.network import Network

Array = np.ndarray[Any, Any]


class ArchitectureBase(ABC):
    """What architectures of all kinds can do: those of vectors and graphs (``Architecture``) and those of images."""

    keep: ClassVar[bool] = True  # whether a layer adds to the state (False: it replaces it)

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of y_0 of one sample: (n,), or (C, rows, columns) for images."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of y_N of one sample."""
        return self.shape

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the free parameters, by name."""

    @abstractmethod
    def lower(self, params: Mapping[str, Array]) -> AnyStages:
        """The stages of the network with these parameters, in the parameters' dtype."""

    @abstractmethod
    def pullback(self, gradients: Any) -> dict[str, Array]:
        """Gradients of the free parameters, shaped like them, from those of the stages."""

    @property
    def learnt(self) -> tuple[str, ...]:
        """The options that are parameters: "learnt" in the place of a number or a matrix."""
        return ()

    def settled(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        """The fixed architecture that a network with these parameters has, and the parameters that are left."""
        return self, dict(params)

    def gradients(self, sums: Any, params: Mapping[str, Array], output: Array, delta_N: Array) -> dict[str, Array]:
        """``pullback``, and where options are learnt their gradients, which need y_N and dLoss/dy_N (B, n), too."""
        ends = (output * delta_N).sum(axis=(0, *range(2, np.ndim(output)))) if self.learnt else np.zeros(0)
        return self.gradients_at(sums, params, ends)

    def gradients_at(self, sums: Any, params: Mapping[str, Array], ends: Array) -> dict[str, Array]:
        """As ``gradients``, from sums over the samples and pixels of dLoss/dy_N y_N, one for each channel of y_N."""
        return self.pullback(sums)

    def first_values(self) -> dict[str, Array]:
        """What parameters begin with that are not drawn: those of learnt options."""
        return {}

    @abstractmethod
    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        """(h / 2) sum_j ||K_{j+1} - K_j||_F^2 + ||b_{j+1} - b_j||^2, and its gradients, named as the parameters."""

    @abstractmethod
    def scales(self, initialization: str) -> dict[str, float]:
        """Standard deviations of the initial parameters, for "normal" and "scaled-normal"."""

    @property
    def J(self) -> Array | None:
        """J (n, n) with G = J K^T, or None where G = I."""
        return None

    @property
    def coupling(self) -> Array | None:
        """(n, n) with G = coupling K^T: J, or J - R with dissipation; None where G = I."""
        return self.J

    def fading(self) -> Array | None:
        """The rates (N, n) at which the numbers of a state fade in the equation behind every layer; None if none do."""
        return None

    def effective_J(self, params: Mapping[str, Array]) -> Array | None:
        """J (n, n), or (N, n, n) where it depends on the weights, or None where the network has none."""
        return self.J

    def laws(self) -> Sequence[Any]:
        """What its networks promise beside what certificates ask of all: each a ``pyham.verification.Law``."""
        return ()

    def log_factors(self) -> Array | None:
        """The logarithms (N,) of the factors by which the layers multiply the two-form, where theory knows them.

        0 in symplectic networks, -h (gp + gq) in damped ones. None: what the stages' ``keep`` amounts to.
        """
        return None

    def options(self) -> dict[str, Any]:
        """The options by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Name and options on one line; of arrays, the shape."""
        words = {k: f"array{v.shape}" if isinstance(v, np.ndarray) else repr(v) for k, v in self.options().items()}
        return f"{self.name}({', '.join(f'{key}={word}' for key, word in words.items())})"

    def config(self) -> dict[str, Any]:
        """Name and options as plain data, from which ``pyham.architecture(**config)`` builds an equal one."""
        options = self.options()
        if "activation" in options:
            options["activation"] = find_activation(options["activation"]).name
        return {"name": self.name} | {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in options.items()}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and (self.config(), self.sigma) == (other.config(), other.sigma)

    @property
    def sigma(self) -> Activation | None:
        """The activation, where the option of that name has one."""
        chosen = self.options().get("activation")
        return None if chosen is None else find_activation(chosen)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without what was worked out and kept."""
        kept = {name for name in self.__dict__ if isinstance(getattr(type(self), name, None), cached_property)}
        return {name: value for name, value in self.__dict__.items() if name not in kept}

    def __hash__(self) -> int:
        return hash((self.name, self.shape, tuple(self.shapes.items())))

    def init(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        initialization: str | Mapping[str, Any] = "normal",
        dtype: Any = np.float64,
    ) -> "Network":
        """A network with initial parameters; see ``pyham.architectures.initialization.draw`` for the arguments."""
        from pyham.network import Network  # the one import that looks up: it makes ``arch.init(rng)`` possible

        params = draw(self.shapes, self.scales, rng, initialization, dtype)
        for name, value in self.first_values().items():
            if isinstance(initialization, str) or name not in initialization:
                params[name] = np.array(np.broadcast_to(value, params[name].shape), params[name].dtype)
        return Network(self, params)

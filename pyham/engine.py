"""The door to the two engines: checks arguments once, chooses the backend, names the results.

An engine is anything with the four functions of ``pyham.reference``: ``forward``, ``trace``, ``adjoint``,
``sensitivity``.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pyham import _check, reference
from pyham.stages import StageGradients, Stages

Array = np.ndarray[Any, Any]


class Engine(Protocol):
    """What a backend provides; see ``pyham.reference`` for the meaning of each."""

    def forward(self, stages: Stages, x: Array) -> Array: ...
    def trace(self, stages: Stages, x: Array) -> Array: ...
    def adjoint(self, stages: Stages, states: Array, g: Array) -> tuple[Array, StageGradients]: ...
    def sensitivity(self, stages: Stages, states: Array) -> Array: ...


Backend = str | Engine


@dataclass(frozen=True)
class Trace:
    """A forward pass: ``states`` (N + 1, B, n) are y_0 .. y_N."""

    states: Array

    @property
    def output(self) -> Array:
        """y_N (B, n)."""
        return self.states[-1]


@dataclass(frozen=True)
class Adjoint:
    """A backward pass: ``delta`` (N + 1, B, n) are dLoss/dy_0 .. dLoss/dy_N, ``params`` the gradients of net.params."""

    delta: Array
    params: dict[str, Array]


def select(backend: Backend, dtype: np.dtype[Any]) -> Engine:
    """The engine of that name, or ``backend`` itself if it is one already.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For what is neither a name nor an engine, and for a dtype that the engine does not work in.
    """
    if not isinstance(backend, str):
        if not all(callable(getattr(backend, name, None)) for name in ("forward", "trace", "adjoint", "sensitivity")):
            raise TypeError(f"backend: expected 'numba', 'reference' or an engine, got {type(backend).__name__}")
        return backend
    if _check.choice("backend", backend, ("numba", "reference")) == "reference":
        return reference
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(
            f"x: expected float32 or float64 for backend='numba', got {dtype}; backend='reference' takes it"
        )
    from pyham import compiled  # here, because importing pyham should not import Numba

    return compiled

"""What the passes of an engine give: ``Trace``, ``Adjoint``, ``Gradient`` and ``Drift``."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.chain import AnyStages

Array = np.ndarray[Any, Any]


class Trace:
    """A forward pass.

    Parameters
    ----------
    states : y_0 .. y_N (N + 1, B, n), or a function that computes them; a list where layers differ in shape
    output : y_N (B, n); not needed with an array of states
    tape : what an engine recorded for the way back through ``stages``; ``engine`` is that engine
    """

    def __init__(
        self,
        states: Any,
        *,
        output: Array | None = None,
        tape: Any = None,
        engine: Any = None,
        stages: AnyStages | None = None,
    ) -> None:
        self._states, self._output, self._tape, self._by = states, output, tape, (engine, stages)

    def __repr__(self) -> str:
        return f"<Trace, output {self.output.shape} {self.output.dtype}>"

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the states themselves; a tape is of use to its own engine only."""
        return {"_states": self.states, "_output": None, "_tape": None, "_by": (None, None)}

    @cached_property
    def states(self) -> Any:
        """y_0 .. y_N (N + 1, B, n)."""
        return self._states() if callable(self._states) else self._states

    @property
    def output(self) -> Array:
        """y_N (B, n)."""
        return np.asarray(self.states[-1]) if self._output is None else self._output

    def through(self, stages: AnyStages) -> bool:
        """Whether this is known to be a pass through these stages."""
        return self._by[1] is stages

    def tape(self, engine: Any, stages: AnyStages) -> Any:
        """What this engine recorded on the way through these stages, or None."""
        return self._tape if self._by[0] is engine and self._by[1] is stages else None


class Adjoint:
    """A backward pass.

    Parameters
    ----------
    delta : dLoss/dy_0 .. dLoss/dy_N (N + 1, B, n), or a function that computes them
    params : gradients of net.params, summed over the samples, by name
    input : dLoss/dy_0 (B, n); not needed with an array of delta
    """

    def __init__(
        self, delta: Any | Callable[[], Any], params: Mapping[str, Array], *, input: Array | None = None
    ) -> None:
        self._delta, self.params, self._input = delta, dict(params), input

    def __repr__(self) -> str:
        return f"<Adjoint, gradients of {', '.join(self.params)}>"

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the adjoints themselves."""
        return {"_delta": self.delta, "params": self.params, "_input": self._input}

    @cached_property
    def delta(self) -> Any:
        """dLoss/dy_0 .. dLoss/dy_N (N + 1, B, n)."""
        return self._delta() if callable(self._delta) else self._delta

    @property
    def input(self) -> Array:
        """dLoss/dy_0 (B, n)."""
        return np.asarray(self.delta[0]) if self._input is None else self._input


class Drift(NamedTuple):
    """How well states were rebuilt on the way back of ``memory="reversible"``.

    ``error`` is the largest difference between a rebuilt state and one that was kept, relative to the sample's largest
    entry; ``budget`` its limit; ``kept`` how many states were kept for that besides the input, ``most`` how many of
    them at a time: the largest numbers of all passes, each of which takes a few samples.
    """

    error: float
    budget: float
    kept: int
    most: int


class Gradient(NamedTuple):
    """A gradient: ``output`` y_N (B, n), ``input`` dLoss/dy_0 (B, n), ``params`` those of net.params, and ``drift``."""

    output: Array
    input: Array
    params: dict[str, Array]
    drift: Drift | None


class Parts(NamedTuple):
    """A classifier's parts: lift, stages of the network, and the output layer z = layer y_N + mu, (C, n) and (C,)."""

    lift: Any
    stages: AnyStages
    layer: Array
    mu: Array


class Pixels(NamedTuple):
    """Images: those numbered ``rows`` (B,) of pixels (M, H, W) with labels (M,), moved by shifts (B, 2)."""

    pixels: Array
    labels: Array
    shifts: Array
    rows: Array


class ClassifierGradients(NamedTuple):
    """Derivatives of a classifier's loss: of the lift, of the stages, of the output layer (C, n) and mu (C,)."""

    lift: Any
    stages: Any
    layer: Array
    mu: Array

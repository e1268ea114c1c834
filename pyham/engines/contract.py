"""The door to the two engines: checks arguments once, chooses the backend, names the results.

An engine is anything with the four functions of ``pyham.engines.reference``: ``forward``, ``trace``, ``adjoint``,
``sensitivity``. One that also has ``record`` and ``pull`` (see ``pyham.engines.compiled.engine``) keeps of a forward
pass what the backward pass needs, in an order of its own; states and adjoints of all layers are then computed when
somebody looks at them.
"""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from pyham import _check
from pyham.architectures.stages import StageGradients, Stages
from pyham.engines import defaults, reference

Array = np.ndarray[Any, Any]


class Engine(Protocol):
    """What a backend provides; see ``pyham.engines.reference`` for the meaning of each."""

    def forward(self, stages: Stages, x: Array) -> Array: ...
    def trace(self, stages: Stages, x: Array) -> Array: ...
    def adjoint(self, stages: Stages, states: Array, g: Array) -> tuple[Array, StageGradients]: ...
    def sensitivity(self, stages: Stages, states: Array, last: Array | None = None) -> Array: ...


Backend = str | Engine


class Trace:
    """A forward pass.

    Parameters
    ----------
    states : y_0 .. y_N (N + 1, B, n), or a function that computes them
    output : y_N (B, n); not needed with an array of states
    tape : what ``engine`` recorded for the way back through ``stages``
    """

    def __init__(
        self,
        states: Array | Callable[[], Array],
        *,
        output: Array | None = None,
        tape: Any = None,
        engine: Any = None,
        stages: Stages | None = None,
    ) -> None:
        self._states, self._output, self._tape, self._by = states, output, tape, (engine, stages)

    def __repr__(self) -> str:
        return f"<Trace, output {self.output.shape} {self.output.dtype}>"

    @cached_property
    def states(self) -> Array:
        """y_0 .. y_N (N + 1, B, n)."""
        return self._states() if callable(self._states) else self._states

    @property
    def output(self) -> Array:
        """y_N (B, n)."""
        return self.states[-1] if self._output is None else self._output

    def tape(self, engine: Engine, stages: Stages) -> Any:
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
        self, delta: Array | Callable[[], Array], params: Mapping[str, Array], *, input: Array | None = None
    ) -> None:
        self._delta, self.params, self._input = delta, dict(params), input

    def __repr__(self) -> str:
        return f"<Adjoint, gradients of {', '.join(self.params)}>"

    @cached_property
    def delta(self) -> Array:
        """dLoss/dy_0 .. dLoss/dy_N (N + 1, B, n)."""
        return self._delta() if callable(self._delta) else self._delta

    @property
    def input(self) -> Array:
        """dLoss/dy_0 (B, n)."""
        return self.delta[0] if self._input is None else self._input


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


def trace(engine: Engine, stages: Stages, x: Array) -> Trace:
    """The forward pass of x (B, n)."""
    if engine is reference or not hasattr(engine, "record"):
        return Trace(engine.trace(stages, x))
    output, tape = engine.record(stages, x)
    start = tape.x
    return Trace(lambda: engine.trace(stages, start), output=output, tape=tape, engine=engine, stages=stages)


def select(backend: Backend, dtype: np.dtype[Any]) -> Engine:
    """The engine of that name, or ``backend`` itself if it is one already.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For what is neither a name nor an engine, and for a dtype that the engine does not work in.
    """
    if backend == "numba" and dtype in _COMPILED:
        return _compiled()
    if not isinstance(backend, str):
        if not all(callable(getattr(backend, name, None)) for name in ("forward", "trace", "adjoint", "sensitivity")):
            raise TypeError(f"backend: expected 'numba', 'reference' or an engine, got {type(backend).__name__}")
        return backend
    if _check.choice("backend", backend, ("numba", "reference")) == "reference":
        return reference
    raise TypeError(f"x: expected float32 or float64 for backend='numba', got {dtype}; backend='reference' takes it")


_COMPILED = (np.dtype(np.float64), np.dtype(np.float32))


def _compiled() -> Engine:
    from pyham.engines.compiled import engine as compiled  # here, because importing pyham should not import Numba

    return compiled


def pull(engine: Engine, stages: Stages, trace: Trace, g: Array) -> tuple[Array, StageGradients]:
    """delta_0 (B, n) and the gradients of A, c, W, from a trace of these stages and g = dLoss/dy_N (B, n)."""
    tape = trace.tape(engine, stages)
    if tape is None:
        delta, sums = engine.adjoint(stages, trace.states, g)
        return delta[0], sums
    recorder: Any = engine
    found: tuple[Array, StageGradients] = recorder.pull(stages, tape, g)
    return found


def sensitivity(engine: Engine, stages: Stages, x: Array, last: Array | None = None) -> Array:
    """Phi_0 .. Phi_N (N + 1, B, n, n) from x (B, n)."""
    states = x[None] if getattr(engine, "FIRST_STATE_IS_ENOUGH", False) else engine.trace(stages, x)
    return engine.sensitivity(stages, states, *(() if last is None else (last,)))


def gradient(
    engine: Engine, stages: Stages, x: Array, g: Array, memory: str, budget: float
) -> tuple[Array, Array, StageGradients, Drift | None]:
    """y_N, delta_0 (B, n), the gradients of A, c, W, and the drift where states were rebuilt."""
    own = engine is not reference and hasattr(engine, "gradient")
    if memory == "reversible":
        first = () if own else (engine,)
        module: Any = engine if own else defaults
        y_N, delta_0, sums, reports = module.reversible(*first, stages, x, g, budget, SHORTEST)
        error, kept, most = reports.max(axis=0, initial=0)
        return y_N, delta_0, sums, Drift(float(error), budget, int(kept), int(most))
    segment = max(1, stages.depth if memory == "store" else math.isqrt(stages.depth))
    if own:
        compiled: Any = engine
        return *compiled.gradient(stages, x, g, segment), None
    return *defaults.gradient(engine, stages, x, g, segment), None


SHORTEST = 16  # layers: fewer are run again with everything kept, which takes no more memory than a state or two

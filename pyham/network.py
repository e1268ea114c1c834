"""A network: an architecture with parameters. Everything that can be asked of it goes through the engine."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from pyham import _check, checkpoint
from pyham.engine import Adjoint, Backend, Trace, select
from pyham.lowering import Architecture
from pyham.stages import Stages

Array = np.ndarray[Any, Any]


class Network:
    """An architecture and its parameters; immutable (``replace`` makes another).

    Parameters
    ----------
    arch : Architecture
    params : mapping from the names of ``arch.shapes`` to arrays of these shapes, all of one floating or complex dtype

    Raises
    ------
    TypeError, ValueError
        If names, shapes or dtypes are not those of the architecture, or a number is not finite.

    Notes
    -----
    Samples are rows: x is (B, n). The computation runs in x's dtype, to which the parameters are rounded; integers
    count as float64. ``backend`` is "numba" (float32, float64), "reference" (any floating dtype) or an engine. With
    samples of ``mpmath.mpf``, "reference" computes in mpmath's current precision; the products of J and h are float64
    numbers then too, as the parameters are.
    """

    arch: Architecture
    params: Mapping[str, Array]

    def __init__(self, arch: Architecture, params: Mapping[str, Any]) -> None:
        if not isinstance(arch, Architecture):
            raise TypeError(f"arch: expected an Architecture, got {type(arch).__name__}")
        if not isinstance(params, Mapping) or set(params) != set(arch.shapes):
            came = ", ".join(map(str, params)) if isinstance(params, Mapping) else type(params).__name__
            raise ValueError(f"params: expected the names {', '.join(arch.shapes)}, got {came}")
        arrays = {name: _check.array(f"params[{name!r}]", params[name], shape) for name, shape in arch.shapes.items()}
        if len({value.dtype for value in arrays.values()}) > 1:
            raise TypeError(f"params: expected one dtype, got {', '.join(str(v.dtype) for v in arrays.values())}")
        self.arch = arch
        self.params = MappingProxyType({name: _check.read_only(value) for name, value in arrays.items()})
        self._stages: dict[np.dtype[Any], Stages] = {}

    def __repr__(self) -> str:
        return f"<Network {self.arch}, {self.dtype}>"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The parameters' dtype."""
        return self.params["b"].dtype

    @property
    def K(self) -> Array:
        """Assembled weights K (N, n, n)."""
        return _check.read_only(self.arch.assemble(self.params))

    @property
    def b(self) -> Array:
        """Biases b (N, n)."""
        return self.params["b"]

    @property
    def interconnection(self) -> Array | None:
        """J (n, n), or (N, n, n) where it varies from layer to layer (MS1, MS2: K^-T); None for MLP and ResNet."""
        return self.arch.effective_J(self.params)

    def stages(self, dtype: object = None) -> Stages:
        """The network as stages, in ``dtype`` (the parameters' own by default), lowered in the wider of the two."""
        wanted: np.dtype[Any] = np.dtype(cast(Any, dtype)) if dtype is not None else self.dtype
        if wanted.kind in "fO" and self.dtype.kind == "c":
            raise TypeError(f"x: expected a complex dtype, as the parameters are {self.dtype}, got {wanted}")
        if wanted.kind == "O":  # not kept: mpmath's precision may be another the next time
            lowered = self.arch.lower({name: _check.multiprecision(value) for name, value in self.params.items()})
            A, c, W = map(_check.multiprecision, (lowered.A, lowered.c, lowered.W))
            return replace(lowered, A=A, c=c, W=W)
        if wanted not in self._stages:
            wide = np.result_type(self.dtype, wanted)
            params = {name: value.astype(wide, copy=False) for name, value in self.params.items()}
            self._stages[wanted] = self.arch.lower(params).astype(wanted)
        return self._stages[wanted]

    def replace(self, params: Mapping[str, Any]) -> "Network":
        """The same architecture with other parameters; names that are not given keep their values."""
        return Network(self.arch, {**self.params, **params})

    def __call__(self, x: object, *, backend: Backend = "numba") -> Array:
        """y_N (B, n) from x (B, n)."""
        y = self._input("x", x)
        return select(backend, y.dtype).forward(self.stages(y.dtype), y)

    def trace(self, x: object, *, backend: Backend = "numba") -> Trace:
        """All states y_0 .. y_N, ``.states`` (N + 1, B, n), from x (B, n)."""
        y = self._input("x", x)
        return Trace(select(backend, y.dtype).trace(self.stages(y.dtype), y))

    def adjoint(self, trace: Trace, g: object, *, backend: Backend = "numba") -> Adjoint:
        """Backpropagation of g = dLoss/dy_N (B, n) through a trace of this network.

        ``.delta`` (N + 1, B, n) are dLoss/dy_j; ``.params`` the gradients, summed over samples, named as net.params.
        """
        if not isinstance(trace, Trace):
            raise TypeError(f"trace: expected the Trace of a forward pass, got {type(trace).__name__}")
        states = _check.array(
            "trace", trace.states, (self.arch.depth + 1, "B", self.arch.width), finite=False, multiprecision=True
        )
        gradient = _check.array("g", g, states.shape[1:], multiprecision=True)
        if gradient.dtype.kind in {"f": "cO", "O": "c"}.get(states.dtype.kind, ""):
            raise TypeError(f"g: expected a real dtype, as the trace is {states.dtype}, got {gradient.dtype}")
        gradient = gradient.astype(states.dtype) if states.dtype.kind != "O" else _check.multiprecision(gradient)
        engine = select(backend, states.dtype)
        delta, stage_gradients = engine.adjoint(self.stages(states.dtype), states, gradient)
        return Adjoint(delta, self.arch.pullback(stage_gradients))

    def sensitivity(self, x: object, *, backend: Backend = "numba") -> Array:
        """Backward sensitivity matrices (N + 1, B, n, n): phi[j, i] = dy_N/dy_j of sample i, denominator layout.

        Entry [a, c] is d(y_N)_c / d(y_j)_a, so delta_j = phi[j] @ delta_N for every sample.
        """
        y = self._input("x", x)
        engine, stages = select(backend, y.dtype), self.stages(y.dtype)
        return engine.sensitivity(stages, engine.trace(stages, y))

    def energy(self, y: object) -> Array:
        """The Hamiltonian H_j(y) = 1^T sigma~(K_j y + b_j) of every layer (N, B) at the states y (B, n)."""
        state = self._input("y", y)
        a = np.einsum("jrk,bk->jbr", self.K.astype(state.dtype), state) + self.b[:, None].astype(state.dtype)
        energy: Array = self.stages(state.dtype).activation.integrand(a).sum(axis=-1)
        return energy

    def save(self, path: str | PathLike[str]) -> None:
        """Write architecture and parameters to one file, atomically; ``pyham.load`` reads it."""
        checkpoint.write(path, {"architecture": self.arch.config()}, self.params)

    def _input(self, argument: str, x: object) -> Array:
        return _check.array(argument, x, ("B", self.arch.width), multiprecision=True)

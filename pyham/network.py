"""A network: an architecture with parameters. Everything that can be asked of it goes through the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pyham import _check
from pyham.architectures.chain import AnyStages, Chain
from pyham.architectures.interface import ArchitectureBase
from pyham.architectures.register import description
from pyham.architectures.stages import Stages
from pyham.engines.choice import Backend, select
from pyham.engines.results import Adjoint, Gradient, Trace
from pyham.files import archive

if TYPE_CHECKING:
    from pyham.teaching.explain import Explanation

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

    arch: Any
    params: Mapping[str, Array]

    def __init__(self, arch: ArchitectureBase, params: Mapping[str, Any]) -> None:
        if not isinstance(arch, ArchitectureBase):
            raise TypeError(f"arch: expected an Architecture, got {type(arch).__name__}")
        self.arch = arch
        self.params = MappingProxyType(_check.parameters("params", params, arch.shapes))
        self._stages: dict[np.dtype[Any], Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.arch, dict(self.params))

    def __repr__(self) -> str:
        return f"<Network {self.arch}, {self.dtype}>"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The parameters' dtype."""
        return next(iter(self.params.values())).dtype

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
        settled = self.settled
        return settled.arch.effective_J(settled.params)

    @cached_property
    def settled(self) -> "Network":
        """The same network with what it has learnt, X, J, R or rates, as options of its architecture; else itself."""
        arch, params = self.arch.settled(self.params)
        return self if arch is self.arch else Network(arch, params)

    def stages(self, dtype: object = None) -> Any:
        """The network as stages, in ``dtype`` (the parameters' own by default), lowered in the wider of the two.

        ``pyham.Stages`` for vectors and graphs; networks of images at falling resolution are a chain of several.
        """
        known = self._stages.get(cast(Any, dtype))
        if known is not None:
            return known
        wanted: np.dtype[Any] = np.dtype(cast(Any, dtype)) if dtype is not None else self.dtype
        if wanted.kind in "fO" and self.dtype.kind == "c":
            raise TypeError(f"x: expected a complex dtype, as the parameters are {self.dtype}, got {wanted}")
        if wanted.kind == "O":  # not kept: mpmath's precision may be another the next time
            return _multiprecision(
                self.arch.lower({name: _check.multiprecision(value) for name, value in self.params.items()})
            )
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
        """All states y_0 .. y_N, ``.states`` (N + 1, B, n), from x (B, n); a list where they differ in shape."""
        y = self._input("x", x)
        return select(backend, y.dtype).run(self.stages(y.dtype), y)

    def adjoint(self, trace: Trace, g: object, *, backend: Backend = "numba") -> Adjoint:
        """Backpropagation of g = dLoss/dy_N (B, n) through a trace of this network.

        ``.delta`` (N + 1, B, n) are dLoss/dy_j; ``.params`` the gradients, summed over samples, named as net.params.
        """
        if not isinstance(trace, Trace):
            raise TypeError(f"trace: expected the Trace of a forward pass, got {type(trace).__name__}")
        dtype = trace.output.dtype
        engine, stages = select(backend, dtype), self.stages(dtype)
        self._refuse_other_states(trace, stages)
        last = self._output_gradient(g, len(trace.output), dtype)
        delta, delta_0, gradients = engine.back(stages, trace, last)
        return Adjoint(delta, self.arch.gradients(gradients, self.params, trace.output, last), input=delta_0)

    def gradient(
        self,
        x: object,
        g: object,
        *,
        memory: str = "store",
        budget: float | None = None,
        backend: Backend = "numba",
    ) -> Gradient:
        """Forward and backward pass in one, for those who need no states: y_N, dLoss/dy_0 and the gradients.

        Parameters
        ----------
        x : (B, n)
        g : dLoss/dy_N (B, n), or a function that computes it from y_N (which costs another forward pass)
        memory : what is kept of the forward pass, for a few samples at a time: "store" everything, "checkpoint" about
            sqrt(N) states and as many layers (one more forward pass), or "reversible" at most log2(N) states, the
            others being rebuilt from those behind them (two more)
        budget : of "reversible", the largest error of a rebuilt state where it is compared with one that was kept,
            relative to the sample's largest entry; states between those may be farther off. At first eps^(2/3) of the
            dtype (4e-11 in float64, 2e-5 in float32). 0 rebuilds nothing; infinity keeps nothing.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; "reversible" takes networks whose stages each add a
            function of one part of the state to another: MS1, MS3, H2.
        """
        y = self._input("x", x)
        stages, engine = self.stages(y.dtype), select(backend, y.dtype)
        if _check.choice("memory", memory, ("store", "checkpoint", "reversible")) == "reversible" and not stages.shears:
            raise ValueError(f"memory: expected 'store' or 'checkpoint' for {self.arch.name}, got 'reversible'")
        if budget is not None and memory != "reversible":
            raise ValueError(f"budget: expected none for memory={memory!r}, got {budget!r}")
        if y.dtype.kind not in "f":
            raise TypeError(f"x: expected a real floating dtype, got {y.dtype}")
        limit = np.inf
        if memory == "reversible":
            limit = float(np.finfo(y.dtype).eps) ** (2 / 3) if budget is None else _check.not_negative("budget", budget)
        start = self._output_gradient(g(engine.forward(stages, y)) if callable(g) else g, len(y), y.dtype)
        output, delta_0, sums, drift = engine.gradient(stages, y, start, memory, limit)
        return Gradient(output, delta_0, self.arch.gradients(sums, self.params, output, start), drift)

    def inverse(self, y: object, *, backend: Backend = "numba") -> Array:
        """y_0 (B, n) from y_N (B, n), for networks whose stages can be undone (MS1, MS3, H2).

        Exact but for rounding errors, which the network amplifies on the way back.
        """
        output = self._input("y", y, self.arch.output_shape)
        stages, engine = self.stages(output.dtype), select(backend, output.dtype)
        if not stages.shears:
            raise ValueError(f"net: expected a network whose stages can be undone (MS1, MS3, H2), got {self.arch.name}")
        return engine.inverse(stages, output)

    def sensitivity(
        self,
        x: object,
        *,
        layers: Sequence[int] | None = None,
        measure: Callable[[Array], Array] | None = None,
        backend: Backend = "numba",
    ) -> Array:
        """Backward sensitivity matrices (N + 1, B, n, n): phi[j, i] = dy_N/dy_j of sample i, denominator layout.

        Entry [a, c] is d(y_N)_c / d(y_j)_a, so delta_j = phi[j] @ delta_N for every sample.

        Parameters
        ----------
        layers : keep phi[j] of these layers only, in this order
        measure : keep ``measure(phi)`` only: a function from matrices (M, B, n, n) of any number M of layers to an
        array
            (M, ...), for instance ``lambda phi: pyham.symplectic.defect(phi, J)``

        With either, memory is that of the result and of about sqrt(N) states and matrices.
        """
        y = self._input("x", x)
        engine, stages = select(backend, y.dtype), self.stages(y.dtype)
        if layers is None and measure is None:
            return engine.sensitivities(stages, y)
        chosen = range(stages.depth + 1) if layers is None else [self._layer(j) for j in layers]
        return engine.streamed(stages, y, chosen, measure or (lambda phi: phi))

    def energy(self, y: object) -> Array:
        """The Hamiltonian H_j(y) = 1^T sigma~(K_j y + b_j) of every layer (N, B) at the states y (B, n)."""
        state = self._input("y", y)
        a = self.arch.products(self.params, state) + self.b[:, None].astype(state.dtype)
        energy: Array = self.stages(state.dtype).activation.integrand(a).sum(axis=-1)
        return energy

    def explain(
        self, x: object, *, target: object = None, delta_N: object = None, layers: int | Sequence[int] | None = None
    ) -> "Explanation":
        """Every quantity of one sample's passes, each with its formula, its place in the code and a check; print it.

        x is one sample, (n,) or (1, n); ``pyham.teaching.explain.explain`` says what the other arguments are.
        """
        from pyham.teaching.explain import explain  # here, because it stands above, and not everybody needs it

        return explain(self, x, target=target, delta_N=delta_N, layers=layers)

    def save(self, path: str | PathLike[str]) -> None:
        """Write architecture and parameters to one file, atomically; ``pyham.load`` reads it."""
        archive.write(path, {"kind": "network", "architecture": description(self.arch)}, self.params)

    def _layer(self, j: int) -> int:
        """A layer's index 0 .. N; negative ones count from the end."""
        N = self.arch.depth
        index = _check.integer("layers", j, -N - 1)
        if index > N:
            raise ValueError(f"layers: expected integers from {-N - 1} to {N}, got {j}")
        return index % (N + 1)

    def _output_gradient(self, g: object, batch: int, dtype: np.dtype[Any]) -> Array:
        """g as dLoss/dy_N (B, n) for outputs of this dtype."""
        gradient = _check.array("g", g, (batch, *self.arch.output_shape), multiprecision=True)
        if gradient.dtype.kind in {"f": "cO", "O": "c"}.get(dtype.kind, ""):
            raise TypeError(f"g: expected a real dtype, as the trace is {dtype}, got {gradient.dtype}")
        return gradient.astype(dtype, copy=False) if dtype.kind != "O" else _check.multiprecision(gradient)

    def _input(self, argument: str, x: object, shape: tuple[int, ...] | None = None) -> Array:
        return _check.array(argument, x, ("B", *(shape or self.arch.shape)), multiprecision=True)

    def _refuse_other_states(self, trace: Trace, stages: AnyStages) -> None:
        """Refuse a trace whose states are not as many, or not as long, as this network's."""
        if trace.through(stages):
            return
        shape = (self.arch.depth + 1, "B", *self.arch.shape)
        if self.arch.shape == self.arch.output_shape:
            _check.array("trace", trace.states, shape, finite=False, multiprecision=True)
        elif len(trace.states) != shape[0] or trace.states[0].shape[1:] != self.arch.shape:
            raise ValueError(f"trace: expected {shape[0]} states beginning with {_check.spell(shape[1:])}, got others")


def _multiprecision(stages: AnyStages) -> AnyStages:
    """The same stages in numbers of mpmath."""
    if isinstance(stages, Chain):
        return Chain([cast(Stages, _multiprecision(section)) for section in stages.sections])
    A, c, W = map(_check.multiprecision, (stages.A, stages.c, stages.W))
    return replace(stages, A=A, c=c, W=W)

"""What stages do on given samples, layer by layer: the numbers that a certificate compares, and their tolerances.

Every number is measured for each layer j and each sample, and stands beside the tolerance that
``pyham.verification.rounding`` derives for this layer and this sample. Networks of vectors, of images and on graphs are
the same here: states are flattened where matrices are needed.
"""

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import BUILT_IN
from pyham.architectures.chain import AnyStages
from pyham.architectures.interface import ArchitectureBase
from pyham.engines.contract import MATRICES, Engine
from pyham.engines.reference import layer
from pyham.verification import rounding

Array = np.ndarray[Any, Any]

DIRECTIONS = 8  # in which a layer's derivative is taken where the state has more numbers, else all
TINY = 1e-100  # of the complex step
UNDECIDED = 0.5  # a tolerance, relative to what is measured, above which a number tells nothing


class Reading(NamedTuple):
    """Numbers and their tolerances, by layer and sample, each (N, B)."""

    measured: Array
    tolerance: Array
    size: Any = 1.0  #: what both were divided by

    def decisive(self) -> bool:
        """Whether somewhere a change of order 1, before that division, exceeds the tolerance."""
        return bool((self.tolerance * self.size < UNDECIDED).any())

    def worst(self) -> tuple[float, float, int, int]:
        """Number, tolerance, layer and sample where the number is largest in terms of its tolerance."""
        measured, tolerance = np.broadcast_arrays(self.measured, self.tolerance)
        if not measured.size:
            return 0.0, 0.0, 0, 0
        with np.errstate(all="ignore"):
            ratio = np.where(measured <= 0, np.minimum(measured, 0), measured / tolerance)
        ratio[np.isnan(ratio) | ~(measured < np.inf)] = np.inf  # what is not finite does not hold
        told = np.where((tolerance > UNDECIDED) & (ratio <= 1), -np.inf, ratio)  # of what tells nothing, the last
        place = np.unravel_index((told if (told > -np.inf).any() else ratio).argmax(), ratio.shape)
        return float(measured[place]), float(tolerance[place]), int(place[0]), int(place[1])


class Passes:
    """Stages on samples x (B, ..) by an engine: its forward and backward pass against the reference's forward pass.

    What goes backward is divided by sqrt(c_j) in layer j, ``log_c`` (N + 1,) being the logarithms: in a damped network
    these are sensitivities of a symplectic one, and in all others c = 1.
    """

    def __init__(
        self, stages: AnyStages, arch: ArchitectureBase, x: Array, engine: Engine, log_c: Array | None = None
    ) -> None:
        self.stages, self.arch, self.x, self.engine = stages, arch, x, engine
        self.log_c = np.zeros(stages.depth + 1) if log_c is None else log_c
        with np.errstate(over="ignore"):
            self.grown = np.exp(-self.log_c / 2)  # 1 / sqrt(c_j) (N + 1,)
        self._derivatives: dict[tuple[int, int], tuple[Array, Array]] = {}
        self.n, self.unit = math.prod(x.shape[1:]), rounding.unit(x.dtype)

    # What the engine gives

    @cached_property
    def trace(self) -> Any:
        return self.engine.run(self.stages, self.x)

    @cached_property
    def output_gradients(self) -> Array:
        """u and v (2, B, n): normal numbers."""
        shape = self.trace.states[-1].shape
        return np.random.default_rng(0).standard_normal((2, *shape)).astype(self.x.dtype)

    @cached_property
    def deltas(self) -> list[Array]:
        """delta_j / sqrt(c_j), j = 0 .. N, (N + 1, B, n) in double precision, that begin with u and with v."""
        found = []
        for g in self.output_gradients:
            delta = self.engine.back(self.stages, self.trace, g)[0]
            delta = [*(delta() if callable(delta) else delta)[:-1], g]  # not what the engine makes of delta_N
            found.append(np.array([d.reshape(len(d), self.n) for d in delta], np.float64))
            found[-1] *= self.grown[:, None, None]
        return found

    # What the analysis of rounding errors needs

    @cached_property
    def at(self) -> rounding.Sizes:
        found = rounding.sizes(self.stages, self.arch, self.unit)
        if not self.log_c.any():
            return found
        lost = self.n * 64 * float(np.finfo(self.x.dtype).tiny) * self.grown[:-1, None]  # of numbers that underflow
        return found._replace(error=found.error + lost)

    @cached_property
    def wide(self) -> AnyStages:
        return self.stages.astype(np.float64)

    @cached_property
    def _layers(self) -> tuple[list[list[Array]], list[list[Array]]]:
        """Of every layer how far its output, and the output's negative, are from the reference's where this is most.

        Each as numbers, tolerances, numbers, tolerances (B,), and then how many tolerances the state has at most (B,).
        Behind it bounds of the errors of sigma' in every stage.
        """
        rows, slopes = [], []
        for j in range(self.stages.depth):
            there = rounding.against_reference(self.wide, j, self.trace.states[j], self.unit)
            came = self.trace.states[j + 1].astype(np.float64).reshape(len(self.x), self.n)
            state, error = (part.reshape(len(self.x), self.n) for part in (there.state, there.error))
            size, row = np.maximum(1, np.abs(state).max(axis=1, initial=0)), []
            for output in (came, -came):
                apart = np.abs(output - state)
                ratio = apart / error
                worst = np.where(np.isnan(ratio), np.inf, ratio).argmax(axis=1)[:, None]
                row += [np.take_along_axis(part, worst, axis=1)[:, 0] / size for part in (apart, error)]
            rows.append([*row, (np.abs(state) / error).max(axis=1, initial=0)])
            slopes.append(there.slopes)
        return rows, slopes

    def forward(self, sign: int = 1) -> Reading:
        """How far each layer's output, or with ``sign`` -1 its negative, is from the reference's."""
        empty = np.zeros((0, len(self.x)))
        first = 0 if sign == 1 else 2
        measured, tolerance = (np.array([row[first + i] for row in self._layers[0]] or empty) for i in (0, 1))
        told = np.array([row[4] for row in self._layers[0]] or empty)
        return Reading(measured, tolerance, 0.75 / (tolerance * told))  # a sign is told from 1.5 tolerances on

    @cached_property
    def directions(self) -> Array:
        """Columns (k, n) in which derivatives are taken: all of them, or random ones."""
        if self.n <= DIRECTIONS:
            return np.eye(self.n)
        return np.random.default_rng(1).standard_normal((DIRECTIONS, self.n))

    def derivative(self, j: int, batch: int) -> tuple[Array, Array]:
        """X_j u (B, k, n) for the directions u, X_j = dy_{j+1}/dy_j by a complex step through the reference.

        Behind it, what the errors of an engine's sigma' can change in it.
        """
        if (j, batch) in self._derivatives:
            return self._derivatives[j, batch]
        u, y = self.directions, self.trace.states[j][:batch].astype(np.float64)
        shape = y.shape[1:]
        steps = np.broadcast_to(u.reshape(len(u), 1, *shape), (len(u), *y.shape))
        slopes = [slope[:batch] for slope in self._layers[1][j]]
        found, error = rounding.tangent(self.wide, j, y, steps, slopes)
        if self.stages.activation in BUILT_IN:  # one of the user's own may know real numbers only
            z = (y + 1j * TINY * steps).reshape(-1, *shape)
            found = layer(self.wide, j, z)[-1].imag / TINY
        both = (part.reshape(len(u), len(y), self.n).swapaxes(0, 1) for part in (found, error))
        X, of_slopes = both
        if 2 * self.stages.depth * X.nbytes <= MATRICES:  # it is asked for twice: for sensitivities, and for adjoints
            self._derivatives[j, batch] = X, of_slopes
        return X, of_slopes

    @cached_property
    def layer_error(self) -> Array:
        """How far one layer's product with a sensitivity may be from that of the complex step, (N, 1), relative.

        Both divided by sqrt(c_j) before the layer, and by sqrt(c_{j+1}) behind it.
        """
        double = rounding.sizes(self.wide, self.arch, rounding.U)
        return (rounding.of_layer(self.at) + rounding.of_layer(double))[:, None]

    def backward(self, sign: int = 1) -> Reading:
        """<delta_j, u> against <delta_{j+1}, X_j u>: backpropagation against the forward pass, layer by layer."""
        gaps = [np.abs(sign * left - right).max(axis=1, initial=0) for left, right, _ in self._pairings]
        return self.compared(gaps, [error for *_, error in self._pairings], rounding.length(self.deltas[0]))

    @cached_property
    def ratio(self) -> Array:
        """sqrt(c_{j+1} / c_j) (N,)."""
        return np.exp(np.diff(self.log_c) / 2)

    @cached_property
    def _pairings(self) -> list[tuple[Array, Array, Array]]:
        """<delta_j, u>, <delta_{j+1}, X_j u>, each (B, k), of every layer; and the error of the latter (B,)."""
        found = []
        for j in range(self.stages.depth):
            behind = self.ratio[j] * self.deltas[0][j + 1][..., None]
            X, error = self.derivative(j, len(self.x))
            of_slopes = (error @ np.abs(behind))[..., 0].max(axis=1, initial=0)
            found.append((self.deltas[0][j] @ self.directions.T, (X @ behind)[..., 0], of_slopes))
        return found

    def compared(self, gaps: list[Array], of_slopes: list[Array], sizes: Array) -> Reading:
        """Differences (N, B) between layer j and layer j + 1, of sensitivities or adjoints of these ``sizes``.

        ``of_slopes`` is what the errors of sigma' can change in them.
        """
        u = np.linalg.norm(self.directions, axis=-1).max()
        grown = self.at.stretch.prod(axis=1)[:, None] * sizes[1:]
        tolerance = self.layer_error * sizes[1:] + 3 * rounding.gamma(self.n, rounding.U) * (sizes[:-1] + grown)
        tolerance += np.array(of_slopes).reshape(tolerance.shape) / u * (1 + 1e-6)
        tolerance += self.n * float(np.finfo(self.x.dtype).tiny) * self.grown[:-1, None]
        size = np.maximum(sizes[:-1], sizes[1:])
        size = np.where(size > 0, size, 1)
        told = np.sqrt(self.n) * size / np.maximum(sizes[:-1], np.finfo(np.float64).tiny)  # of a change of sign
        return Reading(np.array(gaps).reshape(size.shape) / (u * size), tolerance / size, told)

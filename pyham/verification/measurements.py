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
from pyham.architectures.interface import ArchitectureBase
from pyham.architectures.stages import AnyStages
from pyham.engines.contract import Engine
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
    """Stages on samples x (B, ..) by an engine: its forward and backward pass against the reference's forward pass."""

    def __init__(self, stages: AnyStages, arch: ArchitectureBase, x: Array, engine: Engine) -> None:
        self.stages, self.arch, self.x, self.engine = stages, arch, x, engine
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
        """delta_0 .. delta_N (N + 1, B, n) in double precision, that begin with u and with v."""
        found = []
        for g in self.output_gradients:
            delta = self.engine.back(self.stages, self.trace, g)[0]
            delta = delta() if callable(delta) else delta
            found.append(np.array([d.reshape(len(d), self.n) for d in delta], np.float64))
        return found

    # What the analysis of rounding errors needs

    @cached_property
    def at(self) -> rounding.Sizes:
        return rounding.sizes(self.stages, self.arch, self.unit)

    @cached_property
    def wide(self) -> AnyStages:
        return self.stages.astype(np.float64)

    @cached_property
    def forward(self) -> tuple[Reading, Array]:
        """How far each layer's output is from the reference's, and bounds of the errors of sigma' (N, B)."""
        measured, tolerance, slopes = [], [], []
        for j in range(self.stages.depth):
            there = rounding.against_reference(self.wide, j, self.trace.states[j], self.unit)
            came = self.trace.states[j + 1].astype(np.float64).reshape(len(self.x), self.n)
            state, error = (part.reshape(len(self.x), self.n) for part in (there.state, there.error))
            apart = np.abs(came - state)
            ratio = apart / error
            worst = np.where(np.isnan(ratio), np.inf, ratio).argmax(axis=1, keepdims=True)
            size = np.maximum(1, np.abs(state).max(axis=1, initial=0))
            apart, error = (np.take_along_axis(part, worst, axis=1)[:, 0] / size for part in (apart, error))
            measured.append(apart)
            tolerance.append(error)
            slopes.append(there.slope)
        empty = np.zeros((0, len(self.x)))
        return Reading(np.array(measured or empty), np.array(tolerance or empty)), np.array(slopes or empty)

    @cached_property
    def directions(self) -> Array:
        """Columns (k, n) in which derivatives are taken: all of them, or random ones."""
        if self.n <= DIRECTIONS:
            return np.eye(self.n)
        return np.random.default_rng(1).standard_normal((DIRECTIONS, self.n))

    def derivative(self, j: int, batch: int) -> Array:
        """X_j u (B, k, n) for the directions u, X_j = dy_{j+1}/dy_j by a complex step through the reference."""
        u, y = self.directions, self.trace.states[j][:batch].astype(np.float64)
        shape = y.shape[1:]
        steps = np.broadcast_to(u.reshape(len(u), 1, *shape), (len(u), *y.shape))
        if self.stages.activation in BUILT_IN:
            z = (y + 1j * TINY * steps).reshape(-1, *shape)
            found = layer(self.wide, j, z)[-1].imag / TINY
        else:  # an activation of the user's own may know real numbers only
            found = _tangent(self.wide, j, y, steps)
        return found.reshape(len(u), len(y), self.n).swapaxes(0, 1)

    @cached_property
    def layer_error(self) -> Array:
        """How far one layer's product with a sensitivity may be from that of the complex step, (N, B), relative."""
        slope = self.forward[1]
        return rounding.of_layer(self.at, slope, self.unit) + rounding.of_layer(self.at, 0 * slope, rounding.U)

    def backward(self, sign: int = 1) -> Reading:
        """<delta_j, u> against <delta_{j+1}, X_j u>: backpropagation against the forward pass, layer by layer."""
        lengths = rounding.length(self.deltas[0])
        gaps = [np.abs(sign * left - right).max(axis=1, initial=0) for left, right in self._pairings]
        return self.compared(gaps, lengths, self.layer_error)

    @cached_property
    def _pairings(self) -> list[tuple[Array, Array]]:
        """<delta_j, u> and <delta_{j+1}, X_j u>, each (B, k), of every layer."""
        delta, u = self.deltas[0], self.directions.T
        return [
            (delta[j] @ u, (self.derivative(j, len(self.x)) @ delta[j + 1][..., None])[..., 0])
            for j in range(self.stages.depth)
        ]

    def compared(self, gaps: list[Array], sizes: Array, error: Array) -> Reading:
        """Differences (N, B) between layer j and layer j + 1, of sensitivities or adjoints of these ``sizes``."""
        u = np.linalg.norm(self.directions, axis=-1).max()
        grown = self.at.stretch.prod(axis=1)[:, None] * sizes[1:]
        tolerance = error * sizes[1:] + 3 * rounding.gamma(self.n, rounding.U) * (sizes[:-1] + grown)
        tolerance += self.n * float(np.finfo(self.x.dtype).tiny)
        size = np.maximum(sizes[:-1], sizes[1:])
        size = np.where(size > 0, size, 1)
        return Reading(np.array(gaps).reshape(size.shape) / (u * size), tolerance / size)


def _tangent(stages: AnyStages, j: int, y: Array, steps: Array) -> Array:
    """X_j times ``steps`` (k, B, ..) by the rules of differentiation."""
    z, t = stages.enter(j, y), steps
    if z.shape != y.shape:
        t = stages.enter(j, steps.reshape(-1, *y.shape[1:])).reshape(len(steps), *z.shape)
    for stage in stages.of_layer(j):
        A_map, W_map = stage.maps
        a = stage.inner(z)
        change = W_map.apply(stage.W, stage.activation.derivative(a) * A_map.apply(stage.A, t[stage.src]))
        z, t = z.copy(), t.copy()
        z[stage.dst] = (stage.keep * z[stage.dst] if stage.keep else 0) + stage.update(a)
        t[stage.dst] = (stage.keep * t[stage.dst] if stage.keep else 0) + change
    return t

"""Networks of vectors on compiled kernels: the functions of ``pyham.engines.reference``, same arguments and results.

Works in float32 and float64. A batch is cut into tiles and blocks, which threads work through. The cut depends on the
batch and the network alone and partial sums are added in the order of the blocks, so every bit of a gradient is the
same for any number of threads.

Sensitivities are stored with samples last, as they are computed, and come back as a transposed view.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from pyham.architectures.stages import StageGradients, Stages
from pyham.engines.compiled import kernels
from pyham.engines.compiled.activations import code_of
from pyham.engines.compiled.buffers import Buffer, zeros
from pyham.engines.compiled.threads import Cut
from pyham.engines.contract import SHORTEST
from pyham.engines.reference import Reference
from pyham.engines.results import Trace

Array = np.ndarray[Any, Any]

TILE = 128  # samples: all rows of a tile of a narrow network fit the first-level cache
VECTOR = 64  # bytes: the longest vector of today's processors
TAPE = 32 << 20  # bytes: a longer tape is slower to read back than the forward pass is to run again
SEGMENT = 4 << 20  # bytes of tape for one tile, where the forward pass is run again


class CompiledDense(Reference):
    """The engine of networks whose maps are matrices."""

    def arguments(self, stages: Any) -> tuple[Any, ...]:
        """The stages as the kernels take them."""
        return _plain(stages)

    def blocks(self, stages: Any, batch: int, columns: int = 1) -> Cut:
        """The cut of a batch, where each sample takes ``columns`` of a tile."""
        return _blocks(stages, batch, columns)

    def forward(self, stages: Any, x: Array) -> Array:
        x, y_N = _own(x), np.empty(x.shape, x.dtype)
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(x))
        blocks.run(lambda lo, hi, _: kernels.forward(arguments, (lo, hi, blocks.tile), x, y_N))
        return y_N

    def trace(self, stages: Any, x: Array) -> Array:
        states = np.empty((stages.depth + 1, *x.shape), stages.dtype)
        states[0] = x
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(x))
        blocks.run(lambda lo, hi, _: kernels.trace(arguments, (lo, hi, blocks.tile), states))
        return states

    def adjoint(self, stages: Any, states: Array, g: Array) -> tuple[Array, StageGradients]:
        states, delta = _own(states), np.empty(states.shape, stages.dtype)
        delta[-1] = g
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(g))
        sums = _Sums(stages, blocks)
        blocks.run(lambda lo, hi, b: kernels.adjoint(arguments, (lo, hi, blocks.tile), states, delta, sums.of(b)))
        return delta, sums.total()

    def run(self, stages: Any, x: Array) -> Trace:
        """The forward pass, recorded for ``back`` unless that is long; states are computed when somebody looks."""
        x, y_N, recorded = x.copy(), np.empty(x.shape, x.dtype), None
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(x))
        numbers = blocks.tiles * blocks.tile * _recorded(stages) * stages.count
        if numbers * x.itemsize > TAPE:
            y_N = self.forward(stages, x)
        else:
            recorded = Buffer(numbers + VECTOR // x.itemsize, x.dtype)  # the kernels start where it is aligned
            tape = recorded.array
            blocks.run(lambda lo, hi, _: kernels.forward_recording(arguments, (lo, hi, blocks.tile), x, y_N, tape))
        return Trace(lambda: self.trace(stages, x), output=y_N, tape=(x, recorded), engine=self, stages=stages)

    def back(self, stages: Any, trace: Trace, g: Array) -> tuple[Any, Array, StageGradients]:
        """The backward pass, from the recorded one; adjoints of all layers are computed when somebody looks at them."""
        if trace.tape(self, stages) is None:
            return super().back(stages, trace, g)
        x, recorded = trace.tape(self, stages)
        kept = g.copy()
        if recorded is None:
            tile = self.blocks(stages, len(kept)).tile
            layer = stages.per_layer * _recorded(stages) * tile * stages.dtype.itemsize
            _, delta_0, gradients = self.checkpointed(stages, x, kept, max(1, SEGMENT // layer))
        else:
            arguments, blocks = self.arguments(stages), self.blocks(stages, len(g))
            delta_0 = np.empty(g.shape, stages.dtype)
            sums, tape = _Sums(stages, blocks), recorded.array
            blocks.run(
                lambda lo, hi, b: kernels.adjoint_recorded(
                    arguments, (lo, hi, blocks.tile), tape, kept, delta_0, sums.of(b)
                )
            )  # fmt: skip
            gradients = sums.total()
        return lambda: self.adjoint(stages, trace.states, kept)[0], delta_0, gradients

    def checkpointed(self, stages: Any, x: Array, g: Array, segment: int) -> tuple[Array, Array, StageGradients]:
        """y_N and delta_0 (B, n) and the gradients of A, c, W; every ``segment``-th state of a tile is kept."""
        x, g, y_N, delta_0 = _own(x), _own(g), np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(x))
        sums = _Sums(stages, blocks)
        blocks.run(
            lambda lo, hi, b: kernels.gradient(
                arguments, (lo, hi, blocks.tile), x, g, segment, y_N, delta_0, sums.of(b)
            )
        )  # fmt: skip
        return y_N, delta_0, sums.total()

    def reversible(
        self, stages: Any, x: Array, g: Array, budget: float, shortest: int | None = None
    ) -> tuple[Array, Array, StageGradients, Array]:
        """As ``checkpointed``, from states rebuilt on the way back; and reports (blocks, 3)."""
        x, g, y_N, delta_0 = _own(x), _own(g), np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(x))
        sums, reports = _Sums(stages, blocks), np.zeros((max(1, blocks.count), 3))
        few = SHORTEST if shortest is None else shortest
        blocks.run(
            lambda lo, hi, b: kernels.reversible(
                arguments, (lo, hi, blocks.tile), x, g, (few, budget), y_N, delta_0, sums.of(b), reports[b]
            )
        )
        return y_N, delta_0, sums.total(), reports

    def sensitivities(self, stages: Any, x: Array, last: Array | None = None) -> Array:
        """``sensitivity`` from x = y_0 (B, n): the kernel runs forward by itself."""
        return self.sensitivity(stages, x[None], last)

    def inverse(self, stages: Any, y_N: Array) -> Array:
        """y_0 (B, n) from y_N (B, n), where every stage leaves what it reads alone."""
        y_N, y_0 = _own(y_N), np.empty(y_N.shape, y_N.dtype)
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(y_N))
        blocks.run(lambda lo, hi, _: kernels.inverse(arguments, (lo, hi, blocks.tile), y_N, y_0))
        return y_0

    def sensitivity(self, stages: Any, states: Array, last: Array | None = None) -> Array:
        """Phi_0 .. Phi_N (N + 1, B, n, n); Phi_N is ``last`` (B, n, n), or I. Of the states, y_0 is enough."""
        n, x = stages.width, _own(states[0])
        phi = np.empty((stages.depth + 1, n, n, len(x)), stages.dtype)
        phi[-1] = np.eye(n, dtype=stages.dtype)[:, :, None] if last is None else last.transpose(1, 2, 0)
        arguments, blocks = self.arguments(stages), self.blocks(stages, len(x), columns=n)
        blocks.run(lambda lo, hi, _: kernels.sensitivity(arguments, (lo, hi, blocks.tile), x, phi))
        return phi.transpose(0, 3, 1, 2)


class _Sums:
    """Sums over samples, block by block: dA, dc, dW, shaped like A, c, W of all stages."""

    def __init__(self, stages: Stages, blocks: Cut) -> None:
        shapes = (stages.A.shape, stages.c.shape, stages.W.shape)
        self.first = tuple(zeros(shape, stages.dtype) for shape in shapes)
        self.others: tuple[Array, ...] = ()
        if blocks.count > 1:
            sizes = [math.prod(shape) for shape in shapes]
            self._buffer = Buffer((blocks.count - 1) * sum(sizes), stages.dtype)
            self._buffer.array[:] = 0
            pieces = np.split(self._buffer.array.reshape(blocks.count - 1, -1), np.cumsum(sizes)[:-1], axis=1)
            self.others = tuple(piece.reshape(-1, *shape) for piece, shape in zip(pieces, shapes, strict=True))

    def of(self, block: int) -> tuple[Array, ...]:
        return tuple(array[block - 1] for array in self.others) if block else self.first

    def total(self) -> StageGradients:
        """First block to last."""
        for total, several in zip(self.first, self.others, strict=False):
            for one in several:
                total += one
        return StageGradients(*self.first)


def _blocks(stages: Stages, batch: int, columns: int = 1) -> Cut:
    """The cut of a batch, where each sample takes ``columns`` of a tile."""
    return _cut(batch, columns, stages.A.shape, stages.W.shape, stages.dtype.itemsize)


@lru_cache(maxsize=256)
def _cut(batch: int, columns: int, A: tuple[int, int, int], W: tuple[int, int, int], itemsize: int) -> Cut:
    """Tiles of about equal size, whole vectors long; blocks of tiles, with work enough for a thread."""
    vector = VECTOR // itemsize
    most = TILE if columns == 1 else max(vector, 4 * TILE // (columns * vector) * vector)
    tiles = max(1, -(-batch // most))
    tile = max(1, -(-batch // (tiles * vector))) * vector
    S, r, k = A
    d = W[1]
    work = batch * columns * S * (r * (k + d) + 20 * r)
    return Cut(batch, tile, work=work, partial=S * r * (k + d + 1) * itemsize)


def _recorded(stages: Stages) -> int:
    """Numbers on the tape for each stage and sample."""
    return stages.c.shape[1] + stages.src[0].stop - stages.src[0].start


def _own(array: Array) -> Array:
    """Contiguous and writeable, a copy only where needed: Numba would compile anew for any other kind of array."""
    contiguous = np.ascontiguousarray(array)
    return contiguous if contiguous.flags.writeable else contiguous.copy()


def _plain(stages: Stages) -> tuple[Any, ...]:
    """The stages as the kernels take them: None stands for the kind of a matrix."""
    return stages.A, stages.c, stages.W, *stages.places, code_of(stages.activation), None, None


DENSE = CompiledDense()

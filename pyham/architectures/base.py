"""From an architecture's parameters to stages, and from stage gradients back to parameter gradients.

The field of every network here is G sigma(K y + b) with G = J K^T for Hamiltonian networks (H1, H2, MS3) and G = I for
the others. It is applied in parts: the part (dst, rows, src) evaluates those rows of K y + b, which read only y[src],
and updates y[dst]. A scheme (``pyham.architectures.schemes``) says in which order, each for which fraction f of the
step h. So stage s has

    A = K[rows, src]      c = b[rows]      W = f h M A^T  with M = J[dst, src],  or  W = f h I,  or  W = I (MLP)

(``amount`` is f h, or what takes its place where the state fades meanwhile: ``pyham.architectures.split``)

and the pullback of stage gradients is

    dK[rows, src] += dA + (f h dW)^T M      db[rows] += dc

summed over the stages of a layer. A is a linear map of any kind that ``pyham.architectures.maps`` has: K may be a
matrix, a convolution, or a matrix on the edges of a graph. Each architecture says which blocks of K its parameters are
(``weights``), and collects the blocks' gradients into those of its parameters (``collect``).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.activations import Activation
from pyham.architectures.activations import activation as find_activation
from pyham.architectures.learnt import Learnt
from pyham.architectures.maps import DENSE, Map
from pyham.architectures.penalties import smoothness
from pyham.architectures.schemes import Substep
from pyham.architectures.stages import StageGradients, Stages

Array = np.ndarray[Any, Any]

CHUNK = 1 << 13  # numbers of A: W and the gradient of K are built in parts of so many, which stay in the cache


class Part(NamedTuple):
    """Rows ``rows`` of K y + b read ``src`` and drive ``dst``."""

    dst: slice
    rows: slice
    src: slice


@dataclass(frozen=True, eq=False)
class Architecture(Learnt):
    """What networks of vectors share: ``width`` n, ``depth`` N layers, ``step`` h (so T = N h), ``activation``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, a width is odd where p and q exist, the depth is negative, the step not
        positive, or a name unknown; the message names the argument, what was expected and what came.
    """

    width: int
    depth: int
    step: float = 1.0
    activation: str | Activation = "tanh"

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", _check.integer("width", self.width, 1))
        object.__setattr__(self, "depth", _check.integer("depth", self.depth, 0))
        object.__setattr__(self, "step", _check.positive("step", self.step))
        find_activation(self.activation)

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The parts of the field, in the scheme's numbering."""

    @property
    @abstractmethod
    def steps(self) -> tuple[Substep, ...]:
        """The scheme: one stage per entry."""

    @abstractmethod
    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        """K[rows, src] (N, ...) of every part, from the free parameters."""

    @abstractmethod
    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        """The transpose of ``weights``: gradients of the free parameters (without b) from those of every part."""

    @property
    def block_shape(self) -> tuple[int, ...]:
        """The shape of the numbers of K[rows, src] in one layer."""
        _, rows, src = self.parts[0]
        return rows.stop - rows.start, src.stop - src.start

    @property
    def maps(self) -> tuple[Map, Map]:
        """The kinds of the linear maps A and W."""
        return DENSE, DENSE

    @property
    def inputs(self) -> int:
        """k: how many numbers each row of K y reads."""
        return self.parts[0].src.stop - self.parts[0].src.start

    @property
    def interconnected(self) -> bool:
        """Whether G = J K^T, or (J - R) K^T, not I."""
        return self.J is not None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.width,)

    def scales(self, initialization: str) -> dict[str, float]:
        return dict.fromkeys(self.shapes, 1.0 if initialization == "normal" else self.inputs**-0.5)

    def smoothness(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        penalty, (*blocks, b) = smoothness([*self.weights(params), params["b"]], self.step)
        of_learnt = {name: np.zeros_like(params[name]) for name in self.shapes_of_learnt()}
        return penalty, {**self.collect(blocks), "b": b, **of_learnt}

    def assemble(self, params: Mapping[str, Array]) -> Array:
        """K (N, n, n) from the free parameters."""
        K = np.zeros((self.depth, self.width, self.width), params["b"].dtype)
        for (_, rows, src), block in zip(self.parts, self.weights(params), strict=True):
            K[:, rows, src] = self.maps[0].dense(block)
        return K

    def cut(self, K: Array) -> list[Array]:
        """K[rows, src] of every part, of matrices K (N, n, n): what ``weights`` gives of the parameters."""
        return [self.maps[0].from_dense(K[:, rows, src]) for _, rows, src in self.parts]

    def products(self, params: Mapping[str, Array], y: Array) -> Array:
        """K_j y (N, B, n) of every layer."""
        result = np.empty((self.depth, len(y), self.width), y.dtype)
        for (_, rows, src), block in zip(self.parts, self.weights(params), strict=True):
            for j, M in enumerate(block.astype(y.dtype)):
                result[j][:, rows] = self.maps[0].apply(M, y[:, src])
        return result

    def lower(self, params: Mapping[str, Array]) -> Stages:
        if self.learnt:
            settled, params = self.settled(params)
            found: Stages = settled.lower(params)
            return found
        blocks, b = self.weights(params), params["b"]
        N, L, dtype = self.depth, len(self.steps), b.dtype
        rows, W_map = self.parts[0].rows, self.maps[1]
        A = np.empty((N, L, *blocks[0].shape[1:]), dtype)
        c = np.empty((N, L, rows.stop - rows.start), dtype)
        W: Any = None
        parts = _parts(N, L * A[:1, 0].size)
        for s, (part, fraction) in enumerate(self.steps):
            A[:, s] = blocks[part]
            c[:, s] = b[:, self.parts[part].rows]
            lift = self._lift(part, fraction, dtype)
            for layers in parts:
                output = W_map.composed(lift, A[layers, s]) if self.interconnected else lift[None]
                if W is None:
                    W = np.empty((N, L, *output.shape[1:]), dtype)
                W[layers, s] = self._by_layer(output, part, fraction, layers)
        return self._stages_of(*(stack.reshape(N * L, *stack.shape[2:]) for stack in (A, c, W)))

    def _stages_of(self, A: Array, c: Array, W: Array) -> Stages:
        """Stages with these numbers; all else follows from the options alone, and is worked out and checked once."""
        if A.dtype not in self._frames:
            zero = np.zeros((), A.dtype)
            self._frames[A.dtype] = Stages(
                np.broadcast_to(zero, A.shape),
                np.broadcast_to(zero, c.shape),
                np.broadcast_to(zero, W.shape),
                src=tuple(self.parts[part].src for part, _ in self.steps),
                dst=tuple(self.parts[part].dst for part, _ in self.steps),
                keep=self._keeps_in(A.dtype),
                activation=find_activation(self.activation),
                width=self.width,
                maps=self.maps,
            )
        return self._frames[A.dtype].renewed(A, c, W)

    @cached_property
    def _frames(self) -> dict[np.dtype[Any], Stages]:
        return {}

    def pullback(self, gradients: Any) -> dict[str, Array]:
        if gradients.A.size <= CHUNK:
            return self._pullback(gradients)
        L, result = len(self.steps), {}
        for layers in _parts(self.depth, L * gradients.A[0].size):
            first, last = layers.start, layers.stop
            part = self._pullback(StageGradients(*(g[first * L : last * L] for g in gradients)), first)
            for name, values in part.items():
                if not first:
                    result[name] = np.empty((self.depth, *values.shape[1:]), values.dtype)
                result[name][layers] = values
        return result

    def _pullback(self, gradients: StageGradients, first: int = 0) -> dict[str, Array]:
        """``pullback`` of any number of layers, beginning with layer ``first``."""
        parts, interconnected, L = self.parts, self.interconnected, len(self.steps)
        N, dtype, W_map = len(gradients.A) // L, gradients.A.dtype, self.maps[1]
        dA, dc, dW = (g.reshape(N, L, *g.shape[1:]) for g in gradients)
        blocks: list[Any] = [None] * len(parts)
        db = np.zeros((N, self.width), dtype)
        for s, (part, fraction) in enumerate(self.steps):
            block = dA[:, s]
            if interconnected:
                of_W = self._by_layer(dW[:, s], part, fraction, slice(first, first + N))
                block = block + W_map.composed_transposed(self._lift(part, fraction, dtype), of_W)
            blocks[part] = block if blocks[part] is None else blocks[part] + block
            db[:, parts[part].rows] += dc[:, s]
        return {**self.collect(blocks), "b": db}

    def amount(self, part: int, fraction: float) -> Any:
        """For how long a stage applies its part of the field: f h, one number or one for every layer (N,)."""
        return fraction * self.step

    def keeps(self) -> Any:
        """The factors of y[dst] in all stages, one number or (S,)."""
        return float(self.keep)

    def refined(self, **options: Any) -> Any:
        """The architecture of twice the depth and half the step, for networks that discretise an equation."""
        return replace(self, depth=2 * self.depth, step=self.step / 2, **options)

    def _keeps_in(self, dtype: np.dtype[Any]) -> Any:
        found = self.keeps()
        return found if np.ndim(found) == 0 or dtype.kind == "O" else found.astype(dtype)

    def _by_layer(self, stack: Array, part: int, fraction: float, layers: slice) -> Array:
        """``stack`` (N or 1, ...) times what the amounts of these layers are, where they differ from layer to layer."""
        if not self._different:
            return stack
        amounts = self._different[part, fraction][layers]
        return stack * amounts.astype(stack.dtype).reshape(-1, *[1] * (stack.ndim - 1))

    @cached_property
    def _different(self) -> dict[tuple[int, float], Array]:
        """The amounts of every stage of a layer, where they differ from layer to layer; else nothing."""
        amounts = {(part, fraction): self.amount(part, fraction) for part, fraction in self.steps}
        return amounts if any(map(np.ndim, amounts.values())) else {}

    def _lift(self, part: int, fraction: float, dtype: np.dtype[Any]) -> Any:
        """f h M (d, k), or the numbers of the map f h I where G = I, or of I where a layer replaces the state.

        Without f h where that differs from layer to layer.
        """
        if dtype.kind == "O":  # not kept: mpmath's precision may be another the next time
            return self._new_lift(part, fraction, dtype)
        key = part, fraction, dtype
        if key not in self._lifts:
            self._lifts[key] = _check.read_only(self._new_lift(*key))
        return self._lifts[key]

    @cached_property
    def _lifts(self) -> dict[tuple[int, float, np.dtype[Any]], Any]:
        return {}

    def _new_lift(self, part: int, fraction: float, dtype: np.dtype[Any]) -> Any:
        amount = self.amount(part, fraction)
        factor = dtype.type(amount if np.ndim(amount) == 0 else 1.0)
        if not self.interconnected:
            dst = self.parts[part].dst
            identity = self.maps[1].identity(dst.stop - dst.start, dtype)
            return identity * factor if self.keep else identity
        M = self._block_of_J(part)
        M = _check.multiprecision(M) if dtype.kind == "O" else M.astype(dtype)
        return M * factor

    def _block_of_J(self, part: int) -> Array:
        """J[dst, src], or (J - R)[dst, src], as ``maps[1].composed`` takes it."""
        assert self.coupling is not None
        return self.coupling[self.parts[part].dst, self.parts[part].src]


def _parts(depth: int, numbers: int) -> list[slice]:
    """Slices of layers that have so many ``numbers`` each."""
    if depth * numbers <= CHUNK:
        return [slice(0, depth)]
    step = max(1, CHUNK // numbers)
    return [slice(first, min(first + step, depth)) for first in range(0, depth, step)]

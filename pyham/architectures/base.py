"""From an architecture's parameters to stages, and from stage gradients back to parameter gradients.

The field of every network here is G sigma(K y + b) with G = J K^T for Hamiltonian networks (H1, H2, MS3) and G = I for
the others. It is applied in parts: the part (dst, rows, src) evaluates those rows of K y + b, which read only y[src],
and updates y[dst]. A scheme (``pyham.architectures.schemes``) says in which order, each for which fraction f of the
step h. So stage s has

    A = K[rows, src]      c = b[rows]      W = f h M A^T  with M = J[dst, src],  or  W = f h I,  or  W = I (MLP)

and the pullback of stage gradients is

    dK[rows, src] += dA + (f h dW)^T M      db[rows] += dc

summed over the stages of a layer. Then each architecture collects dK into the gradients of its free parameters.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.activations import activation as find_activation
from pyham.architectures.initialization import draw
from pyham.architectures.schemes import Step
from pyham.architectures.stages import StageGradients, Stages

if TYPE_CHECKING:
    from pyham.network import Network

Array = np.ndarray[Any, Any]


CHUNK = 4096  # layers: of a deeper network, K's gradient, which is larger than the free parameters', is built in parts


class Part(NamedTuple):
    """Rows ``rows`` of K y + b read ``src`` and drive ``dst``."""

    dst: slice
    rows: slice
    src: slice


@dataclass(frozen=True, eq=False)
class Architecture(ABC):
    """What all networks share: ``width`` n, ``depth`` N layers, ``step`` h (so T = N h) and the activation's name.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, a width is odd where p and q exist, the depth is negative, the step not
        positive, or a name unknown; the message names the argument, what was expected and what came.
    """

    width: int
    depth: int
    step: float = 1.0
    activation: str = "tanh"

    keep: ClassVar[bool] = True  # whether a layer adds to the state (False: it replaces it)

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", _check.integer("width", self.width, 1))
        object.__setattr__(self, "depth", _check.integer("depth", self.depth, 0))
        object.__setattr__(self, "step", _check.positive("step", self.step))
        find_activation(self.activation)

    # What an architecture says about itself

    def __str__(self) -> str:
        """Name and options on one line; of arrays, the shape."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        words = {key: f"array{v.shape}" if isinstance(v, np.ndarray) else repr(v) for key, v in options.items()}
        return f"{self.name}({', '.join(f'{key}={word}' for key, word in words.items())})"

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The parts of the field, in the scheme's numbering."""

    @property
    @abstractmethod
    def steps(self) -> tuple[Step, ...]:
        """The scheme: one stage per entry."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the free parameters, by name."""

    @abstractmethod
    def assemble(self, params: Mapping[str, Array]) -> Array:
        """K (N, n, n) from the free parameters."""

    @abstractmethod
    def collect(self, dK: Array) -> dict[str, Array]:
        """The transpose of ``assemble``: gradients of the free parameters (without b) from dK (N, n, n)."""

    @property
    def J(self) -> Array | None:
        """J (n, n) with G = J K^T, or None where G = I."""
        return None

    def effective_J(self, params: Mapping[str, Array]) -> Array | None:
        """J (n, n), or (N, n, n) where it depends on the weights, or None where the network has none."""
        return self.J

    def config(self) -> dict[str, Any]:
        """Name and options as plain data, from which ``pyham.architecture(**config)`` builds an equal one."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in options.items()}
        return {"name": self.name} | plain

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash((self.name, self.width, self.depth, self.step, self.activation))

    # What follows from it

    def init(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        initialization: str | Mapping[str, Any] = "normal",
        dtype: Any = np.float64,
    ) -> "Network":
        """A network with initial parameters; see ``pyham.architectures.initialization.draw`` for the arguments."""
        from pyham.network import Network  # the one import that looks up: it makes ``arch.init(rng)`` possible

        inputs = self.parts[0].src.stop - self.parts[0].src.start
        return Network(self, draw(self.shapes, inputs, rng, initialization, dtype))

    def lower(self, params: Mapping[str, Array]) -> Stages:
        """The stages of the network with these parameters, in the parameters' dtype."""
        K, b = self.assemble(params), params["b"]
        N, L = self.depth, len(self.steps)
        first = self.parts[0]
        r, k, d = (s.stop - s.start for s in (first.rows, first.src, first.dst))
        A = np.empty((N, L, r, k), K.dtype)
        c = np.empty((N, L, r), K.dtype)
        W = np.empty((N, L, d, r), K.dtype)
        for s, (part, fraction) in enumerate(self.steps):
            _, rows, src = self.parts[part]
            A[:, s] = K[:, rows, src]
            c[:, s] = b[:, rows]
            M = self._lift(part, fraction, K.dtype)
            W[:, s] = M if self.J is None else _times(A[:, s], M.T).swapaxes(1, 2)
        return Stages(
            A.reshape(N * L, r, k),
            c.reshape(N * L, r),
            W.reshape(N * L, d, r),
            src=tuple(self.parts[part].src for part, _ in self.steps),
            dst=tuple(self.parts[part].dst for part, _ in self.steps),
            keep=self.keep,
            activation=find_activation(self.activation),
            width=self.width,
        )

    def pullback(self, gradients: StageGradients) -> dict[str, Array]:
        """Gradients of the free parameters, shaped like them, from those of the stages."""
        if self.depth <= CHUNK:
            return self._pullback(gradients)
        L = len(self.steps)
        result = {name: np.empty(shape, gradients.A.dtype) for name, shape in self.shapes.items()}
        for first in range(0, self.depth, CHUNK):
            part = StageGradients(*(g[first * L : (first + CHUNK) * L] for g in gradients))
            for name, value in self._pullback(part).items():
                result[name][first : first + CHUNK] = value
        return result

    def _pullback(self, gradients: StageGradients) -> dict[str, Array]:
        """``pullback`` of any number of layers."""
        L, n = len(self.steps), self.width
        N = len(gradients.A) // L
        dtype = gradients.A.dtype
        dA, dc, dW = (g.reshape(N, L, *g.shape[1:]) for g in gradients)
        dK, db = np.zeros((N, n, n), dtype), np.zeros((N, n), dtype)
        for s, (part, fraction) in enumerate(self.steps):
            _, rows, src = self.parts[part]
            dK[:, rows, src] += dA[:, s]
            if self.J is not None:
                dK[:, rows, src] += _times(dW[:, s].swapaxes(1, 2), self._lift(part, fraction, dtype))
            db[:, rows] += dc[:, s]
        return {**self.collect(dK), "b": db}

    def _lift(self, part: int, fraction: float, dtype: np.dtype[Any]) -> Array:
        """f h M (d, k), or f h I where G = I, or I where a layer replaces the state."""
        if dtype.kind == "O":  # not kept: mpmath's precision may be another the next time
            return self._new_lift(part, fraction, dtype)
        key = part, fraction, dtype
        if key not in self._lifts:
            self._lifts[key] = self._new_lift(*key)
        return self._lifts[key]

    @cached_property
    def _lifts(self) -> dict[tuple[int, float, np.dtype[Any]], Array]:
        return {}

    def _new_lift(self, part: int, fraction: float, dtype: np.dtype[Any]) -> Array:
        dst, _, src = self.parts[part]
        if not self.keep:
            return np.eye(self.width, dtype=dtype)
        if self.J is None:
            return np.eye(dst.stop - dst.start, dtype=dtype) * dtype.type(fraction * self.step)
        M = self.J[dst, src]
        M = _check.multiprecision(M) if dtype.kind == "O" else M.astype(dtype)
        return M * dtype.type(fraction * self.step)


def _times(stack: Array, M: Array) -> Array:
    """Each of the matrices (N, a, b) times M (b, c).

    Often each column of M has one entry other than 0, as with J1 or X = I: then columns are picked and scaled. That is
    not only faster: after a product, the threads of BLAS go on waiting actively, on cores that the kernels need.
    """
    if M.dtype.kind != "O":
        picked = _picked(M.tobytes(), M.shape, M.dtype)
        if picked is not None:
            rows, factors = picked
            return (stack if rows is None else stack[..., rows]) * factors
    N, a, b = stack.shape
    return (stack.reshape(N * a, b) @ M).reshape(N, a, M.shape[1])


@lru_cache(maxsize=64)
def _picked(content: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> tuple[Array | None, Array] | None:
    """The row of the one entry of each column, None for 0, 1, 2 .., and the entries; None if a column has others."""
    M = np.frombuffer(content, dtype).reshape(shape)
    if (np.count_nonzero(M, axis=0) != 1).any():
        return None
    rows = np.abs(M).argmax(axis=0)
    factors = M[rows, np.arange(shape[1])]
    return (None if shape[0] == shape[1] and (rows == np.arange(shape[1])).all() else rows), factors

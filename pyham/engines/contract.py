"""``Engine``: all that an engine does. Four functions are its own; the rest is given here in terms of these four.

Gradients in less memory than all states take: checkpointing keeps some states and runs the layers between them again.
Where every stage adds a function of one part of the state to another part, the states can also be rebuilt from the
output by subtracting: in exact arithmetic nothing need be kept at all. In floating point the rebuilt states drift away,
by as much as the network amplifies rounding errors backwards, and the gradients with them; so here what is rebuilt is
compared with what is kept, and more is kept where the drift would exceed a budget.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyham.architectures.chain import AnyStages, accumulate
from pyham.architectures.lift import normalise, shifted
from pyham.engines.results import ClassifierGradients, Drift, Parts, Pixels, Trace

Array = np.ndarray[Any, Any]
#: From logits (B, C) and labels (B,) the mean loss and its gradient, as the functions of ``pyham.losses``.
Loss = Callable[[Array, Array], tuple[Any, Array]]

MATRICES = 64 << 20  # bytes of sensitivity matrices at a time
SHORTEST = 16  # layers: fewer are run again with everything kept, which takes no more memory than a state or two


class Engine(ABC):
    """Arithmetic on stages; a backend of ``pyham.Network``. Samples are rows: x = y_0 is (B, n), or (B, C, H, W)."""

    @abstractmethod
    def forward(self, stages: AnyStages, x: Array) -> Array:
        """y_N from x = y_0."""

    @abstractmethod
    def trace(self, stages: AnyStages, x: Array) -> Any:
        """States y_0 .. y_N (N + 1, B, n) from x = y_0; a list where they differ in shape."""

    @abstractmethod
    def adjoint(self, stages: AnyStages, states: Any, delta_N: Array) -> tuple[Any, Any]:
        """delta_0 .. delta_N, like the states, and the gradients of A, c, W, from delta_N = dLoss/dy_N."""

    @abstractmethod
    def sensitivity(self, stages: AnyStages, states: Any, last: Array | None = None) -> Array:
        """Phi_0 .. Phi_N (N + 1, B, n, n), Phi_N = I or ``last`` (B, n, n), from the states."""

    # Given in terms of these

    def run(self, stages: AnyStages, x: Array) -> Trace:
        """The forward pass, with what this engine wants to know on the way back."""
        return Trace(self.trace(stages, x), stages=stages)

    def back(self, stages: AnyStages, trace: Trace, delta_N: Array) -> tuple[Any, Array, Any]:
        """The backward pass: delta_0 .. delta_N (or a function that computes them), delta_0, and the gradients."""
        delta, gradients = self.adjoint(stages, trace.states, delta_N)
        return delta, delta[0], gradients

    def sensitivities(self, stages: AnyStages, x: Array, last: Array | None = None) -> Array:
        """``sensitivity`` from x = y_0."""
        return self.sensitivity(stages, self.trace(stages, x), last)

    def inverse(self, stages: AnyStages, y_N: Array) -> Array:
        """y_0 from y_N: y[dst] <- (y[dst] - W sigma(A y[src] + c)) / keep, stages in reverse."""
        y = y_N.copy()
        for j in reversed(range(stages.depth)):
            for stage in reversed(stages.of_layer(j)):
                y[stage.dst] = (y[stage.dst] - stage.update(stage.inner(y))) / stage.keep
            y = stages.leave(j, y)
        return y

    def gradient(
        self, stages: AnyStages, x: Array, delta_N: Array, memory: str = "store", budget: float = np.inf
    ) -> tuple[Array, Array, Any, Drift | None]:
        """y_N, delta_0, the gradients of A, c, W, and the drift where states were rebuilt.

        ``memory`` is "store", "checkpoint" or "reversible", as in ``pyham.Network.gradient``.
        """
        if memory == "reversible":
            y_N, delta_0, gradients, reports = self.reversible(stages, x, delta_N, budget)
            error, kept, most = reports.max(axis=0, initial=0)
            return y_N, delta_0, gradients, Drift(float(error), budget, int(kept), int(most))
        segment = max(1, stages.depth if memory == "store" else math.isqrt(stages.depth))
        return *self.checkpointed(stages, x, delta_N, segment), None

    def checkpointed(self, stages: AnyStages, x: Array, delta_N: Array, segment: int) -> tuple[Array, Array, Any]:
        """y_N, delta_0 and the gradients of A, c, W, with only every ``segment``-th state kept.

        A segment of layers is run again, and its states kept, when its turn comes on the way back.
        """
        starts = list(range(0, stages.depth, segment))
        kept = [x]
        for j in starts:
            kept.append(self.forward(stages.layers(j, j + segment), kept[-1]))
        delta, gradients = delta_N.astype(x.dtype), stages.zero_gradients()
        for j, y in zip(reversed(starts), reversed(kept[:-1]), strict=True):
            layers = stages.layers(j, j + segment)
            deltas, added = self.adjoint(layers, self.trace(layers, y), delta)
            delta = deltas[0]
            accumulate(stages.part(gradients, j, j + segment), added)
        return kept[-1].copy(), delta, gradients

    def reversible(
        self, stages: AnyStages, x: Array, delta_N: Array, budget: float, shortest: int | None = None
    ) -> tuple[Array, Array, Any, Array]:
        """As ``checkpointed``, from states rebuilt on the way back; last come reports (B, 3), one for each sample.

        Layers start .. end are rebuilt only if that leads back to the state at ``start``, which is kept, within
        ``budget``. Otherwise the state half way is computed from there and kept too, and the second half comes first.
        ``shortest`` layers and fewer are not rebuilt, but run again.

        A report holds the largest error accepted (``distance``), states kept besides the input, and the most at a time.
        """
        few = SHORTEST if shortest is None else shortest
        output, delta_0, reports = np.empty_like(delta_N, x.dtype), np.empty_like(x), np.zeros((len(x), 3))
        gradients = stages.zero_gradients()
        for i in range(len(x)):
            one = slice(i, i + 1)
            output[one] = y = self.forward(stages, x[one])
            delta, trial, end = delta_N[one].astype(x.dtype), stages.depth, stages.depth
            kept = [(0, x[one])]
            while end > 0:
                start, origin = kept[-1]
                part = stages.layers(start, end)
                if end - start > few:
                    error = distance(self.inverse(part, y), origin) if end - start <= trial else np.inf
                    if not error <= budget:  # NaN is no success
                        middle = (start + end) // 2
                        trial = min(trial, end - middle)
                        kept.append((middle, self.forward(stages.layers(start, middle), origin)))
                        reports[i, 1:] = reports[i, 1] + 1, max(reports[i, 2], len(kept) - 1)
                        continue
                    reports[i, 0] = max(reports[i, 0], error)
                    states = self._rebuilt(part, y)
                else:
                    states = self.trace(part, origin)
                deltas, added = self.adjoint(part, states, delta)
                delta = deltas[0]
                accumulate(stages.part(gradients, start, end), added)
                trial = 2 * (end - start)
                (end, y), kept = kept[-1], kept[:-1]
            delta_0[one] = delta
        return output, delta_0, gradients, reports

    def _rebuilt(self, stages: AnyStages, y_N: Array) -> Any:
        """The states, each from the one behind it."""
        states = [y_N]
        for j in reversed(range(stages.depth)):
            states.append(self.inverse(stages.layers(j, j + 1), states[-1]))
        return stacked(states[::-1])

    def streamed(self, stages: AnyStages, x: Array, layers: Sequence[int], measure: Callable[[Array], Array]) -> Array:
        """measure(phi) of the chosen layers, phi[j] = dy_N/dy_j (M, B, n, n) for about sqrt(N) layers at a time."""
        n = math.prod(x.shape[1:])
        segment = max(1, min(math.isqrt(stages.depth), MATRICES // max(1, len(x) * n * n * x.itemsize)))
        starts = list(range(0, stages.depth, segment))
        kept = [x]
        for j in starts:
            kept.append(self.forward(stages.layers(j, j + segment), kept[-1]))
        wanted = np.array(layers, dtype=int)
        result: Array | None = None
        last: Array = np.broadcast_to(np.eye(n, dtype=x.dtype), (len(x), n, n))
        for j, y in [(stages.depth, kept[-1]), *zip(reversed(starts), reversed(kept[:-1]), strict=True)]:
            phi = self.sensitivities(stages.layers(j, j + segment), y, last)
            here = np.flatnonzero((wanted >= j) & (wanted < j + len(phi) - (j < stages.depth)))
            if len(here) or result is None:
                values = measure(phi[wanted[here] - j])
                if result is None:
                    result = np.empty((len(wanted), *values.shape[1:]), values.dtype)
                result[here] = values
            if not (wanted < j).any():
                break
            last = phi[0]
        assert result is not None
        return result

    def logits(self, classifier: Parts, pixels: Array) -> Array:
        """z (B, C) of pixels (B, H, W) from 0 to 255."""
        lift, stages, layer, mu = classifier
        y = self.forward(stages, lift.apply(normalise(pixels, layer.dtype)))
        return y.reshape(len(y), layer.shape[1]) @ layer.T + mu

    def classifier_gradient(
        self, classifier: Parts, loss: Loss, images: Pixels
    ) -> tuple[Any, int, ClassifierGradients]:
        """The mean loss, the number of images classified right, and the loss's gradient."""
        (lift, stages, layer, mu), (pixels, labels, shifts, rows) = classifier, images
        x = normalise(shifted(pixels[rows], shifts), layer.dtype)
        trace = self.run(stages, lift.apply(x))
        features = trace.output.reshape(len(x), layer.shape[1])
        z = features @ layer.T + mu
        value, dz = loss(z, labels[rows])
        _, delta_0, gradients = self.back(stages, trace, (dz @ layer).reshape(trace.output.shape))
        right = int((z.real.argmax(axis=1) == labels[rows]).sum())
        found = ClassifierGradients(lift.gradient(x, delta_0), gradients, dz.T @ features, dz.sum(axis=0))
        return value, right, found


def stacked(states: Sequence[Array]) -> Any:
    """States as one array (N + 1, ...), or as they are where they differ in shape."""
    return np.stack(states) if len({state.shape for state in states}) == 1 else list(states)


def distance(y: Array, z: Array) -> float:
    """Largest over the samples (B, ...) of max_i |y_i - z_i| / max_i |z_i|, and 0 where they are equal."""
    axes = tuple(range(1, y.ndim))
    gap, scale = np.abs(y - z).max(axis=axes, initial=0), np.abs(z).max(axis=axes, initial=0)
    return float(np.where(gap == 0, 0, gap / np.where(scale == 0, np.finfo(float).tiny, scale)).max(initial=0))

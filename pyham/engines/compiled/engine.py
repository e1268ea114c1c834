"""The compiled engine: for each kind of map the fastest engine that there is for it.

Matrices, matrices on the edges of a graph and convolutions have kernels, and so have the package's own activations;
networks of other maps and networks with an activation of the user's own run on the reference engine.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyham.architectures.activations import BUILT_IN
from pyham.architectures.chain import AnyStages
from pyham.architectures.edges import Composition, Edges
from pyham.architectures.maps import Convolution, Dense
from pyham.engines.compiled.convolutions import CompiledConvolutions
from pyham.engines.compiled.dense import DENSE
from pyham.engines.compiled.edges import CompiledEdges
from pyham.engines.contract import Engine, Loss
from pyham.engines.reference import REFERENCE
from pyham.engines.results import ClassifierGradients, Drift, Parts, Pixels, Trace

Array = np.ndarray[Any, Any]

_EDGES = CompiledEdges()
BY_MAP: dict[type[Any], Engine] = {
    Dense: DENSE, Convolution: CompiledConvolutions(), Edges: _EDGES, Composition: _EDGES,
}  # fmt: skip


class Compiled(Engine):
    """``backend="numba"``: float32 and float64. Every bit of a result is the same for any number of threads."""

    def of(self, stages: AnyStages) -> Engine:
        """The engine of this network's maps and activation."""
        if stages.activation not in BUILT_IN:
            return REFERENCE
        first, second = map(type, stages.maps)
        return BY_MAP.get(first, REFERENCE) if BY_MAP.get(first) is BY_MAP.get(second) else REFERENCE

    def forward(self, stages: AnyStages, x: Array) -> Array:
        return self.of(stages).forward(stages, x)

    def trace(self, stages: AnyStages, x: Array) -> Any:
        return self.of(stages).trace(stages, x)

    def adjoint(self, stages: AnyStages, states: Any, delta_N: Array) -> tuple[Any, Any]:
        return self.of(stages).adjoint(stages, states, delta_N)

    def sensitivity(self, stages: AnyStages, states: Any, last: Array | None = None) -> Array:
        return self.of(stages).sensitivity(stages, states, last)

    def run(self, stages: AnyStages, x: Array) -> Trace:
        return self.of(stages).run(stages, x)

    def back(self, stages: AnyStages, trace: Trace, delta_N: Array) -> tuple[Any, Array, Any]:
        return self.of(stages).back(stages, trace, delta_N)

    def sensitivities(self, stages: AnyStages, x: Array, last: Array | None = None) -> Array:
        return self.of(stages).sensitivities(stages, x, last)

    def inverse(self, stages: AnyStages, y_N: Array) -> Array:
        return self.of(stages).inverse(stages, y_N)

    def gradient(
        self, stages: AnyStages, x: Array, delta_N: Array, memory: str = "store", budget: float = np.inf
    ) -> tuple[Array, Array, Any, Drift | None]:
        return self.of(stages).gradient(stages, x, delta_N, memory, budget)

    def streamed(self, stages: AnyStages, x: Array, layers: Sequence[int], measure: Callable[[Array], Array]) -> Array:
        return self.of(stages).streamed(stages, x, layers, measure)

    def logits(self, classifier: Parts, pixels: Array) -> Array:
        return self.of(classifier.stages).logits(classifier, pixels)

    def classifier_gradient(
        self, classifier: Parts, loss: Loss, images: Pixels
    ) -> tuple[Any, int, ClassifierGradients]:
        return self.of(classifier.stages).classifier_gradient(classifier, loss, images)


COMPILED = Compiled()

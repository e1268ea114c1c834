"""``Chain``: several ``Stages`` one after the other, of networks of images whose resolution falls."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyham.architectures.activations import Activation
from pyham.architectures.maps import Map
from pyham.architectures.stages import Stage, StageGradients, Stages

Array = np.ndarray[Any, Any]


class Chain:
    """Several ``Stages`` one after the other, with the properties of one; layers are counted through."""

    def __init__(self, sections: Sequence[Stages]) -> None:
        if not sections:
            raise ValueError("sections: expected at least one, got none")
        self.sections = tuple(sections)
        self._starts = np.cumsum([0, *(section.depth for section in sections)]).tolist()

    @property
    def depth(self) -> int:
        """Layers N."""
        return int(self._starts[-1])

    @property
    def count(self) -> int:
        """Stages S."""
        return sum(section.count for section in self.sections)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sections[0].dtype

    @property
    def activation(self) -> Activation:
        return self.sections[0].activation

    @property
    def maps(self) -> tuple[Map, Map]:
        return self.sections[0].maps

    @property
    def shears(self) -> bool:
        """As that of ``Stages``; a squeeze is a permutation of p and the same of q."""
        return all(section.shears for section in self.sections)

    def layers(self, start: int, stop: int) -> "Chain":
        """The stages of the layers start .. stop - 1."""
        return Chain([section.layers(a, b) for section, a, b in self._cut(start, stop)])

    def astype(self, dtype: object) -> "Chain":
        """The same stages in another dtype."""
        return Chain([section.astype(dtype) for section in self.sections])

    def of_layer(self, j: int) -> list[Stage]:
        """The stages of layer j, in their order."""
        section, j = self._section(j)
        return section.of_layer(j)

    def enter(self, j: int, y: Array) -> Array:
        """The state that the first stage of layer j reads, from that which enters the layer: squeezed, or the same."""
        section, j = self._section(j)
        return section.enter(j, y)

    def leave(self, j: int, delta: Array) -> Array:
        """The transpose of ``enter``, which is its inverse."""
        section, j = self._section(j)
        return section.leave(j, delta)

    def zero_gradients(self) -> Any:
        """Zeros for the gradients of all stages, section by section."""
        return tuple(section.zero_gradients() for section in self.sections)

    def part(self, gradients: Any, start: int, stop: int) -> Any:
        """Views of the gradients of the layers start .. stop - 1, as ``layers(start, stop)`` has them."""
        numbers = [self.sections.index(section) for section, _, _ in self._cut(start, stop)]
        cut = self._cut(start, stop)
        return tuple(section.part(gradients[i], a, b) for i, (section, a, b) in zip(numbers, cut, strict=True))

    def gradients_of_layer(self, gradients: Any, j: int) -> StageGradients:
        """Views of those of layer j, one entry for each of its stages."""
        return StageGradients(*self.part(gradients, j, j + 1)[0])

    def _section(self, j: int) -> tuple[Stages, int]:
        i = int(np.searchsorted(self._starts, j, side="right")) - 1
        return self.sections[i], j - self._starts[i]

    def _cut(self, start: int, stop: int) -> list[tuple[Stages, int, int]]:
        """(section, first layer, last layer + 1 within it) of those that have some of these layers, at least one."""
        found = []
        for section, first in zip(self.sections, self._starts, strict=False):
            a, b = max(start - first, 0), min(stop - first, section.depth)
            if a < b:
                found.append((section, a, b))
        return found or [(self.sections[0], 0, 0)]


AnyStages = Stages | Chain


def accumulate(total: Any, added: Any) -> None:
    """total += added, gradients of the same stages."""
    if isinstance(total, StageGradients):
        for sum_, array in zip(total, added, strict=True):
            sum_ += array
    else:
        for one, other in zip(total, added, strict=True):
            accumulate(one, other)

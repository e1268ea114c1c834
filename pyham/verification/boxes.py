"""Boxes of inputs: the ones around samples, and how they are divided where that makes an enclosure narrower.

A box belongs to a sample, has a centre (n,) and a radius in each of K channels, and holds all x with ``|x_k -
centre_k|`` at most the radius there and x = centre in the other channels. Remainders are quadratic in the radius, so
the enclosures of two halves are narrower than that of the whole, and their union encloses what it did. Halves overlap
by a few ulp, so that rounding leaves no gap between them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham import _check
from pyham.verification.affine import Lowered, symbols
from pyham.verification.slopes import EPS, TINY

Array = np.ndarray[Any, Any]

NUMBERS = 1 << 19  # in the symbols of the boxes that are looked at together: what bounds the memory
SPLITS = 64


@dataclass(frozen=True)
class Boxes:
    """P boxes: the number of the sample (P,), ``centre`` (P, n), ``radius`` (P, K)."""

    sample: Array
    centre: Array
    radius: Array

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, rows: Any) -> "Boxes":
        """Some of them."""
        return Boxes(self.sample[rows], self.centre[rows], self.radius[rows])

    def halves(self, channels: Array, along: Array) -> "Boxes":
        """Both halves of every box, cut across the channel ``channels[along]``."""
        rows, found = np.arange(len(self)), []
        cut = self.radius[rows, along] / 2
        for sign in (-1, 1):
            centre, radius = self.centre.copy(), self.radius.copy()
            centre[rows, channels[along]] += sign * cut
            radius[rows, along] = cut + 2 * EPS * (np.abs(centre[rows, channels[along]]) + cut) + TINY
            found.append((self.sample, centre, radius))
        return Boxes(*map(np.concatenate, zip(*found, strict=True)))

    def chunks(self, stages: Lowered) -> Iterator["Boxes"]:
        """A few at a time, as many as the memory for their symbols allows."""
        size = max(1, NUMBERS // (stages.width * symbols(stages, self.radius.shape[1])))
        return (self.take(slice(start, start + size)) for start in range(0, len(self), size))


def around(x: Array, radius: object, channels: object, splits: object) -> tuple[Boxes, Array, int]:
    """The boxes around samples x (B, n), the channels (K,) and the number of splits, checked.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    count, n = x.shape
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x: expected dtype float32 or float64, got {x.dtype}")
    radii = _check.array("radius", radius, None)
    if radii.shape not in ((), (count,)):
        raise ValueError(f"radius: expected a number, or shape ({count},), got {radii.shape}")
    if radii.dtype not in (np.float32, np.float64):  # others would be rounded, perhaps downwards
        raise TypeError(f"radius: expected dtype float32 or float64, got {radii.dtype}")
    if (radii < 0).any():
        raise ValueError(f"radius: expected numbers >= 0, got {radii.min()}")
    given = range(n) if channels is None else channels
    if not isinstance(given, Iterable):
        raise TypeError(f"channels: expected indices of a state, got {type(given).__name__}")
    places = [_check.integer("channels", c, -n) for c in given]
    if not places or max(places) >= n or len({c % n for c in places}) < len(places):
        raise ValueError(f"channels: expected different indices of a state of width {n}, got {channels}")
    wide = np.broadcast_to(radii.astype(np.float64)[..., None], (count, len(places))).copy()
    boxes = Boxes(np.arange(count), x.astype(np.float64), wide)
    return boxes, np.array(places) % n, _check.integer("splits", splits, 1)


#: Of boxes: how far each is from being settled (0: it is), and the number of the channel to cut it across.
Look = Callable[[Boxes], tuple[Array, Array]]


def explore(boxes: Boxes, channels: Array, splits: int, look: Look, keep: Callable[[Array], None]) -> Array:
    """Look at boxes, one for each sample, and at parts of those that are not settled; the number of parts (B,).

    ``look`` is given boxes, and then ``keep`` the rows of those that are not divided any further. A sample's box is
    divided into at most ``splits`` parts, beginning with what is farthest from being settled.
    """
    parts = np.ones(len(boxes), np.int64)
    while len(boxes):
        far, along = look(boxes)
        order = np.lexsort((-far, boxes.sample))
        of_order = boxes.sample[order]
        rank = np.empty(len(boxes), np.int64)
        rank[order] = np.arange(len(boxes)) - np.searchsorted(of_order, of_order)
        divided = (far > 0) & (rank < (splits - parts)[boxes.sample])
        keep(~divided)
        parts += np.bincount(boxes.sample[divided], minlength=len(parts))
        boxes = boxes.take(divided).halves(channels, along[divided])
    return parts

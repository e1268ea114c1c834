"""What a classifier decides for every input within a radius of a sample, and attacks that look for the contrary.

The output layer is linear, z = gain (w y_N + mu), so it is applied to the affine form of y_N, and only then are
intervals taken: of the margins z_p - z_c, where p is the sample's class. Where all of them are positive for all
inputs of a region, no input in it changes class. After the logistic loss there is one logit z for two classes, which
counts as (0, z).

``certified_radius`` is below, and the distance of a point that ``attack`` finds is above, the distance to the nearest
input of another class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham import _check
from pyham.network import Network
from pyham.verification import affine, slopes
from pyham.verification.boxes import SPLITS, Boxes, around, explore
from pyham.verification.slopes import EPS, TINY

Array = np.ndarray[Any, Any]

HALVINGS = 40  # of the largest radius: below 10^-12 of it, a certified radius is 0
REFINEMENTS = 5  # of a certified radius within a factor of 2: to 3 per cent
STEPS_BACK = 30  # halvings of the way from a point that changed class to the sample


@dataclass(frozen=True)
class Classes:
    """What is proven for regions around B samples, with C classes.

    Attributes
    ----------
    predicted (B,) : p, the class of the sample itself
    lower, upper (B, C) : z_p - z_c lies between, for every class c; 0 for p itself
    constant (B,) : whether it is proven that no input in the region has another class
    parts (B,) : into how many parts each region was divided
    """

    predicted: Array
    lower: Array
    upper: Array
    constant: Array
    parts: Array


@dataclass(frozen=True)
class Attack:
    """Inputs near B samples that have another class.

    Attributes
    ----------
    x (B, n) : such an input, the nearest that was found; the sample itself where none was
    changed (B,) : whether one was found
    distance (B,) : how far it is from the sample, in the infinity norm; infinity where none was found
    """

    x: Array
    changed: Array
    distance: Array


def classes(
    classifier: Any, x: object, radius: object, *, channels: Sequence[int] | None = None, splits: int = SPLITS
) -> Classes:
    """Intervals of the margins for all inputs within ``radius`` of each sample.

    Parameters
    ----------
    classifier : a ``pyham.training.Classifier`` of points
    x, radius, channels, splits : as of ``pyham.regions.enclose``; parts are made where the class is not proven

    Raises
    ------
    TypeError, ValueError
        As ``pyham.regions.enclose`` does, or if ``classifier`` is none of points.
    """
    layer, samples = _Layer.of(classifier), _samples(classifier, x)
    boxes, places, most = around(samples, radius, channels, splits)
    stages = affine.lowered(classifier.net)
    predicted = layer.classes(boxes.centre)
    shape = len(boxes), len(layer.mu)
    own = np.arange(shape[1]) == predicted[:, None]
    lower, upper, refuted = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape[0], bool)
    found: list[Array] = []

    def look(parts: Boxes) -> tuple[Array, Array]:
        looked = [_look(stages, layer, chunk, predicted[chunk.sample], places) for chunk in parts.chunks(stages)]
        low, high, along = (np.concatenate(each) for each in zip(*looked, strict=True))
        found[:] = parts.sample, low, high
        refuted[parts.sample[layer.classes(parts.centre) != predicted[parts.sample]]] = True
        worst = np.where(own[parts.sample], np.inf, low).min(axis=1)
        return np.where((worst > 0) | refuted[parts.sample], 0, np.maximum(-worst, TINY)), along

    def keep(rows: Array) -> None:
        sample, low, high = (part[rows] for part in found)
        np.minimum.at(lower, sample, low)
        np.maximum.at(upper, sample, high)

    with np.errstate(all="ignore"):  # what overflows becomes infinity
        parts = explore(boxes, places, most, look, keep)
    return Classes(predicted, lower, upper, ((lower > 0) | own).all(axis=1), parts)


def certified_radius(
    classifier: Any,
    x: object,
    *,
    channels: Sequence[int] | None = None,
    largest: float = 1.0,
    splits: int = SPLITS,
) -> Array:
    """Radii (B,), at most ``largest``, within which no input has another class than the sample, proven.

    Found by bisection, below the distance of what ``attack`` finds: within 3 per cent of the largest radius that
    ``classes`` proves with as many ``splits``. 0 where the sample itself is not decided.

    Raises
    ------
    TypeError, ValueError
        As ``classes`` does.
    """
    samples, limit = _samples(classifier, x), _check.positive("largest", largest)

    def proven(radii: Array, rows: Array) -> Array:
        return classes(classifier, samples[rows], radii[rows], channels=channels, splits=splits).constant

    nearest = attack(classifier, samples, limit, channels=channels, rng=0).distance  # saves trying what must fail
    with np.errstate(divide="ignore"):
        fails = np.floor(np.log2(limit / nearest)).clip(-1, HALVINGS).astype(int)  # of the exponents e of radii
    holds = np.full(len(samples), HALVINGS + 1)  # 2^-e limit
    while len(rows := np.flatnonzero(holds - fails > 1)):
        middle = (fails + holds) // 2
        ok = np.zeros(len(samples), bool)
        ok[rows] = proven(limit * 0.5**middle, rows)
        holds[ok], fails[rows] = middle[ok], np.where(ok[rows], fails[rows], middle[rows])
    radii = np.where(holds > HALVINGS, 0, limit * 0.5**holds)
    rows = np.flatnonzero((holds > 0) & (holds <= HALVINGS))
    step = radii / 2
    for _ in range(REFINEMENTS):
        larger = radii + step
        worth = rows[larger[rows] < nearest[rows]]
        ok = worth[proven(larger, worth)]
        radii[ok] = larger[ok]
        step /= 2
    return np.asarray(radii)


def attack(
    classifier: Any,
    x: object,
    radius: object,
    *,
    channels: Sequence[int] | None = None,
    steps: int = 20,
    restarts: int = 4,
    rng: np.random.Generator | int | None = None,
) -> Attack:
    """Inputs within ``radius`` of the samples, to rounding, that have another class: projected gradient descent.

    From random points of the region the smallest margin is lowered: each step goes along the sign of its gradient, as
    ``net.gradient`` has it, and back into the region; steps begin with the radius and become shorter. From where the
    class has changed the way back to the sample is halved until the change is found.

    Parameters
    ----------
    classifier, x, radius, channels : as of ``classes``
    steps, restarts : of the descent, and from how many points of the region
    rng : of these points: numpy Generator, int seed, or None for fresh entropy

    Raises
    ------
    TypeError, ValueError
        As ``classes`` does.
    """
    layer, samples = _Layer.of(classifier), _samples(classifier, x)
    boxes, places, _ = around(samples, radius, channels, 1)
    count, last = _check.integer("steps", steps, 1), _check.integer("restarts", restarts, 1)
    generator = _check.generator(rng)
    start = np.tile(boxes.centre, (last, 1))
    reach, p = np.tile(boxes.radius, (last, 1)), np.tile(layer.classes(boxes.centre), last)
    points = start.copy()
    points[:, places] += reach * generator.uniform(-1, 1, reach.shape)
    ends = np.full_like(start, np.nan)
    for step in range(count + 1):
        changed = layer.classes(points) != p
        ends[changed] = points[changed]
        if step < count:
            slope = layer.net.gradient(points, lambda y: layer.slope(y, p)).input[:, places]
            moved = points[:, places] - reach * (1 - step / count) * np.sign(slope)
            points[:, places] = np.clip(moved, start[:, places] - reach, start[:, places] + reach)
    hit = np.flatnonzero(~np.isnan(ends[:, 0]))
    near, far = np.zeros((len(hit), 1)), np.ones((len(hit), 1))
    way = ends[hit] - start[hit]
    for _ in range(STEPS_BACK):
        middle = (near + far) / 2
        changed = (layer.classes(start[hit] + middle * way) != p[hit])[:, None]
        near, far = np.where(changed, near, middle), np.where(changed, middle, far)
    ends[hit] = np.where(far < 1, start[hit] + far * way, ends[hit])
    distance = np.abs(ends - start).max(axis=1, initial=0)
    distance = np.where(np.isnan(distance), np.inf, distance).reshape(last, len(boxes))
    nearest = distance.argmin(axis=0), np.arange(len(boxes))
    found = np.isfinite(distance[nearest])
    nearest_ends = ends.reshape(last, *boxes.centre.shape)[nearest]
    return Attack(np.where(found[:, None], nearest_ends, boxes.centre), found, distance[nearest])


@dataclass(frozen=True)
class _Layer:
    """The network and the output layer z = w y_N + mu, with (0, z) for the one z of the logistic loss."""

    net: Network
    w: Array
    mu: Array

    @classmethod
    def of(cls, classifier: Any) -> "_Layer":
        head = getattr(classifier, "head", None)
        if head is None or not isinstance(getattr(classifier, "net", None), Network):
            raise TypeError(f"classifier: expected a Classifier, got {type(classifier).__name__}")
        if classifier.lift is not None or getattr(classifier, "inputs", None) is not None:
            raise ValueError(f"classifier: expected one of points, got {classifier!r}")
        layer = head.gain * head.layer.astype(np.float64)
        w, mu = layer[:, :-1], layer[:, -1]
        if len(w) == 1:
            w, mu = np.stack([0 * w[0], w[0]]), np.append(0, mu)
        return cls(classifier.net, w, mu)

    def classes(self, x: Array) -> Array:
        """The classes (B,) of x (B, n); the first of equal logits."""
        return np.asarray((self.net(x) @ self.w.T + self.mu).argmax(axis=1))

    def slope(self, y: Array, p: Array) -> Array:
        """The gradient in y (B, n) of the smallest margin of the classes p (B,)."""
        z = y @ self.w.T + self.mu
        z[np.arange(len(p)), p] = -np.inf
        return self.w[p] - self.w[z.argmax(axis=1)]


def _samples(classifier: Any, x: object) -> Array:
    return _check.array("x", x, ("B", _Layer.of(classifier).net.arch.width))


def _look(
    stages: affine.Lowered, layer: _Layer, boxes: Boxes, p: Array, channels: Array
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Of R boxes: bounds of the margins (R, C) of the classes p (R,), and the channel that matters most (R,).

    Errors: of w and mu, a gain times a number, one EPS; of the difference of two of them another, and of the sum n.
    """
    n = stages.width
    c, Y, _ = affine.forward(stages, boxes.centre.T.copy(), boxes.radius.T.copy(), channels, slopes.enclose)
    form = np.einsum("rcn,ngr->rcg", layer.w[p][:, None] - layer.w, Y)
    middle = np.einsum("rcn,nr->rc", layer.w[p][:, None] - layer.w, c) + (layer.mu[p][:, None] - layer.mu)
    size = np.abs(layer.w[p])[:, None] + np.abs(layer.w)
    total = np.einsum("rcn,nr->rc", size, np.abs(c) + np.abs(Y).sum(axis=1))
    total += np.abs(layer.mu[p])[:, None] + np.abs(layer.mu)
    half = (np.abs(form).sum(axis=2) + (n + 8) * EPS * total) * (1 + (Y.shape[1] + 16) * EPS) + TINY
    own = np.arange(len(layer.mu)) == p[:, None]
    low = np.where(own, 0, np.nan_to_num(middle - half, nan=-np.inf))
    high = np.where(own, 0, np.nan_to_num(middle + half, nan=np.inf))
    return low, high, np.abs(form[:, :, : len(channels)]).max(axis=1).argmax(axis=1)

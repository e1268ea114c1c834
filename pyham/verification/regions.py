"""Certificates for regions: what holds for every input within a radius of a sample, proven with rounding included.

The bounds of ``pyham.bounds`` know only the weights: for trained 64-layer H2s they say 10^14 to 10^38 where samples
show norms of 3 to 270. Here a region around each sample, all x with ``|x - sample| <= radius`` in the chosen
channels, is carried through the network as a whole (``pyham.verification.affine`` has the derivation), and yields

    intervals of y_N,   upper bounds of ``||Phi_j||_2``,   and a lower bound of every gradient

for each of the infinitely many inputs in it. Where Phi_j^T J Phi_j = J (H2, MS3, and MS1 with the same weights in all
layers), Phi_j^-1 = J^-1 Phi_j^T J has a norm of at most cond(J) ``||Phi_j||``, so for every delta_N and every input

    1 / (cond(J) ``||Phi_j||``)  <=  ``||delta_j|| / ||delta_N||``  <=  ``||Phi_j||``

with cond(J) = 1 for orthogonal J. Of other networks Phi_j^-1 is not enclosed, and no lower bound is given.

What is proven is proven of the network in real numbers, with its parameters as they are and W = f h M A^T exact; what
an engine computes differs from that by its own rounding. ``classes``, ``certified_radius`` and ``attack`` ask the
same of a classifier's decision (``pyham.verification.decisions``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham import _check
from pyham.network import Network
from pyham.verification import affine, slopes
from pyham.verification.boxes import SPLITS, Boxes, around, explore
from pyham.verification.decisions import Attack, Classes, attack, certified_radius, classes
from pyham.verification.slopes import EPS, TINY, Enclosure
from pyham.verification.structure import symplectic_by_design

Array = np.ndarray[Any, Any]

GOAL = 1.1  #: a region is divided until no bound exceeds by more the largest norm in the middle of a part

__all__ = ["GOAL", "SPLITS", "Attack", "Classes", "Region", "attack", "certified_radius", "classes", "enclose"]


@dataclass(frozen=True)
class Region:
    """What holds for all inputs in the regions around B samples.

    Attributes
    ----------
    lower, upper (B, n) : y_N lies between
    norms (N + 1, B) : ``||Phi_j||_2`` is at most that; infinity where nothing is known
    gradient_lower, gradient_upper (N + 1, B) : between them is ``||delta_j|| / ||delta_N||``, whatever delta_N; the
        former is None for networks whose sensitivities need not be symplectic
    parts (B,) : into how many parts each region was divided
    """

    lower: Array
    upper: Array
    norms: Array
    gradient_lower: Array | None
    parts: Array

    @property
    def gradient_upper(self) -> Array:
        return self.norms


def enclose(
    net: Network,
    x: object,
    radius: object,
    *,
    channels: Sequence[int] | None = None,
    splits: int = SPLITS,
    enclosure: Enclosure = slopes.enclose,
) -> Region:
    """Enclosures for all inputs within ``radius`` of each sample, in the infinity norm.

    Parameters
    ----------
    net : a network of vectors or on a graph, with a built-in activation
    x (B, n) : samples, float32 or float64
    radius : a number >= 0, or one for each sample (B,)
    channels : indices of the entries of x that vary; all, if None. The other entries are as in the sample.
    splits : the most parts that a region is divided into; a part takes as long as a sample
    enclosure : of the activation. Another one than ``pyham.verification.slopes.enclose`` serves as a control.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or the network is one of images, or has an activation of its own;
        the message names the argument, what was expected and what came.
    """
    stages = affine.lowered(net)
    boxes, places, most = around(_check.array("x", x, ("B", net.arch.width)), radius, channels, splits)
    shape = net.arch.depth + 1, len(boxes)
    norms, known = np.zeros(shape), np.full(shape, TINY)
    lower, upper = np.full(boxes.centre.shape, np.inf), np.full(boxes.centre.shape, -np.inf)
    found: list[Any] = []
    maximum: Any = np.maximum

    def look(parts: Boxes) -> tuple[Array, Array]:
        looked = [_look(stages, chunk, places, enclosure) for chunk in parts.chunks(stages)]
        low, high, bounds, middle, along = (np.concatenate(each, axis=-1) for each in zip(*looked, strict=True))
        found[:] = parts.sample, low, high, bounds
        maximum.at(known, (slice(None), parts.sample), middle)
        return np.maximum((bounds / (GOAL * known[:, parts.sample])).max(axis=0) - 1, 0), along

    def keep(rows: Array) -> None:
        sample, low, high, bounds = (part[..., rows] for part in found)
        np.minimum.at(lower, sample, low.T)
        maximum.at(upper, sample, high.T)
        maximum.at(norms, (slice(None), sample), bounds)

    with np.errstate(all="ignore"):  # what overflows becomes infinity
        parts = explore(boxes, places, most, look, keep)
        condition = _condition(net, stages.keep)
        below = None if condition is None else (1 - 4 * EPS) / (condition * norms)
    return Region(lower, upper, norms, below, parts)


def _look(stages: affine.Lowered, boxes: Boxes, channels: Array, enclosure: Enclosure) -> tuple[Array, ...]:
    """Of R boxes: bounds of y_N (n, R), norms (N + 1, R) and those in the middle, and the channel that matters most."""
    centre, radius = boxes.centre.T.copy(), boxes.radius.T.copy()
    c, Y, units = affine.forward(stages, centre, radius, channels, enclosure)
    half = np.abs(Y).sum(axis=1) * (1 + (Y.shape[1] + 4) * EPS) + 2 * EPS * np.abs(c) + TINY
    low, high = np.nan_to_num(c - half, nan=-np.inf), np.nan_to_num(c + half, nan=np.inf)
    forms, rests = affine.backward(stages, units, *radius.shape)
    middle = affine.spectral_norm(forms[:, :, 0])
    along = (forms[0, :, 1:] ** 2).sum(axis=(0, 2)).argmax(axis=0)
    return low, high, affine.largest_norm(forms, rests), np.where(np.isfinite(middle), middle, 0), along


def _condition(net: Network, keep: list[float]) -> float | None:
    """An upper bound of cond(J) where sensitivities are symplectic by design, else None.

    Of MS1, J = K^-T has the condition of K. With an approximate inverse V of J and q = ``||I - J V|| < 1``, that of J
    is at most ``||J|| ||V|| / (1 - q)``.
    """
    if not symplectic_by_design(net) or set(keep) - {1.0}:
        return None
    J = net.settled.arch.J
    if J is None:
        if not net.arch.depth:
            return 1.0
        J = net.K[0].astype(np.float64)
    if (np.isin(J, (-1, 0, 1)).all()) and (np.count_nonzero(J, axis=0) == 1).all():
        return 1.0  # J1: it permutes and changes signs
    V = np.linalg.inv(J)
    rounding = (len(J) + 4) * EPS * (np.abs(J) @ np.abs(V) + 1)
    size, inverse, rest = affine.spectral_norm(np.stack([J, V, np.abs(np.eye(len(J)) - J @ V) + rounding], axis=-1))
    return float(size * inverse / (1 - rest) * (1 + 16 * EPS)) if rest < 0.5 else None

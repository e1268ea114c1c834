"""What is asked of the sensitivities of one sample in balls, and the verdicts.

Phi is given by R = Phi - I, each entry a ball. Three questions are asked of every layer's:

    symplectic    Phi^T J Phi - J = J R + R^T (J + J R) contains 0
    norm >= 1     v^T G v >= 0 for some v, with G = Phi^T Phi - I = R + R^T + R^T R: then ||Phi v|| >= ||v||
    determinant   det(I + R) - 1 contains 0

v is an eigenvector of G in floating point, taken as exact, so how it was found does not matter. Norms are disproved,
||Phi|| < 1, by the determinants of the leading blocks of -G, which are positive exactly where -G is positive definite.

For MS1 and MS2 with the same K in all layers J is K^-T, and Phi K^T Phi^T = K^T is asked instead, which needs no
inverse. Where no J is the same in all layers (MLP, ResNet, MS1 and MS2 with K that varies) the first is not
asked.
"""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyham.verification.ball_activations import Ball, flint
from pyham.verification.ball_stages import Matrix, matrix

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Verdict:
    """The answer to one question, over all samples and layers.

    Parameters
    ----------
    verdict : "proven"; "excluded" if the property is disproved for some sample and layer; "undecided" if an enclosure
        is too wide to tell
    worst : the number that decided. Symplectic: ||Phi^T J Phi - J||_F / (||J||_F max(1, ||Phi||_2^2)); determinant:
        abs(det Phi - 1). Of both the largest upper bound, or, where excluded, the largest lower bound. Norms: the
        smallest of the lower bounds of ||Phi_j||_2, j < N.
    layer, sample : where it was found; 0 where there are no samples
    """

    verdict: str
    worst: float
    layer: int = 0
    sample: int = 0


class Answer(NamedTuple):
    """To one question about one sample and layer, and the number that belongs to it."""

    verdict: str
    number: float


def ask(deviations: list[Matrix], J: Matrix | None, inverse: bool, digits: int) -> list[tuple[Answer, Answer, Answer]]:
    """Of every R_j = Phi_j - I (n, n) of one sample whether Phi_j is symplectic, of norm >= 1, of determinant 1.

    ``inverse``: J is K^T, and Phi K^T Phi^T = K^T is asked. Without J the first answer is "proven" and means nothing.
    """
    limit, found = 10.0 ** (6 - digits), []
    grams = [R + R.transpose() + R.transpose() * R for R in deviations]
    identity = matrix(np.eye(deviations[0].nrows()))
    unit = 1 if J is None else _frobenius(J)
    for R, G, v in zip(deviations, grams, _directions(grams), strict=True):
        phi = identity + R
        norm, excess = _norm(G, v)
        symplectic = Answer("proven", 0.0)
        if J is not None:
            Z = R.transpose() if inverse else R
            JZ = J * Z
            defect = JZ + Z.transpose() * (J + JZ)
            amount, size = _frobenius(defect) / unit, _frobenius(phi)
            symplectic = _near_zero(
                defect.entries(), amount / (1 + size * size), amount / (1 + excess.max(flint().arb(0))), limit
            )
        gap = phi.det() - 1
        found.append((symplectic, norm, _near_zero([gap], abs(gap), abs(gap), limit)))
    return found


def _near_zero(entries: Iterable[Ball], least: Ball, most: Ball, limit: float) -> Answer:
    """Whether numbers may all be 0, and a size that is at least ``least`` and at most ``most``."""
    if not all(entry.contains(0) for entry in entries):
        return Answer("excluded", max(0.0, down(least)))
    number = up(most)
    return Answer("proven" if number <= limit else "undecided", number)


def _norm(G: Matrix, v: Matrix | None) -> tuple[Answer, Ball]:
    """Whether ||Phi|| >= 1, a lower bound of it, and that of ||Phi||^2 - 1 as a ball, from G = Phi^T Phi - I."""
    arb, n = flint().arb, G.nrows()
    if v is None:  # G is exactly 0, or nothing is known of it
        exact = all(entry.is_zero() for entry in G.entries())
        return (Answer("proven", 1.0), arb(0)) if exact else (Answer("undecided", 0.0), arb(-1))
    excess = ((v.transpose() * (G * v))[0, 0] / (v.transpose() * v)[0, 0]).max(G.trace() / n).lower()
    bound = down((1 + excess).sqrt()) if excess > -1 else 0.0
    if excess >= 0:
        return Answer("proven", max(1.0, bound)), excess
    small = all((-_leading(G, k)).det() > 0 for k in range(1, n + 1))
    return Answer("excluded" if small else "undecided", max(0.0, bound)), excess


def _leading(M: Matrix, k: int) -> Matrix:
    """The leading block (k, k) of a matrix of balls."""
    return flint().arb_mat([line[:k] for line in M.tolist()[:k]])


def _directions(grams: list[Matrix]) -> list[Matrix | None]:
    """For each G (n, n) about the vector v (n, 1) with the largest v^T G v / v^T v; None where G is 0 or not known."""
    arb, scaled = flint().arb, []
    for G in grams:
        entries = G.entries()
        size = sum((abs(entry) for entry in entries), arb(0)).mid()
        known = size.is_finite() and size > 0
        scaled.append([float(entry.mid() / size) if known else 0.0 for entry in entries])
    stack = np.array(scaled).reshape(len(grams), *(2 * [grams[0].nrows()]))
    usable = np.isfinite(stack).all(axis=(1, 2)) & stack.any(axis=(1, 2))
    vectors = np.linalg.eigh(np.where(usable[:, None, None], stack, 0.0))[1][:, :, -1:]
    return [matrix(v) if known else None for v, known in zip(vectors, usable, strict=True)]


def error_bound(computed: Array, phi: Matrix, norm: float) -> float:
    """An upper bound of ||computed - Phi||_F / max(1, ||Phi||_2), whose norm is at least ``norm``; perhaps infinite."""
    return up(_frobenius(matrix(computed) - phi) / max(1.0, norm))


def _frobenius(M: Matrix) -> Ball:
    """||M||_F."""
    mat, entries = flint().arb_mat, M.entries()
    square = mat(1, len(entries), entries) * mat(len(entries), 1, entries)
    return square[0, 0].nonnegative_part().sqrt()


def verdict_of(answers: Iterable[Answer]) -> str:
    verdicts = {answer.verdict for answer in answers}
    return next((verdict for verdict in ("excluded", "undecided") if verdict in verdicts), "proven")


def summary(found: list[list[Answer]], norms: bool) -> Verdict:
    """Of the answers to one question, by samples and layers; of norms the smallest number is the worst.

    Phi_N = I tells nothing about norms: without other layers the worst is 1.
    """
    verdict = verdict_of(answer for layers in found for answer in layers)
    decisive = [
        (-answer.number if norms else answer.number, j, i)
        for i, layers in enumerate(found)
        for j, answer in enumerate(layers[:-1] if norms else layers)
        if norms or verdict != "excluded" or answer.verdict == verdict
    ]
    if not decisive:
        return Verdict(verdict, 1.0 if norms else 0.0)
    worst, j, i = max(decisive)
    return Verdict(verdict, -worst if norms else worst, j, i)


def up(value: Ball) -> float:
    """A float64 number that no number of a ball exceeds: infinity where there is none."""
    nearest = float(value.upper())
    if math.isnan(nearest):
        return math.inf
    return nearest if value <= nearest else math.nextafter(nearest, math.inf)


def down(value: Ball) -> float:
    """A float64 number that no number of a ball of positive ones falls below: 0 where nothing is known."""
    nearest = float(value.lower())
    if math.isnan(nearest):
        return 0.0
    return nearest if value >= nearest else min(math.nextafter(nearest, -math.inf), sys.float_info.max)

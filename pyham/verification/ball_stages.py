"""The stages of a network in ball arithmetic: what ``pyham.verification.balls`` computes with.

Parameters, J and step are taken as the exact binary numbers that they are. A stage reads A and c, which are parameters,
and W = (f h) M A^T with M = J[dst, src], which is no array of floating-point numbers and is computed in balls; f h is
the float64 number that lowering takes. So are, with damping, the factors k of the states, and what stands for f h. If W
is rounded to float64, the network is another one, whose defect of symplecticity is near 1e-18, and the enclosures
exclude 0.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.base import Architecture
from pyham.architectures.vectors import MS1, MS2
from pyham.network import Network
from pyham.verification.ball_activations import Ball, Enclosing, enclosing, flint

Array = np.ndarray[Any, Any]
Matrix = Any  # flint.arb_mat

MOST = 1000  # digits: with more, a slip in a number of the command line would keep a machine busy for days
GUARD = 64  # bits beyond those of the digits: what a network of moderate growth loses
FINER = 16  # bits of W are so many times those of the states
_LOCK = threading.RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Balls are computed with so many bits in this block, and one thread at a time is in such a block.

    The precision of python-flint belongs to the process: threads that use python-flint without this function
    would see it.
    """
    context = flint().ctx
    with _LOCK:
        before = context.prec
        context.prec = bits
        try:
            yield
        finally:
            context.prec = before


class BallStage(NamedTuple):
    """One stage, each matrix with zeros for the channels that the stage leaves out.

    A (r, n), c (r, 1), W (n, r); keep (n, n), diagonal, or None where the state is kept as it is.
    """

    A: Matrix
    c: Matrix
    W: Matrix
    keep: Matrix | None


@dataclass(frozen=True, eq=False)
class BallStages:
    """The stages of a network in balls, and what is asked of it.

    Parameters
    ----------
    sequence : the S stages
    src, dst : slices of channels, one for each of the stages of a layer
    sigma : the activation in balls
    width : channels n
    J : (n, n), or None where symplecticity is not asked for
    inverse : whether J stands for K^T, and Phi K^T Phi^T = K^T is asked
    digits, bits : decimal digits that are asked for, and the bits that are tried first
    factors : c_0 .. c_N with which Phi_j^T J Phi_j = c_j J in a damped network, products of k; None in all others
    """

    sequence: tuple[BallStage, ...]
    src: tuple[slice, ...]
    dst: tuple[slice, ...]
    sigma: Enclosing
    width: int
    J: Matrix | None
    inverse: bool
    digits: int
    bits: int
    factors: tuple[Ball, ...] | None = None

    @property
    def per_layer(self) -> int:
        """Stages per layer."""
        return len(self.src)

    def changed(self, name: str, change: Callable[[Ball], Ball], *where: tuple[int, int, int]) -> "BallStages":
        """The stages with ``change`` applied to entries (stage, row, column) of the matrices "A" (r, k) or "W" (d, r).

        Without ``where`` to all entries that are not 0. ``stages.changed("A", one_ulp, (3, 0, 1))`` is an example.
        """
        found = list(self.sequence)
        with precision(FINER * self.bits):
            for s, stage in enumerate(self.sequence):
                part = s % self.per_layer
                row, column = (0, self.src[part].start) if name == "A" else (self.dst[part].start, 0)
                M = flint().arb_mat(stage.A if name == "A" else stage.W)
                places = [(row + i, column + k) for number, i, k in where if number == s]
                if not where:
                    places = [(i, k) for i in range(M.nrows()) for k in range(M.ncols()) if M[i, k] != 0]
                for place in places:
                    M[place] = change(M[place])
                found[s] = stage._replace(**{name: M})
        return replace(self, sequence=tuple(found))


def one_ulp(value: Ball) -> Ball:
    """``value`` moved by the distance from its float64 number to the next, away from 0."""
    nearest = float(value.mid())
    return value + math.copysign(math.ulp(nearest), nearest)


def lower(net: Network, digits: int = 40) -> BallStages:
    """The stages of ``net`` in balls, for enclosures of about so many decimal digits.

    Raises
    ------
    TypeError
        If it is no real network of vectors or on a graph, or its activation is the user's own.
    ValueError
        If there are less than 10 or more than 1000 digits, or an architecture of the user's own lowers to other stages
        than W = f h M A^T with M = J[dst, src].
    ImportError
        If python-flint is not installed.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    if _check.integer("digits", digits, 10) > MOST:
        raise ValueError(f"digits: expected an integer from 10 to {MOST}, got {digits}")
    bits = math.ceil(digits * math.log2(10)) + GUARD
    net = net.settled
    arch = net.arch
    if not isinstance(arch, Architecture):
        raise TypeError(
            f"net: expected a network of vectors or on a graph, whose stages are matrices, got {arch.name}, "
            "a network of images"
        )
    if net.dtype.kind != "f":
        raise TypeError(f"net: expected real parameters, got {net.dtype}")
    stages = net.stages(np.result_type(net.dtype, np.float64))
    A, rounded = (kind.dense(M) for kind, M in zip(stages.maps, (stages.A, stages.W), strict=True))
    n, L = arch.width, stages.per_layer
    with precision(FINER * bits):
        found = []
        for s, M in enumerate(A):
            src, dst, keep = stages.src[s % L], stages.dst[s % L], stages.keep[s]
            block, lift, r = matrix(M), _lift(arch, s), len(M)
            W = lift * block.transpose() if arch.interconnected else lift
            _compare(rounded[s], W, lift, M if arch.interconnected else np.ones(1))
            kept = np.ones(n)
            kept[dst] = keep
            found.append(
                BallStage(
                    _placed(block, (r, n), 0, src.start),
                    matrix(stages.c[s][:, None]),
                    _placed(W, (n, r), dst.start, 0),
                    None if keep == 1 else matrix(np.diag(kept)),
                )
            )
        J = _structure(net)
        return BallStages(
            tuple(found), stages.src, stages.dst, enclosing(stages.activation), n,
            None if J is None else matrix(J), isinstance(arch, MS1 | MS2), digits, bits, _factors(stages),
        )  # fmt: skip


def _factors(stages: Any) -> tuple[Ball, ...] | None:
    """c_j (N + 1,): the products of keep over the stages behind layer j; None where all are 1 or the law is unknown."""
    if not stages.shears or (stages.keep == 1).all():
        return None
    found = [flint().arb(1)]
    for s in reversed(range(stages.count)):
        product = found[-1] * float(stages.keep[s])
        found = [*found, product] if (s + 1) % stages.per_layer == 0 else [*found[:-1], product]
    return tuple(reversed(found))


def _lift(arch: Architecture, s: int) -> Matrix:
    """f h M (d, k) of stage s, or f h I where G = I, or I where a layer replaces the state."""
    j, place = divmod(s, len(arch.steps))
    part, fraction = arch.steps[place]
    dst, _, src = arch.parts[part]
    M = np.eye(dst.stop - dst.start) if arch.coupling is None else arch.coupling[dst, src]
    amount = float(np.broadcast_to(arch.amount(part, fraction), arch.depth)[j])
    return matrix(M) * (amount if arch.keep or arch.J is not None else 1.0)


def _compare(rounded: Array, W: Matrix, lift: Matrix, A: Array) -> None:
    """Refuse stages whose W is not what is computed here, to rounding."""
    exact, factor = (np.array([float(entry.mid()) for entry in M.entries()]) for M in (W, lift))
    terms = (len(rounded) + 2) * np.abs(factor).max(initial=0) * float(np.abs(A).max(initial=0))
    limit = 8 * np.finfo(np.float64).eps * terms + np.finfo(np.float64).tiny
    if not (np.abs(exact - rounded.ravel()) <= limit).all():
        raise ValueError("net: expected an architecture that lowers to W = f h J[dst, src] A^T, got other stages")


def _structure(net: Network) -> Array | None:
    """J (n, n) of all layers, or K^T (n, n) where J is K^-T; None if there is no such matrix."""
    if isinstance(net.arch, MS1 | MS2):
        K = net.K
        return K[0].T if len(K) and (K[0] == K).all() and K.any() else None
    return net.arch.J


def matrix(values: Array) -> Matrix:
    """``values`` (r, k), real numbers of any dtype, as a matrix of balls of radius 0."""
    mat, high = flint().arb_mat, values.astype(np.float64)
    result = mat(*values.shape, high.ravel().tolist())
    if values.dtype.itemsize > 8:  # longdouble, of at most 113 bits
        for _ in range(2):
            values = values - high
            high = values.astype(np.float64)
            result += mat(*values.shape, high.ravel().tolist())
    return result


def _placed(block: Matrix, shape: tuple[int, int], row: int, column: int) -> Matrix:
    """A matrix of zeros of that shape with ``block`` from (row, column) on."""
    result = flint().arb_mat(*shape)
    for i, line in enumerate(block.tolist()):
        for k, value in enumerate(line):
            result[row + i, column + k] = value
    return result

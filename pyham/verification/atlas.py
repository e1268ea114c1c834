"""The sensitivity atlas: how large the backward sensitivity matrices of a network are, by sample and by layer.

One number for a batch hides what happens in it: sensitivities of different samples point in different directions and
cancel in their mean, so ||mean Phi_j|| can be small, even below 1, where every single ||Phi_j|| is large. The atlas
keeps the norms and singular values of every sample, and has the norm of the mean only to show the difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.network import Network
from pyham.verification import bounds, symplectic

Array = np.ndarray[Any, Any]

BLOCK = 1 << 27  # bytes of matrices Phi held at a time


@dataclass(frozen=True, eq=False)
class Atlas:
    """Sensitivities Phi_j, j = 0 .. N, of one network on B samples; ``atlas`` makes it.

    Norms are the keys of ``symplectic.NORMS``: "1", "2", "inf", "fro" and "nuc". The arrays are read-only.

    Parameters
    ----------
    singular_values (N + 1, B, n) : of every Phi_j, largest first
    norms : name to (N + 1, B), the norms of every Phi_j
    norms_of_mean : name to (N + 1,), the norms of the mean of Phi_j over the samples
    log_upper : kind of ``bounds.KINDS`` to (N + 1,), logarithms of the a-priori bounds on ||Phi_j||_2; an MLP has no
        "paper" bound
    log_lower (N + 1,) : logarithms of the a-priori bound from below on every singular value, None without one
    """

    singular_values: Array
    norms: Mapping[str, Array]
    norms_of_mean: Mapping[str, Array]
    log_upper: Mapping[str, Array]
    log_lower: Array | None

    @property
    def depth(self) -> int:
        """Layers N."""
        return len(self.singular_values) - 1

    @property
    def samples(self) -> int:
        """Samples B."""
        return self.singular_values.shape[1]

    def quantiles(self, q: object, norm: str = "2") -> Array:
        """Quantiles (..., N + 1) over the samples of a norm of Phi_j, for q (...) between 0 and 1.

        Raises
        ------
        TypeError, ValueError
            If ``q`` is no number between 0 and 1, or ``norm`` no norm.
        """
        levels = _check.array("q", q, None)
        if levels.dtype.kind == "c":
            raise TypeError(f"q: expected numbers between 0 and 1, got dtype {levels.dtype}")
        if ((levels < 0) | (levels > 1)).any():
            raise ValueError(f"q: expected numbers between 0 and 1, got {levels[(levels < 0) | (levels > 1)][0]}")
        return np.asarray(np.quantile(self.norms[_norm(norm)], levels, axis=1))

    def mean_of_norms(self, norm: str = "2") -> Array:
        """Mean (N + 1,) over the samples of a norm of Phi_j: never less than ``norms_of_mean``."""
        return np.asarray(self.norms[_norm(norm)].mean(axis=1))

    def hidden(self, norm: str = "2") -> Array:
        """Mean of the norms over the norm of the mean, (N + 1,), at least 1: what averaging the matrices hides."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.mean_of_norms(norm) / self.norms_of_mean[norm])

    def log_tightness(self, kind: str = "sharp") -> Array:
        """log of (bound / largest ||Phi_j||_2 of all samples), (N + 1,), at least 0 up to rounding.

        Raises
        ------
        TypeError, ValueError
            If there is no bound of that kind.
        """
        bound = self.log_upper[_check.choice("kind", kind, self.log_upper)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(bound - np.log(self.norms["2"].max(axis=1)))

    def log_tightness_below(self) -> Array | None:
        """log of (smallest singular value of all samples / bound from below), (N + 1,), or None without a bound."""
        if self.log_lower is None:
            return None
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.singular_values[..., -1].min(axis=1)) - self.log_lower)


def atlas(net: Network, x: object, *, backend: Backend = "numba") -> Atlas:
    """The atlas of ``net`` on the samples x (B, n), at least one.

    Only some samples' matrices are held at a time; the result takes (n + 5) (N + 1) B numbers.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    N, n = net.arch.depth, net.arch.width
    samples = _check.array("x", x, ("B", n))
    if samples.dtype.kind == "c":
        raise TypeError(f"x: expected real samples, got dtype {samples.dtype}")
    B = len(samples)
    if not B:
        raise ValueError("x: expected at least one sample, got none")
    singular_values = np.empty((N + 1, B, n))
    norms = {name: np.empty((N + 1, B)) for name in symplectic.NORMS}
    total = np.zeros((N + 1, n, n))
    block = max(1, BLOCK // (8 * (N + 1) * n * n))
    for rows in (slice(start, start + block) for start in range(0, B, block)):
        phi = np.asarray(net.sensitivity(samples[rows], backend=backend), np.float64)
        singular_values[:, rows] = symplectic._singular_values(phi)
        for name, values in symplectic.norms(phi).items():
            norms[name][:, rows] = values
        total += phi.sum(axis=1)
    kinds = bounds.KINDS if net.arch.keep else tuple(kind for kind in bounds.KINDS if kind != "paper")
    log_upper, log_lower = {kind: bounds.log_upper(net, kind) for kind in kinds}, bounds.log_lower(net)
    return Atlas(
        _frozen(singular_values),
        _frozen_all(norms),
        _frozen_all(symplectic.norms(total / B)),
        _frozen_all(log_upper),
        None if log_lower is None else _frozen(log_lower),
    )


def along(networks: Iterable[Network], x: object, *, backend: Backend = "numba") -> Iterator[Atlas]:
    """The atlas of one network after the other on the same samples x (B, n), such as snapshots of a training.

    It yields them as it goes, so that who wants a few numbers of each need not hold them all.
    """
    for net in networks:
        yield atlas(net, x, backend=backend)


def _norm(name: object) -> str:
    return _check.choice("norm", name, symplectic.NORMS)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _frozen_all(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    return MappingProxyType({name: _frozen(array) for name, array in arrays.items()})

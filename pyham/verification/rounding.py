r"""How far rounding errors can reach: the error analysis from which the tolerances of a certificate follow.

Floating-point sums of k products err by at most gamma_k = k u / (1 - k u) times the sum of the products' sizes, in any
order and with or without fused operations, where u is the unit roundoff of the dtype (half of eps). |M| is the matrix
of absolute values and nu(M) = || |M| ||_2. Every number here is a bound for one layer or stage, so nothing but norms of
the network's own sensitivities enters, and no guess.

**A stage of sensitivities.** One stage of the recursion takes P+ = Phi_{s+1} to P = S P+ + E, where S is the exact
transposed Jacobian of the stage, for the slopes sigma' that the engine computed, whatever these are, and

    ||E||_F <= c ||P+||_F,     c = (gamma_d + gamma_r + 8 u) S_sigma nu(W) nu(A) + gamma_{r+2} (1 + e)

with r and d terms in the sums of A^T and W^T, and e = S_sigma ||W|| ||A|| of ``pyham.bounds``. The last term is there
because an engine may add the r products to the state one after the other.

**Symplecticity.** W = f h J A^T is rounded, so that S^T J S = J + G with ||G|| <= g ||J||, and g = 2 (gamma_q + 4 u)
S_sigma nu(A) nu(W), q terms in the products with J. If D+ is the defect of P+, that of P is exactly

    D = P^T J P - J = D+ + P+^T G P+ + E^T J (S P+) + (S P+)^T J E + E^T J E

Nothing multiplies D+: the defects of all stages add up, weighted by norms of sensitivities alone,

    ||D_j|| <= ||J|| sum over the stages behind layer j of (g ||P+||^2 + 2 c ||P|| ||P+|| + 3 c^2 ||P+||^2)

which is small beside ||Phi_j||^2 unless sensitivities were larger on the way than they are in the end.

**Damping.** Where a stage keeps k != 1 of what it updates, this is said of P / sqrt(k) stage by stage, that is of
Psi_j = Phi_j / sqrt(c_j), which is symplectic: f is the norm of the stage divided by sqrt(k), c is divided by sqrt(k),
and the k that was rounded, k (1 + d), adds d J to G and n d / 2 to log det.

**Determinants.** det P = det S det P+ det(I + (S P+)^-1 E), and det S = 1 for a shear. With x = ||P^-1|| ||E||_F this
adds at most sqrt(n) x / (1 - x) to \|log det\|. A norm of Phi falls below 1 by at most 1/n of that.

**Norms.** ||P|| <= f ||P+|| + ||E||, so that log ||Phi_j|| exceeds the sum of the logarithms of f by at most the sum of
log(1 + sqrt(n) c / f).

**Slopes and states.** Against the forward pass, not only against the engine's own slopes, the error of sigma' counts as
well. ``against_reference`` carries a bound of the error through one layer, entry by entry: of a = A y + c, sigma(a) and
the state, and takes for sigma' how much it varies within the bound of a. ``tangent`` carries these on to the layer's
derivative in given directions.

**LAPACK.** Singular values and determinants are those of a matrix that differs by at most p u ||Phi||; p = 8 n is
assumed here (LAPACK's own tests accept 30 n).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.base import Architecture
from pyham.architectures.chain import AnyStages
from pyham.architectures.interface import ArchitectureBase
from pyham.verification import bounds

Array = np.ndarray[Any, Any]

U = 2.0**-53  # the unit roundoff of what is measured


def unit(dtype: Any) -> float:
    """u, half the distance from 1 to the next number of that dtype."""
    return float(np.finfo(dtype).eps) / 2


def gamma(k: float, u: float) -> float:
    """k u / (1 - k u): the relative error of a sum of k products."""
    return k * u / (1 - k * u) if k * u < 1 else np.inf


def lapack(n: int) -> float:
    """p u for n x n matrices in double precision: the relative backward error of LAPACK's decompositions."""
    return 8 * n * U


def length(values: Array, axes: int = 1) -> Array:
    """The 2-norm over the last one or two axes (Frobenius), whose squares neither overflow nor underflow."""
    flat = values.reshape(*values.shape[:-axes], math.prod(values.shape[-axes:]))
    largest = np.abs(flat).max(axis=-1, keepdims=True, initial=0)
    scale = np.where((largest > 0) & (largest < np.inf), largest, 1)
    return np.asarray(np.linalg.norm(flat / scale, axis=-1) * scale[..., 0])


class Sizes(NamedTuple):
    """Of every stage, by layers, each (N, stages per layer): see the module."""

    stretch: Array  #: f, a bound of the norm of the stage's Jacobian, and for shears of its inverse's
    error: Array  #: c
    lowering: Array  #: g
    keeping: Array  #: d


def sizes(stages: AnyStages, arch: ArchitectureBase, u: float) -> Sizes:
    """What the error analysis needs of stages that run with unit roundoff u."""
    q, mixing = _products_with_J(arch)
    parts: list[list[Array]] = []
    excursions = bounds.of_stages(stages)
    start = 0
    for section in stages.sections:
        slope, (A_map, W_map) = section.activation.slope, section.maps
        shape = section.depth, section.per_layer
        of_A, of_W = A_map.norm(np.abs(section.A)), W_map.norm(np.abs(section.W))
        if mixing:
            of_W = np.maximum(of_W, mixing * of_A)
        r = A_map.terms(section.A)
        sums = gamma(r, u) + gamma(W_map.terms(section.W), u) + 8 * u
        e = excursions[start : start + section.depth]
        start += section.depth
        keep = np.abs(section.keep.astype(np.float64)).reshape(shape)
        weights = (of_A * of_W).reshape(shape)
        stretch = np.exp(bounds.log_stretch(e, keep)) if section.shears else keep + e
        root = np.sqrt(keep) if section.shears else np.ones_like(keep)
        error = (sums * slope * weights + gamma(r + 2, u) * (np.maximum(1, keep) + e)) / root
        of_keep = np.where(keep == 1, 0.0, 2 * u + 8 * U * (1 + np.abs(np.log(np.where(keep > 0, keep, 1)))))
        lowering = 2 * (gamma(q, u) + 4 * u) * slope * weights + of_keep
        parts.append([stretch * (1 + 8 * U), error, lowering, of_keep])
    return Sizes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _products_with_J(arch: ArchitectureBase) -> tuple[int, float]:
    """q, and a bound of || |f h J| || where W = f h J A^T has sums of several products; 0 where it has single ones."""
    J = arch.coupling if isinstance(arch, Architecture) else None
    if J is None or not isinstance(arch, Architecture):
        return 0, 0.0
    q = int(np.count_nonzero(J, axis=1).max(initial=0))
    largest = max(float(np.abs(arch.amount(*substep)).max(initial=0)) for substep in arch.steps)
    return (q, largest * float(np.linalg.norm(np.abs(J), 2))) if q > 1 else (0, 0.0)


def inside(values: Array, stretch: Array, both_ways: bool) -> Array:
    """Bounds (N, L + 1, B) of sizes between the stages of a layer, from those between layers ``values`` (N + 1, B).

    Entry 0 of the second axis belongs to the state that enters a layer, L to the one that leaves it. A stage multiplies
    a size by at most ``stretch`` (N, L) on the way back, and, if ``both_ways``, on the way forth.
    """
    N, L = stretch.shape
    found = np.empty((N, L + 1, values.shape[1]))
    found[:, L], found[:, 0] = values[1:], values[:-1]
    for s in range(L - 1, 0, -1):
        found[:, s] = stretch[:, s, None] * found[:, s + 1]
    if both_ways:
        reached = values[:-1]
        for s in range(1, L):
            reached = stretch[:, s - 1, None] * reached
            found[:, s] = np.minimum(found[:, s], reached)
    return found


def behind(terms: Array) -> Array:
    """Sums (N + 1, B) over the layers from j on of terms (N, B)."""
    total = np.zeros((len(terms) + 1, *terms.shape[1:]))
    total[:-1] = terms[::-1].cumsum(axis=0)[::-1]
    return total


def defect(at: Sizes, size: Array, other: Array | None, shears: bool) -> Array:
    """||D_j|| / ||J|| at most, (N + 1, B), for sensitivities of norms ``size``; with ``other``, of the two-form.

    The two-form w(a, b) = a^T J b has the same recursion, with the norms of a and b in the place of ||Phi||^2.
    """
    a = inside(size, at.stretch, shears)
    b = a if other is None else inside(other, at.stretch, shears)
    c, g = at.error[..., None], at.lowering[..., None]
    terms = g * a[:, 1:] * b[:, 1:] + c * (a[:, :-1] * b[:, 1:] + a[:, 1:] * b[:, :-1]) + 3 * c**2 * a[:, 1:] * b[:, 1:]
    return behind(terms.sum(axis=1))


def log_determinant(at: Sizes, size: Array, inverse: Array, n: int, shears: bool) -> Array:
    """|log det Phi_j| at most, (N + 1, B), from ||Phi_j||_F and ||Phi_j^-1||."""
    x = inside(inverse, at.stretch, shears)[:, :-1] * at.error[..., None] * inside(size, at.stretch, shears)[:, 1:]
    of_keep = n / 2 * at.keeping[..., None]
    return behind((np.sqrt(n) * np.where(x < 1, x / np.maximum(1 - x, U), np.inf) + of_keep).sum(axis=1))


def log_norm(at: Sizes, columns: int) -> Array:
    """By how much log ||Phi_j|| of n columns, or log of a vector's norm, may exceed its exact bound, (N + 1,)."""
    with np.errstate(divide="ignore"):
        grown = np.where(at.stretch > 0, np.sqrt(columns) * at.error / at.stretch, np.inf)
    return behind(np.log1p(grown).sum(axis=1))


def of_layer(at: Sizes) -> Array:
    """Errors (N,) of one layer's Phi_j = D^T Phi_{j+1}, relative to ||Phi_{j+1}||_F, for the engine's own slopes."""
    total = np.zeros(len(at.error))
    for s in range(at.stretch.shape[1]):  # the error of stage s passes through the stages before it
        total = total * at.stretch[:, -1 - s]
        total += at.error[:, -1 - s] * at.stretch[:, at.stretch.shape[1] - s :].prod(axis=1)
    return total


class Reached(NamedTuple):
    """A layer's output as the reference has it in double precision, and how far an engine may be from it."""

    state: Array  #: y_{j+1}
    error: Array  #: a bound for every entry of it
    slopes: list[Array]  #: bounds of the errors of sigma' (B, r, ..), stage by stage


def against_reference(stages: AnyStages, j: int, y: Array, u: float) -> Reached:
    """Layer j from y_j in double precision, with bounds of the errors of an engine whose unit roundoff is u.

    ``stages`` are in double precision.
    """
    z = stages.enter(j, y.astype(np.float64))
    error, slopes = U * np.abs(z), []
    tiny = 8 * float(np.finfo(np.float32 if u > 1e-9 else np.float64).tiny)
    u = u + 2 * U
    for stage in stages.of_layer(j):
        (A_map, W_map), sigma = stage.maps, stage.activation
        size_A, size_W = np.abs(stage.A), np.abs(stage.W)
        a = stage.inner(z)
        k, r = A_map.terms(stage.A[None]) + 2, W_map.terms(stage.W[None]) + 2
        of_a = A_map.apply(size_A, error[stage.src] + gamma(k, u) * np.abs(z[stage.src]))
        of_a = A_map.add(of_a, gamma(k, u) * np.abs(stage.c)) + tiny
        s, derivative = sigma.sigma(a), sigma.derivative(a)
        nearby = [np.abs(sigma.derivative(a + sign * of_a) - derivative) for sign in (-1, 1)]
        slopes.append(np.maximum(*nearby) + 16 * u * sigma.slope)
        added = W_map.apply(size_W, sigma.slope * of_a + (16 * u + gamma(r, u)) * np.abs(s) + tiny)
        z, error = z.copy(), error.copy()
        kept = stage.keep * z[stage.dst] if stage.keep else 0 * z[stage.dst]
        z[stage.dst] = kept + W_map.apply(stage.W, s)
        error[stage.dst] = abs(stage.keep) * error[stage.dst] + added + gamma(r, u) * np.abs(kept) + tiny
    return Reached(z, error, slopes)


def tangent(
    stages: AnyStages, j: int, y: Array, steps: Array, slopes: list[Array] | None = None
) -> tuple[Array, Array]:
    """X_j times ``steps`` (k, B, ..) by the rules of differentiation.

    Behind it a bound, entry by entry, of what errors ``slopes`` of sigma' in every stage change in it.
    """
    z, t = stages.enter(j, y), stages.enter(j, steps.reshape(-1, *y.shape[1:]))
    t = t.reshape(len(steps), *z.shape)
    error = np.zeros_like(t)
    for i, stage in enumerate(stages.of_layer(j)):
        (A_map, W_map), sigma = stage.maps, stage.activation
        a, inner = stage.inner(z), A_map.apply(stage.A, t[stage.src])
        of_inner = sigma.slope * A_map.apply(np.abs(stage.A), error[stage.src])
        if slopes is not None:
            of_inner = of_inner + slopes[i] * np.abs(inner)
        added = W_map.apply(stage.W, sigma.derivative(a) * inner), W_map.apply(np.abs(stage.W), of_inner)
        z, t, error = z.copy(), t.copy(), error.copy()
        z[stage.dst] = (stage.keep * z[stage.dst] if stage.keep else 0) + stage.update(a)
        t[stage.dst] = (stage.keep * t[stage.dst] if stage.keep else 0) + added[0]
        error[stage.dst] = abs(stage.keep) * error[stage.dst] + added[1]
    return t, error

"""A-priori bounds on backward sensitivity matrices, from the weights alone.

Stage s multiplies Phi by [[I, E], [0, I]] (or I + E where it reads what it updates) with E = W diag(sigma') A, so that
||E||_2 <= e_s = S ||W_s||_2 ||A_s||_2, S the bound of sigma'. As W = h J A^T, e_s <= h S ||J|| ||K||^2 = h L_s. Bounds
on ||Phi_j||_2 from the stages s of the layers j .. N-1, weakest first:

=========  ========================================  ================================================================
kind       bound                                     why
=========  ========================================  ================================================================
paper      sqrt(n) exp(Q (N - j) h),                 the form of Galimberti et al. (2023): a layer multiplies a
           Q = max_j (sum of e_s over layer j) / h   column by at most exp(Q h), and n columns give sqrt(n)
product    prod (1 + e_s)                            triangle inequality
sharp      prod exp(asinh(e_s / 2)) for shears       the 2-norm of [[I, E], [0, I]] is exp(asinh(||E||/2)): about
                                                     half the exponent
=========  ========================================  ================================================================

With damping a stage is [[k I, E], [0, I]], k > 0: its factor in "product" is max(1, k) + e, whose logarithm is at most
max(0, log k) + e in "paper"; divided by sqrt(k) it is symplectic, of the norm of [[s, e / s], [0, 1 / s]], s = sqrt(k),

    exp(asinh(sqrt((s - 1/s)^2 + e^2 / k) / 2))

and so is its inverse, so "sharp" is the product of sqrt(k) times that. (For k = 1 all of it is what stands above.)

For forward Euler Q = S max_j ||J K_j^T|| ||K_j||, the Q of the continuous equation. Where a stage is no shear, sharp =
product; where it replaces the state (MLP), the factor is e_s. A shear's inverse is a shear of the same norm, so for
networks of shears the reciprocal of "sharp" bounds every singular value of Phi_j from below, whatever J is:

    c_j / sharp_j  <=  ||delta_j|| / ||delta_N||  <=  sharp_j

c_j is 1, or with damping the product of k over the stages behind layer j. The first inequality needs no symplecticity;
where singular values pair (orthogonal J) it also follows from ||Phi_j||.

H1 with dissipation or damping is y <- k y + t C K^T sigma(K y + b), C = J - R. A layer's Jacobian is k I + t C S, where
S = K^T diag(sigma') K lies between 0 and s I, s = S_sigma ||K||^2, so that S = (s / 2) I + S' with ||S'|| <= s / 2:

    ||k I + t C S||  <=  ||k I + (t s / 2) C|| + (t s / 2) ||C||

which is its factor in "sharp", if the activation is known to have sigma' >= 0. Where it is below 1 the network
contracts, whatever its states are; ``contraction`` is the rate of the equation.

The bounds are those of the network that runs: of the stages in the dtype of the samples, to which the weights are
rounded. They are computed in double precision and rounded outwards, so that they hold although they are computed.
"""

import math
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.activations import BUILT_IN
from pyham.architectures.chain import AnyStages
from pyham.network import Network

Array = np.ndarray[Any, Any]

KINDS = ("paper", "product", "sharp")
EPS = float(np.finfo(np.float64).eps)
BLOCK = 1 << 22  # numbers of matrices whose singular values are computed at a time


def upper(net: Network, kind: str = "sharp", *, dtype: Any = None) -> Array:
    """Bounds (N + 1,) on ||Phi_j||_2, j = 0 .. N, for every sample; inf where a bound exceeds the largest float64.

    Parameters
    ----------
    kind : "paper", "product" or "sharp"
    dtype : in which the network runs; at first that of the parameters

    Raises
    ------
    ValueError
        If ``kind`` is not one of these; or "paper" for an MLP, which discretises no equation.
    """
    return _exp(log_upper(net, kind, dtype=dtype))


def log_upper(net: Network, kind: str = "sharp", *, dtype: Any = None) -> Array:
    """Natural logarithms (N + 1,) of ``upper``; they do not overflow."""
    _check.choice("kind", kind, KINDS)
    net = net.settled
    arch, stages = net.arch, net.stages(dtype)
    e, keep = of_stages(stages), keeps(stages)
    if kind == "paper":
        if not arch.keep:
            raise ValueError("kind: expected 'product' or 'sharp' for an MLP, got 'paper'")
        with np.errstate(divide="ignore"):
            Qh = (e + np.maximum(0, np.log(keep))).sum(axis=1).max(initial=0)
        return (np.log(math.prod(arch.shape)) / 2 + Qh * np.arange(arch.depth, -1, -1)) * _outwards(e)
    field = _log_of_field(net, stages, e) if kind == "sharp" else None
    if field is not None:
        return _summed([field], e)
    if kind == "sharp" and stages.shears:
        return _summed([log_stretch(e, keep), *_halved_logs(keep, 1)], e)
    with np.errstate(divide="ignore"):
        return _summed([np.where(keep == 1, np.log1p(e), np.log(np.where(keep > 0, np.maximum(1, keep), 0) + e))], e)


def _log_of_field(net: Network, stages: AnyStages, e: Array) -> Array | None:
    """log(||k I + (t s / 2) C|| + (t s / 2) ||C||) (N, 1) of a layer of H1 with dissipation or damping, else None."""
    arch: Any = net.arch
    dissipative = arch.name == "H1" and (arch.dissipation is not None or arch.damping)
    if not dissipative or stages.activation not in BUILT_IN or not arch.depth:
        return None
    C, k, (section,) = arch.coupling.astype(np.float64), float(keeps(stages)[0, 0]), stages.sections
    half = arch.amount(0, 1.0) * stages.activation.slope * section.maps[0].norm(section.A) ** 2 / 2
    block = max(1, BLOCK // C.size)
    norms = [
        np.linalg.svd(k * np.eye(len(C)) + part[:, None, None] * C, compute_uv=False)[:, 0]
        for part in np.split(half, range(block, len(half), block))
    ]
    size = np.concatenate(norms) + half * np.linalg.norm(C, 2)
    rounded = 1 + (8 * arch.width + 16) * max(EPS, float(np.finfo(stages.dtype).eps))  # of W, and of singular values
    return np.asarray(np.minimum(np.log(size * rounded), np.log(np.maximum(1, k) + e[:, 0]))[:, None])


def contraction(net: Network) -> Array:
    """Rates (N,) at which the equation of every layer contracts: ||dy(T)/dy(t)|| <= exp(-rate (T - t)).

    The rate is g + (s / 2) (r - ||J - R||), s = S_sigma ||K||^2, r the smallest eigenvalue of R and g the rate of
    damping: minus ``log_norm``, of which it is another name. Where it is negative the bound lets sensitivities grow.

    Raises
    ------
    ValueError
        If the network has no interconnection matrix that is the same in all layers.
    """
    return -log_norm(net)


def log_lower(net: Network, *, dtype: Any = None) -> Array | None:
    """Natural logarithms (N + 1,) of ``lower``."""
    stages = net.stages(dtype)
    if not stages.shears:
        return None
    e, keep = of_stages(stages), keeps(stages)
    return -_summed([log_stretch(e, keep), *_halved_logs(keep, -1)], e)


def lower(net: Network, *, dtype: Any = None) -> Array | None:
    """Bounds (N + 1,) from below on every singular value of Phi_j, for networks of shears, else None.

    1 / sharp, or c_j / sharp with damping.
    """
    found = log_lower(net, dtype=dtype)
    return None if found is None else 1 / _exp(-found) * (1 - 4 * EPS)


def log_stretch(e: Array, keep: Array) -> Array:
    """The logarithm of the norm of a damped shear divided by sqrt(keep), and of its inverse's: asinh(e / 2) for 1."""
    return np.arcsinh(np.where(keep == 1, e, np.hypot(2 * np.sinh(np.log(keep) / 2), e / np.sqrt(keep))) / 2)


def keeps(stages: AnyStages) -> Array:
    """The sizes of the factors of y[dst] of every stage, (N, stages per layer)."""
    return np.concatenate([np.abs(s.keep).astype(np.float64).reshape(s.depth, s.per_layer) for s in stages.sections])


def _halved_logs(keep: Array, sign: int) -> list[Array]:
    """What the square roots of keep add to the logarithms: nothing where all are 1."""
    return [sign * np.log(keep) / 2] if (keep != 1).any() else []


def _summed(parts: list[Array], e: Array) -> Array:
    """Sums (N + 1,) over the stages behind every layer of ``parts``, (N, L) each as e, rounded upwards."""
    rows = np.concatenate(parts, axis=1)
    sums, sizes = (values.sum(axis=1)[::-1].cumsum()[::-1] for values in (rows, np.abs(rows)))
    with np.errstate(invalid="ignore"):
        return np.append(np.where(sums == -np.inf, sums, sums + sizes * (_outwards(rows) - 1)), 0.0)


def excursions(net: Network) -> Array:
    """e_s of every stage of a network, (N, stages per layer), rounded upwards."""
    return of_stages(net.stages())


def of_stages(stages: AnyStages) -> Array:
    """e_s = S ||W_s||_2 ||A_s||_2 of every stage, (N, stages per layer), rounded upwards."""
    found = []
    for s in stages.sections:
        lapack = 1 + 8 * (s.maps[0].terms(s.A) + s.maps[1].terms(s.W)) * EPS  # errors of singular values
        sizes = s.activation.slope * s.maps[1].norm(s.W) * s.maps[0].norm(s.A) * lapack
        found.append(sizes.reshape(s.depth, s.per_layer))
    return np.concatenate(found)


def _outwards(e: Array) -> float:
    """1 + what a sum of one function of each entry of e can err by, relative to the sum of their sizes."""
    return 1 + (e.size + 16) * EPS


def _exp(logarithms: Array) -> Array:
    """exp, rounded upwards, and larger than 0 where a finite logarithm underflows."""
    with np.errstate(over="ignore", under="ignore"):
        values = np.maximum(np.exp(logarithms) * (1 + 4 * EPS), np.finfo(np.float64).tiny)
    return np.where(logarithms == 0, 1.0, np.where(np.isneginf(logarithms), 0.0, values))  # these are exact


def gradient_ratio(delta: Array) -> Array:
    """||delta_j|| / ||delta_N|| (N + 1, B) of an adjoint's delta (N + 1, B, n)."""
    values = np.asarray(delta, dtype=np.float64)
    largest = np.abs(values).max(axis=-1)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)  # squares would overflow or underflow
    sizes = np.linalg.norm(values / scale[..., None], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio: Array = sizes / sizes[-1] * (scale / scale[-1])
    return ratio


def log_norm(net: Network) -> Array:
    """Bounds (N,) on the logarithmic 2-norm of J S, S = K^T diag(sigma') K: mu_2 <= (S_sigma / 2) ||J|| ||K_j||^2.

    With dissipation R of (J - R) S: (S_sigma / 2) ||K_j||^2 (||J - R|| - r), r the smallest eigenvalue of R.

    Half of what ||J S|| allows: the symmetric part of J S is (J S - S J) / 2, in which S can be replaced by S - c I;
    with c = ||S|| / 2 its norm is at most ||J|| ||S|| / 2. The continuous BSM grows at most like exp of the integral.
    This needs sigma' >= 0, which is not known of an activation of the user's own: there it is all of ||J|| ||S||.
    Damping lowers it by the smallest of its rates.

    Raises
    ------
    ValueError
        If the network has no interconnection matrix that is the same in all layers.
    """
    net = net.settled
    J = net.arch.J
    if J is None:
        raise ValueError(f"net: expected a network with one interconnection matrix, got {net.arch.name}")
    sigma = net.stages().activation
    slope = sigma.slope / 2 if sigma in BUILT_IN else sigma.slope
    rates = net.arch.fading()
    least = 0.0 if rates is None else rates.min(axis=1)
    C, of_R = np.asarray(net.arch.coupling, np.float64), 0.0
    if not np.array_equal(C, J) and sigma in BUILT_IN:
        of_R = max(0.0, float(np.linalg.eigvalsh(J - C)[0]))
    return np.asarray(slope * (np.linalg.norm(C, 2) - of_R) * spectral_norm(net.K) ** 2 - least)


def spectral_norm(matrices: Array) -> Array:
    """||.||_2 (...) of matrices (..., r, k)."""
    return np.asarray(np.linalg.svd(_check.double(matrices), compute_uv=False)[..., 0])

r"""States and sensitivities of all inputs in a box at once: affine forms, rounded outwards.

Forward. The states of all inputs in a box are enclosed by a zonotope, the set of

    y = c + sum over g of Y_g e_g        with every symbol e_g in [-1, 1]

whose first symbols are the inputs' (x = centre + radius e in each chosen channel), so that y_N is known as a function
of x. A stage y[dst] <- keep y[dst] + W sigma(A y[src] + c) is linear but for sigma. Its argument a = A y[src] + c is
an affine form again, in an interval of radius rho = sum_g ``|a_g|`` around its centre, on which sigma is within
``rest`` of a straight line (``pyham.verification.slopes``): the line acts on the form, and unit i adds a symbol with
the column rest_i W_i. Symbols keep track of where a deviation came from, so that later stages can undo it; intervals
for every entry of y would grow by the product of ``|I + W A|`` over the stages.

Backward. Phi_j = dy_N/dy_j obeys Phi <- (I + A^T diag(sigma') W^T) Phi, stage by stage from Phi_N = I. The second line
encloses sigma'_i = s_i + sum_k s_ik e_k + r_i, affine in the inputs' symbols, ``|r_i|`` at most a rest that is
quadratic in the radius. The sensitivities are carried in the form

    Phi = C + sum_k C_k e_k + sum_g u_g x_g^T       with columns u_g, and rows x_g of 2-norm at most 1

In a stage, unit i reads the row w_i^T Phi = p + sum_k p_k e_k + sum_g v_g x_g^T (p = w_i^T C, v_g = w_i^T u_g),
multiplies it by sigma'_i and hands it to the rows src by its column a_i of A^T. Of that product
    s_i p                         is added to C, by a_i
    s_i p_k + s_ik p              to C_k
    s_i v_g                       to u_g
and what is left is a row of norm at most
    T = S sum_k ``||p_k||`` + r (``||p||`` + sum_k ``||p_k||``) + (S + r) sum_g ``|v_g|``    with S = sum_k ``|s_ik|``
so that it is a new pair, u = T a_i. Rows and columns: a remainder is multiplied by the same Jacobians as C, and is
never bounded by a product of norms of single layers, which is 10^14 and more where ``||Phi||`` is 100. A norm is
convex: its maximum over the box is at a corner.

    ``||Phi||_2`` <= max over e in {-1, 1}^K of ``||C + sum_k C_k e_k||_2`` + sum_g ``||u_g||_2``

Rounding. NumPy rounds to nearest, with u = EPS / 2. A sum of k products has an error of at most k u / (1 - k u) times
the same sum of absolute values, in any order (Higham, Accuracy and Stability, section 3.1). All errors of a stage in
one row of y (or of Phi, in the 2-norm of the row) are bounded so, with EPS for u, which leaves a factor 2 for the
roundings of the bounds themselves, and become a symbol (a pair) of that row. W = f h M A^T itself is rounded when the
network is lowered: ``Lowered`` has the radius of its entries, and the enclosures hold for the network with the exact
W. Sums that are bounds are enlarged by (1 + (terms + 16) EPS), and by TINY, which covers underflow; what overflows
becomes NaN or infinity, and in the end infinity.

Many symbols. Each stage adds r + d of them. Beyond ``LIMIT`` n they are exchanged for 2 n: with any square Q, and c_g
= Q^T Y_g as computed, sum_g Y_g e_g lies in Q w with ``|w_i| <= sum_g |c_gi|``, but for sum_g ``|Y_g - Q c_g|``. Q
are the eigenvectors of sum_g Y_g Y_g^T. Pairs u_g x_g^T in the place of Y_g e_g: the same.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.activations import BUILT_IN
from pyham.architectures.base import Architecture
from pyham.network import Network
from pyham.verification.slopes import EPS, TINY, Enclosure

Array = np.ndarray[Any, Any]

LIMIT = 256  # symbols, per entry of the state: a network of 128 stages has as many
CORNERS = 6  # channels whose corners are all visited; of more, the norms of their C_k are added
SQUARINGS = 16  # the bound of a 2-norm exceeds it by a factor of at most n^(2^-17)


class Lowered(NamedTuple):
    """The stages of a network in float64: matrices A (S, r, k), c (S, r), W (S, d, r) and the radius of W's entries.

    A and c are exact. Stage s reads the slice ``src[s % L]`` and updates ``dst[s % L]``, L stages a layer.
    """

    A: Array
    c: Array
    W: Array
    radius: Array
    keep: list[float]
    src: tuple[slice, ...]
    dst: tuple[slice, ...]
    width: int
    activation: str


class Units(NamedTuple):
    """sigma' of the units of a stage: within ``rest`` (r, R) of ``value`` + sum_k ``slope``_k e_k, (r, R) and (r, K,
    R)."""

    value: Array
    slope: Array
    rest: Array


def lowered(net: Network) -> Lowered:
    """The stages of a network of vectors, or on a graph, as dense matrices.

    Raises
    ------
    TypeError, ValueError
        If ``net`` is none, has an activation of its own, or parameters that are not float32 or float64.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    net = net.settled
    arch = net.arch
    if not isinstance(arch, Architecture) or type(arch).lower is not Architecture.lower:
        raise ValueError(f"net: expected a network of vectors whose stages have W = f h M A^T, got {arch.name}")
    if arch.sigma not in BUILT_IN:
        names = ", ".join(own.name for own in BUILT_IN)
        raise ValueError(f"activation: expected one whose second derivative is known ({names}), got {arch.sigma!r}")
    if net.dtype not in (np.float32, np.float64):
        raise TypeError(f"net: expected parameters of dtype float32 or float64, got {net.dtype}")
    stages = net.stages(np.float64)
    A_map, W_map = stages.maps
    A, W = A_map.dense(stages.A), W_map.dense(stages.W)
    radius = np.zeros_like(W)
    if arch.interconnected:
        for s, (part, fraction) in enumerate(arch.steps):
            of_stage = slice(s, None, len(arch.steps))
            lift = np.abs(arch._lift(part, fraction, np.dtype(np.float64)))
            product = W_map.composed(lift, np.abs(stages.A[of_stage]))
            size = np.abs(W_map.dense(arch._by_layer(product, part, fraction, slice(0, arch.depth))))
            radius[of_stage] = (A.shape[2] + 4) * EPS * size + TINY
    keep = [float(factor) for factor in stages.keep]
    return Lowered(A, stages.c, W, radius, keep, stages.src, stages.dst, stages.width, arch.sigma.name)


def symbols(stages: Lowered, K: int) -> int:
    """The most symbols that the form of a state with K input channels has."""
    S, d, r = stages.W.shape
    return K + min(S * (r + d), LIMIT * stages.width + r + d)


def forward(
    stages: Lowered, centre: Array, radius: Array, channels: Array, enclosure: Enclosure
) -> tuple[Array, Array, list[Units]]:
    """The forms of y_N for R boxes, c (n, R) and Y (n, G, R), and sigma' in every stage.

    The boxes have centres (n, R) and, in each of the K channels, radii (K, R); the first K symbols are the inputs'.
    """
    (n, R), K, (S, _, r) = centre.shape, len(channels), stages.W.shape
    Y = np.zeros((n, symbols(stages, K), R))
    Y[channels, range(K)] = radius
    c, g, units = centre.copy(), K, []
    for s in range(S):
        A, W, keep = stages.A[s], stages.W[s], stages.keep[s]
        src, dst = stages.src[s % len(stages.src)], stages.dst[s % len(stages.dst)]
        more = 1 + (g + 16) * EPS
        a = A @ c[src] + stages.c[s][:, None]
        form = _times(A, Y[src], g)
        size = np.abs(form)
        of_inputs, others = size[:, :K].sum(axis=1), size[:, K:].sum(axis=1)
        reach = of_inputs + others
        reading = np.abs(A) @ (np.abs(c[src]) + _total(Y[src], g)) + np.abs(stages.c[s])[:, None]
        error = (A.shape[1] + 4) * EPS * reading * more + TINY
        sigma, derivative = enclosure(stages.activation, a, (reach + error) * more)
        steep = np.abs(derivative.slope)
        rest = (derivative.rest + steep * (others + error + 4 * EPS * of_inputs)) * more
        units.append(Units(derivative.value, derivative.slope[:, None] * form[:, :K], rest))
        form *= sigma.slope[:, None]
        along = np.abs(sigma.slope) * reach
        rest = (sigma.rest + np.abs(sigma.slope) * error + 4 * EPS * along) * more
        wide = stages.radius[s] + (r + 4) * EPS * np.abs(W)
        error = wide @ (np.abs(sigma.value) + along + rest) + TINY
        update, moved = W @ sigma.value, _times(W, form, g)
        if keep:  # 4 EPS: of the product, and of keep itself where it is neither 0 nor 1
            error += 4 * EPS * abs(keep) * (np.abs(c[dst]) + _total(Y[dst], g))
            update += keep * c[dst]
            moved += keep * Y[dst, :g]
        error += 4 * EPS * (np.abs(update) + np.abs(moved).sum(axis=1))
        c[dst], Y[dst, :g] = update, moved
        Y[dst, g : g + r] = W[:, :, None] * rest
        g = _add_rows(Y, g + r, dst, error * more)
        if g - K > LIMIT * n:
            g = K + _condense(Y[:, K:], g - K)
    return c, Y[:, :g], units


def backward(stages: Lowered, units: list[Units], K: int, R: int) -> tuple[Array, Array]:
    """The forms of Phi_0 .. Phi_N: (C, C_1 .. C_K) as (N + 1, n, 1 + K, n, R), and sum_g ``||u_g||`` (N + 1, R).

    ``units`` are those of ``forward`` for R boxes with K channels.
    """
    n, (S, d, r), k, L = stages.width, stages.W.shape, stages.A.shape[2], len(stages.src)
    C = np.zeros((n, 1 + K, n, R))
    C[range(n), 0, range(n)] = 1
    U = np.zeros((n, min(S * (r + k + d), LIMIT * n + r + k + d), R))
    forms, rests, g = np.empty((S // L + 1, *C.shape)), np.zeros((S // L + 1, R)), 0
    forms[-1] = C
    for s in reversed(range(S)):
        A, W, keep, (value, slope, rest) = stages.A[s], stages.W[s], stages.keep[s], units[s]
        src, dst = stages.src[s % L], stages.dst[s % L]
        more, spread = 1 + (g + n + 16) * EPS, np.abs(slope).sum(axis=1)
        P, V = _times(W.T, C[dst].reshape(d, -1, R), (1 + K) * n).reshape(r, 1 + K, n, R), _times(W.T, U[dst], g)
        rows = _rows(P)
        p, p_k, v = rows[:, 0], rows[:, 1:].sum(axis=1), np.abs(V).sum(axis=1)
        full = np.abs(value) + spread + rest
        wide = stages.radius[s] + (d + 4) * EPS * np.abs(W)
        error = wide.T @ (_rows(C[dst]).sum(axis=1) + _total(U[dst], g)) + TINY + 8 * EPS * (p + p_k + v)
        T = (spread * p_k + rest * (p + p_k) + (spread + rest) * v + full * error) * more + TINY
        handed_on = value[:, None, None] * P
        handed_on[:, 1:] += slope[:, :, None] * P[:, :1]
        V *= value[:, None]
        if keep != 1:
            lost = 4 * EPS * abs(keep) * (_rows(C[dst]).sum(axis=1) + _total(U[dst], g)) * more + TINY
            C[dst] *= keep
            U[dst, :g] *= keep
        C[src] += _times(A.T, handed_on.reshape(r, -1, R), (1 + K) * n).reshape(k, 1 + K, n, R)
        U[src, :g] += _times(A.T, V, g)
        handed = np.abs(A.T) @ (full * (p + p_k + v) + T)
        error = (r + 8) * EPS * (_rows(C[src]).sum(axis=1) + _total(U[src], g) + handed) * more + TINY
        U[src, g : g + r] = A.T[:, :, None] * T
        g = _add_rows(U, g + r, src, error)
        if keep != 1:
            g = _add_rows(U, g, dst, lost)
        if g > LIMIT * n:
            g = _condense(U, g)
        if s % L == 0:
            forms[s // L], columns = C, U[:, :g]
            rests[s // L] = _rows(columns.swapaxes(0, 1)).sum(axis=0) * (1 + (g + n + 16) * EPS)
    return forms, rests


def largest_norm(forms: Array, rests: Array) -> Array:
    """Upper bounds (N + 1, R) of ``||Phi||_2`` over the boxes, from what ``backward`` gives."""
    K = forms.shape[2] - 1
    visited = min(K, CORNERS)
    sizes = _frobenius(np.moveaxis(forms, 2, 0))  # (1 + K, N + 1, R)
    bound = np.zeros_like(rests)
    for signs in product((-1.0, 1.0), repeat=visited):
        corner = forms[:, :, 0].copy()
        for i, sign in enumerate(signs):
            corner += sign * forms[:, :, 1 + i]
        bound = np.maximum(bound, spectral_norm(corner))  # NaN stays NaN
    bound = bound + sizes[1 + visited :].sum(axis=0) + (K + 4) * EPS * sizes.sum(axis=0) + rests
    bound = np.nan_to_num(bound * (1 + 16 * EPS), nan=np.inf)
    constant = ~forms[-1, :, 1:].any() and not rests[-1].any()
    bound[-1] = 1.0 if constant else bound[-1]  # Phi_N = I
    return bound


def spectral_norm(M: Array) -> Array:
    """Upper bounds (..., R) of the 2-norms of matrices (..., n, n, R).

    With X = M / f, f an upper bound of ``||M||``: ``||M||^2 = f^2 ||X^T X||``. So squared ``SQUARINGS`` times, a
    Frobenius norm, which exceeds the 2-norm by up to n^(1/2), exceeds it by the 2^SQUARINGS-th root of that. A product
    of matrices of Frobenius norm 1 has an error of at most (n + 1) EPS, and the division one of EPS.
    """
    n, scales = M.shape[-2], []
    for _ in range(SQUARINGS):
        f = _frobenius(M)
        scales.append(f)
        X = M / np.where(f > 0, f, 1)[..., None, None, :]
        M = np.einsum("...ijr,...ikr->...jkr", X, X)
    bound = _frobenius(M)
    for f in reversed(scales):
        bound = f * np.sqrt(bound + (2 * n + 8) * EPS) * (1 + 4 * EPS)
    return bound


def _frobenius(M: Array) -> Array:
    n = M.shape[-2]
    return np.sqrt(np.einsum("...ijr,...ijr->...r", M, M)) * (1 + (n * n + 8) * EPS) + TINY


def _rows(C: Array) -> Array:
    """The 2-norms (.., R) of vectors (.., n, R): of the rows of matrices, for instance."""
    return np.sqrt((C * C).sum(axis=-2)) + TINY


def _times(M: Array, Z: Array, g: int) -> Array:
    """M (r, k) times the first g columns of Z (k, G, R): (r, g, R)."""
    R = Z.shape[-1]
    return (M @ Z.reshape(len(Z), -1)[:, : g * R]).reshape(len(M), g, R)


def _total(Z: Array, g: int) -> Array:
    """sum_g ``|Z_g|`` (k, R) over the first g columns."""
    return np.asarray(np.abs(Z[:, :g]).sum(axis=1))


def _add_rows(Z: Array, g: int, part: slice, sizes: Array) -> int:
    """One column for every row of ``part``, from column g on; the number of columns then."""
    count = part.stop - part.start
    Z[:, g : g + count] = 0
    Z[range(part.start, part.stop), range(g, g + count)] = sizes
    return g + count


def _condense(Z: Array, g: int) -> int:
    """Exchange the first g columns for 2 n, as the module says; the others become 0."""
    n = len(Z)
    old = Z[:, :g]
    second = np.einsum("igr,jgr->rij", old, old)
    Q = np.moveaxis(np.linalg.eigh(np.where(np.isfinite(second), second, 0))[1], 0, -1)
    c = np.einsum("ijr,igr->jgr", Q, old)
    w, size = np.abs(c).sum(axis=1), np.abs(old).sum(axis=1)
    missed = np.abs(old - np.einsum("ijr,jgr->igr", Q, c)).sum(axis=1)
    more = 1 + (g + n + 16) * EPS
    missed = (missed + (n + 6) * EPS * (size + np.einsum("ijr,jr->ir", np.abs(Q), w))) * more + TINY
    old[...] = 0
    Z[:, :n] = Q * (w * more)
    return _add_rows(Z, n, slice(0, n), missed)

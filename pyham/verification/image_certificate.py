"""What holds for a ConvH2 on given images, by how much, and that the checks notice neighbouring networks.

The sensitivity Phi_j = dy_N/dy_j of one image is a matrix (n, n), n = C H W the same in all groups, with J1 between the
first half of the coordinates, p, and the second, q. All of its columns are one backward pass of n gradients, layer by
layer through the compiled engine: what is certified is the backpropagation that trains the network.

=====================================  ===============================================================================
check                                  on
=====================================  ===============================================================================
Phi_j^T J Phi_j = J                    every layer of a few images; rho of ``pyham.symplectic.defect``
every norm of Phi_j >= 1               the same matrices; norms 1, inf, Frobenius, and 2 from below (power method)
w(Phi_0 u, Phi_0 v) = w(u, v)          all images, with random u and v; w(u, v) = u^T J v
<v, X u> = <Phi_0 v, u>                a few images, X u by a complex step through the reference engine
=====================================  ===============================================================================

Tolerances are c eps s for s stages with the c of ``pyham.verification.certificate``. The controls have the weights of
the network: forward Euler; one sign flipped in one kernel of a transposed convolution; and an MLP that halves
sensitivities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyham.architectures.convolution import convolve, kernel_gradient, squeeze, unsqueeze
from pyham.architectures.groups import Group
from pyham.architectures.image_base import lift_of
from pyham.architectures.images import Pixelwise
from pyham.engines import image_reference as reference
from pyham.engines.contract import Backend
from pyham.network import Network
from pyham.training.image_network import ImageNetwork, engine, pixels_of
from pyham.verification.certificate import CONSTANT, Certificate, Check
from pyham.verification.certificate import certify as certify_network

Array = np.ndarray[Any, Any]

POWERS = 20  # steps of the power method: every one of them gives a lower bound


def certify(
    net: ImageNetwork, pixels: object, *, full: int = 1, dtype: Any = np.float64, backend: Backend = "numba"
) -> Certificate:
    """Certificate of ``net`` on the images ``pixels`` (B, H, W), of which the first ``full`` have their whole Phi_j.

    ``dtype`` is that of the computation. A network at every pixel is certified by ``pyham.certify``, on the states of
    the pixels of the images.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not isinstance(net, ImageNetwork):
        raise TypeError(f"net: expected an ImageNetwork, got {type(net).__name__}")
    images = pixels_of("pixels", pixels, net.arch)
    if not 0 < full <= len(images):
        raise ValueError(f"full: expected an integer from 1 to the {len(images)} images, got {full}")
    wanted = ImageNetwork(net.arch, {name: value.astype(dtype) for name, value in net.params.items()})
    y = reference.lifted(lift_of(wanted.params), reference.normalise(images, dtype))
    if isinstance(net.arch, Pixelwise):
        inner = Network(net.arch.network, {name: wanted.params[name] for name in net.arch.inner})
        return certify_network(inner, np.moveaxis(y, 1, -1).reshape(-1, net.arch.channels), backend=backend)
    groups = wanted.groups
    eps = float(np.finfo(np.dtype(dtype)).eps)
    tolerance = CONSTANT * eps * sum(len(group.A) for group in groups)
    own = engine(backend, np.dtype(dtype))
    euler, broken, mlp = forward_euler(groups), one_sign(groups, y[:full]), contracting(groups)

    found = [norms_and_defect(groups, image, own) for image in y[:full]]
    defect = max(row[0] for rows in found for row in rows)
    norms = {name: [row[1][name] for rows in found for row in rows[:-1]] for name in NORMS}
    first = [rows[0][1] for rows in found]
    control = max(row[0] for row in norms_and_defect(euler, y[0], own, last=True))
    shortfall = max(1 - min(values) for values in norms.values())
    shrunk = max(1 - min(row[1].values()) for row in norms_and_defect(mlp, y[0], own, last=True))
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, *y.shape)).astype(dtype)
    form, flipped = (two_form(some, y, u, v, own) for some in (groups, broken))
    dots, sign = (dot_products(groups, some, y[:full], u[:full], v[:full], own) for some in (groups, broken))
    euler_name, sign_name = "forward Euler, same weights", "one sign of one kernel flipped"

    def check(name: str, statement: str, measured: float, neighbour: str, beyond: float) -> Check:
        holds = bool(measured <= tolerance)
        return Check(name, statement, True, measured, tolerance, holds, neighbour, beyond, bool(beyond > tolerance))

    checks = (
        check("symplectic", f"Phi_j^T J Phi_j = J, {full} images", defect, euler_name, control),
        check("norms", f"every norm of Phi_j >= 1, {full} images", shortfall, "MLP that halves sensitivities", shrunk),
        check("two-form", f"w(Phi u, Phi v) = w(u, v), {len(y)} images", form, sign_name, flipped),
        check("dot products", "<v, X u> = <Phi v, u>", dots, sign_name, sign),
    )
    facts = {f"norm {name} of Phi_0, smallest": min(row[name] for row in first) for name in NORMS}
    return Certificate(str(net.arch), len(y), str(np.dtype(dtype)), checks, facts)


NORMS = ("1", "2", "inf", "fro")


def sensitivities(groups: Sequence[Group], image: Array, own: Any) -> Iterator[Array]:
    """Phi_j^T (n, n) of one image y_0 (C, H, W), from the last layer to the first; row c is the gradient of (y_N)_c."""
    states = list(_layers(groups, image, own))
    n = image.size
    phi = np.eye(n, dtype=image.dtype)
    yield phi
    for group, j, y in reversed(states):
        shape = (n, *y.shape)
        repeated = np.broadcast_to(y, shape)
        phi = own.adjoint([group.layer(j)], repeated, phi.reshape(shape))[0]
        if group.squeeze and j == 0:
            phi = unsqueeze(phi)
        phi = phi.reshape(n, n)
        yield phi


def _layers(groups: Sequence[Group], image: Array, own: Any) -> Iterator[tuple[Group, int, Array]]:
    """(group, j, the state (C, H, W) that its layer j begins with), from the first layer to the last."""
    y = image[None]
    for group in groups:
        y = squeeze(y) if group.squeeze else y
        for j in range(group.depth):
            yield group, j, y[0]
            y = own.forward([group.layer(j)], y)


def norms_and_defect(
    groups: Sequence[Group], image: Array, own: Any, last: bool = False
) -> list[tuple[float, dict[str, float]]]:
    """(rho, norms) of every Phi_j of one image, from j = 0 to N; of Phi_0 alone if ``last``."""
    found = []
    for phi in sensitivities(groups, image, own):
        matrix = phi.astype(np.float64)
        if not last:
            found.append((rho(matrix), norms(matrix)))
    return found[::-1] if not last else [(rho(matrix), norms(matrix))]


def rho(matrix: Array) -> float:
    """||Phi^T J Phi - J||_F / (||J||_F max(1, ||Phi||_F^2)) from Phi^T (n, n), by one product of n x n/2 matrices."""
    m = len(matrix) // 2
    half = matrix[:, :m] @ matrix[:, m:].T
    half[np.arange(m), np.arange(m, 2 * m)] -= 1  # Phi^T J Phi = half - half^T, and J has 1 here and -1 there
    return float(np.linalg.norm(half - half.T) / (np.sqrt(2 * m) * max(1.0, float((matrix * matrix).sum()))))


def norms(matrix: Array) -> dict[str, float]:
    """The norms of Phi from Phi^T (n, n); of the 2-norm, a lower bound."""
    v = np.random.default_rng(0).standard_normal(len(matrix))
    length = 0.0
    for _ in range(POWERS):
        v /= np.linalg.norm(v)
        w = matrix @ v
        length = float(np.linalg.norm(w))
        v = matrix.T @ w
        if not v.any():
            break
    size = np.abs(matrix)
    sums = float(size.sum(axis=1).max()), float(size.sum(axis=0).max())
    return {"1": sums[0], "2": length, "inf": sums[1], "fro": float(np.linalg.norm(matrix))}


def two_form(groups: Sequence[Group], y: Array, u: Array, v: Array, own: Any) -> float:
    """|w(Phi u, Phi v) - w(u, v)| / (||Phi u|| ||Phi v|| + ||u|| ||v||), the largest over images y (B, C, H, W)."""
    shape = own.forward(groups, y).shape
    u, v = u.reshape(shape), v.reshape(shape)
    before, after = (
        [a.reshape(len(y), 2, -1).astype(np.float64) for a in pair]
        for pair in ((u, v), [own.adjoint(groups, y, a)[0] for a in (u, v)])
    )
    difference = _form(*after) - _form(*before)
    sizes = sum(np.prod([np.linalg.norm(a, axis=(1, 2)) for a in pair], axis=0) for pair in (before, after))
    return float((np.abs(difference) / sizes).max())


def _form(u: Array, v: Array) -> Array:
    """w(u, v) = u_p v_q - u_q v_p (B,) of (B, 2, n / 2)."""
    return np.asarray((u[:, 0] * v[:, 1]).sum(axis=1) - (u[:, 1] * v[:, 0]).sum(axis=1))


def dot_products(
    groups: Sequence[Group], other: Sequence[Group], y: Array, u: Array, v: Array, own: Any
) -> float:  # fmt: skip
    """|<v, X u> - <Phi v, u>| / (||v|| ||X u|| + ||Phi v|| ||u||), X of ``groups`` and Phi of ``other``."""
    wide = [a.astype(np.float64) for a in (y, u)]
    tiny = 1e-100
    step = reference.forward(_wide(groups), wide[0] + tiny * 1j * wide[1]).imag / tiny
    pulled = own.adjoint(other, y, v.reshape(step.shape))[0].astype(np.float64)
    rows = [a.reshape(len(y), -1).astype(np.float64) for a in (v, step, pulled, u)]
    left, right = (rows[0] * rows[1]).sum(axis=1), (rows[2] * rows[3]).sum(axis=1)
    sizes = [np.linalg.norm(a, axis=1) for a in rows]
    return float((np.abs(left - right) / (sizes[0] * sizes[1] + sizes[2] * sizes[3])).max())


def _wide(groups: Sequence[Group]) -> list[Group]:
    return [replace(g, **{name: getattr(g, name).astype(np.float64) for name in "AcW"}) for g in groups]


# Neighbours


def forward_euler(groups: Sequence[Group]) -> list[Group]:
    """The same K, b and h by forward Euler: y <- y + h J K^T * sigma(K * y + b), one stage for each layer."""
    found = []
    for group in groups:
        N, m, t = group.depth, group.channels // 2, group.size
        A, W = (np.zeros((N, 2 * m, 2 * m, t, t), group.A.dtype) for _ in range(2))
        for part, of in ((slice(0, m), 1), (slice(m, 2 * m), 0)):  # rows of K: Kp reads p, Kq reads q
            A[:, part, part] = group.A[of::2]
            other = slice(m, 2 * m) if part.start == 0 else slice(0, m)
            W[:, other, part] = group.W[of::2]
        everything = (slice(0, 2 * m),)
        c = np.concatenate((group.c[1::2], group.c[0::2]), axis=1)
        found.append(replace(group, A=A, c=c, W=W, src=everything, dst=everything))
    return found


def one_sign(groups: Sequence[Group], y: Array) -> list[Group]:
    """One entry of the last stage's transposed kernels with the other sign: the one that does most at y (B, C, H, W).

    That is the largest off the diagonal, weighted by sigma' of its channel: a dead channel's sign would change nothing,
    nor would that of an entry that sees no pixel, where an image is smaller than a kernel.
    """
    last = groups[-1]
    W = last.W.copy()
    state = reference.stages(last, reference.forward(groups[:-1], y))[-2]
    a = convolve(state[:, last.src[-1]], last.A[-1]) + last.c[-1][:, None, None]
    slope = last.activation.derivative(a)
    where = np.abs(W[-1]) * slope.mean(axis=(0, 2, 3))[:, None, None]
    where[kernel_gradient(slope, np.ones_like(state[:, last.dst[-1]]), last.size) == 0] = 0
    if last.channels > 2:  # with one channel in each half a diagonal entry is the whole kernel
        where[np.arange(len(where)), np.arange(len(where))] = 0
    place = np.unravel_index(where.argmax(), where.shape)
    W[(-1, *place)] *= -1
    return [*groups[:-1], replace(last, W=W)]


def contracting(groups: Sequence[Group]) -> list[Group]:
    """An MLP with the weights of forward Euler, scaled so that every layer halves sensitivities at least."""
    found = []
    for group in forward_euler(groups):
        sizes = np.linalg.svd(np.moveaxis(group.A, (1, 2), (-2, -1)), compute_uv=False)[..., 0].sum(axis=(1, 2))
        W = np.zeros_like(group.W)
        centre, both = group.size // 2, np.arange(group.channels)
        W[:, both, both, centre, centre] = 1
        A = group.A * (0.5 / group.activation.slope / sizes).astype(group.A.dtype)[:, None, None, None, None]
        found.append(replace(group, A=A, W=W, keep=False))
    return found

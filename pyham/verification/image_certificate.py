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

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.images import Pixelwise
from pyham.architectures.maps import Convolution
from pyham.architectures.stages import AnyStages, Chain
from pyham.engines.choice import Backend, select
from pyham.engines.contract import Engine
from pyham.engines.reference import REFERENCE
from pyham.network import Network
from pyham.verification.certificate import Certificate, Check, allowed
from pyham.verification.certificate import certify as certify_network

Array = np.ndarray[Any, Any]

POWERS = 20  # steps of the power method: every one of them gives a lower bound


def certify(net: Network, states: object, *, full: int = 1, backend: Backend = "numba") -> Certificate:
    """Certificate of ``net`` on the states y_0 (B, C, H, W), of which the first ``full`` have their whole Phi_j.

    The computation runs in the dtype of the states. A network at every pixel is certified by ``pyham.certify``, on the
    states of the pixels of the images.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {type(net).__name__}")
    y = _check.array("states", states, ("B", *net.arch.shape))
    if not 0 < full <= len(y):
        raise ValueError(f"full: expected an integer from 1 to the {len(y)} images, got {full}")
    if isinstance(net.arch, Pixelwise):
        inner = Network(net.arch.network, net.params)
        return certify_network(inner, np.moveaxis(y, 1, -1).reshape(-1, net.arch.network.width), backend=backend)
    stages, own = net.stages(y.dtype), select(backend, y.dtype)
    tolerance = allowed(float(np.finfo(y.dtype).eps), stages.count)
    euler, broken, mlp = forward_euler(stages), one_sign(stages, y[:full]), contracting(stages)

    found = [norms_and_defect(stages, image, own) for image in y[:full]]
    defect = max(row[0] for rows in found for row in rows)
    sizes = {name: [row[1][name] for rows in found for row in rows[:-1]] for name in NORMS}
    first = [rows[0][1] for rows in found]
    control = max(row[0] for row in norms_and_defect(euler, y[0], own, last=True))
    shortfall = max(1 - min(values) for values in sizes.values())
    shrunk = max(1 - min(row[1].values()) for row in norms_and_defect(mlp, y[0], own, last=True))
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, *y.shape)).astype(y.dtype)
    form, flipped = (two_form(some, y, u, v, own) for some in (stages, broken))
    dots, sign = (dot_products(stages, some, y[:full], u[:full], v[:full], own) for some in (stages, broken))
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
    return Certificate(str(net.arch), len(y), str(y.dtype), checks, facts)


NORMS = ("1", "2", "inf", "fro")


def sensitivities(stages: AnyStages, image: Array, own: Engine) -> Iterator[Array]:
    """Phi_j^T (n, n) of one image y_0 (C, H, W), from the last layer to the first; row c is the gradient of (y_N)_c."""
    states = own.trace(stages, image[None])
    phi = np.eye(image.size, dtype=image.dtype)
    yield phi
    for j in reversed(range(stages.depth)):
        last = phi.T[None]
        phi = own.sensitivities(stages.layers(j, j + 1), states[j], last)[0, 0].T
        yield phi


def norms_and_defect(
    stages: AnyStages, image: Array, own: Engine, last: bool = False
) -> list[tuple[float, dict[str, float]]]:
    """(rho, norms) of every Phi_j of one image, from j = 0 to N; of Phi_0 alone if ``last``."""
    found = []
    for phi in sensitivities(stages, image, own):
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


def two_form(stages: AnyStages, y: Array, u: Array, v: Array, own: Engine) -> float:
    """|w(Phi u, Phi v) - w(u, v)| / (||Phi u|| ||Phi v|| + ||u|| ||v||), the largest over images y (B, C, H, W)."""
    trace = own.run(stages, y)
    u, v = u.reshape(trace.output.shape), v.reshape(trace.output.shape)
    before, after = (
        [a.reshape(len(y), 2, -1).astype(np.float64) for a in pair]
        for pair in ((u, v), [own.back(stages, trace, a)[1] for a in (u, v)])
    )
    difference = _form(*after) - _form(*before)
    sizes = sum(np.prod([np.linalg.norm(a, axis=(1, 2)) for a in pair], axis=0) for pair in (before, after))
    return float((np.abs(difference) / sizes).max())


def _form(u: Array, v: Array) -> Array:
    """w(u, v) = u_p v_q - u_q v_p (B,) of (B, 2, n / 2)."""
    return np.asarray((u[:, 0] * v[:, 1]).sum(axis=1) - (u[:, 1] * v[:, 0]).sum(axis=1))


def dot_products(stages: AnyStages, other: AnyStages, y: Array, u: Array, v: Array, own: Engine) -> float:
    """|<v, X u> - <Phi v, u>| / (||v|| ||X u|| + ||Phi v|| ||u||), X of ``stages`` and Phi of ``other``."""
    wide = [a.astype(np.float64) for a in (y, u)]
    tiny = 1e-100
    step = REFERENCE.forward(stages.astype(np.float64), wide[0] + tiny * 1j * wide[1]).imag / tiny
    pulled = own.back(other, own.run(other, y), v.reshape(step.shape))[1].astype(np.float64)
    rows = [a.reshape(len(y), -1).astype(np.float64) for a in (v, step, pulled, u)]
    left, right = (rows[0] * rows[1]).sum(axis=1), (rows[2] * rows[3]).sum(axis=1)
    sizes = [np.linalg.norm(a, axis=1) for a in rows]
    return float((np.abs(left - right) / (sizes[0] * sizes[1] + sizes[2] * sizes[3])).max())


# Neighbours


def forward_euler(stages: AnyStages) -> Chain:
    """The same K, b and h by forward Euler: y <- y + h J K^T * sigma(K * y + b), one stage for each layer."""
    found = []
    for section in stages.sections:
        N, m, t = section.depth, section.width // 2, section.A.shape[-1]
        A, W = (np.zeros((N, 2 * m, 2 * m, t, t), section.A.dtype) for _ in range(2))
        for part, of in ((slice(0, m), 1), (slice(m, 2 * m), 0)):  # rows of K: Kp reads p, Kq reads q
            A[:, part, part] = section.A[of::2]
            other = slice(m, 2 * m) if part.start == 0 else slice(0, m)
            W[:, other, part] = section.W[of::2]
        everything = (slice(0, 2 * m),)
        c = np.concatenate((section.c[1::2], section.c[0::2]), axis=1)
        found.append(replace(section, A=A, c=c, W=W, src=everything, dst=everything, keep=1.0))
    return Chain(found)


def one_sign(stages: AnyStages, y: Array) -> Chain:
    """One entry of the last stage's transposed kernels with the other sign: the one that does most at y (B, C, H, W).

    That is the largest off the diagonal, weighted by sigma' of its channel: a dead channel's sign would change nothing,
    nor would that of an entry that sees no pixel, where an image is smaller than a kernel.
    """
    *_, last = stages.sections
    stage = stages.of_layer(stages.depth - 1)[-1]
    W = last.W.copy()
    slope = last.activation.derivative(stage.inner(REFERENCE.forward(stages, y)))  # it leaves what it reads alone
    where = np.abs(W[-1]) * slope.mean(axis=(0, 2, 3))[:, None, None]
    ones = np.ones((*slope.shape[:1], W.shape[1], *slope.shape[2:]), slope.dtype)
    where[Convolution(W.shape[-1]).outer(ones, slope) == 0] = 0
    if last.width > 2:  # with one channel in each half a diagonal entry is the whole kernel
        where[np.arange(len(where)), np.arange(len(where))] = 0
    place = np.unravel_index(where.argmax(), where.shape)
    W[(-1, *place)] *= -1
    return Chain([*stages.sections[:-1], replace(last, W=W)])


def contracting(stages: AnyStages) -> Chain:
    """An MLP with the weights of forward Euler, scaled so that every layer halves sensitivities at least."""
    found = []
    for section in forward_euler(stages).sections:
        sizes = Convolution(section.A.shape[-1]).norm(section.A)
        W = np.zeros_like(section.W)
        centre, both = section.A.shape[-1] // 2, np.arange(section.width)
        W[:, both, both, centre, centre] = 1
        A = section.A * (0.5 / section.activation.slope / sizes).astype(section.A.dtype)[:, None, None, None, None]
        found.append(replace(section, A=A, W=W, keep=0.0))
    return Chain(found)

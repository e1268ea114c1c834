"""V1. The sensitivity of the equation itself is symplectic, for any weights in time and any J, singular ones included.

Statement: X' = J S(t) X, X(t_j) = I, S = K^T diag(sigma') K, gives X J X^T = J, that is Phi_j^T J Phi_j = J. For M = X
J X^T satisfies M' = J S M + M (J S)^T = J S M - M S J, which M = J solves. Source: Galimberti et al., IEEE TAC 2023, on
the BSM of the equation; the computation needs no inverse of J. Oracle: SciPy's DOP853, which knows nothing of
symplecticity. Number: rho = ||Phi^T J Phi - J|| / (||J|| max(1, ||Phi||^2)), the largest over all layers and samples.
Tolerance: each layer's X_i is solved from I with a local error e_i <= rtol sqrt(B n (n + 1)) (1 + ||X_i||): the solver
bounds a root mean square over B n (n + 1) numbers, its estimate is of a lower order than what it returns, and a layer
takes few steps, so e_i stands for all of them. Then X_i J X_i^T misses J by at most 2 e_i ||X_i|| ||J||, which the
later layers magnify by at most ||Phi_{i+1}||^2: rho_j <= sum over i >= j of 2 e_i ||X_i|| ||Phi_{i+1}||^2, divided by
max(1, ||Phi_j||^2), taken at the layer and sample where rho is largest. Control: another skew-symmetric matrix of the
same norm in the second half of the layers.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.verification import continuous, symplectic
from pyham.verification.continuous import RTOL, Field
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, PURPLE, RED, panels

STATEMENT = "X J X^T = J for the flow of y' = J grad H(y, t), any weights in time, any J"

T = 4.0  # of the random networks


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V1")
    for label, net, x in networks(lab, rng):
        J = net.interconnection
        assert J is not None
        constant = (net.K[0] == net.K).all()
        for weights in continuous.WEIGHTS[: 1 if constant else 2]:
            field = Field.of(net, weights)
            phi = continuous.sensitivity(field, x)
            rho = symplectic.defect(phi, J)
            worst = np.unravel_index(rho.argmax(), rho.shape)
            control = symplectic.defect(continuous.sensitivity(switched(field, J, rng), x, rtol=1e-6), J).max()
            note = f"largest ||Phi||_2 {np.linalg.norm(phi, 2, axis=(-2, -1)).max():.3g}, rank of J {rank(J)}"
            yield Result(f"{label}, {weights}", rho.max(), allowed(phi)[worst], control, "J depends on t", note)


def networks(lab: Lab, rng: np.random.Generator) -> Iterator[tuple[str, pyham.Network, Array]]:
    """Trained and random networks, odd widths and singular J among them, with samples."""
    batch, depth = (5, 8) if lab.quick else (20, 32)  # layers that are long and few, or short and many
    yield "H2 trained", lab.trained, lab.samples[:batch]
    low_rank = np.zeros((6, 6))
    low_rank[0, 3], low_rank[3, 0] = 1, -1
    cases: list[tuple[str, str, int, dict[str, Any]]] = [
        ("H1 J2, n = 5, logistic", "H1", 5, {"interconnection": "J2", "activation": "logistic"}),
        ("H1 rank-2 J, softplus", "H1", 6, {"interconnection": low_rank, "activation": "softplus"}),
        ("H1, n = 7, identity", "H1", 7, {"interconnection": skew(7, rng), "activation": "identity"}),
        ("MS3, n = 4, tanh", "MS3", 4, {}),
        ("MS1 constant A, n = 4", "MS1", 4, {}),
        ("MS2 constant K, n = 4", "MS2", 4, {}),
    ]
    for label, name, width, options in cases:
        arch = pyham.architecture(name, width=width, depth=depth, step=T / depth, **options)
        net = arch.init(rng, initialization="scaled-normal")
        if name in ("MS1", "MS2"):  # their J = K^-T is one matrix only while K is
            net = net.replace({key: np.broadcast_to(net.params[key][0], arch.shapes[key]) for key in arch.shapes})
        yield label, net, rng.standard_normal((batch, width))


def skew(n: int, rng: np.random.Generator) -> Array:
    """A random skew-symmetric matrix (n, n) of norm 1."""
    M = rng.standard_normal((n, n))
    return np.asarray((M - M.T) / np.linalg.norm(M - M.T, 2))


def switched(field: Field, J: Array, rng: np.random.Generator) -> Field:
    """The field with another skew-symmetric matrix of J's norm in the second half of the layers."""
    G, half = field.G.copy(), field.depth // 2
    G[half:] = np.linalg.norm(J, 2) * skew(len(J), rng) @ field.K[half:].swapaxes(1, 2)
    return replace(field, G=G)


def allowed(phi: Array) -> Array:
    """The tolerance of the docstring for Phi_j (N + 1, B) from the norms of phi (N + 1, B, n, n)."""
    batch, n = phi.shape[1:3]
    size = np.linalg.norm(phi, 2, axis=(-2, -1))
    layer = np.linalg.norm(np.linalg.solve(phi[1:].swapaxes(-1, -2), phi[:-1].swapaxes(-1, -2)), 2, axis=(-2, -1))
    e = RTOL * np.sqrt(batch * n * (n + 1)) * (1 + layer)
    missed = np.zeros(size.shape)
    missed[:-1] = (2 * e * layer * size[1:] ** 2)[::-1].cumsum(axis=0)[::-1]
    return np.asarray(missed / np.maximum(1, size**2))


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    caption = (
        "The BSM of the equation is symplectic: residual along the trained network's layers, largest over samples, for "
        "three tolerances of the solver, and when J is replaced in the second half of the layers. What the first three "
        "show is the solver's error."
    )
    field, x, J = Field.of(lab.trained), lab.samples[:20], lab.trained.interconnection
    assert J is not None
    figure, (axis,) = panels(1, width=5.6, height=3.8)
    cases = [("J depends on t", switched(field, J, lab.rng("V1")), RTOL, RED)]
    cases += [(f"rtol $10^{{-{d}}}$", field, 10.0**-d, c) for d, c in ((4, BLUE), (8, GREEN), (12, PURPLE))]
    for label, system, rtol, colour in cases:
        rho = symplectic.defect(continuous.sensitivity(system, x, rtol=rtol), J).max(axis=1)
        axis.semilogy(np.where(rho > 0, rho, np.nan), color=colour, linewidth=1.2, label=label)
    axis.set(xlabel="layer j (the input is on the left)", xlim=(0, field.depth))
    axis.set_ylabel(r"$\|\Phi_j^T J\,\Phi_j - J\| \,/\, (\|J\| \max(1, \|\Phi_j\|^2))$")
    axis.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.45, 1.0), columnspacing=1, fontsize=8)
    yield caption, figure


def rank(J: Array) -> str:
    return f"{np.linalg.matrix_rank(J)} of {len(J)}"

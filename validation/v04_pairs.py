"""V4. Determinant 1, eigenvalues and (orthogonal J) singular values in pairs: gradients are bounded on both sides.

Statement: det Phi_j = 1; 1/l is an eigenvalue when l is; for J1, and H2 with orthogonal X, sigma_i sigma_{n+1-i} = 1
and so 1 / ||Phi_j||_2 <= ||delta_j|| / ||delta_N|| <= ||Phi_j||_2 for every delta_N, not only for the best direction.
Source: Galimberti et al., IEEE TAC 2023, for the eigenvalues; the pairing of singular values is that of symplectic
matrices with orthogonal J: Phi^-1 = J^T Phi^T J has the singular values of Phi. Oracle: LAPACK's determinants,
eigenvalues and singular values, against each other. Numbers: the residuals of ``pyham.symplectic``, normalised by the
condition of what they measure; tolerance c eps (stages), c = 4, and for the gradients times ||Phi_j||^2, the condition
of the smallest singular value. Controls: forward Euler on the same weights. For singular values and gradients: the same
Phi in coordinates in which J1 reads as J2 (Phi -> C^-T Phi C^T with J2 = C J1 C^T): still symplectic, for a J that is
not orthogonal, and the pairing is gone.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import schur

from pyham.architectures.interconnection import J1, J2
from pyham.verification import neighbours, symplectic
from validation.claim import Array, Lab, Result
from validation.v02_symplectic import random_network, tolerance

STATEMENT = "det Phi = 1; pairs l, 1/l and s, 1/s; 1 / ||Phi|| <= |delta_j| / |delta_N| <= ||Phi||"


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V4")
    cases = [
        ("H2 trained", lab.trained, lab.samples[:100]),
        ("H2 before training", lab.untrained, lab.samples[:100]),
        ("MS3 random, n = 8", random_network("MS3", 8, 64, rng), rng.standard_normal((20, 8))),
    ]
    for label, net, x in cases:
        limit, J = tolerance(net, np.float64), np.asarray(net.interconnection)
        phi, euler = net.sensitivity(x), neighbours.forward_euler(net).sensitivity(x)
        skewed = in_coordinates_of_J2(phi, J)
        det = [largest(symplectic.determinant(matrices)[1]) for matrices in (phi, euler)]
        pairs = [largest(symplectic.eigenvalue_pairing(matrices, J)) for matrices in (phi, euler)]
        for what, (measured, control) in (("det", det), ("eigenvalues", pairs)):
            yield Result(f"{label}: {what}", measured, limit, control, "forward Euler")
        paired = largest(symplectic.singular_value_pairing(phi))
        unpaired = largest(symplectic.singular_value_pairing(skewed))
        yield Result(f"{label}: singular values", paired, limit, unpaired, "coordinates of J2")
        delta = [net.adjoint(net.trace(x), g).delta for g in rng.standard_normal((4, *x.shape))]
        inside, left = max(outside(phi, d) for d in delta), outside(skewed, worst_gradients(skewed))
        yield Result(f"{label}: gradients", inside, limit, left, "coordinates of J2")


def outside(phi: Array, delta: Array) -> float:
    """By how much ||delta_j|| / ||delta_N|| leaves [1/||Phi_j||, ||Phi_j||], relative to ||Phi_j|| (both ends)."""
    size = symplectic.norms(phi)["2"]
    norm = np.linalg.norm(delta, axis=-1)
    ratio = norm / norm[-1]
    return largest(np.maximum(ratio - size, 1 / size - ratio) / size)


def worst_gradients(phi: Array) -> Array:
    """delta_j = Phi_j v_j (N + 1, B, n), v_j the unit vector that Phi_j shrinks most; delta_N has norm 1."""
    left, sigma, _ = np.linalg.svd(phi)
    return left[..., -1] * sigma[..., -1:]


def in_coordinates_of_J2(phi: Array, J: Array) -> Array:
    """C^-T Phi C^T with J2 = C J C^T, for J = J1 or -J1."""
    n = len(J)
    root = square_root(J2(n)) if np.array_equal(J, J1(n)) else square_root(-J2(n))
    return np.linalg.inv(root).T @ phi @ root.T


def square_root(J: Array) -> Array:
    """C with J = C J1 C^T for a nonsingular skew-symmetric J: real Schur form, then scaling."""
    n = len(J)
    T, Q = schur(J)  # J = Q T Q^T, T of 2 x 2 blocks [[0, w], [-w, 0]]
    w = T[np.arange(0, n, 2), np.arange(1, n, 2)]
    C = np.empty((n, n))
    C[:, : n // 2] = Q[:, 0::2] * np.sqrt(np.abs(w))
    C[:, n // 2 :] = Q[:, 1::2] * (np.sqrt(np.abs(w)) * np.sign(w))
    return C


def largest(values: Array) -> float:
    return float(np.max(values))

"""Matrices one by one, for ``pyham.symplectic``."""

import numpy as np

from pyham.engines.compiled.settings import kernel, reduction


@kernel
def symplectic_defect(phi, J, out):
    """out (M,) <- ||Phi_i^T J Phi_i - J||_F / max(1, ||Phi_i||_F^2) for phi (M, n, n), in J's dtype.

    Computed on Phi / s, s the power of two below ||Phi||, which is exact and neither overflows nor underflows.
    """
    n = phi.shape[1]
    P = np.empty((n, n), J.dtype)
    JP = np.empty((n, n), J.dtype)
    D = np.empty((n, n), J.dtype)
    for i in range(len(phi)):
        size = max(1.0, frobenius(phi[i]))
        s = np.exp2(np.floor(np.log2(size)))
        for a in range(n):
            for b in range(n):
                P[a, b] = phi[i, a, b] / s
                JP[a, b] = 0
                D[a, b] = -J[a, b] / s / s
        add_product(J, P, JP)
        add_product(P.T, JP, D)
        out[i] = frobenius(D) * (s / size) ** 2


@kernel
def add_product(M, y, out):
    """out (r, T) += M (r, k) y (k, T), four terms at a time: fewer passes over out than one by one."""
    r, k = M.shape
    for i in range(r):
        row = out[i]
        whole = k - k % 4
        for l in range(0, whole, 4):
            m0, m1, m2, m3 = M[i, l], M[i, l + 1], M[i, l + 2], M[i, l + 3]
            y0, y1, y2, y3 = y[l], y[l + 1], y[l + 2], y[l + 3]
            for t in range(len(row)):
                row[t] += (m0 * y0[t] + m1 * y1[t]) + (m2 * y2[t] + m3 * y3[t])
        for l in range(whole, k):
            m0, y0 = M[i, l], y[l]
            for t in range(len(row)):
                row[t] += m0 * y0[t]


@reduction
def frobenius(D):
    """||D||_F, scaled by the largest entry so that squares neither overflow nor underflow."""
    largest = D.dtype.type(0)
    for a in range(D.shape[0]):
        for b in range(D.shape[1]):
            largest = max(largest, abs(D[a, b]))
    if largest == 0 or largest == np.inf:  # NaN, if any, shows in the sum
        return largest
    total = D.dtype.type(0)
    for a in range(D.shape[0]):
        for b in range(D.shape[1]):
            total += (D[a, b] / largest) ** 2
    return largest * np.sqrt(total)

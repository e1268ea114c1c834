"""The compiled engine's loops: plain arrays in, named arrays out. The steps are those of ``pyham.reference``.

Layout: samples are the last axis, so that every innermost loop runs over contiguous samples and LLVM vectorises it. A
kernel works through samples lo .. hi in tiles; a tile goes through all layers while it sits in the processor's cache.

Arguments that recur
--------------------
A (S, r, k), c (S, r), W (S, d, r) : the stages
src, dst (L,) : first indices of the slices, for the L stages of a layer
keep : whether a stage adds to y[dst];  code : index of the activation in ``pyham.activations.ACTIVATIONS``
states (N + 1, n, B), delta (N + 1, n, B), phi (N + 1, n, n, B) : as in the reference, samples last
lo, hi, tile : the samples to work on, and how many at a time
"""

import numpy as np

from pyham._elementary import logistic, softplus, tanh
from pyham._jit import kernel, reduction

TANH, LOGISTIC, RELU, SOFTPLUS, IDENTITY = range(5)


@kernel
def forward(A, c, W, src, dst, keep, code, x, lo, hi, tile, out):
    """out (n, B) <- y_N from x (n, B)."""
    for start in range(lo, hi, tile):
        size = min(tile, hi - start)
        y = np.empty((len(x), size), A.dtype)
        a = np.empty((A.shape[1], size), A.dtype)
        s = np.empty((A.shape[1], size), A.dtype)
        load(x, start, y)
        for stage in range(len(A)):
            k = stage % len(src)
            apply(A[stage], c[stage], W[stage], src[k], dst[k], keep, code, y, a, s)
        store(y, out, start)


@kernel
def trace(A, c, W, src, dst, keep, code, lo, hi, tile, states):
    """states[1:] <- y_1 .. y_N from states[0] = y_0."""
    for start in range(lo, hi, tile):
        size = min(tile, hi - start)
        y = np.empty((states.shape[1], size), A.dtype)
        a = np.empty((A.shape[1], size), A.dtype)
        s = np.empty((A.shape[1], size), A.dtype)
        load(states[0], start, y)
        for j in range(len(states) - 1):
            for k in range(len(src)):
                stage = j * len(src) + k
                apply(A[stage], c[stage], W[stage], src[k], dst[k], keep, code, y, a, s)
            store(y, states[j + 1], start)


@kernel
def adjoint(A, c, W, src, dst, keep, code, states, lo, hi, tile, delta, dA, dc, dW):
    """delta[:-1] <- delta_0 .. delta_{N-1} from delta[-1] = delta_N; dA, dc, dW += the sums over samples lo .. hi."""
    r, k_size, d_size, L = A.shape[1], A.shape[2], W.shape[1], len(src)
    for start in range(lo, hi, tile):
        size = min(tile, hi - start)
        inner = np.empty((L, states.shape[1], size), A.dtype)
        a = np.empty((L, r, size), A.dtype)
        s = np.empty((L, r, size), A.dtype)
        g = np.empty((r, size), A.dtype)
        d = np.empty((states.shape[1], size), A.dtype)
        load(delta[-1], start, d)
        for j in range(len(states) - 2, -1, -1):
            load(states[j], start, inner[0])
            rebuild(A, c, W, src, dst, keep, code, j, inner, a, s)
            for k in range(L - 1, -1, -1):
                stage = j * L + k
                y_src = inner[k, src[k] : src[k] + k_size]
                d_dst = d[dst[k] : dst[k] + d_size]
                d_src = d[src[k] : src[k] + k_size]
                add_outer(d_dst, s[k], dW[stage])
                fill(g, 0)
                add_product(W[stage].T, d_dst, g)
                times_slope(code, a[k], s[k], g)
                add_outer(g, y_src, dA[stage])
                add_sums(g, dc[stage])
                if not keep:
                    fill(d_dst, 0)
                add_product(A[stage].T, g, d_src)
            store(d, delta[j], start)


@kernel
def sensitivity(A, c, W, src, dst, keep, code, states, lo, hi, tile, phi):
    """phi[:-1] <- Phi_0 .. Phi_{N-1} from phi[-1] = I: the adjoint's map of delta, on n columns at once."""
    r, k_size, d_size, L, n = A.shape[1], A.shape[2], W.shape[1], len(src), states.shape[1]
    for start in range(lo, hi, tile):
        size = min(tile, hi - start)
        inner = np.empty((L, n, size), A.dtype)
        a = np.empty((L, r, size), A.dtype)
        s = np.empty((L, r, size), A.dtype)
        slope = np.empty((r, size), A.dtype)
        P = np.empty((n, n * size), A.dtype)  # row i of Phi, then its column, then the sample
        for i in range(n):
            load(phi[-1, i], start, P[i].reshape(n, size))
        g = np.empty((r, n * size), A.dtype)
        for j in range(len(states) - 2, -1, -1):
            load(states[j], start, inner[0])
            rebuild(A, c, W, src, dst, keep, code, j, inner, a, s)
            for k in range(L - 1, -1, -1):
                stage = j * L + k
                P_dst = P[dst[k] : dst[k] + d_size]
                P_src = P[src[k] : src[k] + k_size]
                fill(g, 0)
                add_product(W[stage].T, P_dst, g)
                fill(slope, 1)
                times_slope(code, a[k], s[k], slope)
                for i in range(r):
                    for column in range(n):
                        for t in range(size):
                            g[i, column * size + t] *= slope[i, t]
                if not keep:
                    fill(P_dst, 0)
                add_product(A[stage].T, g, P_src)
            for i in range(n):
                store(P[i].reshape(n, size), phi[j, i], start)


@kernel
def apply(A, c, W, src, dst, keep, code, y, a, s):
    """One stage, y (n, T) in place; a, s (r, T) receive A y[src] + c and sigma of it."""
    y_dst = y[dst : dst + W.shape[0]]
    read(A, c, y[src : src + A.shape[1]], a)
    activate(code, a, s)
    if not keep:
        fill(y_dst, 0)
    add_product(W, s, y_dst)


@kernel
def rebuild(A, c, W, src, dst, keep, code, j, inner, a, s):
    """From inner[0] = y_j: the states inner (L, n, T) before each stage of layer j, and a, s (L, r, T) of each."""
    last = len(src) - 1
    for k in range(last):
        stage = j * len(src) + k
        load(inner[k], 0, inner[k + 1])
        apply(A[stage], c[stage], W[stage], src[k], dst[k], keep, code, inner[k + 1], a[k], s[k])
    stage = j * len(src) + last
    read(A[stage], c[stage], inner[last, src[last] : src[last] + A.shape[2]], a[last])
    activate(code, a[last], s[last])


@kernel
def read(A, c, y, a):
    """a (r, T) <- A (r, k) y (k, T) + c (r,)."""
    for i in range(a.shape[0]):
        for t in range(a.shape[1]):
            a[i, t] = c[i]
    add_product(A, y, a)


@kernel
def load(x, start, y):
    """y (n, T) <- columns start .. start + T of x (n, B)."""
    for i in range(y.shape[0]):
        for t in range(y.shape[1]):
            y[i, t] = x[i, start + t]


@kernel
def store(y, x, start):
    """Columns start .. start + T of x (n, B) <- y (n, T)."""
    for i in range(y.shape[0]):
        for t in range(y.shape[1]):
            x[i, start + t] = y[i, t]


@kernel
def fill(y, value):
    """y (n, T) <- value."""
    for i in range(y.shape[0]):
        for t in range(y.shape[1]):
            y[i, t] = value


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
def add_outer(u, v, out):
    """out (r, k) += sum over samples of u (r, T) v (k, T)^T."""
    for i in range(u.shape[0]):
        for l in range(v.shape[0]):
            total = out.dtype.type(0)
            for t in range(u.shape[1]):
                total += u[i, t] * v[l, t]
            out[i, l] += total


@reduction
def add_sums(u, out):
    """out (r,) += sum over samples of u (r, T)."""
    for i in range(u.shape[0]):
        total = out.dtype.type(0)
        for t in range(u.shape[1]):
            total += u[i, t]
        out[i] += total


@kernel
def activate(code, a, s):
    """s <- sigma(a), entrywise (r, T). Flat: in a nest of loops LLVM loads the polynomials anew for every vector."""
    u, v = a.reshape(-1), s.reshape(-1)
    if code == TANH:
        for t in range(len(u)):
            v[t] = tanh(u[t])
    elif code == LOGISTIC:
        for t in range(len(u)):
            v[t] = logistic(u[t])
    elif code == RELU:
        for t in range(len(u)):
            v[t] = 0 if u[t] <= 0 else u[t]  # so, and not with >, because NaN stays NaN
    elif code == SOFTPLUS:
        for t in range(len(u)):
            v[t] = softplus(u[t])
    else:
        for t in range(len(u)):
            v[t] = u[t]


@kernel
def times_slope(code, a, s, g):
    """g <- sigma'(a) * g, entrywise (r, T), from a and s = sigma(a)."""
    u, v, w = a.reshape(-1), s.reshape(-1), g.reshape(-1)
    if code == TANH:
        for t in range(len(u)):
            w[t] *= (1 - v[t]) * (1 + v[t])
    elif code == LOGISTIC:
        for t in range(len(u)):
            w[t] *= v[t] * (1 - v[t])
    elif code == RELU:
        for t in range(len(u)):
            w[t] *= u[t] > 0
    elif code == SOFTPLUS:
        for t in range(len(u)):
            w[t] *= logistic(u[t])


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

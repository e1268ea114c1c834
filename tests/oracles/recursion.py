"""The passes through stages, written out for matrices and for kernels: loops over stages, sums over shifts of images.

None of the package's engines or maps are used, so that a fault in them cannot hide. States are (B, n) or (B, C, H, W).
"""

import numpy as np


def places(y, v, w):
    """Where a pixel has one that lies v rows below and w columns to the right, and where that one is."""
    H, W = y.shape[2:]
    here = slice(max(0, -v), H - max(0, v)), slice(max(0, -w), W - max(0, w))
    return here, (slice(max(0, v), H - max(0, -v)), slice(max(0, w), W - max(0, -w)))


def applied(A, y):
    """A y; of kernels, at [b, i, v, w], the sum over l, e, f of A[i, l, e, f] y[b, l, v + e - t//2, w + f - t//2]."""
    if A.ndim == 2:
        return y @ A.T
    found = np.zeros((len(y), len(A), *y.shape[2:]), np.result_type(A, y))
    for e, f in np.ndindex(A.shape[2:]):
        here, there = places(y, e - A.shape[-1] // 2, f - A.shape[-1] // 2)
        found[:, :, *here] += np.einsum("il,blvw->bivw", A[:, :, e, f], y[:, :, *there])
    return found


def pulled(A, g):
    """A^T g: the same sum read the other way, what A[i, l, e, f] took from y goes back there, times g[b, i, v, w]."""
    if A.ndim == 2:
        return g @ A
    found = np.zeros((len(g), A.shape[1], *g.shape[2:]), np.result_type(A, g))
    for e, f in np.ndindex(A.shape[2:]):
        here, there = places(g, e - A.shape[-1] // 2, f - A.shape[-1] // 2)
        found[:, :, *there] += np.einsum("il,bivw->blvw", A[:, :, e, f], g[:, :, *here])
    return found


def products(A, g, y):
    """The derivatives of <g, A y> by A, summed over the samples."""
    if A.ndim == 2:
        return g.T @ y
    found = np.zeros_like(A)
    for e, f in np.ndindex(A.shape[2:]):
        here, there = places(y, e - A.shape[-1] // 2, f - A.shape[-1] // 2)
        found[:, :, e, f] = np.einsum("bivw,blvw->il", g[:, :, *here], y[:, :, *there])
    return found


def squeezed(y):
    """z[b, 4 i + 2 a + c, v, w] = y[b, i, 2 v + a, 2 w + c]."""
    B, k, H, W = y.shape
    z = np.empty((B, 4 * k, H // 2, W // 2), y.dtype)
    for i, a, c in np.ndindex(k, 2, 2):
        z[:, 4 * i + 2 * a + c] = y[:, i, a::2, c::2]
    return z


def unsqueezed(z):
    """The inverse of ``squeezed``."""
    B, k, H, W = z.shape
    y = np.empty((B, k // 4, 2 * H, 2 * W), z.dtype)
    for i, a, c in np.ndindex(k // 4, 2, 2):
        y[:, i, a::2, c::2] = z[:, 4 * i + 2 * a + c]
    return y


class Passes:
    """y_0 .. y_N in ``states``, and the way back from them."""

    def __init__(self, sections, x):
        self.sections, self.states = sections, [x]
        self.inner = []  # (section, number of the stage, a, y before it)
        for section in sections:
            for s in range(len(section.A)):
                y = self.states[-1] if s % len(section.src) == 0 else y  # noqa: F821  of the stage before
                y = squeezed(y) if section.squeeze and s == 0 else y
                src, dst = (part[s % len(section.src)] for part in (section.src, section.dst))
                c = section.c[s].reshape(-1, *(y.ndim - 2) * [1])
                a = applied(section.A[s], y[:, src]) + (c if y.ndim > 2 else section.c[s])
                self.inner.append((section, s, a, y))
                y = y.copy()
                y[:, dst] = section.keep[s] * y[:, dst] + applied(section.W[s], section.activation.sigma(a))
                if (s + 1) % len(section.src) == 0:
                    self.states.append(y)

    def back(self, g):
        """delta_0 .. delta_N, and the gradients (dA, dc, dW) of each section."""
        deltas, delta = [g], g.copy()
        sums = {
            section: [np.zeros_like(array) for array in (section.A, section.c, section.W)] for section in self.sections
        }
        for section, s, a, y in reversed(self.inner):
            src, dst = (part[s % len(section.src)] for part in (section.src, section.dst))
            g_a = section.activation.derivative(a) * pulled(section.W[s], delta[:, dst])
            dA, dc, dW = sums[section]
            dA[s], dc[s] = products(section.A[s], g_a, y[:, src]), g_a.sum(axis=(0, *range(2, g_a.ndim)))
            dW[s] = products(section.W[s], delta[:, dst], section.activation.sigma(a))
            delta = delta.copy()
            delta[:, dst] *= section.keep[s]
            delta[:, src] += pulled(section.A[s], g_a)
            delta = unsqueezed(delta) if section.squeeze and s == 0 else delta
            if s % len(section.src) == 0:
                deltas.append(delta)
        return deltas[::-1], list(sums.values())

    def sensitivities(self):
        """phi[j] (B, n, n), column by column."""
        B, shape = len(self.states[0]), self.states[-1].shape[1:]
        n = int(np.prod(shape))
        phi = np.zeros((len(self.states), B, n, n))
        for column in range(n):
            start = np.zeros((B, n))
            start[:, column] = 1
            for j, delta in enumerate(self.back(start.reshape(B, *shape))[0]):
                phi[j, :, :, column] = delta.reshape(B, n)
        return phi

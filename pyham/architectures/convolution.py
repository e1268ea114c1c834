"""Linear maps of images, each with its transpose, in plain NumPy for any floating dtype, complex included.

Images are y (B, k, H, W), kernels A (r, k, t, t) with t odd; outside an image there are zeros. In signal processing
this is correlation, as in every library of neural networks:

    (A * y)[b, i, v, w] = sum over l, e, f of A[i, l, e, f] y[b, l, v + e - t // 2, w + f - t // 2]

=========================  =====================================================  ================================
map                        transpose                                              as a function
=========================  =====================================================  ================================
y -> A * y                 A^T * g, A^T[l, i, e, f] = A[i, l, t-1-e, t-1-f]       ``convolve(g, transposed(A))``
A -> A * y                 sum over b, v, w of g[b, i, v, w] y[b, l, v + .., ..]  ``kernel_gradient(y, g, t)``
squeeze, a permutation     its inverse                                            ``unsqueeze``
=========================  =====================================================  ================================
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, Any]


def convolve(y: Array, A: Array) -> Array:
    """A * y (B, r, H, W) of y (B, k, H, W) and A (r, k, t, t)."""
    return np.moveaxis(np.tensordot(_windows(y, A.shape[-1]), A, axes=((1, 4, 5), (1, 2, 3))), -1, 1)


def transposed(A: Array) -> Array:
    """A^T (..., k, r, t, t) of A (..., r, k, t, t): the kernels of the transposed convolution."""
    return A.swapaxes(-4, -3)[..., ::-1, ::-1]


def kernel_gradient(y: Array, g: Array, size: int) -> Array:
    """dLoss/dA (r, k, t, t), t = ``size``, from y (B, k, H, W) and g = dLoss/d(A * y) (B, r, H, W)."""
    return np.tensordot(g, _windows(y, size), axes=((0, 2, 3), (0, 2, 3)))


def squeeze(y: Array) -> Array:
    """(B, k, H, W) to (B, 4 k, H / 2, W / 2): 2 x 2 pixels become 4 channels, those of channel i at 4 i .. 4 i + 3.

    With p in the first half of the channels and q in the second, p stays first: it is a permutation P of p and the same
    P of q, hence symplectic.
    """
    B, k, H, W = y.shape
    return y.reshape(B, k, H // 2, 2, W // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(B, 4 * k, H // 2, W // 2)


def unsqueeze(y: Array) -> Array:
    """The inverse of ``squeeze`` and its transpose: (B, 4 k, H, W) to (B, k, 2 H, 2 W)."""
    B, k, H, W = y.shape
    return y.reshape(B, k // 4, 2, 2, H, W).transpose(0, 1, 4, 2, 5, 3).reshape(B, k // 4, 2 * H, 2 * W)


def _windows(y: Array, size: int) -> Array:
    """What a kernel sees from each pixel (B, k, H, W, t, t): a view of y with zeros around it."""
    edge = size // 2
    padded = np.pad(y, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    return sliding_window_view(padded, (size, size), axis=(2, 3))

"""The first layer of a classifier of images: from pixels to the state y_0, by one convolution."""

from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.convolution import convolve, kernel_gradient

Array = np.ndarray[Any, Any]

MEAN, SPREAD = 0.1307, 0.3081  # of MNIST's pixels, as shares of 255


class Lift(NamedTuple):
    """y_0 = kernel * x + bias (B, C, H, W), kernel (C, 1, 3, 3) and bias (C,); x (B, H, W) are normalised pixels."""

    kernel: Array
    bias: Array

    def apply(self, x: Array) -> Array:
        """y_0 (B, C, H, W) of x (B, H, W)."""
        return convolve(x[:, None], self.kernel) + self.bias[:, None, None]

    def gradient(self, x: Array, delta_0: Array) -> "Lift":
        """Gradients of kernel and bias from x (B, H, W) and delta_0 = dLoss/dy_0 (B, C, H, W)."""
        return Lift(kernel_gradient(x[:, None], delta_0, self.kernel.shape[-1]), delta_0.sum(axis=(0, 2, 3)))


def normalise(pixels: Array, dtype: Any) -> Array:
    """Pixels 0 .. 255 as numbers of about mean 0 and variance 1 over MNIST."""
    return ((pixels / 255 - MEAN) / SPREAD).astype(dtype)


def shifted(pixels: Array, shifts: Array) -> Array:
    """Images (B, H, W) moved down and right by shifts (B, 2); what comes in is 0, what goes out is lost."""
    H, W = pixels.shape[1:]
    result = np.zeros_like(pixels)
    for image, moved, (down, right) in zip(pixels, result, shifts.tolist(), strict=True):
        target = slice(max(0, down), min(H, H + down)), slice(max(0, right), min(W, W + right))
        source = slice(max(0, -down), min(H, H - down)), slice(max(0, -right), min(W, W - right))
        moved[target] = image[source]
    return result

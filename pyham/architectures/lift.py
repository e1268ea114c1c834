"""What is before a network: from a sample to the state y_0.

Images have a convolution from pixels, ``Lift``. Points and rows of tables may have a learnt matrix, ``DenseLift``,
from any number of features to the network's width; without one the state is the sample itself, and further channels
are 0. ``Scaling`` is fixed: it brings features of different units to one size.
"""

from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.convolution import convolve, kernel_gradient

Array = np.ndarray[Any, Any]

SPAN = 4.0  # of scaled columns at most; normal ones of a thousand rows would span 6.5

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


class DenseLift(NamedTuple):
    """y_0 = x kernel^T + bias (B, n), kernel (n, F) and bias (n,); x (B, F) are features."""

    kernel: Array
    bias: Array

    def apply(self, x: Array) -> Array:
        """y_0 (B, n) of x (B, F)."""
        return x @ self.kernel.T + self.bias

    def gradient(self, x: Array, delta_0: Array) -> "DenseLift":
        """Gradients of kernel and bias from x (B, F) and delta_0 = dLoss/dy_0 (B, n)."""
        return DenseLift(delta_0.T @ x, delta_0.sum(axis=0))


class Scaling(NamedTuple):
    """(x - mean) / scale, column by column; mean (F,) and scale (F,) > 0."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, x: Array, weights: Array | None = None, span: float = SPAN) -> "Scaling":
        """To mean 0 and variance 1 over x (B, F), with weights (B,) if given; columns that do not vary keep scale 1.

        A column that is nearly always the same, as a pixel at the border of an image, has a small variance, and its few
        other values would become very large. So no column spans more than ``span`` units: then its variance is below 1.
        """
        mean = np.average(x, axis=0, weights=weights)
        scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
        counted = x if weights is None else x[weights > 0]
        scale = np.maximum(scale, np.ptp(counted, axis=0) / span)
        varies = scale > 10 * np.finfo(x.dtype).eps * np.abs(mean)
        return cls(mean, np.where(varies, scale, 1.0))

    @classmethod
    def none(cls, columns: int) -> "Scaling":
        """That changes nothing."""
        return cls(np.zeros(columns), np.ones(columns))

    def apply(self, x: Array) -> Array:
        """x (B, F) scaled."""
        return (x - self.mean) / self.scale

    def undo(self, z: Array) -> Array:
        """x (B, F) from the scaled one."""
        return z * self.scale + self.mean

    def config(self) -> dict[str, list[float]]:
        """Plain data."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_config(cls, argument: str, config: Any) -> "Scaling":
        """The one of ``config()``.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data describe none.
        """
        mean = _check.array(f"{argument} mean", config["mean"], ("F",))
        scale = _check.array(f"{argument} scale", config["scale"], mean.shape)
        if not (scale > 0).all():
            raise ValueError(f"{argument} scale: expected positive numbers, got {scale.min():g}")
        return cls(mean.astype(np.float64), scale.astype(np.float64))


def padded(x: Array, width: int) -> Array:
    """x (B, F) with further columns that are 0, ``width`` in all."""
    return x if x.shape[1] == width else np.pad(x, ((0, 0), (0, width - x.shape[1])))


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

"""Image networks in NumPy: forward and backward pass in one page, for any floating dtype, complex included.

y (B, C, H, W) state, x (B, H, W) images after ``normalise``, z (B, 10) logits; otherwise the symbols of
``pyham.engines.reference``, whose equations these are, with convolutions * in the place of products.
``pyham.engines.compiled.images`` has the same functions, compiled.

Forward       y_0 = lift * x + bias,  stages,  z = layer y_N + mu
Backward      delta_N = layer^T dz,  stages in reverse:
              dW += sum of delta[dst] s over pixels and shifts      g = sigma'(a) (W^T * delta[dst])
              dA += sum of g y[src] over pixels and shifts          dc += sum of g
              delta[dst] <- keep delta[dst], then delta[src] += A^T * g
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.convolution import convolve, kernel_gradient, squeeze, transposed, unsqueeze
from pyham.architectures.groups import Group, Lift
from pyham.architectures.stages import StageGradients
from pyham.training.losses import softmax

Array = np.ndarray[Any, Any]

MEAN, SPREAD = 0.1307, 0.3081  # of MNIST's pixels, as shares of 255


class Sums(NamedTuple):
    """Derivatives of a loss: of the lift, of the stages of every group, of layer (10, n) and mu (10,)."""

    lift: Lift
    groups: list[StageGradients]
    layer: Array
    mu: Array


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


def forward(groups: Sequence[Group], y: Array) -> Array:
    """y_N from y = y_0 (B, C, H, W)."""
    for group in groups:
        y = stages(group, y)[-1]
    return y


def stages(group: Group, y: Array) -> list[Array]:
    """The states of a group: after the squeeze, and after every stage."""
    inner = [squeeze(y) if group.squeeze else y]
    for s in range(len(group.A)):
        src, dst = group.src[s % group.per_layer], group.dst[s % group.per_layer]
        a = convolve(inner[-1][:, src], group.A[s]) + group.c[s][:, None, None]
        z = inner[-1].copy()
        z[:, dst] = (z[:, dst] if group.keep else 0) + convolve(group.activation.sigma(a), group.W[s])
        inner.append(z)
    return inner


def adjoint(groups: Sequence[Group], y: Array, g: Array) -> tuple[Array, list[StageGradients]]:
    """delta_0 (B, C, H, W) and the gradients of every group, from y = y_0 and g = dLoss/dy_N."""
    entering = [y]
    for group in groups:
        entering.append(stages(group, entering[-1])[-1])
    found = []
    for group, start in zip(reversed(groups), reversed(entering[:-1]), strict=True):
        g, gradients = _group(group, start, g)
        found.append(gradients)
    return g, found[::-1]


def _group(group: Group, y: Array, g: Array) -> tuple[Array, StageGradients]:
    """``adjoint`` of one group."""
    d = g.copy()
    grad = StageGradients(np.zeros_like(group.A), np.zeros_like(group.c), np.zeros_like(group.W))
    for s, state in reversed(list(enumerate(stages(group, y)[:-1]))):
        src, dst = group.src[s % group.per_layer], group.dst[s % group.per_layer]
        a = convolve(state[:, src], group.A[s]) + group.c[s][:, None, None]
        grad.W[s] = kernel_gradient(group.activation.sigma(a), d[:, dst], group.size)
        g_a = group.activation.derivative(a) * convolve(d[:, dst], transposed(group.W[s]))
        grad.A[s] = kernel_gradient(state[:, src], g_a, group.size)
        grad.c[s] = g_a.sum(axis=(0, 2, 3))
        d[:, dst] = d[:, dst] if group.keep else 0
        d[:, src] += convolve(g_a, transposed(group.A[s]))
    return (unsqueeze(d) if group.squeeze else d), grad


def lifted(lift: Lift, x: Array) -> Array:
    """y_0 (B, C, H, W) of x (B, H, W)."""
    return convolve(x[:, None], lift.kernel) + lift.bias[:, None, None]


def logits(lift: Lift, groups: Sequence[Group], layer: Array, mu: Array, pixels: Array) -> Array:
    """z (B, 10) of pixels (B, H, W) from 0 to 255; layer (10, n) and mu (10,)."""
    y = forward(groups, lifted(lift, normalise(pixels, layer.dtype)))
    return y.reshape(len(y), -1) @ layer.T + mu


def gradient(
    lift: Lift,
    groups: Sequence[Group],
    layer: Array,
    mu: Array,
    pixels: Array,
    labels: Array,
    shifts: Array,
    rows: Array | None = None,
) -> tuple[Any, int, Sums]:
    """Mean loss of the softmax, the number of images classified right, and the loss's gradient.

    Of pixels (B, H, W) moved by shifts (B, 2), and labels (B,); with ``rows`` (B,), of these images among more.
    """
    if rows is not None:
        pixels, labels = pixels[rows], labels[rows]
    x = normalise(shifted(pixels, shifts), layer.dtype)
    y_0 = lifted(lift, x)
    y_N = forward(groups, y_0)
    features = y_N.reshape(len(y_N), -1)
    z = features @ layer.T + mu
    loss, dz = softmax(z, labels)
    delta, sums = adjoint(groups, y_0, (dz @ layer).reshape(y_N.shape))
    of_lift = Lift(kernel_gradient(x[:, None], delta, 3), delta.sum(axis=(0, 2, 3)))
    right = int((z.real.argmax(axis=1) == labels).sum())
    return loss, right, Sums(of_lift, sums, dz.T @ features, dz.sum(axis=0))

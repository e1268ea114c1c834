"""Networks written in JAX from the equations of their docstrings, for jax.grad: an oracle without pyham's passes."""

import numpy as np
import pytest

from tests.oracles.equations import sequence, structure

jax = pytest.importorskip("jax")
jnp = jax.numpy


def output(net, params, x):
    """y_N from x (B, n), or (B, C, rows, columns) for ConvH2, with these parameters in the place of the network's."""
    if net.arch.name == "ConvH2":
        for i in range(len(net.arch.depths)):
            x = _squeezed(x) if i else x
            x = _over_layers(_convolutions(net.arch), {k: params[f"{k}{i}"] for k in ("Kp", "Kq", "b")}, x)
        return x
    return _over_layers(_matrices(net), params, x)


def _over_layers(layer, params, x):
    return jax.lax.scan(lambda y, weights: (layer(y, weights), None), x, params)[0]


def _matrices(net):
    arch, h, m = net.arch, net.arch.step, net.arch.width // 2
    structured = structure(net)

    def layer(y, w):
        J = None if structured is None else jnp.asarray(structured, y.dtype)
        if arch.name == "MLP":
            return jnp.tanh(y @ w["K"].T + w["b"])
        if arch.name == "H1":
            return y + h * jnp.tanh(y @ w["K"].T + w["b"]) @ w["K"] @ J.T
        p, q = y[:, :m], y[:, m:]
        for half, fraction in sequence(arch.scheme):
            fraction = float(fraction)  # of no dtype for JAX
            if half == (arch.order == "q-first"):
                p = p + h * fraction * jnp.tanh(q @ w["Kq"].T + w["b"][m:]) @ w["Kq"] @ J[:m, m:].T
            else:
                q = q + h * fraction * jnp.tanh(p @ w["Kp"].T + w["b"][:m]) @ w["Kp"] @ J[m:, :m].T
        return jnp.concatenate((p, q), axis=1)

    return layer


def _convolutions(arch):
    def convolved(A, y):
        return jax.lax.conv(y, A, (1, 1), "SAME")

    def pull(A, b, y):
        s = jnp.tanh(convolved(A, y) + b[:, None, None])
        return convolved(A.swapaxes(0, 1)[:, :, ::-1, ::-1], s)

    def layer(y, w):
        m = y.shape[1] // 2
        p, q = y[:, :m], y[:, m:]
        p = p - arch.step * pull(w["Kq"], w["b"][m:], q)
        q = q + arch.step * pull(w["Kp"], w["b"][:m], p)
        return jnp.concatenate((p, q), axis=1)

    return layer


def _squeezed(y):
    """Pixel (2 v + e, 2 w + f) of channel i becomes pixel (v, w) of channel 4 i + 2 e + f."""
    parts = [y[:, :, e::2, f::2] for e in (0, 1) for f in (0, 1)]
    return jnp.stack(parts, axis=2).reshape(len(y), -1, *parts[0].shape[2:])


def relative(found, expected):
    """The largest difference of two trees of arrays, relative to the largest entry of each array."""
    pairs = zip(jax.tree.leaves(found), map(np.asarray, jax.tree.leaves(expected)), strict=True)
    return max(float(np.abs(np.asarray(one) - other).max() / np.abs(other).max()) for one, other in pairs)

"""Image networks by their equations: sums over shifts for convolutions, layers without groups, complex steps.

All of it is made of arrays alone, of none of the functions of ``pyham.images``; what is right is computed once.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham import images
from pyham.activations import ACTIVATIONS
from pyham.images.stages import Group
from pyham.protocol import Protocol

Array = np.ndarray[Any, Any]
Params = Mapping[str, Array]

TINY = 1e-100  # of complex steps
DIRECTIONS = 4  # of every array that is differentiated

PROTOCOL = Protocol(loss="softmax", scheme="joint", alpha=0.03, alpha_c=0.02, decay=0.01)


# Maps


def convolved(A: Array, y: Array) -> Array:
    """(A * y)[b, i, v, w] = sum over l, e, f of A[i, l, e, f] y[b, l, v + e - t // 2, w + f - t // 2]."""
    found = np.zeros((len(y), len(A), *y.shape[2:]), np.result_type(A, y))
    for e, f in np.ndindex(A.shape[2:]):
        here, there = _places(y, e - A.shape[-1] // 2, f - A.shape[-1] // 2)
        found[:, :, *here] += np.einsum("il,blvw->bivw", A[:, :, e, f], y[:, :, *there])
    return found


def pulled(A: Array, g: Array) -> Array:
    """The same sum read the other way: what A[i, l, e, f] took from y goes back there, times g[b, i, v, w]."""
    found = np.zeros((len(g), A.shape[1], *g.shape[2:]), np.result_type(A, g))
    for e, f in np.ndindex(A.shape[2:]):
        here, there = _places(g, e - A.shape[-1] // 2, f - A.shape[-1] // 2)
        found[:, :, *there] += np.einsum("il,bivw->blvw", A[:, :, e, f], g[:, :, *here])
    return found


def products(y: Array, g: Array, size: int) -> Array:
    """The derivatives of the same sum by A: sum over b, v, w of g[b, i, v, w] y[b, l, v + e - t // 2, ..]."""
    found = np.zeros((g.shape[1], y.shape[1], size, size))
    for e, f in np.ndindex(size, size):
        here, there = _places(y, e - size // 2, f - size // 2)
        found[:, :, e, f] = np.einsum("bivw,blvw->il", g[:, :, *here], y[:, :, *there])
    return found


def _places(y: Array, v: int, w: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a pixel has one that lies v rows below and w columns to the right, and where that one is."""
    H, W = y.shape[2:]
    here = slice(max(0, -v), H - max(0, v)), slice(max(0, -w), W - max(0, w))
    return here, (slice(max(0, v), H - max(0, -v)), slice(max(0, w), W - max(0, -w)))


def squeezed(y: Array) -> Array:
    """z[b, 4 i + 2 a + c, v, w] = y[b, i, 2 v + a, 2 w + c]."""
    B, k, H, W = y.shape
    z = np.empty((B, 4 * k, H // 2, W // 2), y.dtype)
    for i, a, c in np.ndindex(k, 2, 2):
        z[:, 4 * i + 2 * a + c] = y[:, i, a::2, c::2]
    return z


def moved(pixels: Array, shifts: Array) -> Array:
    """Every pixel by itself: (v, w) to (v + down, w + right), if that is in the image."""
    found = np.zeros_like(pixels)
    for b, v, w in np.ndindex(pixels.shape):
        row, column = v + shifts[b, 0], w + shifts[b, 1]
        if 0 <= row < pixels.shape[1] and 0 <= column < pixels.shape[2]:
            found[b, row, column] = pixels[b, v, w]
    return found


# Networks


class Case(NamedTuple):
    """A network and a batch: images ``rows`` of the pixels, moved by ``shifts``."""

    arch: images.ImageArchitecture
    params: dict[str, Array]
    pixels: Array
    labels: Array
    shifts: Array
    rows: Array


@cache
def cases() -> dict[str, Case]:
    """ConvH2 with a squeeze, and networks at every pixel: stages that overwrite, read all channels, or half of them."""
    kinds: dict[str, images.ImageArchitecture] = {
        "ConvH2": images.ConvH2(4, 6, 3, gain=0.7, width=2, depths=(2, 1), step=0.4, activation="tanh"),
        "H1": images.Pixelwise(3, 4, 3, gain=0.6, network=pyham.H1(4, 2, 0.3)),
        "H2": images.Pixelwise(3, 4, 3, gain=0.6, network=pyham.H2(4, 2, 0.3)),
        "MLP": images.Pixelwise(3, 4, 3, gain=0.6, network=pyham.MLP(3, 2)),
    }
    return {name: _case(arch, seed) for seed, (name, arch) in enumerate(kinds.items())}


def _case(arch: images.ImageArchitecture, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    params = {name: 0.5 * rng.standard_normal(shape) for name, shape in arch.shapes.items()}
    for name in ("layer", "mu"):
        params[name] *= 0.2  # so that no image is classified with confidence
    brightest = np.array([60, 256, 20, 256, 150])[:, None, None]  # so that they differ
    pixels = rng.integers(0, brightest, (5, arch.rows, arch.columns)).astype(np.uint8)
    labels = np.arange(5) % 3
    return Case(arch, params, pixels, labels, np.array([[1, 0], [0, -1], [-1, 2]]), np.array([3, 0, 4]))


def layers(arch: images.ImageArchitecture, params: Params) -> list[Callable[[Array], Array]]:
    """y_j (B, C, H, W) to y_(j+1), for every j; the first layer of a group squeezes."""
    if isinstance(arch, images.ConvH2):
        return [
            _convolutional(arch.step, params[f"Kp{i}"][j], params[f"Kq{i}"][j], params[f"b{i}"][j], i > 0 and j == 0)
            for i, N in enumerate(arch.depths)
            for j in range(N)
        ]
    assert isinstance(arch, images.Pixelwise)
    inner = [{name: params[name][j] for name in arch.inner} for j in range(arch.depth)]
    return [_at_every_pixel(arch.network.name, arch.network.step, layer) for layer in inner]


def _convolutional(h: float, Kp: Array, Kq: Array, b: Array, squeeze: bool) -> Callable[[Array], Array]:
    def layer(y: Array) -> Array:
        y = squeezed(y) if squeeze else y
        m = len(Kp)
        p, q, bias = y[:, :m], y[:, m:], b[:, None, None]
        p = p - h * pulled(Kq, np.tanh(convolved(Kq, q) + bias[m:]))
        q = q + h * pulled(Kp, np.tanh(convolved(Kp, p) + bias[:m]))
        return np.concatenate((p, q), axis=1)

    return layer


def _at_every_pixel(name: str, h: float, of: Params) -> Callable[[Array], Array]:
    def layer(y: Array) -> Array:
        y, b = np.moveaxis(y, 1, -1), of["b"]
        m = y.shape[-1] // 2
        if name == "MLP":
            y = np.tanh(y @ of["K"].T + b)
        elif name == "H1":  # J1 = [[0, I], [-I, 0]]
            s = np.tanh(y @ of["K"].T + b) @ of["K"]
            y = y + h * np.concatenate((s[..., m:], -s[..., :m]), axis=-1)
        else:
            p, q = y[..., :m], y[..., m:]
            p = p - h * np.tanh(q @ of["Kq"].T + b[m:]) @ of["Kq"]
            q = q + h * np.tanh(p @ of["Kp"].T + b[:m]) @ of["Kp"]
            y = np.concatenate((p, q), axis=-1)
        return np.moveaxis(y, -1, 1)

    return layer


def lifted(params: Params, pixels: Array) -> Array:
    """y_0 of pixels."""
    x = (pixels / 255 - 0.1307) / 0.3081
    return convolved(params["lift"], x[:, None]) + params["lift_bias"][:, None, None]


def logits(arch: images.ImageArchitecture, params: Params, pixels: Array) -> Array:
    """z = gain (layer y_N + mu)."""
    y = lifted(params, pixels)
    for layer in layers(arch, params):
        y = layer(y)
    return arch.gain * (np.einsum("cn,bn->bc", params["layer"], y.reshape(len(y), -1)) + params["mu"])


def losses(z: Array, labels: Array) -> Array:
    """log(sum over c of exp z_c) - z_l of every image."""
    return np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]


def smoothness(arch: images.ImageArchitecture, params: Params) -> Any:
    """(h / 2) sum of ||K_(j+1) - K_j||^2 + ||b_(j+1) - b_j||^2."""
    h = arch.step if isinstance(arch, images.ConvH2) else arch.network.step  # type: ignore[attr-defined]
    return h / 2 * sum(((params[name][1:] - params[name][:-1]) ** 2).sum() for name in arch.inner)


def objective(arch: images.ImageArchitecture, params: Params, pixels: Array, labels: Array) -> Any:
    """Mean loss and penalties of ``PROTOCOL``."""
    found = losses(logits(arch, params, pixels), labels).mean() + PROTOCOL.alpha * smoothness(arch, params)
    for name, value in params.items():
        found += (PROTOCOL.alpha_c if name in ("layer", "mu") else PROTOCOL.decay) / 2 * (value**2).sum()
    return found


# Stages


@cache
def stacks() -> dict[str, tuple[list[Group], Array]]:
    """Groups of stages and y_0: stages whose channels overlap; and with squeezes, of slices of different lengths."""
    rng = np.random.default_rng(5)

    def group(S: int, r: int, k: int, d: int, size: int, **options: Any) -> Group:
        A, W = (0.5 * rng.standard_normal((S, *shape, size, size)) for shape in ((r, k), (d, r)))
        return Group(A, rng.standard_normal((S, r)), W, activation=ACTIVATIONS["logistic"], **options)

    src, dst = (slice(0, 2), slice(2, 4)), (slice(1, 3), slice(0, 2))
    other = {"src": (slice(5, 7),), "dst": (slice(2, 6),), "channels": 8, "keep": True}
    return {
        "overlapping": (
            [group(4, 2, 2, 2, 3, src=src, dst=dst, channels=4, keep=keep) for keep in (True, False, True)],
            rng.standard_normal((3, 4, 2, 3)),
        ),
        "squeezed": (
            [group(2, 3, 2, 4, 3, squeeze=True, **other), group(1, 1, 2, 4, 5, **other)],
            rng.standard_normal((3, 2, 4, 6)),
        ),
    }


def through(groups: list[Group], y: Array) -> Array:
    """y_N, by y[dst] <- keep y[dst] + W_s * sigma(A_s * y[src] + c_s), for tanh and the logistic function."""
    for group in groups:
        y = squeezed(y) if group.squeeze else y
        for s, (A, c, W) in enumerate(zip(group.A, group.c, group.W, strict=True)):
            j = s % len(group.src)
            a = convolved(A, y[:, group.src[j]]) + c[:, None, None]
            added = convolved(W, np.tanh(a) if group.activation.name == "tanh" else 1 / (1 + np.exp(-a)))
            y = y.astype(added.dtype)
            y[:, group.dst[j]] = group.keep * y[:, group.dst[j]] + added
    return y


def jacobians(groups: list[Group], y: Array) -> Array:
    """d(y_N) / d(y_0) of every image, (B, n, n)."""
    B, n = len(y), y[0].size
    steps = np.eye(n).reshape(1, n, *y.shape[1:]) * TINY * 1j
    found = through(groups, (y[:, None] + steps).reshape(-1, *y.shape[1:])).imag / TINY
    return found.reshape(B, n, n).swapaxes(1, 2)


# Slopes in a few directions


def slopes(function: Callable[[Array], Any], at: Array, seed: int) -> tuple[Array, Array]:
    """Directions u (``DIRECTIONS``, ..) and the derivatives of the function along them, by complex steps."""
    directions = np.random.default_rng(seed).standard_normal((DIRECTIONS, *at.shape))
    return directions, np.array([function(at + TINY * 1j * u).imag / TINY for u in directions])


def along(directions: Array, gradient: Array) -> Array:
    """<gradient, u>; infinite if it has not their shape."""
    if gradient.shape != directions.shape[1:]:
        return np.full(len(directions), np.inf)
    return (directions * gradient).reshape(len(directions), -1).sum(axis=1)


@cache
def objective_slopes(name: str) -> dict[str, tuple[Array, Array]]:
    """Of a case's objective, by name of the parameter."""
    case = cases()[name]
    pixels, labels = moved(case.pixels[case.rows], case.shifts), case.labels[case.rows]

    def of(key: str) -> Callable[[Array], Any]:
        return lambda value: objective(case.arch, case.params | {key: value}, pixels, labels)

    return {key: slopes(of(key), value, seed) for seed, (key, value) in enumerate(case.params.items())}


@cache
def stack_slopes(name: str) -> tuple[Array, Array, dict[str, tuple[Array, Array]]]:
    """y_N of a stack, g, and the slopes of <g, y_N> in y_0, and in A, c and W of every group."""
    groups, y = stacks()[name]
    y_N = through(groups, y)
    g = np.asarray(np.random.default_rng(6).standard_normal(y_N.shape))

    def of(i: int, key: str) -> Callable[[Array], Any]:
        def function(value: Array) -> Any:
            arrays = {name: getattr(groups[i], name) for name in "AcW"} | {key: value}
            other = replace(groups[i], A=arrays["A"], c=arrays["c"], W=arrays["W"])
            return (g * through([*groups[:i], other, *groups[i + 1 :]], y)).sum()

        return function

    found = {"y": slopes(lambda value: (g * through(groups, value)).sum(), y, 0)}
    for i, group in enumerate(groups):
        found |= {f"{key}{i}": slopes(of(i, key), getattr(group, key), 1 + i) for key in "AcW"}
    return y_N, g, found

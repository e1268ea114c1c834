"""The formulas of an explanation once more, in plain NumPy, from the numbers that it shows.

``recomputed`` gives a quantity from those that stand in its formula. Products with matrices are sums over indices and
convolutions sums over shifted images, so that no map or engine of the package is used. Beside the value it gives what
the largest entry would be if nothing cancelled, and how many terms the longest sum has: what rounding errors follow.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.maps import Convolution, Dense, Map
from pyham.teaching.explain_passes import LARGE, ExplainedPasses
from pyham.teaching.explain_quantities import MOST, Quantity, chosen
from pyham.teaching.explain_structure import LayerOfNetwork, StageOfLayer

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]


class Recomputed(NamedTuple):
    """``value``, the ``size`` of its largest entry without cancellation, and the ``terms`` of the longest sum.

    Of a large matrix only the ``columns`` of these numbers are computed.
    """

    value: Array
    size: Any
    terms: int
    columns: Array | None = None


def shifts(image: Array, v: int, w: int) -> Array:
    """Images (k, H, W) moved so that pixel (a, b) shows what was at (a + v, b + w), and 0 outside."""
    H, W = image.shape[1:]
    found = np.zeros_like(image)
    if abs(v) < H and abs(w) < W:
        found[:, max(0, -v) : H - max(0, v), max(0, -w) : W - max(0, w)] = image[
            :, max(0, v) : H - max(0, -v), max(0, w) : W - max(0, -w)
        ]
    return found


def matrix(kind: Map, M: Array) -> Array:
    """The matrix of a map that is none of images."""
    return M if isinstance(kind, Dense) else kind.dense(M[None])[0]


def applied(kind: Map, M: Array, y: Array) -> Array:
    """M y."""
    if not isinstance(kind, Convolution):
        return np.einsum("rk,k->r", matrix(kind, M), y)
    t = M.shape[-1] // 2
    return sum(np.einsum("rk,kvw->rvw", M[:, :, e, f], shifts(y, e - t, f - t)) for e, f in np.ndindex(M.shape[2:]))


def pulled(kind: Map, M: Array, g: Array) -> Array:
    """M^T g: what an entry of M took from one place goes back there."""
    if not isinstance(kind, Convolution):
        return np.einsum("rk,r->k", matrix(kind, M), g)
    t = M.shape[-1] // 2
    return sum(np.einsum("rk,rvw->kvw", M[:, :, e, f], shifts(g, t - e, t - f)) for e, f in np.ndindex(M.shape[2:]))


def products(kind: Map, g: Array, y: Array) -> Array:
    """The gradient of <g, M y> in the numbers of M."""
    if not isinstance(kind, Convolution):
        return picked(kind, np.einsum("r,k->rk", g, y))
    t = kind.size // 2
    found = np.empty((len(g), len(y), kind.size, kind.size), np.result_type(g, y))
    for e, f in np.ndindex(found.shape[2:]):
        found[:, :, e, f] = np.einsum("rvw,kvw->rk", g, shifts(y, e - t, f - t))
    return found


def picked(kind: Map, whole: Array) -> Array:
    """Of a matrix, the entries that a map of this kind has."""
    if isinstance(kind, Dense):
        return whole
    numbers = np.arange(1.0, 1 + len(kind.rows))  # type: ignore[attr-defined]
    where = kind.dense(numbers[None])[0].astype(int)
    found = np.empty(len(numbers), whole.dtype)
    found[where[where > 0] - 1] = whole[where > 0]
    return found


def squeezed(y: Array) -> Array:
    """z[4 i + 2 a + c, v, w] = y[i, 2 v + a, 2 w + c]."""
    z = np.empty((4 * len(y), y.shape[1] // 2, y.shape[2] // 2), y.dtype)
    for i, a, c in np.ndindex(len(y), 2, 2):
        z[4 * i + 2 * a + c] = y[i, a::2, c::2]
    return z


def unsqueezed(z: Array) -> Array:
    """The inverse of ``squeezed``."""
    y = np.empty((len(z) // 4, 2 * z.shape[1], 2 * z.shape[2]), z.dtype)
    for i, a, c in np.ndindex(len(y), 2, 2):
        y[i, a::2, c::2] = z[4 * i + 2 * a + c]
    return y


def recomputed(passes: ExplainedPasses, quantity: Quantity, wide: Any) -> Recomputed | None:
    """The quantity from its inputs in the dtype ``wide``; None where there is no formula to compute."""
    rule = RULES.get(quantity.kind)
    inputs = [passes.found[key].value.astype(wide) for key in quantity.inputs]
    return rule(passes, quantity, passes.about[quantity.key], inputs) if rule and inputs else None


def _both(function: Callable[..., Array], *arguments: Array) -> tuple[Array, Array]:
    """A function of the arguments, and of their absolute values."""
    return function(*arguments), function(*map(np.abs, arguments))


def _terms(of: StageOfLayer, which: int) -> int:
    kind, numbers = of.stage.maps[which], (of.stage.A, of.stage.W)[which]
    return kind.terms(numbers[None])


def _W(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    A, layer = inputs[-1], passes.layers[of.layer]
    M = layer.block_of_J(of.part) * layer.amount(of)
    kind = of.stage.maps[0]
    if isinstance(kind, Convolution):
        value, size = _both(lambda m, a: np.einsum("dk,rkef->dref", m, a)[..., ::-1, ::-1], M, A)
    else:
        value, size = _both(lambda m, a: np.einsum("dk,rk->dr", m, a), M, matrix(kind, A))
        value, size = (picked(of.stage.maps[1], m) for m in (value, size))
    return Recomputed(value, size, len(M) + 2)


def _a(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    kind, space = of.stage.maps[0], of.stage.maps[0].space
    value, size = _both(lambda A, y, c: applied(kind, A, y[of.src]) + c.reshape(-1, *(1,) * space), *inputs)
    return Recomputed(value, size, _terms(of, 0) + 1)


SIGMA: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "logistic": lambda a: (1 + np.tanh(a / 2)) / 2,
    "relu": lambda a: a * (a > 0),
    "softplus": lambda a: np.logaddexp(0, a),
    "identity": lambda a: a,
}


def _sigma(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    sigma = of.stage.activation
    function = SIGMA.get(sigma.name, sigma.sigma)
    value = function(inputs[0])
    return Recomputed(value, np.maximum(np.abs(value), min(1.0, sigma.slope)), 4)


def _u(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    value, size = _both(lambda W, s: applied(of.stage.maps[1], W, s), *inputs)
    return Recomputed(value, size, _terms(of, 1))


def _y(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    def step(y: Array, u: Array) -> Array:
        z = y.copy()
        z[of.dst] = float(of.stage.keep) * y[of.dst] + u
        return z

    return Recomputed(*_both(step, *inputs), 2)


def _loss(passes: ExplainedPasses, q: Quantity, of: None, inputs: list[Array]) -> Recomputed:
    y, other = inputs
    value = ((y - other) ** 2 / 2).sum() if "target" in q.inputs else (y * other).sum()
    return Recomputed(np.asarray(value), np.abs(y * other).sum() + (y**2).sum() + (other**2).sum(), y.size + 3)


def _g(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    value, size = _both(lambda s, W, d: s * pulled(of.stage.maps[1], W, d[of.dst]), *inputs)
    return Recomputed(value, size, _terms(of, 1) + 1)


def _dW(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    value, size = _both(lambda d, s: products(of.stage.maps[1], d[of.dst], s), *inputs)
    return Recomputed(value, size, inputs[1][0].size)


def _dA(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    value, size = _both(lambda g, y: products(of.stage.maps[0], g, y[of.src]), *inputs)
    return Recomputed(value, size, inputs[0][0].size)


def _dc(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    value, size = _both(lambda g: g.reshape(len(g), -1).sum(axis=1), *inputs)
    return Recomputed(value, size, inputs[0][0].size)


def _delta(passes: ExplainedPasses, q: Quantity, of: StageOfLayer, inputs: list[Array]) -> Recomputed:
    def back(delta: Array, A: Array, g: Array) -> Array:
        found = delta.copy()
        found[of.dst] = float(of.stage.keep) * delta[of.dst]
        found[of.src] = found[of.src] + pulled(of.stage.maps[0], A, g)
        return found

    return Recomputed(*_both(back, *inputs), _terms(of, 0) + 1)


def _Phi(passes: ExplainedPasses, q: Quantity, of: LayerOfNetwork | None, inputs: list[Array]) -> Recomputed | None:
    """Column by column: each is a delta, which the layer's stages turn into the one before them."""
    if of is None:
        return None
    shape = passes.states[of.node(len(of.stages))[0]].shape[1:]

    def back(Phi: Array, *numbers: Array) -> Array:
        found = []
        for delta in Phi.T:
            delta = delta.reshape(shape)
            for i, stage in reversed(list(enumerate(of.stages))):
                A, slope, W = numbers[3 * i : 3 * i + 3]
                g = slope * pulled(stage.stage.maps[1], W, delta[stage.dst])
                before = delta.copy()
                before[stage.dst] = float(stage.stage.keep) * delta[stage.dst]
                before[stage.src] = before[stage.src] + pulled(stage.stage.maps[0], A, g)
                delta = before
            found.append((unsqueezed(delta) if of.squeezed else delta).ravel())
        return np.stack(found, axis=1)

    columns = chosen(len(inputs[0]), MOST)
    value, size = _both(back, inputs[0][:, columns], *inputs[1:])
    return Recomputed(value, size, sum(_terms(stage, i) + 2 for stage in of.stages for i in (0, 1)), columns)


def _dK(passes: ExplainedPasses, q: Quantity, of: LayerOfNetwork, inputs: list[Array]) -> Recomputed | None:
    if of.coupled and of.arch.width > LARGE:
        return None
    stages = [passes.about[key] for key in q.inputs if key.startswith("dA")]
    value: Any = 0
    size: Any = 0
    for i, stage in enumerate(stages):
        if not of.coupled:
            value, size = value + inputs[i], size + np.abs(inputs[i])
            continue
        dA, dW = inputs[2 * i : 2 * i + 2]
        M = of.block_of_J(stage.part) * of.amount(stage)
        A_map, W_map = stage.stage.maps
        if isinstance(A_map, Convolution):
            term, largest = _both(lambda m, d: np.einsum("drfe,dk->rkfe", d[..., ::-1, ::-1], m), M, dW)
        else:
            term, largest = _both(lambda m, d: np.einsum("dr,dk->rk", d, m), M, matrix(W_map, dW))
            term, largest = picked(A_map, term), picked(A_map, largest)
        value, size = value + (dA + term), size + np.abs(dA) + largest
    shape = passes.found[q.key].value.shape  # at every pixel, a kernel has one entry
    return Recomputed(value.reshape(shape), size.reshape(shape), 2 * len(stages) + of.arch.width)


def _db(passes: ExplainedPasses, q: Quantity, of: LayerOfNetwork, inputs: list[Array]) -> Recomputed:
    value, size = np.zeros((2, of.arch.width), inputs[0].dtype)
    for stage, dc in zip(of.stages, inputs, strict=True):
        rows = of.arch.parts[stage.part].rows
        value[rows] += dc
        size[rows] += np.abs(dc)
    return Recomputed(value, size, len(inputs))


def _dparameter(passes: ExplainedPasses, q: Quantity, of: LayerOfNetwork, inputs: list[Array]) -> Recomputed | None:
    if of.arch.name == "MS1":
        (p, q_) = inputs if "[p," in q.inputs[0] else inputs[::-1]
        return Recomputed(p - q_.T, np.abs(p) + np.abs(q_.T), 2)
    if of.arch.name == "MS2":
        above = np.triu_indices(len(inputs[0]), 1)
        size = np.abs(inputs[0]) + np.abs(inputs[0].T)
        return Recomputed(inputs[0][above] - inputs[0].T[above], size[above], 2)
    return None


def _delta_N(passes: ExplainedPasses, q: Quantity, of: None, inputs: list[Array]) -> Recomputed:
    return Recomputed(inputs[0] - inputs[1], np.abs(inputs[0]) + np.abs(inputs[1]), 1)


def _squeeze(passes: ExplainedPasses, q: Quantity, of: LayerOfNetwork, inputs: list[Array]) -> Recomputed:
    value = squeezed(inputs[0]) if q.kind == "squeeze" else unsqueezed(inputs[0])
    return Recomputed(value, np.abs(value), 1)


RULES: dict[str, Callable[..., Recomputed | None]] = {
    "W": _W, "a": _a, "sigma": _sigma, "u": _u, "y": _y, "loss": _loss, "delta_N": _delta_N, "g": _g, "dW": _dW,
    "dA": _dA, "dc": _dc, "delta": _delta, "Phi": _Phi, "dK": _dK, "db": _db, "dparameter": _dparameter,
    "squeeze": _squeeze, "unsqueeze": _squeeze,
}  # fmt: skip

"""Oracles for V16: how far rebuilt states may be off, which ones a budget keeps, and what that does to a gradient.

Rounding. Stage s maps y to F_s(y), which adds W sigma(A y[src] + c) to y[dst]. Forwards its error is e_s, undone its
error is f_s, both in dst. To first order z_s - y_s = F_s'^-1 (z_{s+1} - y_{s+1} - e_s) + f_s in absolute values, and
F_s'^-1 leaves what lies in dst as it is. So

    |z_0 - y_0| <= sum_s |G_s| (|e_s| + |f_s|)        G_s = (dy_s/dy_0)^-1, from G_{s+1} = G_s F_s'^-1

entry by entry. A sum of k + 1 terms is off by at most (k + 1) eps / 2 times the sum of their sizes, in any order, fused
or not; sigma(a) by 4 eps |sigma(a)| for itself (``pyham.engines.compiled.elementary``) and by sigma'(a) times what a is
off.

Gradients. For any direction u of all parameters and the input, <gradient, u> = <g, v_S>, where v_s is the tangent of
the forward pass along u:

    a' = A' y[src] + c' + A v[src]        v[dst] += W' sigma(a) + W (sigma'(a) * a')

Of that, stage s gives <delta_{s+1}[dst], W' sigma(a) + W (sigma'(a) * a')>. If the backward pass evaluates it at y_s +
d_s instead, the gradient changes by sum_s h_s . d_s[src] to first order, with w = W^T delta_{s+1}[dst] and

    h_s = A^T (sigma' * W'^T delta[dst] + sigma'' * a' * w) + A'^T (sigma' * w)

An error of g = sigma' * w enters as <a', error>, one of sigma(a) as <W'^T delta[dst], error>, one of delta[src] as
<v[src], error>. With u along the difference of two gradients, these add up to a bound on its 2-norm.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

import pyham
from pyham.architectures.stages import Stages
from pyham.engines.compiled import dense as compiled
from pyham.engines.contract import SHORTEST
from pyham.engines.results import Gradient
from validation.claim import Array

SIGMA = 4  # eps: the largest relative error of a computed sigma
SLOPE = 2  # the largest |d sigma' / d sigma|, as the kernels compute slopes from sigma, such as (1 - s) (1 + s) for
# tanh; in at most three more operations, 1.5 eps, and for softplus with one tanh more, another SIGMA


class RebuiltCase(NamedTuple):
    """A network, samples x and output gradients g (B, n)."""

    net: pyham.Network
    x: Array
    g: Array

    def astype(self, dtype: type) -> "RebuiltCase":
        return RebuiltCase(self.net, self.x.astype(dtype), self.g.astype(dtype))

    def first(self) -> "RebuiltCase":
        """The first sample alone."""
        return RebuiltCase(self.net, self.x[:1], self.g[:1])


class Walk(NamedTuple):
    """States (S + 1, B, n) before every stage and after the last; the rebuilt ones; and what a ``Drift`` reports."""

    states: Array
    rebuilt: Array
    error: float
    kept: int

    @property
    def between(self) -> float:
        """The largest error of all rebuilt states, the drift being that of those that are compared with kept ones."""
        return max(float(distance(z, y).max()) for z, y in zip(self.rebuilt, self.states, strict=True))


class Gap(NamedTuple):
    """||value - stored|| / ||stored|| in the 2-norm of all parameters and the input; and its bound to first order."""

    error: float
    bound: float


def distance(z: Array, y: Array) -> Array:
    """max |z - y| / max |y| of every sample (B,), in float64."""
    gap, size = (np.abs(value).max(axis=1).astype(np.float64) for value in (z - y, y))
    return np.asarray(gap / size)


def rounding(case: RebuiltCase) -> Array:
    """Bound on max |z_0 - y_0| / max |y_0| of every sample (B,), in eps."""
    stages, y = case.net.stages(np.float64), case.x.astype(np.float64)
    G = np.tile(np.eye(y.shape[1]), (len(y), 1, 1))
    total = np.zeros(y.shape)
    for s in range(len(stages.A)):
        A, W, src, dst = _stage(stages, s)
        a = y[:, src] @ A.T + stages.c[s]
        slope, sigma = stages.activation.derivative(a), stages.activation.sigma(a)
        sigma_off = slope * _a_off(stages, s, y[:, src]) + SIGMA * np.abs(sigma)
        before, y[:, dst] = np.abs(y[:, dst]), y[:, dst] + sigma @ W.T
        sums = (len(A) + 1) / 2 * (before + np.abs(y[:, dst]) + 2 * np.abs(sigma) @ np.abs(W).T)  # there and back
        terms = 2 * sigma_off @ np.abs(W).T
        total += (np.abs(G[:, :, dst]) @ (sums + terms)[:, :, None])[:, :, 0]
        G[:, :, src] -= G[:, :, dst] @ (W * slope[:, None, :] @ A)
    return np.asarray(total.max(axis=1) / np.abs(case.x).max(axis=1))


def rebuild(case: RebuiltCase, budget: float) -> Walk:
    """What ``memory="reversible"`` does, said again stage by stage with the engine's ``forward`` and ``inverse``."""
    stages = case.net.stages(case.x.dtype)
    one, L = single(stages), stages.per_layer
    y = [case.x]
    for stage in one:
        y.append(compiled.DENSE.forward(stage, y[-1]))
    z, error, kept, count = list(y), 0.0, [0], 0
    end = trial = stages.depth
    while end > 0:
        start = kept[-1]
        if end - start > SHORTEST:  # fewer layers are run again
            back = compiled.DENSE.inverse(stages.layers(start, end), y[end * L]) if end - start <= trial else None
            gap = np.inf if back is None else float(distance(back, y[start * L]).max())
            if not gap <= budget:
                middle = (start + end) // 2
                trial, count = min(trial, end - middle), count + 1
                kept.append(middle)
                continue
            error, state = max(error, gap), y[end * L]
            for s in reversed(range(start * L, end * L)):
                z[s] = state = compiled.DENSE.inverse(one[s], state)
        trial = 2 * (end - start)
        end = kept.pop()
    return Walk(np.array(y), np.array(z), error, count)


def gradient_gap(case: RebuiltCase, value: Gradient, walk: Walk) -> Gap:
    """How far a gradient from the states of ``walk`` is from the stored one, and how far it may be."""
    off, exact = _difference(case, value)
    size, error = _norm(exact), _norm(off)
    direction = {name: (off[name] / error if error else exact[name] / size) for name in exact}
    drift, passes = first_order(case, walk, direction)
    return Gap(error / size, (drift + 2 * passes) / size)


def gradient_error(case: RebuiltCase, value: Gradient) -> float:
    """||value - stored|| / ||stored||."""
    off, exact = _difference(case, value)
    return _norm(off) / _norm(exact)


def _difference(case: RebuiltCase, value: Gradient) -> tuple[dict[str, Array], dict[str, Array]]:
    """value - stored, and stored, all parameters and the input by name, in float64."""
    stored = case.net.gradient(case.x, case.g)
    exact = {name: array.astype(np.float64) for name, array in {**stored.params, "input": stored.input}.items()}
    found = {**value.params, "input": value.input}
    return {name: found[name] - exact[name] for name in exact}, exact


def first_order(case: RebuiltCase, walk: Walk, u: dict[str, Array]) -> tuple[float, float]:
    """sum_s |h_s| . |d_s|, and the rounding errors of one backward pass, for a direction u."""
    net, eps = case.net, float(np.finfo(case.x.dtype).eps)
    stages = net.stages(np.float64)
    moved = net.replace({name: net.params[name] + u[name] for name in net.params}).stages(np.float64)
    A_dot, c_dot, W_dot = moved.A - stages.A, moved.c - stages.c, moved.W - stages.W  # stages are affine in parameters
    y, v, activation = walk.states.astype(np.float64), u["input"], stages.activation
    tangents = []
    for s in range(len(stages.A)):
        A, W, src, dst = _stage(stages, s)
        a = y[s][:, src] @ A.T + stages.c[s]
        a_dot = y[s][:, src] @ A_dot[s].T + c_dot[s] + v[:, src] @ A.T
        tangents.append((a, a_dot, v[:, src]))
        v = v.copy()
        v[:, dst] += activation.sigma(a) @ W_dot[s].T + (activation.derivative(a) * a_dot) @ W.T
    delta, drift, passes = case.g.astype(np.float64), 0.0, 0.0
    for s in reversed(range(len(stages.A))):
        A, W, src, dst = _stage(stages, s)
        (a, a_dot, v_src), y_src = tangents[s], y[s][:, src]
        slope, sigma, bend = activation.derivative(a), activation.sigma(a), _second(activation, a)
        w, w_dot, sizes = delta[:, dst] @ W, delta[:, dst] @ W_dot[s], np.abs(delta[:, dst])
        g = slope * w
        h = (slope * w_dot + bend * a_dot * w) @ A + g @ A_dot[s]
        drift += float((np.abs(h) * np.abs(walk.rebuilt[s] - walk.states[s])[:, src]).sum())

        a_off = _a_off(stages, s, y_src)
        sigma_off = slope * a_off + SIGMA * np.abs(sigma)
        slope_off = np.abs(bend) * a_off + SLOPE * SIGMA * np.abs(sigma) + (SIGMA + 1.5) * slope
        g_off = slope_off * np.abs(w) + np.abs(g) / 2 + len(W) / 2 * slope * (sizes @ np.abs(W))
        terms = len(case.x) + stages.per_layer + len(W) + 2  # of the sums over samples, over stages, and times M
        products = np.abs(g) * (np.abs(y_src) @ np.abs(A_dot[s]).T + np.abs(c_dot[s]))
        products += np.abs(sigma) * (sizes @ np.abs(W_dot[s]))
        added = np.abs(v_src) * (np.abs(delta[:, src]) + np.abs(g) @ np.abs(A))
        errors = g_off * np.abs(a_dot) + sigma_off * np.abs(w_dot) + terms / 2 * products
        passes += float(errors.sum() + (len(A) + 1) / 2 * added.sum())
        delta[:, src] += g @ A
    return drift, eps * passes


def _stage(stages: Stages, s: int) -> tuple[Array, Array, slice, slice]:
    """A, W, src and dst of stage s."""
    k = s % stages.per_layer
    return stages.A[s], stages.W[s], stages.src[k], stages.dst[k]


def single(stages: Stages) -> list[Stages]:
    """The stages one by one, each as a network of one layer."""
    found = []
    for s in range(len(stages.A)):
        A, c, W, keep = (array[s : s + 1] for array in (stages.A, stages.c, stages.W, stages.keep))
        _, _, src, dst = _stage(stages, s)
        found.append(replace(stages, A=A, c=c, W=W, keep=keep, src=(src,), dst=(dst,)))
    return found


def _a_off(stages: Stages, s: int, y_src: Array) -> Array:
    """How much a computed a = A y[src] + c is off at most, in eps."""
    A = stages.A[s]
    return np.asarray((A.shape[1] + 1) / 2 * (np.abs(y_src) @ np.abs(A).T + np.abs(stages.c[s])))


def _second(activation: pyham.architectures.activations.Activation, a: Array) -> Array:
    """sigma'' by the complex step."""
    return np.asarray(activation.derivative(a + 1e-200j).imag * 1e200)


def _norm(arrays: dict[str, Array]) -> float:
    return float(np.sqrt(sum(np.square(value, dtype=np.float64).sum() for value in arrays.values())))

"""Options of an architecture that are learnt: "learnt" in the place of a number or a matrix makes it a parameter.

==========================  ===============  ===========================================  ===================
option                      parameter        what the network has                         at first
==========================  ===============  ===========================================  ===================
H2(X=..)                    X (m, m)         X                                            I
H1(interconnection=..)      S (n, n)         J = S - S^T, skew-symmetric                  J = J1, or J2
H1(dissipation=..)          L (n, n)         R = L L^T, positive semidefinite             R = I / 100
damping=.., of all          damping (N, 2)   rates log(1 + exp(damping)) > 0 of p and q   rates 0.127
damping=.., of H1           damping (1,)     one such rate                                0.127
==========================  ===============  ===========================================  ===================

With given numbers such a network is one of the fixed architecture that has them (``settled``): its stages are lowered
by that, and every law holds for it, at each step of a training. Only the gradients of what is learnt are worked out
here, from those of the stages. With W = a C A^T, C the coupling J or J - R, and a what a stage applies of the field,

    dC[dst, src] = sum of a dW A        dX = dC[q, p] - dC[p, q]^T     dS = dC - dC^T     dL = -(dC + dC^T) L

A rate g acts on a = t phi(g t) and on keep = exp(-g t). da is <dW, W> / a, and dkeep = <delta[dst], y[dst]> needs no
states: from what it is behind the last layer it follows backwards through the stages,

    y[dst] <- keep y[dst] + u :   <delta[dst], y[dst]> before  =  <delta[dst], y[dst]> behind - <dW, W>
    delta[src] <- delta[src] + A^T g :   <delta[src], y[src]>  =  <delta[src], y[src]> behind + <dA, A>
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from typing import Any, cast

import numpy as np

from pyham.architectures import interconnection
from pyham.architectures.activations import activation
from pyham.architectures.interface import ArchitectureBase

Array = np.ndarray[Any, Any]

LEARNT = "learnt"
#: Name of an option -> name of the parameter.
PARAMETERS = {"X": "X", "interconnection": "S", "dissipation": "L", "damping": "damping"}
FIRST = -2.0  # of the parameter of a rate: log(1 + exp(-2)) = 0.127

_SOFTPLUS = activation("softplus")


def is_learnt(value: Any) -> bool:
    """Whether the value of an option is the word."""
    return isinstance(value, str) and value == LEARNT


class Learnt(ArchitectureBase):
    """What an architecture of which some options may be learnt adds."""

    @cached_property
    def learnt(self) -> tuple[str, ...]:
        """The options that are parameters."""
        return tuple(name for name in PARAMETERS if is_learnt(getattr(self, name, None)))

    def shapes_of_learnt(self) -> dict[str, tuple[int, ...]]:
        """Their shapes, by the names of the parameters."""
        n, this = self.shape[0], cast(Any, self)
        shapes: dict[str, tuple[int, ...]] = {"X": (n // 2, n // 2), "interconnection": (n, n), "dissipation": (n, n)}
        shapes["damping"] = (this.depth, 2) if hasattr(self, "scheme") else (1,)
        return {PARAMETERS[name]: shapes[name] for name in self.learnt}

    def first_values(self) -> dict[str, Array]:
        if not self.learnt:
            return {}
        n = self.shape[0]
        values = {"X": np.eye(n // 2), "dissipation": np.eye(n) / 10, "damping": np.array(FIRST)}
        values["interconnection"] = (interconnection.J2(n) if n % 2 else interconnection.J1(n)) / 2
        return {PARAMETERS[name]: values[name] for name in self.learnt}

    def settled(self, params: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        """The fixed architecture with what these parameters say, and the parameters that are left."""
        if not self.learnt:
            return self, dict(params)
        found: dict[str, Any] = {}
        for name in self.learnt:
            value = params[PARAMETERS[name]]
            if value.dtype.kind in "fc":  # in double precision at least, whatever the computation runs in
                value = value.astype(np.result_type(value.dtype, np.float64))
            if name == "interconnection":
                value = value - value.T
            elif name == "dissipation":
                value = (value @ value.T + (value @ value.T).T) / 2  # symmetric to the bit
            elif name == "damping":
                value = _SOFTPLUS.sigma(value)
                value = value[0] if value.shape == (1,) else value
            found[name] = value
        other: Any = object.__new__(type(self))  # without checks: X may be singular for a step, and the law holds
        options = {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}
        other.__dict__.update(options | found)
        return other, {name: value for name, value in params.items() if name not in self.shapes_of_learnt()}

    def gradients_at(self, sums: Any, params: Mapping[str, Array], ends: Array) -> dict[str, Array]:
        if not self.learnt:
            return self.pullback(sums)
        return self.gradients_until(sums, params, ends)[0]

    def gradients_until(self, sums: Any, params: Mapping[str, Array], ends: Array) -> tuple[dict[str, Array], Array]:
        """Gradients of all parameters from those of the stages, and what ``ends`` (n,) is in front of the network.

        There it is one number for p and one for q, where rates are learnt.
        """
        arch, rest = self.settled(params)
        found: dict[str, Array] = arch.pullback(sums)
        if set(self.learnt) - {"damping"}:
            dC = _of_coupling(arch, rest, sums)
            p, q = slice(0, arch.width // 2), slice(arch.width // 2, arch.width)
            if "X" in self.learnt:
                found["X"] = dC[q, p] - dC[p, q].T
            if "interconnection" in self.learnt:
                found["S"] = dC - dC.T
            if "dissipation" in self.learnt:
                found["L"] = -(dC + dC.T) @ params["L"]
        if "damping" in self.learnt:
            of_rates, ends = _of_rates(arch, arch.lower(rest), sums, ends)
            theta = params["damping"]
            of_rates = of_rates.sum(keepdims=True)[0] if theta.shape == (1,) else of_rates
            found["damping"] = of_rates * _SOFTPLUS.derivative(theta)
        return {name: np.asarray(value, sums.W.dtype) for name, value in found.items()}, ends


def check_learnable(arch: Any, on_graph: bool) -> None:
    """Refuse a learnt coupling of a network on a graph, whose edges J may not leave."""
    for name in ("X", "interconnection", "dissipation"):
        if on_graph and is_learnt(getattr(arch, name, None)):
            raise ValueError(f"{name}: expected a matrix for a network on a graph, got 'learnt'")


def refuse_learnt(arch: Any, name: str) -> None:
    """For properties that a network with these parameters has, but not its architecture."""
    if is_learnt(getattr(arch, name)):
        raise ValueError(f"{name}: expected a matrix, got 'learnt'; net.settled is the network with what it has learnt")


def _of_coupling(arch: Any, params: Mapping[str, Array], sums: Any) -> Array:
    """dC (n, n), the sum of a dW A over all stages."""
    blocks, L = arch.weights(params), len(arch.steps)
    dW = sums.W.reshape(arch.depth, L, *sums.W.shape[1:])
    dC = np.zeros((arch.width, arch.width), dW.dtype)
    for s, (part, fraction) in enumerate(arch.steps):
        amount = np.broadcast_to(arch.amount(part, fraction), arch.depth).astype(dW.dtype)
        dst, _, src = arch.parts[part]
        dC[dst, src] += np.einsum("j,jdr,jrk->dk", amount, dW[:, s], blocks[part], optimize=True)
    return dC


def _of_rates(arch: Any, stages: Any, sums: Any, ends: Array) -> tuple[Array, Array]:
    """Gradients (N, 2) of the rates, or (N, 1) of one part; and delta_0 y_0 of all samples, of p and of q.

    ``ends`` is delta_N y_N: any even number of entries, of which the first half is p's.
    """
    L, whole = len(arch.steps), len(arch.parts) == 1
    halves = [0 if whole or arch.parts[part].dst.start == 0 else 1 for part, _ in arch.steps]
    inner = [ends.sum()] if whole else [half.sum() for half in np.split(ends, 2)]
    of_W, of_A = (
        (a * b).reshape(len(a), -1).sum(axis=1) for a, b in ((sums.W, stages.W), (sums.A, stages.A))
    )  # <dW, W> and <dA, A> of every stage
    found = np.zeros((arch.depth, len(inner)), sums.W.dtype)
    rates = np.broadcast_to(np.asarray(arch.damping), (arch.depth, 2))
    for s in reversed(range(stages.count)):
        (j, place), half = divmod(s, L), halves[s % L]
        part, fraction = arch.steps[place]
        time, rate = fraction * arch.step, rates[j, half]
        amount = np.broadcast_to(arch.amount(part, fraction), arch.depth)[j]
        inner[half] = inner[half] - of_W[s]  # keep <delta[dst], y[dst]>, y before the stage
        found[j, half] += -time * inner[half] + of_W[s] / amount * time**2 * _phi_slope(rate * time)
        inner[half if whole else 1 - half] += of_A[s]
    return found, np.array(inner)


def _phi_slope(z: Any) -> Any:
    """phi'(z) of phi(z) = (1 - exp(-z)) / z; by its series near 0, where the formula cancels."""
    if abs(z) > 0.5:
        return (np.exp(-z) * (1 + z) - 1) / z**2
    term, total = -0.5, -0.5  # -k (-z)^(k - 1) / (k + 1)!
    for k in range(2, 20):
        term = term * -z * k / ((k - 1) * (k + 1))
        total = total + term
    return total

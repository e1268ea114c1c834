"""Engines with one term of the backward recursion broken, for the controls of ``validation.v11_backpropagation``.

The recursion of ``pyham.engines.reference`` is written in functions of a stage's maps, sigma' and keep. Here each of
these is made zero, given the wrong sign, or transposed, on the way back only.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pyham import H1, H2, MLP, MS1, Network
from pyham.architectures.maps import Dense
from pyham.architectures.stages import Stages
from pyham.engines.reference import Reference

Array = np.ndarray[Any, Any]

KINDS = ("zero", "sign", "transpose")
#: What a fault breaks: a function of the map A or W, sigma' or keep; and the passes that use it.
TERMS: dict[str, tuple[str, ...]] = {
    "dW": ("adjoint",),
    "dA": ("adjoint",),
    "dc": ("adjoint",),
    "W^T": ("adjoint", "sensitivity"),
    "A^T": ("adjoint", "sensitivity"),
    "sigma'": ("adjoint", "sensitivity"),
    "keep": ("adjoint", "sensitivity"),
}


class BrokenMap(Dense):
    """Matrices, one function of which is wrong; the matrices must be square, so that a transpose fits."""

    def __init__(self, function: str, kind: str) -> None:
        self.function, self.kind = function, kind

    def transposed(self, M: Array, g: Array) -> Array:
        if self.function != "transposed":
            return super().transposed(M, g)
        return self.apply(M, g) if self.kind == "transpose" else self._wrong(super().transposed(M, g))

    def outer(self, g: Array, y: Array) -> Array:
        right = super().outer(g, y)
        return right if self.function != "outer" else right.T if self.kind == "transpose" else self._wrong(right)

    def total(self, g: Array) -> Array:
        right = super().total(g)
        return right if self.function != "total" else self._wrong(right)

    def _wrong(self, value: Array) -> Array:
        return 0 * value if self.kind == "zero" else -value


class BrokenEngine(Reference):
    """The reference engine, one term of whose backward passes is wrong."""

    def __init__(self, term: str, kind: str) -> None:
        self.term, self.kind = term, kind

    def adjoint(self, stages: Any, states: Any, delta_N: Array) -> tuple[Any, Any]:
        return super().adjoint(self._broken(stages), states, delta_N)

    def sensitivity(self, stages: Any, states: Any, last: Array | None = None) -> Array:
        return super().sensitivity(self._broken(stages), states, last)

    def _broken(self, stages: Stages) -> Stages:
        factor = 0 if self.kind == "zero" else -1
        if self.term == "keep":  # where it is 0, it becomes 1
            return replace(stages, keep=np.where(stages.keep == 0, 1, factor * stages.keep))
        if self.term == "sigma'":
            right = stages.activation
            return replace(stages, activation=replace(right, derivative=lambda a: factor * right.derivative(a)))
        function = {"dW": "outer", "dA": "outer", "dc": "total", "W^T": "transposed", "A^T": "transposed"}[self.term]
        A, W = stages.maps
        broken = BrokenMap(function, self.kind)
        return replace(stages, maps=(A, broken) if "W" in self.term else (broken, W))


def engines(function: str) -> Iterator[BrokenEngine]:
    """An engine for every fault that the pass "adjoint" or "sensitivity" shows."""
    for term, shown in TERMS.items():
        for kind in KINDS:
            if function in shown and (kind != "transpose" or term not in ("dc", "sigma'", "keep")):
                yield BrokenEngine(term, kind)


class Sample(NamedTuple):
    """A network with an input x (B, n) and a gradient g (B, n) at its output."""

    name: str
    net: Network
    x: Array
    g: Array


def networks() -> list[Sample]:
    """Width 4, depth 3, 3 samples: keep 0 and 1; src, dst equal and disjoint; 1 to 3 stages a layer; W of each kind."""
    X = np.array([[1.0, -0.4], [0.9, 0.7]])  # neither symmetric nor orthogonal, so that no transpose hides
    architectures = {
        "MLP": MLP(4, 3),
        "H1": H1(4, 3, 0.5, interconnection="J2"),
        "MS1": MS1(4, 3, 0.5),
        "H2": H2(4, 3, 0.5, X=X),
        "H2 verlet": H2(4, 3, 0.5, X=X, scheme="verlet"),
    }
    cases = []
    for seed, (name, arch) in enumerate(architectures.items()):
        rng = np.random.default_rng(seed)
        net = arch.init(rng)
        x, g = rng.standard_normal((2, 3, 4))
        cases.append(Sample(name, net, x, g))
    return cases

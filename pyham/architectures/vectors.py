"""The seven networks, each as data: free parameters, K, J, parts and scheme.

========  ===========================  ======================  ==============  ==========================
name      K                            field                   scheme          source
========  ===========================  ======================  ==============  ==========================
MS1       [[0, A], [-A^T, 0]]          sigma(K y + b)          semi-implicit   Haber & Ruthotto 2017
MS2       skew-symmetric               sigma(K y + b)          forward Euler   Haber & Ruthotto 2017
MS3       [[0, K1], [K2, 0]]           J1 K^T sigma(K y + b)   semi-implicit   Chang et al. 2018
H1        full                         J K^T sigma(K y + b)    forward Euler   Galimberti et al. 2021
H2        [[Kp, 0], [0, Kq]]           J(X) K^T sigma(K y + b) semi-implicit   Galimberti et al. 2023
MLP       full                         y <- sigma(K y + b)     none            baseline
ResNet    full                         sigma(K y + b)          forward Euler   baseline
========  ===========================  ======================  ==============  ==========================

MS1 and MS2 are Hamiltonian with J K^T = I, that is J = K^-T, which differs from layer to layer when K does. MS1, MS3
and H2 split into two parts and so take any scheme of ``pyham.architectures.schemes.SPLITTINGS``, in either order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures import interconnection
from pyham.architectures.base import Architecture, Part
from pyham.architectures.interconnection import Entries
from pyham.architectures.learnt import check_learnable, is_learnt, refuse_learnt
from pyham.architectures.on_graph import OnGraph
from pyham.architectures.split import Split
from pyham.architectures.whole import H1, MLP, MS2, ResNet

__all__ = ["ARCHITECTURES", "H1", "H2", "MLP", "MS1", "MS2", "MS3", "Architecture", "ResNet", "architecture"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class MS1(Split):
    """p <- p + h sigma(A q + b1), q <- q + h sigma(-A^T p + b2); free are A (N, m, m) and b (N, n)."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        N, m = self.depth, self.width // 2
        return {"A": (N, m, m), "b": (N, self.width)} | self.shapes_of_learnt()

    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        return self._in_order(params["A"], -params["A"].swapaxes(1, 2))

    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        of_p, of_q = self._in_order(*gradients)
        return {"A": of_p - of_q.swapaxes(1, 2)}

    def effective_J(self, params: Mapping[str, Array]) -> Array:
        return interconnection.inverse_transpose(self.assemble(params))


@dataclass(frozen=True, eq=False, repr=False)
class MS3(OnGraph, Split):
    """p <- p + h K1^T sigma(K1 q + b1), q <- q - h K2^T sigma(K2 p + b2); free are K1, K2 (N, m, m) and b (N, n)."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._blocks(("K1", "K2"))

    @cached_property
    def J(self) -> Array:
        return _check.read_only(interconnection.J1(self.width))

    @property
    def entries_of_J(self) -> Entries:
        return interconnection.entries_of_J1(self.width)

    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        return self._in_order(params["K1"], params["K2"])

    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        of_p, of_q = self._in_order(*gradients)
        return {"K1": of_p, "K2": of_q}


@dataclass(frozen=True, eq=False, repr=False)
class H2(OnGraph, Split):
    """p <- p - h X^T Kq^T sigma(Kq q + bq), q <- q + h X Kp^T sigma(Kp p + bp); symplectic for J = [[0, -X^T], [X, 0]].

    Free are Kp, Kq (N, m, m) and b = (bp, bq) (N, n). ``X`` is any nonsingular array (m, m), or "learnt"; None stands
    for I.
    """

    X: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_learnable(self, self.graph is not None)
        if self.X is not None and not is_learnt(self.X):
            X = interconnection.invertible(self.X, self.width // 2)
            object.__setattr__(self, "X", _check.read_only(X))
            self._check_coupling("X", interconnection.entries(X), self.q.start)

    @property
    def p_part(self) -> Part:
        return Part(dst=self.p, rows=self.q, src=self.q)

    @property
    def q_part(self) -> Part:
        return Part(dst=self.q, rows=self.p, src=self.p)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._blocks(("Kp", "Kq"))

    @cached_property
    def J(self) -> Array:
        refuse_learnt(self, "X")
        X = np.eye(self.width // 2) if self.X is None else self.X
        return _check.read_only(interconnection.from_block(X))

    @property
    def entries_of_J(self) -> Entries:
        return interconnection.entries_of_J1(self.width, -1.0) if self.X is None else interconnection.entries(self.J)

    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        return self._in_order(params["Kq"], params["Kp"])

    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        of_p, of_q = self._in_order(*gradients)
        return {"Kp": of_q, "Kq": of_p}


ARCHITECTURES: dict[str, type[Architecture]] = {kind.__name__: kind for kind in (MS1, MS2, MS3, H1, H2, MLP, ResNet)}


def architecture(name: str, **options: Any) -> Architecture:
    """The architecture of that name: ``architecture("H2", width=4, depth=64, step=0.05)`` is ``H2(...)``.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown or the architecture has no such option, beside what the architecture itself raises.
    """
    kind = ARCHITECTURES[_check.choice("name", name, ARCHITECTURES)]
    known = [f.name for f in fields(kind)]
    for option in options:
        if option not in known:
            raise TypeError(f"{option}: expected one of the options of {name} ({', '.join(known)}), got {option!r}")
    for required in ("width", "depth"):
        if required not in options:
            raise TypeError(f"{required}: expected an integer, got nothing")
    return kind(**options)

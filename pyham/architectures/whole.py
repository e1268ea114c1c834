"""Networks whose field is applied at once, one stage a layer: MLP, ResNet, H1 and MS2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures import interconnection
from pyham.architectures.base import Architecture, Part
from pyham.architectures.damping import checked_dissipation, driven, kept, limited
from pyham.architectures.interconnection import Entries
from pyham.architectures.learnt import check_learnable, is_learnt, refuse_learnt
from pyham.architectures.on_graph import OnGraph
from pyham.architectures.schemes import EULER, Substep

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Whole(Architecture):
    """The field applied at once: one stage per layer."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        everything = slice(0, self.width)
        return (Part(everything, everything, everything),)

    @property
    def steps(self) -> tuple[Substep, ...]:
        return EULER

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"K": (self.depth, *self.block_shape), "b": (self.depth, self.width)} | self.shapes_of_learnt()

    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        return (params["K"],)

    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        return {"K": gradients[0]}


@dataclass(frozen=True, eq=False, repr=False)
class MLP(OnGraph, Whole):
    """y <- sigma(K y + b). Its gradients vanish: the baseline. ``step`` has no effect."""

    keep = False


@dataclass(frozen=True, eq=False, repr=False)
class ResNet(OnGraph, Whole):
    """y <- y + h sigma(K y + b)."""


@dataclass(frozen=True, eq=False, repr=False)
class H1(OnGraph, Whole):
    """y <- y + h J K^T sigma(K y + b), K full, by forward Euler: not symplectic, but its defect is known exactly.

    With ``dissipation`` and ``damping`` the equation is y' = (J - R) grad H - g y, and a layer y <- k y + t (J - R) K^T
    sigma(K y + b) with k = exp(-g h) and t = h phi(g h): energy is lost, and where g or R is large enough the network
    contracts, at a rate that ``pyham.bounds`` knows.

    Parameters
    ----------
    interconnection : "J1", "J2", any skew-symmetric array (n, n), or "learnt"
    dissipation : R, symmetric and positive semidefinite (n, n), a number r for r I, "learnt", or None for 0
    damping : g, a number, or "learnt"; negative rates amplify
    """

    interconnection: Any = "J1"
    dissipation: Any = field(default=None, kw_only=True)
    damping: Any = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.integer("width", self.width, 2)  # the only skew-symmetric matrix of size 1 is 0
        check_learnable(self, self.graph is not None)
        if is_learnt(self.interconnection):
            pass
        elif not isinstance(self.interconnection, str):
            J = interconnection.skew(self.interconnection, self.width)
            object.__setattr__(self, "interconnection", _check.read_only(J))
            self._check_coupling("interconnection", self.entries_of_J)
        elif _check.choice("interconnection", self.interconnection, ("J1", "J2")) == "J2":
            self._check_J2("interconnection")
        else:
            interconnection.half(self.width)
        if not is_learnt(self.dissipation):
            object.__setattr__(self, "dissipation", checked_dissipation(self.dissipation, self.width))
        if isinstance(self.dissipation, np.ndarray):
            self._check_coupling("dissipation", interconnection.entries(self.dissipation))
        if not is_learnt(self.damping):
            object.__setattr__(self, "damping", _check.number("damping", self.damping))
            limited(np.array(self.damping), self.step)

    def options(self) -> dict[str, Any]:
        absent = {"dissipation": self.dissipation is None, "damping": not self.damping}
        return {name: value for name, value in super().options().items() if not absent.get(name)}

    @cached_property
    def coupling(self) -> Array:
        refuse_learnt(self, "dissipation")
        if self.dissipation is None:
            return self.J
        R = self.dissipation
        return _check.read_only(self.J - (R if isinstance(R, np.ndarray) else R * np.eye(self.width)))

    @property
    def entries_of_coupling(self) -> Entries:
        if self.dissipation is None:
            return self.entries_of_J
        if isinstance(self.dissipation, np.ndarray):
            return interconnection.entries(self.coupling)
        i = np.arange(self.width)
        own = Entries(i, i, np.full(self.width, -float(self.dissipation)))
        return Entries(*(np.concatenate(both) for both in zip(self.entries_of_J, own, strict=True)))

    def amount(self, part: int, fraction: float) -> Any:
        refuse_learnt(self, "damping")
        if not self.damping:
            return super().amount(part, fraction)
        return driven(np.array(self.damping), fraction * self.step)[()]

    def keeps(self) -> Any:
        return kept(np.array(self.damping), self.step)[()]

    def fading(self) -> Array | None:
        return np.full((self.depth, self.width), self.damping) if self.damping else None

    @property
    def halves(self) -> bool:
        return isinstance(self.interconnection, str) and self.interconnection == "J1"

    @property
    def entries_of_J(self) -> Entries:
        return interconnection.entries_of_J1(self.width) if self.halves else interconnection.entries(self.J)

    @cached_property
    def J(self) -> Array:
        refuse_learnt(self, "interconnection")
        if isinstance(self.interconnection, str):
            named = {"J1": interconnection.J1, "J2": interconnection.J2}
            return _check.read_only(named[self.interconnection](self.width))
        return self.interconnection


@dataclass(frozen=True, eq=False)
class MS2(Whole):
    """y <- y + h sigma(K y + b) with skew-symmetric K; free are its n (n - 1) / 2 entries above the diagonal.

    They are ``K_upper`` (N, n (n - 1) / 2), row by row.
    """

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        N, n = self.depth, self.width
        return {"K_upper": (N, n * (n - 1) // 2), "b": (N, n)}

    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        upper = params["K_upper"]
        i, j = np.triu_indices(self.width, 1)
        K = np.zeros((self.depth, self.width, self.width), upper.dtype)
        K[:, i, j] = upper
        K[:, j, i] = -upper
        return (K,)

    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        (dK,) = gradients
        i, j = np.triu_indices(self.width, 1)
        return {"K_upper": dK[:, i, j] - dK[:, j, i]}

    def effective_J(self, params: Mapping[str, Array]) -> Array:
        return interconnection.inverse_transpose(self.assemble(params))

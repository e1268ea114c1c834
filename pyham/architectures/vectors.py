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
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures import interconnection
from pyham.architectures.base import Architecture, Part
from pyham.architectures.damping import checked_dissipation, driven, kept, limited
from pyham.architectures.interconnection import Entries
from pyham.architectures.on_graph import OnGraph
from pyham.architectures.schemes import EULER, Substep
from pyham.architectures.split import Split

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class _Whole(Architecture):
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
        return {"K": (self.depth, *self.block_shape), "b": (self.depth, self.width)}

    def weights(self, params: Mapping[str, Array]) -> Sequence[Array]:
        return (params["K"],)

    def collect(self, gradients: Sequence[Array]) -> dict[str, Array]:
        return {"K": gradients[0]}


@dataclass(frozen=True, eq=False, repr=False)
class MLP(OnGraph, _Whole):
    """y <- sigma(K y + b). Its gradients vanish: the baseline. ``step`` has no effect."""

    keep = False


@dataclass(frozen=True, eq=False, repr=False)
class ResNet(OnGraph, _Whole):
    """y <- y + h sigma(K y + b)."""


@dataclass(frozen=True, eq=False, repr=False)
class H1(OnGraph, _Whole):
    """y <- y + h J K^T sigma(K y + b), K full, by forward Euler: not symplectic, but its defect is known exactly.

    With ``dissipation`` and ``damping`` the equation is y' = (J - R) grad H - g y, and a layer y <- k y + t (J - R) K^T
    sigma(K y + b) with k = exp(-g h) and t = h phi(g h): energy is lost, and where g or R is large enough the network
    contracts, at a rate that ``pyham.bounds`` knows.

    Parameters
    ----------
    interconnection : "J1", "J2" or any skew-symmetric array (n, n)
    dissipation : R, symmetric and positive semidefinite (n, n), or a number r for r I; None for 0
    damping : g, a number; negative rates amplify
    """

    interconnection: Any = "J1"
    dissipation: Any = field(default=None, kw_only=True)
    damping: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.integer("width", self.width, 2)  # the only skew-symmetric matrix of size 1 is 0
        if not isinstance(self.interconnection, str):
            J = interconnection.skew(self.interconnection, self.width)
            object.__setattr__(self, "interconnection", _check.read_only(J))
            self._check_coupling("interconnection", self.entries_of_J)
        elif _check.choice("interconnection", self.interconnection, ("J1", "J2")) == "J2":
            self._check_J2("interconnection")
        else:
            interconnection.half(self.width)
        R = checked_dissipation(self.dissipation, self.width)
        object.__setattr__(self, "dissipation", R)
        if isinstance(R, np.ndarray):
            self._check_coupling("dissipation", interconnection.entries(R))
        object.__setattr__(self, "damping", _check.number("damping", self.damping))
        limited(np.array(self.damping), self.step)

    def options(self) -> dict[str, Any]:
        absent = {"dissipation": self.dissipation is None, "damping": not self.damping}
        return {name: value for name, value in super().options().items() if not absent.get(name)}

    @cached_property
    def coupling(self) -> Array:
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
        if not self.damping:
            return super().amount(part, fraction)
        return float(driven(np.array(self.damping), fraction * self.step))

    def keeps(self) -> Any:
        return float(kept(np.array(self.damping), self.step))

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
        if isinstance(self.interconnection, str):
            named = {"J1": interconnection.J1, "J2": interconnection.J2}
            return _check.read_only(named[self.interconnection](self.width))
        return self.interconnection


@dataclass(frozen=True, eq=False)
class MS2(_Whole):
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


@dataclass(frozen=True, eq=False)
class MS1(Split):
    """p <- p + h sigma(A q + b1), q <- q + h sigma(-A^T p + b2); free are A (N, m, m) and b (N, n)."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        N, m = self.depth, self.width // 2
        return {"A": (N, m, m), "b": (N, self.width)}

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

    Free are Kp, Kq (N, m, m) and b = (bp, bq) (N, n). ``X`` is any nonsingular array (m, m); None stands for I.
    """

    X: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.X is not None:
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

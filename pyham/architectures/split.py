"""Networks whose field is applied in two parts, p from q and q from p; damped, if one wants them so.

With ``damping`` both halves fade at rates of their own while the field drives them,

    p' = -gp p + (J grad H)_p        q' = -gq q + (J grad H)_q

A stage that applies one of the parts for a time t = f h is the exact flow of that equation with the other half held:

    y[dst] <- exp(-g t) y[dst] + t phi(g t) M A^T sigma(A y[src] + c),        phi(z) = (1 - exp(-z)) / z,  phi(0) = 1

so a scheme keeps its order. As J couples p with q alone, every such stage multiplies the two-form by exp(-g t), and

    Phi_j^T J Phi_j = c_j J,        c_j = exp(-h sum of (gp + gq) over the layers behind j)

whatever the weights are: gradients fade at a rate that is chosen, and no faster, or grow where rates are negative.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures import interconnection
from pyham.architectures.base import Architecture, Part
from pyham.architectures.damping import checked_damping, driven, kept, limited
from pyham.architectures.learnt import is_learnt, refuse_learnt
from pyham.architectures.schemes import SPLITTINGS, Substep

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Split(Architecture):
    """The field applied in two parts, p from q and q from p.

    Parameters
    ----------
    scheme : "semi-implicit", "verlet" or "yoshida4"
    order : "p-first" or "q-first"
    damping : the rate at which p and q fade in a unit of time; one number, a pair (of p, of q), an array (N, 2) of
        every layer's, or "learnt". Negative rates amplify.
    """

    scheme: str = "semi-implicit"
    order: str = "p-first"
    damping: Any = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        interconnection.half(self.width)
        super().__post_init__()
        _check.choice("scheme", self.scheme, SPLITTINGS)
        _check.choice("order", self.order, ("p-first", "q-first"))
        if not is_learnt(self.damping):
            object.__setattr__(self, "damping", checked_damping(self.damping, self.depth))
            limited(np.asarray(self.damping), self.step)

    @property
    def p(self) -> slice:
        return slice(0, self.width // 2)

    @property
    def q(self) -> slice:
        return slice(self.width // 2, self.width)

    @property
    def p_part(self) -> Part:
        return Part(dst=self.p, rows=self.p, src=self.q)

    @property
    def q_part(self) -> Part:
        return Part(dst=self.q, rows=self.q, src=self.p)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return self._in_order(self.p_part, self.q_part)

    @property
    def steps(self) -> tuple[Substep, ...]:
        return SPLITTINGS[self.scheme]

    def options(self) -> dict[str, Any]:
        found = super().options()
        return found if self.damped else {name: value for name, value in found.items() if name != "damping"}

    # Damping

    @property
    def damped(self) -> bool:
        """Whether some rate is not 0, or learnt."""
        return bool(np.any(self.damping))

    @cached_property
    def rates(self) -> Array:
        """The rates of p and of q in every layer, (N, 2)."""
        refuse_learnt(self, "damping")
        return _check.read_only(np.broadcast_to(self.damping, (self.depth, 2)).copy())

    def fading(self) -> Array | None:
        return np.repeat(self.rates, self.width // 2, axis=1) if self.damped else None

    def log_factors(self) -> Array | None:
        return -self.step * self.rates.sum(axis=1)

    def amount(self, part: int, fraction: float) -> Any:
        if not self.damped:
            return super().amount(part, fraction)
        found = driven(self._rates_of(part), fraction * self.step)
        return found if np.ndim(self.damping) == 2 else found[()]

    def keeps(self) -> Any:
        if not self.damped:
            return super().keeps()
        factors = [kept(self._rates_of(part), fraction * self.step) for part, fraction in self.steps]
        return np.stack([np.broadcast_to(factor, self.depth) for factor in factors], axis=1).ravel()

    def _rates_of(self, part: int) -> Array:
        """The rates of the half that a part updates: of all layers (N,) where they differ, else one ()."""
        half = 0 if self.parts[part].dst == self.p else 1
        return self.rates[:, half] if np.ndim(self.damping) == 2 else np.broadcast_to(self.damping, 2)[half]

    def refined(self, **options: Any) -> Any:
        damping = np.repeat(self.damping, 2, axis=0) if np.ndim(self.damping) == 2 else self.damping
        return super().refined(**{"damping": damping} | options)

    def _blocks(self, names: tuple[str, str]) -> dict[str, tuple[int, ...]]:
        block = (self.depth, *self.block_shape)
        return dict.fromkeys(names, block) | {"b": (self.depth, self.width)} | self.shapes_of_learnt()

    def _in_order(self, p_part: Any, q_part: Any) -> tuple[Any, Any]:
        """What belongs to the part that updates p and to the one that updates q, in the order of ``parts``."""
        return (p_part, q_part) if self.order == "p-first" else (q_part, p_part)

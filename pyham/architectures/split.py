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
from pyham.architectures.schemes import SPLITTINGS, Substep

Array = np.ndarray[Any, Any]

MOST = 40.0  # |rate| h of a stage, at most: exp(40) and exp(-40) are far from the ends of float32


def checked_damping(value: Any, depth: int) -> Any:
    """``damping`` as it is kept: a number, a pair of numbers, or an array (N, 2).

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or not finite.
    """
    words = f"damping: expected a finite number, a pair (of p, of q), or an array ({depth}, 2) or ({depth}, 1)"
    try:
        rates = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{words}, got {value!r}") from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{words}, got {value!r}")
    if rates.shape not in ((), (2,), (depth, 2), (depth, 1)):
        raise ValueError(f"{words}, got shape {rates.shape}")
    if not np.isfinite(rates).all():
        raise ValueError(f"{words}, got {rates.tolist()}")
    if rates.ndim == 2:
        return _check.read_only(np.ascontiguousarray(np.broadcast_to(rates, (depth, 2))))
    return float(rates) if rates.ndim == 0 else (float(rates[0]), float(rates[1]))


@dataclass(frozen=True, eq=False)
class Split(Architecture):
    """The field applied in two parts, p from q and q from p.

    Parameters
    ----------
    scheme : "semi-implicit", "verlet" or "yoshida4"
    order : "p-first" or "q-first"
    damping : the rate at which p and q fade in a unit of time; one number, a pair (of p, of q), or an array (N, 2) of
        every layer's. Negative rates amplify.
    """

    scheme: str = "semi-implicit"
    order: str = "p-first"
    damping: Any = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        interconnection.half(self.width)
        super().__post_init__()
        _check.choice("scheme", self.scheme, SPLITTINGS)
        _check.choice("order", self.order, ("p-first", "q-first"))
        object.__setattr__(self, "damping", checked_damping(self.damping, self.depth))
        largest = np.abs(self.rates).max(initial=0) * self.step
        if largest > MOST:
            raise ValueError(f"damping: expected rates of at most {MOST:g} / step, got {largest / self.step:.6g}")

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
        """Whether some rate is not 0."""
        return bool(np.any(self.damping))

    @cached_property
    def rates(self) -> Array:
        """The rates of p and of q in every layer, (N, 2)."""
        return _check.read_only(np.broadcast_to(np.asarray(self.damping, np.float64), (self.depth, 2)).copy())

    def log_factors(self) -> Array | None:
        return -self.step * self.rates.sum(axis=1)

    def amount(self, part: int, fraction: float) -> Any:
        if not self.damped:
            return super().amount(part, fraction)
        rates, time = self._rates_of(part), fraction * self.step
        z = rates * time
        safe = np.where(z == 0, 1.0, z)
        found = np.where(z == 0, time, time * -np.expm1(-safe) / safe)
        return found if np.ndim(self.damping) == 2 else float(found)

    def keeps(self) -> Any:
        if not self.damped:
            return super().keeps()
        times = [np.exp(-self._rates_of(part) * fraction * self.step) for part, fraction in self.steps]
        return np.stack([np.broadcast_to(kept, self.depth) for kept in times], axis=1).ravel()

    def _rates_of(self, part: int) -> Array:
        """The rates of the half that a part updates: of all layers (N,) where they differ, else one ()."""
        half = 0 if self.parts[part].dst == self.p else 1
        return self.rates[:, half] if np.ndim(self.damping) == 2 else np.broadcast_to(self.damping, 2)[half]

    def refined(self, **options: Any) -> Any:
        damping = np.repeat(self.damping, 2, axis=0) if np.ndim(self.damping) == 2 else self.damping
        return super().refined(**{"damping": damping} | options)

    def _blocks(self, names: tuple[str, str]) -> dict[str, tuple[int, ...]]:
        block = (self.depth, *self.block_shape)
        return dict.fromkeys(names, block) | {"b": (self.depth, self.width)}

    def _in_order(self, p_part: Any, q_part: Any) -> tuple[Any, Any]:
        """What belongs to the part that updates p and to the one that updates q, in the order of ``parts``."""
        return (p_part, q_part) if self.order == "p-first" else (q_part, p_part)

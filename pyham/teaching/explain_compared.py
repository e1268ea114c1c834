"""Quantities of a model beside their comparisons, with a formula in more digits and with complex steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pyham.teaching.explain_quantities import Agreement, CodePlace, Quantity

Array = np.ndarray[Any, Any]

STEP = 1e-100  # of the complex step


class Compared:
    """What makes such quantities; ``dtype`` is that of the computation."""

    dtype: np.dtype[Any]

    @staticmethod
    def steps(value: Array, loss: Callable[[Array], Any], entries: Array | None = None) -> Array:
        """Im loss(value + i t e) / t for the entries; without them for all, and the value gets an axis of samples."""
        numbers = np.arange(value.size) if entries is None else entries
        found = []
        for k in numbers:
            moved = value.astype(np.complex128)
            moved.reshape(-1)[k] += 1j * STEP
            found.append(complex(loss(moved[None] if entries is None else moved)).imag / STEP)
        return np.array(found)

    def formula(self, value: Array, again: Array, size: Any) -> Agreement:
        """Against the formula in longdouble; ``size`` is that of rounding errors in units of eps."""
        return self.agreement("formula", "the formula in longdouble, from the numbers shown", value, again, size)

    def complex(self, value: Array, steps: Array, size: Any, of: int | None = None) -> Agreement:
        """Against complex steps, of ``of`` entries."""
        how = "Im f(v + i t) / t, t = 1e-100, through what comes behind"
        return self.agreement("complex step", how, value, steps, size, of)

    def agreement(self, kind: str, how: str, value: Array, other: Array, size: Any, of: int | None = None) -> Agreement:
        """How far two values are from each other, relative to the largest entry."""
        eps, tiny = float(np.finfo(self.dtype).eps), float(np.finfo(self.dtype).tiny)
        scale = float(np.abs(other).max(initial=0)) or 1.0
        difference = float(np.abs(value - other).max(initial=0))
        allowed = eps * float(np.max(np.asarray(size, dtype=np.float64), initial=0)) + tiny
        return Agreement(kind, how, difference / scale, allowed / scale, value.size, of or value.size)

    @staticmethod
    def given(key: str, symbol: str, kind: str, name: str, value: Array) -> Quantity:
        """A quantity that nothing computes."""
        where = CodePlace("given", 0, "given", "")
        return Quantity(key, symbol, kind, name, "given", np.array(value), "given", None, None, "", (), where)

    @staticmethod
    def quantity(
        key: str, symbol: str, kind: str, name: str, formula: str, value: Array, part: str, inputs: tuple[str, ...],
        where: CodePlace, checks: list[Agreement],
    ) -> Quantity:  # fmt: skip
        """A quantity of no layer."""
        return Quantity(
            key, symbol, kind, name, formula, np.array(value), part, None, None, "", inputs, where, tuple(checks)
        )

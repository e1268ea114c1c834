"""The quantities of an explanation with what each was compared with."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyham.teaching.explain_oracle import recomputed
from pyham.teaching.explain_passes import ExplainedPasses
from pyham.teaching.explain_quantities import Agreement, Quantity
from pyham.teaching.explain_steps import TINY, ComplexSteps

Array = np.ndarray[Any, Any]


def checked(
    passes: ExplainedPasses, target: Array | None, delta_N: Array | None, layers: Sequence[int]
) -> tuple[Quantity, ...]:
    """The quantities of these layers, and the states and adjoints that they begin and end with, with their checks."""
    N = len(passes.layers)
    ends = {f"{name}{j + i}" for j in layers for i in (0, 1) for name in ("y", "delta", "Phi")}
    ends |= {"y0", f"y{N}", "target", "loss", f"delta{N}", f"Phi{N}"}
    groups = {passes.layers[j].J for j in layers}
    shown = [q for q in passes.found.values() if q.key in ends | groups or (q.layer in layers and q.kind != "J")]
    steps = ComplexSteps(passes, target, delta_N)
    return tuple(replace(q, agreements=_agreements(passes, steps, q)) for q in shown)


def _agreements(passes: ExplainedPasses, steps: ComplexSteps, q: Quantity) -> tuple[Agreement, ...]:
    eps = float(np.finfo(q.value.dtype).eps)
    tiny = float(np.finfo(q.value.dtype).tiny)  # where numbers are smaller, digits are lost; in complex steps, earlier
    wide = steps.dtype.type(0).real.dtype
    lost = max(tiny, float(np.finfo(wide).tiny) / TINY)
    found = []
    again = recomputed(passes, q, wide)
    if again is not None:
        size = (again.terms + 2) * (eps * float(np.max(again.size, initial=0)) + tiny)
        shown = q.value if again.columns is None else q.value[:, again.columns]
        how = "the formula in NumPy, from the numbers shown"
        found.append(_agreement("formula", how, shown, again.value, size, q.value.size))
    derivative = steps.derivative(q)
    if derivative is not None:
        entries, values, size = derivative
        rows = q.value[entries] if q.kind == "Phi" else q.value.ravel()[entries]
        how = "Im f(v + i t) / t, t = 1e-100, through the forward pass"
        found.append(_agreement("complex step", how, rows, values, eps * size + (1 + size) * lost, q.value.size))
    return tuple(found)


def _agreement(kind: str, how: str, value: Array, other: Array, size: float, of: int) -> Agreement:
    scale = float(np.abs(other).max(initial=0)) or 1.0
    difference = float(np.abs(value.astype(other.dtype) - other).max(initial=0))
    return Agreement(kind, how, difference / scale, size / scale, int(np.size(value)), of)

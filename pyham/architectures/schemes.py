"""Time-stepping schemes as tables.

A field splits into parts that can be applied one after the other: part 0 updates p from q, part 1 updates q from p
("p-first"; swapped for "q-first"). A scheme lists (part, coefficient): apply that part for coefficient * h.

=============  =====================================================  ==========  ======
scheme         stages of one layer                                    symplectic  order
=============  =====================================================  ==========  ======
euler          the whole field at once (forward Euler)                no          1
semi-implicit  p, q (semi-implicit or symplectic Euler)               yes         1
verlet         p/2, q, p/2 (Stormer-Verlet)                           yes         2
yoshida4       verlet by w1, w0, w1; neighbouring halves joined       yes         4
=============  =====================================================  ==========  ======

w1 = 1 / (2 - 2^(1/3)), w0 = 1 - 2 w1 (Yoshida, Phys. Lett. A 150, 1990). The coefficients of each part add up to 1.
The weights are constant within a layer, so the order is that of approaching the flow with piecewise constant weights.
"""

from typing import NamedTuple


class Substep(NamedTuple):
    """Apply ``part`` of the field for ``coefficient`` times the step size."""

    part: int
    coefficient: float


def _yoshida(w1: float) -> tuple[Substep, ...]:
    w0 = 1 - 2 * w1
    coefficients = w1 / 2, w1, (w1 + w0) / 2, w0, (w0 + w1) / 2, w1, w1 / 2
    return tuple(Substep(i % 2, coefficient) for i, coefficient in enumerate(coefficients))


SPLITTINGS: dict[str, tuple[Substep, ...]] = {
    "semi-implicit": (Substep(0, 1.0), Substep(1, 1.0)),
    "verlet": (Substep(0, 0.5), Substep(1, 1.0), Substep(0, 0.5)),
    "yoshida4": _yoshida(1 / (2 - 2 ** (1 / 3))),
}

EULER: tuple[Substep, ...] = (Substep(0, 1.0),)

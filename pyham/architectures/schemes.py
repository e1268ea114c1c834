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


class Step(NamedTuple):
    """Apply ``part`` of the field for ``coefficient`` times the step size."""

    part: int
    coefficient: float


_w1 = 1 / (2 - 2 ** (1 / 3))
_w0 = 1 - 2 * _w1

SPLITTINGS: dict[str, tuple[Step, ...]] = {
    "semi-implicit": (Step(0, 1.0), Step(1, 1.0)),
    "verlet": (Step(0, 0.5), Step(1, 1.0), Step(0, 0.5)),
    "yoshida4": (
        Step(0, _w1 / 2),
        Step(1, _w1),
        Step(0, (_w1 + _w0) / 2),
        Step(1, _w0),
        Step(0, (_w0 + _w1) / 2),
        Step(1, _w1),
        Step(0, _w1 / 2),
    ),
}

EULER: tuple[Step, ...] = (Step(0, 1.0),)

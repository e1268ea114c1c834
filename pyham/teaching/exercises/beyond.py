"""Exercises of the tutorials 08 to 10: architectures and modules of one's own, and what is proven."""

from typing import Any

import numpy as np

from pyham.architectures.vectors import H2
from pyham.teaching.exercises.checking import Choice, Function, Numbers
from pyham.verification import bounds, rounding

Array = np.ndarray[Any, Any]


def _tied(K: Array) -> tuple[Array, Array]:
    return K, K


def _transposed(of_p: Array, of_q: Array) -> Array:
    return of_p + of_q


def _shear(E: float) -> float:
    return float(np.exp(np.arcsinh(E / 2)))


EXERCISES = (
    Function(
        "08.1",
        "An architecture uses one matrix K for both parts: weights gives (K, K). Write collect(of_p, of_q), its "
        "transpose: the gradient of K from those of the two parts.",
        lambda: _transposed,
        ("K is used twice, and a loss depends on it through both.", "Gradients of several uses add up."),
        draw=lambda rng: (rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 2, 2))),
    ),
    Choice(
        "08.2",
        "Is a network with Kp = Kq = K in every layer still symplectic, 'yes' or 'no'?",
        lambda: "yes",
        ("The proof assumes nothing of Kp and Kq.", "It holds for any weights."),
        options=("yes", "no"),
    ),
    Choice(
        "09.1",
        "A residual block y + f(y) of a library has an upper triangular Jacobian with ones on its diagonal. Which of "
        "its properties follows: 'symplectic', or determinant 'one' only?",
        lambda: "one",
        (
            "Shears by a symmetric matrix are symplectic.",
            "Nothing says that the block above the diagonal is symmetric.",
        ),
        options=("one", "symplectic"),
    ),
    Numbers(
        "09.2",
        "The layers D0 and D1 (in this order) have the Jacobians [[1, 2], [0, 1]] and [[1, 0], [3, 1]]. What is "
        "Phi_0 = dy_2/dy_0 in denominator layout, the transpose of the Jacobian?",
        lambda: (np.array([[1.0, 0], [3, 1]]) @ np.array([[1.0, 2], [0, 1]])).T,
        ("The Jacobian of both is D1 D0.", "Then transpose."),
    ),
    Numbers(
        "10.1",
        "gamma_k = k u / (1 - k u) for k = 100 in float32, u = 2^-24?",
        lambda: rounding.gamma(100, 2.0**-24),
        ("u is half of eps.", "2.0**-24 is 6e-8."),
    ),
    Function(
        "10.2",
        "Write shear(e): the 2-norm of [[1, e], [0, 1]] for e >= 0.",
        lambda: _shear,
        ("s^2 + 1 / s^2 = 2 + e^2.", "With s = exp(t): 2 sinh(t) = e."),
        draw=lambda rng: (float(rng.uniform(0, 5)),),
    ),
    Numbers(
        "10.3",
        "The sharp bound of the norm of Phi_0 for pyham.H2(4, 8, 0.1).init(0)?",
        lambda: float(bounds.upper(H2(4, 8, 0.1).init(0))[0]),
        ("pyham.bounds.upper gives one for every layer.", "The first is for Phi_0."),
    ),
)

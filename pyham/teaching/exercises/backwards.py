"""Exercises of the tutorials 01 to 03: one layer by hand, the adjoint, gradients that vanish."""

from typing import Any

import numpy as np

from pyham.architectures.vectors import H2
from pyham.network import Network
from pyham.teaching.exercises.checking import Choice, Function, Numbers

Array = np.ndarray[Any, Any]

STEP, KP, KQ = 0.5, 1.0, 2.0  # of the layer that is computed by hand


def by_hand() -> Network:
    """The network of tutorial 01: one layer, two numbers."""
    return Network(H2(2, 1, STEP), {"Kp": np.full((1, 1, 1), KP), "Kq": np.full((1, 1, 1), KQ), "b": np.zeros((1, 2))})


def _layer(p: float, q: float) -> tuple[float, float]:
    p, q = by_hand()(np.array([[p, q]]))[0].tolist()
    return p, q


def _gradient(p: float, q: float) -> Array:
    y = np.array([[p, q]])
    net = by_hand()
    return np.asarray(net.gradient(y, net(y)).input[0])


def _pull() -> Any:
    def pull(delta: Array, A: Array, a: Array, W: Array) -> Array:
        return np.asarray(A.T @ ((1 - np.tanh(a) ** 2) * (W.T @ delta)))

    return pull


def _stage(rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    return rng.standard_normal(2), rng.standard_normal((3, 2)), rng.standard_normal(3), rng.standard_normal((2, 3))


def _weights(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    return rng.standard_normal(2), rng.standard_normal((3, 2)), rng.standard_normal(3)


def _gradient_of_A(delta: Array, y: Array, g: Array) -> Array:
    del delta
    return np.outer(g, y)


def _product_of_norms(rng: np.random.Generator) -> tuple[Array]:
    return (rng.standard_normal((int(rng.integers(1, 6)), 3, 3)),)


def _bound(matrices: Array) -> float:
    return float(np.prod([np.linalg.norm(M, 2) for M in matrices]))


def _smallest() -> float:
    net = H2(4, 32, 0.1).init(3)
    phi = net.sensitivity(np.zeros((1, 4)))
    return float(np.linalg.norm(phi[0, 0], 2))


EXERCISES = (
    Numbers(
        "01.1",
        "The layer of this page, at p = 1 and q = -0.5: what is the new p?",
        lambda: _layer(1.0, -0.5)[0],
        ("Only q enters: p changes by -h Kq tanh(Kq q).", "Kq q is -1, and tanh(-1) = -tanh(1)."),
    ),
    Function(
        "01.2",
        "Write the layer as a function of p and q that returns the new p and the new q.",
        lambda: _layer,
        ("First p, then q.", "The second line must use the new p, not the old one."),
        draw=lambda rng: tuple(rng.standard_normal(2).tolist()),
    ),
    Numbers(
        "01.3",
        "With the loss L = (p^2 + q^2) / 2 of the output: what is (dL/dp, dL/dq) at the input (1, -0.5)?",
        lambda: _gradient(1.0, -0.5),
        (
            "Go back: begin with delta = (new p, new q).",
            "Undo the second line first: it adds h Kp^2 sigma' delta_q to delta_p.",
        ),
    ),
    Function(
        "02.1",
        "A stage adds W tanh(a), a = A y + c, to part of the state. Write pull(delta, A, a, W): what does it add "
        "to the adjoint of y?",
        _pull,
        (
            "Three factors, from the left: A^T, sigma'(a), W^T.",
            "sigma'(a) is 1 - tanh(a)^2, and multiplies entry by entry.",
        ),
        draw=_stage,
    ),
    Function(
        "02.2",
        "Write gradient_of_A(delta, y, g), with g = sigma'(a) * (W^T delta): what is dL/dA, shaped like A?",
        lambda: _gradient_of_A,
        ("a = A y + c, so da_i / dA_ik = y_k.", "It is an outer product."),
        draw=_weights,
    ),
    Choice(
        "02.3",
        "A layer updates p from q, and then q from the new p. Which of the two is pulled back first, 'p' or 'q'?",
        lambda: "q",
        ("The chain rule goes from the output to the input.", "The last thing that was done is undone first."),
        options=("p", "q"),
    ),
    Numbers(
        "03.1",
        "If every layer halves the gradient, after how many layers is it below 1e-16 of what it was?",
        lambda: float(np.ceil(16 * np.log2(10))),
        ("Solve 2^-k < 1e-16.", "k > 16 log2(10)."),
    ),
    Function(
        "03.2",
        "Write bound(matrices): an upper bound on the 2-norm of the product of matrices (M, n, n), from their norms.",
        lambda: _bound,
        (
            "The norm of a product is at most the product of the norms.",
            "np.linalg.norm(M, 2) is the 2-norm of one matrix.",
        ),
        draw=_product_of_norms,
    ),
    Numbers(
        "03.3",
        "The 2-norm of Phi_0 of pyham.H2(4, 32, 0.1).init(3) at the input 0?",
        _smallest,
        ("net.sensitivity(x) gives Phi_j of all layers.", "x = np.zeros((1, 4)); phi[0, 0] is the matrix."),
    ),
    Choice(
        "03.4",
        "Can the norm of the mean of several samples' Phi be below 1 in a Hamiltonian network, 'yes' or 'no'?",
        lambda: "yes",
        ("The theorem speaks of each sample.", "Think of the mean of a rotation and its inverse."),
        options=("yes", "no"),
    ),
)

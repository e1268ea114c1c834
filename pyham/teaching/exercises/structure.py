"""Exercises of the tutorials 04 to 07: symplectic matrices, certificates, memory, graphs."""

from typing import Any

import numpy as np

from pyham.architectures.interconnection import J1
from pyham.architectures.vectors import H1, H2
from pyham.teaching.exercises.checking import Choice, Function, Numbers
from pyham.verification import symplectic
from pyham.verification.certificate import certify

Array = np.ndarray[Any, Any]


def _residual(M: Array) -> float:
    return float(symplectic.defect(M, J1(len(M))))


def _matrix(rng: np.random.Generator) -> tuple[Array]:
    net = H2(4, 2, 0.5).init(rng)
    phi = net.sensitivity(rng.standard_normal((1, 4)))[0, 0]
    return (phi if rng.random() < 0.5 else rng.standard_normal((4, 4)),)


def _undo(p: Array, q: Array, Kp: Array, Kq: Array, h: float) -> tuple[Array, Array]:
    q = q - h * Kp.T @ np.tanh(Kp @ p)
    p = p + h * Kq.T @ np.tanh(Kq @ q)
    return p, q


def _halves(rng: np.random.Generator) -> tuple[Array, Array, Array, Array, float]:
    return *rng.standard_normal((2, 2)), *rng.standard_normal((2, 2, 2)), float(rng.uniform(0.1, 1))


def _neighbours(i: int, M: int) -> Array:
    return np.unique([(i - 1) % M, i, (i + 1) % M])


EXERCISES = (
    Numbers(
        "04.1",
        "A symplectic matrix (J = J1) has the eigenvalue 0.25. Which other one must it have?",
        lambda: 1 / 0.25,
        ("Eigenvalues come in pairs.", "1 / l is one as l is."),
    ),
    Function(
        "04.2",
        "Write residual(M): || M^T J1 M - J1 || / (|| J1 || max(1, || M ||^2)), Frobenius norms, for M "
        "of any even size.",
        lambda: _residual,
        ("pyham.interconnection.J1(n) is the matrix.", "np.linalg.norm(M) is the Frobenius norm."),
        draw=_matrix,
    ),
    Numbers(
        "04.3",
        "The matrix [[2, x], [1, 1]] is symplectic for J1. What is x?",
        lambda: 1.0,
        ("In the plane M^T J1 M = det(M) J1.", "Solve 2 * 1 - x * 1 = 1."),
    ),
    Choice(
        "05.1",
        "A certificate of 100 samples has passed. Is symplecticity then known to rounding at another input, for 'all', "
        "for 'none' but by theory, or for 'nearby' ones?",
        lambda: "none",
        ("Measurements speak of what was measured.", "For inputs nearby, one has to ask for a region."),
        options=("all", "nearby", "none"),
    ),
    Numbers(
        "05.2",
        "How many checks does the certificate of pyham.H1(4, 8, 0.1).init(0) on np.ones((1, 4)) have "
        "that theory promises?",
        lambda: sum(check.guaranteed for check in certify(H1(4, 8, 0.1).init(0), np.ones((1, 4))).checks),
        ("pyham.certify(net, x).checks is a tuple.", "Count those whose .guaranteed is true."),
    ),
    Function(
        "06.1",
        "Write undo(p, q, Kp, Kq, h): p and q before the layer p <- p - h Kq^T tanh(Kq q), q <- q + h Kp^T tanh(Kp p).",
        lambda: _undo,
        (
            "Undo the second line first, with the p that you have.",
            "Then q is the old one, and the first line can be undone.",
        ),
        draw=_halves,
    ),
    Numbers(
        "06.2",
        "Keeping every state of N = 1024 layers, B = 1000 samples, n = 4, float64: how many MB (10^6 "
        "bytes), y_0 included?",
        lambda: 1025 * 1000 * 4 * 8 / 1e6,
        ("There are N + 1 states.", "Each has B n numbers of 8 bytes."),
    ),
    Choice(
        "06.3",
        "Which of these cannot be run backwards by undoing stages: 'h2', 'ms3' or 'h1'?",
        lambda: "h1",
        ("A stage must leave what it reads as it was.", "Forward Euler reads and updates the whole state."),
        options=("h1", "h2", "ms3"),
    ),
    Function(
        "07.1",
        "Write neighbours(i, M): the sorted numbers of the nodes that node i of a ring of M >= 3 reads, "
        "itself included.",
        lambda: _neighbours,
        ("Count modulo M.", "np.unique sorts."),
        draw=lambda rng: (lambda M: (int(rng.integers(M)), M))(int(rng.integers(3, 12))),
    ),
    Numbers(
        "07.2",
        "How many entries has Kp of one layer of pyham.H2(32, 4, graph='ring', nodes=16)?",
        lambda: H2(32, 4, graph="ring", nodes=16).shapes["Kp"][1],
        ("Every node owns one p and one q.", "Each of 16 rows has three entries."),
    ),
)

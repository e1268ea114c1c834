"""What is new needs one file: a kind of linear map on the reference engine, and an architecture on both engines."""

from dataclasses import dataclass

import numpy as np
import pytest

import pyham
from pyham.architectures.activations import activation
from pyham.architectures.base import Architecture, Part
from pyham.architectures.maps import Map
from pyham.architectures.schemes import SPLITTINGS
from pyham.architectures.stages import Stages
from pyham.engines.reference import REFERENCE
from pyham.verification import gradcheck, symplectic

EPS = np.finfo(float).eps
n = 5


class Circulant(Map):
    """Matrices M[i, j] = M[(i - j) mod n], given by their first column."""

    def apply(self, M, y):
        return np.stack([(y * np.roll(M[::-1], i + 1)).sum(axis=-1) for i in range(len(M))], axis=-1)

    def transposed(self, M, g):
        return self.apply(np.roll(M[::-1], 1), g)

    def outer(self, g, y):
        return np.array([(g * np.roll(y, i, axis=-1)).sum() for i in range(g.shape[-1])])


def circulant(rng, layers=3):
    everything = (slice(0, n),)
    numbers = (rng.standard_normal((layers, n)) for _ in range(3))
    return Stages(*numbers, everything, everything, 1.0, activation("tanh"), n, maps=(Circulant(), Circulant()))


def matrices(first_columns):
    return np.array([[[M[(i - j) % n] for j in range(n)] for i in range(n)] for M in first_columns])


def test_a_kind_of_map_of_ten_lines_is_that_of_its_matrices_on_the_reference_engine(rng):
    own = circulant(rng)
    dense = Stages(matrices(own.A), own.c, matrices(own.W), own.src, own.dst, 1.0, own.activation, n)
    x, g = rng.standard_normal((2, 7, n))
    states = REFERENCE.trace(own, x)
    np.testing.assert_allclose(states, REFERENCE.trace(dense, x), rtol=0, atol=50 * EPS)
    delta, (dA, dc, dW) = REFERENCE.adjoint(own, states, g)
    oracle, (A, c, W) = REFERENCE.adjoint(dense, states, g)
    scale = np.abs(oracle).max()
    np.testing.assert_allclose(delta, oracle, rtol=0, atol=50 * EPS * scale)
    np.testing.assert_allclose(dc, c, rtol=0, atol=50 * EPS * np.abs(c).max())
    for found, whole in ((dA, A), (dW, W)):  # an entry of the first column stands n times in the matrix
        of_columns = [[sum(M[(i + k) % n, i] for i in range(n)) for k in range(n)] for M in whole]
        np.testing.assert_allclose(found, of_columns, rtol=0, atol=50 * n * EPS * np.abs(whole).max())
    phi = REFERENCE.sensitivity(own, states)
    np.testing.assert_allclose(np.einsum("bac,bc->ba", phi[0], g), delta[0], rtol=0, atol=100 * EPS * scale)


@pytest.mark.parametrize("function", ["composed", "composed_transposed", "identity", "dense", "from_dense"])
def test_what_a_kind_of_map_lacks_is_named(function):
    arguments = [np.ones((1, n))] * (2 if function in ("composed", "composed_transposed", "identity") else 1)
    with pytest.raises(NotImplementedError, match=f"expected maps with the function '{function}', got Circulant"):
        getattr(Circulant(), function)(*arguments)


@dataclass(frozen=True, eq=False)
class Tied(Architecture):
    """H2 with one matrix for both halves: p <- p - h M^T sigma(M q + bq), q <- q + h M^T sigma(M p + bp)."""

    @property
    def parts(self):
        p, q = slice(0, self.width // 2), slice(self.width // 2, self.width)
        return Part(dst=p, rows=q, src=q), Part(dst=q, rows=p, src=p)

    @property
    def steps(self):
        return SPLITTINGS["semi-implicit"]

    @property
    def shapes(self):
        m = self.width // 2
        return {"M": (self.depth, m, m), "b": (self.depth, self.width)}

    @property
    def J(self):
        return -pyham.interconnection.J1(self.width)

    def weights(self, params):
        return params["M"], params["M"]

    def collect(self, gradients):
        return {"M": gradients[0] + gradients[1]}


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_an_architecture_of_thirty_lines_runs_on_both_engines_and_is_certified(backend, rng):
    net = Tied(width=6, depth=8, step=0.2).init(0)
    x, g = rng.standard_normal((2, 5, 6))
    same = pyham.H2(6, 8, 0.2).init(0, initialization={"Kp": net.params["M"], "Kq": net.params["M"], "b": net.b})
    np.testing.assert_allclose(net(x, backend=backend), same(x, backend=backend), rtol=0, atol=20 * EPS)
    assert max(gradcheck.complex_step(net, x, g, backend=backend).values()) <= 1e-13
    assert symplectic.defect(net.sensitivity(x, backend=backend), net.interconnection).max() <= 4 * 16 * EPS
    assert pyham.certify(net, x, backend=backend).passed
    np.testing.assert_allclose(net.inverse(net(x), backend=backend), x, rtol=0, atol=1e-12)

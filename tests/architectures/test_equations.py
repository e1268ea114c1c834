"""Networks compute what the equations of their docstrings say; the lowering's pullback is its transpose."""

import math

import numpy as np
import pytest
from hypothesis import given

import pyham
from pyham import _check
from pyham.architectures import base
from pyham.architectures.stages import StageGradients
from pyham.verification import gradcheck
from tests.oracles import equations
from tests.oracles.rounding import eps
from tests.oracles.strategies import architectures, pairs, seeds, variant

EPS = eps(np.float64)
N, n, m, h = 3, 4, 2, 0.3
COUNTS = {"MS1": m * m, "MS2": n * (n - 1) // 2, "MS3": 2 * m * m, "H2": 2 * m * m}  # weights of a layer


def constant(net):
    """The same network with the weights of layer 0 in all layers."""
    return net.replace({key: np.broadcast_to(value[0], value.shape) for key, value in net.params.items()})


@pytest.mark.parametrize(("key", "activation"), pairs())
def test_weights_structure_and_output_follow_the_equations(key, activation, backend, rng):
    net = variant(key, width=n, depth=N, step=h, activation=activation).init(1)
    assert {name: value.shape for name, value in net.params.items()} == net.arch.shapes
    assert sum(value.size for value in net.params.values()) == N * (COUNTS.get(net.arch.name, n * n) + n)
    np.testing.assert_array_equal(net.K, equations.weights(net))
    np.testing.assert_array_equal(net.b, net.params["b"])
    J = equations.structure(net)
    if J is not None or not net.arch.name.startswith("MS"):
        np.testing.assert_array_equal(net.interconnection, J)
    y = rng.standard_normal((7, n))
    expected = equations.output(net, y)
    # At most 7 stages a layer, of three products of length <= 4 each, with numbers of the size of the result.
    assert np.abs(net(y, backend=backend) - expected).max() <= N * 50 * EPS * np.abs(expected).max()


@pytest.mark.parametrize("name", ["MS1", "MS2"])
def test_J_of_MS1_and_MS2_undoes_K_and_is_one_matrix_for_constant_weights(name):
    net = pyham.architecture(name, width=n, depth=N).init(0)
    for of, shape in ((net, (N, n, n)), (constant(net), (n, n))):
        J, K = of.interconnection, of.K
        assert J.shape == shape
        # A backward stable inverse: residual of a few n eps cond(K).
        residual = np.abs(J @ K.swapaxes(1, 2) - np.eye(n)).max(axis=(1, 2))
        assert (residual <= 4 * n * EPS * np.linalg.cond(K)).all()


@pytest.mark.parametrize("scheme", ["semi-implicit", "verlet"])
def test_structure_that_picks_columns(scheme, rng):
    """X with one entry in every column: no involution, and one row in its place."""
    X = np.zeros((4, 4))
    X[[1, 2, 0, 3], [0, 1, 2, 3]] = 2.0, -3.0, 0.5, 1.5
    net = pyham.H2(8, 2, 0.25, scheme=scheme, X=X).init(0)
    x, g = rng.standard_normal((2, 2, 8))
    np.testing.assert_allclose(net(x, backend="reference"), equations.output(net, x), rtol=0, atol=2560 * EPS)
    assert max(gradcheck.complex_step(net, x, g, backend="reference").values()) <= 256 * EPS


def test_multiprecision_numbers_are_those_of_the_precision_at_the_time():
    mpmath = pytest.importorskip("mpmath")
    net = pyham.H1(2, 1, 0.1).init(0, initialization={"K": np.eye(2), "b": 0.0})
    params = {name: _check.multiprecision(value) for name, value in net.params.items()}
    for digits in (5, 30):
        with mpmath.workdps(digits):
            assert net.arch.lower(params).W[0, 0, 1] == +mpmath.mpf(0.1)


def test_a_deep_network_is_pulled_back_in_parts(monkeypatch, rng):
    monkeypatch.setattr(base, "CHUNK", 24)  # numbers: two layers of three stages with 4 each
    arch = pyham.H2(4, 5, 0.3, scheme="verlet")
    gradients = StageGradients(*rng.standard_normal((3, 15, 2, 2)))._replace(c=rng.standard_normal((15, 2)))
    whole, parts = arch._pullback(gradients), []
    monkeypatch.setattr(
        pyham.H2,
        "_pullback",
        lambda self, part, first, of=pyham.H2._pullback: parts.append(len(part.c)) or of(self, part, first),
    )
    for name, value in arch.pullback(gradients).items():
        np.testing.assert_array_equal(value, whole[name])
    assert parts == [6, 6, 3]


@given(architectures(max_depth=5, max_width=8), seeds)
def test_collect_and_pullback_are_the_transposes_of_assembling_and_lowering(arch, seed):
    rng = np.random.default_rng(seed)
    net = arch.init(rng)
    dK = rng.standard_normal(net.K.shape)
    collected = arch.collect(arch.cut(dK))
    assert set(collected) == set(arch.shapes) - {"b"}
    right = sum(np.vdot(net.params[name], value) for name, value in collected.items())
    size = np.linalg.norm(net.K) * np.linalg.norm(dK)
    assert abs(np.vdot(net.K, dK) - right) <= 4 * math.sqrt(dK.size) * EPS * size

    direction = {name: rng.standard_normal(value.shape) for name, value in net.params.items()}
    lowered = arch.lower({name: net.params[name] + 1e-100j * d for name, d in direction.items()})
    tangent = [getattr(lowered, field).imag * 1e100 for field in StageGradients._fields]
    cotangent = StageGradients(*(rng.standard_normal(t.shape) for t in tangent))
    pulled = arch.pullback(cotangent)
    assert {name: value.shape for name, value in pulled.items()} == arch.shapes
    left = sum(np.vdot(u, v) for u, v in zip(tangent, cotangent, strict=True))
    right = sum(np.vdot(direction[name], value) for name, value in pulled.items())
    size = sum(np.linalg.norm(u) * np.linalg.norm(v) for u, v in zip(tangent, cotangent, strict=True))
    # Rounding errors of a sum over `count` products, and of products of length n in W and its transpose.
    count = sum(t.size for t in tangent)
    assert abs(left - right) <= 4 * (math.sqrt(count) + arch.width) * EPS * size

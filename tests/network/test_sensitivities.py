"""net.sensitivity of chosen layers, and measures of it: what the whole array holds, in less memory."""

import numpy as np
import pytest

from pyham.engines import contract
from pyham.engines.compiled import dense as compiled
from tests.oracles import passes
from tests.oracles.rounding import eps

n, N = 6, 20


def network(key, depth=N):
    return passes.network(key, depth, step=0.05)


LAYERS = [[], [0], [N], [-1], [3, 1, 2], [7, 7, 0, 7], [-1, 0, -N - 1, N], range(N + 1), np.arange(N, -1, -3)]


@pytest.mark.parametrize("batch", [0, 1, 70])
@pytest.mark.parametrize("layers", LAYERS, ids=str)
@pytest.mark.parametrize("key", ["H2-plain", "MS1-yoshida4-p-first", "H1-J2", "MLP"])
def test_chosen_layers_are_those_of_the_whole_array(key, layers, batch, backend, monkeypatch, rng):
    net = network(key)
    monkeypatch.setattr(contract, "MATRICES", (1, 10_000, 64 << 20)[len(layers) % 3])  # segments of several lengths
    x = rng.standard_normal((batch, n))
    whole = net.sensitivity(x, backend=backend)
    chosen = net.sensitivity(x, layers=layers, backend=backend)
    np.testing.assert_array_equal(chosen, whole[np.array(layers, int)], strict=True)


@pytest.mark.parametrize(
    "measure",
    [
        lambda phi: np.linalg.norm(phi, axis=(-2, -1)),  # (M, B)
        lambda phi: phi.mean(axis=(1, 2, 3)),  # (M,)
        lambda phi: phi.sum(axis=-1),  # (M, B, n)
        lambda phi: phi > 0,  # of another dtype
    ],
)
@pytest.mark.parametrize("layers", [None, [4, -1, 0, 4]])
def test_measures_are_those_of_the_whole_array(measure, layers, backend, rng):
    net = network("H2-plain")
    x = rng.standard_normal((9, n))
    whole = measure(net.sensitivity(x, backend=backend))
    found = net.sensitivity(x, layers=layers, measure=measure, backend=backend)
    expected = whole if layers is None else whole[layers]
    assert found.dtype == expected.dtype
    # NumPy may sum in another order, as matrices lie in memory in another; n^2 B terms at the most
    np.testing.assert_allclose(found, expected, rtol=0, atol=n**2 * 9 * eps(np.float64) * np.abs(expected).max())


def test_measures_see_few_layers_at_a_time(rng):
    net, seen = network("H2-plain", 400), []

    def measure(phi):
        seen.append(phi.shape)
        return phi[:, :, 0, 0]

    net.sensitivity(rng.standard_normal((5, n)), measure=measure)
    assert sum(shape[0] for shape in seen) == 401
    assert max(shape[0] for shape in seen) <= np.sqrt(400)
    assert {shape[1:] for shape in seen} == {(5, n, n)}


def test_layers_before_the_first_chosen_one_are_not_computed(monkeypatch, rng):
    net, computed = network("H2-plain", 400), []
    original = compiled.DENSE.sensitivity

    def watched(stages, states, last=None):
        computed.append(stages.depth)
        return original(stages, states, last)

    monkeypatch.setattr(compiled.DENSE, "sensitivity", watched)
    net.sensitivity(rng.standard_normal((5, n)), layers=[390])
    assert sum(computed) <= 20

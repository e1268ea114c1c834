"""The sensitivity atlas against NumPy on the matrices themselves; and what the mean of a batch hides."""

from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham.training import Protocol, train
from pyham.verification import atlas as module
from pyham.verification import bounds, symplectic
from pyham.verification.atlas import along, atlas
from tests.oracles.refusals import refused

N, B, n = 6, 9, 4
EPS = np.finfo(float).eps


def network(name="H2", **options):
    return pyham.architecture(name, width=n, depth=N, step=0.3, **options).init(1)


@pytest.fixture
def x(rng):
    return rng.standard_normal((B, n))


@pytest.mark.parametrize("name", pyham.ARCHITECTURES)
def test_numbers_are_those_of_the_matrices(name, x, backend):
    net = network(name)
    found, phi = atlas(net, x, backend=backend), net.sensitivity(x, backend=backend)
    assert (found.depth, found.samples) == (N, B)
    np.testing.assert_array_equal(found.singular_values, np.linalg.svd(phi, compute_uv=False))
    assert found.quantiles(0.5).shape == (N + 1,)
    slack = 1 + EPS * np.sqrt(n) * (B + 4 * n)  # of the mean of B matrices, and of n singular values
    for norm, order in {"1": 1, "2": 2, "inf": np.inf, "fro": "fro", "nuc": "nuc"}.items():
        # n singular values, each known to a few eps of the largest
        direct = np.linalg.norm(phi, order, axis=(2, 3))
        np.testing.assert_allclose(found.norms[norm], direct, rtol=16 * EPS * n, atol=0)
        mean = np.linalg.norm(phi.mean(axis=1), order, axis=(1, 2))
        np.testing.assert_allclose(found.norms_of_mean[norm], mean, rtol=16 * EPS * (n + B), atol=16 * EPS * B)
        np.testing.assert_allclose(found.mean_of_norms(norm), direct.mean(axis=1), rtol=16 * EPS * (n + B))
        np.testing.assert_array_equal(found.hidden(norm), found.mean_of_norms(norm) / found.norms_of_mean[norm])
        assert (found.hidden(norm) * slack >= 1).all()  # the norm of the mean is at most the mean of the norms
        levels = [0, 0.25, 0.5, 1]
        direct = np.quantile(direct, levels, axis=1)
        np.testing.assert_allclose(found.quantiles(levels, norm), direct, rtol=16 * EPS * n)


def test_equal_samples_hide_nothing(x):
    found = atlas(network(), np.repeat(x[:1], B, axis=0))
    np.testing.assert_allclose(found.hidden(), 1, rtol=EPS * np.sqrt(n) * (B + 4 * n))


@pytest.mark.parametrize("name", pyham.ARCHITECTURES)
def test_bounds_are_those_of_the_weights_and_hold(name, x):
    net = network(name)
    found = atlas(net, x)
    assert set(found.log_upper) == set(bounds.KINDS if net.arch.keep else ("product", "sharp"))
    rounding = 16 * EPS * len(net.stages().A)
    for kind, log in found.log_upper.items():
        np.testing.assert_array_equal(log, bounds.log_upper(net, kind))
        np.testing.assert_array_equal(found.log_tightness(kind), log - np.log(found.norms["2"].max(axis=1)))
        assert (found.log_tightness(kind) >= -rounding).all()
    lower, smallest = bounds.lower(net), found.singular_values[..., -1].min(axis=1)
    if lower is None:
        assert found.log_lower is None and found.log_tightness_below() is None
    else:
        np.testing.assert_allclose(np.exp(found.log_lower), lower, rtol=16 * EPS)
        np.testing.assert_array_equal(found.log_tightness_below(), np.log(smallest) - found.log_lower)
        condition = found.singular_values[..., 0].max() / smallest.min()
        assert (found.log_tightness_below() >= -rounding * condition).all()


def test_blocks_of_samples_make_no_difference(x, monkeypatch):
    whole = atlas(network(), x)
    monkeypatch.setattr(module, "BLOCK", 8 * (N + 1) * n * n * 4)  # four samples at a time, so 4 + 4 + 1
    blocks = []
    sensitivity = pyham.Network.sensitivity
    monkeypatch.setattr(
        pyham.Network, "sensitivity", lambda net, y, **kw: blocks.append(len(y)) or sensitivity(net, y, **kw)
    )
    parts = atlas(network(), x)
    assert blocks == [4, 4, 1]
    np.testing.assert_allclose(parts.singular_values, whole.singular_values, rtol=64 * EPS * N)
    for norm in symplectic.NORMS:
        np.testing.assert_allclose(parts.norms_of_mean[norm], whole.norms_of_mean[norm], rtol=64 * EPS * (N + B))


def test_single_precision_samples_are_computed_in_single_precision(x):
    net = network()
    found = atlas(net, x.astype(np.float32))
    np.testing.assert_array_equal(found.norms["2"], symplectic.norms(net.sensitivity(x.astype(np.float32)))["2"])
    assert found.norms["2"].dtype == np.float64


def test_matrices_that_overflow_have_infinite_norms(x):
    net = network("ResNet", activation="identity").replace({"K": np.full((N, n, n), 1e60)})
    with np.errstate(over="ignore", invalid="ignore"):
        found = atlas(net, x)
    assert np.isinf(found.norms["2"][0]).all() and np.isinf(found.norms_of_mean["2"][0])
    assert np.isfinite(found.norms["2"][-1]).all()


def test_sensitivities_of_zero_are_judged_without_warnings(x):
    found = atlas(network("MLP").replace({"K": np.zeros((N, n, n))}), x)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(found.hidden(), [np.nan] * N + [1])
        np.testing.assert_array_equal(found.log_tightness("product"), [np.nan] * N + [0])
    singular = replace(atlas(network(), x), singular_values=np.zeros((N + 1, B, n)))
    with np.errstate(all="raise"):
        assert np.isneginf(singular.log_tightness_below()).all()


def test_depth_zero_is_the_identity(x):
    found = atlas(pyham.H2(width=n, depth=0).init(0), x)
    assert found.depth == 0
    np.testing.assert_array_equal(found.norms["2"], 1)
    np.testing.assert_array_equal(found.log_upper["sharp"], 0)


def test_arrays_cannot_be_written_to(x):
    found = atlas(network(), x)
    for array in (found.singular_values, found.norms["2"], found.log_upper["sharp"], found.log_lower):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        found.norms["2"] = None


def test_along_a_training_gives_one_atlas_after_the_other(x):
    labels = np.arange(B) % 2
    networks = []
    protocol = Protocol(epochs=3, output_epochs=2, batch=4)
    start = network()
    trained = train(start, x, labels, protocol=protocol, rng=0, callback=lambda e: networks.append(e.network()))
    atlases = list(along([start, *networks], x))
    assert len(atlases) == 1 + 3 + 2
    for net, found in zip([start, *networks], atlases, strict=True):
        np.testing.assert_array_equal(found.norms["2"], atlas(net, x).norms["2"])
    assert not np.array_equal(atlases[0].norms["2"], atlases[1].norms["2"])
    np.testing.assert_array_equal(networks[-1].K, trained.net.K)
    np.testing.assert_array_equal(networks[2].K, trained.net.K)  # the last epochs leave the weights alone
    assert not np.array_equal(networks[1].K, networks[2].K)


test_what_is_refused = refused([
    (lambda call: call(np.ones((B, n))), call, error, f"{message}.*")
    for call, error, message in [
        (lambda x: atlas(None, x), TypeError, "net: expected a Network, got NoneType"),
        (lambda x: atlas(network(), x[:, :3]), ValueError, r"x: expected shape \(B, 4\), got \(9, 3\)"),
        (lambda x: atlas(network(), x[:0]), ValueError, "x: expected at least one sample, got none"),
        (lambda x: atlas(network(), x + 0j), TypeError, "x: expected real samples, got dtype complex128"),
        (lambda x: atlas(network(), x, backend="jax"), ValueError, "backend: expected one of 'numba', 'reference'"),
        (lambda x: list(along([1], x)), TypeError, "net: expected a Network, got int"),
        (lambda x: atlas(network(), x).quantiles([0.5, 1.5]), ValueError, r"q: .* between 0 and 1, got 1\.5"),
        (lambda x: atlas(network(), x).quantiles("half"), TypeError, "q: expected numbers, got dtype <U4"),
        (lambda x: atlas(network(), x).quantiles(1j), TypeError, "q: .* between 0 and 1, got dtype complex128"),
        (lambda x: atlas(network(), x).quantiles(0.5, "max"), ValueError, "norm: expected one of '1', '2', .*'max'"),
        (lambda x: atlas(network(), x).mean_of_norms(2), TypeError, "norm: expected one of '1', .* got int"),
        (lambda x: atlas(network(), x).hidden("max"), ValueError, "norm: expected one of '1', '2', .*'max'"),
        (lambda x: atlas(network("MLP"), x).log_tightness("paper"), ValueError, "kind: expected .* 'product', 'sharp'"),
    ]
])  # fmt: skip

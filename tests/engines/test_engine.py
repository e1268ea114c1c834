"""The two engines against each other, at the edges of a batch, in every dtype and in arithmetic of many digits."""

import mpmath
import numpy as np
import pytest
from numba import types

import pyham
from pyham._check import multiprecision
from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled import kernels
from tests.oracles.passes import assert_same_bits, everything, network
from tests.oracles.rounding import eps, relative
from tests.oracles.strategies import ACTIVATIONS, VARIANTS

N, n = 3, 6
EPS = eps(np.float64)
EDGES = [0, 1, 2, 63, 64, 65, 128, 129, 1025, 2049]  # around tiles of 64 and blocks of whole tiles


def compare(found, right, allowed):
    assert found.keys() == right.keys()
    for name, oracle in right.items():
        if "drift" not in name and not name.startswith("reversible"):
            assert relative(found[name], oracle) <= allowed, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", VARIANTS)
def test_compiled_engine_equals_reference(key, dtype, rng):
    x, g = rng.standard_normal((2, 10, n)).astype(dtype)
    for activation in ACTIVATIONS:
        net = network(key, activation=activation)
        fast, plain = (everything(net, x, g, backend, memories=False) for backend in ("numba", "reference"))
        # Up to 21 stages, each with products of length 6 and an elementary function good to a few ulp.
        compare(fast, plain, 50 * eps(dtype))
        assert {value.dtype for value in (*fast.values(), *plain.values())} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("key", "width", "batch"),
    [(key, width, 10) for key in ("H2-semi-implicit-p-first", "MLP", "H1-J2") for width in (2, 8, 16, 34)]
    + [(key, n, batch) for key in ("MS1-verlet-q-first", "MS2", "MLP") for batch in EDGES],
)
def test_compiled_engine_equals_reference_for_other_widths_and_at_the_edges_of_tiles_and_blocks(
    key, width, batch, rng, small_blocks
):
    x, g = rng.standard_normal((2, batch, width))
    net = network(key, width=width)
    assert (compiled._blocks(net.stages(), batch).count > 1) == (batch > 128)
    fast, plain = (everything(net, x, g, backend, memories=False) for backend in ("numba", "reference"))
    # As above; a sum of B terms adds an error of at most B eps relative to the sum of their sizes, and in practice
    # sqrt(B) eps.
    compare(fast, plain, (50 + np.sqrt(batch)) * EPS)


# Shapes, dtypes and layouts


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("key", ["H1-J2", "MS1-yoshida4-p-first", "H2-plain", "MLP"])
def test_shapes_are_those_stated_and_no_layers_are_the_identity(key, dtype, backend, rng):
    for batch, depth in ((0, N), (1, N), (5, 0), (0, 0)):
        net = network(key, depth)
        x, g = rng.standard_normal((2, batch, n)).astype(dtype)
        out = everything(net, x, g, backend)
        of_batch = {"states": (depth + 1, batch, n), "delta": (depth + 1, batch, n), "phi": (depth + 1, batch, n, n)}
        for name, value in out.items():
            of_params = net.arch.shapes.get(name.split()[-1], (batch, n))
            if "drift" not in name:
                assert (value.shape, value.dtype) == (of_batch.get(name, of_params), dtype), name
                assert batch or not value.any()
            if depth == 0 and value.shape == x.shape:
                np.testing.assert_array_equal(value, x if "output" in name else g, err_msg=name)
                assert not np.shares_memory(value, x) and not np.shares_memory(value, g)
        np.testing.assert_array_equal(out["states"][-1], out["output"])
        np.testing.assert_array_equal(out["phi"][-1], np.broadcast_to(np.eye(n), (batch, n, n)))


@pytest.mark.parametrize("batch", [1, 5])
def test_arguments_are_not_changed_and_their_layout_does_not_matter(batch, backend, rng):
    net = network("MS3-verlet-p-first")
    given = x, g = rng.standard_normal((2, batch, n))
    for array in given:
        array.flags.writeable = False
    plain, before = everything(net, x, g, backend), (x.copy(), g.copy())
    for layout in (np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x[::-1][::-1]):
        compare(everything(net, layout(x), layout(g), backend), plain, 50 * EPS)  # BLAS may sum in another order
    np.testing.assert_array_equal(given, before)
    lists = net([[1, 0, 2, 0, 0, 3]], backend=backend)
    np.testing.assert_array_equal(lists, net(np.array([[1.0, 0, 2, 0, 0, 3]]), backend=backend), strict=True)


@pytest.mark.parametrize("batch", [1, 2])
def test_kernels_are_compiled_once_for_each_dtype_and_kind_of_map(batch, rng):
    # Numba compiles anew, for seconds, for arguments of another layout, or that may not be written to.
    net = network("H2-plain")
    for x in (rng.standard_normal((batch, n)), np.broadcast_to(rng.standard_normal(n), (batch, n))):
        x.flags.writeable = False
        everything(net, x, x)
        everything(net, np.asfortranarray(x)[::-1], x)
    for kernel in (kernels.forward, kernels.trace, kernels.adjoint, kernels.sensitivity):
        stages = [signature[0] for signature in kernel.signatures]
        kinds = {(str(of[0].dtype), *(isinstance(kind, types.NoneType) for kind in of[-2:])) for of in stages}
        assert len(kinds) == len(stages)


@pytest.mark.parametrize("key", ["H2-semi-implicit-p-first", "MLP"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_bitwise_the_same_in_every_run(key, dtype, backend, rng):
    net = network(key)
    x, g = rng.standard_normal((2, 1025 if backend == "numba" else 20, n)).astype(dtype)
    assert_same_bits(everything(net, x, g, backend), everything(net, x, g, backend))


# Other precisions


@pytest.mark.parametrize("key", VARIANTS)
@pytest.mark.parametrize("dtype", [np.complex128, np.longdouble])
def test_reference_works_in_complex_and_longdouble(key, dtype, rng):
    x, g = rng.standard_normal((2, 5, n))
    net, memories = network(key), dtype is np.longdouble
    double = everything(net, x, g, memories=memories)
    other = everything(net, x.astype(dtype), g.astype(dtype), "reference", memories=memories)
    compare(other, {name: value.astype(dtype) for name, value in double.items()}, 50 * EPS)
    assert {value.dtype for name, value in other.items() if "drift" not in name} == {np.dtype(dtype)}
    if dtype is np.longdouble and eps(dtype) < EPS:
        assert any((value != other[name]).any() for name, value in double.items())  # more accurate, not the same


def test_parameters_are_rounded_to_the_dtype_of_x(rng):
    x = rng.standard_normal((5, n)).astype(np.float32)
    net = network("H1-J1")
    rounded = net.replace({name: value.astype(np.float32) for name, value in net.params.items()})
    assert relative(net(x), rounded(x)) <= 50 * eps(np.float32)


@pytest.mark.parametrize("activation", pyham.ACTIVATIONS)
@pytest.mark.parametrize("name", pyham.ARCHITECTURES)
def test_reference_engine_in_50_digits_equals_itself_in_float64(name, activation, rng):
    net = pyham.architecture(name, width=4, depth=5, step=0.3, activation=activation).init(rng)
    x, g = rng.standard_normal((2, 3, 4))
    with mpmath.workdps(50):
        many = everything(net, multiprecision(x), multiprecision(g), "reference", memories=False)
        assert all(isinstance(v, (mpmath.mpf, float)) for v in many["phi"].flat)
    for key, value in everything(net, x, g, "reference", memories=False).items():
        # 5 layers, each with products of length 4 and a growth of up to 1 + h ||K||^2, about 5 in these
        assert np.abs(many[key] - value).max() <= 5 * 16 * EPS * max(1, np.abs(value).max()), key


@pytest.mark.parametrize("digits", [30, 80])
def test_precision_is_mpmaths_current_one(digits, rng):
    """The same network, asked twice: the stages of the first precision must not be kept for the second."""
    net = pyham.H2(width=4, depth=8, step=0.3).init(rng)
    x = rng.standard_normal((2, 4))
    for dps in (20, digits):
        with mpmath.workdps(dps):
            phi, unit = net.sensitivity(multiprecision(x), backend="reference"), +mpmath.eps
            J = multiprecision(net.interconnection)
        with mpmath.workdps(2 * dps):
            defect = np.abs(phi.swapaxes(-1, -2) @ J @ phi - J).max() / np.abs(phi).max() ** 2
        assert unit / 1000 <= defect <= 4 * unit * 16 * 4


@pytest.mark.parametrize("name", ["tanh", "logistic", "relu", "softplus", "identity"])
def test_activations_work_in_many_digits(name):
    activation = pyham.ACTIVATIONS[name]
    a = np.array([-3.0, -0.1, 0.2, 40.0])
    with mpmath.workdps(50):
        for part in ("sigma", "derivative") + (("integrand",) if name != "softplus" else ()):
            many = getattr(activation, part)(multiprecision(a)).astype(float)
            np.testing.assert_allclose(many, getattr(activation, part)(a), rtol=8 * EPS, atol=EPS)
        assert abs(pyham.ACTIVATIONS["tanh"].sigma(multiprecision(a))[2] - mpmath.tanh(mpmath.mpf(0.2))) <= mpmath.eps

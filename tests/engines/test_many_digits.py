"""The reference engine in arithmetic of many digits."""

import mpmath
import numpy as np
import pytest

import pyham
from pyham._check import multiprecision
from tests.oracles.rounding import eps

EPS = eps(np.float64)


@pytest.mark.parametrize("activation", pyham.ACTIVATIONS)
@pytest.mark.parametrize("name", pyham.ARCHITECTURES)
def test_reference_engine_in_50_digits_equals_itself_in_float64(name, activation, rng):
    net = pyham.architecture(name, width=4, depth=5, step=0.3, activation=activation).init(rng)
    x, g = rng.standard_normal((2, 3, 4))
    with mpmath.workdps(50):
        many = everything(net, multiprecision(x), g)
        assert all(isinstance(v, (mpmath.mpf, float)) for v in many["phi"].flat)
    for key, value in everything(net, x, g).items():
        # 5 layers, each with products of length 4 and a growth of up to 1 + h ||K||^2, about 5 in these
        assert np.abs(many[key] - value).max() <= 5 * 16 * EPS * max(1, np.abs(value).max()), key


def everything(net, x, g):
    trace = net.trace(x, backend="reference")
    adjoint = net.adjoint(trace, g, backend="reference")
    return {
        "output": net(x, backend="reference"),
        "states": trace.states,
        "delta": adjoint.delta,
        "phi": net.sensitivity(x, backend="reference"),
    } | adjoint.params


@pytest.mark.parametrize("digits", [30, 80])
def test_precision_is_mpmaths_current_one(digits, rng):
    """The same network, asked twice: the stages of the first precision must not be kept for the second."""
    net = pyham.H2(width=4, depth=8, step=0.3).init(rng)
    x = rng.standard_normal((2, 4))
    for dps in (20, digits):
        with mpmath.workdps(dps):
            phi, eps = net.sensitivity(multiprecision(x), backend="reference"), +mpmath.eps
            J = multiprecision(net.interconnection)
        with mpmath.workdps(2 * dps):
            defect = np.abs(phi.swapaxes(-1, -2) @ J @ phi - J).max() / np.abs(phi).max() ** 2
        assert defect <= 4 * eps * 16 * 4
        assert defect >= eps / 1000


@pytest.mark.parametrize("name", ["tanh", "logistic", "relu", "softplus", "identity"])
def test_activations_work_in_many_digits(name):
    activation = pyham.ACTIVATIONS[name]
    a = np.array([-3.0, -0.1, 0.2, 40.0])
    with mpmath.workdps(50):
        for part in ("sigma", "derivative") + (("integrand",) if name != "softplus" else ()):
            many = getattr(activation, part)(multiprecision(a))
            plain = getattr(activation, part)(a)
            np.testing.assert_allclose(many.astype(float), plain, rtol=8 * EPS, atol=EPS)
    with mpmath.workdps(50):
        assert abs(pyham.ACTIVATIONS["tanh"].sigma(multiprecision(a))[2] - mpmath.tanh(mpmath.mpf(0.2))) <= mpmath.eps


def test_multiprecision_keeps_every_bit_of_longdouble():
    x = np.array([1 / np.longdouble(3), np.longdouble(2) ** 60 + 1])
    with mpmath.workdps(50):
        back = multiprecision(x)
        assert back[1] == mpmath.mpf(2) ** 60 + (1 if np.finfo(np.longdouble).nmant > 60 else 0)
        assert abs(back[0] - mpmath.mpf(1) / 3) <= float(np.finfo(np.longdouble).eps) / 2


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda net, x: net(x), TypeError, "x: .* for backend='numba', got object"),
        (lambda net, x: net(np.full((2, 4), None), backend="reference"), TypeError, "x: expected numbers, got dtype"),
        (lambda net, x: net(x[:, :3], backend="reference"), ValueError, r"x: expected shape \(B, 4\), got \(2, 3\)"),
        (lambda net, x: net(x * mpmath.inf, backend="reference"), ValueError, "x: expected finite .* got [+-]?inf"),
        (lambda net, x: net(x * mpmath.nan, backend="reference"), ValueError, "x: expected finite .* got nan"),
        (lambda net, x: net.replace({"b": np.zeros((1, 4), object)}), TypeError, "params.*expected numbers, got dtype"),
        (lambda net, x: net.adjoint(net.trace(np.ones((2, 4))), x), TypeError, "g: expected a real .* got object"),
        (lambda net, x: pyham.symplectic.norms(x), TypeError, "phi: expected real numbers, got dtype object"),
    ],
)  # fmt: skip
def test_many_digits__raise_where_they_are_not_welcome(call, error, message):
    net = pyham.H2(width=4, depth=1).init(0)
    x = multiprecision(np.arange(1.0, 9).reshape(2, 4))
    with pytest.raises(error, match=message):
        call(net, x)


def test_pyham_does_not_import_mpmath():
    import subprocess
    import sys

    code = "import sys, numpy as np, pyham; pyham.H2(width=2, depth=1).init(0)(np.ones((1, 2)), backend='reference'); "
    code += "sys.exit('mpmath' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

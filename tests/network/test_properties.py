"""Laws that hold for every network, checked on random ones.

Let s be the number of stages, eps the distance from 1 to the next number. A backward sensitivity matrix is a product
of one factor a stage, so with a relative error of a few eps a factor it has one of c eps s: c = 4, as in the
certificate.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import pyham
from pyham.verification import bounds, symplectic
from tests.oracles.rounding import backward_tolerance, eps, gradient_tolerance
from tests.oracles.strategies import networks_with_inputs, seeds

EPS = eps(np.float64)
EXACT = ("H2", "MS3", "MS1")  # symplectic by design, MS1 while A is the same in all layers
C = 4

backends = st.sampled_from(("numba", "reference"))


def stages(net):
    return max(1, len(net.stages().A))


def structure(net):
    """J (n, n); MS1 without layers has none, and then any will do: Phi = I."""
    return net.interconnection if net.arch.depth else pyham.interconnection.J1(net.arch.width)


@given(networks_with_inputs(max_depth=100), seeds)  # Python takes its time
def test_compiled_states_and_adjoint_equal_reference(case, seed):
    net, x = case
    g = np.random.default_rng(seed).standard_normal(x.shape)
    trace, states = net.trace(x), net.trace(x, backend="reference").states
    # Forward errors grow with the Jacobians, which have the same bounds as their transposes.
    allowed = backward_tolerance(net, states)[0] * (1 + np.abs(states).max(initial=0)) * net.arch.width
    assert np.abs(trace.states - states).max(initial=0) <= allowed
    fast, plain = (net.adjoint(trace, g, backend=backend) for backend in ("numba", "reference"))
    tolerance = backward_tolerance(net, trace.states)
    size = np.linalg.norm(g, axis=-1)
    error = np.linalg.norm(fast.delta - plain.delta, axis=-1)
    assert (error <= tolerance[:, None] * size).all()
    for name, oracle in plain.params.items():
        error = np.abs(fast.params[name] - oracle).max(initial=0)
        assert error <= gradient_tolerance(net, trace.states) * size.sum()


@given(networks_with_inputs(), seeds, backends)
def test_delta_is_phi_times_the_last_delta(case, seed, backend):
    net, x = case
    g = np.random.default_rng(seed).standard_normal(x.shape)
    trace, phi = net.trace(x, backend=backend), net.sensitivity(x, backend=backend)
    np.testing.assert_array_equal(trace.output, net(x, backend=backend))
    delta = net.adjoint(trace, g, backend=backend).delta
    predicted = np.einsum("jbac,bc->jba", phi, g)
    # Two backward passes, of g and of the identity, whose columns' errors add up to sqrt(n) times that of one.
    tolerance = backward_tolerance(net, trace.states) * np.sqrt(net.arch.width)
    error = np.linalg.norm(delta - predicted, axis=-1)
    assert (error <= (tolerance[:, None] + net.arch.width * EPS) * np.linalg.norm(g, axis=-1)).all()


@given(networks_with_inputs(names=EXACT, constant=True), backends)
def test_sensitivities_are_symplectic_by_design_and_no_norm_of_them_is_below_one(case, backend):
    net, x = case
    phi = net.sensitivity(x, backend=backend)
    assert symplectic.defect(phi, structure(net)).max(initial=0) <= C * EPS * stages(net)
    single = symplectic.defect(net.sensitivity(x.astype(np.float32)), structure(net))
    assert single.max(initial=0) <= C * eps(np.float32) * stages(net)
    for size in symplectic.norms(phi).values():
        # |det| = 1, so no norm is below 1; the nuclear norm adds the errors of n singular values.
        assert size.min(initial=1) >= 1 - C * EPS * stages(net) * net.arch.width


@given(networks_with_inputs())
def test_measured_norm_sharp_product_and_paper_bound_are_in_this_order(case):
    net, x = case
    measured = np.linalg.norm(net.sensitivity(x), 2, axis=(-2, -1))
    slack = 1 + C * EPS * stages(net)
    sharp, product = bounds.upper(net, "sharp"), bounds.upper(net, "product")
    assert (measured <= slack * sharp[:, None]).all()
    assert (sharp <= slack * product).all()
    if net.arch.keep:
        assert (product <= slack * bounds.upper(net, "paper")).all()


@given(networks_with_inputs(names=("H2", "MS3", "MS1")), seeds)
def test_no_gradient_of_shears_leaves_the_two_sided_bound(case, seed):
    net, x = case
    g = np.random.default_rng(seed).standard_normal(x.shape)
    ratio = bounds.gradient_ratio(net.adjoint(net.trace(x), g).delta)
    slack = 1 + C * EPS * stages(net)
    assert (ratio <= slack * bounds.upper(net)[:, None]).all()
    assert (ratio * slack >= bounds.lower(net)[:, None]).all()


@given(networks_with_inputs(names=EXACT, max_depth=60))
@settings(max_examples=20)
def test_determinant_of_shears_is_one_whatever_J(case):
    # MS1 with weights that vary included: it is no longer symplectic, but still volume-preserving.
    net, x = case
    _, residual = symplectic.determinant(net.sensitivity(x))
    assert residual.max(initial=0) <= C * EPS * stages(net)


@given(networks_with_inputs(max_depth=40), seeds)
@settings(max_examples=20)
def test_replacing_parameters_by_themselves_changes_nothing(case, seed):
    net, x = case
    np.testing.assert_array_equal(net.replace(dict(net.params))(x), net(x))
    rebuilt = pyham.Network(pyham.architecture(**net.arch.config()), net.params)
    np.testing.assert_array_equal(rebuilt(x), net(x))

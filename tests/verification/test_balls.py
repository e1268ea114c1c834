"""Enclosures contain what mpmath computes; symplectic networks are proven, faults of one ulp excluded; errors named."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import mpmath
import numpy as np
import pytest

import pyham
from pyham._check import multiprecision
from pyham.architectures.activations import ACTIVATIONS, Activation
from pyham.verification import balls
from pyham.verification.ball_activations import enclosing
from pyham.verification.ball_stages import matrix, one_ulp
from tests.oracles.strategies import pairs, variant
from tests.verification import prove_random
from validation import claim, html

flint = pytest.importorskip("flint")
arb = flint.arb

PAIRS = pairs()


def network(key, activation, rng, depth=3, dtype=np.float64, width=4):
    arch = variant(key, width=width, depth=depth, step=0.37, activation=activation)
    return arch.init(rng, dtype=dtype)


def exact(net, x):
    """States (N + 1, B, n) and Phi (N + 1, B, n, n) as mpmath's numbers, by the reference engine with 60 digits."""
    with mpmath.workdps(60):
        numbers = multiprecision(x)
        return net.trace(numbers, backend="reference").states, net.sensitivity(numbers, backend="reference")


def contains(enclosure, numbers):
    """Whether every entry of a matrix of balls contains the number of mpmath in its place."""
    with balls.precision(400):
        return all(e.contains(arb(v)) for e, v in zip(enclosure.entries(), np.ravel(numbers), strict=True))


def test_random_networks_are_proven_and_faults_of_one_ulp_excluded(slow):
    """A sample of what ``python -m tests.verification.prove_random`` prints; all of it with --slow."""
    count = 1000 if slow else 60
    proven, widest = prove_random.prove_networks(count, seed=3)
    assert proven.total() == count and not any("NOT" in name for name in proven)
    assert widest <= 1e-34
    excluded = prove_random.exclude_faults(count, seed=3)
    assert excluded[0] == 0 and sum(n for digits, n in excluded.items() if digits > 0) == count


@pytest.mark.parametrize(("key", "activation"), PAIRS)
def test_enclosures_contain_what_mpmath_computes(key, activation, rng):
    dtype = (np.float32, np.float64, np.longdouble)[PAIRS.index((key, activation)) % 3]
    net, x = network(key, activation, rng, dtype=dtype), rng.standard_normal((1, 4)).astype(dtype)
    states, phi = exact(net, x)
    stages = balls.lower(net, 20)
    found = balls.enclose(stages, x[0])
    assert len(found.states) == len(found.phi) == 4
    for enclosures, numbers in ((found.states, states[:, 0]), (found.phi, phi[:, 0])):
        assert all(map(contains, enclosures, numbers))
        assert max(float(entry.rad()) for M in enclosures for entry in M.entries()) < 1e-25
    other = balls.enclose(stages.changed("A", one_ulp, (0, 0, 1)), x[0])
    off = found.slopes[0][0] == 0
    assert contains(other.phi[0], phi[0, 0]) == off or activation == "identity"
    assert contains(other.states[-1], states[-1, 0]) == off


@pytest.mark.parametrize("options", [{"X": np.diag([1.0, 2.0, 3.0])}, {"scheme": "verlet"}], ids=["X", "Verlet"])
def test_networks_on_a_graph_are_those_of_their_matrices(options, rng):
    on_graph = pyham.H2(6, 4, 0.3, graph="ring", nodes=3, **options).init(rng)
    K, m = on_graph.K, 3
    whole = pyham.Network(pyham.H2(6, 4, 0.3, **options), {"Kp": K[:, :m, :m], "Kq": K[:, m:, m:], "b": on_graph.b})
    x = rng.standard_normal(6)
    one, other = (balls.enclose(balls.lower(net), x).phi[0] for net in (on_graph, whole))
    assert one.contains(other) and other.contains(one)
    assert balls.prove(on_graph, x[None]).proven


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_wide_enclosures_contain_the_narrow_ones(activation, rng):
    """With few bits the branches for wide balls, and relu's for both signs, are taken; nothing may be lost."""
    for key in ("H2-verlet-q-first", "MLP", "H1-J2"):
        net, x = network(key, activation, rng, depth=4), rng.standard_normal(4)
        stages = balls.lower(net)
        fine = balls.enclose(stages, x)
        for bits in (3, 5, 8, 13, 24):
            coarse = balls.enclose(stages, x, bits)
            for name in ("states", "phi"):
                assert all(a.contains(b) for a, b in zip(getattr(coarse, name), getattr(fine, name), strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_errors_are_those_found_with_mpmath(dtype, rng):
    net, x = network("H2-yoshida4-p-first", "tanh", rng), rng.standard_normal((3, 4)).astype(dtype)
    errors = balls.prove(net, x).errors
    assert list(errors) == ["numba", "reference"][dtype is np.longdouble :]
    _, phi = exact(net, x)
    for name, error in errors.items():
        computed = net.sensitivity(x, backend=name)
        with mpmath.workdps(60):
            apart = np.sqrt((((multiprecision(computed) - phi) ** 2).sum(axis=(-1, -2))).astype(float))
        size = np.linalg.norm(phi.astype(float), ord=2, axis=(-1, -2))
        measured = (apart / np.maximum(1, size)).max(axis=1)
        assert error[-1] == measured[-1] == 0
        np.testing.assert_allclose(error, measured, rtol=1e-12)
        assert (error[:-1] > 0).all() and error.max() <= 4 * np.finfo(dtype).eps * net.stages().count * size.max()


def test_other_networks_are_disproved(rng):
    x = rng.standard_normal((2, 4))
    K = rng.standard_normal(6)
    h1, ms2 = pyham.H1(4, 5, 0.1).init(rng), pyham.MS2(4, 5, 0.1).init(rng, initialization={"K_upper": K})
    assert {balls.prove(net, x).symplectic.verdict for net in (h1, ms2)} == {"excluded"}
    assert balls.prove(h1, x).symplectic.worst > 1e-4
    assert balls.prove(h1, x).determinant.verdict == "excluded"
    mlp, resnet = pyham.MLP(4, 30).init(rng), pyham.ResNet(4, 5, 0.1).init(rng)
    for net in (mlp, resnet, pyham.MS2(4, 5, 0.1).init(rng), pyham.MS1(4, 5, 0.1).init(rng)):  # K varies, or no J
        proof = balls.prove(net, x)
        assert proof.symplectic is None
        asked = replace(balls.lower(net), J=matrix(pyham.interconnection.J1(4)), inverse=False)
        assert balls.examine(asked, x).symplectic.verdict == "excluded"
    assert balls.prove(mlp, x).norms.verdict == "excluded" and balls.prove(mlp, x).norms.worst < 0.1
    for name in ("H1", "H2", "MS2", "MLP", "MS3"):
        proof = balls.prove(pyham.architecture(name, width=4, depth=0).init(rng), x)
        assert proof.proven and proof.norms.worst == 1 and proof.determinant.worst == 0
        assert (proof.symplectic is None) == (name in ("MS2", "MLP"))


def test_verdicts_say_how_much_and_where(rng):
    """The numbers are those of floating-point arithmetic, where that suffices."""
    J = pyham.interconnection.J2(4)
    net, x = pyham.H1(4, 6, 0.3, interconnection="J2").init(rng), rng.standard_normal((5, 4))
    phi = net.sensitivity(x)
    defects = np.linalg.norm(phi.swapaxes(-1, -2) @ J @ phi - J, axis=(-1, -2)) / np.linalg.norm(J)
    defects /= 1 + np.linalg.norm(phi, axis=(-1, -2)) ** 2
    gaps = np.abs(np.linalg.det(phi) - 1)
    norms = np.linalg.norm(phi[:-1], ord=2, axis=(-1, -2))
    proof = balls.prove(net, x)
    for answer, numbers, place in (
        (proof.symplectic, defects, defects.argmax()),
        (proof.determinant, gaps, gaps.argmax()),
        (proof.norms, norms, norms.argmin()),
    ):
        where = np.unravel_index(place, numbers.shape)
        assert (answer.layer, answer.sample) == where and answer.sample + answer.layer > 0
        np.testing.assert_allclose(answer.worst, numbers[where], rtol=1e-9)


def test_upper_bounds_are_above_what_they_enclose(rng):
    """A ball around each entry of A encloses a network in which all entries are moved to the ball's end."""
    net, x = pyham.H2(4, 1, 3.0, activation="softplus").init(rng), rng.standard_normal((1, 4))
    stages = balls.lower(net, 60)
    assert balls.examine(stages, x).norms.worst > 3
    wide = balls.examine(stages.changed("A", lambda a: arb(a.mid(), 1e-45)), x).symplectic
    moved = balls.examine(stages.changed("A", lambda a: a + arb(10) ** -45), x).symplectic
    assert moved.verdict == "excluded" and wide.verdict == "undecided"
    assert moved.worst <= wide.worst <= 1e5 * moved.worst


def test_ms1_is_proven_without_the_inverse_of_k(rng):
    A = np.outer(rng.standard_normal(3), rng.standard_normal(3)).astype(np.float32).astype(float)
    net = pyham.MS1(6, 8, 0.2).init(rng, initialization={"A": A})  # of rank 1: K has no inverse
    assert balls.prove(net, rng.standard_normal((1, 6))).symplectic.verdict == "proven"


def test_rounding_w_and_flipping_a_sign_are_excluded(rng):
    net, x = network("H2-semi-implicit-p-first", "tanh", rng, depth=10), rng.standard_normal((2, 4))
    stages = balls.lower(net)
    rounded = balls.examine(stages.changed("W", lambda w: arb(float(w.mid()))), x)
    assert rounded.symplectic.verdict == "excluded" and 1e-20 < rounded.symplectic.worst < 1e-15
    flipped = balls.examine(stages.changed("W", lambda w: -w, (13, 1, 0)), x)
    assert flipped.symplectic.verdict == "excluded" and flipped.symplectic.worst > 1e-6 > rounded.symplectic.worst
    assert flipped.symplectic.layer <= 6 and flipped.determinant.verdict == "proven"
    assert balls.examine(stages, x).proven  # the change was made to a copy
    doubled = stages.changed("W", lambda w: 2 * w).sequence
    with balls.precision(stages.bits * 16):
        assert all(
            [2 * w for w in one.W.entries()] == two.W.entries() and one.A == two.A
            for one, two in zip(stages.sequence, doubled, strict=True)
        )


def test_verdict_is_undecided_where_bits_do_not_suffice_and_more_bits_are_tried(rng, monkeypatch):
    net, x = network("H2-semi-implicit-p-first", "tanh", rng, depth=20), rng.standard_normal((1, 4))
    coarse = replace(balls.lower(net), bits=60)
    again = balls.examine(coarse, x)
    assert again.proven and again.bits in (120, 240, 480)
    monkeypatch.setattr(balls, "DOUBLINGS", 0)
    proof = balls.examine(coarse, x)
    assert (proof.symplectic.verdict, proof.determinant.verdict, proof.bits) == ("undecided", "undecided", 60)
    assert not proof.proven and 1e-34 < proof.symplectic.worst < 1e-10


def test_precision_is_restored_and_threads_do_not_disturb_each_other(rng):
    before = flint.ctx.prec
    net, x = network("MS3-verlet-p-first", "softplus", rng, depth=6), rng.standard_normal((2, 4))
    with pytest.raises(ZeroDivisionError), balls.precision(300):
        assert flint.ctx.prec == 300
        raise ZeroDivisionError
    assert flint.ctx.prec == before
    digits = [20, 40, 60, 90] * 3
    alone = {d: balls.prove(net, x, digits=d).symplectic for d in set(digits)}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda d: balls.prove(net, x, digits=d).symplectic, digits))
    assert together == [alone[d] for d in digits]
    assert len({verdict.worst for verdict in alone.values()}) == 4
    assert flint.ctx.prec == before
    assert balls.prove(net, x, digits=10).proven


def test_no_samples_and_overflow(rng):
    net = network("H2-plain", "softplus", rng)
    proof = balls.prove(net, np.zeros((0, 4)))
    assert (proof.samples, proof.proven, proof.errors["numba"].max()) == (0, True, 0)
    assert (proof.symplectic.worst, proof.norms.worst, proof.determinant.worst) == (0, 1, 0)
    growing, x = pyham.H2(4, 60, 3.0, activation="identity").init(rng), np.ones((1, 4), np.float32)
    proof = balls.prove(growing, x)
    with np.errstate(all="ignore"):
        overflowed = ~np.isfinite(growing.sensitivity(x, backend="reference")).all(axis=(1, 2, 3))
    assert proof.proven and overflowed.any() and not overflowed.all()
    assert ((proof.errors["reference"] == np.inf) == overflowed).all()


class Replacing(pyham.MS3):
    """p <- h K1^T sigma(K1 q + b1), and so on: what is updated is replaced, what is not is kept."""

    keep = False


def test_half_of_a_state_is_replaced(rng):
    net, x = Replacing(4, 3, 0.5).init(rng), rng.standard_normal((1, 4))
    states, phi = exact(net, x)
    found = balls.enclose(balls.lower(net, 20), x[0])
    assert all(map(contains, found.states, states[:, 0])) and all(map(contains, found.phi, phi[:, 0]))


class Touched(pyham.Network):
    """A network whose stages are not what its parameters say, in one entry."""

    def stages(self, dtype=None):
        stages = super().stages(dtype)
        W = stages.W.copy()
        W[1, 0, 1] *= 1 + 1e-12
        return replace(stages, W=W)


OWN = Activation("cube root", np.cbrt, lambda a: a, np.abs, 1.0)
H2 = pyham.H2(width=4, depth=2)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "net: expected a Network, got int", lambda: balls.lower(3)),
        (ValueError, "digits: expected an integer >= 10, got 9", lambda: balls.lower(H2.init(0), 9)),
        (ValueError, "digits: expected an integer from 10 to 1000, got 1001", lambda: balls.lower(H2.init(0), 1001)),
        (TypeError, "net: .* got ConvH2, a network of images", lambda: balls.lower(pyham.images.ConvH2(4, 4).init(0))),
        (TypeError, "net: expected real parameters, got complex", lambda: balls.lower(H2.init(0, dtype=complex))),
        (TypeError, "activation: expected one that .* got 'cube root'", lambda: enclosing(OWN)),
        (ValueError, "net: .* got other stages", lambda: balls.lower(Touched(H2, H2.init(0).params))),
        (ValueError, r"x: expected shape \(B, 4\), got \(4,\)", lambda: balls.prove(H2.init(0), np.zeros(4))),
        (TypeError, "x: expected real samples", lambda: balls.prove(H2.init(0), np.zeros((1, 4), complex))),
    ],
)
def test_refusals_name_the_argument(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_without_python_flint_the_error_names_it_and_the_claim_is_left_out(monkeypatch):
    module = claim.modules(["V21"])["V21"]
    assert claim.missing(module) == "" == claim.missing(claim.modules(["V2"])["V2"])
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=re.escape('python -m pip install "pyham[rigorous]"')):
        balls.prove(H2.init(0), np.zeros((1, 4)))
    lab = claim.Lab(0, quick=True)
    assert [*claim.run("V21", module, lab), *claim.figures(module, lab)] == []
    page = html.Page(0, "quick", "")
    (line,) = page.left_out({"V21": module})
    assert line.startswith("V21 is left out: python-flint is not installed") and line.split("pip")[0] in page.render(
        {"V21": module}
    )

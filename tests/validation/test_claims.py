"""Claims V6, V9, V10, V14 to V16, V18 under sabotage: what is slightly wrong, they notice."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import pyham
from pyham import distributed
from pyham.architectures import base
from pyham.architectures.stages import StageGradients
from pyham.distributed import stepping
from pyham.engines.compiled import dense as compiled
from pyham.engines.reference import REFERENCE as reference
from validation import (
    claim,
    rebuilding,
    v06_batch_mean,
    v10_energy,
    v14_regularisation,
    v15_distribution,
    v16_reversibility,
    v18_precision,
)

EPS = np.finfo(float).eps


def laboratory(seed):
    lab = claim.Lab(seed, quick=True)
    lab.classifier = SimpleNamespace(net=lab.untrained)  # trained networks are the main job's; here the seeds count
    return lab


def findings(name, lab=None):
    return list(claim.run(name, claim.modules([name])[name], lab or laboratory(0)))


# Every claim notices sabotage


def failed(name):
    """The labels of the results that do not pass."""
    return {f.result.network for f in findings(name) if not f.result.passed}


def test_v6_notices_matrices_that_are_slightly_too_large(monkeypatch):
    exact = compiled.DENSE.sensitivity
    monkeypatch.setattr(compiled.DENSE, "sensitivity", lambda *args: exact(*args) * (1 + 1e-9))
    assert {label for label in failed("V6") if "symplectic" in label} == {
        "H2 trained, symplectic",
        "H2 before training, symplectic",
        "oscillators, n = 2, symplectic",
        "oscillators, n = 4, symplectic",
    }


def test_v6_notices_matrices_that_shrink(monkeypatch):
    exact = compiled.DENSE.sensitivity
    monkeypatch.setattr(compiled.DENSE, "sensitivity", lambda *args: exact(*args) / 20)
    assert {"oscillators, n = 2, norms", "oscillators, n = 4, norms"} <= failed("V6")


def test_v6_notices_a_norm_of_the_mean_that_is_too_large(monkeypatch):
    exact = v06_batch_mean.atlas

    def biased(net, x):
        found = exact(net, x)
        return replace(found, norms_of_mean={name: norm.max(axis=1) * 2 for name, norm in found.norms.items()})

    monkeypatch.setattr(v06_batch_mean, "atlas", biased)
    assert {"H2 trained", "oscillators, n = 2"} <= failed("V6")


@pytest.mark.parametrize(("engine", "way"), [(compiled.DENSE, "backward"), (reference, "forward")])
def test_v9_notices_a_pass_with_a_wrong_interconnection(engine, way, monkeypatch):
    name = "sensitivity" if way == "backward" else "forward"
    exact = getattr(engine, name)

    def wrong(stages, *args):
        W = stages.W.copy()
        W[:, 0] *= -1  # the first component is driven the other way, as by a J that is not skew
        return exact(replace(stages, W=W), *args)

    monkeypatch.setattr(engine, name, wrong)
    expected = {f"{label}, {way}" for label in ("J1, n = 8", "J2, n = 8", "random J, n = 6", "random J, n = 7")}
    assert {label for label in failed("V9") if way in label} == expected


def test_v9_notices_slight_damping(monkeypatch):
    exact = compiled.DENSE.sensitivity
    monkeypatch.setattr(compiled.DENSE, "sensitivity", lambda *args: exact(*args) * (1 - 1e-12))
    assert {"MS1 linear, p-first", "H2 linear, q-first", "forward Euler linear"} <= failed("V9")


def test_v10_notices_a_pass_that_loses_energy(monkeypatch):
    exact = compiled.DENSE.trace

    def damped(stages, x):
        return exact(stages, x) * (1 - 1e-5) ** np.arange(stages.depth + 1)[:, None, None]

    rng = np.random.default_rng(0)
    weights, x = v10_energy.draw("H2", 2, rng), rng.standard_normal((3, 2))
    net = v10_energy.build("H2", 2, "verlet", "p-first", weights, depth=2000)
    H = v10_energy.Hamiltonian.of(net)
    orbit = v10_energy.follow(net, H, x, 2, 1)
    assert (orbit.error[0] <= (1 + v10_energy.SMALL) * net.arch.step**2 * orbit.oscillation).all()
    monkeypatch.setattr(compiled.DENSE, "trace", damped)
    orbit = v10_energy.follow(net, H, x, 2, 1)
    assert (orbit.error[0] > (1 + v10_energy.SMALL) * net.arch.step**2 * orbit.oscillation).all()


@pytest.mark.parametrize("name", ["H2", "MS3"])
@pytest.mark.parametrize("order", ["p-first", "q-first"])
@pytest.mark.parametrize("r", [1, 2])
def test_v10_leading_terms_make_the_energy_error_of_one_step_of_higher_order(name, order, r, rng):
    """H + h^r G changes in one step by O(h^(r + 2)), where H alone changes by O(h^(r + 1))."""
    weights, y = v10_energy.draw(name, 4, rng), rng.standard_normal((20, 4))
    scheme = {1: "semi-implicit", 2: "verlet"}[r]
    changes = []
    for finer in (1, 2):
        net = v10_energy.build(name, 4, scheme, order, weights, finer, depth=1)
        H = v10_energy.Hamiltonian.of(net)
        dH = H.energy(net(y)) - H.energy(y)
        dG = net.arch.step**r * (H.leading(net(y), r) - H.leading(y, r))
        changes.append((np.abs(dH).max(), min(np.abs(dH + dG).max(), np.abs(dH - dG).max())))
    plain, modified = np.log2(np.divide(*changes))
    assert plain == pytest.approx(r + 1, abs=0.3)
    assert modified == pytest.approx(r + 2 if r == 1 else r + 3, abs=0.3)  # a symmetric scheme has even powers only


def test_v14_notices_penalties_that_do_nothing(monkeypatch):
    def nothing(weights, step):
        return 0.0, [np.zeros_like(value) for value in weights]

    monkeypatch.setattr(base, "smoothness", nothing)
    monkeypatch.delitem(v14_regularisation.PENALTIES, "weight decay 3e-4")
    assert failed("V14") == {"smoothness 0.1, bound", "smoothness 0.1, norms"}


def test_v14_notices_decay_of_the_wrong_sign(monkeypatch):
    monkeypatch.setitem(v14_regularisation.PENALTIES, "weight decay 3e-4", {"decay": -3e-4})
    monkeypatch.delitem(v14_regularisation.PENALTIES, "smoothness 0.1")
    assert failed("V14") == {"weight decay 3e-4, bound", "weight decay 3e-4, norms"}


@pytest.mark.parametrize("name", ["spread", "collect"])
def test_v15_notices_messages_whose_content_is_slightly_off(name, monkeypatch):
    exact = getattr(stepping, name)
    monkeypatch.setattr(
        stepping, name, lambda *args: {node: block * (1 + 1e-6) for node, block in exact(*args).items()}
    )
    assert failed("V15") >= {"H1, float64", "H2, float64"}


def test_v15_notices_nodes_that_hear_what_is_out_of_reach(monkeypatch):
    """Something that all nodes share, such as a mean over all of them."""
    exact = stepping.forward

    def meddling(*args):
        after, kept = exact(*args)
        shared = 1e-9 * sum(block.sum() for block in after.values())
        return {node: block + shared for node, block in after.items()}, kept

    monkeypatch.setattr(stepping, "forward", meddling)
    assert "bits out of reach" in failed("V15")


def test_v15_notices_messages_off_the_edges(monkeypatch):
    monkeypatch.setattr(v15_distribution, "graph", lambda name, nodes: distributed.path(nodes))
    assert failed("V15") == {"messages off edges"}


def test_v15_notices_a_wrong_theorem(monkeypatch):
    exact = v15_distribution.one_round
    monkeypatch.setattr(v15_distribution, "one_round", lambda graph, R, F: exact(graph, R, F)[1:])
    assert failed("V15") == {"F R^T R, entries"}


@pytest.fixture
def v16_in_short(monkeypatch):
    """Fewer random networks, and no arithmetic in software, which these slips do not touch."""
    few = [kind for kind in v18_precision.arithmetics() if kind.dtype in v16_reversibility.COMPILED]
    monkeypatch.setattr(v16_reversibility, "arithmetics", lambda: few)
    draw = v16_reversibility.draw
    monkeypatch.setattr(v16_reversibility, "networks", lambda name, lab, rng: [draw(name, 4, 24, rng, scheme="verlet")])


def test_v16_notices_an_inverse_that_is_slightly_off(monkeypatch, v16_in_short):
    exact = compiled.DENSE.inverse
    monkeypatch.setattr(compiled.DENSE, "inverse", lambda *args: exact(*args) * (1 + 1e-9))
    labels = failed("V16")
    assert labels >= {f"{case}, float64" for case in ("H2 trained", "H2 random", "MS3 random", "MS1 random")}


DEEP, DRIFTS = "gradient, 1024 layers, float32", {"drift / budget, float64", "drift / budget, float32"}
SLIPS = {  # what is wrong with (y_N, delta_0, sums, reports), whether the budget is passed on, what must fail
    "slightly off": (lambda y, delta, *rest: (y, delta * (1 + 1e-9), *rest), True, {"gradient, float64"}),
    "without a budget": (lambda *found: found, False, {DEEP, *DRIFTS}),
    "that hide their drift": (lambda *found: (*found[:-1], found[-1] * 0), False, {DEEP}),
    "with more states at a time": (
        lambda *found: (*found[:-1], found[-1][:, [0, 1, 1]]),
        True,
        {"states at a time, float64", "states at a time, float32"},
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_v16_notices_gradients_from_rebuilt_states(slip, monkeypatch, v16_in_short):
    exact, (change, limited, noticed) = compiled.DENSE.reversible, SLIPS[slip]

    def wrong(stages, x, g, budget, shortest=None):
        return change(*exact(stages, x, g, budget if limited else np.inf, shortest))

    monkeypatch.setattr(compiled.DENSE, "reversible", wrong)
    assert failed("V16") >= noticed if slip == "that hide their drift" else failed("V16") == noticed


@pytest.mark.parametrize("name", ["MS1", "MS3", "H2"])
@pytest.mark.parametrize("options", [{}, {"scheme": "yoshida4", "activation": "softplus", "order": "q-first"}])
def test_v16_first_order_term_is_what_one_state_off_does_to_the_gradient(name, options, rng):
    """One entry of one state off by d: <gradient, u> changes by |h d|, here by central differences of order d^3."""
    case = v16_reversibility.draw(name, 4, 3, rng, **options).first()
    y = rebuilding.rebuild(case, np.inf).states
    stages = case.net.stages()
    u = {key: rng.standard_normal(value.shape) for key, value in case.net.params.items()}
    u["input"] = rng.standard_normal((1, 4))
    for s in range(len(stages.A)):
        d = np.zeros_like(y)
        d[s, 0, stages.src[s % stages.per_layer].start] = 1e-5
        drift, _ = rebuilding.first_order(case, rebuilding.Walk(y, y + d, 0, 0), u)
        central = (along(case, y + d, u) - along(case, y - d, u)) / 2
        size = abs(along(case, y, u))
        assert drift == pytest.approx(abs(central), rel=1e-6, abs=100 * EPS * size + 10 * 1e-5**3)


def along(case, states, u):
    """<gradient, u> of a backward pass that finds these states before the stages."""
    delta, sums = case.g, []
    for s, stage in reversed(list(enumerate(rebuilding.single(case.net.stages())))):
        deltas, grad = reference.adjoint(stage, states[s : s + 2], delta)
        delta = deltas[0]
        sums.append(grad)
    joined = StageGradients(*(np.concatenate(arrays) for arrays in zip(*sums[::-1], strict=True)))
    params = case.net.arch.pullback(joined)
    return sum((params[key] * u[key]).sum() for key in params) + (delta * u["input"]).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_v16_bounds_are_within_a_few_thousand_of_what_happens(dtype, rng):
    """A bound that nothing comes near would notice nothing."""
    case = v16_reversibility.plain(8, 128, rng).astype(dtype)
    kind = v18_precision.Arithmetic(dtype.__name__, dtype)
    ratio = v16_reversibility.missed(case, kind) / rebuilding.rounding(case) / kind.eps
    assert (ratio <= 1).all() and ratio.max() > 1 / 5000
    value, drift = v16_reversibility.reversible(case)
    gap = rebuilding.gradient_gap(case, value, rebuilding.rebuild(case, drift.budget))
    assert gap.bound / 5000 < gap.error <= gap.bound


@pytest.mark.parametrize("name", ["MLP", "ResNet", "MS2", "H1"])
def test_v16_networks_that_update_what_they_read__raise(name, rng):
    net = pyham.architecture(name, width=4, depth=2).init(rng)
    with pytest.raises(ValueError, match="expected a network whose stages can be undone"):
        net.inverse(np.ones((1, 4)))


def test_v18_notices_a_defect_that_only_many_digits_show(monkeypatch):
    exact = reference.sensitivity
    monkeypatch.setattr(reference, "sensitivity", lambda *args: exact(*args) * (1 + 2.0**-50))
    labels = failed("V18")
    assert labels >= {f"{case}, 50 digits" for case in ("H2 trained", "H2, any X", "MS3, Verlet", "MS1, one A")}
    assert labels >= {"H2 trained, longdouble", "H2 trained, factor"}
    assert not any("float" in label for label in labels)


def test_v18_without_mpmath_says_so(monkeypatch):
    monkeypatch.setattr(v18_precision.importlib.util, "find_spec", lambda name: None)
    found = findings("V18")
    assert not any("50 digits" in f.result.network for f in found)
    notes = {f.result.note for f in found if "factor" in f.result.network}
    assert all("mpmath is not installed: without 50 digits" in note for note in notes)
    assert all(f.ok for f in found)

"""Claims V6, V9, V10, V14 to V16, V18 under sabotage: what is slightly wrong, they notice."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

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


def findings(name):
    return list(claim.run(name, claim.modules([name])[name], laboratory(0)))


def failed(name):
    """The labels of the results that do not pass."""
    return {f.result.network for f in findings(name) if not f.result.passed}


def scaled(factor):
    return lambda exact: lambda *args: exact(*args) * factor


def biased(exact):
    def atlas(net, x):
        found = exact(net, x)
        return replace(found, norms_of_mean={name: norm.max(axis=1) * 2 for name, norm in found.norms.items()})

    return atlas


def driven_the_other_way(exact):
    """The first component is driven the other way, as by a J that is not skew."""

    def wrong(stages, *args):
        W = stages.W.copy()
        W[:, 0] *= -1
        return exact(replace(stages, W=W), *args)

    return wrong


def off(exact):
    return lambda *args: {node: block * (1 + 1e-6) for node, block in exact(*args).items()}


def meddling(exact):
    """Something that all nodes share, such as a mean over all of them."""

    def forward(*args):
        after, kept = exact(*args)
        shared = 1e-9 * sum(block.sum() for block in after.values())
        return {node: block + shared for node, block in after.items()}, kept

    return forward


def labels(cases, end):
    return {f"{case}, {end}" for case in cases}


SKEW = ("J1, n = 8", "J2, n = 8", "random J, n = 6", "random J, n = 7")
NETWORKS = ("H2 trained", "H2 before training", "oscillators, n = 2", "oscillators, n = 4")
RANDOM = ("H2 random", "MS3 random", "MS1 random")
SABOTAGE = [  # claim, what is wrong, and how; what must fail: all that have a word in their labels, or at least these
    ("V2", compiled.DENSE, "sensitivity", scaled(1 + 1e-9), "float64", labels((*NETWORKS[:2], *RANDOM), "float64")),
    ("V6", compiled.DENSE, "sensitivity", scaled(1 + 1e-9), "symplectic", labels(NETWORKS, "symplectic")),
    ("V6", compiled.DENSE, "sensitivity", scaled(1 / 20), None, labels(NETWORKS[2:], "norms")),
    ("V6", v06_batch_mean, "atlas", biased, None, {"H2 trained", "oscillators, n = 2"}),
    ("V9", compiled.DENSE, "sensitivity", driven_the_other_way, "backward", labels(SKEW, "backward")),
    ("V9", reference, "forward", driven_the_other_way, "forward", labels(SKEW, "forward")),
    ("V9", compiled.DENSE, "sensitivity", scaled(1 - 1e-12), None,
     {"MS1 linear, p-first", "H2 linear, q-first", "forward Euler linear"}),
    ("V15", stepping, "spread", off, None, {"H1, float64", "H2, float64"}),
    ("V15", stepping, "collect", off, None, {"H1, float64", "H2, float64"}),
    ("V15", stepping, "forward", meddling, None, {"bits out of reach"}),
    ("V15", v15_distribution, "graph", lambda exact: lambda name, nodes: exact("path", nodes), "",
     {"messages off edges"}),
    ("V15", v15_distribution, "one_round", lambda exact: lambda *args: exact(*args)[1:], "", {"F R^T R, entries"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "holder", "attribute", "slip", "word", "expected"), SABOTAGE)
def test_claim_notices(name, holder, attribute, slip, word, expected, monkeypatch):
    monkeypatch.setattr(holder, attribute, slip(getattr(holder, attribute)))
    found = failed(name)
    assert found >= expected if word is None else {label for label in found if word in label} == expected


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


def test_v14_notices_penalties_that_do_nothing_and_decay_of_the_wrong_sign(monkeypatch):
    def nothing(weights, step):
        return 0.0, [np.zeros_like(value) for value in weights]

    monkeypatch.setattr(base, "smoothness", nothing)
    monkeypatch.setitem(v14_regularisation.PENALTIES, "weight decay 3e-4", {"decay": -3e-4})
    assert failed("V14") == {f"{name}, {what}" for name in v14_regularisation.PENALTIES for what in ("bound", "norms")}


@pytest.fixture
def v16_in_short(monkeypatch):
    """Fewer random networks, and no arithmetic in software, which these slips do not touch."""
    few = [kind for kind in v18_precision.arithmetics() if kind.dtype in v16_reversibility.COMPILED]
    monkeypatch.setattr(v16_reversibility, "arithmetics", lambda: few)
    draw = v16_reversibility.draw
    monkeypatch.setattr(v16_reversibility, "networks", lambda name, lab, rng: [draw(name, 4, 24, rng, scheme="verlet")])


def test_v16_notices_an_inverse_that_is_slightly_off(monkeypatch, v16_in_short):
    monkeypatch.setattr(compiled.DENSE, "inverse", scaled(1 + 1e-9)(compiled.DENSE.inverse))
    assert failed("V16") >= labels(("H2 trained", *RANDOM), "float64")


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


def test_v18_notices_a_defect_that_only_many_digits_show(monkeypatch):
    monkeypatch.setattr(reference, "sensitivity", scaled(1 + 2.0**-50)(reference.sensitivity))
    found = failed("V18")
    assert found >= labels(("H2 trained", "H2, any X", "MS3, Verlet", "MS1, one A"), "50 digits")
    assert found >= {"H2 trained, longdouble", "H2 trained, factor"}
    assert not any("float" in label for label in found)


def test_v18_without_mpmath_says_so(monkeypatch):
    monkeypatch.setattr(v18_precision.importlib.util, "find_spec", lambda name: None)
    found = findings("V18")
    assert not any("50 digits" in f.result.network for f in found)
    notes = {f.result.note for f in found if "factor" in f.result.network}
    assert all("mpmath is not installed: without 50 digits" in note for note in notes)
    assert all(f.ok for f in found)

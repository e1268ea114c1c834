"""V16. Reversibility: a network of shears gives its input back, but for rounding; a budget limits the drift.

Statement: a stage that adds a function of one part of the state to another part is undone by subtracting it, y[dst] <-
y[dst] - W sigma(A y[src] + c). So y_0 comes back from y_N, but for rounding errors and what the network makes of them.
Backpropagation can rebuild its states instead of storing them; its gradient is then off by what they are off, and with
a budget, states are kept where rebuilding them would miss by more. What is rebuilt is compared with what is kept, the
input included; between kept states it can be off by more, as the notes say. Networks: MS1, MS3, H2 (any X), all
schemes; MLP, ResNet, MS2 and H1 update what they read, and ``net.inverse`` refuses them. Source: Chang et al.,
"Reversible architectures for arbitrarily deep residual neural networks", AAAI 2018. Every stage is the exact flow of a
part of the field, undone by the same with -h; so a scheme is undone by its adjoint with -h (Hairer, Lubich, Wanner,
"Geometric Numerical Integration", II.3 and II.5), Verlet and Yoshida's by themselves.

Number: max |z_0 - y_0| / max |y_0|, z_0 rebuilt from y_N in the same arithmetic; ||rebuilt - stored|| / ||stored|| for
the gradient with respect to all parameters and the input; reported drift over budget; how many fewer states are kept
for a smaller budget; and the most at a time. Tolerance: for the input, the local rounding errors of all stages, there
and back, times the sensitivities of the way back, (dy_s/dy_0)^-1, which are as large as those forwards where singular
values pair (V4); for the gradient, its sensitivities to the states, times how far the states are off that are rebuilt
with the default budget, and the rounding errors of two backward passes; both to first order and derived in
``validation.rebuilding``, from network and samples. For the most states log2(N) + 1: each halves the layers that lie
behind the one before. In longdouble and 50 digits the input's bound is the same number of eps.

Oracle: the forward pass; for the gradient the stored one, with an account, stage by stage, of which states are kept.
Control: stages undone in forward order, one sign flipped, one layer with the weights of another; no budget, in float32,
where only a budget keeps the gradient; budgets in reverse order; all states kept instead of those at a time.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.architectures.stages import Stages
from pyham.engines.compiled import dense as compiled
from pyham.engines.results import Drift, Gradient
from validation.claim import Array, Lab, Result, worst
from validation.look import BLUE, GREEN, GREY, panels
from validation.rebuilding import RebuiltCase, distance, gradient_error, gradient_gap, rebuild, rounding
from validation.v02_symplectic import describe
from validation.v18_precision import Arithmetic, arithmetics

STATEMENT = "y_0 comes back from y_N but for rounding; a budget limits the drift and what it does to gradients"

NAMES = ("H2", "MS3", "MS1")
COMPILED = (np.float64, np.float32)
FAULTS = "3 faults, smallest"
DEEP = 1024  # layers with h = 0.1: more than float32 can rebuild
FACTORS = (np.inf, 1e2, 1.0, 1e-2, 0.0)  # budgets, in default budgets


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V16")
    trained = with_gradients(lab.trained, lab.samples[:20], rng)
    random = {name: list(networks(name, lab, rng)) for name in NAMES}
    broken = {name: draw(name, 6, 64, rng) for name in NAMES}
    deep = [plain(width, DEEP, rng) for width in (8, 16)]
    groups = [("H2 trained", [trained], trained)]
    groups += [(f"{name} random", random[name], broken[name]) for name in NAMES]
    groups += [(f"H2, {DEEP} layers, h = 0.1", deep, deep[0])]
    limits = {id(case): rounding(case) for _, cases, _ in groups for case in cases}
    for label, cases, fault in groups:
        for dtype in COMPILED[: 1 if cases is deep else 2]:  # in float32 nothing is promised for the deep ones
            kind = Arithmetic(dtype.__name__, dtype)
            yield inputs(f"{label}, {dtype.__name__}", cases, [limits[id(case)] for case in cases], kind, fault)
    shallow = [trained] + [case for name in NAMES for case in random[name] if case.net.arch.depth <= 64]
    few = shallow[:: 2 if lab.quick else 5]  # arithmetic in software takes its time
    for kind in arithmetics():
        if kind.dtype not in COMPILED:
            bounds = [limits[id(case)][:1] for case in few]
            yield inputs(f"all, {kind.name}", [case.first() for case in few], bounds, kind, broken["H2"])
    for dtype in COMPILED:
        cases = shallow if lab.quick or dtype == np.float32 else shallow + deep
        yield gradients(f"gradient, {dtype.__name__}", cases, dtype, broken["H2"])
    yield unlimited(f"gradient, {DEEP} layers, float32", deep, np.float32)
    for dtype in COMPILED:
        yield from budgets(deep, dtype)


def networks(name: str, lab: Lab, rng: np.random.Generator) -> Iterator[RebuiltCase]:
    """Random networks with T = 1: depths and widths; schemes, orders and activations; any X."""
    sizes = ((1, 2), (16, 8), (1024, 16)) if lab.quick else ((1, 2), (16, 8), (256, 4), (1024, 16), (4096, 2))
    for depth, width in sizes:
        yield draw(name, width, depth, rng)
    for scheme in ("verlet", "yoshida4"):
        for order, activation in (("p-first", "softplus"), ("q-first", "logistic")):
            for width in (4,) if lab.quick else (2, 4, 8, 16):
                yield draw(name, width, 24, rng, scheme=scheme, order=order, activation=activation)


def draw(name: str, width: int, depth: int, rng: np.random.Generator, **options: Any) -> RebuiltCase:
    m = width // 2
    if name == "H2":
        options["X"] = np.linalg.qr(rng.standard_normal((m, m)))[0] * rng.uniform(0.5, 2, m)
    arch = pyham.architecture(name, width=width, depth=depth, step=1 / depth, **options)
    return with_gradients(arch.init(rng, initialization="scaled-normal"), rng.standard_normal((3, width)), rng)


def plain(width: int, depth: int, rng: np.random.Generator) -> RebuiltCase:
    """H2 with h = 0.1 and standard normal weights: it amplifies rounding errors by many powers of ten."""
    net = pyham.H2(width=width, depth=depth, step=0.1).init(rng)
    return with_gradients(net, rng.standard_normal((2, width)), rng)


def with_gradients(net: pyham.Network, x: Array, rng: np.random.Generator) -> RebuiltCase:
    return RebuiltCase(net, x, np.asarray(rng.standard_normal(x.shape)))


def inputs(label: str, cases: list[RebuiltCase], limits: list[Array], kind: Arithmetic, fault: RebuiltCase) -> Result:
    """The input that comes back worst, relative to its bound."""
    found = []
    for case, limit in zip(cases, limits, strict=True):
        error = missed(case, kind)
        i = int(np.argmax(error / limit))
        found.append((float(error[i]), float(limit[i]) * kind.eps, describe(case.net)))
    measured, limit_, which = worst(found)
    note = f"{len(cases)} networks, errors to {max(error for error, _, _ in found):.1e}; the worst: {which}"
    dtype = kind.dtype if kind.dtype in COMPILED else np.float64
    return Result(label, measured, limit_, faulty_inputs(fault.astype(dtype)), FAULTS, note)


def missed(case: RebuiltCase, kind: Arithmetic) -> Array:
    """max |z_0 - y_0| / max |y_0| of every sample (B,), both ways in that arithmetic."""
    backend = "numba" if kind.dtype in COMPILED else "reference"
    with kind.precision():
        x = kind.convert(case.x)
        return distance(case.net.inverse(case.net(x, backend=backend), backend=backend), x)


def faulty(stages: Stages) -> Iterator[list[Stages]]:
    """What is undone instead of the stages, fault by fault; where one stage is broken, five of them in turn."""
    A, c, W = (np.ascontiguousarray(array[::-1]) for array in (stages.A, stages.c, stages.W))
    yield [replace(stages, A=A, c=c, W=W, src=stages.src[::-1], dst=stages.dst[::-1])]  # undone in forward order
    flipped, swapped = [], []
    for s in np.unique(np.linspace(0, len(stages.A) - 1, 5).astype(int)):
        A, L = stages.A.copy(), stages.per_layer
        A[s][np.unravel_index(np.abs(A[s]).argmax(), A[s].shape)] *= -1
        flipped.append(replace(stages, A=A))
        here = np.arange(s - s % L, s - s % L + L)
        order = np.arange(len(stages.A))
        order[here] = (here + stages.depth // 2 * L) % len(order)
        swapped.append(replace(stages, A=stages.A[order], c=stages.c[order], W=stages.W[order]))
    yield flipped
    yield swapped


def faulty_inputs(case: RebuiltCase) -> float:
    """The smallest, over the faults, of what the input comes back with."""
    y = case.net(case.x)
    return min(
        max(float(distance(compiled.DENSE.inverse(other, y), case.x).max()) for other in broken)
        for broken in faulty(case.net.stages(case.x.dtype))
    )


def gradients(label: str, cases: list[RebuiltCase], dtype: type, fault: RebuiltCase) -> Result:
    """The gradient that is off most, relative to its bound."""
    found, same, between = [], 0, 0.0
    for case in (case.astype(dtype) for case in cases):
        value, drift = reversible(case)
        walk = rebuild(case, drift.budget)
        found.append((*gradient_gap(case, value, walk), describe(case.net)))
        same += (drift.error, drift.kept) == (walk.error, walk.kept)
        between = max(between, walk.between / walk.error if walk.error else 0.0)
    measured, limit, which = worst(found)
    note = (
        f"{len(cases)} networks, {same} report the oracle's drift to the last bit; states between those that are kept "
        f"are off by up to {between:.1f} times as much; the worst: {which}"
    )
    return Result(label, measured, limit, faulty_gradients(fault.astype(dtype)), FAULTS, note)


def reversible(case: RebuiltCase, budget: float | None = None) -> tuple[Gradient, Drift]:
    value = case.net.gradient(case.x, case.g, memory="reversible", budget=budget)
    assert value.drift is not None
    return value, value.drift


def faulty_gradients(case: RebuiltCase) -> float:
    """The smallest, over the faults, of the relative error of dLoss/dy_0 from states that are rebuilt with it."""
    stages, y = case.net.stages(case.x.dtype), case.net(case.x)
    exact = case.net.gradient(case.x, case.g).input

    def error(other: Stages) -> float:
        states = [y]
        for j in reversed(range(other.depth)):
            states.append(compiled.DENSE.inverse(other.layers(j, j + 1), states[-1]))
        found = compiled.DENSE.adjoint(stages, np.array(states[::-1]), case.g)[0][0]
        return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))

    return min(max(error(other) for other in broken) for broken in faulty(stages))


def unlimited(label: str, cases: list[RebuiltCase], dtype: type) -> Result:
    """Gradients of networks that cannot be rebuilt in one go, with the default budget and without."""
    found, controls, notes = [], {}, []
    for case in (case.astype(dtype) for case in cases):
        value, drift = reversible(case)
        without, lost = reversible(case, np.inf)
        name = describe(case.net)
        controls[name] = gradient_error(case, without)
        found.append((*gradient_gap(case, value, rebuild(case, drift.budget)), name))
        notes.append(f"{name}: drift {drift.error:.1e} with {drift.kept} states kept, {lost.error:.1e} without")
    measured, limit, which = worst(found)
    return Result(label, measured, limit, controls[which], "no budget", "; ".join(notes))


def budgets(cases: list[RebuiltCase], dtype: type) -> Iterator[Result]:
    """Drift and states kept with budgets from infinity to zero, of networks that need them."""
    default = reversible(cases[0].astype(dtype))[1].budget
    drifts = [[reversible(case.astype(dtype), factor * default)[1] for factor in FACTORS] for case in cases]
    limited = [drift for row in drifts for drift in row[1:]]
    ratio = max(drift.error / max(drift.budget, np.finfo(float).tiny) for drift in limited)  # 0 / 0 is 0
    unbounded = max(row[0].error / default for row in drifts)
    name = dtype.__name__
    kept = [[drift.kept for drift in row] for row in drifts]
    note = "budgets " + ", ".join(f"{factor * default:.0e}" for factor in FACTORS)
    note += "; kept " + " and ".join(", ".join(map(str, row)) for row in kept)
    yield Result(f"drift / budget, {name}", ratio, 1, unbounded, "no budget")
    steps = [after - before for row in kept for before, after in pairwise(row)]
    yield Result(f"fewer kept for less, {name}", max(0, -min(steps)), 0, max(steps), "budgets in reverse order", note)
    most = max(drift.most for row in drifts for drift in row)
    yield Result(f"states at a time, {name}", most, np.log2(DEEP) + 1, max(row[-1] for row in kept), "all states kept")


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    rng = lab.rng("V16")
    whole = plain(8, 1024 if lab.quick else 4096, rng)
    depths = 2 ** np.arange(np.log2(whole.net.arch.depth) + 1).astype(int)
    figure, (left, right) = panels(2, width=5.2, height=4.6)
    limits = np.array([rounding(first_layers(whole, depth)).max() for depth in depths])
    budgets = np.geomspace(1e-15, 1, 11)
    right.plot(budgets, budgets, color=GREY, linewidth=0.8, linestyle=":", label="error = budget")
    for dtype, colour in zip(COMPILED, (BLUE, GREEN), strict=True):
        name, eps = dtype.__name__, Arithmetic(dtype.__name__, dtype).eps
        members = [first_layers(whole, depth).astype(dtype) for depth in depths]
        missing = [float(missed(case, Arithmetic(name, dtype)).max()) for case in members]
        left.plot(depths, missing, color=colour, marker="o", markersize=4, label=f"{name}, rebuilt in one go")
        allowed = f"{name}, what rounding allows"
        left.plot(depths, limits * eps, color=colour, linestyle="--", linewidth=1, label=allowed)
        drifts = [reversible(case)[1] for case in members]
        kept = [(depth, drift.error) for depth, drift in zip(depths, drifts, strict=True) if drift.kept]
        x, y = np.reshape(kept, (-1, 2)).T
        largest = f"{name}, largest with the default budget (dotted)"
        left.plot(x, y, "D", color=colour, markersize=5, markerfacecolor="white", label=largest)
        left.axhline(drifts[0].budget, color=colour, linewidth=0.8, linestyle=":")
        case = first_layers(whole, DEEP).astype(dtype)
        values = [reversible(case, float(budget)) for budget in budgets if budget > eps]
        off = [(drift.budget, gradient_error(case, value)) for value, drift in values]
        right.plot(*np.transpose(off), color=colour, marker="o", markersize=4, label=name)
        for place, (_, drift) in zip(off, values, strict=True):
            right.annotate(
                str(drift.kept), place, (0, 5), textcoords="offset points", ha="center", color=colour, fontsize=8
            )
    left.set(xscale="log", yscale="log", ylim=(1e-17, 1e2), xlabel="layers N", ylabel="relative error of the input")
    right.set(xscale="log", yscale="log", ylim=(1e-17, 1e2), xlabel="budget", ylabel="relative error of the gradient")
    left.set_title("Input rebuilt from the output", loc="left", fontsize=10)
    right.set_title(f"Gradient of {DEEP} layers; numbers: states kept", loc="left", fontsize=10)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    right.legend(*(entry[:1] for entry in right.get_legend_handles_labels()), loc="lower right", frameon=False)
    yield (
        "H2, n = 8, h = 0.1. Left: the error of an input that is rebuilt from the output grows as sensitivities do; "
        "where it exceeds the default budget, states are kept, and what is rebuilt between them stays below. Right: "
        "the gradient from rebuilt states is off by what they are off; the smaller the budget, the more are kept.",
        figure,
    )


def first_layers(case: RebuiltCase, depth: int) -> RebuiltCase:
    """The same samples and the first ``depth`` layers."""
    arch = pyham.architecture(**{**case.net.arch.config(), "depth": depth})
    return case._replace(net=pyham.Network(arch, {name: value[:depth] for name, value in case.net.params.items()}))

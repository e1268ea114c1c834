"""V5. Upper bounds on sensitivities from the weights alone, three of them, and a two-sided bound on every gradient.

Statement: ||Phi_j||_2 <= prod exp(asinh(e_s / 2)) <= prod (1 + e_s) <= sqrt(n) exp(Q (N - j) h) with e_s = S ||W_s||
||A_s|| (= h L_s, L = S ||J|| ||K||^2, for orthogonal J), and for networks of shears every singular value is at least
the reciprocal of the first. Source: the last has the form of Galimberti et al., IEEE TAC 2023, with Q derived as in
``pyham.bounds``; the first is sharp for one shear, whose 2-norm is exp(asinh(||E|| / 2)). Oracle: LAPACK's singular
values of the measured Phi_j. Number: max over j < N, samples and bounds of log(measured / bound), of consecutive
bounds' order, and of log((1 / sharp) / sigma_min). Tolerance: relative error c eps (stages) of Phi, c = 4, and for
sigma_min times the condition of Phi. Control: the last layer scaled up after the bound was computed.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.architectures.stages import Stages
from pyham.verification import bounds
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, RED, panels
from validation.v02_symplectic import tolerance

STATEMENT = "1 / sharp <= singular values; ||Phi_j|| <= sharp <= product <= sqrt(n) exp(Q T) (measured: log excess)"

KINDS = ("sharp", "product", "paper")  # an MLP discretises no equation and has no "paper" bound
KEEPING = ("MS1", "MS2", "MS3", "H1", "H2", "ResNet")
SCALE = 1000  # of the last layer in the control: more than the slack of one layer's bound


class Stretched(pyham.Network):
    """A network whose last stage is ``factor`` times what its parameters say: bounds computed from them fail."""

    def __init__(self, net: pyham.Network, factor: float) -> None:
        super().__init__(net.arch, dict(net.params))
        self._factor = factor

    def stages(self, dtype: object = None) -> Stages:
        stages = super().stages(dtype)
        W = stages.W.copy()
        W[-1:] *= stages.dtype.type(self._factor)
        return replace(stages, W=W)


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V5")
    for label, net in (("H2 trained", lab.trained), ("H2 before training", lab.untrained)):
        yield compare(label, net, lab.samples)
    for name in ("MS1", "MS2", "MS3", "H1", "H2", "ResNet", "MLP"):
        net = pyham.architecture(name, width=6, depth=32, step=1 / 32).init(rng)
        yield compare(f"{name} random, n = 6, N = 32", net, rng.standard_normal((20, 6)))
    yield many(10_000 if lab.full else 300, rng)


def many(count: int, rng: np.random.Generator) -> Result:
    """The sharp bound on ``count`` random networks of all kinds; in the note, the median of each bound / measured."""
    excesses, quartered, tightness = [], [], []
    for _ in range(count):
        name, activation = str(rng.choice(KEEPING)), str(rng.choice(list(pyham.ACTIVATIONS)))
        width, depth = 2 * int(rng.integers(1, 5)), int(rng.integers(1, 17))
        step = rng.uniform(0.1, 2) / depth
        arch = pyham.architecture(name, width=width, depth=depth, step=step, activation=activation)
        net = arch.init(rng, initialization=str(rng.choice(["normal", "scaled-normal"])))
        norm = np.log(singular_values(net, rng.standard_normal((2, width)))[0, :, 0].max())
        bound = np.array([bounds.log_upper(net, kind)[0] for kind in KINDS])
        unit = tolerance(net, np.float64)
        excesses.append((norm - bound[0]) / unit)
        quartered.append((norm - bound[0] / 4) / unit)
        tightness.append((bound - norm) / np.log(10))
    median = ", ".join(f"{kind} 10^{x:.2f}" for kind, x in zip(KINDS, np.median(tightness, axis=0), strict=True))
    label = f"{count} random networks"  # measured in units of each network's own tolerance
    note = f"median bound / measured: {median}"
    return Result(label, max(excesses), 1.0, max(quartered), "a quarter of the exponent", note)


def compare(label: str, net: pyham.Network, x: Array) -> Result:
    logs = [bounds.log_upper(net, kind) for kind in KINDS[: 3 if net.arch.keep else 2]]
    measured = excess(net, x, logs)
    control = excess(Stretched(net, SCALE), x, logs)
    size = np.log(singular_values(net, x)[..., 0].max())
    found = ", ".join(f"{kind} 10^{(log[0] - size) / np.log(10):.1f}" for kind, log in zip(KINDS, logs, strict=False))
    control_case = f"last layer x {SCALE}"
    return Result(label, measured, tolerance(net, np.float64), control, control_case, f"bound / measured: {found}")


def excess(net: pyham.Network, x: Array, logs: list[Array]) -> float:
    """The largest violation of any inequality, as a logarithm; sigma_min's counts in units of its condition number."""
    sigma = singular_values(net, x)
    with np.errstate(divide="ignore"):
        above = (np.log(sigma[..., 0]) - logs[0][:, None])[:-1].max()
    order = max(float((low - high)[:-1].max()) for low, high in pairwise(logs))
    if not net.stages().shears:
        return max(float(above), order)
    condition = sigma[..., 0] / sigma[..., -1]
    below = ((-logs[0][:, None] - np.log(sigma[..., -1])) / condition)[:-1].max()
    return max(float(above), order, float(below))


def singular_values(net: pyham.Network, x: Array) -> Array:
    return np.linalg.svd(net.sensitivity(x), compute_uv=False)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    """What each bound exceeds the largest measured norm by, layer by layer."""
    nets = (("H2 before training", lab.untrained, lab.samples), ("H2 trained", lab.trained, lab.samples))
    figure, axes = panels(2, width=4.5)
    for axis, (label, net, x) in zip(axes, nets, strict=True):
        measured = np.log10(singular_values(net, x)[..., 0].max(axis=1))
        for kind, colour in zip(KINDS, (BLUE, GREEN, RED), strict=True):
            excess = bounds.log_upper(net, kind) / np.log(10) - measured
            axis.plot(excess, color=colour, label={"paper": "exponential"}.get(kind, kind))
        axis.set_yscale("symlog", linthresh=1)
        axis.set_xlabel("layer j")
        axis.set_title(label, loc="left", fontsize=10)
    axes[0].set_ylabel(r"$\log_{10}$(bound / largest measured $\|\Phi_j\|$)")
    axes[0].legend(frameon=False)
    yield (
        "How far the three upper bounds lie above the largest measured norm, in powers of ten (0 would be attained). "
        "The sharp bound has about half the exponent of the product; training moves all of them away.",
        figure,
    )

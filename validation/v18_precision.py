"""V18. It is rounding and nothing else: the residual is a multiple of eps, the same over forty digits of precision.

Statement: rho of V2, divided by the eps of the arithmetic, stays within a constant factor over float32, float64,
longdouble and 50 decimal digits. Source: symplecticity is exact (Galimberti et al., IEEE TAC 2023), so nothing but
rounding is left, and rounding errors are proportional to eps. Oracle: mpmath, whose precision is chosen; the NumPy
engine computes in all four arithmetics, and rho is formed in the same arithmetic. Number: the largest rho over layers
and samples, and the largest over the smallest rho / eps of the four. Tolerance: c eps (stages), c = 4, as in V2; for
the factor the square root of the number of stages s, because rounding errors of random signs add up to sqrt(s) eps and
those of one sign to s eps, so a larger factor would mean that the errors are systematic in one of the arithmetics.
Control: forward Euler with the same weights, whose rho is a property of the method and stays as eps falls. Weights are
float64 numbers in every arithmetic, rounded to float32 in the first; h is a power of two where J is not of 0 and 1, so
that h J is exact in float64.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham._check import multiprecision
from pyham.verification import neighbours
from validation.claim import Array, Lab, Result
from validation.look import BLUE, RED, panels
from validation.v02_symplectic import CONSTANT

STATEMENT = "rho / eps is the same, within a factor, in float32, float64, longdouble and 50 digits"

DIGITS = 50


class PrecisionCase(NamedTuple):
    """A network and samples x (B, n) in float64."""

    label: str
    net: pyham.Network
    x: Array


class Arithmetic(NamedTuple):
    """A dtype, by its name; object stands for ``DIGITS`` decimal digits."""

    name: str
    dtype: type

    @property
    def eps(self) -> float:
        """Distance from 1 to the next number."""
        if self.dtype is not object:
            return float(np.finfo(self.dtype).eps)
        import mpmath

        with self.precision():
            return float(mpmath.eps)

    def precision(self) -> AbstractContextManager[Any]:
        """What to compute in."""
        if self.dtype is not object:
            return nullcontext()
        import mpmath

        return mpmath.workdps(DIGITS)

    def convert(self, x: Array) -> Array:
        return multiprecision(x) if self.dtype is object else x.astype(self.dtype)


def arithmetics() -> list[Arithmetic]:
    """NumPy's three; and mpmath's, which is an extra, where it is installed."""
    found = [Arithmetic(dtype.__name__, dtype) for dtype in (np.float32, np.float64, np.longdouble)]
    return found + [Arithmetic(f"{DIGITS} digits", object)] * (importlib.util.find_spec("mpmath") is not None)


def check(lab: Lab) -> Iterator[Result]:
    missing = "" if importlib.util.find_spec("mpmath") else f"mpmath is not installed: without {DIGITS} digits"
    for case in cases(lab):
        stages = len(case.net.stages().A)
        euler = case._replace(net=neighbours.forward_euler(case.net))
        exact, broken = [], []
        for arithmetic in arithmetics():
            measured, control = rho(case, arithmetic), rho(euler, arithmetic)
            tolerance = CONSTANT * arithmetic.eps * stages
            yield Result(f"{case.label}, {arithmetic.name}", measured, tolerance, control, "forward Euler")
            exact.append(measured / arithmetic.eps)
            broken.append(control / arithmetic.eps)
        note = ("rho / eps " + " / ".join(f"{ratio:.1f}" for ratio in exact) + f". {missing}").strip(". ")
        yield Result(f"{case.label}, factor", spread(exact), stages**0.5, spread(broken), "forward Euler", note)


def cases(lab: Lab) -> list[PrecisionCase]:
    """The trained network, and random ones with any X, another scheme and other architectures."""
    rng = lab.rng("V18")
    depth, samples = (32, 2) if lab.quick else (128, 4)
    X = rng.standard_normal((2, 2)) + 2 * np.eye(2)
    random: dict[str, pyham.Architecture] = {
        "H2, any X": pyham.H2(width=4, depth=depth, step=1 / 16, X=X),
        "MS3, Verlet": pyham.MS3(width=4, depth=depth, step=1 / 16, scheme="verlet"),
        "MS1, one A": pyham.MS1(width=4, depth=depth, step=1 / 16),
    }
    found = [PrecisionCase("H2 trained", lab.trained, lab.samples[:4])]
    for label, arch in random.items():
        start = {"A": rng.standard_normal((2, 2))} if arch.name == "MS1" else "normal"
        found.append(PrecisionCase(label, arch.init(rng, initialization=start), rng.standard_normal((samples, 4))))
    return found


def rho(case: PrecisionCase, arithmetic: Arithmetic) -> float:
    """max over layers and samples of ||Phi^T J Phi - J|| / (||J|| max(1, ||Phi||^2)), Frobenius, in that arithmetic."""
    with arithmetic.precision():
        phi = case.net.sensitivity(arithmetic.convert(case.x), backend="reference")
        if case.net.arch.J is None:  # J = K^-T; without the inverse, Phi K^T Phi^T = K^T
            phi, J = phi.swapaxes(-1, -2), arithmetic.convert(case.net.K[0].T)
        else:
            J = arithmetic.convert(case.net.arch.J)
        defect = phi.swapaxes(-1, -2) @ J @ phi - J
        size = (phi * phi).sum(axis=(-1, -2))
        ratio = (defect * defect).sum(axis=(-1, -2)) / (J * J).sum() / np.where(size > 1, size * size, 1)
        return float(np.sqrt(float(ratio.max())))


def spread(ratios: list[float]) -> float:
    return max(ratios) / min(ratios)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    kinds = arithmetics()
    figure, (axis,) = panels(1, width=7.5)
    for case, marker in zip(cases(lab), "osd^", strict=True):
        for net, colour in ((case.net, BLUE), (neighbours.forward_euler(case.net), RED)):
            ratios = [rho(case._replace(net=net), kind) / kind.eps for kind in kinds]
            label = case.label if colour == BLUE else f"{case.label}, forward Euler"
            axis.plot([kind.name for kind in kinds], ratios, color=colour, marker=marker, linewidth=0.8, label=label)
    axis.set(yscale="log", ylabel=r"residual $\rho$ / eps")
    axis.set_ylim(bottom=1e-3)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    yield (
        "Residual of symplecticity in units of the arithmetic's eps. That of the symplectic networks is a few eps in "
        "all of them; forward Euler's is a property of the method, and the larger in eps the more digits there are.",
        figure,
    )

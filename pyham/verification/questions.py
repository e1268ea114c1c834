"""What a certificate asks of a network on given samples: numbers, tolerances, and neighbours to be told apart."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from pyham.engines.choice import Backend, select
from pyham.network import Network
from pyham.verification import bounds, neighbours, rounding, symplectic
from pyham.verification.laws import Measure
from pyham.verification.matrices import LARGE, MatrixNumbers
from pyham.verification.measurements import Passes, Reading
from pyham.verification.structure import error_of, log_factors, structure, symplectic_by_design

Array = np.ndarray[Any, Any]

FEW = 8  # samples of a control that takes passes of its own


class Subject:
    """A network on samples, of which the first ``full`` have their whole sensitivities."""

    def __init__(self, net: Network, y: Array, full: int, backend: Backend) -> None:
        self.net, self.engine, self.full = net, select(backend, y.dtype), full
        self.passes = Passes(net.stages(y.dtype), net.arch, y, self.engine, log_factors(net))
        self.J, self.exact = structure(net), symplectic_by_design(net)
        self.error_of_J, self.damped = error_of(net), bool(self.passes.log_c.any())
        self.phi = MatrixNumbers(self.passes, full, self.J, self.exact, self.error_of_J)

    @cached_property
    def euler(self) -> MatrixNumbers:
        """Those of forward Euler with the same weights, on a few samples."""
        few = min(FEW, self.full) if self.passes.n <= LARGE else 1
        stages = neighbours.euler_stages(self.passes.stages)
        twin = Passes(stages, self.net.arch, self.passes.x[:few], self.engine)
        return MatrixNumbers(twin, few, self.J, False, self.error_of_J, compared=False)

    def facts(self) -> dict[str, float]:
        """Norms of Phi_0 over samples, the norm of the batch mean, which hides them, and the a-priori bounds."""
        kinds = bounds.KINDS if self.net.arch.keep else bounds.KINDS[1:]
        dtype = self.passes.x.dtype
        found = {f"{kind} bound": float(bounds.upper(self.net, kind, dtype=dtype)[0]) for kind in kinds}
        root = float(np.exp(self.passes.log_c[0] / 2))
        if self.damped:
            found = {"sqrt(c)": root} | found
        if self.full:
            smallest, median, most = root * np.quantile(self.phi.found["2"][0], (0, 0.5, 1))
            norms = {"smallest norm": smallest, "median": median, "largest": most}
            if self.passes.n <= LARGE:
                mean = root * self.phi.kept[0].astype(np.float64).mean(axis=0)
                norms["norm of the batch mean"] = symplectic.norms(mean)["2"]
            found = {name: float(value) for name, value in norms.items()} | found
        return found


class Question(NamedTuple):
    """A check before it is measured; controls are neighbours, nearest first, of which one must be told from it."""

    name: str
    statement: str
    guaranteed: bool
    measure: Callable[[], Reading]
    controls: tuple[tuple[str, Callable[[], Reading]], ...] = ()
    blind: str = "rounding errors exceed what neighbours change"  # why none may be told


def questions(of: Subject) -> Iterator[Question]:
    passes, phi, J, exact = of.passes, of.phi, of.J, of.exact
    shears = passes.stages.shears

    yield Question(
        "forward pass", "y_j+1 = F_j(y_j), by the reference", True, passes.forward,
        (("sign of y_j+1 flipped", lambda: passes.forward(-1)),), "all states are smaller than rounding errors",
    )  # fmt: skip
    yield Question(
        "sensitivities", "Phi_j = X_j^T Phi_j+1", True, phi.against_forward,
        (("sign of Phi_j flipped", lambda: phi.against_forward(-1)),),
    )  # fmt: skip
    yield Question(
        "backpropagation", "delta_j = X_j^T delta_j+1", True, passes.backward,
        (("sign of delta_j flipped", lambda: passes.backward(-1)),),
    )  # fmt: skip

    one = "c" if of.damped else "1"
    undamped = np.exp(passes.log_c[:-1] / 2)

    def asked(name: str, of_phi: str, statement: str, promised: bool, scale: float = 2.0) -> Question:
        doubled = f"outputs multiplied by {scale:.2g}"
        controls: list[tuple[str, Callable[[], Reading]]] = [(doubled, lambda: phi.reading(of_phi, scale))]
        if of.damped and promised:
            controls.insert(0, ("c replaced by 1", lambda: phi.reading(of_phi, undamped)))
        elif exact and of_phi != "smallest":
            controls.insert(0, ("forward Euler, same weights", lambda: of.euler.reading(of_phi)))
        return Question(name, statement, promised, lambda: phi.reading(of_phi), tuple(controls))

    small = passes.n <= LARGE
    if J is not None:
        yield asked("symplectic", "defect", "Phi^T J Phi = c J" if of.damped else "Phi^T J Phi = J", exact)
        if phi.invertible and small:
            yield asked("eigenvalues", "eigenvalues", f"eigenvalues in pairs l, {one}/l", exact)
        if phi.orthogonal and small:
            yield asked("singular values", "pairs", f"singular values in pairs s, {one}/s", exact)
        if exact and of.full < len(passes.x):
            yield _two_form(of)
    if small and (shears or phi.invertible):
        yield asked("determinant", "det", "det Phi = c^(n/2)" if of.damped else "det Phi = 1", shears)
    halved = 0.5 / max(1.0, float(np.nan_to_num(phi.found["2"][:-1], posinf=1.0).max(initial=1.0)))
    yield asked(
        "norms", "smallest", "every norm of Phi >= sqrt(c)" if of.damped else "every norm of Phi >= 1", shears, halved
    )
    if of.net.arch.name == "H1":
        lossy = of.net.arch.coupling is not of.net.arch.J or bool(of.net.arch.fading() is not None)
        statement = "(D - k I) (J - R)^T symmetric" if lossy else "D J D^T - J = h^2 (JS) J (JS)^T"
        doubled = "every layer's D doubled"
        yield Question("euler defect", statement, True, lambda: _euler(of), ((doubled, lambda: _euler(of, 2.0)),))
    log_upper = bounds.log_upper(of.net, dtype=passes.x.dtype)
    beyond = "outputs scaled beyond the bound"

    def scaled() -> Reading:
        norm = phi.found["2"][:-1]
        log_norm = np.log(norm) + passes.log_c[:-1, None] / 2
        return phi.above(log_upper, np.where(norm > 0, np.log(2) + log_upper[:-1, None] - log_norm, 0))

    yield Question("upper bound", "||Phi_j|| <= sharp bound", True, lambda: phi.above(log_upper), ((beyond, scaled),))
    for law in of.net.arch.laws():
        control = law.neighbour, partial(_of_law, of, law.control)
        yield Question(law.name, law.statement, True, partial(_of_law, of, law.measure), (control,))
    if shears:
        beyond_both = float(np.log(3) + 2 * (log_upper - passes.log_c / 2).max())
        statement = f"{one}/bound <= |delta_j|/|delta_N| <= bound"
        yield Question(
            "gradients", statement, True, lambda: _gradients(of, log_upper),
            (("delta_N scaled beyond the bound", lambda: _gradients(of, log_upper, beyond_both)),),
        )  # fmt: skip


def _of_law(of: Subject, measure: Measure) -> Reading:
    """The numbers of a law of the architecture's own, and their tolerances, on the samples with whole sensitivities."""
    shape = of.passes.stages.depth, of.full
    measured, tolerance = (np.asarray(part, np.float64) for part in measure(of.net, of.passes.x[: of.full]))
    return Reading(np.broadcast_to(measured, shape), np.broadcast_to(tolerance, shape))


def _gradients(of: Subject, log_upper: Array, log_scale: float = 0.0) -> Reading:
    """By how much log(||delta_j|| / ||delta_N||) leaves the bounds; with delta_N multiplied by exp(log_scale) after.

    Divided by sqrt(c_j) both ways are equally far; the bound of that leaves room for the rounding of c_j, too.
    """
    passes = of.passes
    at, half = passes.at, passes.log_c[:-1, None] / 2
    ratio = np.log(bounds.gradient_ratio(passes.deltas[0])[:-1]) - log_scale
    error = rounding.log_norm(at._replace(error=at.error * np.maximum(1, at.stretch) ** 2), 1)[:-1, None]
    excess = np.abs(ratio) - (log_upper[:-1, None] - half)
    of_c = rounding.behind(at.keeping.sum(axis=1))[:-1, None]
    return Reading(excess, np.broadcast_to(error + of_c + rounding.gamma(passes.n + 8, rounding.U), excess.shape))


def _two_form(of: Subject) -> Question:
    """w(Phi_j u, Phi_j v) = w(u, v) for one pair u, v of every sample, w(a, b) = a^T J b."""
    passes, J = of.passes, of.J
    assert J is not None

    def measure(scale: float = 1.0) -> Reading:
        a, b = passes.deltas
        sizes = [np.linalg.norm(d, axis=-1) for d in (a, b)]
        form = np.einsum("jbc,jbc->jb", a, b @ J.T)
        largest = np.maximum(sizes[0] * sizes[1], sizes[0][-1] * sizes[1][-1])[:-1]
        allowed = rounding.defect(passes.at, sizes[0], sizes[1], passes.stages.shears)[:-1] * scale**2
        of_J = of.phi.size_of_J
        rest = 4 * (rounding.gamma(2 * passes.n, rounding.U) + of.error_of_J) * scale**2
        return Reading(np.abs(scale**2 * form[:-1] - form[-1]) / (of_J * largest), allowed / largest + rest)

    statement = f"w(Phi u, Phi v) = {'c ' if of.damped else ''}w(u, v), {len(passes.x)} samples"
    return Question("two-form", statement, True, measure, (("outputs multiplied by 2", lambda: measure(2.0)),))


def _euler(of: Subject, factor: float = 1.0) -> Reading:
    """||D J D^T - J - (D - I) J (D - I)^T||_F: zero when D - I = h J S, since J S J is symmetric.

    It is the norm of Z J^T - J Z^T for Z = D - I. With D = k I + t (J - R) S it is Z (J - R)^T for Z = D - k I that is
    symmetric, as S is; D J D^T - J then follows in closed form (``pyham.verification.euler``).
    """
    passes, n, arch = of.passes, of.passes.n, of.net.arch
    assert arch.coupling is not None
    J, k = np.asarray(arch.coupling, np.float64), float(np.max(bounds.keeps(passes.stages), initial=0.0))
    measured, sizes = [], []
    for j in range(passes.stages.depth):
        phi = passes.engine.sensitivities(passes.stages.layers(j, j + 1), passes.trace.states[j][: of.full])
        D = factor * phi[0].swapaxes(-1, -2).astype(np.float64)
        both = (D - k * np.eye(n)) @ J.T
        measured.append(np.linalg.norm(both - both.swapaxes(-1, -2), axis=(-2, -1)))
        sizes.append(np.linalg.norm(D, axis=(-2, -1)))
    shape = passes.stages.depth, of.full
    size = np.maximum(1, np.array(sizes).reshape(shape)) ** 2 * np.linalg.norm(J)
    at, norm = passes.at, float(np.linalg.norm(J, 2))
    error = norm * (2 * at.error[:, 0] * np.sqrt(n) + at.lowering[:, 0])[:, None]
    total = (
        np.linalg.norm(np.abs(J), 2) * 4 * rounding.gamma(2 * n + 8, rounding.U) * np.array(sizes).reshape(shape) ** 2
    )
    return Reading(np.array(measured).reshape(shape) / size, (error + total + rounding.U * norm * n) / size, size)

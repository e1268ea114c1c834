"""What holds of the sensitivity matrices of stages on given samples: numbers of every Phi_j, and their tolerances.

Of damped networks they are those of Psi_j = Phi_j / sqrt(c_j), which is symplectic where Phi_j^T J Phi_j = c_j J.
"""

from functools import cached_property
from typing import Any

import numpy as np

from pyham.engines.contract import MATRICES
from pyham.verification import rounding, symplectic
from pyham.verification.measurements import Passes, Reading

Array = np.ndarray[Any, Any]

LARGE = 512  # numbers of a state: of larger matrices no singular values are computed, and norms are bounded from below
POWERS = 20  # steps of the power method: each gives a lower bound of the 2-norm
EIGENVALUES = 4e9  # operations that eigenvalues may take: in wide and deep networks not every matrix has its own


class MatrixNumbers:
    """Numbers of Phi_0 .. Phi_N (N + 1, B) for the first ``full`` samples of ``passes``.

    ``J`` is the matrix that they should be symplectic for, if there is one, known to the relative ``error_of_J``, and
    ``by_design`` whether theory says so.
    ``compared``: layer by layer with the forward pass's derivative, too.
    """

    def __init__(
        self, passes: Passes, full: int, J: Array | None, by_design: bool, error_of_J: float, compared: bool = True
    ) -> None:
        self.compared, self.error_of_J = compared, error_of_J
        self.passes, self.full, self.J, self.by_design = passes, full, J, by_design
        self.n, self.depth, self.shears = passes.n, passes.stages.depth, passes.stages.shears
        sigma = None if J is None else np.linalg.svd(J, compute_uv=False) if self.n <= LARGE else np.ones(self.n)
        self.invertible = sigma is not None and bool(sigma[-1] > 8 * rounding.lapack(self.n) * sigma[0])
        self.condition = float(sigma[0] / sigma[-1]) if sigma is not None and self.invertible else np.inf
        self.size_of_J = 1.0 if sigma is None else float(sigma[0])
        self.orthogonal = self.n > LARGE or (J is not None and symplectic.is_orthogonal(J))

    # Numbers

    @cached_property
    def found(self) -> dict[str, Array]:
        """Numbers by name, each (N + 1, B); and how far layers are from the forward pass's derivative, (N, B)."""
        passes, b = self.passes, self.full
        stages, states, x = passes.stages, passes.trace.states, passes.x
        segment = max(1, min(self.depth, MATRICES // max(1, b * self.n**2 * 8)))
        last: Array = np.broadcast_to(np.eye(self.n, dtype=x.dtype), (b, self.n, self.n))
        rows, gaps = [self.numbers(last[None].astype(np.float64), self.depth)], []
        self.kept, grown = {self.depth: last}, passes.grown
        for stop in range(self.depth, 0, -segment):
            start = max(0, stop - segment)
            phi = passes.engine.sensitivities(stages.layers(start, stop), states[start][:b], last)
            rows.append(self.numbers(phi[:-1].astype(np.float64) * grown[start:stop, None, None, None], start))
            for j in reversed(range(start, stop if self.compared else start)):
                behind = last if j + 1 == stop else phi[j + 1 - start]  # not what the engine makes of it
                gaps.append(self._gap(j, phi[j - start], behind))
            self.kept |= {
                j: phi[j - start].astype(np.float64) * grown[j] for j in (0, self.depth - 1) if start <= j < stop
            }
            last = phi[0]
        found = {name: np.concatenate([row[name] for row in rows[::-1]]) for name in rows[0]}
        return found | ({"gap": np.array(gaps[::-1]).reshape(self.depth, 3, b)} if self.compared else {})

    def numbers(self, phi: Array, start: int) -> dict[str, Array]:
        """Numbers of matrices (M, B, n, n) of the layers from ``start`` on."""
        finite: Array = np.asarray(np.isfinite(phi).all(axis=(-1, -2)))
        safe = np.where(finite[..., None, None], phi, 0)
        size = np.abs(safe)
        norms = [size.sum(axis=-2).max(axis=-1, initial=0), size.sum(axis=-1).max(axis=-1, initial=0)]
        found = {"fro": rounding.length(safe, 2)}
        if self.n <= LARGE:
            sigma = np.linalg.svd(safe, compute_uv=False)
            found |= {"2": sigma[..., 0], "least": sigma[..., -1], "most": sigma[..., 0]}
            norms += [sigma[..., 0], sigma.sum(axis=-1)]
            sign, log = np.linalg.slogdet(safe)
            found["det"] = np.where(sign > 0, np.abs(log), np.inf)
            found["pairs"] = np.abs(sigma * sigma[..., ::-1] - 1).max(axis=-1)
        else:
            found["2"] = np.maximum(_power(safe), found["fro"] / np.sqrt(self.n))
            found["least"] = np.zeros_like(found["2"])
            found["most"] = np.minimum(found["fro"], np.sqrt(norms[0] * norms[1]))
            norms.append(found["2"])
        found["smallest"] = np.min([*norms, found["fro"]], axis=0)
        if self.J is not None:
            found["defect"] = np.linalg.norm(safe.swapaxes(-1, -2) @ (self.J @ safe) - self.J, axis=(-2, -1))
            if self.invertible and self.n <= LARGE:
                found["eigenvalues"], found["missed"] = self._eigenvalues(safe, start)
        return {name: np.where(finite, value, np.nan) for name, value in found.items()}

    def _eigenvalues(self, phi: Array, start: int) -> tuple[Array, Array]:
        """max over eigenvectors v, Phi v = l v, of ||l Phi^T J v - J v||: 1/l is an eigenvalue of Phi^T, with J v.

        Behind it the largest ||Phi v - l v||, which may exceed LAPACK's usual error where parts of Phi differ in size.
        """
        every = max(1, int(30 * self.n**3 * (self.depth + 1) * self.full / EIGENVALUES))
        number = np.arange(start * self.full, start * self.full + phi.shape[0] * phi.shape[1]).reshape(phi.shape[:2])
        chosen = number % every == 0
        found, missed = np.zeros(chosen.shape), np.zeros(chosen.shape)
        P = phi[chosen]
        values, vectors = np.linalg.eig(P)
        Jv = self.J @ vectors
        rest = values[:, None, :] * (P.swapaxes(-1, -2) @ Jv) - Jv
        found[chosen] = np.linalg.norm(rest, axis=-2).max(axis=-1, initial=0)
        missed[chosen] = np.linalg.norm(P @ vectors - values[:, None, :] * vectors, axis=-2).max(axis=-1, initial=0)
        return found, missed

    def _gap(self, j: int, phi: Array, behind: Array) -> Array:
        """||Phi_j^T u - Phi_{j+1}^T X_j u||, ||-Phi_j^T u - ..||, and what X_j u errs in it (3, B): largest over u."""
        X, error = self.passes.derivative(j, self.full)
        grown = self.passes.grown[j]
        left, right = self.passes.directions @ (grown * phi.astype(np.float64)), X @ (grown * behind.astype(np.float64))
        of_slopes = error @ np.abs(grown * behind.astype(np.float64))
        rows = (left - right, left + right, of_slopes)
        return np.array([rounding.length(row).max(axis=1, initial=0) for row in rows])

    # Tolerances

    @cached_property
    def defect_error(self) -> Array:
        """||D_j|| / ||J|| at most, (N + 1, B)."""
        return rounding.defect(self.passes.at, self.found["fro"], None, self.shears)

    @cached_property
    def determinant_error(self) -> Array:
        """|log det Phi_j| at most, (N + 1, B), but for LAPACK's own error."""
        return rounding.log_determinant(self.passes.at, self.found["fro"], self.inverse, self.n, self.shears)

    @cached_property
    def inverse(self) -> Array:
        """||Phi_j^-1||_2 at most, (N + 1, B): the smallest of what is known."""
        least = self.found["least"] - rounding.lapack(self.n) * self.found["2"]
        bound = np.where(least > 0, 1 / np.where(least > 0, least, 1), np.inf)
        if self.shears:
            logs = rounding.behind(np.log(self.passes.at.stretch).sum(axis=1))
            bound = np.minimum(bound, np.exp(np.minimum(logs, 700))[:, None] * (1 + 1e-9))
        if self.by_design and self.invertible:
            bound = np.minimum(bound, 2 * self.condition * self.found["most"])
        return bound

    # What a certificate asks

    def reading(self, name: str, scale: float | Array = 1.0) -> Reading:
        """One of the questions below, over the layers 0 .. N - 1.

        With a ``scale``, of the layers 0 and N - 1 of a network whose outputs are multiplied by it: a control. One
        number, or one for every layer (N,).
        """
        found, layers = self.found, slice(0, self.depth)
        where: Any = layers
        if np.ndim(scale) or scale != 1:
            where = sorted(j for j in self.kept if j < self.depth)
            factors = np.broadcast_to(scale, self.depth)
            rows = [self.numbers(factors[j] * self.kept[j][None].astype(np.float64), 0) for j in where]
            scale = factors[where][:, None]
            found = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        else:
            found = {key: value[layers] for key, value in found.items() if key != "gap"}
        size = np.maximum(1, found["fro"]) ** 2
        of_J = 1.0 if self.J is None else float(np.linalg.norm(self.J)) / self.size_of_J
        measuring = 2 * rounding.gamma(2 * self.n, rounding.U) + 2 * self.error_of_J
        allowed = self.defect_error[where] * scale**2 + measuring * found["fro"] ** 2
        own = rounding.lapack(self.n)
        if name == "defect":
            measured = found["defect"] / (of_J * self.size_of_J * size)
            return Reading(measured, allowed / (of_J * size) + rounding.U, size)
        if name == "eigenvalues":
            of_lapack = own * found["fro"] ** 2 + found["missed"] * found["fro"]
            return Reading(found[name] / (self.size_of_J * size), (allowed + of_lapack) / size, size)
        if name == "pairs":
            size = np.maximum(1, found["2"]) ** 2
            return Reading(found[name] / size, (allowed + 2 * own * found["2"] ** 2) / size, size)
        inverse = self.inverse[where] / scale
        if name == "det":
            own = own * np.sqrt(self.n) * found["fro"] * inverse
            return Reading(found[name], self.determinant_error[where] + own)
        return Reading(1 - found["smallest"], self.determinant_error[where] / self.n + own)

    def against_forward(self, sign: int = 1) -> Reading:
        """Phi_j against the derivative of layer j and Phi_{j+1}."""
        gap = self.found["gap"]
        return self.passes.compared(list(gap[:, 0 if sign == 1 else 1]), list(gap[:, 2]), self.found["fro"])

    def above(self, log_upper: Array, log_scale: float | Array = 0.0) -> Reading:
        """By how much log ||Phi_j|| exceeds a bound (N + 1,); ``log_scale``: of outputs multiplied by exp of that."""
        norm, log_scale = self.found["2"][:-1], log_scale + self.passes.log_c[:-1, None] / 2
        tiny = self.n * self.depth * 1e3 * float(np.finfo(self.passes.x.dtype).tiny)
        normal = norm > tiny * self.passes.grown[:-1, None]
        excess = np.where(normal | np.isnan(norm), np.log(np.where(normal, norm, 1)) + log_scale, -np.inf)
        excess = np.where(np.isnan(norm), np.nan, excess - np.where(normal, log_upper[:-1, None], 0))
        at = self.passes.at
        if at.stretch.shape[1] == 1:  # the bound of a layer, which may be below the stage's: errors are relative to it
            steps = np.exp(log_upper[:-1] - log_upper[1:])[:, None] if np.isfinite(log_upper).all() else at.stretch
            at = at._replace(stretch=np.minimum(at.stretch, steps))
        error = rounding.log_norm(at, self.n)[:-1, None] + rounding.lapack(self.n)
        return Reading(excess, np.broadcast_to(error, excess.shape))


def _power(phi: Array) -> Array:
    """Lower bounds (...) of the 2-norm of matrices (..., n, n), by the power method."""
    v = np.random.default_rng(0).standard_normal((*phi.shape[:-1], 1))
    length = np.zeros(phi.shape[:-2])
    for _ in range(POWERS):
        v = v / np.maximum(np.linalg.norm(v, axis=-2, keepdims=True), np.finfo(np.float64).tiny)
        w = phi @ v
        length = np.maximum(length, np.linalg.norm(w, axis=(-2, -1)))
        v = phi.swapaxes(-1, -2) @ w
    return length

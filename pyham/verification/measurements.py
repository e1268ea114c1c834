"""What a network does on given samples, as the numbers that a certificate compares; and what its design promises."""

from functools import cached_property
from typing import Any

import numpy as np

from pyham.engines.choice import Backend
from pyham.engines.results import Trace
from pyham.network import Network
from pyham.verification import bounds, euler, symplectic

Array = np.ndarray[Any, Any]

STRETCH = 1000  # by how much a control exceeds the bound of the last layer


class Evidence:
    """What one network does on given samples: states, BSMs, a backward pass, and the numbers that checks compare."""

    def __init__(self, net: Network, x: object, backend: Backend) -> None:
        self.net, self.x, self.backend = net, x, backend

    @cached_property
    def states(self) -> Array:
        return self.net.trace(self.x, backend=self.backend).states

    @cached_property
    def phi(self) -> Array:
        return self.net.sensitivity(self.x, backend=self.backend)

    def moves(self) -> bool:
        """Whether there are layers and samples, and some Phi_j is not I: else there is nothing to break."""
        return bool((self.phi[:-1] != np.eye(self.net.arch.width)).any())

    def last_layer(self) -> float:
        """max over samples of ||Phi_{N-1} - I||, or ||Phi_{N-1}|| where a layer replaces the state."""
        if not self.net.arch.depth:
            return 0.0
        n = self.net.arch.width
        rest = self.phi[-2].astype(np.float64) - (np.eye(n) if self.net.arch.keep else 0)
        return largest(np.linalg.norm(rest, axis=(-2, -1)))

    def stretch(self, log_upper: Array) -> float:
        """A factor for the last stage that takes Phi_{N-1} beyond the bound computed before."""
        effect = self.last_layer()
        bound = np.exp(min(log_upper[-2], 600.0)) if self.net.arch.depth else 1.0
        return float(STRETCH * max(1.0, bound / effect)) if 0 < effect < np.inf else STRETCH

    def euler_order(self) -> float:
        """max over layers and samples of ||D - I||_F^2: the order of forward Euler's defect, h^2 (JS) J (JS)^T."""
        D = euler.layer_jacobians(self.net, self.x, backend=self.backend).astype(np.float64)
        return largest(np.linalg.norm(D - np.eye(D.shape[-1]), axis=(-2, -1)) ** 2)

    def distance(self, other: "Evidence") -> float:
        """max over layers and samples of ||Phi_j - Phi'_j|| / max(1, ||Phi_j||)."""
        apart = np.linalg.norm((self.phi - other.phi).astype(np.float64), axis=(-2, -1))
        return largest(apart / np.maximum(1, self.size))

    @cached_property
    def size(self) -> Array:
        """||Phi_j||_2 (N + 1, B)."""
        return symplectic.norms(self.phi)["2"]

    @cached_property
    def output_gradient(self) -> Array:
        return np.random.default_rng(0).standard_normal(self.states.shape[1:]).astype(self.states.dtype)

    @cached_property
    def delta(self) -> Array:
        """delta_j (N + 1, B, n)."""
        return self.net.adjoint(Trace(self.states), self.output_gradient, backend=self.backend).delta

    def facts(self) -> dict[str, float]:
        """Norms of Phi_0 over samples, the norm of the batch mean, which hides them, and the a-priori bounds."""
        kinds = bounds.KINDS if self.net.arch.keep else bounds.KINDS[1:]
        found = {f"{kind} bound": float(bounds.upper(self.net, kind)[0]) for kind in kinds}
        if self.phi.shape[1]:
            mean = symplectic.norms(self.phi[0].astype(np.float64).mean(axis=0))["2"]
            smallest, median, most = np.quantile(self.size[0], (0, 0.5, 1))
            norms = {"smallest norm": smallest, "median": median, "largest": most, "norm of the batch mean": mean}
            found = {name: float(value) for name, value in norms.items()} | found
        return found

    def defect(self, of: Network) -> float:
        return largest(defect(self.phi, of))

    def determinant(self) -> float:
        return largest(symplectic.determinant(self.phi)[1])

    def eigenvalues(self, J: Array) -> float:
        return largest(symplectic.eigenvalue_pairing(self.phi, J))

    def singular_values(self) -> float:
        return largest(symplectic.singular_value_pairing(self.phi))

    def shortfall(self) -> float:
        """By how much the smallest of all norms of Phi_0 .. Phi_{N-1} falls below 1 (Phi_N = I tells nothing)."""
        return largest(1 - np.min(list(symplectic.norms(self.phi[:-1]).values()), axis=0))

    def euler(self, transpose: bool = True) -> float:
        return largest(euler.residual(self.net, self.x, transpose=transpose, backend=self.backend))

    def above(self, log_upper: Array) -> float:
        """By how much log ||Phi_j|| exceeds ``log_upper`` (N + 1,), over j < N."""
        return largest((np.log(self.size) - log_upper[:, None])[:-1])

    def outside(self, log_lower: Array, log_upper: Array) -> float:
        """By how much log(||delta_j|| / ||delta_N||) leaves [log_lower, log_upper] (N + 1,), over j < N."""
        ratio = np.log(bounds.gradient_ratio(self.delta))
        return largest(np.maximum(ratio - log_upper[:, None], log_lower[:, None] - ratio)[:-1])

    def backpropagation(self, sign: int = 1) -> float:
        """||delta_j - Phi_j delta_N|| / (||Phi_j|| ||delta_N||), which rounding keeps at a few eps a stage."""
        predicted = np.einsum("jbac,bc->jba", self.phi, sign * self.output_gradient)
        difference = np.linalg.norm((self.delta - predicted).astype(np.float64), axis=-1)
        size = self.size * np.linalg.norm(self.output_gradient, axis=-1)
        return largest(difference / np.where(size > 0, size, 1))


def symplectic_by_design(net: Network) -> bool:
    """Whether theory makes every Phi_j symplectic: H2 and MS3 always, MS1 while all layers share their weights."""
    return net.stages().shears and (net.arch.J is not None or structure(net) is not None)


def structure(net: Network) -> Array | None:
    """J (n, n) if the network has one that is the same in all layers, else None."""
    if net.arch.J is None and (
        not net.arch.depth or np.linalg.matrix_rank(net.K.astype(np.float64)).min() < net.arch.width
    ):
        return None  # J = K^-T does not exist
    J = net.interconnection
    return J if J is not None and J.ndim == 2 else None


def defect(phi: Array, net: Network, *, norm: str = "fro") -> Array:
    """rho (...) of phi (..., n, n) for the J of ``net``, which is the same in all layers.

    Where J = K^-T (MS1), the equivalent Phi K^T Phi^T = K^T is tested: inverting an ill-conditioned K would add errors
    that are not Phi's.
    """
    if net.arch.J is None:
        return symplectic.defect(phi.swapaxes(-1, -2), net.K[0].T, norm=norm)
    return symplectic.defect(phi, net.arch.J, norm=norm)


def largest(values: Array) -> float:
    """The largest entry as a float: NaN if one is NaN, 0 if there is none."""
    return float(np.max(values)) if np.size(values) else 0.0

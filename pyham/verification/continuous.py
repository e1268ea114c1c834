"""The equation behind a network: y' = J K(t)^T sigma(K(t) y + b(t)), integrated by SciPy to a tolerance.

A network with N layers of step h discretises, on [0, T] with T = N h, the equations

    state         y'     = f(t, y) = G(t) sigma(K(t) y + b(t))     G = J K^T, or G = I (MS1, MS2, ResNet)
    variational   X'     = (J S) X                                 J S = df/dy = G diag(sigma'(K y + b)) K
    adjoint       delta' = -(J S)^T delta

(Galimberti et al., IEEE TAC 2023; S is the Hessian of H; with damping f has -Gamma(t) y as well, Gamma = diag(g), and
J S becomes J S - Gamma). X and delta are dual: <delta, X v> does not depend on t. The
BSM of the equation is Phi(t) = dy(T)/dy(t) in denominator layout, the transpose of the X(T) that starts from I at t.

Weights are known per layer; between layers they are one of

- "constant": those of layer j on [j h, (j + 1) h). A layer split into k layers of step h / k with the same weights is
  the same equation, so this is the limit that refined networks converge to, with the order of their scheme.
- "linear": those of layer j at its midpoint (j + 1/2) h, linear between midpoints, constant before the first and after
  the last. Midpoints, not the nodes j h, because layer j acts on all of [j h, (j + 1) h): there are as many midpoints
  as layers, and reversing time reverses the layers.

Jumps at j h and kinks at midpoints would cost the solver its order, or be stepped over; so every smooth piece is a
solve of its own. ReLU's kinks depend on y; there the solver only takes small steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.activations import Activation
from pyham.network import Network
from pyham.verification import bounds
from pyham.verification.oscillator import period, period_derivative

__all__ = ["Field", "adjoint", "flow", "log_upper", "period", "period_derivative", "sensitivity"]

Array = np.ndarray[Any, Any]

RTOL = 1e-12
WEIGHTS = ("constant", "linear")


@dataclass(frozen=True, eq=False)
class Field:
    """f(t, y) = G(t) sigma(K(t) y + b(t)) - g(t) y and its derivative; ``Field.of(net)`` makes one from a network.

    Its methods take times t and states y (..., n). ``solve_ivp(field, (0, T), y0, jac=field.jacobian)`` uses it
    directly, for one sample y0 (n,); ``flow`` and ``sensitivity`` also mind the jumps of the weights.

    Parameters
    ----------
    K, G (N, n, n), b (N, n) : of every layer, N >= 1
    step : h
    weights : "constant" or "linear", how to read them between layers
    rates (N, n) : of damping, g, read between layers as the weights are; None stands for zeros
    """

    K: Array
    G: Array
    b: Array
    step: float
    activation: Activation
    weights: str = "constant"
    rates: Array | None = None

    @classmethod
    def of(cls, net: Network, weights: str = "constant") -> "Field":
        """The field of a network, in double precision.

        Raises
        ------
        TypeError, ValueError
            If ``weights`` is unknown, or ``net`` is no network, an MLP (it discretises no equation), complex, or empty.
        """
        _check.choice("weights", weights, WEIGHTS)
        if not isinstance(net, Network):
            raise TypeError(f"net: expected a Network, got {type(net).__name__}")
        net = net.settled
        arch = net.arch
        if not arch.keep:
            raise ValueError(f"net: expected a network that discretises an equation, got {arch.name}")
        if not arch.depth:
            raise ValueError("net: expected at least one layer, got depth 0")
        if net.dtype.kind == "c":
            raise TypeError(f"net: expected real parameters, got {net.dtype}")
        K, b = net.K.astype(np.float64), net.b.astype(np.float64)
        G = np.broadcast_to(np.eye(arch.width), K.shape) if arch.coupling is None else arch.coupling @ K.swapaxes(1, 2)
        return cls(K, G, b, arch.step, net.stages().activation, weights, arch.fading())

    @property
    def depth(self) -> int:
        return len(self.K)

    @cached_property
    def nodes(self) -> Array:
        """t_j = j h (N + 1,), the last of which is T."""
        return self.step * np.arange(self.depth + 1)

    @cached_property
    def _table(self) -> Array:
        """K, G, b and rates side by side (N, n, 2 n + 2), so that reading between layers is one operation."""
        rates = np.zeros_like(self.b) if self.rates is None else self.rates
        return np.concatenate([self.K, self.G, self.b[..., None], rates[..., None]], axis=-1)

    def at(self, t: float) -> tuple[Array, Array, Array]:
        """K (n, n), G (n, n) and b (n,) at time t; before 0 and after T those of the first and last layer."""
        return self._at(t)[:3]

    def _at(self, t: float) -> tuple[Array, Array, Array, Array]:
        """What ``at`` gives, and the rates of damping (n,)."""
        last, n = self.depth - 1, self.b.shape[1]
        if self.weights == "constant":
            # A search among the nodes, because floor(t / h) may miss j at t = j h by rounding.
            w = self._table[min(max(int(np.searchsorted(self.nodes, t, side="right")) - 1, 0), last)]
        else:
            position = min(max(t / self.step - 0.5, 0.0), float(last))
            j = min(int(position), max(last - 1, 0))
            w = (j + 1 - position) * self._table[j] + (position - j) * self._table[min(j + 1, last)]
        return w[:, :n], w[:, n:-2], w[:, -2], w[:, -1]

    def __call__(self, t: float, y: Array) -> Array:
        """f(t, y) (..., n)."""
        K, G, b, rates = self._at(t)
        driven = np.asarray(self.activation.sigma(y @ K.T + b) @ G.T)
        return driven if self.rates is None else driven - rates * y

    def linearised(self, t: float, y: Array) -> tuple[Array, Array]:
        """f(t, y) (..., n), and its ``jacobian``."""
        K, G, b, rates = self._at(t)
        a = y @ K.T + b
        f, JS = self.activation.sigma(a) @ G.T, G @ (self.activation.derivative(a)[..., :, None] * K)
        return (f, JS) if self.rates is None else (f - rates * y, JS - np.diag(rates))

    def jacobian(self, t: float, y: Array) -> Array:
        """J S = df/dy (..., n, n), entry [a, c] = d(f_a)/d(y_c); the same formula where G = I. Less diag(g)."""
        return self.linearised(t, y)[1]

    def variation(self, t: float, y: Array, X: Array) -> Array:
        """(J S) X, the derivative of X (..., n, n), or of any number of columns."""
        return np.asarray(self.jacobian(t, y) @ X)

    def adjoint(self, t: float, y: Array, delta: Array) -> Array:
        """-(J S)^T delta, the derivative of delta (..., n)."""
        return -np.einsum("...ac,...a->...c", self.jacobian(t, y), delta)

    def pieces(self, j: int) -> tuple[tuple["Field", float, float], ...]:
        """Layer j's interval cut where the field is not smooth: (field, from, to), in order."""
        start, stop = float(self.nodes[j]), float(self.nodes[j + 1])
        if self.weights == "constant":  # a field of one layer, because at the end ``self.at`` reads the next one's
            part = slice(j, j + 1)
            rates = None if self.rates is None else self.rates[part]
            return ((replace(self, K=self.K[part], G=self.G[part], b=self.b[part], rates=rates), start, stop),)
        middle = (start + stop) / 2
        return (self, start, middle), (self, middle, stop)


def flow(system: Network | Field, x: object, *, rtol: float = RTOL) -> Array:
    """States y(t_j) (N + 1, B, n) of the equation at t_j = j h from x = y(0) (B, n), as ``net.trace(x).states``.

    Parameters
    ----------
    system : a network, read with constant weights, or a ``Field``
    rtol : tolerance of DOP853 (Hairer, Norsett, Wanner, "Solving ODEs I"), relative and absolute, on the root mean
        square over all samples of a step's error; at least 100 eps

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or the network has no equation; see ``Field.of``.
    RuntimeError
        If the solver gives up, as where the solution overflows.
    """
    field, y, rtol = _arguments(system, x, rtol)
    states = np.empty((field.depth + 1, *y.shape))
    states[0] = y
    for j in range(field.depth):
        states[j + 1] = _cross(field, j, Field.__call__, states[j], rtol)
    return states


def sensitivity(system: Network | Field, x: object, *, rtol: float = RTOL) -> Array:
    """BSMs Phi_j = dy(T)/dy(t_j) (N + 1, B, n, n) along the flow from x (B, n), as ``net.sensitivity(x)``.

    The variational equation starts anew from I at every t_j, and Phi_j = X_j^T Phi_{j+1}, X_j = dy(t_{j+1})/dy(t_j): so
    the tolerance is relative to the growth of one layer, not to that of all. Arguments and errors: see ``flow``.
    """

    def both(piece: Field, t: float, z: Array) -> Array:  # z (B, n, 1 + n): y, and X to its right
        f, JS = piece.linearised(t, z[..., 0])
        return np.concatenate([f[..., None], JS @ z[..., 1:]], axis=-1)

    field, y, rtol = _arguments(system, x, rtol)
    identity = np.broadcast_to(np.eye(y.shape[1]), (*y.shape, y.shape[1]))
    phi = np.empty((field.depth + 1, *identity.shape))
    phi[-1] = identity
    for j in range(field.depth):
        z = _cross(field, j, both, np.concatenate([y[..., None], identity], axis=-1), rtol)
        y, phi[j] = z[..., 0], z[..., 1:].swapaxes(-1, -2)  # X_j^T, for now
    for j in reversed(range(field.depth)):
        phi[j] = phi[j] @ phi[j + 1]
    return phi


def adjoint(system: Network | Field, x: object, g: object, *, rtol: float = RTOL) -> Array:
    """delta(t_j) (N + 1, B, n) from g = delta(T) (B, n): the adjoint equation, solved backward along the flow from x.

    The state is integrated backward beside delta, anew from the forward solution at every t_j. Independent of
    ``sensitivity``, whose phi[j] @ g it equals. Other arguments and errors: see ``flow``.
    """

    def both(piece: Field, t: float, z: Array) -> Array:  # z (2, B, n): y and delta
        return np.stack([piece(t, z[0]), piece.adjoint(t, z[0], z[1])])

    field, y, rtol = _arguments(system, x, rtol)
    gradient = _real("g", g, y.shape)
    states = flow(field, y, rtol=rtol)
    delta = np.empty_like(states)
    delta[-1] = gradient
    for j in reversed(range(field.depth)):
        delta[j] = _cross(field, j, both, np.stack([states[j + 1], delta[j + 1]]), rtol, backward=True)[1]
    return delta


def log_upper(net: Network, weights: str = "constant") -> Array:
    """Bounds (N + 1,) on log ||Phi_j||_2 of the equation, for every sample: the integral of ``bounds.log_norm``.

    mu_2(J S) <= m(t) = (S_sigma / 2) ||J|| ||K(t)||^2 gives ||Phi_j|| <= exp(integral of m from t_j to T) (Coppel's
    inequality). With linear weights m is convex between midpoints, so that the trapezoidal rule bounds its integral:
    h / 2 (3 m_j / 4 + m_i / 4) over the half layer next to layer i.

    Raises
    ------
    ValueError
        If the network has no interconnection matrix that is the same in all layers, or ``weights`` is unknown.
    """
    growth = net.arch.step * bounds.log_norm(net)
    if _check.choice("weights", weights, WEIGHTS) == "linear":
        padded = np.concatenate([growth[:1], growth, growth[-1:]])
        growth = 0.75 * growth + 0.125 * (padded[:-2] + padded[2:])
    return np.append(growth[::-1].cumsum()[::-1], 0.0)


def _cross(
    field: Field, j: int, rhs: Callable[[Field, float, Array], Array], z: Array, rtol: float, *, backward: bool = False
) -> Array:
    """z at the other end of layer j, for z' = rhs(field, t, z), piece by piece."""
    from scipy.integrate import solve_ivp

    for piece, start, stop in reversed(field.pieces(j)) if backward else field.pieces(j):

        def flat(t: float, values: Array, piece: Field = piece, shape: tuple[int, ...] = z.shape) -> Array:
            return rhs(piece, t, values.reshape(shape)).ravel()

        if z.size:  # an error norm over no samples is 0 / 0
            span = (stop, start) if backward else (start, stop)
            solution = solve_ivp(flat, span, z.ravel(), "DOP853", rtol=rtol, atol=rtol)
            if not solution.success:
                raise RuntimeError(f"the solver stopped at t = {solution.t[-1]:.6g} in layer {j}: {solution.message}")
            z = np.asarray(solution.y[:, -1]).reshape(z.shape)
    return z


def _arguments(system: Network | Field, x: object, rtol: float) -> tuple[Field, Array, float]:
    field = system if isinstance(system, Field) else Field.of(system)
    least = 100 * float(np.finfo(np.float64).eps)
    if not least <= _check.positive("rtol", rtol) < 1:
        raise ValueError(f"rtol: expected a number from {least:.3g} to 1, got {rtol}")
    return field, _real("x", x, ("B", field.K.shape[-1])), float(rtol)


def _real(argument: str, value: object, shape: tuple[int | str, ...]) -> Array:
    array = _check.array(argument, value, shape)
    if array.dtype.kind == "c":
        raise TypeError(f"{argument}: expected a real dtype, got {array.dtype}")
    return array.astype(np.float64)

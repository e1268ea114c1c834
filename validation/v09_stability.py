"""V9. Marginal stability: eigenvalues of the linearised equation are imaginary, and semi-implicit Euler keeps them so.

Statement: J K^T D K has imaginary eigenvalues for skew J and positive diagonal D, and so has its transpose, which
drives the backward pass. With sigma(a) = a, of frequencies w, forward Euler multiplies by 1 + i h w, of modulus above
1, and semi-implicit Euler by numbers of modulus 1 while h w < 2. Source: Galimberti et al., L4DC 2021 (forward and
backward stability); semi-implicit Euler by Hairer, Lubich, Wanner, "Geometric Numerical Integration". Oracle:
eigenvalues by LAPACK, forward of Jacobians by complex step through the NumPy engine, backward of sensitivities from
the compiled one; frequencies from the symmetric eigenvalue problem of i R J R^T, R = D^(1/2) K, which has the same
nonzero eigenvalues. Number: the largest distance of an eigenvalue from where it should be, over ||V|| ||V^-1|| max(1,
||M||), V the eigenvectors of the matrix M. Tolerance: c n eps, c = 4, because LAPACK's eigenvalues are those of a
matrix that differs by a few n eps ||M||, by which an eigenvalue moves at most cond(V) times as far (Bauer and Fike,
1960); M = D - I takes its entries' rounding from the layer's Jacobian D. Control: J with one sign changed; the other
Euler method; h w > 2.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pyham
from pyham.architectures import interconnection
from pyham.verification import neighbours
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, RED, panels

STATEMENT = "J K^T D K: imaginary eigenvalues; forward Euler |1 + i h w| > 1, semi-implicit 1 while h w < 2"

CONSTANT = 4
FREQUENCIES = (0.5, 1.0, 1.9, 1.99)  # the largest h w of a network; semi-implicit Euler is stable below 2
UNSTABLE = 2.05


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V9")
    count = 8 if lab.quick else 200
    for label, width, J in structures(rng):
        nets = [one_layer(width, J, rng) for _ in range(count)]
        samples = [rng.standard_normal((4, width)) for _ in nets]
        for name, jacobians in (("forward", forward), ("backward", backward)):
            off, broken = [], []
            for net, x in zip(nets, samples, strict=True):
                eye = np.eye(width)
                off.append(distance(jacobians(net, x) - eye, np.real))
                broken.append(distance(jacobians(flipped(net), x) - eye, np.real))
            note = f"{count} networks, {count * len(samples[0])} samples"
            yield Result(f"{label}, {name}", max(off), limit(width), max(broken), "one sign in J", note)
    for name in ("MS1", "MS3", "H2"):
        for order in ("p-first", "q-first"):
            off, broken, sizes = [], [], []
            for hw in FREQUENCIES * (1 if lab.quick else 10):
                net = linear(name, order, hw, rng)
                off.append(distance(multipliers(net), unit))
                broken.append(distance(multipliers(linear(name, order, UNSTABLE, rng)), unit))
                sizes.append(np.abs(np.linalg.eigvals(multipliers(linear(name, order, UNSTABLE, rng)))).max())
            note = f"h w to {max(FREQUENCIES)}; at {UNSTABLE} the largest modulus is {np.mean(sizes):.2f}"
            case = f"h w = {UNSTABLE}"
            yield Result(f"{name} linear, {order}", max(off), limit(net.arch.width), min(broken), case, note)
    off, broken, smallest = [], [], []
    for hw in FREQUENCIES * (1 if lab.quick else 10):
        net = linear("H2", "p-first", hw, rng)
        euler = multipliers(neighbours.forward_euler(net))
        off.append(gap(euler, net))
        broken.append(gap(multipliers(net), net))
        smallest.append(np.abs(np.linalg.eigvals(euler)).min())
    note, case = f"smallest modulus 1 + {min(smallest) - 1:.1e}", "semi-implicit, same weights"
    yield Result("forward Euler linear", max(off), limit(net.arch.width), min(broken), case, note)


def structures(rng: np.random.Generator) -> list[tuple[str, int, Array]]:
    """Skew-symmetric J with labels and widths; a random one of odd width is singular."""
    found = [("J1, n = 8", 8, interconnection.J1(8)), ("J2, n = 8", 8, interconnection.J2(8))]
    for width in (6, 7):
        X = rng.standard_normal((width, width))
        found.append((f"random J, n = {width}", width, X - X.T))
    return found


def one_layer(width: int, J: Array, rng: np.random.Generator) -> pyham.Network:
    """One step of forward Euler with h = 1, so that its Jacobian is I + J K^T D K to rounding."""
    return pyham.H1(width=width, depth=1, interconnection=J).init(rng, initialization="scaled-normal")


def flipped(net: pyham.Network) -> pyham.Network:
    """The same with the sign of J's first nonzero entry changed, behind the back of the check that J is skew."""
    J = np.array(net.arch.J)
    J[tuple(np.argwhere(J)[0])] *= -1
    return _Driven(net, J)


class _Driven(pyham.Network):
    """A network whose stages use another J."""

    def __init__(self, net: pyham.Network, J: Array) -> None:
        super().__init__(net.arch, dict(net.params))
        self._J = J

    def stages(self, dtype: object = None) -> pyham.Stages:
        stages = super().stages(dtype)
        return replace(stages, W=self._J @ stages.A.swapaxes(1, 2) * self.arch.step)


def forward(net: pyham.Network, x: Array) -> Array:
    """Jacobians (B, n, n) of the output in the input, by complex step: entry [a, c] = d(y_1)_a / d(y_0)_c."""
    tiny = 1e-100
    moved = x[:, None] + 1j * tiny * np.eye(x.shape[1])
    out = net(moved.reshape(-1, x.shape[1]), backend="reference").imag / tiny
    return out.reshape(moved.shape).swapaxes(1, 2)


def backward(net: pyham.Network, x: Array) -> Array:
    """Backward sensitivity matrices (B, n, n), the transposes, by the engine's recursion."""
    return net.sensitivity(x)[0]


def linear(name: str, order: str, hw: float, rng: np.random.Generator) -> pyham.Network:
    """One layer with sigma(a) = a, n = 6, h = 1, weights scaled so that the largest frequency is ``hw``."""
    arch = pyham.architecture(name, width=6, depth=1, activation="identity", order=order)
    net = arch.init(rng, initialization="scaled-normal")
    power = 1 if net.arch.J is None else 2  # frequencies are of this degree in the weights
    scale = (hw / frequencies(net).max()) ** (1 / power)
    return net.replace({key: scale * value for key, value in net.params.items() if key != "b"})


def frequencies(net: pyham.Network) -> Array:
    """w (n,) of y' = J K^T K y, or of y' = K y for skew K, with both signs, in ascending order."""
    K = net.K[0]
    return np.linalg.eigvalsh(1j * (K if net.arch.J is None else K @ net.arch.J @ K.T))


def multipliers(net: pyham.Network) -> Array:
    """The matrix (1, n, n) by which a linear layer multiplies, transposed."""
    return net.sensitivity(np.zeros((1, net.arch.width)))[0]


def unit(eigenvalues: Array) -> Array:
    return np.abs(eigenvalues) - 1


def distance(matrices: Array, off: Any) -> float:
    """max |off(eigenvalue)| of matrices (B, n, n), in units of what an error of size 1 in ||M|| could do."""
    eigenvalues, vectors = np.linalg.eig(matrices)
    return float((np.abs(off(eigenvalues)).max(axis=-1) / sensitivity(matrices, vectors)).max())


def gap(matrices: Array, net: pyham.Network) -> float:
    """max | |eigenvalue| - |1 + i h w| |, in the same units."""
    eigenvalues, vectors = np.linalg.eig(matrices)
    expected = np.sort(np.abs(1 + 1j * net.arch.step * frequencies(net)))
    difference = np.sort(np.abs(eigenvalues), axis=-1) - expected
    return float((np.abs(difference).max(axis=-1) / sensitivity(matrices, vectors)).max())


def sensitivity(matrices: Array, vectors: Array) -> Array:
    """cond(V) max(1, ||M||_2) (B,)."""
    return np.linalg.cond(vectors) * np.maximum(1, np.linalg.norm(matrices, 2, axis=(-2, -1)))


def limit(width: int) -> float:
    return CONSTANT * width * float(np.finfo(np.float64).eps)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    rng = lab.rng("V9")
    figure, (left, right) = panels(2, height=4.2)
    J = interconnection.J2(8)
    nets = [one_layer(8, J, rng) for _ in range(20)]
    x = rng.standard_normal((4, 8))
    for label, change, colour, marker in (
        ("one sign in J changed", flipped, RED, "x"),
        ("skew-symmetric J", lambda net: net, BLUE, "."),
    ):
        points = np.concatenate([np.linalg.eigvals(backward(change(net), x) - np.eye(8)).ravel() for net in nets])
        scatter(left, points, colour, marker, label)
    left.set_title(r"eigenvalues of $J K^T D K$", loc="left", fontsize=10)
    turn = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    right.plot(turn.real, turn.imag, color="#4d4d4d", linewidth=0.8)
    stable = [linear("H2", "p-first", hw, rng) for hw in FREQUENCIES]
    unstable = [linear("H2", "p-first", UNSTABLE, rng) for _ in FREQUENCIES]
    for label, group, colour, marker in (
        (r"semi-implicit, $hw < 2$", stable, BLUE, "o"),
        (rf"semi-implicit, $hw = {UNSTABLE}$", unstable, RED, "x"),
        (r"forward Euler, $hw < 2$", [neighbours.forward_euler(net) for net in stable], GREEN, "+"),
    ):
        points = np.concatenate([np.linalg.eigvals(multipliers(net)).ravel() for net in group])
        scatter(right, points, colour, marker, label)
    right.set(aspect="equal", xlim=(-2.1, 2.1))
    right.set_title("multipliers of one linear layer", loc="left", fontsize=10)
    for axis in (left, right):
        axis.set(xlabel="real part", ylabel="imaginary part")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=9)
    yield (
        "Left: the linearised equation is marginally stable for skew-symmetric J, whatever the weights and samples. "
        "Right: semi-implicit Euler keeps the linear network on the unit circle while h w < 2; forward Euler leaves it "
        "at once.",
        figure,
    )


def scatter(axis: Axes, points: Array, colour: str, marker: str, label: str) -> None:
    axis.plot(points.real, points.imag, marker, color=colour, markersize=5, markerfacecolor="none", label=label)

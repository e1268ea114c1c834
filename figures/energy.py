"""Energy of networks with the same weights in all layers over 10^5 layers, and eigenvalues on and off the unit circle.

Left: the error of H(y_j) = 1^T log cosh(K y_j + b), the largest so far, for forward Euler, semi-implicit Euler and
Verlet. Middle: eigenvalues of J K^T D K, which drives the linearised equation, for skew-symmetric J and for a J with
one sign changed. Right: eigenvalues of one linear layer. ``validation.v09_stability`` and ``validation.v10_energy``
hold these against their tolerances.
"""

import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import command, style
from figures.setup import Setup
from pyham.architectures import interconnection
from pyham.verification import neighbours
from validation import v09_stability as stability
from validation import v10_energy as energy

Array = np.ndarray[Any, Any]

CAPTION = "Symplectic layers keep the energy for 100 000 layers and eigenvalues on the unit circle; Euler's do not."
USES = (stability, energy)
SCHEMES = ("forward Euler", "semi-implicit Euler", "Verlet")


def compute(setup: Setup) -> dict[str, Array]:
    """Layers, errors (schemes, layers); eigenvalues of J K^T D K and of layers, as complex numbers."""
    rng = setup.rng("energy")
    depth = 10_000 if setup.quick else 100_000
    weights = energy.draw("H2", 2, rng)
    x = np.array([[1.0, 1.0]])
    semi, verlet = (
        energy.build("H2", 2, kind, "p-first", weights, depth=depth) for kind in ("semi-implicit", "verlet")
    )
    layers = np.unique(np.geomspace(1, depth, 400).astype(int))
    errors, H = [], energy.Hamiltonian.of(semi)
    for net in (neighbours.forward_euler(semi), semi, verlet):
        error = np.abs(H.energy(net.trace(x).states) - H.energy(x))[:, 0]
        errors.append(np.maximum.accumulate(error)[layers])

    J = interconnection.J2(8)
    nets = [stability.one_layer(8, J, rng) for _ in range(20)]
    points = rng.standard_normal((4, 8))
    stable = [stability.linear("H2", "p-first", hw, rng) for hw in stability.FREQUENCIES]
    unstable = [stability.linear("H2", "p-first", stability.UNSTABLE, rng) for _ in range(4)]
    return {
        "layers": layers,
        "errors": np.array(errors),
        "step": np.array(semi.arch.step),
        "skew": np.linalg.eigvals([stability.backward(net, points) - np.eye(8) for net in nets]),
        "flipped": np.linalg.eigvals(
            [stability.backward(stability.flipped(net), points) - np.eye(8) for net in nets]
        ),
        "semi-implicit": np.linalg.eigvals([stability.multipliers(net) for net in stable]),
        "unstable": np.linalg.eigvals([stability.multipliers(net) for net in unstable]),
        "euler": np.linalg.eigvals([stability.multipliers(neighbours.forward_euler(net)) for net in stable]),
    }  # fmt: skip


def plot(arrays: dict[str, Array]) -> Figure:
    """Energy, the linearised equation, one layer."""
    figure, axes = style.panels(1, 3, width=3.9, height=3.9)
    left, middle, right = axes[0]
    for label, error, colour, line in zip(
        SCHEMES, arrays["errors"], (style.RED, style.BLUE, style.GREEN), ("--", "-", "-."), strict=True
    ):
        left.plot(arrays["layers"], error, line, color=colour)
        left.annotate(label, (arrays["layers"][-1], error[-1]), (0, 5), textcoords="offset points", ha="right",
                      color=colour)  # fmt: skip
    left.set(xscale="log", yscale="log", xlabel="layer $j$", ylabel=r"$\max_{i \leq j}\ |H(y_i) - H(y_0)|$")
    left.set_xlim(1, arrays["layers"][-1])
    left.set_ylim(top=5 * arrays["errors"].max())
    left.set_title(f"Energy, weights constant, $h$ = {arrays['step'].item():.2g}")

    markers = {"markersize": 5, "markerfacecolor": "none"}
    for name, colour, marker, label in (
        ("flipped", style.RED, "x", "one sign of $J$ changed"),
        ("skew", style.BLUE, ".", "$J$ skew-symmetric"),
    ):
        points = arrays[name].ravel()
        middle.plot(points.real, points.imag, marker, color=colour, label=label, **markers)
    middle.set_title("Eigenvalues of $J K^T D K$")

    turn = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    right.plot(turn.real, turn.imag, color=style.GREY, linewidth=0.8)
    for name, colour, marker, label in (
        ("semi-implicit", style.BLUE, "o", r"semi-implicit Euler, $h\omega < 2$"),
        ("unstable", style.RED, "x", rf"semi-implicit Euler, $h\omega = {stability.UNSTABLE}$"),
        ("euler", style.GREEN, "+", r"forward Euler, $h\omega < 2$"),
    ):
        points = arrays[name].ravel()
        right.plot(points.real, points.imag, marker, color=colour, label=label, **markers)
    right.set(aspect="equal", xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
    right.set_title("Eigenvalues of one linear layer")
    for axis in (middle, right):
        axis.set(xlabel="real part", ylabel="imaginary part")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
    return figure


def main(argv: list[str] | None = None) -> int:
    return command.main(argv, "energy")


if __name__ == "__main__":
    sys.exit(main())

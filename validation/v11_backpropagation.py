"""V11. Backpropagation is exact: the adjoint agrees with independent oracles, and a fault in any term is noticed.

Statement: the adjoint's gradients of all parameters and of the input, and the backward sensitivity matrices, are the
derivatives of the forward pass. Source: the chain rule; Squire & Trapp 1998 for the complex step. Oracles: complex step
on the NumPy reference; the identity <v, Phi u> = <X v, u>; SciPy's ``approx_fprime`` and ``differentiate.jacobian``;
Taylor remainders; PyTorch's autograd where it is installed.
Tolerances. Complex step, identity and autograd: the adjoint sums B products a weight and n products a stage, so
relative errors reach c eps (stages + n + B), c = 4, times the growth max ||Phi_j|| between two layers. Forward
differences with step sqrt(eps): their truncation, from second differences, and rounding. ``jacobian`` iterates until
its own error estimate meets its tolerance, and that is compared. Taylor: orders 1 and 2 within 0.1.
Controls: planted faults (``validation.power``): each term of the recursion zeroed, transposed, its sign flipped; the
number shown is that of the fault that is hardest to see.
"""

import importlib.util
from collections.abc import Callable, Iterator

import numpy as np
from scipy import differentiate, optimize

import pyham
from pyham.engines.choice import Backend
from pyham.verification import gradcheck, symplectic
from validation import power
from validation.claim import Array, Lab, Result, worst

STATEMENT = "adjoint and sensitivities = derivatives of the forward pass"
EPS = float(np.finfo(np.float64).eps)


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V11")
    nets = networks(rng)
    x, g = rng.standard_normal((2, 3, 4))
    adjoint_fault = power.hardest("adjoint", power.complex_step)
    sensitivity_fault = power.hardest("sensitivity", power.sensitivity)
    measures: dict[str, tuple[Callable[[pyham.Network, Backend], float], float]] = {
        "complex step": (lambda net, b: max(gradcheck.complex_step(net, x, g, backend=b).values()), adjoint_fault),
        "sensitivity": (lambda net, b: gradcheck.sensitivity(net, x, backend=b), sensitivity_fault),
        "dot products": (lambda net, b: max(gradcheck.dot_product(net, x, backend=b).values()), sensitivity_fault),
    }
    for backend in ("numba", "reference"):
        for what, (measure, control) in measures.items():
            cases = [(measure(net, backend), rounding(net, x), str(net.arch)) for net in nets]
            measured, limit, case = worst(cases)
            note = f"{len(nets)} networks; the worst: {case}"
            yield Result(f"{what}, {backend}", measured, limit, control, "hardest planted fault", note)
    simplest = {"scheme": "semi-implicit", "order": "p-first"}  # every architecture and activation, not every scheme
    yield from scipy_oracles([net for net in nets if simplest.items() <= (simplest | net.arch.config()).items()], x, g)
    yield taylor(nets, x, g)
    if importlib.util.find_spec("torch"):
        yield autograd(nets, x, g, adjoint_fault)


def networks(rng: np.random.Generator) -> list[pyham.Network]:
    """Every architecture, scheme and order, n = 4, N = 4, and every activation (no sample sits on ReLU's kink)."""
    split = [{"scheme": s, "order": o} for s in ("semi-implicit", "verlet", "yoshida4") for o in ("p-first", "q-first")]
    found = []
    for name in pyham.ARCHITECTURES:
        for options in split if name in ("MS1", "MS3", "H2") else [{}]:
            extra = {"X": rng.standard_normal((2, 2)) + 2 * np.eye(2)} if name == "H2" else {}
            found.append(pyham.architecture(name, width=4, depth=4, step=0.1, **options, **extra).init(rng))
    for activation in pyham.ACTIVATIONS:
        found.append(pyham.H1(4, 4, 0.1, activation, interconnection="J2").init(rng))
    return found


def rounding(net: pyham.Network, x: Array) -> float:
    """c eps (stages + n + B), times the growth between any two layers."""
    sigma = symplectic.norms(net.sensitivity(x, backend="reference"))["2"]
    growth = max(1.0, float(sigma.max() / min(1.0, sigma.min())))
    return 4 * EPS * (len(net.stages().A) + net.arch.width + len(x)) * growth


def scipy_oracles(nets: list[pyham.Network], x: Array, g: Array) -> Iterator[Result]:
    """Finite differences by other hands: all parameters of a network as one vector, and dy_N/dx."""
    cases = [forward_differences(net, x, g) for net in nets]
    measured, limit, case = worst(
        [(error, bound, str(net.arch)) for net, (error, _, bound) in zip(nets, cases, strict=True)]
    )
    wrong = min(negative for _, negative, _ in cases)
    yield Result("SciPy approx_fprime", measured, limit, wrong, "sign flipped", f"the worst: {case}")

    measured, estimate, control = 0.0, 0.0, np.inf
    for net in (net for net in nets if net.arch.activation != "relu"):
        phi = net.sensitivity(x[:1])[0, 0]

        def output(points: Array, net: pyham.Network = net) -> Array:
            flat = points.reshape(4, -1).T
            return net(np.ascontiguousarray(flat)).T.reshape(points.shape)

        found = differentiate.jacobian(output, x[0])
        size = np.abs(phi).max()
        measured = max(measured, np.abs(found.df.T - phi).max() / size)
        estimate = max(estimate, float(found.error.max()) / size)
        control = min(control, np.abs(found.df - phi).max() / size)
    limit = 4 * max(estimate, EPS ** (2 / 3))
    yield Result("SciPy differentiate.jacobian", float(measured), limit, float(control), "Phi transposed")


def forward_differences(net: pyham.Network, x: Array, g: Array) -> tuple[float, float, float]:
    """Relative error of the gradient by forward differences, that of its negative, and what the differences allow.

    A step t leaves an error t L'' / 2 + 2 eps |L| / t; L'' comes from second differences with the step eps^(1/4), and
    twice that error is allowed because L'' itself is an estimate.
    """
    names, shapes = list(net.params), [value.shape for value in net.params.values()]
    theta = np.concatenate([value.ravel() for value in net.params.values()])
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def loss(vector: Array) -> float:
        pieces = zip(names, np.split(vector, ends), shapes, strict=True)
        return float((net.replace({name: piece.reshape(shape) for name, piece, shape in pieces})(x) * g).sum())

    gradients = net.adjoint(net.trace(x), g).params
    exact = np.concatenate([gradients[name].ravel() for name in names])
    t, s, base = np.sqrt(EPS), EPS**0.25, loss(theta)
    differences = optimize.approx_fprime(theta, loss, t)
    size = np.abs(exact).max()
    curvature = max(abs(loss(theta + s * e) - 2 * base + loss(theta - s * e)) for e in np.eye(len(theta))) / s**2
    terms = float(np.abs(net(x) * g).sum())  # that L sums
    allowed = 2 * (t * curvature / 2 + 2 * EPS * len(net.stages().A) * terms / t) / size
    return np.abs(differences - exact).max() / size, np.abs(differences + exact).max() / size, allowed


def taylor(nets: list[pyham.Network], x: Array, g: Array) -> Result:
    """|order - 1| and |order - 2| of the remainders; a wrong gradient has 1 for 2."""
    smooth = [net for net in nets if net.arch.activation not in ("relu", "identity")]
    measured = max(order_error(gradcheck.taylor(net, x, g)) for net in smooth)
    control = power.hardest(
        "adjoint", lambda case: order_error(gradcheck.taylor(case.net, case.x, case.g, backend="reference"))
    )
    return Result("Taylor orders 1 and 2", measured, 0.1, control, "hardest planted fault")


def order_error(rows: list[gradcheck.TaylorRow]) -> float:
    first, second = gradcheck.orders(rows)
    return max(abs(first - 1), abs(second - 2))


def autograd(nets: list[pyham.Network], x: Array, g: Array, control: float) -> Result:
    """PyTorch's gradient with respect to the input, through a forward pass of the stages written with tensors."""
    import torch

    cases = []
    for net in (net for net in nets if net.arch.activation == "tanh"):
        stages = net.stages()
        start = torch.tensor(x, requires_grad=True)
        y = start
        for s, (A, c, W) in enumerate(zip(stages.A, stages.c, stages.W, strict=True)):
            src, dst = stages.src[s % stages.per_layer], stages.dst[s % stages.per_layer]
            update = torch.tanh(y[:, src] @ torch.tensor(A).T + torch.tensor(c)) @ torch.tensor(W).T
            moved = stages.keep * y[:, dst] + update
            y = torch.cat([y[:, : dst.start], moved, y[:, dst.stop :]], dim=1)
        found = torch.autograd.grad([y], [start], [torch.tensor(g)])[0]
        exact = net.adjoint(net.trace(x), g).delta[0]
        error = float(np.abs(found.numpy() - exact).max() / np.abs(exact).max())
        cases.append((error, rounding(net, x), str(net.arch)))
    measured, limit, case = worst(cases)
    return Result("PyTorch autograd", measured, limit, control, "hardest planted fault", f"the worst: {case}")

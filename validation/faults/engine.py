"""The faults of the reference engine: ``FAULTS``, each a piece of a function of ``pyham.reference`` and its slip.

The terms, with y the state that a stage reads and all else as in ``pyham.reference``:

    a = A y[src] + c           s = sigma(a)                       y[dst] <- keep y[dst] + W s
    dW = delta[dst] s^T        g = sigma'(a) * (W^T delta[dst])   delta[dst] <- keep delta[dst]
    dA = g y[src]^T            dc = g                             delta[src] <- delta[src] + A^T g

and the same for Phi in place of delta.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One slip: in ``function`` of ``pyham.reference``, the text ``old`` becomes ``new``.

    ``term`` of the recursion is broken in the manner ``kind`` ("zero", "sign", "transpose", "slice", or the slip's own
    name); ``what`` says it as a formula.
    """

    function: str
    term: str
    kind: str
    what: str
    old: str
    new: str

    @property
    def where(self) -> str:
        """The pass: "adjoint", "sensitivity", or "forward" for ``forward``, ``trace``, ``layer`` and ``of_layer``."""
        return self.function if self.function in ("adjoint", "sensitivity") else "forward"

    @property
    def name(self) -> str:
        return f"{self.function}: {self.term} {self.kind}"


def _in(function: str, *slips: tuple[str, str, str, str, str]) -> tuple[Fault, ...]:
    return tuple(Fault(function, *slip) for slip in slips)


# fmt: off

ADJOINT = _in(
    "adjoint",
    ("dW", "zero", "dW = 0", "grad.W[s] = ", "grad.W[s] = 0 * "),
    ("dW", "sign", "dW = -delta[dst] s^T", "grad.W[s] = ", "grad.W[s] = -"),
    ("dW", "transpose", "dW = s delta[dst]^T",
     "d[:, dst].T @ stages.activation.sigma(a)", "stages.activation.sigma(a).T @ d[:, dst]"),
    ("dW", "slice", "dW = delta[src] s^T", "d[:, dst].T", "d[:, src].T"),
    ("dW", "sigma missing", "dW = delta[dst] a^T", "stages.activation.sigma(a)", "a"),
    ("dW", "sigma'", "dW = delta[dst] sigma'(a)^T", "activation.sigma(a)", "activation.derivative(a)"),
    ("dW", "mean", "dW: mean over samples", "activation.sigma(a)", "activation.sigma(a) / len(a)"),
    ("dW", "sample", "dW of the first sample",
     "d[:, dst].T @ stages.activation.sigma(a)", "d[:1, dst].T @ stages.activation.sigma(a)[:1]"),
    ("dW", "stage", "dW put at stage s - 1", "grad.W[s]", "grad.W[s - 1]"),
    ("dA", "zero", "dA = 0", "grad.A[s] = ", "grad.A[s] = 0 * "),
    ("dA", "sign", "dA = -g y[src]^T", "grad.A[s] = ", "grad.A[s] = -"),
    ("dA", "transpose", "dA = y[src] g^T", "g_a.T @ y[:, src]", "y[:, src].T @ g_a"),
    ("dA", "slice", "dA = g y[dst]^T", "g_a.T @ y[:, src]", "g_a.T @ y[:, dst]"),
    ("dA", "after", "dA = g y[src]^T, y the state after the layer", "g_a.T @ y[:, src]", "g_a.T @ inner[-1][:, src]"),
    ("dA", "before", "dA = g y[src]^T, y the state before the layer", "g_a.T @ y[:, src]", "g_a.T @ inner[0][:, src]"),
    ("dA", "mean", "dA: mean over samples", "g_a.T @ y[:, src]", "g_a.T @ y[:, src] / len(y)"),
    ("dA", "sample", "dA of the first sample", "g_a.T @ y[:, src]", "g_a[:1].T @ y[:1, src]"),
    ("dA", "stage", "dA put at stage s - 1", "grad.A[s]", "grad.A[s - 1]"),
    ("dA", "precision", "dA in single precision", "np.zeros_like(stages.A)", "np.zeros_like(stages.A, np.float32)"),
    ("dc", "zero", "dc = 0", "grad.c[s] = ", "grad.c[s] = 0 * "),
    ("dc", "sign", "dc = -g", "grad.c[s] = ", "grad.c[s] = -"),
    ("dc", "delta", "dc = delta[dst]", "g_a.sum(axis=0)", "d[:, dst].sum(axis=0)"),
    ("dc", "total", "dc: sum over entries as well", "g_a.sum(axis=0)", "g_a.sum()"),
    ("dc", "axis", "dc: sum over entries for samples", "g_a.sum(axis=0)", "g_a.sum(axis=1)"),
    ("dc", "mean", "dc: mean over samples", "g_a.sum(axis=0)", "g_a.mean(axis=0)"),
    ("dc", "sample", "dc of the first sample", "g_a.sum(axis=0)", "g_a[0]"),
    ("dc", "stage", "dc put at stage s - 1", "grad.c[s]", "grad.c[s - 1]"),
    ("g", "zero", "g = 0", "g_a = ", "g_a = 0 * "),
    ("g", "sign", "g = -sigma' W^T delta[dst]", "g_a = ", "g_a = -"),
    ("g", "transpose", "g = sigma' W delta[dst]", "stages.W[s]", "stages.W[s].T"),
    ("g", "slice", "g = sigma' W^T delta[src]", "d[:, dst] @ stages.W[s]", "d[:, src] @ stages.W[s]"),
    ("g", "W missing", "g = sigma' delta[dst]", " @ stages.W[s]", ""),
    ("g", "stage", "W of stage s - 1", "stages.W[s]", "stages.W[s - 1]"),
    ("sigma'", "missing", "g = W^T delta[dst]", "stages.activation.derivative(a) * ", ""),
    ("sigma'", "sigma", "g = sigma W^T delta[dst]", "derivative(a)", "sigma(a)"),
    ("sigma'", "of s", "g = sigma'(s) W^T delta[dst]", "derivative(a)", "derivative(stages.activation.sigma(a))"),
    ("sigma'", "twice", "g = sigma'^2 W^T delta[dst]", "derivative(a)", "derivative(a) ** 2"),
    ("sigma'", "inside", "g = W^T (sigma' delta[dst])",
     "derivative(a) * (d[:, dst] @ stages.W[s])", "derivative(a) * d[:, dst] @ stages.W[s]"),
    ("sigma'", "sample", "sigma' of the first sample for all", "derivative(a)", "derivative(a)[:1]"),
    ("keep", "zero", "delta[dst] <- 0", "d[:, dst] if stages.keep else 0", "0"),
    ("keep", "sign", "delta[dst] <- -keep delta[dst]", "d[:, dst] if", "-d[:, dst] if"),
    ("keep", "slice", "delta[dst] <- keep delta[src]", "d[:, dst] if", "d[:, src] if"),
    ("keep", "missing", "delta[dst] stays, keep or not", " if stages.keep else 0", ""),
    ("keep", "not", "delta[dst] <- (1 - keep) delta[dst]", "if stages.keep", "if not stages.keep"),
    ("keep", "late", "keep applied after A^T g was added",
     "d[:, dst] = d[:, dst] if stages.keep else 0\n            d[:, src] += g_a @ stages.A[s]",
     "d[:, src] += g_a @ stages.A[s]\n            d[:, dst] = d[:, dst] if stages.keep else 0"),
    ("A^T g", "zero", "delta[src] += 0", "+= ", "+= 0 * "),
    ("A^T g", "sign", "delta[src] -= A^T g", "+= ", "-= "),
    ("A^T g", "transpose", "delta[src] += A g", "g_a @ stages.A[s]", "g_a @ stages.A[s].T"),
    ("A^T g", "slice", "delta[dst] += A^T g", "d[:, src] +=", "d[:, dst] +="),
    ("A^T g", "overwrites", "delta[src] = A^T g", "+= ", "= "),
    ("A^T g", "twice", "delta[src] += 2 A^T g", "+= ", "+= 2 * "),
    ("A^T g", "stage", "A of stage s - 1", "g_a @ stages.A[s]", "g_a @ stages.A[s - 1]"),
    ("A^T g", "W for A", "delta[src] += W g", "g_a @ stages.A[s]", "g_a @ stages.W[s].T"),
    ("delta_N", "zero", "delta_N = 0", "delta[-1] = g", "delta[-1] = 0"),
    ("delta_N", "sign", "delta_N = -g", "delta[-1] = g", "delta[-1] = -g"),
    ("delta_N", "mean", "delta_N = g / B", "delta[-1] = g", "delta[-1] = g / len(g)"),
    ("delta", "restarts", "every layer starts from delta_N", "delta[j + 1].copy()", "delta[-1].copy()"),
    ("delta", "in place", "delta_(j+1) overwritten by delta_j", "delta[j + 1].copy()", "delta[j + 1]"),
    ("delta", "not finite", "delta_(j+1) lost once used: NaN", "d = delta[j + 1].copy()",
     "d, delta[j + 1] = delta[j + 1].copy(), np.nan"),
    ("delta", "layer", "layer 0 left out: delta_0 = delta_1", "delta[j] = d", "delta[j] = d if j else delta[1]"),
    ("delta", "buffer", "delta written over the trace", "delta = np.empty_like(states)", "delta = states"),
    ("delta", "precision", "delta in single precision", "empty_like(states)", "empty_like(states, np.float32)"),
    ("delta", "order", "delta_N .. delta_0", "return delta, grad", "return delta[::-1], grad"),
    ("layers", "order", "layers 0 .. N - 1", "for j in reversed(range(stages.depth)):\n        d = delta[j + 1].copy()",
     "d = g.copy()\n    for j in range(stages.depth):"),
)

SENSITIVITY = _in(
    "sensitivity",
    ("g", "zero", "g = 0", "g_a = ", "g_a = 0 * "),
    ("g", "sign", "g = -sigma' W^T Phi[dst]", "g_a = ", "g_a = -"),
    ("g", "transpose", "g = sigma' W Phi[dst]", "stages.W[s].T", "stages.W[s]"),
    ("g", "slice", "g = sigma' W^T Phi[src]", "@ P[:, dst]", "@ P[:, src]"),
    ("g", "W missing", "g = sigma' Phi[dst]", "stages.W[s].T @ ", ""),
    ("g", "stage", "W of stage s - 1", "stages.W[s]", "stages.W[s - 1]"),
    ("sigma'", "missing", "g = W^T Phi[dst]", "stages.activation.derivative(a)[:, :, None] * ", ""),
    ("sigma'", "sigma", "g = sigma W^T Phi[dst]", "derivative(a)", "sigma(a)"),
    ("sigma'", "of s", "g = sigma'(s) W^T Phi[dst]", "derivative(a)", "derivative(stages.activation.sigma(a))"),
    ("sigma'", "twice", "g = sigma'^2 W^T Phi[dst]", "derivative(a)[:, :, None]", "derivative(a)[:, :, None] ** 2"),
    ("sigma'", "inside", "g = W^T (sigma' Phi[dst])",
     "stages.activation.derivative(a)[:, :, None] * (stages.W[s].T @ P[:, dst])",
     "stages.W[s].T @ (stages.activation.derivative(a)[:, :, None] * P[:, dst])"),
    ("sigma'", "columns", "sigma' scales columns for rows", "[:, :, None]", "[:, None, :]"),
    ("sigma'", "sample", "sigma' of the first sample for all", "[:, :, None]", "[:1, :, None]"),
    ("sigma'", "mean", "sigma': mean over samples", "[:, :, None]", ".mean(axis=0)[:, None]"),
    ("keep", "zero", "Phi[dst] <- 0", "P[:, dst] if stages.keep else 0", "0"),
    ("keep", "sign", "Phi[dst] <- -keep Phi[dst]", "P[:, dst] if", "-P[:, dst] if"),
    ("keep", "slice", "Phi[dst] <- keep Phi[src]", "P[:, dst] if", "P[:, src] if"),
    ("keep", "missing", "Phi[dst] stays, keep or not", " if stages.keep else 0", ""),
    ("keep", "not", "Phi[dst] <- (1 - keep) Phi[dst]", "if stages.keep", "if not stages.keep"),
    ("keep", "late", "keep applied after A^T g was added",
     "P[:, dst] = P[:, dst] if stages.keep else 0\n            P[:, src] += stages.A[s].T @ g_a",
     "P[:, src] += stages.A[s].T @ g_a\n            P[:, dst] = P[:, dst] if stages.keep else 0"),
    ("A^T g", "zero", "Phi[src] += 0", "+= ", "+= 0 * "),
    ("A^T g", "sign", "Phi[src] -= A^T g", "+= ", "-= "),
    ("A^T g", "transpose", "Phi[src] += A g", "stages.A[s].T @ g_a", "stages.A[s] @ g_a"),
    ("A^T g", "slice", "Phi[dst] += A^T g", "P[:, src] +=", "P[:, dst] +="),
    ("A^T g", "overwrites", "Phi[src] = A^T g", "+= ", "= "),
    ("A^T g", "twice", "Phi[src] += 2 A^T g", "+= ", "+= 2 * "),
    ("A^T g", "stage", "A of stage s - 1", "stages.A[s].T @ g_a", "stages.A[s - 1].T @ g_a"),
    ("A^T g", "W for A", "Phi[src] += W g", "stages.A[s].T @ g_a", "stages.W[s] @ g_a"),
    ("Phi_N", "zero", "Phi_N = 0", "np.eye(stages.width)", "0"),
    ("Phi_N", "sign", "Phi_N = -I", "np.eye(stages.width)", "-np.eye(stages.width)"),
    ("Phi_N", "ones", "Phi_N full of ones, for I", "np.eye(stages.width)", "1"),
    ("Phi_N", "reversed", "Phi_N = I upside down", "np.eye(stages.width)", "np.eye(stages.width)[::-1]"),
    ("Phi", "restarts", "every layer starts from I: no product", "phi[j + 1].copy()", "phi[-1].copy()"),
    ("Phi", "in place", "Phi_(j+1) overwritten by Phi_j", "phi[j + 1].copy()", "phi[j + 1]"),
    ("Phi", "not finite", "Phi_(j+1) lost once used: NaN", "P = phi[j + 1].copy()",
     "P, phi[j + 1] = phi[j + 1].copy(), np.nan"),
    ("Phi", "swapped", "rows and columns swapped after every layer", "phi[j] = P", "phi[j] = P.swapaxes(1, 2)"),
    ("Phi", "mean", "Phi: mean over samples", "phi[j] = P", "phi[j] = P.mean(axis=0)"),
    ("Phi", "sample", "Phi of the first sample for all", "phi[j] = P", "phi[j] = P[0]"),
    ("Phi", "layer", "layer 0 left out: Phi_0 = Phi_1", "phi[j] = P", "phi[j] = P if j else phi[1]"),
    ("Phi", "precision", "Phi in single precision", "states.dtype", "np.float32"),
    ("Phi", "transpose", "Phi^T, the Jacobian, for Phi", "return phi", "return phi.swapaxes(-1, -2)"),
    ("Phi", "order", "Phi_N .. Phi_0", "return phi", "return phi[::-1]"),
    ("layers", "order", "layers 0 .. N - 1", "for j in reversed(range(stages.depth)):\n        P = phi[j + 1].copy()",
     "P = phi[-1].copy()\n    for j in range(stages.depth):"),
)

BACKWARD = tuple(  # what the two recursions share
    fault
    for function in ("adjoint", "sensitivity")
    for fault in _in(
        function,
        ("a", "zero", "a = A y[src]: c missing", " + stages.c[s]", ""),
        ("a", "sign", "a = A y[src] - c", " + stages.c[s]", " - stages.c[s]"),
        ("a", "transpose", "a = A^T y[src] + c", "y[:, src] @ stages.A[s].T", "y[:, src] @ stages.A[s]"),
        ("a", "slice", "a = A y[dst] + c", "y[:, src] @ stages.A[s].T", "y[:, dst] @ stages.A[s].T"),
        ("a", "stage", "c of stage s - 1", "stages.c[s]", "stages.c[s - 1]"),
        ("y", "next", "y_(j+1) for y_j", "states[j]", "states[j + 1]"),
        ("y", "first", "y_0 for y_j", "states[j]", "states[0]"),
        ("y", "stale", "every stage reads y_j", "layer(stages, j, states[j])", "[states[j]] * stages.per_layer"),
        ("y", "weights", "states rebuilt with layer j - 1", "layer(stages, j, ", "layer(stages, j - 1, "),
        ("y", "after", "y after the stage for before", "inner, strict", "inner[1:], strict"),
        ("stages", "order", "first stage first", "reversed(list(zip(of_layer(stages, j), inner, strict=False)))",
         "zip(of_layer(stages, j), inner, strict=False)"),
        ("stages", "states", "stages reversed, their states not",
         "reversed(list(zip(of_layer(stages, j), inner, strict=False)))",
         "zip(reversed(list(of_layer(stages, j))), inner, strict=False)"),
    )
)

FORWARD = (
    *_in(
        "layer",
        ("a", "zero", "a = A y[src]: c missing", " + stages.c[s]", ""),
        ("a", "sign", "a = A y[src] - c", " + stages.c[s]", " - stages.c[s]"),
        ("a", "transpose", "a = A^T y[src] + c", "stages.A[s].T", "stages.A[s]"),
        ("a", "slice", "a = A y[dst] + c", "inner[-1][:, src]", "inner[-1][:, dst]"),
        ("a", "stale", "every stage reads y_j: explicit for semi-implicit", "inner[-1][:, src]", "y[:, src]"),
        ("W s", "zero", "y[dst] <- keep y[dst]", "+ stages.activation", "+ 0 * stages.activation"),
        ("W s", "sign", "y[dst] <- keep y[dst] - W s", "+ stages.activation", "- stages.activation"),
        ("W s", "transpose", "y[dst] <- keep y[dst] + W^T s", "stages.W[s].T", "stages.W[s]"),
        ("W s", "slice", "y[src] <- keep y[src] + W s", "z[:, dst] = (z[:, dst] if",
         "z[:, src] = (z[:, src] if"),
        ("W s", "sigma missing", "y[dst] <- keep y[dst] + W a", "stages.activation.sigma(a)", "a"),
        ("W s", "sigma'", "y[dst] <- keep y[dst] + W sigma'(a)", "sigma(a)", "derivative(a)"),
        ("W s", "stage", "W of stage s - 1", "stages.W[s]", "stages.W[s - 1]"),
        ("keep", "zero", "y[dst] <- W s", "z[:, dst] if stages.keep else 0", "0"),
        ("keep", "sign", "y[dst] <- -keep y[dst] + W s", "z[:, dst] if", "-z[:, dst] if"),
        ("keep", "slice", "y[dst] <- keep y[src] + W s", "z[:, dst] if", "z[:, src] if"),
        ("keep", "missing", "y[dst] <- y[dst] + W s, keep or not", " if stages.keep else 0", ""),
        ("keep", "not", "y[dst] <- (1 - keep) y[dst] + W s", "if stages.keep", "if not stages.keep"),
        ("stages", "weights", "stages of layer 0 in every layer", "of_layer(stages, j)", "of_layer(stages, 0)"),
        ("y", "dropped", "every stage starts from y_j: earlier updates lost", "inner[-1].copy()", "y.copy()"),
        ("y", "in place", "the state before the stage overwritten", "inner[-1].copy()", "inner[-1]"),
        ("y", "earlier call", "layer j starts from the y_j of the first call ever", "inner = [y]",
         'inner = [layer.__dict__.setdefault(f"y{j}", y.copy())]'),
        ("y", "forgotten", "states between stages not kept", "inner.append(z)", "inner[-1] = z"),
        ("y", "short", "the last stage left out", "return inner", "return inner[:-1]"),
    ),
    *_in(
        "of_layer",
        ("stages", "slice", "src and dst swapped", "stages.src[k], stages.dst[k]", "stages.dst[k], stages.src[k]"),
        ("stages", "layout", "s = k N + j for j L + k", "j * stages.per_layer + k", "k * stages.depth + j"),
        ("stages", "off by one", "s - 1 for s", "+ k", "+ k - 1"),
        ("stages", "order", "weights of a layer's stages reversed", "j * stages.per_layer + k",
         "(j + 1) * stages.per_layer - 1 - k"),
        ("stages", "first", "first stage only", "range(stages.per_layer)", "range(1)"),
    ),
    *_in(
        "forward",
        ("y_0", "zero", "y_0 = 0", "y = x", "y = 0 * x"),
        ("layers", "first missing", "layers 1 .. N - 1", "range(stages.depth)", "range(1, stages.depth)"),
        ("layers", "last missing", "layers 0 .. N - 2", "range(stages.depth)", "range(stages.depth - 1)"),
        ("layers", "order", "layers N - 1 .. 0", "range(stages.depth)", "reversed(range(stages.depth))"),
        ("y", "first stage", "y after the first stage of each layer", "[-1]", "[1]"),
        ("y", "restarts", "every layer reads x", "layer(stages, j, y)", "layer(stages, j, x)"),
        ("y", "weights", "layer 0 in place of layer j", "layer(stages, j, y)", "layer(stages, 0, y)"),
        ("x", "overwritten", "y_N written over the caller's x", "return y.copy()", "x[:] = y\n    return x"),
    ),
    *_in(
        "trace",
        ("y_0", "sign", "y_0 = -x", "states[0] = x", "states[0] = -x"),
        ("layers", "order", "layers N - 1 .. 0",
         "for j in range(stages.depth):\n        states[j + 1] = layer(stages, j, states[j])",
         "for j in range(stages.depth):\n        states[j + 1] = layer(stages, stages.depth - 1 - j, states[j])"),
        ("y", "first stage", "y after the first stage of each layer", "[-1]", "[1]"),
        ("y", "restarts", "every layer reads y_0", "states[j])", "states[0])"),
        ("y", "weights", "layer j - 1 in place of layer j", "layer(stages, j, ", "layer(stages, j - 1, "),
        ("y", "precision", "y in single precision", "x.dtype", "np.float32"),
        ("y", "layer", "y_(j-1) for y_j", "return states", "return states[[0, *range(stages.depth)]]"),
        ("x", "overwritten", "y_N written over the caller's x", "return states",
         "x[:] = states[-1]\n    return states"),
    ),
)

# fmt: on

FAULTS: tuple[Fault, ...] = (*ADJOINT, *SENSITIVITY, *BACKWARD, *FORWARD)

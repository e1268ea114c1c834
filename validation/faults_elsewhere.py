"""Planted faults outside the reference engine: lowering, architectures, schemes, J, bounds, residuals, compiled engine.

As in ``validation.faults`` a fault is text, replaced in the source of one function, where it must occur exactly once.
``planted`` compiles the broken source and puts its code into the live function: the code and not the function, so that
whoever imported it by name, or holds it as a method or property, runs the fault too. ``schemes.SPLITTINGS`` is a table;
its entries are exchanged in place. Networks keep what they computed (their stages, J), so checks build theirs anew.

What must notice are the checks as users run them. Each of the package's parts names the cheap ones that look at it:

complex_step, dot_product, sensitivity   those of ``pyham.gradcheck``
formulas           K, J and y_N by the equations of each architecture, written out without stages or pullback
compiled           the compiled engine against the reference, on a batch of several blocks
bounds by hand     from norms of the parameters, and for one shear at rest, where the sharp bound is attained
residuals by hand  the definitions, on matrices that need no scaling
dual               the continuous adjoint against the continuous sensitivity
certify            ``pyham.certify``: what is guaranteed must hold; "certify control": and its control must fail
V4, V5, ..         the claims of this folder, on small networks; "V4 control": the claim held, its control did not fail

A fault of lowering that keeps a network Hamiltonian, such as a wrong step, is no fault of its gradients: the formulas
alone can tell, or the order of convergence. A bound that is too large is no violation: only a closed form can tell.
"""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham import bounds, continuous, gradcheck, interconnection, schemes, symplectic
from validation import claim
from validation.faults import EPS, Row

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fault:
    """One slip: in ``target`` ("lowering.Architecture.lower"), the text ``old`` becomes ``new``.

    ``kind`` is the slip's name, ``what`` says it as a formula.
    """

    target: str
    kind: str
    what: str
    old: str
    new: str

    @property
    def where(self) -> str:
        """The module of ``pyham``."""
        return self.target.split(".")[0]

    @property
    def name(self) -> str:
        return f"{self.target}: {self.kind}"


def _in(target: str, *slips: tuple[str, str, str, str]) -> tuple[Fault, ...]:
    return tuple(Fault(target, *slip) for slip in slips)


# fmt: off

LOWERING = (
    *_in(
        "lowering.Architecture.lower",
        ("A transposed", "A = K[rows, src]^T", "K[:, rows, src]", "K[:, rows, src].swapaxes(1, 2)"),
        ("A of swapped slices", "A = K[src, rows]", "K[:, rows, src]", "K[:, src, rows]"),
        ("A of another layer", "A_j = K_(j-1)[rows, src]", "K[:, rows, src]", "np.roll(K, 1, axis=0)[:, rows, src]"),
        ("c zero", "c = 0", "= b[:, rows]", "= 0 * b[:, rows]"),
        ("c sign", "c = -b[rows]", "= b[:, rows]", "= -b[:, rows]"),
        ("c of swapped slices", "c = b[src]", "b[:, rows]", "b[:, src]"),
        ("c of another layer", "c_j = b_(j-1)[rows]", "b[:, rows]", "np.roll(b, 1, axis=0)[:, rows]"),
        ("W sign", "W = -f h M A^T, the pullback unchanged", "else M @", "else -M @"),
        ("W without transpose", "W = f h M A", "A[:, s].swapaxes(1, 2)", "A[:, s]"),
        ("W of another layer", "W_j = f h M A_(j-1)^T", "M @ A[:, s]", "M @ np.roll(A[:, s], 1, axis=0)"),
        ("W of another stage", "W = f h M A_0^T, A_0 of the layer's first stage", "M @ A[:, s]", "M @ A[:, 0]"),
        ("W without A", "W = f h M for Hamiltonian networks", " if self.J is None else M @ A[:, s].swapaxes(1, 2)", ""),
        ("h of the next stage", "f of stage s - 1",
         "self._lift(part, fraction,", "self._lift(part, self.steps[s - 1].coefficient,"),
        ("stages reversed", "weights of the stages in reverse order", "enumerate(self.steps)",
         "enumerate(self.steps[::-1])"),
        ("src", "a stage reads what it updates", "self.parts[part].src", "self.parts[part].dst"),
        ("dst", "a stage updates what it reads", "self.parts[part].dst", "self.parts[part].src"),
        ("keep", "MLP adds to its state", "keep=self.keep", "keep=True"),
        ("activation", "logistic for every sigma", "find_activation(self.activation)", "find_activation('logistic')"),
    ),
    *_in(
        "lowering.Architecture._lift",
        ("fraction dropped", "W = h M A^T", "M * dtype.type(fraction * self.step)",
         "M * dtype.type(self.step)"),
        ("h squared", "W = f h^2 M A^T", "M * dtype.type(fraction * self.step)",
         "M * dtype.type(fraction * self.step**2)"),
        ("h dropped", "W = f M A^T", "M * dtype.type(fraction * self.step)",
         "M * dtype.type(fraction)"),
        ("J sign", "-J for J, in W and in the pullback", "self.J[dst", "-self.J[dst"),
        ("J of swapped slices", "M = J[src, dst]", "self.J[dst, src]", "self.J[src, dst]"),
        ("M transposed", "M = J[dst, src]^T", "self.J[dst, src]", "self.J[dst, src].T"),
        ("fraction dropped, G = I", "W = h I", "np.eye(dst.stop - dst.start, dtype=dtype) * dtype.type(fraction * ",
         "np.eye(dst.stop - dst.start, dtype=dtype) * dtype.type("),
        ("h squared, G = I", "W = f h^2 I", "start, dtype=dtype) * dtype.type(fraction * self.step)",
         "start, dtype=dtype) * dtype.type(fraction * self.step**2)"),
        ("MLP with a step", "y <- h sigma(K y + b)", "np.eye(self.width, dtype=dtype)",
         "np.eye(self.width, dtype=dtype) * self.step"),
    ),
    *_in(
        "lowering.Architecture.pullback",
        ("dA dropped", "dK += (f h dW)^T M", "+= dA[:, s]", "+= 0 * dA[:, s]"),
        ("dA sign", "dK += -dA + (f h dW)^T M", "+= dA[:, s]", "-= dA[:, s]"),
        ("dA transposed", "dK += dA^T + ..", "+= dA[:, s]", "+= dA[:, s].swapaxes(1, 2)"),
        ("dA at swapped slices", "dK[src, rows] += dA", "dK[:, rows, src] += dA", "dK[:, src, rows] += dA"),
        ("dA of the last stage", "dK = dA: stages of one part not summed", "+= dA[:, s]", "= dA[:, s]"),
        ("dA of another layer", "dK_j += dA_(j-1)", "+= dA[:, s]", "+= np.roll(dA[:, s], 1, axis=0)"),
        ("dA of another stage", "dK += dA of stage s - 1", "+= dA[:, s]", "+= dA[:, s - 1]"),
        ("dW dropped", "dK += dA", "+= dW[:, s]", "+= 0 * dW[:, s]"),
        ("dW sign", "dK += dA - (f h dW)^T M: -J in the pullback only", "+= dW[:, s]", "-= dW[:, s]"),
        ("dW without transpose", "dK += dA + f h dW M", "dW[:, s].swapaxes(1, 2)", "dW[:, s]"),
        ("dW transposed", "dK += dA + M^T f h dW",
         "dW[:, s].swapaxes(1, 2) @ self._lift(part, fraction, dtype)",
         "self._lift(part, fraction, dtype).T @ dW[:, s]"),
        ("dW with M transposed", "dK += dA + (f h dW)^T M^T", "fraction, dtype)", "fraction, dtype).T"),
        ("dW twice", "dK += dA + 2 (f h dW)^T M", "+= dW[:, s]", "+= 2 * dW[:, s]"),
        ("dW of another layer", "dK_j += .. dW_(j-1) ..", "+= dW[:, s]", "+= np.roll(dW[:, s], 1, axis=0)"),
        ("dW without fraction", "dK += dA + (h dW)^T M", "self._lift(part, fraction,", "self._lift(part, 1.0,"),
        ("dW with h of the next stage", "f of stage s - 1",
         "self._lift(part, fraction,", "self._lift(part, self.steps[s - 1].coefficient,"),
        ("dW of MS1 and MLP too", "dW pulled back where W does not depend on K", "if self.J is not None:", "if True:"),
        ("db zero", "db = 0", "+= dc[:, s]", "+= 0 * dc[:, s]"),
        ("db sign", "db = -dc", "+= dc[:, s]", "-= dc[:, s]"),
        ("db of the last stage", "db = dc: stages of one part not summed", "+= dc[:, s]", "= dc[:, s]"),
        ("db at swapped slices", "db[src] += dc", "db[:, rows]", "db[:, src]"),
        ("db of another layer", "db_j += dc_(j-1)", "+= dc[:, s]", "+= np.roll(dc[:, s], 1, axis=0)"),
    ),
)

ARCHITECTURES = (
    *_in(
        "architectures.MS1.assemble",
        ("sign", "K = [[0, A], [A^T, 0]]", '-params["A"]', 'params["A"]'),
        ("transpose", "K = [[0, A], [-A, 0]]", ".swapaxes(1, 2)", ""),
        ("A transposed", "K = [[0, A^T], [-A^T, 0]]", '= params["A"]', '= params["A"].swapaxes(1, 2)'),
    ),
    *_in(
        "architectures.MS1.collect",
        ("sign", "dA = dK_pq + dK_qp^T", "] - dK", "] + dK"),
        ("transpose", "dA = dK_pq - dK_qp", ".swapaxes(1, 2)", ""),
        ("block dropped", "dA = dK_pq", " - dK[:, self.q, self.p].swapaxes(1, 2)", ""),
    ),
    *_in(
        "architectures.MS2.assemble",
        ("symmetric", "K^T = K", "-upper", "upper"),
        ("triangular", "K zero below the diagonal", "-upper", "0 * upper"),
        ("exchanged", "-K", "K[:, i, j] = upper\n    K[:, j, i] = -upper",
         "K[:, i, j] = -upper\n    K[:, j, i] = upper"),
    ),
    *_in(
        "architectures.MS2.collect",
        ("not antisymmetrised", "dK above the diagonal alone", " - dK[:, j, i]", ""),
        ("symmetrised", "dK + dK^T", "- dK", "+ dK"),
        ("half", "(dK - dK^T) / 2", "dK[:, i, j] - dK[:, j, i]", "(dK[:, i, j] - dK[:, j, i]) / 2"),
    ),
    *_in(
        "architectures.MS3.assemble",
        ("exchanged", "K = [[0, K2], [K1, 0]]", '= params["K1"], params["K2"]', '= params["K2"], params["K1"]'),
    ),
    *_in(
        "architectures.MS3.collect",
        ("exchanged", "dK1 = dK_qp, dK2 = dK_pq", '"K1": dK[:, self.p, self.q], "K2": dK[:, self.q, self.p]',
         '"K1": dK[:, self.q, self.p], "K2": dK[:, self.p, self.q]'),
    ),
    *_in("architectures.MS3.J", ("sign", "J = -J1", "interconnection.J1", "-interconnection.J1")),
    *_in(
        "architectures.H1.J",
        ("exchanged", "J1 for J2 and J2 for J1", '"J1": interconnection.J1, "J2": interconnection.J2',
         '"J2": interconnection.J1, "J1": interconnection.J2'),
    ),
    *_in(
        "architectures.H2.J",
        ("X transposed", "J = [[0, -X], [X^T, 0]]", "from_block(X)", "from_block(X.T)"),
        ("X dropped", "J = [[0, -I], [I, 0]]", "if self.X is None else self.X", ""),
    ),
    *_in(
        "architectures.H2.assemble",
        ("exchanged", "K = blkdiag(Kq, Kp)", '= params["Kp"], params["Kq"]', '= params["Kq"], params["Kp"]'),
    ),
    *_in(
        "architectures.H2.collect",
        ("exchanged", "dKp = dK_qq, dKq = dK_pp", '"Kp": dK[:, self.p, self.p], "Kq": dK[:, self.q, self.q]',
         '"Kp": dK[:, self.q, self.q], "Kq": dK[:, self.p, self.p]'),
    ),
    *_in(
        "architectures.H2.p_part",
        ("rows", "p reads the rows of Kp", "rows=self.q", "rows=self.p"),
        ("src", "p reads p: no shear", "src=self.q", "src=self.p"),
    ),
    *_in("architectures.H2.q_part", ("rows", "q reads the rows of Kq", "rows=self.p", "rows=self.q")),
    *_in("architectures._Split.q_part", ("rows", "q reads the rows of p", "rows=self.q", "rows=self.p")),
    *_in(
        "architectures._Split.parts",
        ("order ignored", "p first, always", 'both if self.order == "p-first" else both[::-1]', "both"),
        ("order exchanged", "q first for p first", '== "p-first"', '== "q-first"'),
    ),
    *_in("architectures._Whole.steps", ("half a step", "forward Euler with h / 2", "EULER", "(Step(0, 0.5),)")),
    *_in(
        "architectures.inverse_transpose",
        ("transpose", "J = K^-1, constant weights", "inv(K[0]).T", "inv(K[0])"),
        ("transpose, layers", "J_j = K_j^-1", "inv(K).swapaxes(1, 2)", "inv(K)"),
        ("inverse", "J = K^T", "np.linalg.inv(K[0]).T", "K[0].T"),
    ),
)

SCHEMES = _in(
    "schemes.SPLITTINGS",
    ("semi-implicit order", "q first for p first", "Step(0, 1.0), Step(1, 1.0)),", "Step(1, 1.0), Step(0, 1.0)),"),
    ("semi-implicit coefficient", "p for h / 2", "(Step(0, 1.0), Step(1, 1.0)),", "(Step(0, 0.5), Step(1, 1.0)),"),
    ("verlet order", "q/2, p, q/2", "(Step(0, 0.5), Step(1, 1.0), Step(0, 0.5))",
     "(Step(1, 0.5), Step(0, 1.0), Step(1, 0.5))"),
    ("verlet whole steps", "p, q, p", "(Step(0, 0.5), Step(1, 1.0), Step(0, 0.5))",
     "(Step(0, 1.0), Step(1, 1.0), Step(0, 1.0))"),
    ("verlet halves", "0.6 p, q, 0.4 p", "(Step(0, 0.5), Step(1, 1.0), Step(0, 0.5))",
     "(Step(0, 0.6), Step(1, 1.0), Step(0, 0.4))"),
    ("verlet without its end", "p/2, q", "Step(1, 1.0), Step(0, 0.5))", "Step(1, 1.0))"),
    ("yoshida4 root", "w1 = 1 / (2 - 2^(1/2))", "2 ** (1 / 3)", "2 ** (1 / 2)"),
    ("yoshida4 w0", "w0 = 1 - w1", "1 - 2 * _w1", "1 - _w1"),
    ("yoshida4 w0 sign", "w0 = 2 w1 - 1", "_w0 = 1 - 2 * _w1", "_w0 = 2 * _w1 - 1"),
    ("yoshida4 halves", "w1 / 2 for (w1 + w0) / 2", "(_w1 + _w0) / 2", "_w1 / 2"),
    ("yoshida4 exchanged", "w0 for w1 and w1 for w0 in q",
     "Step(1, _w1),\n        Step(0, (_w1 + _w0) / 2),\n        Step(1, _w0),",
     "Step(1, _w0),\n        Step(0, (_w1 + _w0) / 2),\n        Step(1, _w1),"),
)

INTERCONNECTION = (
    *_in("interconnection.J1", ("sign", "J1 = [[0, -I], [I, 0]]", "-np.eye(m)", "np.eye(m)")),
    *_in(
        "interconnection.J2",
        ("lower sign", "J2 symmetric", "- np.tril", "+ np.tril"),
        ("upper sign", "J2 = -1 everywhere", "return np.triu", "return -np.triu"),
        ("exchanged", "-J2", "return np.triu(np.ones((n, n)), 1) - ", "return -np.triu(np.ones((n, n)), 1) + "),
    ),
    *_in(
        "interconnection.from_block",
        ("symmetric", "[[0, X^T], [X, 0]]", "-block.T", "block.T"),
        ("transpose above", "[[0, -X], [X, 0]]", "-block.T", "-block"),
        ("transpose below", "[[0, -X^T], [X^T, 0]]", "[block, zero]", "[block.T, zero]"),
        ("exchanged", "[[0, -X], [X^T, 0]]", "[zero, -block.T], [block, zero]", "[zero, -block], [block.T, zero]"),
        ("sign", "[[0, X^T], [-X, 0]]", "[zero, -block.T], [block, zero]", "[zero, block.T], [-block, zero]"),
    ),
)

BOUNDS = (
    *_in(
        "bounds.excursions",
        ("S missing", "e = ||W|| ||A||", "stages.activation.slope * ", ""),
        ("||W|| missing", "e = S ||A||", " * spectral_norm(stages.W)", ""),
        ("||A|| missing", "e = S ||W||", " * spectral_norm(stages.A)", ""),
        ("S squared", "e = S^2 ||W|| ||A||", "activation.slope", "activation.slope ** 2"),
    ),
    *_in(
        "bounds.log_upper",
        ("asinh(e)", "exp(asinh(e)) for exp(asinh(e / 2))", "np.arcsinh(e / 2)", "np.arcsinh(e)"),
        ("half of asinh", "exp(asinh(e) / 2)", "np.arcsinh(e / 2)", "np.arcsinh(e) / 2"),
        ("asinh(e / 4)", "exp(asinh(e / 4))", "np.arcsinh(e / 2)", "np.arcsinh(e / 4)"),
        ("sharp for no shear", "exp(asinh(e / 2)) for forward Euler", ' and net.stages().shears', ""),
        ("sharp never", "product for shears", 'kind == "sharp" and', 'kind != "sharp" and'),
        ("product without 1", "prod e", "np.log1p(e)", "np.log(e)"),
        ("sqrt(n) missing", "exp(Q T)", "np.log(arch.width) / 2 + ", ""),
        ("n for sqrt(n)", "n exp(Q T)", "np.log(arch.width) / 2", "np.log(arch.width)"),
        ("Q of one stage", "Q = max of e_s / h, not summed over the layer", "e.sum(axis=1)", "e.max(axis=1)"),
        ("Q of the mildest layer", "Q = min over layers", ".max(initial=0)", ".min(initial=np.inf)"),
        ("h missing", "sqrt(n) exp(Q (N - j))", "Q * arch.step", "Q"),
        ("paper reversed", "sqrt(n) exp(Q j h)", "np.arange(arch.depth, -1, -1)", "np.arange(arch.depth + 1)"),
        ("MLP keeps", "factor 1 + e where the state is replaced", "factors = np.log(e)", "factors = np.log1p(e)"),
        ("wrong layers", "stages of the layers j + 1 .. N - 1",
         "log_bound[:-1] = factors.sum(axis=1)[::-1]", "log_bound[:-2] = factors[1:].sum(axis=1)[::-1]"),
        ("off by one", "the bound of layer j put at j + 1", "log_bound[:-1] = ", "log_bound[1:] = "),
        ("reversed", "layers 0 .. j for j .. N - 1", "[::-1].cumsum()[::-1]", ".cumsum()"),
        ("not summed", "the bound of one layer", "[::-1].cumsum()[::-1]", ""),
    ),
    *_in("bounds.lower", ("sign", "sharp for 1 / sharp", "-log_upper", "log_upper")),
    *_in("bounds.gradient_ratio", ("upside down", "||delta_j|| / ||delta_0||", "sizes[-1]", "sizes[0]")),
    *_in("bounds.spectral_norm", ("smallest", "sigma_min for sigma_max", "[..., 0]", "[..., -1]")),
    *_in(
        "bounds.log_norm",
        ("not halved", "S ||J|| ||K||^2", "slope / 2", "slope"),
        ("||K|| once", "(S / 2) ||J|| ||K||", "spectral_norm(net.K) ** 2", "spectral_norm(net.K)"),
    ),
)

SYMPLECTIC = (
    *_in(
        "symplectic.defect",
        ("Phi J Phi^T", "||Phi J Phi^T - J||, Frobenius", "P.reshape(-1", "P.swapaxes(-1, -2).reshape(-1"),
        ("Phi J Phi^T, spectral", "||Phi J Phi^T - J||_2", "scaled.swapaxes(-1, -2) @ structure @ scaled",
         "scaled @ structure @ scaled.swapaxes(-1, -2)"),
        ("without - J", "||Phi^T J Phi||_2", " - structure / s / s", ""),
        ("+ J", "||Phi^T J Phi + J||_2", "- structure / s / s", "+ structure / s / s"),
        ("||J|| missing", "not divided by ||J||_F", " / np.linalg.norm(structure)", ""),
        ("not normalised", "not divided by ||Phi||_2^2", "* ratio", "* s[..., 0, 0] ** 2"),
        ("J transposed", "||Phi^T J^T Phi - J||_2", "@ structure @", "@ structure.T @"),
    ),
    *_in(
        "symplectic.norms",
        ("1 and inf", "rows summed for columns", '"1": magnitude.sum(axis=-2)', '"1": magnitude.sum(axis=-1)'),
        ("smallest", "sigma_min for ||Phi||_2", '"2": sigma[..., 0]', '"2": sigma[..., -1]'),
        ("nuclear", "the largest singular value for their sum", "sigma.sum(", "sigma.max("),
        ("min for max", "the smallest row sum", "magnitude.sum(axis=-1).max(", "magnitude.sum(axis=-1).min("),
    ),
    *_in(
        "symplectic.determinant",
        ("sign", "|det + 1|", "det - 1", "det + 1"),
        ("without 1", "|det|", "np.abs(det - 1)", "np.abs(det)"),
        ("not normalised", "|det - 1| / n", "np.maximum(np.log(n), log_condition)", "np.log(n)"),
        ("condition", "||Phi||_F alone", "_log_norm(log_sigma) + _log_norm(before + after)", "_log_norm(log_sigma)"),
    ),
    *_in(
        "symplectic.eigenvalue_pairing",
        ("with itself", "l against l for 1/l",
         "eigenvalues[..., None, None] * scaled[..., None, :, :] - (np.eye(n) / s / s)[..., None, :, :]",
         "scaled[..., None, :, :] - eigenvalues[..., None, None] * np.eye(n)"),
        ("sign", "-1/l for 1/l", ":] - (np.eye", ":] + (np.eye"),
        ("min for max", "the best eigenvalue for the worst", "smallest.max", "smallest.min"),
        ("largest", "sigma_max of Phi - I/l", "compute_uv=False)[..., -1]", "compute_uv=False)[..., 0]"),
        ("cond(J) missing", "not divided by cond(J)", " / (sigma[0] / sigma[-1])", ""),
        ("not normalised", "not divided by ||Phi||^2", "* ratio", "* s[..., 0, 0] ** 2"),
    ),
    *_in(
        "symplectic.singular_value_pairing",
        ("with itself", "sigma_i^2 for sigma_i sigma_(n+1-i)", "sigma[..., ::-1]", "sigma"),
        ("min for max", "the best pair for the worst", ".max(axis=-1)", ".min(axis=-1)"),
        ("without 1", "sigma_i sigma_(n+1-i)", " - 1 / s[..., 0] / s[..., 0]", ""),
        ("not normalised", "not divided by ||Phi||^2", "residual * ratio", "residual * s[..., 0, 0] ** 2"),
    ),
    *_in("symplectic.is_orthogonal", ("transpose", "J J = I", "structure.T @ structure", "structure @ structure")),
)

EULER = (
    *_in(
        "euler.defects",
        ("h for h^2", "h (J S) J (J S)^T", "net.arch.step**2", "net.arch.step"),
        ("h missing", "(J S) J (J S)^T", "net.arch.step**2 * ", ""),
        ("factor missing", "h^2 J (J S)^T", "(JS @ J @", "(J @"),
        ("S not symmetric", "S = K diag(sigma') K", "jri,jbr", "jir,jbr"),
        ("sigma", "S = K^T diag(sigma) K", "activation.derivative(a)", "activation.sigma(a)"),
        ("b missing", "sigma' at K y", " + net.b[:, None]", ""),
        ("K transposed", "sigma' at K^T y + b", "jrk,jbk->jbr", "jkr,jbk->jbr"),
        ("without - J", "D J D^T", " - J, closed", ", closed"),
        ("D^T J D", "D^T J D - J", "D @ J @ D.swapaxes(-1, -2)", "D.swapaxes(-1, -2) @ J @ D"),
        ("states after", "sigma' at y_(j+1)", "states[:-1]", "states[1:]"),
        ("argument ignored", "the wrong formula is not computed", " if transpose else JS", ""),
    ),
    *_in(
        "euler.layer_jacobians",
        ("transpose", "Phi for the Jacobian", "phi[0].swapaxes(-1, -2)", "phi[0]"),
        ("states", "layer j at y_0", "states[j : j + 2]", "states[:2]"),
        ("layer", "layer 0 at y_j", "stages.layers(j, j + 1)", "stages.layers(0, 1)"),
    ),
)

COMPILED = (
    *_in(
        "compiled.forward",
        ("samples reversed", "y_N of the samples in reverse order", "_own(x.T)", "_own(x[::-1].T)"),
        ("x sign", "y_0 = -x", "_own(x.T)", "_own(-x.T)"),
        ("one sample for all", "y_0 = x of the first sample", "_own(x.T)", "_own(x[:1].repeat(len(x), 0).T)"),
    ),
    *_in(
        "compiled.trace",
        ("x sign", "y_0 = -x", "states[0] = x.T", "states[0] = -x.T"),
        ("layers reversed", "y_N .. y_0", "return states", "return states[::-1]"),
        ("layer", "y_(j-1) for y_j", "return states", "return states[[0, *range(stages.depth)]]"),
    ),
    *_in(
        "compiled.adjoint",
        ("stale states", "y_0 for y_j", "_own(states.", "_own(states[:1].repeat(len(states), 0)."),
        ("states of the next layer", "y_(j+1) for y_j", "_own(states.", "_own(np.roll(states, -1, axis=0)."),
        ("samples reversed", "states of the samples in reverse order", "_own(states.", "_own(states[:, ::-1]."),
        ("g sign", "delta_N = -g", "= g.T", "= -g.T"),
        ("sums start at 1", "partial sums not cleared", "np.zeros", "np.ones"),
        ("dA and dW exchanged", "dA = delta s^T, dW = g y^T",
         "_ordered_sum(array) for array in partial", "_ordered_sum(array) for array in partial[::-1]"),
        ("layers reversed", "delta_N .. delta_0", "return delta.", "return delta[::-1]."),
        ("one sum", "gradients of the first block", "_ordered_sum(array)", "array[0]"),
    ),
    *_in(
        "compiled.sensitivity",
        ("transpose", "Phi^T for Phi", "phi.transpose(0, 3, 1, 2)", "phi.transpose(0, 3, 2, 1)"),
        ("Phi_N upside down", "Phi_N = I reversed", "[:, :, None]", "[::-1, :, None]"),
        ("Phi_N ones", "Phi_N full of ones", "np.eye(n, dtype=stages.dtype)[:, :, None]", "1"),
        ("stale states", "y_0 for y_j", "_own(states.", "_own(states[:1].repeat(len(states), 0)."),
        ("samples reversed", "states of the samples in reverse order", "_own(states.", "_own(states[:, ::-1]."),
        ("layers reversed", "Phi_N .. Phi_0", "return phi.", "return phi[::-1]."),
    ),
    *_in(
        "compiled._plain",
        ("src", "a stage reads what it updates", "stages.src", "stages.dst"),
        ("dst", "a stage updates what it reads", "stages.dst", "stages.src"),
        ("stages exchanged", "the slices of a layer in reverse order",
         "np.array([s.start for s in stages.src])", "np.array([s.start for s in stages.src[::-1]])"),
        ("keep negated", "1 - keep", "stages.keep", "not stages.keep"),
        ("keep always", "keep = 1", "stages.keep", "True"),
        ("W transposed", "W^T", "stages.W", "np.ascontiguousarray(stages.W.swapaxes(1, 2))"),
        ("A transposed", "A^T", "stages.A", "np.ascontiguousarray(stages.A.swapaxes(1, 2))"),
        ("c sign", "-c", "stages.c", "-stages.c"),
        ("activation", "the first activation for every sigma", ".index(stages.activation.name)",
         ".index(next(iter(ACTIVATIONS)))"),
    ),
    *_in(
        "compiled.blocks",
        ("overlap", "each block's first sample counted twice", "min(lo + size, batch)", "min(lo + size + 1, batch)"),
        ("gap", "the last sample of each block dropped", "min(lo + size, batch)", "min(lo + size, batch) - 1"),
        ("rest dropped", "samples after the last whole tile dropped", "tiles = -(-batch // tile)",
         "batch = max(batch // tile, 1) * tile if batch > tile else batch\n    tiles = -(-batch // tile)"),
    ),
    *_in(
        "compiled._each_block",
        ("last block dropped", "blocks 0 .. n - 2", "zip(*todo,", "zip(*todo[:-1],"),
        ("first block dropped", "blocks 1 .. n - 1", "zip(*todo,", "zip(*todo[1:],"),
    ),
    *_in(
        "compiled._ordered_sum",
        ("first block", "the sum over one block", "in partial:", "in partial[:1]:"),
        ("last block", "each block overwrites the sum", "total += block", "total = block"),
        ("sign", "the sum with the wrong sign", "total += block", "total -= block"),
    ),
)

CONTINUOUS = (
    *_in(
        "continuous.Field.linearised",
        ("G missing", "J S = diag(sigma') K", "G @ (self.activation.derivative(a)[..., :, None] * K)",
         "self.activation.derivative(a)[..., :, None] * K"),
        ("sigma", "J S = G diag(sigma) K", "derivative(a)", "sigma(a)"),
        ("columns", "G K diag(sigma')", "[..., :, None]", "[..., None, :]"),
    ),
    *_in("continuous.Field.adjoint",
        ("sign", "delta' = (J S)^T delta", "return -", "return "),
        ("transpose", "delta' = -(J S) delta", "...ac,...a->...c", "...ac,...c->...a"),
    ),
    *_in("continuous.Field.of", ("J sign", "G = -J K^T", "arch.J @ K", "-arch.J @ K")),
    *_in(
        "continuous.sensitivity",
        ("transpose", "X_j Phi_(j+1)", "z[..., 1:].swapaxes(-1, -2)", "z[..., 1:]"),
        ("product reversed", "Phi_(j+1) X_j^T", "phi[j] @ phi[j + 1]", "phi[j + 1] @ phi[j]"),
    ),
)

# fmt: on

FAULTS: tuple[Fault, ...] = (
    *LOWERING,
    *ARCHITECTURES,
    *SCHEMES,
    *INTERCONNECTION,
    *BOUNDS,
    *SYMPLECTIC,
    *EULER,
    *COMPILED,
    *CONTINUOUS,
)


# Planting


def function_of(target: str) -> FunctionType:
    """The live function behind a target: of a property its getter, of a classmethod the function it wraps."""
    module, *path = target.split(".")
    found: Any = importlib.import_module(f"pyham.{module}")
    for name in path:
        found = inspect.getattr_static(found, name)
    for attribute in ("fget", "func", "__func__", "__wrapped__"):
        found = getattr(found, attribute, found)
    assert isinstance(found, FunctionType)
    return found


@cache
def source(target: str) -> str:
    """The source text that a fault of that target changes: of the function, or of the module of a table."""
    if target == "schemes.SPLITTINGS":
        return inspect.getsource(schemes)
    return textwrap.dedent(inspect.getsource(function_of(target)))


def broken(fault: Fault) -> str:
    """The source with the fault.

    Raises
    ------
    ValueError
        If the fault's ``old`` text does not occur exactly once: then the table is out of date.
    """
    right = source(fault.target)
    if (count := right.count(fault.old)) != 1:
        raise ValueError(f"{fault.name}: expected once in {fault.target}, found {count} times: {fault.old!r}")
    return right.replace(fault.old, fault.new)


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """The package with that fault, for the time of a ``with`` statement; then all is as it was, whatever happens."""
    text = broken(fault)
    if fault.target == "schemes.SPLITTINGS":
        table = schemes.SPLITTINGS
        scratch: dict[str, Any] = {"__name__": "pyham.schemes with a fault"}
        exec(compile(text, f"<{fault.name}>", "exec"), scratch)
        kept = dict(table)
        try:
            table.update(scratch["SPLITTINGS"])
            yield
        finally:
            table.update(kept)
    else:
        function = function_of(fault.target)
        right = function.__code__
        try:
            function.__code__ = _code(text, fault)
            yield
        finally:
            function.__code__ = right


def _code(text: str, fault: Fault) -> CodeType:
    """The code of a function's source text, without its decorators."""
    (definition,) = (tree := ast.parse(text)).body
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    constants = compile(tree, f"<{fault.name}>", "exec").co_consts
    return next(c for c in constants if isinstance(c, CodeType) and c.co_name == definition.name)


# Checks


class Reading(NamedTuple):
    """What a check found on a network: a residual, and whether it is one that must not be."""

    check: str
    network: str
    residual: float
    wrong: bool


Check = Callable[[], Iterable[Reading]]

#: For what is exact but for rounding: sums of some ten terms, through up to 14 stages, are right to some 10 eps; and
#: room for 150 samples, and for another machine's tanh and order of summation
ROUNDING = 256 * EPS
#: Compiled and reference differ in the order of their sums, over up to 150 samples
ENGINES = 50 * EPS
#: DOP853 keeps the error of a step below RTOL; three layers of a few steps, whose errors grow
SOLVER = 1000 * continuous.RTOL

X = np.array([[1.0, -0.4], [0.9, 0.7]])  # neither symmetric nor orthogonal, so that no transpose hides


def networks(batch: int) -> Iterator[tuple[str, pyham.Network, Array, Array]]:
    """(name, network, x, g) for every architecture, scheme and order; new ones, as networks keep their stages."""
    kinds: dict[str, pyham.Architecture] = {
        "MLP": pyham.MLP(4, 2, 0.5),
        "ResNet": pyham.ResNet(4, 2, 0.5),
        "H1": pyham.H1(4, 2, 0.5, interconnection="J1"),
        "H1 J2 logistic": pyham.H1(4, 2, 0.5, "logistic", interconnection="J2"),
        "MS1": pyham.MS1(4, 2, 0.5),
        "MS1 verlet": pyham.MS1(4, 2, 0.5, scheme="verlet"),
        "MS2": pyham.MS2(4, 2, 0.5),
        "MS3": pyham.MS3(4, 2, 0.5),
        "MS3 q-first": pyham.MS3(4, 2, 0.5, order="q-first"),
        "H2": pyham.H2(4, 2, 0.5, X=X),
        "H2 verlet": pyham.H2(4, 2, 0.5, scheme="verlet", X=X),
        "H2 yoshida4": pyham.H2(4, 2, 0.5, scheme="yoshida4", X=X),
    }
    for seed, (name, arch) in enumerate(kinds.items()):
        rng = np.random.default_rng(seed)
        net = arch.init(rng)
        x, g = rng.standard_normal((2, batch, 4))
        yield name, net, x, g


def gradients() -> Iterator[Reading]:
    """Every gradient of the reference engine, and so the pullback, by complex step."""
    for name, net, x, g in networks(3):
        if name in (
            "H1",
            "MS3",
            "H2",
            "H2 yoshida4",
        ):  # others of their kind are enough: every entry takes a forward pass
            continue
        found = gradcheck.complex_step(net, x, g, backend="reference")
        yield _reading("complex_step", name, np.array(list(found.values())), ROUNDING)


def sensitivities() -> Iterator[Reading]:
    """The compiled engine's Phi and delta by complex step, on two blocks and a rest."""
    for name, net, x, _ in networks(150):
        if name not in ("MLP", "H1 J2 logistic", "MS1", "H2 verlet"):
            continue
        found = gradcheck.dot_product(net, x)
        yield _reading("dot_product", name, np.array(list(found.values())), ROUNDING)
        yield _reading("sensitivity", name, np.array(gradcheck.sensitivity(net, x)), ROUNDING)


def formulas() -> Iterator[Reading]:
    """K, J and y_N by the equations of the architectures' docstrings."""
    for name, net, x, _ in networks(3):
        yield _reading("formulas", name, _difference(net.K, weights(net)), 0.0)
        J = structure(net)
        if J is not None:
            yield _reading("formulas", name, _difference(np.asarray(net.interconnection), J), ROUNDING)
        yield _reading("formulas", name, _difference(net(x, backend="reference"), output(net, x)), ROUNDING)
    for arch in (pyham.MS1(4, 3), pyham.MS2(4, 3)):
        net = arch.init(0)
        same = net.replace({key: np.broadcast_to(value[0], value.shape) for key, value in net.params.items()})
        for case, J in (("layers differ", net.interconnection), ("layers the same", same.interconnection)):
            K = net.K if case == "layers differ" else same.K
            difference = _difference(np.asarray(J) @ K.swapaxes(1, 2), np.broadcast_to(np.eye(4), K.shape))
            yield _reading("formulas", f"{arch.name}, {case}", difference, ROUNDING)


def weights(net: pyham.Network) -> Array:
    """K (N, n, n)."""
    n, m, p = net.arch.width, net.arch.width // 2, net.params
    K = np.zeros((net.arch.depth, n, n))
    for j in range(net.arch.depth):
        if net.arch.name == "MS1":
            K[j, :m, m:], K[j, m:, :m] = p["A"][j], -p["A"][j].T
        elif net.arch.name == "MS2":
            above = iter(p["K_upper"][j])
            for a in range(n):
                for c in range(a + 1, n):
                    K[j, a, c] = next(above)
            K[j] -= K[j].T
        elif net.arch.name == "MS3":
            K[j, :m, m:], K[j, m:, :m] = p["K1"][j], p["K2"][j]
        elif net.arch.name == "H2":
            K[j, :m, :m], K[j, m:, m:] = p["Kp"][j], p["Kq"][j]
        else:
            K[j] = p["K"][j]
    return K


def structure(net: pyham.Network) -> Array | None:
    """J (n, n) of H1, H2 and MS3, else None."""
    n, m, options = net.arch.width, net.arch.width // 2, net.arch.config()
    J = np.zeros((n, n))
    if net.arch.name == "H2":
        J[:m, m:], J[m:, :m] = -X.T, X
    elif net.arch.name == "MS3" or options.get("interconnection") == "J1":
        for i in range(m):
            J[i, m + i], J[m + i, i] = 1, -1
    elif options.get("interconnection") == "J2":
        for i in range(n):
            J[i, i + 1 :], J[i, :i] = 1, -1
    else:
        return None
    return J


def output(net: pyham.Network, x: Array) -> Array:
    """y_N (B, n) from x, layer by layer."""
    arch, m = net.arch, net.arch.width // 2
    h, J, options = arch.step, structure(net), arch.config()
    y = x.copy()
    for K, b in zip(weights(net), net.b, strict=True):

        def field(y: Array, K: Array = K, b: Array = b) -> Array:
            s = _sigma(arch.activation, y @ K.T + b)
            return s if J is None else s @ K @ J.T

        if arch.name == "MLP":
            y = field(y)
        elif "scheme" not in options:
            y = y + h * field(y)
        else:
            halves = slice(0, m), slice(m, None)
            for which, fraction in sequence(options["scheme"]):
                part = halves[which if options["order"] == "p-first" else 1 - which]
                step = h * fraction * field(y)
                y[:, part] += step[:, part]
    return y


def sequence(scheme: str, fraction: float = 1.0) -> list[tuple[int, float]]:
    """(half, fraction of h): Yoshida's fourth order is three Verlet steps, Verlet two mirrored semi-implicit ones."""
    if scheme == "semi-implicit":
        return [(0, fraction), (1, fraction)]
    if scheme == "verlet":
        forth = sequence("semi-implicit", fraction / 2)
        return forth + forth[::-1]
    w = 1 / (2 - np.cbrt(2))
    return [step for part in (w, 1 - 2 * w, w) for step in sequence("verlet", part)]


def engines() -> Iterator[Reading]:
    """The compiled engine against the reference, on two blocks and a rest."""
    for name, net, x, g in networks(150):
        right, found = (_everything(net, x, g, backend) for backend in ("reference", "numba"))
        for one, other in zip(found, right, strict=True):
            yield _reading("compiled", name, _difference(one, other), ENGINES)


def _everything(net: pyham.Network, x: Array, g: Array, backend: str) -> list[Array]:
    trace = net.trace(x, backend=backend)
    adjoint = net.adjoint(trace, g, backend=backend)
    phi = net.sensitivity(x, backend=backend)
    return [net(x, backend=backend), trace.states, adjoint.delta, *adjoint.params.values(), phi]


def bounds_by_hand() -> Iterator[Reading]:
    """Bounds from norms of the parameters; and one shear at rest, where the sharp bound is attained."""
    read = partial(_reading, "bounds by hand", limit=ROUNDING)
    for name, net, _, _ in networks(3):
        S, h = 0.25 if net.arch.activation == "logistic" else 1.0, net.arch.step
        J, options, m = structure(net), net.arch.config(), net.arch.width // 2
        e = []
        for K in weights(net):
            halves = [slice(0, m), slice(m, None)][:: 1 if options.get("order") != "q-first" else -1]
            steps = [(halves[i], f) for i, f in _joined(options["scheme"])] if "scheme" in options else []
            e.append([S * f * h * _drive(net, K, J, dst) for dst, f in steps])
            if not steps:
                W = np.eye(4) if J is None else J @ K.T
                e[-1] = [S * (h if net.arch.keep else 1) * _norm(W) * _norm(K)]
        factors: dict[str, Callable[[float], float]] = {"sharp": np.log1p, "product": np.log1p}
        if "scheme" in options:
            factors["sharp"] = lambda v: np.arcsinh(v / 2)
        if not net.arch.keep:
            factors = dict.fromkeys(factors, np.log)
        for kind, factor in factors.items():
            logs = [sum(factor(v) for layer in e[j:] for v in layer) for j in range(len(e) + 1)]
            yield read(name, _difference(bounds.log_upper(net, kind), np.array(logs)))
            if kind == "sharp" and "scheme" in options:
                yield read(name, _difference(np.asarray(bounds.lower(net)), np.exp(-np.array(logs))))
        if net.arch.keep:
            Qh = max(map(sum, e))
            logs = [np.log(4) / 2 + Qh * (len(e) - j) for j in range(len(e) + 1)]
            yield read(name, _difference(bounds.log_upper(net, "paper"), np.array(logs)))
        if J is not None:
            growth = [S / 2 * _norm(J) * _norm(K) ** 2 for K in weights(net)]
            yield read(name, _difference(bounds.log_norm(net), np.array(growth)))
    delta = np.array([[[3.0, 4.0]], [[0.0, 2.0]], [[1.0, 0.0]]])
    yield read("", _difference(bounds.gradient_ratio(delta), np.array([[5.0], [2.0], [1.0]])))
    for activation in ("tanh", "logistic", "identity"):
        net = pyham.H2(4, 1, 0.3, activation).init(0)
        net = net.replace({"Kp": np.zeros((1, 2, 2)), "b": np.zeros((1, 4))})
        size = np.linalg.norm(net.sensitivity(np.zeros((1, 4)), backend="reference")[0, 0], 2)
        yield read(f"one shear, {activation}", _difference(bounds.log_upper(net)[:1], np.log([size])))


def _joined(scheme: str) -> list[tuple[int, float]]:
    """The ``sequence`` with neighbouring steps of one half joined, negative ones as their size."""
    joined: list[tuple[int, float]] = []
    for half, fraction in sequence(scheme):
        if joined and joined[-1][0] == half:
            joined[-1] = half, joined[-1][1] + fraction
        else:
            joined.append((half, fraction))
    return [(half, abs(fraction)) for half, fraction in joined]


def _drive(net: pyham.Network, K: Array, J: Array | None, dst: slice) -> float:
    """||W|| ||A|| of the stage that updates ``dst``, for h = 1: its rows of K are those that do not read it."""
    m = net.arch.width // 2
    src = slice(m, None) if dst.start == 0 else slice(0, m)
    rows = src if net.arch.name == "H2" else dst
    A = K[rows, src]
    return _norm(A) * (1.0 if J is None else _norm(J[dst, src] @ A.T))


def residuals_by_hand() -> Iterator[Reading]:
    """The residuals of ``pyham.symplectic`` by their definitions, on matrices that need no scaling."""
    read = partial(_reading, "residuals by hand", limit=ROUNDING)
    rng = np.random.default_rng(0)
    J = np.zeros((4, 4))
    J[:2, 2:], J[2:, :2] = -X.T, X
    I = np.eye(4)
    cond = np.linalg.cond(J)
    cases = {
        "diagonal": np.diag([2.0, 1, 1, 1]),
        "random": rng.standard_normal((4, 4)),
        "small": 0.1 * rng.standard_normal((4, 4)),
    }
    for name, P in cases.items():
        size = max(1.0, _norm(P) ** 2)
        D = P.T @ J @ P - J
        fro = np.linalg.norm(D) / np.linalg.norm(J) / max(1.0, float(np.linalg.norm(P)) ** 2)
        yield read(name, _difference(symplectic.defect(P, J), fro))
        yield read(name, _difference(symplectic.defect(P, J, norm="2"), _norm(D) / _norm(J) / size))
        numpy = {"1": 1, "2": 2, "inf": np.inf, "fro": "fro", "nuc": "nuc"}
        for key, value in symplectic.norms(P).items():
            order: Any = numpy[key]
            yield read(name, _difference(value, np.linalg.norm(P, order)))
        det = np.linalg.det(P)
        adj = det * np.linalg.inv(P)
        residual = abs(det - 1) / max(4.0, float(np.linalg.norm(P) * np.linalg.norm(adj)))
        yield read(name, _difference(np.array(symplectic.determinant(P)), np.array([det, residual])))
        far: list[float] = [abs(l) * np.linalg.svd(P - I / l, compute_uv=False)[-1] for l in np.linalg.eigvals(P)]
        yield read(name, _difference(symplectic.eigenvalue_pairing(P, J), max(far) / cond / size))
        s = np.linalg.svd(P, compute_uv=False)
        pairs: list[float] = [abs(s[i] * s[3 - i] - 1) for i in range(4)]
        yield read(name, _difference(symplectic.singular_value_pairing(P), max(pairs) / size))
    for name, structure, orthogonal in (("J1", interconnection.J1(4), True), ("J2", interconnection.J2(4), False)):
        yield read(f"is {name} orthogonal", np.array(float(symplectic.is_orthogonal(structure) != orthogonal)))


def dual() -> Iterator[Reading]:
    """delta(t_j) of the adjoint equation against Phi(t_j) g of the variational one."""
    net = pyham.H1(4, 3, 0.3, interconnection="J2").init(0)
    x, g = np.random.default_rng(1).standard_normal((2, 3, 4))
    phi, delta = continuous.sensitivity(net, x), continuous.adjoint(net, x, g)
    yield _reading("dual", "H1", _difference(delta, np.einsum("jbac,bc->jba", phi, g)), SOLVER)


def certificates() -> Iterator[Reading]:
    """``pyham.certify`` where theory promises most."""
    for name, net, x, _ in networks(5):
        if name not in ("H1", "MS3", "H2", "H2 verlet"):
            continue
        for check in pyham.certify(net, x).checks:
            if check.guaranteed:
                yield Reading("certify", name, check.measured, not check.holds)
                if check.control_failed is False:
                    yield Reading("certify control", name, float(check.control_measured or 0), True)


def findings(name: str, first: int | None = None) -> Iterator[Reading]:
    """A claim in quick mode, or its ``first`` results, on an untrained network of 8 layers and 5 samples."""
    lab = claim.Lab(0, quick=True)
    small = pyham.H2(width=4, depth=8, step=0.1).init(0)
    stub: dict[str, Any] = {"classifier": SimpleNamespace(net=small), "untrained": small, "samples": _samples()}
    vars(lab).update(stub)
    for finding in islice(claim.run(name, claim.modules([name])[name], lab), first):
        result = finding.result
        yield Reading(name, "", result.measured, not result.passed)
        yield Reading(f"{name} control", "", result.control, not result.control_failed)


@cache
def _samples() -> Array:
    return claim.Lab(0, quick=True).samples[:5]


#: The checks that look at each module, or function where it has its own. V4: the results on H2, since MS3's 64 layers
#: take most of its time; V12: up to those on MS1, which see every scheme
CHECKS: dict[str, tuple[Check, ...]] = {
    "lowering": (gradients, formulas, certificates),
    "lowering.Architecture._lift": (formulas, certificates),
    "architectures": (formulas, certificates),
    **{
        f"architectures.{name}.{function}": (gradients, formulas, certificates)
        for name in ("MS1", "MS2", "MS3", "H2")
        for function in ("assemble", "collect")
    },
    "schemes": (formulas, partial(findings, "V12", 5)),
    "interconnection": (formulas, partial(findings, "V9")),
    "bounds": (bounds_by_hand, partial(findings, "V5")),
    "symplectic": (residuals_by_hand, certificates, partial(findings, "V4", 8)),
    "symplectic.defect": (residuals_by_hand, certificates, partial(findings, "V8")),
    "symplectic.norms": (residuals_by_hand, certificates, partial(findings, "V17")),
    "symplectic.is_orthogonal": (residuals_by_hand, certificates),
    "euler": (certificates, partial(findings, "V7")),
    "compiled": (engines, sensitivities),
    "continuous": (partial(findings, "V12", 5),),
    "continuous.Field.adjoint": (dual,),
}


def checks_of(fault: Fault) -> tuple[Check, ...]:
    return CHECKS.get(fault.target, CHECKS[fault.where])


def readings(checks: Iterable[Check]) -> list[Reading]:
    """What these checks find; "raises" where one ended in an exception."""
    found: list[Reading] = []
    for check in checks:
        try:
            with np.errstate(all="ignore"):
                found.extend(check())
        except (ArithmeticError, LookupError, TypeError, ValueError):
            found.append(Reading("raises", "", np.inf, True))
    return found


@cache
def row(fault: Fault) -> Row:
    """The table's line for that fault."""
    with planted(fault):
        wrong = [reading for reading in readings(checks_of(fault)) if reading.wrong]
    checks = tuple(dict.fromkeys(reading.check for reading in wrong))
    names = tuple(dict.fromkeys(reading.network for reading in wrong if reading.network))
    residuals = [np.inf if np.isnan(reading.residual) else reading.residual for reading in wrong]
    return Row(fault.name, fault.where, fault.what, checks, names, max(residuals, default=0.0))


def table() -> list[Row]:
    """A row for every fault."""
    return [row(fault) for fault in FAULTS]


def failures() -> list[Reading]:
    """What the checks find wrong with the package as it is: nothing."""
    checks = {str(check): check for several in CHECKS.values() for check in several}  # each once
    return [reading for reading in readings(checks.values()) if reading.wrong]


def _reading(check: str, network: str, values: Array, limit: float) -> Reading:
    """The largest of the values, which is wrong above the limit, or if NaN."""
    largest = float(np.max(values))
    return Reading(check, network, largest, not largest <= limit)


def _difference(found: Array, right: Any) -> Array:
    """Largest difference relative to the largest entry of ``right``; inf if the shapes differ."""
    if np.shape(found) != np.shape(right):
        return np.array(np.inf)
    size = float(np.max(np.abs(right)))
    return np.asarray(np.max(np.abs(found - right)) / (size if size > 0 else 1.0))


def _norm(M: Array) -> float:
    return float(np.linalg.norm(M, 2))


def _sigma(name: str, a: Array) -> Array:
    return np.tanh(a) if name == "tanh" else 1 / (1 + np.exp(-a))

"""Certificates of networks that are not pyham's: any list of layers, each a function of samples x (B, n).

Nothing is known about a layer but its values, so its Jacobian D_j (B, n, n), entry [a, c] = d(y_{j+1})_a / d(y_j)_c, is
taken from a function that is given, or measured: by a complex step where the layer computes with complex numbers, else
by differences with extrapolation (SciPy's ``jacobian``). The sensitivities are Phi_j = D_j^T Phi_{j+1}.

The tolerances rest on one number, the relative error ``error`` of the Jacobians: ||D^ - D|| <= error ||D||. Then the
defects of the layers add up as in ``pyham.verification.rounding``: the defect of Phi_j is at most ||J|| times the sum
of 2 ||E|| ||P|| + ||E||^2 over the layers behind j, with P = D^T P+ and ||E|| <= error ||D|| ||P+||. For a J that is
fitted, the error of the fit is part of the residual.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.interconnection import real
from pyham.verification import rounding, symplectic
from pyham.verification.certificate import Certificate, Check
from pyham.verification.measurements import UNDECIDED, Reading

Array = np.ndarray[Any, Any]
Layer = Callable[[Array], Array]

TINY = 1e-100  # of the complex step
EPS = float(np.finfo(np.float64).eps)


def certify_layers(
    layers: Sequence[Layer],
    x: object,
    *,
    J: Any = None,
    derivatives: Sequence[Layer] | None = None,
    error: float | None = None,
    name: str = "layers",
) -> Certificate:
    """Certificate of the network layers[-1](... layers[0](x)) on the samples x (B, n), in double precision.

    Parameters
    ----------
    layers : functions from (B, n) to (B, n), each row from the row of its own sample alone
    J : skew-symmetric (n, n), for which the network should be symplectic; "fit" for the one that the layers come
        closest to preserving; None: nothing of the kind is asked
    derivatives : functions from (B, n) to the Jacobians (B, n, n); without them they are measured
    error : relative error of the Jacobians, on which all tolerances rest; at first 64 n eps for given derivatives and
        the complex step, and 1e-9 for differences
    name : of the network, as the certificate shows it

    Returns
    -------
    Certificate whose ``facts`` hold the norms of Phi_0. The check "layers" names the layer that is farthest from
    preserving J, "symplectic" tests their product, "derivatives" compares given Jacobians with measured ones.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    y = _check.array("x", x, ("B", "n")).astype(np.float64)
    functions = _functions("layers", layers)
    n, given = y.shape[1], None if derivatives is None else _functions("derivatives", derivatives)
    if given is not None and len(given) != len(functions):
        raise ValueError(f"derivatives: expected {len(functions)}, one for each layer, got {len(given)}")
    states = [y]
    for i, function in enumerate(functions):
        states.append(_values(f"layers[{i}]", function(states[-1].copy()), y.shape))
    measured, exact = _jacobians(functions, states)
    D = measured
    if given is not None:
        pairs = enumerate(zip(given, states, strict=False))
        found = [_values(f"derivatives[{i}]", f(s.copy()), (len(y), n, n)) for i, (f, s) in pairs]
        D = np.array(found).reshape(measured.shape)
    own = 64 * n * EPS
    of_measured = own if exact else 1e-9
    allowed = error if error is not None else own if given is not None else of_measured
    if not 0 < allowed < 1:
        raise ValueError(f"error: expected a number between 0 and 1, got {error!r}")
    with np.errstate(all="ignore"):
        return _certificate(D, None if given is None else (measured, of_measured), J, allowed, name)


def fit(jacobians: Array) -> Array:
    """The skew-symmetric J (n, n), ||J||_F = 1, with the smallest sum of ||D J D^T - J||_F^2 / max(1, ||D||_F^2)^2.

    ``jacobians`` are D (..., n, n). J is the right singular vector of a linear map; its entries above the diagonal are
    the unknowns, so that n up to some 40 is quick.
    """
    D = np.asarray(jacobians, np.float64).reshape(-1, *np.shape(jacobians)[-2:])
    n = D.shape[-1]
    if n < 2:
        raise ValueError(f"jacobians: expected n >= 2, as there is no skew-symmetric matrix else, got n = {n}")
    i, j = np.triu_indices(n, 1)
    normal = np.zeros((len(i), len(i)))
    for matrix in D:
        image = matrix[:, i][:, None] * matrix[:, j][None] - matrix[:, j][:, None] * matrix[:, i][None]
        image[i, j, np.arange(len(i))] -= 1
        rows = image[i, j] / max(1.0, float(np.linalg.norm(matrix))) ** 2
        normal += rows.T @ rows
    J = np.zeros((n, n))
    J[i, j] = np.linalg.eigh(normal)[1][:, 0] / np.sqrt(2)
    return J - J.T


def _certificate(D: Array, other: tuple[Array, float] | None, J: Any, error: float, name: str) -> Certificate:
    N, B, n = D.shape[:3]
    phi = np.empty((N + 1, B, n, n))
    phi[N] = np.eye(n)
    for j in reversed(range(N)):
        phi[j] = D[j].swapaxes(-1, -2) @ phi[j + 1]
    size = np.linalg.norm(phi, axis=(-2, -1))
    of_layer = np.linalg.norm(D, axis=(-2, -1))
    product = (error + rounding.gamma(n, rounding.U)) * of_layer * size[1:]  # ||E|| of one step
    checks = []
    if other is not None:
        limit = np.broadcast_to(error + other[1], of_layer.shape)
        found, flipped = (
            Reading(np.linalg.norm(sign * D - other[0], axis=(-2, -1)) / np.maximum(of_layer, 1e-300), limit)
            for sign in (1, -1)
        )
        checks.append(_check_of("derivatives", "given D_j = measured D_j", found, flipped, "signs flipped"))
    if J is not None:
        structure = fit(D[:, : max(1, 400 // max(1, N))]) if isinstance(J, str) and J == "fit" else _skew(J, n)
        unit = np.linalg.norm(structure)

        def layerwise(factor: float) -> Reading:
            M = factor * D
            defect = np.linalg.norm(M @ structure @ M.swapaxes(-1, -2) - structure, axis=(-2, -1)) / unit
            scale = np.maximum(1, factor * of_layer) ** 2
            limit = 3 * (error + rounding.gamma(2 * n, rounding.U)) * (factor * of_layer) ** 2 + 4 * EPS
            return Reading(defect / scale, limit / scale, scale)

        def total(factor: float) -> Reading:
            P = factor * phi[:-1]
            defect = np.linalg.norm(P.swapaxes(-1, -2) @ structure @ P - structure, axis=(-2, -1)) / unit
            scale = np.maximum(1, factor * size[:-1]) ** 2
            terms = 2 * product * size[:-1] + product**2
            ratio = np.linalg.norm(structure, 2) / unit
            own = 3 * rounding.gamma(2 * n, rounding.U) * size[:-1] ** 2
            limit = factor**2 * (ratio * rounding.behind(terms)[:-1] + own)
            return Reading(defect / scale, limit / scale + EPS, scale)

        doubled = "outputs multiplied by 2"
        checks.append(_check_of("layers", "D_j J D_j^T = J", layerwise(1), layerwise(2), "every layer doubled"))
        checks.append(_check_of("symplectic", "Phi_j^T J Phi_j = J", total(1), total(2), doubled))
        if np.linalg.matrix_rank(structure) == n:
            least = np.linalg.svd(phi, compute_uv=False)[..., -1]
            inverse = np.where(least > 0, 1 / np.where(least > 0, least, 1), np.inf)[:-1]
            limit = rounding.behind(np.sqrt(n) * product * inverse)[:-1] + rounding.lapack(n) * size[:-1] * inverse * n

            def determinant(factor: float) -> Reading:
                sign, log = np.linalg.slogdet(factor * phi[:-1])
                return Reading(np.where(sign > 0, np.abs(log), np.inf), limit)

            def shortfall(factor: float) -> Reading:
                norms = np.min(list(symplectic.norms(factor * phi[:-1]).values()), axis=0) if N else np.ones((0, B))
                return Reading(1 - norms, limit / n + rounding.lapack(n))

            checks.append(_check_of("determinant", "det Phi_j = 1", determinant(1), determinant(2), doubled))
            small = 0.5 / max(1.0, float(np.nan_to_num(size, posinf=1.0).max(initial=1.0)))
            case = f"outputs multiplied by {small:.2g}"
            checks.append(_check_of("norms", "every norm of Phi_j >= 1", shortfall(1), shortfall(small), case))
    facts = {}
    if B:
        norm = symplectic.norms(phi[0])["2"]
        quantiles = map(float, np.quantile(norm, (0, 0.5, 1)))
        facts = dict(zip(("smallest norm", "median", "largest"), quantiles, strict=True))
        facts["norm of the batch mean"] = float(symplectic.norms(phi[0].mean(axis=0))["2"])
        for j in range(N):
            facts[f"layer {j}"] = float(np.median(symplectic.norms(phi[j])["2"]))
    return Certificate(f"{name} ({N} of them, n = {n})", B, "float64", tuple(checks), facts)


def _check_of(name: str, statement: str, found: Reading, control: Reading, case: str) -> Check:
    measured, tolerance, layer, sample = found.worst()
    value, limit, *_ = control.worst()
    failed, decided = not value <= limit, bool(tolerance <= UNDECIDED)
    reason = None
    if not found.measured.size:
        reason = "nothing to check"
    elif not decided or not (failed or control.decisive()):
        reason = "errors of the Jacobians may exceed it"
    shown: tuple[str | None, float | None, bool | None] = (
        (case, value, failed) if reason is None else (None, None, None)
    )
    holds = bool(measured <= tolerance)
    return Check(name, statement, True, measured, tolerance, holds, *shown, decided, layer, sample, reason)


def _skew(J: object, n: int) -> Array:
    structure = np.asarray(real("J", J, n), np.float64)
    if not structure.any() or not np.array_equal(structure, -structure.T):
        raise ValueError("J: expected a skew-symmetric matrix other than 0, or 'fit'")
    return structure


def _functions(argument: str, functions: Sequence[Layer]) -> list[Layer]:
    if not isinstance(functions, (list, tuple)):
        raise TypeError(f"{argument}: expected a list of functions, got {type(functions).__name__}")
    for i, function in enumerate(functions):
        if not callable(function):
            raise TypeError(f"{argument}[{i}]: expected a function, got {type(function).__name__}")
    return list(functions)


def _values(name: str, values: object, shape: tuple[int, ...]) -> Array:
    found = np.asarray(values)
    if found.shape != shape:
        raise ValueError(f"{name}: expected values of shape {shape}, got {found.shape}")
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real values, got dtype {found.dtype}")
    return found.astype(np.float64)


def _jacobians(layers: list[Layer], states: list[Array]) -> tuple[Array, bool]:
    """Measured Jacobians (N, B, n, n), and whether all of them are exact to rounding, by a complex step."""
    B, n = states[0].shape
    found, exact = np.empty((len(layers), B, n, n)), True
    for j, (function, y) in enumerate(zip(layers, states, strict=False)):
        stepped = _complex_step(function, y)
        if stepped is None:
            exact = False
            stepped = _differences(function, y)
        found[j] = stepped
    return found, exact


def _complex_step(function: Layer, y: Array) -> Array | None:
    """D (B, n, n) by a complex step, or None where the function does not compute with complex numbers."""
    B, n = y.shape
    steps = (y[:, None] + 1j * TINY * np.eye(n)).reshape(B * n, n)
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(function(steps.copy()))
    except Exception:
        return None
    if values.dtype.kind != "c" or values.shape != steps.shape:
        return None
    if not np.allclose(values.real.reshape(B, n, n)[:, 0], function(y.copy())):
        return None
    D = values.imag.reshape(B, n, n).swapaxes(1, 2) / TINY
    near = _differences(function, y[:1])  # a function that takes real parts somewhere has a derivative of 0 there
    return D if np.allclose(D[:1], near, rtol=1e-4, atol=1e-4 * (1 + np.abs(near).max(initial=0))) else None


def _differences(function: Layer, y: Array) -> Array:
    """D (B, n, n) by central differences, extrapolated."""
    from scipy.differentiate import jacobian  # here, because importing pyham should not import SciPy

    def columns(t: Array) -> Array:
        """Values (n, ...) at points (n, ...)."""
        flat = t.reshape(len(t), -1).T
        return np.asarray(function(np.ascontiguousarray(flat)), np.float64).T.reshape(t.shape)

    if not y.size:
        return np.zeros((len(y), y.shape[1], y.shape[1]))
    return np.moveaxis(jacobian(columns, y.T, initial_step=0.1, maxiter=12).df, -1, 0)

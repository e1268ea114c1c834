"""Faults of ``pyham.bounds``, ``symplectic``, ``euler`` and ``continuous``."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

BOUNDS: tuple[Fault, ...] = (
    *slips(
        "bounds.excursions",
        ("S missing", "e = ||W|| ||A||", "stages.activation.slope * ", ""),
        ("||W|| missing", "e = S ||A||", " * spectral_norm(stages.W)", ""),
        ("||A|| missing", "e = S ||W||", " * spectral_norm(stages.A)", ""),
        ("S squared", "e = S^2 ||W|| ||A||", "activation.slope", "activation.slope ** 2"),
    ),
    *slips(
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
    *slips("bounds.lower", ("sign", "sharp for 1 / sharp", "-log_upper", "log_upper")),
    *slips("bounds.gradient_ratio", ("upside down", "||delta_j|| / ||delta_0||", "sizes[-1]", "sizes[0]")),
    *slips("bounds.spectral_norm", ("smallest", "sigma_min for sigma_max", "[..., 0]", "[..., -1]")),
    *slips(
        "bounds.log_norm",
        ("not halved", "S ||J|| ||K||^2", "slope / 2", "slope"),
        ("||K|| once", "(S / 2) ||J|| ||K||", "spectral_norm(net.K) ** 2", "spectral_norm(net.K)"),
    ),
)

SYMPLECTIC: tuple[Fault, ...] = (
    *slips(
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
    *slips(
        "symplectic.norms",
        ("1 and inf", "rows summed for columns", '"1": magnitude.sum(axis=-2)', '"1": magnitude.sum(axis=-1)'),
        ("smallest", "sigma_min for ||Phi||_2", '"2": sigma[..., 0]', '"2": sigma[..., -1]'),
        ("nuclear", "the largest singular value for their sum", "sigma.sum(", "sigma.max("),
        ("min for max", "the smallest row sum", "magnitude.sum(axis=-1).max(", "magnitude.sum(axis=-1).min("),
    ),
    *slips(
        "symplectic.determinant",
        ("sign", "|det + 1|", "det - 1", "det + 1"),
        ("without 1", "|det|", "np.abs(det - 1)", "np.abs(det)"),
        ("not normalised", "|det - 1| / n", "np.maximum(np.log(n), log_condition)", "np.log(n)"),
        ("condition", "||Phi||_F alone", "_log_norm(log_sigma) + _log_norm(before + after)", "_log_norm(log_sigma)"),
    ),
    *slips(
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
    *slips(
        "symplectic.singular_value_pairing",
        ("with itself", "sigma_i^2 for sigma_i sigma_(n+1-i)", "sigma[..., ::-1]", "sigma"),
        ("min for max", "the best pair for the worst", ".max(axis=-1)", ".min(axis=-1)"),
        ("without 1", "sigma_i sigma_(n+1-i)", " - 1 / s[..., 0] / s[..., 0]", ""),
        ("not normalised", "not divided by ||Phi||^2", "residual * ratio", "residual * s[..., 0, 0] ** 2"),
    ),
    *slips("symplectic.is_orthogonal", ("transpose", "J J = I", "structure.T @ structure", "structure @ structure")),
)

EULER: tuple[Fault, ...] = (
    *slips(
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
    *slips(
        "euler.layer_jacobians",
        ("transpose", "Phi for the Jacobian", "phi[0].swapaxes(-1, -2)", "phi[0]"),
        ("states", "layer j at y_0", "states[j : j + 2]", "states[:2]"),
        ("layer", "layer 0 at y_j", "stages.layers(j, j + 1)", "stages.layers(0, 1)"),
    ),
)

CONTINUOUS: tuple[Fault, ...] = (
    *slips(
        "continuous.Field.linearised",
        ("G missing", "J S = diag(sigma') K", "G @ (self.activation.derivative(a)[..., :, None] * K)",
         "self.activation.derivative(a)[..., :, None] * K"),
        ("sigma", "J S = G diag(sigma) K", "derivative(a)", "sigma(a)"),
        ("columns", "G K diag(sigma')", "[..., :, None]", "[..., None, :]"),
    ),
    *slips("continuous.Field.adjoint",
        ("sign", "delta' = (J S)^T delta", "return -", "return "),
        ("transpose", "delta' = -(J S) delta", "...ac,...a->...c", "...ac,...c->...a"),
    ),
    *slips("continuous.Field.of", ("J sign", "G = -J K^T", "arch.J @ K", "-arch.J @ K")),
    *slips(
        "continuous.sensitivity",
        ("transpose", "X_j Phi_(j+1)", "z[..., 1:].swapaxes(-1, -2)", "z[..., 1:]"),
        ("product reversed", "Phi_(j+1) X_j^T", "phi[j] @ phi[j + 1]", "phi[j + 1] @ phi[j]"),
    ),
)

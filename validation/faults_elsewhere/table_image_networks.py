"""Faults of ``pyham.images``: architectures, objective, certificate."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

IMAGE_ARCHITECTURES: tuple[Fault, ...] = (
    *slips(
        "images.architectures.ConvH2.lower",
        ("signs", "p + h Kq^T sigma, q - h Kp^T sigma", "W[0::2]", "W[1::2]"),
        ("sign", "p + h Kq^T sigma", "W[0::2] *= -1", "pass"),
        ("not transposed", "K for K^T", "transposed(A)", "A"),
        ("flipped alone", "K^T without the exchange of channels", "transposed(A)", "A[..., ::-1, ::-1]"),
        ("step", "h = 1", " * np.asarray(self.step, A.dtype)", ".copy()"),
        ("halves", "q first", "p, q = ", "q, p = "),
        ("src", "p reads p: no shear", "(q, p), (p, q)", "(p, q), (p, q)"),
    ),
    *slips(
        "images.architectures.ConvH2._interleaved",
        ("exchanged", "Kp for Kq and Kq for Kp", "(Kq, Kp)", "(Kp, Kq)"),
        ("biases", "bp for bq and bq for bp", "(b[:, m:], b[:, :m])", "(b[:, :m], b[:, m:])"),
        ("order", "all Kq, then all Kp", "(Kq, Kp), axis=1", "(Kq, Kp), axis=0"),
    ),
    *slips(
        "images.architectures.ConvH2.pullback",
        ("sign", "dKq = dA + h dW^T", "- h *", "+ h *"),
        ("W dropped", "dKp = dA", " + h * transposed(dW[1::2])", ""),
        ("A dropped", "dKq = -h dW^T", "dA[0::2] -", "-"),
        ("not transposed", "dKp = dA + h dW", "transposed(dW[1::2])", "dW[1::2]"),
        ("step", "h = 1", "np.asarray(self.step, dA.dtype)", "1.0"),
        ("exchanged", "dKq for dKp and dKp for dKq", 'Kp, f"Kq{i}": Kq', 'Kq, f"Kq{i}": Kp'),
        ("biases", "dbq for dbp and dbp for dbq", "(dc[1::2], dc[0::2])", "(dc[0::2], dc[1::2])"),
    ),
    *slips(
        "images.architectures.ConvH2.smoothness",
        ("half", "h sum ||K_(j+1) - K_j||^2", "self.step / 2", "self.step"),
        ("last name", "the last parameter's penalty alone", "penalty +=", "penalty ="),
        ("sign", "plus in place of minus", "[:-1] -=", "[:-1] +="),
        ("one end", "the derivative by K_j alone", "found[name][1:] += ", "found[name][1:] += 0 * "),
    ),
    *slips(
        "images.architectures.ConvH2.scales",
        ("size", "without t^2 of the inputs", "self.size**2 * ", ""),
        ("group", "the inputs of the first group for all", 'int(name.lstrip("Kpqb"))', "0"),
    ),
    *slips(
        "images.architectures.Pixelwise.scales",
        ("inputs", "all channels for those that a stage reads", "(part.stop - part.start)", "self.channels"),
        ("normal", "1, always", 'if initialization == "normal"', "if True"),
    ),
    *slips(
        "images.base.ImageArchitecture.init",
        ("scale", "normal for scaled normal", "scales[name] * ", ""),
        ("lift", "uniform within 1", "uniform(-1 / 3, 1 / 3,", "uniform(-1, 1,"),
        ("mu", "mu not 0", '("layer", "mu")', '("layer",)'),
        ("background sign", "twice the background", "* (MEAN", "* (-MEAN"),
        ("b", "b not 0", 'startswith("b")', 'startswith("c")'),
    ),
    *slips(
        "images.base.head_of",
        ("gain of mu", "gain layer, mu", 'gain * params["mu"]', 'params["mu"]'),
        ("gain of layer", "layer, gain mu", 'gain * params["layer"]', 'params["layer"]'),
    ),
    *slips("images.network.ImageNetwork.lifted", ("pixels", "pixels / 255", "reference.normalise(images, self.dtype)",
                                                  "images / 255")),
    *slips("images.network.ImageNetwork.predict", ("class", "the least likely class", "argmax", "argmin")),
    *slips("images.network.ImageNetwork.accuracy", ("share", "the share classified wrong", "==", "!=")),
)

MODEL: tuple[Fault, ...] = (
    *slips(
        "images.model.ImageModel.objective",
        ("stale", "the last gradient added", "slope[...] = ", "slope += "),
        ("gain of layer", "dlayer without gain", "gain * sums.layer", "sums.layer"),
        ("gain of mu", "dmu without gain", "gain * sums.mu", "sums.mu"),
        ("alpha", "the penalty without alpha", "protocol.alpha * penalty", "penalty"),
        ("smoothness sign", "minus alpha", "slope += protocol.alpha", "slope -= protocol.alpha"),
        ("decay", "decay for alpha_c", "protocol.alpha_c if", "protocol.decay if"),
        ("mu", "decay of mu as of K", 'in ("layer", "mu")', 'in ("layer",)'),
        ("decay sign", "minus decay", "slope += factor", "slope -= factor"),
    ),
    *slips("images.model.ImageModel.gradient", ("shifts", "moved by one pixel", "np.zeros", "np.ones")),
    *slips(
        "images.model.ImageModel.epoch",
        ("mean of batches", "a small batch counts as much as a large one", "loss * len(order[part]), right",
         "loss * len(order) / len(rates), right"),
        ("first batch", "the first batch, always", "slice(k * size, (k + 1) * size)", "slice(0, size)"),
        ("last count", "right ones of the last batch", "right + count", "count"),
        ("order", "images in the order of the data", "shifts[part], order[part])",
         "shifts[part], np.arange(len(order))[part])"),
        ("one way", "never up or to the left", "integers(-self.shift", "integers(0"),
        ("end", "never as far down or to the right as up", "self.shift, (len(order), 2), endpoint=True",
         "max(1, self.shift), (len(order), 2)"),
    ),
    *slips(
        "images.model.ImageModel.evaluate",
        ("first piece", "the first piece, always", "x[start : start + PIECE]", "x[:PIECE]"),
        ("right", "the least likely class", "argmax", "argmin"),
    ),
)

IMAGE_CERTIFICATE: tuple[Fault, ...] = (
    *slips(
        "images.certificate.certify",
        ("tolerance", "c s without eps", "CONSTANT * eps *", "CONSTANT *"),
        ("holds", "whatever was measured holds", "bool(measured <= tolerance)", "True"),
        ("largest norm", "the largest norm >= 1", "1 - min(values)", "1 - max(values)"),
    ),
    *slips(
        "images.certificate.sensitivities",
        ("layer", "layer 0 for every layer", "group.layer(j)", "group.layer(0)"),
        ("not unsqueezed", "a group's Phi in squeezed coordinates", "unsqueeze(phi)", "phi"),
    ),
    *slips(
        "images.certificate._layers",
        ("stale", "every layer at the group's first state", "y = own.forward([group.layer(j)], y)",
         "own.forward([group.layer(j)], y)"),
    ),
    *slips("images.certificate.norms_and_defect", ("order", "from j = N to 0", "found[::-1]", "found")),
    *slips(
        "images.certificate.rho",
        ("J", "J = 0", "-= 1", "-= 0"),
        ("symmetric", "half + half^T", "half - half.T", "half + half.T"),
        ("p and p", "p^T p for p^T q", "matrix[:, m:].T", "matrix[:, :m].T"),
        ("size", "max(1, ||Phi||^4)", "(matrix * matrix).sum()", "(matrix * matrix).sum() ** 2"),
    ),
    *slips(
        "images.certificate.norms",
        ("exchanged", "inf for 1 and 1 for inf", 'sums[0], "2": length, "inf": sums[1]',
         'sums[1], "2": length, "inf": sums[0]'),
        ("power method", "Phi v for Phi^T v", "matrix.T @ w", "matrix @ w"),
    ),
    *slips(
        "images.certificate.two_form",
        ("before", "|w(Phi u, Phi v)|", " - _form(*before)", ""),
        ("smallest", "the smallest over images", ".max()", ".min()"),
    ),
    *slips("images.certificate._form", ("symmetric", "u_p v_q + u_q v_p", ") - (u", ") + (u")),
    *slips(
        "images.certificate.dot_products",
        ("other", "X and Phi of the same network", "own.adjoint(other", "own.adjoint(groups"),
        ("Phi u", "<Phi v, v>", "rows[2] * rows[3]", "rows[2] * rows[0]"),
    ),
    *slips(
        "images.certificate.forward_euler",
        ("exchanged", "Kq for Kp and Kp for Kq", "group.A[of::2]", "group.A[1 - of :: 2]"),
        ("W", "K^T without J", "W[:, other, part]", "W[:, part, part]"),
        ("biases", "bq for bp and bp for bq", "(group.c[1::2], group.c[0::2])", "(group.c[0::2], group.c[1::2])"),
    ),
    *slips(
        "images.certificate.one_sign",
        ("none", "no sign", "*= -1", "*= 1"),
        ("in place", "the network itself gets the sign", "last.W.copy()", "last.W"),
        ("diagonal", "an entry of the diagonal", "if last.channels > 2", "if False"),
        ("beyond the image", "an entry that sees no pixel", "== 0] = 0", "== 0] *= 1"),
    ),
    *slips(
        "images.certificate.contracting",
        ("factor", "twice for half", "0.5 /", "2 /"),
        ("keep", "ResNet for MLP", "keep=False", "keep=True"),
    ),
)

IMAGE_NETWORKS: tuple[Fault, ...] = (*IMAGE_ARCHITECTURES, *MODEL, *IMAGE_CERTIFICATE)

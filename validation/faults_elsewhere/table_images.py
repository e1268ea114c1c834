"""Faults of ``pyham.images``: convolutions, stages, and the compiled layout."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

CONVOLUTION: tuple[Fault, ...] = (
    *slips(
        "images.convolution.convolve",
        ("flipped", "A[i, l, t-1-e, t-1-f]", "A, axes", "A[..., ::-1, ::-1], axes"),
        ("entries transposed", "A[i, l, f, e]", "(1, 4, 5)", "(1, 5, 4)"),
        ("first channel", "the first channel for all", "_windows(y, A", "_windows(0 * y + y[:, :1], A"),
    ),
    *slips(
        "images.convolution.transposed",
        ("channels", "A[i, l, t-1-e, t-1-f]: not transposed", ".swapaxes(-4, -3)", ""),
        ("not flipped", "A[l, i, e, f]", "[..., ::-1, ::-1]", ""),
        ("rows alone", "A[l, i, t-1-e, f]", "[..., ::-1, ::-1]", "[..., ::-1, :]"),
    ),
    *slips(
        "images.convolution.kernel_gradient",
        ("flipped", "dA[i, l, t-1-e, t-1-f]", "_windows(y, size)", "_windows(y, size)[..., ::-1, ::-1]"),
        ("entries transposed", "dA[i, l, f, e]", "_windows(y, size)", "_windows(y, size).swapaxes(4, 5)"),
        ("first sample", "the first sample's gradient", "(g, _windows(y, size)", "(g[:1], _windows(y[:1], size)"),
        ("mean", "mean over samples", "return ", "return 1 / len(y) * "),
    ),
    *slips(
        "images.convolution.squeeze",
        ("rows and columns", "channel 4 i + 2 c + a", "transpose(0, 1, 3, 5, 2, 4)", "transpose(0, 1, 5, 3, 2, 4)"),
        ("p and q mixed", "channel (2 a + c) k + i", "transpose(0, 1, 3, 5, 2, 4)", "transpose(0, 3, 5, 1, 2, 4)"),
        ("quarters", "the image's four quarters for 2 x 2 pixels",
         "y.reshape(B, k, H // 2, 2, W // 2, 2).transpose(0, 1, 3, 5, 2, 4)",
         "y.reshape(B, k, 2, H // 2, 2, W // 2).transpose(0, 1, 2, 4, 3, 5)"),
    ),
    *slips(
        "images.convolution.unsqueeze",
        ("rows and columns", "channel 4 i + 2 c + a", "transpose(0, 1, 4, 2, 5, 3)", "transpose(0, 1, 4, 3, 5, 2)"),
        ("p and q mixed", "channel (2 a + c) k + i", "k // 4, 2, 2, H, W).transpose(0, 1, 4, 2, 5, 3)",
         "2, 2, k // 4, H, W).transpose(0, 3, 4, 1, 5, 2)"),
        ("quarters", "the image's four quarters for 2 x 2 pixels", "transpose(0, 1, 4, 2, 5, 3)",
         "transpose(0, 1, 2, 4, 3, 5)"),
    ),
    *slips(
        "images.convolution._windows",
        ("one row off", "v + e - 2 (t // 2)", "(edge, edge), (edge, edge)", "(2 * edge, 0), (edge, edge)"),
        ("one column off", "w + f - 2 (t // 2)", "(edge, edge), (edge, edge)", "(edge, edge), (2 * edge, 0)"),
        ("wrapped", "the other side of the image for zeros", "(edge, edge)))", '(edge, edge)), mode="wrap")'),
        ("repeated", "the image's edge for zeros", "(edge, edge)))", '(edge, edge)), mode="edge")'),
    ),
)

REFERENCE: tuple[Fault, ...] = (
    *slips(
        "images.reference.normalise",
        ("256", "pixels / 256", "/ 255", "/ 256"),
        ("mean", "plus MEAN", "- MEAN", "+ MEAN"),
        ("spread", "times SPREAD", "/ SPREAD", "* SPREAD"),
    ),
    *slips(
        "images.reference.shifted",
        ("sign", "up and left", "moved[target] = image[source]", "moved[source] = image[target]"),
        ("exchanged", "right and down", "(down, right) in", "(right, down) in"),
        ("wrapped", "what goes out comes in", "moved[target] = image[source]",
         "moved[:] = np.roll(image, (down, right), (0, 1))"),
        ("not cleared", "what was there for zeros", "np.zeros_like(pixels)", "pixels.copy()"),
    ),
    *slips("images.reference.forward", ("last stage", "without the last stage", "[-1]", "[-2]")),
    *slips(
        "images.reference.stages",
        ("c missing", "a = A * y[src]", " + group.c[s][:, None, None]", ""),
        ("sigma missing", "W * a", "group.activation.sigma(a)", "a"),
        ("sigma'", "W * sigma'(a)", "activation.sigma(a)", "activation.derivative(a)"),
        ("sign", "y[dst] - W * sigma(a)", ") + convolve(", ") - convolve("),
        ("keep", "y[dst] added, always", "if group.keep else 0", "if True else 0"),
        ("overwritten", "y[dst] <- W * sigma(a), always", "(z[:, dst] if group.keep else 0) + ", ""),
        ("src", "the first stage's src for all", "group.src[s % group.per_layer]", "group.src[0]"),
        ("dst", "the first stage's dst for all", "group.dst[s % group.per_layer]", "group.dst[0]"),
        ("stage", "W_(s-1)", "group.W[s]", "group.W[s - 1]"),
        ("stale", "a of the group's first state", "convolve(inner[-1][", "convolve(inner[0]["),
        ("in place", "y_0 written over", "inner[-1].copy()", "inner[-1]"),
    ),
    *slips(
        "images.reference.adjoint",
        ("start", "every group from y_0", "entering[-1])", "entering[0])"),
        ("late", "states of the next group", "reversed(entering[:-1])", "reversed(entering[1:])"),
        ("g again", "dLoss/dy_N for every group", "g, gradients = _group", "_, gradients = _group"),
        ("order", "gradients from the last group to the first", "found[::-1]", "found"),
    ),
    *slips(
        "images.reference._group",
        ("sign", "-delta_N", "g.copy()", "-g"),
        ("in place", "dLoss/dy_N written over", "g.copy()", "g"),
        ("order", "stages from the first to the last", "in reversed(list(enumerate(stages(group, y)[:-1])))",
         "in enumerate(stages(group, y)[:-1])"),
        ("late", "the state after the stage", "[:-1]", "[1:]"),
        ("c missing", "a = A * y[src]", " + group.c[s][:, None, None]", ""),
        ("dW sigma missing", "dW of a", "kernel_gradient(group.activation.sigma(a)", "kernel_gradient(a"),
        ("dW slice", "dW of delta[src]", "d[:, dst], group.size", "d[:, src], group.size"),
        ("dW mean", "dW: mean over samples", "grad.W[s] = ", "grad.W[s] = 1 / len(d) * "),
        ("dW stage", "dW one stage early", "grad.W[s]", "grad.W[s - 1]"),
        ("g sigma'", "g = sigma(a) (W^T * delta)", "activation.derivative(a)", "activation.sigma(a)"),
        ("g slope missing", "g = W^T * delta", "group.activation.derivative(a) * ", ""),
        ("g transpose", "W * delta", "transposed(group.W[s])", "group.W[s]"),
        ("g channels", "W with entries flipped alone", "transposed(group.W[s])", "group.W[s][..., ::-1, ::-1]"),
        ("g slice", "W^T * delta[src]", "convolve(d[:, dst]", "convolve(d[:, src]"),
        ("dA slice", "dA of y[dst]", "kernel_gradient(state[:, src], g_a", "kernel_gradient(state[:, dst], g_a"),
        ("dA zero", "dA = 0", "grad.A[s] = ", "grad.A[s] = 0 * "),
        ("dc mean", "dc: mean over samples and pixels", "g_a.sum(", "g_a.mean("),
        ("dc edges", "dc without the last column", "g_a.sum(", "g_a[..., :-1].sum("),
        ("keep", "delta[dst] kept, always", "if group.keep else 0", "if True else 0"),
        ("overwritten", "delta[src] <- A^T * g", "d[:, src] +=", "d[:, src] ="),
        ("delta sign", "delta[src] - A^T * g", "d[:, src] +=", "d[:, src] -="),
        ("delta transpose", "A with channels exchanged alone", "transposed(group.A[s])", "group.A[s].swapaxes(0, 1)"),
        ("not unsqueezed", "delta_0 as the stages have it", "(unsqueeze(d) if group.squeeze else d)", "d"),
    ),
    *slips("images.reference.lifted", ("bias", "kernel * x", " + lift.bias[:, None, None]", "")),
    *slips(
        "images.reference.logits",
        ("mu", "layer y_N", " + mu", ""),
        ("features", "channels last", "y.reshape", "np.moveaxis(y, 1, -1).reshape"),
    ),
    *slips(
        "images.reference.gradient",
        ("shifts", "images that stay", "shifted(pixels, shifts)", "pixels"),
        ("labels", "labels of other images", "pixels, labels = pixels[rows], labels[rows]",
         "pixels, labels = pixels[rows], labels[: len(rows)]"),
        ("delta sign", "-delta_N", "(dz @ layer)", "(-dz @ layer)"),
        ("layer of y_0", "dz y_0^T", "dz.T @ features", "dz.T @ y_0.reshape(len(z), -1)"),
        ("mu mean", "mean over images of dz", "dz.sum(axis=0)", "dz.mean(axis=0)"),
        ("lift of pixels", "dLift of x before its normalisation", "kernel_gradient(x[", "kernel_gradient(pixels["),
        ("bias of the last", "the lift's bias: the gradient of the last image", "delta.sum(", "delta[-1:].sum("),
        ("right", "the least likely class", "argmax", "argmin"),
    ),
)

STAGES: tuple[Fault, ...] = (
    *slips(
        "images.stages.pixelwise",
        ("sign", "-W", ", stages.W[", ", -stages.W["),
        ("keep", "y[dst] added, always", "stages.keep", "True"),
        ("exchanged", "dst for src and src for dst", "stages.src, stages.dst", "stages.dst, stages.src"),
    ),
    *slips(
        "images.stages.flat",
        ("exchanged", "dW for dA and dA for dW", "gradients.A[..., 0, 0], gradients.c, gradients.W[..., 0, 0]",
         "gradients.W[..., 0, 0], gradients.c, gradients.A[..., 0, 0]"),
        ("dc", "dc = 0", "gradients.c", "0 * gradients.c"),
    ),
    *slips(
        "images.stages.shapes",
        ("not squeezed", "H and W of the image, always", "rows // 2, columns // 2", "rows, columns"),
        ("exchanged", "(C, W, H)", "group.channels, rows, columns", "group.channels, columns, rows"),
    ),
    *slips(
        "images.stages.Group.layer",
        ("first", "layer 0, always", "slice(j * self.per_layer, (j + 1) * self.per_layer)", "slice(self.per_layer)"),
    ),
)

IMAGE_COMPILED: tuple[Fault, ...] = (
    *slips(
        "images.compiled.gradient",
        ("mean", "the sum of the losses", "float(loss) / max(1, B)", "float(loss)"),
        ("bias", "the lift's kernel for its bias", "own[9 * C : 10 * C]", "own[:C]"),
    ),
    *slips("images.compiled._added", ("block", "without the second block", "sums[1:]", "sums[2:]")),
    *slips(
        "images.compiled._stage_gradients",
        ("exchanged", "dW for dA and dA for dW", "*arrays", "*arrays[::-1]"),
        ("start", "from the lift's bias on", "lift.kernel.size + lift.bias.size", "lift.kernel.size"),
    ),
    *slips(
        "images.compiled._weights",
        ("transposes exchanged", "W^T for A^T and A^T for W^T", "transposed(group.A), transposed(group.W)",
         "transposed(group.W), transposed(group.A)"),
        ("not transposed", "A for A^T", "transposed(group.A)", "group.A"),
    ),
    *slips("images.compiled._table", ("off by one", "a pixel's value plus 1", "np.arange(256)", "np.arange(1, 257)")),
    *slips(
        "images.compiled._form",
        ("keep", "y[dst] added, always", "= group.keep", "= True"),
        ("exchanged", "dst for src and src for dst", "(group.src, group.dst)", "(group.dst, group.src)"),
    ),
    *slips(
        "images.compiled._planned",
        ("activation", "tanh, always", "list(ACTIVATIONS).index(f.activation)", "0"),
        ("A", "the first stage's A for all", "T, A + s * f.r * f.k * entries", "T, A"),
        ("src", "the first stage's src for all", "f.src[s % len(f.src)]", "f.src[0]"),
        ("masks", "the image's masks at every resolution", "= sum(map(len, masks))", "= 0"),
        ("tape", "one stage's tape over another's", "found[H, W, f.size], tape,", "found[H, W, f.size], 0,"),
    ),
    *slips(
        "images.compiled._masks",
        ("wrapped", "the row before for zeros", "max(0, -w) : columns - max(0, w)", ":"),
        ("next image", "the image before or after for zeros", "max(0, -v) : rows - max(0, v)", ":"),
        ("entries transposed", "masks of (f, e)", "mask[e, f,", "mask[f, e,"),
    ),
)

IMAGES: tuple[Fault, ...] = (*CONVOLUTION, *REFERENCE, *STAGES, *IMAGE_COMPILED)

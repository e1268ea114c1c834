"""Faults of ``pyham.distributed``: who owns and reads what, what the conditions say, and what is trained."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

GRAPHS: tuple[Fault, ...] = (
    *slips(
        "distributed.graphs.Graph.has",
        ("direction", "receiver and sender swapped", "[receiver, sender]", "[sender, receiver]"),
    ),
    *slips(
        "distributed.graphs.Graph.edges",
        ("direction", "receiver and sender swapped", "(int(k), int(i))", "(int(i), int(k))"),
    ),
    *slips(
        "distributed.graphs.Graph.distance",
        ("direction", "against the edges", "self.adjacency.T.astype(float)", "self.adjacency.astype(float)"),
    ),
    *slips("distributed.graphs.ring", ("open", "a path", "(i + 1) % len(i)", "np.minimum(i + 1, len(i) - 1)")),
    *slips("distributed.graphs.star", ("centre", "a chain", "np.zeros_like(i), i", "i - 1, i")),
    *slips(
        "distributed.graphs.other_pairs",
        ("open", "the last and the first apart", "(i + 1) % nodes", "np.minimum(i + 1, nodes - 1)"),
    ),
    *slips(
        "distributed.graphs.grid",
        ("columns", "edges within columns alone", "i[:, 1:].ravel()", "i[:, :-1].ravel()"),
    ),
    *slips("distributed.graphs.union", ("first", "the first graph", "np.any([", "np.all([")),
    *slips(
        "distributed.graphs._undirected",
        ("one way", "first hears second alone", " = matrix[second, first] = ", " = "),
    ),
)

PATTERNS: tuple[Fault, ...] = (
    *slips(
        "distributed.patterns.one_round",
        ("F missing", "R^T R", "F.astype(int) @ R.T", "R.T"),
        ("order", "F R R^T", "R.T.astype(int) @ R.astype(int)", "R.astype(int) @ R.T.astype(int)"),
        ("R^T", "F R R", "R.T.astype(int)", "R.astype(int)"),
    ),
    *slips(
        "distributed.patterns.block_by_block",
        ("J free", "J needs no message", ' + _missing(graph, "F", F, "J", "J^T in the backward pass")', ""),
        ("K free", "K needs no message", '_missing(graph, "R", R, "K y", "K^T sigma") + ', ""),
    ),
    *slips(
        "distributed.patterns._missing",
        ("forward alone", "the way back is free", "return found + [", "return found or ["),
        ("direction", "the edge of the other direction", "pattern & ~graph.adjacency)",
         "pattern & ~graph.adjacency.T & ~graph.adjacency)"),
        ("sender", "sender and receiver swapped",
         "Missing(name, i, k, k, i, along)", "Missing(name, i, k, i, k, along)"),
    ),
    *slips(
        "distributed.patterns.Blocks.pattern",
        ("transposed", "rows and columns swapped", "self.owner[rows], self.owner[columns]",
         "self.owner[columns], self.owner[rows]"),
    ),
    *slips(
        "distributed.patterns.Blocks.mask",
        ("transposed", "rows and columns swapped", "dtype=bool)[", "dtype=bool).T["),
    ),
    *slips(
        "distributed.patterns.Blocks.even",
        ("q", "q cut in reverse", "else sizes)", "else sizes[::-1])"),
    ),
)

LAYOUT: tuple[Fault, ...] = (
    *slips(
        "distributed.layout.Layout._stage",
        ("h", "the whole step for a fraction", "fraction * self.arch.step if", "self.arch.step if"),
        ("h missing", "J for h J", "self.arch.J * h", "self.arch.J"),
        ("J transposed", "h J^T", "M = self.arch.J * h", "M = self.arch.J.T * h"),
        ("keep", "never kept", "M=blocks, h=h, columns=columns, keep=self.arch.keep",
         "M=blocks, h=h, columns=columns, keep=False"),
        ("J's columns", "columns of dst", 'shares["src"][k]] for k in J', 'shares["dst"][k]] for k in J'),
    ),
    *slips(
        "distributed.layout.Layout._link",
        ("transposed", "R^T", "Link(R &", "Link(R.T &"),
        ("rows", "as many rows as it computes", "tuple(columns.tolist())", "tuple(rows.tolist())"),
    ),
    *slips(
        "distributed.layout.Layout._interconnection",
        ("block diagonal", "J without messages",
         "self.blocks.pattern(M)", "self.blocks.pattern(M) & np.eye(self.nodes, dtype=bool)"),
        ("all of it", "entries of J for all parts", "M[part.dst, part.src] = self.arch.J[part.dst, part.src]",
         "M[part.dst, part.src] = self.arch.J[part.src, part.dst]"),
    ),
    *slips(
        "distributed.layout.Layout._columns",
        ("all", "the columns of all layers", "if K.reads[i] == whole.reads[i]:", "if True:"),
        ("first", "the first columns", "where[k].start, where[k].stop", "0, where[k].stop - where[k].start"),
    ),
    *slips(
        "distributed.layout.Layout._share",
        ("whole", "a node's whole block", "(part.start, part.stop)", "(0, part.stop)"),
    ),
    *slips(
        "distributed.layout.Layout._patterns",
        ("one way", "edges in one direction allowed", "g.adjacency & g.adjacency.T", "g.adjacency | g.adjacency.T"),
        ("transposed", "R^T", '"pattern", given,', '"pattern", given.swapaxes(-1, -2),'),
    ),
    *slips(
        "distributed.layout.Layout.missing",
        ("first layer", "the first layer's graph for all", "self.graphs[j]", "self.graphs[0]"),
        ("nothing", "nothing is missing", "list(dict.fromkeys(found))", "[]"),
    ),
    *slips(
        "distributed.layout.Layout._refuse",
        ("never", "nothing is refused", "if missing:", "if False:"),
    ),
    *slips(
        "distributed.layout.Layout.mask",
        ("transposed", "R^T", "self.blocks.mask(R)", "self.blocks.mask(R.T)"),
    ),
)

WEIGHTS: tuple[Fault, ...] = (
    *slips(
        "distributed.weights.cut",
        ("unchecked", "entries outside the pattern dropped", "    refuse(layout, K)\n", ""),
        ("b", "b of the first entries", "b[:, layout.own[i]]", "b[:, : len(layout.own[i])]"),
        ("rows", "rows of the first node", "_rows(layout, i, part.rows)", "_rows(layout, nodes[0], part.rows)"),
        ("transposed", "K^T", "K[:, _rows", "K.swapaxes(1, 2)[:, _rows"),
    ),
    *slips(
        "distributed.weights.join",
        ("b", "b of the node before", "weights.b\n", "weights.b[:, ::-1]\n"),
        ("columns", "columns of the next node", "columns[i]]", "columns[i][::-1]]"),
    ),
    *slips(
        "distributed.weights.refuse",
        ("inside", "entries inside refused, those outside not", "& ~layout.mask", "& layout.mask"),
    ),
    *slips(
        "distributed.weights.restrict",
        ("nothing", "nothing set to 0", " * layout.mask", ""),
    ),
    *slips(
        "distributed.weights._rows",
        ("all", "all rows of the node's block", "own[(own >= rows.start) & (own < rows.stop)]", "own"),
        ("end", "the row after the last", "own < rows.stop", "own <= rows.stop"),
    ),
    *slips(
        "distributed.weights.allowed",
        ("everything", "every layer may have every column", "np.zeros(", "np.ones("),
    ),
)

READOUT: tuple[Fault, ...] = (
    *slips(
        "distributed.readout.Readout.head",
        ("partial", "partial sums not added", "z[i] + sums[i]", "z[i]"),
        ("overwrites", "its own logits left out", "z[i] + sums[i]", "sums[i]"),
        ("upwards", "the nearest level first", "for level in self.levels:", "for level in reversed(self.levels):"),
        ("downwards", "the farthest level first", "for level in reversed(self.levels):", "for level in self.levels:"),
        ("dz stays", "dz known to the reader alone", "heard[i] if level.reads[i] else dz[i]", "dz[i]"),
        ("dw sign", "dw = -dz y^T", "= dz[i] @ y[i].T", "= -dz[i] @ y[i].T"),
        ("dmu", "dmu = mean", "dz[i].sum(axis=1)", "dz[i].mean(axis=1)"),
        ("delta sign", "delta = -w^T dz", "layer[:, :width].T @ dz[i] if", "-layer[:, :width].T @ dz[i] if"),
        ("delta everywhere", "delta = dz at the node without columns",
         "else np.zeros_like(y[i])", "else np.ones_like(y[i])"),
    ),
    *slips(
        "distributed.readout.Readout._logits",
        ("mu missing", "z = w y", "z + layer[:, -1:] if i == self.reader else z", "z"),
        ("mu everywhere", "mu at every node that is read", "if i == self.reader", "if i in self.reads"),
    ),
    *slips(
        "distributed.readout.Readout._loss",
        ("right ones", "wrong ones counted", "(z[0] > 0) == ", "(z[0] > 0) != "),
        ("softmax, right ones", "the least likely class", "z.argmax(axis=0)", "z.argmin(axis=0)"),
        ("softmax, loss", "loss of z without its last sample", 'LOSSES["softmax"](z.T, labels)',
         'LOSSES["softmax"](z.T * (np.arange(len(labels)) < len(labels) - 1)[:, None], labels)'),
    ),
    *slips(
        "distributed.readout.tree",
        ("levels", "the nearest level first", "range(max(depth.values(), default=0), 0, -1)",
         "range(1, 1 + max(depth.values(), default=0))"),
        ("direction", "parents read children", "pattern[child, parents[child]]", "pattern[parents[child], child]"),
    ),
)

MODEL: tuple[Fault, ...] = (
    *slips(
        "distributed.model.DistributedModel.gradient",
        ("alpha_c missing", "the output layer's penalty left out", "self.protocol.alpha_c * ", "0 * "),
        ("not fitted", "the output layer as it was", "self._fit(passed.blocks[-1], labels)", "pass"),
        ("penalties", "no penalties of weights", "self._penalties(gradient)", "pass"),
    ),
    *slips(
        "distributed.model.DistributedModel._fit",
        ("not fresh", "from the layer as it was", "layer[:] = 0", "pass"),
        ("alpha_c missing", "without its penalty", " + protocol.alpha_c * layer", ""),
        ("once", "one inner step", "range(protocol.inner_steps)", "range(1)"),
    ),
    *slips(
        "distributed.model.DistributedModel._penalties",
        ("alpha sign", "roughness for smoothness", "+= alpha * slope", "-= alpha * slope"),
        ("h", "without h", "self.protocol.alpha * self.net.arch.step", "self.protocol.alpha"),
        ("one neighbour", "the difference to the layer before alone", "slope[:-1] -= steps", "pass"),
        ("other neighbour", "the difference to the layer after alone", "slope[1:] += steps", "pass"),
        ("outside", "entries outside a layer's pattern move", "slope * allowed", "slope"),
        ("decay", "no decay", "gradient += self.protocol.decay * self.net.theta", "pass"),
        ("b", "b left out", "(*sums[i].K, sums[i].b)", "(*sums[i].K, sums[i].b.copy())"),
    ),
    *slips(
        "distributed.model.DistributedModel.take",
        ("mu", "mu stays", "mine[:, -1] = layer[:, -1]", "pass"),
        ("own", "the first entries", "layer[:, own]", "layer[:, : len(own)]"),
    ),
    *slips(
        "distributed.model.DistributedModel._whole_layer",
        ("mu", "mu = 0", "layer[:, -1] = mine[:, -1]", "pass"),
        ("own", "in reverse", "mine[:, : len(own)]", "mine[:, : len(own)][:, ::-1]"),
    ),
)

LAYOUTS: tuple[Fault, ...] = (*GRAPHS, *PATTERNS, *LAYOUT, *WEIGHTS, *READOUT, *MODEL)

"""Faults of ``pyham.distributed``: what nodes compute, and what they send each other."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

STEPPING: tuple[Fault, ...] = (
    *slips(
        "distributed.stepping.forward",
        ("sigma missing", "s = a", "sigma.sigma(a[i])", "a[i]"),
        ("sigma'", "s = sigma'(a)", "sigma.sigma(a[i])", "sigma.derivative(a[i])"),
        ("b missing", "a = K Y", " + weights[i].b[j, stage.rows[i], None]", ""),
        ("b sign", "a = K Y - b", "+ weights[i].b", "- weights[i].b"),
        ("b of layer 0", "b_0 in every layer", "b[j, ", "b[0, "),
        ("b of the block", "b of the first rows", "b[j, stage.rows[i], None]", "b[j, : len(K[i]), None]"),
        ("K of layer 0", "K_0 in every layer", "_rows(stage, weights, j)", "_rows(stage, weights, 0)"),
        ("grad H sign", "v = -K^T s", "{i: K[i].T @ s[i] for i in y}", "{i: -K[i].T @ s[i] for i in y}"),
        ("J sign", "y - h J v", "stage.M[i] @ V[i]", "-stage.M[i] @ V[i]"),
        ("h missing", "y + s, without J", "stage.h * s[i]", "s[i]"),
        ("u sign", "y - u", "+ u[i] if", "- u[i] if"),
        ("keep missing", "y + u, keep or not", " if stage.keep else u[i]", ""),
        ("keep zero", "u for y + u", "block[stage.dst[i]] + u[i] if stage.keep else u[i]", "u[i]"),
        ("src", "y[dst] sent for y[src]", "y[i][stage.src[i]]", "y[i][stage.dst[i]]"),
        ("in place", "the state before the stage overwritten", "after[i] = block.copy()", "after[i] = block"),
        ("kept", "s kept for a", "Kept(Y, a)", "Kept(Y, {i: sigma.sigma(a[i]) for i in a})"),
        ("stale", "the last node's block for all", "{i: y[i][stage.src[i]] for i in y}",
         "{i: y[max(y)][stage.src[max(y)]][: len(y[i][stage.src[i]])] for i in y}"),
    ),
    *slips(
        "distributed.stepping.backward",
        ("sigma' missing", "g = e", "sigma.derivative(kept.a[i]) * e[i]", "e[i]"),
        ("sigma for sigma'", "g = sigma e", "sigma.derivative(kept.a[i])", "sigma.sigma(kept.a[i])"),
        ("h missing", "e = delta, without J", "stage.h * d[i]", "d[i]"),
        ("J sign", "t = -h J^T delta", "stage.M[i].T @ d[i]", "-stage.M[i].T @ d[i]"),
        ("g sign", "g = -sigma' e", "{i: sigma.derivative", "{i: -sigma.derivative"),
        ("dK, one term", "dK = g Y^T", "dK += sigma.sigma(kept.a[i]) @ T[i].T", "pass"),
        ("dK, the other term", "dK = s T^T", "dK = g[i] @ kept.Y[i].T", "dK = 0"),
        ("dK, s missing", "a T^T", "sigma.sigma(kept.a[i]) @ T", "kept.a[i] @ T"),
        ("dK sign", "-dK", "+= dK\n", "-= dK\n"),
        ("dK overwrites", "dK of the last stage alone", "+= dK\n", "= dK\n"),
        ("dK of layer", "dK of the layer before", "gradients[i].K[stage.part][j]", "gradients[i].K[stage.part][j - 1]"),
        ("dK of part", "dK of the other part", "gradients[i].K[stage.part]", "gradients[i].K[-1 - stage.part]"),
        ("db of layer", "db of the layer before", "gradients[i].b[j", "gradients[i].b[j - 1"),
        ("db mean", "db: mean over samples", ".sum(axis=1)", ".mean(axis=1)"),
        ("db of e", "db += e", "g[i].sum(axis=1)", "e[i].sum(axis=1)"),
        ("db overwrites", "db of the last stage alone", "stage.rows[i]] += g", "stage.rows[i]] = g"),
        ("delta sign", "delta - K^T g", "+= back[i]", "-= back[i]"),
        ("delta overwrites", "delta = K^T g", "+= back[i]", "= back[i]"),
        ("delta of dst", "K^T g added to delta[dst]", "[stage.src[i]] += back", "[stage.dst[i]] += back"),
        ("keep missing", "delta[dst] stays, keep or not", "if not stage.keep:", "if False:"),
        ("keep not", "delta[dst] <- 0 where it stays", "if not stage.keep:", "if stage.keep:"),
        ("in place", "delta_(j+1) overwritten", "before[i] = block.copy()", "before[i] = block"),
        ("delta of src", "delta[src] for delta[dst]", "delta[i][stage.dst[i]]", "delta[i][stage.src[i]]"),
        ("K of layer 0", "K_0 in every layer", "_rows(stage, weights, j)", "_rows(stage, weights, 0)"),
    ),
    *slips(
        "distributed.stepping._rows",
        ("part", "rows of the other part", "K[stage.part]", "K[-1 - stage.part]"),
        ("columns", "columns in reverse", "[:, stage.columns[i]]", "[:, stage.columns[i]][:, ::-1]"),
    ),
)

LINKS: tuple[Fault, ...] = (
    *slips(
        "distributed.links.spread",
        ("order", "blocks stacked in reverse", "np.concatenate(pieces) if", "np.concatenate(pieces[::-1]) if"),
        ("own block", "another's block for its own",
         "blocks[m] if k == m", "blocks[nodes[-1]][: len(blocks[m])] if k == m"),
        ("sent to itself", "a message to itself", " if m != k}", "}"),
        ("readers", "sent to those whose blocks it reads", "link.read_by[k]", "link.reads[k]"),
    ),
    *slips(
        "distributed.links.collect",
        ("own part", "its own part left out", "parts[k, k] if m == k", "0 * parts[k, k] if m == k"),
        ("overwrites", "the last part alone", "total += ", "total = "),
        ("sign", "parts subtracted", "total += ", "total -= "),
        ("others' parts", "its own part for all", "parts[k, k] if m == k else arrived[m, k]", "parts[k, k]"),
        ("cut", "the first rows of the stack", "stacks[m][cut]", "stacks[m][: cut.stop - cut.start]"),
        ("sent", "what is sent to the first", "outbox = {pair: part for",
         "outbox = {pair: part[::-1] for"),
    ),
    *slips(
        "distributed.links.Link.cuts",
        ("empty", "nothing of the stack", "e[:-1], e[1:]", "e[:-1], e[:-1]"),
    ),
    *slips(
        "distributed.links.Link.along",
        ("rows", "the receiver's rows", "self.rows[k])", "self.rows[m])"),
        ("direction", "from the receiver", "Hop(k, m, self", "Hop(m, k, self"),
        ("itself", "messages to itself", " if m != k)", ")"),
    ),
    *slips(
        "distributed.links.Link.back",
        ("rows", "the sender's rows", "self.rows[k])", "self.rows[m])"),
        ("direction", "from the receiver", "Hop(m, k, self", "Hop(k, m, self"),
    ),
)

ONE_ROUND: tuple[Fault, ...] = (
    *slips(
        "distributed.one_round.OneRound.forward",
        ("b missing", "a = A Y", " + b[:, None]", ""),
        ("sigma missing", "A^T a", "sigma.sigma(a[i])", "a[i]"),
        ("sign", "y - J A^T s", "after[i][stage.dst[i]] += ", "after[i][stage.dst[i]] -= "),
        ("in place", "the state before the stage overwritten", "block.copy()", "block"),
    ),
    *slips(
        "distributed.one_round.OneRound.backward",
        ("sigma' missing", "g = A t", "sigma.derivative(kept.a[i]) * ", ""),
        ("dA, one term", "g Y^T", "sigma.sigma(kept.a[i]) @ t.T + ", ""),
        ("dA, the other term", "s t^T", " + g @ kept.Y[i].T", ""),
        ("rows", "the first rows for all", "start = rows.stop", "pass"),
        ("dK of layer", "dK of the layer before", "K[stage.part][j]", "K[stage.part][j - 1]"),
        ("db of layer", "db of the layer before", ".b[j, stage", ".b[j - 1, stage"),
        ("overwrites", "one stage's sums alone", ".K[stage.part][j][:, stage.columns[m]] += ",
         ".K[stage.part][j][:, stage.columns[m]] -= "),
        ("delta", "K^T g subtracted", "+= back[i]", "-= back[i]"),
    ),
    *slips(
        "distributed.one_round.OneRound._wide",
        ("J", "the columns of the node before",
         "J[:, where[k]] = stage.M[i][:, cut]", "J[:, where[k]] = -stage.M[i][:, cut]"),
    ),
    *slips(
        "distributed.one_round.assemble",
        ("rows", "the last one's rows alone", "start += len(mine)", "pass"),
        ("b", "b of the first", "*(copies[m].b", "*(0 * copies[m].b"),
    ),
    *slips(
        "distributed.one_round._needs",
        ("R", "F R for F R^T", "stage.K.pattern.T > 0", "stage.K.pattern > 0"),
    ),
)

NETWORKS: tuple[Fault, ...] = (
    *slips(
        "distributed.network.DistributedNetwork.forward",
        ("restarts", "every stage reads x", "self.weights, j, y, via", "self.weights, j, x, via"),
        ("layer", "the layer after",
         "self.weights, j, y, via", "self.weights, min(j + 1, self.arch.depth - 1), y, via"),
        ("states", "y_j for y_(j+1)", "blocks.append(y)", "blocks.append(blocks[-1])"),
        ("one round, layer", "weights of layer 0", "copies, j, y, via", "copies, 0, y, via"),
    ),
    *slips(
        "distributed.network.DistributedNetwork.backward",
        ("sums kept", "the gradients of the call before added", "gradient[:] = 0", "pass"),
        ("layers in order", "layers 0 .. N - 1", "in reversed(range(self.arch.depth))", "in range(self.arch.depth)"),
        ("stages in order", "a layer's stages from the first to the last",
         "reversed(list(zip(self.layout.stages[j], passed.kept[j], strict=True)))",
         "zip(self.layout.stages[j], passed.kept[j], strict=True)"),
        ("order", "delta_N .. delta_0", "return deltas[::-1]", "return deltas"),
        ("own copies", "the others' sums left out", 'collect(self.one_round.weights, "gradients", stacks, last)',
         "{i: stacks[i][self.one_round.weights.cuts[i][self.one_round.weights.reads[i].index(i)]] for i in stacks}"),
    ),
    *slips(
        "distributed.network.DistributedNetwork.sensitivity",
        ("transposed", "the Jacobian", ".swapaxes(2, 3)", ""),
        ("first sample", "the first sample for all",
         "np.repeat(samples, n, axis=0)", "np.repeat(samples[:1], B * n, axis=0)"),
    ),
    *slips(
        "distributed.network.DistributedNetwork.own_samples",
        ("own", "the first entries", "x[:, self.layout.own[i]]", "x[:, : len(self.layout.own[i])]"),
    ),
    *slips(
        "distributed.network.DistributedNetwork.gather_samples",
        ("order", "by node", "result[:, np.concatenate(self.layout.own)] = ", "result[:] = "),
    ),
)

TRANSPORT: tuple[Fault, ...] = (
    *slips(
        "distributed.transport.Transport.exchange",
        ("edges", "edges not looked at", "if not adjacency[hop.receiver, hop.sender]:", "if False:"),
        ("direction", "the edge of the other direction", "adjacency[hop.receiver, hop.sender]",
         "adjacency[hop.sender, hop.receiver]"),
        ("graph", "the last graph for all layers", "self.graphs[place.layer]", "self.graphs[-1]"),
        ("size", "sizes not looked at", "if message.shape != (hop.rows, columns):", "if False:"),
        ("others", "further messages not looked at", "if len(sent) != len(outbox):", "if False:"),
        ("not counted", "nothing counted", "self.traffic.add(name, hop, message.nbytes)", "pass"),
    ),
    *slips(
        "distributed.transport.Traffic.add",
        ("direction", "sender and receiver swapped", "self.messages[hop.receiver, hop.sender]",
         "self.messages[hop.sender, hop.receiver]"),
        ("bytes", "messages for bytes", "kind[2] += size", "kind[2] += 1"),
        ("messages", "messages of a kind not counted", "kind[1] += 1", "pass"),
    ),
)

DISTRIBUTED: tuple[Fault, ...] = (*STEPPING, *LINKS, *ONE_ROUND, *NETWORKS, *TRANSPORT)

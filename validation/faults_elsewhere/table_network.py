"""Faults of ``pyham.recompute``, ``engine`` and ``network``: what is made of an engine's functions."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

RECOMPUTE: tuple[Fault, ...] = (
    *slips(
        "recompute.gradient",
        ("first segment", "every segment from y_0", "engine.trace(part, y)", "engine.trace(part, x)"),
        ("order", "segments in forward order", "zip(reversed(starts), reversed(kept[:-1]), strict=True)",
         "zip(starts, kept[:-1], strict=True)"),
        ("states of the next segment", "kept states one segment late", "reversed(kept[:-1])", "reversed(kept[1:])"),
        ("g again", "delta_N for every segment", "delta = deltas[0]", "delta = g"),
        ("sums reversed", "the segments' sums in reverse order", "parts[::-1]", "parts"),
        ("g sign", "delta_N = -g", "delta, parts = g.", "delta, parts = -g."),
        ("x", "x for y_N", "kept[-1].copy()", "kept[0].copy()"),
    ),
    *slips(
        "recompute.inverse",
        ("sign", "y[dst] + W sigma", "y[:, dst] -=", "y[:, dst] +="),
        ("layers in order", "layers 0 .. N - 1", "in reversed(range(stages.depth))", "in range(stages.depth)"),
        ("stages in order", "the stages of a layer from the first to the last",
         "reversed(list(reference.of_layer(stages, j)))", "list(reference.of_layer(stages, j))"),
        ("c missing", "sigma(A y[src])", " + stages.c[s]", ""),
        ("not copied", "y_0 written over y_N", "y_N.copy()", "y_N"),
    ),
    *slips(
        "recompute.reversible",
        ("first sample", "the first sample for all", "slice(i, i + 1)", "slice(0, 1)"),
        ("never close enough", "nothing is good enough", "if not error <= budget:", "if True:"),
        ("always close enough", "whatever was rebuilt is good enough", "if not error <= budget:",
         "if error == np.inf:"),
        ("half way, state", "the state at the start for that half way",
         "engine.forward(stages.layers(start, middle), origin)", "origin"),
        ("g again", "delta_N for every part", "delta = deltas[0]", "delta = g[one]"),
        ("sums elsewhere", "sums one stage early",
         "start * stages.per_layer : end", "start * stages.per_layer - (start > 0) : end"),
        ("last sample's sums", "sums not added", "+= sum_", "= sum_"),
        ("report of errors", "no errors reported", "max(reports[i, 0], error)", "0"),
        ("report of states", "states kept not counted", "reports[i, 1] + 1", "reports[i, 1]"),
        ("report of the most", "the most at a time not counted", "max(reports[i, 2], len(kept) - 1)", "0"),
        ("x for y_N", "y_N = x", "output[one] = y = engine.forward(stages, x[one])",
         "y = engine.forward(stages, x[one])\n        output[one] = x[one]"),
    ),
    *slips(
        "recompute.sensitivity",
        ("Phi_N = I", "every segment from I", "last = phi[0]", "pass"),
        ("first segment", "every segment from y_0", "matrices(part, y,", "matrices(part, x,"),
        ("off by one", "phi[j + 1] for phi[j]", "phi[wanted[here] - j]",
         "phi[np.minimum(wanted[here] - j + 1, len(phi) - 1)]"),
        ("order", "layers sorted", "np.array(layers, dtype=int)", "np.sort(np.array(layers, dtype=int))"),
        ("not measured", "the matrices for their measure", "measure(phi[wanted[here] - j])", "phi[wanted[here] - j]"),
        ("stopped early", "layers before the first chosen one's segment", "(wanted < j).any()", "(wanted > j).any()"),
    ),
    *slips(
        "recompute.distance",
        ("zero", "no errors", "np.where(gap == 0, 0,", "np.where(gap >= 0, 0,"),
        ("not relative", "errors not divided by the state's size", "gap / np.where", "gap * 1e16 + 0 * np.where"),
    ),
    *slips(
        "recompute._rebuilt",
        ("order", "y_N .. y_0", "states[::-1]", "states"),
        ("one layer", "every layer undone from y_N", "states[-1])", "states[0])"),
        ("layer", "layer N - 1 undone for every layer", "stages.layers(j, j + 1)",
         "stages.layers(stages.depth - 1, stages.depth)"),
    ),
    *slips("recompute._joined", ("first part", "the first segment's gradients for all",
           "zip(*parts, strict=True)", "zip(*[parts[0]] * len(parts), strict=True)")),
)

ENGINE: tuple[Fault, ...] = (
    *slips("engine.trace", ("y_N for x", "states computed later start from y_N", "start = tape.x", "start = output")),
    *slips("engine.Trace.tape", ("of other weights", "the tape of another network", " and self._by[1] is stages", "")),
    *slips("engine.Trace.output", ("y_0", "y_0 for y_N", "self.states[-1]", "self.states[0]")),
    *slips("engine.Adjoint.input", ("delta_N", "delta_N for delta_0", "self.delta[0]", "self.delta[-1]")),
    *slips(
        "engine.pull",
        ("g sign, tape", "delta_N = -g", "recorder.pull(stages, tape, g)", "recorder.pull(stages, tape, -g)"),
        ("g sign", "delta_N = -g where there is no tape", "trace.states, g", "trace.states, -g"),
        ("delta_N", "delta_N for delta_0 where there is no tape", "delta[0]", "delta[-1]"),
        ("states of the next layer", "y_(j+1) for y_j where there is no tape", "trace.states,",
         "np.roll(trace.states, -1, axis=0),"),
    ),
    *slips(
        "engine.sensitivity",
        ("stale states", "y_0 for y_j", "engine.trace(stages, x)",
         "np.broadcast_to(x, (stages.depth + 1, *x.shape))"),
        ("last ignored", "Phi_N = I, always", "() if last is None else (last,)", "()"),
        ("last upside down", "Phi_N with its rows in reverse order", "(last,)", "(last[:, ::-1],)"),
    ),
    *slips(
        "engine.gradient",
        ("reports of the first", "the first pass's report for the worst", "reports.max(axis=0, initial=0)",
         "0 * reports[0]"),
        ("exchanged", "the most for all states kept", "int(kept), int(most)", "int(most), int(kept)"),
        ("budget", "what was asked for, ten times", "g, budget, SHORTEST", "g, np.inf, SHORTEST"),
    ),
)

NETWORK: tuple[Fault, ...] = (
    *slips(
        "network.Network.adjoint",
        ("delta_0 sign", "-delta_0", "input=delta_0", "input=-delta_0"),
        ("g sign", "delta_N = -g where states are given",
         "engine.adjoint(stages, states, self", "engine.adjoint(stages, states, -self"),
        ("g sign, tape", "delta_N = -g", "pull(engine, stages, trace, start)",
         "pull(engine, stages, trace, -start)"),
        ("later g sign", "delta_N = -g in adjoints computed later", "trace.states, kept", "trace.states, -kept"),
    ),
    *slips(
        "network.Network.gradient",
        ("g of x", "g computed from x", "g(engine.forward(stages, y))", "g(y)"),
        ("budget ignored", "the usual budget, always", "if budget is None else", "if True else"),
        ("store always", "memory='reversible' stores", "start, memory, limit", "start, 'store', limit"),
        ("exchanged", "delta_0 for y_N and y_N for delta_0", "Gradient(output, delta_0,", "Gradient(delta_0, output,"),
    ),
    *slips(
        "network.Network.inverse",
        ("forward", "y_N of y_N", "own.inverse(stages, output)", "engine.forward(stages, output)"),
    ),
    *slips(
        "network.Network.sensitivity",
        ("layers ignored", "all layers", "if layers is None else", "if True else"),
        ("measure ignored", "the matrices for their measure", "measure or (lambda phi: phi)", "lambda phi: phi"),
    ),
    *slips("network.Network._layer", ("from the end", "-1 is N - 1", "index % (N + 1)",
         "index % (N + 1) if index >= 0 else index % N")),
)

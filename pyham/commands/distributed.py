"""``python -m pyham distributed swiss-roll --graph ring --nodes 8``, in one process or under ``mpiexec``."""

import argparse
from contextlib import nullcontext
from typing import Any

import numpy as np

import pyham
from pyham import _check
from pyham.architectures import graphs
from pyham.commands import planar, protocol_options
from pyham.commands.planar import stream
from pyham.commands.progress import Bar, Lines
from pyham.commands.protocol_options import named, option
from pyham.distributed import layout, network, readout, training, weights
from pyham.distributed.model import DistributedModel
from pyham.distributed.mpi import MPITransport, guarded
from pyham.distributed.transport import Traffic
from pyham.training.protocol import RECOMMENDED, Protocol
from pyham.training.samples import outputs_of

Array = np.ndarray[Any, Any]

EPILOG = (
    "Every node owns a part of the state, its rows of K and b, its share of the output layer and of what the optimiser "
    "remembers; messages travel along edges only, and are counted. Entries of K between nodes without an edge are 0. "
    "Under MPI, mpiexec -n 4 python -m pyham distributed DATA --transport mpi, nodes are shared out among the ranks; "
    "results have the same bits for any number of ranks. Exit code 0, or 1 when a rank or a message is lost, or 2 for "
    "wrong options or files."
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Train a Hamiltonian network whose nodes exchange messages along the edges of a graph."
    parser.epilog = EPILOG
    parser.add_argument("data", choices=tuple(planar.DATA), metavar="DATA", help=", ".join(planar.DATA))
    parser.add_argument("--samples", type=int, default=8000, metavar="INT", help="half of them for testing (8000)")
    parser.add_argument(
        "--validation", type=float, default=0.1, metavar="FLOAT", help="share of the others that is held out (0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="INT", help="of data, weights and batches (0)")
    parser.add_argument(
        "--channels", type=int, nargs=2, metavar="INT", help="where the two features go (0 and three quarters of n)"
    )
    net = parser.add_argument_group("network")
    net.add_argument("--architecture", choices=layout.ENTRIES, default="H1", help="(H1)")
    net.add_argument("--width", type=int, default=16, metavar="INT", help="n (16)")
    net.add_argument("--depth", type=int, default=4, metavar="INT", help="layers N (4)")
    net.add_argument("--step", type=float, default=0.5, metavar="FLOAT", help="h (0.5)")
    net.add_argument("--activation", choices=tuple(pyham.ACTIVATIONS), default="tanh", help="(tanh)")
    net.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="(float64)")
    graph = parser.add_argument_group("graph")
    graph.add_argument(
        "--graph", nargs="+", choices=tuple(graphs.NAMES), default=["ring"],
        help="of the nodes; several take turns, layer by layer (ring)",
    )  # fmt: skip
    graph.add_argument("--nodes", type=int, default=8, metavar="INT", help="M, among which p and q are cut (8)")
    graph.add_argument("--reads", type=int, nargs="+", metavar="INT", help="nodes that the classifier reads (all)")
    graph.add_argument("--reader", type=int, metavar="INT", help="node with the labels (the first that is read)")
    graph.add_argument(
        "--one-round", action="store_true",
        help="one round of messages a layer and pass, with copies of neighbours' weights, where graphs allow it",
    )  # fmt: skip
    graph.add_argument("--transport", choices=("process", "mpi"), default="process", help="(process)")
    graph.add_argument(
        "--timeout", type=float, default=20.0, metavar="SECONDS", help="of mpi: how long to wait for a message (20)"
    )
    protocol_options.add(parser, RECOMMENDED)
    protocol_options.files(
        parser, "keep the training there; pyham.load reads it", "settings, history, accuracies, messages"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and print accuracies and messages."""
    planar.check_files(options)
    protocol = protocol_options.protocol(options)
    names = {name: option(name) for name in ("width", "depth", "step", "nodes", "reads", "reader", "timeout")}
    arch = named(
        names, pyham.architecture, options.architecture, width=options.width, depth=options.depth, step=options.step,
        activation=options.activation,
    )  # fmt: skip
    _check.affordable("--depth, --width", options.depth * options.width**2)
    _check.affordable("--nodes", options.depth * options.nodes**2)
    turns = [options.graph[j % len(options.graph)] for j in range(options.depth)] or options.graph[0]
    plan = named(names, layout.Layout, arch, turns, nodes=options.nodes)
    whole = arch.init(stream(options, 2), dtype=options.dtype)
    channels = tuple(options.channels or (0, 3 * options.width // 4))
    fitting, validation, test = planar.split(options, channels=channels)
    about = {option(name): getattr(options, name) for name in ("data", "samples", "seed", "validation")}
    about["--channels"] = list(channels)
    over_mpi = options.transport == "mpi"
    transport = named(names, MPITransport, plan.graphs, options.timeout) if over_mpi else None
    params = weights.restrict(plan, whole.params)
    names["one_round"] = "--one-round"
    net = named(names, network.DistributedNetwork, plan, params, transport, one_round=options.one_round)
    first = 0 in net.nodes
    bar = Bar(f"{arch.name} on {options.nodes} nodes")
    # no bar over MPI: mpiexec.gforker stops at the first byte that is not ASCII
    callback = (Lines() if first else None) if over_mpi else bar
    with guarded(transport) if isinstance(transport, MPITransport) else nullcontext():
        with nullcontext() if over_mpi else bar:
            classifier = named(
                names | {"rate": "--rate", "patience": "--patience", "save_every": "--save-every"},
                training.train, net, *fitting, reads=options.reads, reader=options.reader, protocol=protocol,
                rng=stream(options, 3), validation=validation, callback=callback,
                checkpoint=options.checkpoint, save_every=options.save_every, resume=options.resume, about=about,
            )  # fmt: skip
        total = net.traffic
        if isinstance(transport, MPITransport):
            transport.finish()
    if first:
        step = one_step(plan, classifier.net, fitting, options, protocol)
        where = f"{arch.depth} layers on {plan.nodes} node{'s' * (plan.nodes > 1)} ({' '.join(options.graph)})"
        planar.report(
            options, protocol, classifier, {"train": fitting, "validation": validation, "test": test},
            f"{arch.name}, {where}", ("samples", "validation", "seed", "graph", "nodes"),
            counts(min(protocol.batch, len(fitting[0])), plan, step), channels=list(channels),
            edges=len(plan.graphs[-1].edges), **{"one round": options.one_round},
            step={"messages": int(step.messages.sum()), "bytes": int(step.bytes.sum()), "rounds": step.rounds},
            training={"messages": int(total.messages.sum()), "bytes": int(total.bytes.sum())},
        )  # fmt: skip
    return 0


def one_step(
    plan: layout.Layout, net: pyham.Network, data: tuple[Array, Array], options: argparse.Namespace, protocol: Protocol
) -> Traffic:
    """What the nodes send for one batch, measured in one process."""
    trial = network.DistributedNetwork(plan, net.params, one_round=options.one_round)
    if not protocol.phases:
        return trial.traffic
    outputs = outputs_of(data[1], protocol.loss)
    out = readout.Readout(plan, options.reads, options.reader, outputs, protocol.loss)
    rows = slice(0, protocol.batch)
    DistributedModel(trial, out, protocol).gradient(protocol.phases[0].name, data[0][rows], data[1][rows])
    return trial.traffic


def counts(samples: int, plan: layout.Layout, step: Traffic) -> list[str]:
    """Lines that say what was sent for a batch of so many samples."""
    edges, used = plan.graphs[-1].edges, int(np.count_nonzero(step.messages))
    sent = f"{step.messages.sum()} messages, {step.bytes.sum()} bytes, {step.rounds} rounds"
    busiest = f"{step.messages.max(initial=0)} messages on the busiest"
    kinds = [f"  {k:15} {rounds:5} rounds {many:7} messages {size:10} bytes"
             for k, (rounds, many, size) in step.kinds.items()]  # fmt: skip
    return [f"a step of {samples} samples: {sent}; over {used} of {len(edges)} directed edges, {busiest}", *kinds]

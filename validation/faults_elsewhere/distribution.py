"""Networks on graphs against the engine in one place, and their messages against loops over K and J."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham.distributed import Blocks, DistributedNetwork, Layout
from pyham.distributed.model import DistributedModel
from pyham.distributed.readout import Readout
from pyham.distributed.transport import TransportError
from pyham.lowering import Architecture
from pyham.models import NetworkModel
from pyham.protocol import Protocol
from validation.faults_elsewhere.reading import ROUNDING, Reading, difference, reading

Array = np.ndarray[Any, Any]

NODES, BATCH = 4, 3
UNEVEN = Blocks.of_sizes([1, 2, 1, 1], [1, 1, 2, 1])  # p and q of one place at different nodes: J takes messages
PAIRED = Blocks.of_sizes([1, 2, 1, 1], [2, 1, 1, 1])  # the same, along the edges of pairs
IN_PAIRS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]])
ONE_WAY = np.array(
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
)  # within the ring; node 2 hears 1 and so on


def layouts() -> dict[str, Callable[[], Layout]]:
    """K's pattern not symmetric, blocks uneven, J's pattern not symmetric, patterns that change."""
    X = np.eye(4) + 0.5 * np.eye(4, k=1) * (np.arange(4) == 1)
    return {
        "H1": lambda: Layout(pyham.H1(10, 2, 0.5), "ring", nodes=NODES, blocks=UNEVEN, pattern=ONE_WAY),
        "H2 verlet": lambda: Layout(pyham.H2(8, 2, 0.5, scheme="verlet", X=X), "path", nodes=NODES),
        "MS3": lambda: Layout(pyham.MS3(10, 2, 0.5), "ring", nodes=NODES, blocks=UNEVEN),
        "MLP": lambda: Layout(pyham.MLP(7, 3), ["path", "pairs", "ring"], nodes=NODES),
        "ResNet": lambda: Layout(pyham.ResNet(7, 2, 0.5), "ring", nodes=NODES, pattern=ONE_WAY),
        "one round": lambda: Layout(pyham.H1(10, 2, 0.5), "pairs", nodes=NODES, blocks=PAIRED, pattern=IN_PAIRS),
        "one round, turns": lambda: Layout(pyham.H2(8, 2, 0.5), ["pairs", "other-pairs"], nodes=NODES),
    }


class Case(NamedTuple):
    """A network on a graph, the same in one place, x and g (B, n)."""

    net: DistributedNetwork
    whole: pyham.Network
    x: Array
    g: Array


def case(name: str) -> Case:
    """The network of that layout; always the same."""
    layout, rng = layouts()[name](), np.random.default_rng(len(name))
    params = masked(layout, layout.arch.init(rng).params)
    x, g = rng.standard_normal((2, BATCH, layout.arch.width))
    net = DistributedNetwork(layout, params, one_round=name.startswith("one round"))
    return Case(net, pyham.Network(layout.arch, params), x, g)


def guarded(check: str, name: str, found: Iterator[Reading]) -> Iterator[Reading]:
    """What a check finds; where a layout or the transport refuses what is right, it has noticed the fault."""
    try:
        yield from found
    except (TransportError, ValueError):
        yield Reading(f"{check}: refused", name, np.inf, True)


def masked(layout: Layout, params: Any) -> dict[str, Array]:
    """Parameters with 0 where a block of K is outside the pattern, entry by entry."""
    found = {name: np.array(value) for name, value in params.items()}
    owner, half = layout.blocks.owner, layout.arch.width // 2
    places = {"Kp": (0, 0), "Kq": (half, half), "K1": (0, half), "K2": (half, 0)}
    for name, value in found.items():
        row, column = places.get(name, (0, 0))
        if name in ("K", *places):
            for j, a, c in product(*map(range, value.shape)):
                if not layout.patterns[j][owner[row + a], owner[column + c]]:
                    value[j, a, c] = 0
    return found


def on_graphs() -> Iterator[Reading]:
    """States, adjoints, gradients and sensitivities against the reference engine on the whole network."""
    for name in layouts():
        yield from guarded("on graphs", name, _passes(name))


def _passes(name: str) -> Iterator[Reading]:
    net, whole, x, g = case(name)
    passed, trace = net.trace(x), whole.trace(x, backend="reference")
    adjoint, dense = net.adjoint(passed, g), whole.adjoint(trace, g, backend="reference")
    pairs = [(passed.states, trace.states), (net(x), trace.output), (adjoint.delta, dense.delta)]
    pairs += [(adjoint.params[key], value) for key, value in masked(net.layout, dense.params).items()]
    pairs.append((net.gather().params["b"], whole.params["b"]))
    if name in ("H1", "one round"):
        pairs.append((net.sensitivity(x[:2]), whole.sensitivity(x[:2], backend="reference")))
    for found, right in pairs:
        yield reading("on graphs", name, difference(found, right), ROUNDING)


def sent() -> Iterator[Reading]:
    """Who has sent how many messages to whom in a forward pass, and in both, by loops over the entries of K and J."""
    for name in ("H1", "MLP", "ResNet"):
        yield from guarded("sent", name, _messages(name))


def _messages(name: str) -> Iterator[Reading]:
    net, _, x, g = case(name)
    passed = net.trace(x)
    yield reading("sent", name, np.abs(net.traffic.messages - by_hand(net, (1, 0))), 0)
    net.adjoint(passed, g)
    yield reading("sent", name, np.abs(net.traffic.messages - by_hand(net, (1, 1))), 0)
    for k, total in ((1, net.traffic.messages.sum()), (2, net.traffic.bytes.sum())):
        yield reading("sent", name, np.array(abs(sum(kind[k] for kind in net.traffic.kinds.values()) - total)), 0)


def by_hand(net: DistributedNetwork, passes: tuple[int, int]) -> Array:
    """Messages [receiver, sender] of so many forward and backward passes, of networks of one stage a layer."""
    forward, backward = passes
    count, J, owner = np.zeros((NODES, NODES), dtype=int), net.arch.J, net.layout.blocks.owner
    for R in net.layout.patterns:
        for m, k in product(range(NODES), repeat=2):
            if m != k and R[m, k]:
                count[m, k] += forward  # y
                count[k, m] += backward  # K^T g
                if J is not None:
                    count[k, m] += forward  # K^T sigma
                    count[m, k] += backward  # J^T delta
        if J is not None:
            for i, k in {(owner[a], owner[c]) for a, c in np.argwhere(J) if owner[a] != owner[c]}:
                count[i, k] += forward  # grad H
                count[k, i] += backward  # its transpose
    return count


def trained() -> Iterator[Reading]:
    """Loss, number of samples right and gradient of the training's objective against those in one place."""
    yield from guarded("trained", "H1", _objective(pyham.H1(8, 3, 0.5), ["path", "ring", "star"], (0, 2), 3, "joint"))
    yield from guarded("trained", "H2", _objective(pyham.H2(8, 2, 0.5), "path", None, 2, "joint"))
    yield from guarded("trained", "MLP", _objective(pyham.MLP(8, 2), "path", None, None, "weights"))


def _objective(arch: Architecture, graph: Any, reads: Any, reader: int | None, phase: str) -> Iterator[Reading]:
    rng = np.random.default_rng(arch.depth)
    layout = Layout(arch, graph, nodes=NODES)
    params = masked(layout, arch.init(rng).params)
    loss, outputs = ("softmax", 3) if reads is None else ("logistic", 1)
    x, labels = rng.standard_normal((9, 8)), np.arange(9) % max(2, outputs)
    read = np.append(np.isin(layout.blocks.owner, range(NODES) if reads is None else reads), True)
    layer = rng.standard_normal((outputs, 9)) * read
    protocol = Protocol(loss=loss, alpha=0.3, alpha_c=0.2, decay=0.1, inner_steps=2)
    here = DistributedModel(DistributedNetwork(layout, params), Readout(layout, reads, reader, outputs, loss), protocol)
    here.take(params, layer)
    dense = NetworkModel(pyham.Network(arch, params), outputs, protocol, "reference")
    dense.layer[:] = layer
    found: list[dict[str, Array]] = []
    for model in (here, dense):
        value, right, gradient = model.gradient(phase, x, labels)
        model.trained(phase)[:] = gradient
        found.append({"loss": np.array(value), "right": np.array(right), **model.describe()[1]})
    expected = masked(layout, found[1])
    expected["layer"] = found[1]["layer"] * read
    for key, mine in found[0].items():
        yield reading("trained", arch.name, difference(mine, expected[key]), 0 if key == "right" else ROUNDING)

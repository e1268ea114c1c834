"""Distributed networks: equal to those in one place, local bit by bit, and nothing travels but along edges."""

import networkx as nx
import numpy as np
import pytest

import pyham
from pyham import distributed
from pyham.distributed import Blocks, DistributedNetwork, Layout, Mailbox, TransportError, distribute
from pyham.distributed.links import Link, Via, collect, spread
from pyham.distributed.transport import Hop, Place
from pyham.distributed.weights import restrict

EPS = np.finfo(float).eps
NAMES = ("H1", "H2", "MS3", "ResNet", "MLP")


def relative(found, expected):
    return np.abs(found - expected).max() / max(1e-300, np.abs(expected).max())


def against_dense(net, x, g):
    """Largest relative differences of states, adjoints, gradients and sensitivities from those of the dense engine."""
    whole = net.gather()
    passed, trace = net.trace(x), whole.trace(x)
    adjoint, expected = net.adjoint(passed, g), whole.adjoint(trace, g)
    masked = restrict(net.layout, expected.params)
    return {
        "output": relative(net(x), whole(x)),
        "states": relative(passed.states, trace.states),
        "delta": relative(adjoint.delta, expected.delta),
        "gradients": max(relative(adjoint.params[name], masked[name]) for name in masked),
        "sensitivities": relative(net.sensitivity(x), whole.sensitivity(x)),
    }


def tolerance(net):
    """Stages times products of length n, in each of which sums run in another order; 8 for what a layer amplifies."""
    return 8 * len(net.gather().stages().A) * net.arch.width * float(np.finfo(net.dtype).eps)


def cases():
    for name in NAMES:
        schemes = ("semi-implicit", "verlet", "yoshida4") if name in ("H2", "MS3") else (None,)
        for scheme in schemes:
            options = {"scheme": scheme} if scheme else {}
            yield pytest.param(pyham.architecture(name, width=12, depth=3, step=0.3, **options), id=f"{name}-{scheme}")
    for activation in ("logistic", "relu", "softplus", "identity"):
        yield pytest.param(pyham.H1(12, 3, 0.3, activation=activation), id=activation)
    yield pytest.param(pyham.H2(12, 3, 0.3, order="q-first"), id="q-first")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("arch", list(cases()))
@pytest.mark.parametrize("graph", ["ring", "star"])
def test_equals_the_dense_engine(arch, graph, dtype, rng):
    net = distribute(arch.init(rng, dtype=dtype), graph, nodes=6, restrict=True)
    x, g = rng.standard_normal((2, 5, 12)).astype(dtype)
    assert max(against_dense(net, x, g).values()) <= tolerance(net)


BLOCKS = {
    "uneven": Blocks.of_sizes([1, 0, 3, 2], [0, 2, 1, 3]),
    "a node with nothing": Blocks.of_sizes([2, 0, 2, 2], [2, 0, 2, 2]),
    "scattered": Blocks(np.array([3, 1, 0, 2, 2, 0, 1, 3, 0, 0, 2, 1]), 4),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blocks", list(BLOCKS.values()), ids=list(BLOCKS))
def test_blocks_of_any_size(blocks, name, rng):
    """J1 pairs places of p and q, here of different nodes: a round for J, on a graph that lets it through."""
    net = distribute(
        pyham.architecture(name, width=12, depth=2, step=0.3).init(rng), "full", nodes=4, blocks=blocks,
        pattern=distributed.path(4).adjacency, restrict=True,
    )  # fmt: skip
    x, g = rng.standard_normal((2, 5, 12))
    assert max(against_dense(net, x, g).values()) <= tolerance(net)
    across = name in ("H1", "H2", "MS3") and blocks is not BLOCKS["a node with nothing"]
    assert ("grad H" in net.traffic.kinds) == across


def test_interconnection_in_block_pattern(rng):
    """A dense skew J within the nodes' and their neighbours' blocks."""
    blocks = Blocks.even(12, 4)
    J = rng.standard_normal((12, 12)) * blocks.mask(distributed.path(4).adjacency)
    net = distribute(pyham.H1(12, 2, 0.2, interconnection=J - J.T).init(rng), "path", nodes=4, restrict=True)
    x, g = rng.standard_normal((2, 5, 12))
    assert max(against_dense(net, x, g).values()) <= tolerance(net)
    X = rng.standard_normal((6, 6)) * np.kron(distributed.path(3).adjacency, np.ones((2, 2)))
    net = distribute(pyham.H2(12, 2, 0.2, X=X).init(rng), "path", nodes=3, restrict=True)
    assert max(against_dense(net, x, g).values()) <= tolerance(net)


@pytest.mark.parametrize("name", NAMES)
def test_graphs_and_patterns_that_vary_from_layer_to_layer(name, rng):
    arch = pyham.architecture(name, width=12, depth=4, step=0.3)
    ring = distributed.ring(6).adjacency
    even = np.kron(np.eye(3), np.ones((2, 2)))
    odd = np.roll(even, 1, axis=(0, 1))
    net = distribute(arch.init(rng), [even, odd, "ring", nx.path_graph(6)], nodes=6, restrict=True)
    x, g = rng.standard_normal((2, 5, 12))
    assert max(against_dense(net, x, g).values()) <= tolerance(net)
    assert not (net.traffic.messages[~ring]).any()
    kept = DistributedNetwork(net.layout, net.gather().params)
    np.testing.assert_array_equal(kept.theta, net.theta)


def test_gather_gives_back_what_was_distributed(rng):
    net = pyham.H2(12, 3, 0.3).init(rng)
    whole = distribute(net, "full", nodes=4).gather()
    assert all(np.array_equal(whole.params[name], net.params[name]) for name in net.params)


# Symplecticity


@pytest.mark.parametrize("scheme", ["semi-implicit", "verlet"])
def test_certificate_norms_and_symplecticity_of_a_distributed_network(scheme, rng):
    X = np.kron(np.eye(4), np.linalg.qr(rng.standard_normal((2, 2)))[0])
    net = distribute(pyham.H2(16, 6, 0.2, scheme=scheme, X=X).init(rng), "ring", nodes=4, restrict=True)
    x = rng.standard_normal((5, 16))
    assert pyham.certify(net.gather(), x).passed
    phi = net.sensitivity(x)
    stages = len(net.gather().stages().A)
    assert pyham.symplectic.defect(phi, net.gather().interconnection).max() <= 4 * EPS * stages
    assert pyham.symplectic.norms(phi)["2"].min() >= 1 - 4 * EPS * stages * 16


# Locality


@pytest.mark.parametrize("name", ["H1", "H2"])
def test_what_is_out_of_reach_leaves_every_bit_unchanged_in_both_passes(name, rng):
    net = distribute(pyham.architecture(name, width=18, depth=2, step=0.3).init(rng), "path", nodes=9, restrict=True)
    x, g = rng.standard_normal((2, 5, 18))
    distance = net.layout.graphs[-1].distance()
    reach = 2 * len(net.layout.stages[0]) * net.arch.depth  # two edges a stage: K, and K^T
    before = net.adjoint(net.trace(x), g)
    states = net.trace(x).states
    for node in range(9):
        own = net.layout.own[node]
        far = np.flatnonzero(distance[net.layout.blocks.owner, node] > reach)
        assert name == "H2" or len(far) or node == 4
        other = x.copy()
        other[:, own] += rng.standard_normal((5, len(own)))
        changed = net.trace(other).states != states
        assert not changed[..., far].any() and changed[-1][..., own].all()
        other = g.copy()
        other[:, own] += 1
        delta = net.adjoint(net.trace(x), other).delta
        assert not (delta != before.delta)[..., far].any() and (delta != before.delta)[0][..., own].all()


def test_every_message_travels_on_an_edge_and_all_edges_are_used(rng):
    net = distribute(pyham.H1(16, 4, 0.5).init(rng), "grid", nodes=8, restrict=True)
    x = rng.standard_normal((7, 16))
    net.adjoint(net.trace(x), x)
    sent = net.traffic.messages
    edges = net.layout.graphs[-1].adjacency & ~np.eye(8, dtype=bool)
    np.testing.assert_array_equal(sent > 0, edges)
    np.testing.assert_array_equal(sent[edges], 4 * 4)  # y, K^T sigma and their transposes, in each of four layers
    assert net.traffic.bytes.sum() == sent.sum() * 2 * 7 * 8 and net.traffic.rounds == 16


def test_a_block_diagonal_K_needs_no_messages(rng):
    net = distribute(pyham.H1(16, 4, 0.5).init(rng), "ring", nodes=8, pattern=np.eye(8), restrict=True)
    x = rng.standard_normal((3, 16))
    net.adjoint(net.trace(x), x)
    assert net.traffic.rounds == 0 and not net.traffic.messages.any()


def test_nodes_hold_their_own_rows_and_no_more():
    net = distribute(pyham.H1(16, 4, 0.5).init(0), "ring", nodes=8, restrict=True)
    assert [w.K[0].shape for w in net.weights.values()] == [(4, 2, 6)] * 8
    assert [w.b.shape for w in net.weights.values()] == [(4, 2)] * 8


# Links and transports


def test_collect_is_the_transpose_of_spread(rng):
    """<spread y, z> = <y, collect z>: for whole numbers without rounding."""
    pattern = rng.random((5, 5)) < 0.6
    link = Link(pattern, (2, 0, 1, 3, 2))
    graph = distributed.full(5)
    via = Via(Mailbox([graph]), Place("forward pass", 0), 4)
    y = {i: rng.integers(-9, 9, (rows, 4)) for i, rows in enumerate(link.rows)}
    up = spread(link, "y", y, via)
    z = {i: rng.integers(-9, 9, stack.shape) for i, stack in up.items()}
    down = collect(link, "z", z, via)
    assert sum((up[i] * z[i]).sum() for i in up) == sum((y[i] * down[i]).sum() for i in y)
    assert all(down[i].shape == y[i].shape for i in y)


PLACE = Place("backward pass", 0)


@pytest.mark.parametrize(
    ("hops", "outbox", "message"),
    [
        ([Hop(0, 2, 1)], {(0, 2): np.zeros((1, 3))}, "expected a message along an edge, got one between no neighbours"),
        ([Hop(0, 1, 1)], {}, "expected a message, got none"),
        ([Hop(0, 1, 1)], {(0, 1): np.zeros((1, 4))}, r"expected a message of shape \(1, 3\), got \(1, 4\)"),
        ([], {(0, 1): np.zeros((1, 3))}, "expected no such message, got one"),
    ],
)
def test_exchange__raises_on_what_may_not_travel_and_names_it(hops, outbox, message):
    box = Mailbox([distributed.path(3)])
    to = (hops or [Hop(0, 1, 1)])[0].receiver
    with pytest.raises(TransportError, match=f"backward pass, layer 0, K y, node 0 -> node {to}: {message}"):
        box.exchange("K y", hops, PLACE, 3, outbox)


def test_a_network_whose_transport_has_fewer_edges_is_stopped(rng):
    """The transport looks at the graph itself, and not at what the network believes."""
    layout = Layout(pyham.H1(8, 1, 0.5), "full", nodes=4)
    net = DistributedNetwork(layout, pyham.H1(8, 1, 0.5).init(rng).params, Mailbox([distributed.ring(4)] * 2))
    with pytest.raises(TransportError, match="forward pass, layer 0, y, node 0 -> node 2: expected a message along an"):
        net(rng.standard_normal((2, 8)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net(np.zeros((3, 5))), r"x: expected shape \(B, 8\), got \(3, 5\)"),
        (lambda net: net.sensitivity(np.zeros(8)), r"x: expected shape \(B, 8\), got \(8,\)"),
        (lambda net: net.adjoint(net.trace(np.zeros((3, 8))), np.zeros((2, 8))), r"g: expected shape \(3, 8\), got"),
    ],
)
def test_network__raises_on_wrong_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call(distribute(pyham.H1(8, 1).init(0), "full", nodes=2))


def test_network__raises_on_dtypes_that_messages_do_not_have():
    with pytest.raises(TypeError, match="params: expected float32 or float64, got complex128"):
        distribute(pyham.H1(8, 1).init(0, dtype=complex), "full", nodes=2)

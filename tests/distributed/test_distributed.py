"""Distributed networks: equal to those in one place, local bit by bit, and nothing travels but along edges."""

import networkx as nx
import numpy as np
import pytest

import pyham
from pyham import distributed
from pyham.data import plane as datasets
from pyham.distributed import Blocks, DistributedNetwork, Layout, Mailbox, TransportError, distribute
from pyham.distributed.links import Link, Via, collect, spread
from pyham.distributed.training import train
from pyham.distributed.transport import Hop, Place
from pyham.distributed.weights import restrict
from pyham.files import archive
from pyham.training.protocol import Protocol

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


MANY = {  # what else than the defaults is tried of an architecture
    "H1": [{"activation": name} for name in ("logistic", "relu", "softplus", "identity")],
    "H2": [{"scheme": "verlet"}, {"scheme": "yoshida4"}, {"order": "q-first"}],
    "MS3": [{"scheme": "verlet"}, {"scheme": "yoshida4"}],
}
PATH, RING = (named(4).adjacency for named in (distributed.path, distributed.ring))
PAIRS = np.kron(np.eye(3), np.ones((2, 2)))
TURNED = np.roll(PAIRS, 1, axis=(0, 1))
UNEVEN = Blocks.of_sizes([1, 0, 3, 2], [0, 2, 1, 3])
SCATTERED = Blocks(np.array([3, 1, 0, 2, 2, 0, 1, 3, 0, 0, 2, 1]), 4)
LAYOUTS = {  # graph, number of nodes, what else
    "ring": ("ring", 6, {}),
    "star": ("star", 6, {}),
    "full": ("full", 6, {}),
    "no edges in K": ("ring", 6, {"pattern": np.eye(6)}),
    "pairs": ("ring", 6, {"pattern": PAIRS}),
    "pairs in turns": ("ring", 6, {"pattern": np.array([PAIRS, TURNED, PAIRS, PAIRS])}),
    "graphs in turns": ([PAIRS, TURNED, "ring", nx.path_graph(6)], 6, {}),
    "uneven": ("full", 4, {"blocks": UNEVEN, "pattern": PATH}),
    "uneven in turns": ("full", 4, {"blocks": UNEVEN, "pattern": np.array([PATH, np.eye(4), RING, PATH])}),
    "a node with nothing": ("full", 4, {"blocks": Blocks.of_sizes([2, 0, 2, 2], [2, 0, 2, 2]), "pattern": PATH}),
    "scattered": ("full", 4, {"blocks": SCATTERED, "pattern": PATH}),
}
ACROSS = (
    "uneven",
    "uneven in turns",
    "scattered",
)  # J1 pairs places of p and q, here of different nodes: a round for J
ONE = [name for name in LAYOUTS if name not in ("ring", "star", "graphs in turns")]
HAMILTONIAN = ("H1", "H2", "MS3")


@pytest.mark.parametrize(
    ("case", "name", "one_round"),
    [(c, name, False) for c in LAYOUTS for name in NAMES] + [(c, name, True) for c in ONE for name in HAMILTONIAN],
)
def test_equals_the_dense_engine(case, name, one_round, rng):
    graph, nodes, options = LAYOUTS[case]
    for dtype, more in [(np.float32, {}), *((np.float64, more) for more in ({}, *MANY.get(name, ())))]:
        whole = pyham.architecture(name, width=12, depth=4, step=0.3, **more).init(rng, dtype=dtype)
        net = distribute(whole, graph, nodes=nodes, **options, restrict=True, one_round=one_round)
        x, g = rng.standard_normal((2, 5, 12)).astype(dtype)
        net.adjoint(net.trace(x), g)
        kinds, rounds, stages = set(net.traffic.kinds), net.traffic.rounds, len(whole.arch.steps) * whole.arch.depth
        assert max(against_dense(net, x, g).values()) <= tolerance(net)
        assert not net.traffic.messages[~net.layout.graphs[-1].adjacency].any()
        if one_round:
            assert kinds <= {"weights", "y", "A^T g", "gradients"}
            assert rounds == (0 if case == "no edges in K" else 2 * stages + 2)
        else:
            assert ("grad H" in kinds) == (name in HAMILTONIAN and case in ACROSS)
            assert (rounds == 0) == (case == "no edges in K")
        params = restrict(net.layout, whole.params)
        assert all(np.array_equal(net.gather().params[key], params[key]) for key in params)
        np.testing.assert_array_equal(DistributedNetwork(net.layout, params).theta, net.theta)


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
    assert np.sum([*net.traffic.kinds.values()], axis=0).tolist() == [16, sent.sum(), net.traffic.bytes.sum()]


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
    assert all(down[i].shape == y[i].shape for i in y) and all(hop.rows for hop in link.along)


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
        (lambda net: distribute(net.arch.init(0, dtype=complex), "full", nodes=2), "float64, got complex128"),
    ],
)
def test_network__raises_on_what_does_not_fit(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(distribute(pyham.H1(8, 1).init(0), "full", nodes=2))


# One round a pass


def test_copies_follow_the_weights(rng):
    """What neighbours hold is sent anew before each forward pass."""
    net = distribute(pyham.H1(12, 2, 0.3).init(rng), "ring", nodes=6, pattern=PAIRS, restrict=True, one_round=True)
    x = rng.standard_normal((3, 12))
    net.theta *= 0.5
    np.testing.assert_allclose(net(x), net.gather()(x), rtol=1e-12)


def test_ring_is_refused_by_name():
    message = r"one_round: [^;]*\[0, 2\] needs a message 2 -> 0 for the forward [^;]*; [^;]*; [^;]*; and 61 more$"
    with pytest.raises(ValueError, match=message):
        distribute(pyham.H1(16, 2).init(0), "ring", nodes=8, restrict=True, one_round=True)
    with pytest.raises(ValueError, match="one_round: expected a network with J K\\^T, got ResNet"):
        distribute(pyham.ResNet(16, 2).init(0), "full", nodes=8, one_round=True)


def test_a_layout_must_allow_its_own_rounds_as_well():
    """Without self-loops, F R^T R may need no message where K^T sigma, for which weights stay in one place, does."""
    R = np.zeros((3, 3))
    R[2, 0] = 1
    with pytest.raises(ValueError, match=r"K\^T sigma"):
        distribute(pyham.H1(6, 1).init(0), np.eye(3), pattern=R, restrict=True, one_round=True)


def test_weights_need_edges_too():
    """Node 2's rows read node 1, whose part of the gradient J takes to node 0, which does not hear node 2."""
    R, F = np.zeros((2, 3, 3))
    R[2, 1] = F[0, 1] = 1
    J = np.kron(F - F.T, np.ones((2, 2)))
    arch = pyham.H1(6, 1, interconnection=J)
    net = arch.init(0)
    options = {"blocks": Blocks(np.repeat(np.arange(3), 2), 3), "pattern": R, "restrict": True}
    distribute(net, distributed.path(3), **options)
    with pytest.raises(ValueError, match=r"weights that \(F R\^T\)\[0, 2\] needs, got none 2 <-> 0"):
        distribute(net, distributed.path(3), **options, one_round=True)


def test_pairs_in_turns_train_with_one_round_and_end_where_rounds_for_each_matrix_do(tmp_path):
    x, labels = datasets.swiss_roll(200, width=16, channels=(0, 12), rng=0)
    found = []
    for one_round in (False, True):
        layout = Layout(pyham.H1(16, 4, 0.5), ["pairs", "other-pairs"] * 2, nodes=8)
        assert layout.one_round
        params = restrict(layout, layout.arch.init(0).params)
        net = DistributedNetwork(layout, params, one_round=one_round)
        protocol = Protocol(scheme="joint", epochs=2, batch=50)
        classifier = train(net, x, labels, protocol=protocol, rng=0, checkpoint=tmp_path / str(one_round))
        found.append(classifier.net.K)
        assert archive.read(tmp_path / str(one_round))[0]["distributed"]["one round"] is one_round
        np.testing.assert_array_equal(net.traffic.messages > 0, distributed.ring(8).adjacency & ~np.eye(8, dtype=bool))
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)  # rounding, after eight steps of Adam
    with pytest.raises(ValueError, match="the distribution of this one"):
        train(net, x, labels, protocol=protocol, rng=0, checkpoint=tmp_path / "False", resume=True)

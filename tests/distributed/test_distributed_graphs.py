"""Graphs, blocks and the conditions of the theorem on distribution; what is refused, and how it is named."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import pyham
from pyham import distributed
from pyham.architectures.graphs import NAMES, Graph, graph, union
from pyham.architectures.patterns import Ownership, block_by_block, one_round
from pyham.distributed.layout import Layout

PEERS = {
    "ring": nx.cycle_graph,
    "path": nx.path_graph,
    "star": lambda M: nx.star_graph(M - 1),
    "full": nx.complete_graph,
}


@pytest.mark.parametrize("M", [3, 4, 8])
@pytest.mark.parametrize("name", PEERS)
def test_named_graphs_are_those_of_networkx(name, M):
    expected = nx.to_numpy_array(PEERS[name](M)) + np.eye(M)
    np.testing.assert_array_equal(graph(name, M).adjacency, expected != 0)
    assert graph(PEERS[name](M)) == graph(name, M) == graph(scipy.sparse.csr_array(expected))
    np.testing.assert_array_equal(graph(name, M).distance(), nx.floyd_warshall_numpy(PEERS[name](M)))


@pytest.mark.parametrize("M", [1, 2, 5, 6])
def test_pairs_are_matchings_and_together_the_ring(M):
    both = [graph(name, M) for name in ("pairs", "other-pairs")]
    assert all(g.adjacency.sum(axis=0).max() <= 2 for g in both)
    together = union(both).adjacency
    assert not (together & ~graph("ring", M).adjacency).any()
    assert M % 2 or (together == graph("ring", M).adjacency).all()
    assert M > 1 or all(graph(name, 1).adjacency.all() for name in NAMES)


@pytest.mark.parametrize(("nodes", "shape"), [(16, (4, 4)), (12, (3, 4)), (7, (1, 7)), (1, (1, 1))])
def test_grid_is_that_of_networkx_and_by_number_of_nodes_the_squarest(nodes, shape):
    assert graph("grid", nodes) == distributed.grid(*shape) == graph(nx.grid_2d_graph(*shape))


def test_directed_edges_lead_from_sender_to_receiver():
    found = graph(nx.DiGraph([(0, 1), (1, 2)]))
    assert found.edges == ((0, 1), (1, 2))
    assert found.has(0, 1) and not found.has(1, 0)
    np.testing.assert_array_equal(found.distance()[2], [2, 1, 0])
    assert np.isinf(found.distance()[0, 2])
    assert union([found, graph(nx.DiGraph([(2, 0), (1, 2)]))]).edges == ((0, 1), (1, 2), (2, 0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: graph("circle", 3), "graph: expected one of 'ring', .* got 'circle'"),
        (lambda: graph("ring", None), "nodes: expected an integer >= 1, got NoneType"),
        (lambda: graph(np.zeros((2, 3))), r"graph: expected shape \(2, 2\), got \(2, 3\)"),
        (lambda: graph(np.zeros((0, 0))), "graph: expected at least one node, got none"),
        (lambda: graph(nx.path_graph(3), 4), "graph: expected 4 nodes, got 3"),
        (lambda: graph([["a"]]), "graph: expected numbers"),
        (lambda: Ownership(np.array([0, 2]), 2), "blocks: expected owners from 0 to 1, got 2"),
        (lambda: Ownership(np.array([0.5]), 2), "blocks: expected the owner of each entry as integers"),
        (lambda: Ownership.of_sizes([1, 2], [1]), r"p, q: expected as many sizes .* got \[1, 2\] and \[1\]"),
        (lambda: Ownership.of_sizes([-1], [1]), "p, q: expected as many sizes >= 0"),
    ],
)
def test_graphs_and_blocks__raise_on_what_are_none(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


# Ownership


def test_blocks_cut_p_and_q_evenly():
    np.testing.assert_array_equal(Ownership.even(6, 2).owner, [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(Ownership.even(5, 2).owner, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(Ownership.of_sizes([0, 2], [1, 1]).owner, [1, 1, 0, 1])
    np.testing.assert_array_equal(Ownership.even(6, 2).of(1), [2, 5])


# The conditions, against what a layer's sensitivities say


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_one_round_suffices_exactly_where_the_layer_depends_on_neighbours_only(seed, M):
    """dy_1/dy_0 of a dense layer with random weights has entries where F R^T R has, and nowhere else."""
    rng = np.random.default_rng(seed)
    R, F, edges = rng.random((3, M, M)) < 0.4
    F = F | F.T
    blocks = Ownership.even(4 * M, M)
    J = rng.standard_normal((4 * M, 4 * M)) * blocks.mask(F)
    K = rng.standard_normal((1, 4 * M, 4 * M)) * blocks.mask(R)
    net = pyham.H1(4 * M, 1, 1.0, interconnection=J - J.T).init(rng, initialization={"K": K})
    phi = net.sensitivity(rng.standard_normal((1, 4 * M)), backend="reference")[0, 0].T - np.eye(4 * M)
    reach = blocks.pattern(np.abs(phi) > 1e-12)  # sums of a few products of normal numbers: 0 or far from it
    G = Graph(edges)
    F = blocks.pattern(J - J.T)
    expected = {(i, k) for i, k in np.argwhere(reach) if not (G.has(k, i) and G.has(i, k))}
    assert {(m.row, m.column) for m in one_round(G, R, F)} == expected


@pytest.mark.parametrize("F", [None, np.eye(3, dtype=bool), np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)])
def test_block_by_block_needs_every_entry_both_ways(F):
    R = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=bool)
    G = Graph(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]]))  # 0 does not hear 2, and 2 hears 0
    (missing,) = block_by_block(G, R, F)
    assert str(missing) == "R[0, 2] needs a message 2 -> 0 for K y, and the graph has no such edge"
    back = block_by_block(Graph(G.adjacency.T), R, F)
    what = "K^T sigma" if F is not None else "K^T in the backward pass"
    assert [str(m) for m in back] == [f"R[0, 2] needs a message 0 -> 2 for {what}, and the graph has no such edge"]


def test_block_by_block_names_entries_of_J():
    F = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=bool)
    words = [str(m) for m in block_by_block(distributed.path(3), np.eye(3, dtype=bool), F)]
    assert words[0].startswith("F[0, 2] needs a message 2 -> 0 for J,") and len(words) == 4


def test_two_rounds_do_not_suffice_for_an_interconnection_across_nodes():
    """R, R^T and F on edges, and yet a layer carries y over three of them."""
    R = np.eye(4, dtype=bool)
    R[2, 1] = R[2, 3] = True
    F = np.eye(4, dtype=bool)
    F[0, 1] = F[1, 0] = True
    G = distributed.path(4)
    assert not block_by_block(G, R, F)
    reach = (F.astype(int) @ R.T @ R) > 0
    assert G.distance()[reach].max() == 3


# Layouts


def test_layout__raises_before_anything_runs_and_names_entry_and_edge():
    arch = pyham.H1(16, 4, 0.5)
    pattern = distributed.ring(8).adjacency.copy()
    pattern[1, 4] = True
    with pytest.raises(ValueError, match=r"pattern: .* layer 0: R\[1, 4\] needs a message 4 -> 1 for K y"):
        Layout(arch, "ring", nodes=8, pattern=pattern)
    net = arch.init(0)
    with pytest.raises(ValueError, match=r"K: expected 0 outside the pattern, got K\[0, 0, 2\] = 0.64 and 639 more: .*"
                       "rows of node 0 must not read the state of node 2 .*no edge between 2 and 0"):  # fmt: skip
        distributed.distribute(net, "ring", nodes=8)
    good = distributed.distribute(net, "ring", nodes=8, restrict=True).gather()
    K = good.K.copy()
    K[2, 9, 4] = 1e-300
    with pytest.raises(ValueError, match=r"got K\[2, 9, 4\] = 1e-300 and 0 more: in layer 2 .* of node 1 .*node 4"):
        distributed.distribute(good.replace({"K": K}), "ring", nodes=8)
    one_way = [np.ones((2, 2)), np.array([[1, 1], [0, 1]])]  # in layer 1 node 0 hears node 1, but not the other way
    with pytest.raises(ValueError, match=r"in layer 1 .* node 0 .* node 1 \(the graph has no edge between 1 and 0\)"):
        distributed.distribute(pyham.H1(4, 2).init(0), one_way)


RING = {"graph": "ring", "nodes": 2}
H1, ON_RING = pyham.H1(4, 2), pyham.H1(8, 2, 0.5, graph="ring", nodes=4)
ON_FULL = {"graph": "full", "nodes": 4}


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        (pyham.MS1(4, 2), RING, "arch: expected one of H1, .* got MS1, which ties entries of K"),
        (H1, RING | {"graph": ["ring"]}, "graph: expected one graph, or one for each of 2 layers, got 1"),
        (H1, {"graph": [np.eye(2), np.eye(3)]}, r"graph: expected graphs of one number of nodes, got \[2, 3\]"),
        (H1, RING | {"pattern": np.eye(3)}, r"pattern: expected shape \(2, 2\), got"),
        (H1, RING | {"blocks": Ownership.even(6, 2)}, "blocks: expected owners of 4 entries"),
        (
            ON_RING,
            ON_FULL | {"blocks": Ownership(np.arange(8) // 2, 4)},
            "blocks: expected those of the network, whose",
        ),
        (ON_RING, ON_FULL | {"pattern": np.ones((4, 4))}, r"pattern: expected entries on the edges .* at \[0, 2\]"),
        (
            pyham.H1(4, 2, interconnection="J2"),
            {"graph": "path", "nodes": 3, "blocks": Ownership(np.array([0, 1, 2, 2]), 3)},
            r"F\[0, 2\] needs a message 2 -> 0 for J",
        ),
    ],
)
def test_layout__raises_on_what_does_not_fit(arch, options, message):
    Layout(H1, [[[1, 1], [1, 1]], "ring"], nodes=2)  # the first by its adjacency
    Layout(ON_RING, **ON_FULL, blocks=Ownership.even(8, 4), pattern=np.eye(4))  # its own blocks, and fewer edges
    with pytest.raises(ValueError, match=message):
        Layout(arch, **options)


def test_one_round_condition_holds_for_cliques_and_not_for_the_ring():
    arch = pyham.H1(16, 2, 0.5)
    assert not Layout(arch, "ring", nodes=8).one_round
    assert Layout(arch, "full", nodes=8).one_round
    pairs = np.kron(np.eye(4), np.ones((2, 2)))
    assert Layout(arch, "ring", nodes=8, pattern=pairs).one_round

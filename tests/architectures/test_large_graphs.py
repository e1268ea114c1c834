"""Graphs without a matrix: lists of edges, edges both ways, and graphs too large for a matrix."""

import tracemalloc
from time import process_time

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from pyham.architectures.graphs import Graph, graph, union
from tests.oracles.refusals import refused

LARGE = 100_000


@given(st.integers(0, 10**6), st.integers(1, 7))
def test_every_description_of_a_graph_gives_the_same(seed, M):
    rng = np.random.default_rng(seed)
    adjacency = np.triu(rng.random((M, M)) < 0.4)
    adjacency |= adjacency.T | np.eye(M, dtype=bool)
    found = Graph(adjacency)
    np.testing.assert_array_equal(found.adjacency, adjacency)
    pairs = [(k, i) for k, i in found.edges if k < i]
    assert sorted(map(tuple, found.undirected.tolist())) == sorted(pairs)
    assert graph(pairs, M) == graph([end for pair in pairs for end in pair], M) == found
    assert graph(scipy.sparse.coo_array(adjacency)) == graph(nx.from_numpy_array(adjacency)) == found
    assert graph(adjacency.tolist(), M) == union([found, graph([], M)]) == found.mutual == found.transposed() == found
    assert hash(Graph(adjacency)) == hash(found) and found != Graph(np.eye(M + 1))


@given(st.integers(0, 10**6), st.integers(1, 7))
def test_one_way_edges(seed, M):
    adjacency = np.random.default_rng(seed).random((M, M)) < 0.5
    found = Graph(adjacency)
    full = adjacency | np.eye(M, dtype=bool)
    np.testing.assert_array_equal(found.transposed().adjacency, full.T)
    np.testing.assert_array_equal(found.mutual.adjacency, full & full.T)
    has = [[found.has(k, i) for k in range(M)] for i in range(M)]
    np.testing.assert_array_equal(has, full)
    for i in range(M):
        np.testing.assert_array_equal(found.heard_by(i), np.flatnonzero(full[i]))
    steps = [np.linalg.matrix_power(full.astype(int), s) > 0 for s in range(M)]
    ways = np.where(steps[-1], sum(~step for step in steps).astype(float), np.inf)
    np.testing.assert_array_equal(found.distance(), ways)
    i, k = np.indices((M, M)).reshape(2, -1)
    np.testing.assert_array_equal(found.joins(k, i), full.ravel())


def test_graphs_that_differ_in_senders_alone_are_not_equal_and_matrices_are_read_only():
    one, other = graph([(0, 1), (2, 3)], 4), graph([(0, 2), (1, 3)], 4)
    assert one != other and one != "graph"
    with pytest.raises(ValueError, match="read-only"):
        one.adjacency[0, 0] = False


@pytest.mark.seldom
@pytest.mark.parametrize("name", ["ring", "grid", "star", "path", "pairs", "regular"])
def test_a_hundred_thousand_nodes_take_memory_for_their_edges_and_a_moment(name):
    value = nx.random_regular_graph(3, LARGE, seed=0) if name == "regular" else name
    tracemalloc.start()
    began = process_time()
    found = graph(value, LARGE)
    assert found.mutual is found
    used, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert process_time() - began < 5  # under tracemalloc on a busy machine; alone some 30 ms, networkx 500 ms
    edges = len(found.senders)
    assert edges <= 5 * LARGE and used < 64 * edges and most < 400 * edges
    for call in (lambda: found.adjacency, found.distance):
        with pytest.raises(ValueError, match="expected a graph of at most 10000 nodes, got 100000"):
            call()


test_what_is_refused = refused([
    (lambda value: graph(*value), value, error, f"graph: expected {message}")
    for value, error, message in [
        (([(0, 3)], 3), ValueError, "nodes from 0 to 2, got 3"),
        (([(-1, 0)], 3), ValueError, "nodes from 0 to 2, got -1"),
        ((scipy.sparse.csr_array((2, 3)),), ValueError, r"shape \(2, 2\), got \(2, 3\)"),
        (([0, 1, 2], 3), ValueError, r"shape \(3, 3\), got \(3,\)"),
        (([[0, 1, 1, 2]] * 2, 3), ValueError, r"shape \(2, 2\), got \(2, 4\)"),
        (([[0.0, 1.0]], 3), ValueError, r"shape \(1, 1\), got \(1, 2\)"),
        ((3.0,), ValueError, r"shape \(0, 0\), got \(\)"),
        ((np.zeros((0, 0)),), ValueError, "at least one node, got none"),
    ]
])  # fmt: skip

"""Networks on a graph: equal to the dense network with the same K in everything, with memory for the edges only."""

import copy
import pickle

import networkx as nx
import numpy as np
import pytest
import scipy.sparse

import pyham
from pyham import distributed
from pyham.architectures.described import described
from pyham.architectures.graphs import graph
from pyham.architectures.patterns import Ownership
from pyham.network import Network
from tests.oracles.refusals import refused

KINDS = ("H1", "H2", "MS3", "ResNet", "MLP")
BIPARTITE = nx.complete_bipartite_graph(2, 3)
X = np.diag(np.arange(1.0, 6) / 3) + np.diag([0.2] * 4, 1)  # 5 nodes with one entry of q each, on a path
J = np.diag([0.5, 0.25] * 6, 1)[:12, :12]  # 4 nodes of 3 states, each a row of the path

NETWORKS = {
    **{f"{name} on a ring": (name, 16, {"graph": "ring", "nodes": 8}) for name in KINDS},
    **{
        f"{name} on a {kind}": (name, 12, {"graph": kind, "nodes": 3, "blocks": [2, 6, 4]})
        for name in KINDS
        for kind in ("star", "full")
    },
    **{f"{name} on a networkx graph": (name, 20, {"graph": BIPARTITE, "blocks": 4}) for name in KINDS},
    **{
        f"{name}, {scheme}, {order}": (name, 12, {"graph": "path", "nodes": 5, "scheme": scheme, "order": order})
        for name in ("H2", "MS3")
        for scheme in ("semi-implicit", "verlet", "yoshida4")
        for order in ("p-first", "q-first")
    },
    **{
        f"{name}, odd blocks": (name, 7, {"graph": "path", "nodes": 3, "blocks": [1, 3, 3]})
        for name in ("MLP", "ResNet")
    },
    "H2, X on edges": ("H2", 10, {"graph": "path", "nodes": 5, "X": X}),
    "H2, X on edges, q-first": ("H2", 10, {"graph": "path", "nodes": 5, "X": X, "order": "q-first"}),
    "H1, J on edges": ("H1", 12, {"graph": "path", "nodes": 4, "blocks": 3, "interconnection": J - J.T}),
    "H1, J2 on a full graph": ("H1", 6, {"graph": "full", "nodes": 4, "blocks": [2, 3, 1, 0], "interconnection": "J2"}),
    "H1, a node without edges": ("H1", 6, {"graph": [0, 1], "nodes": 3}),
    "H1, a node without states": ("H1", 6, {"graph": "ring", "nodes": 4, "blocks": [2, 0, 4, 0]}),
}  # fmt: skip


def network(name, depth=3, step=0.2, seed=0, **init):
    kind, width, options = NETWORKS[name]
    return pyham.architecture(kind, width=width, depth=depth, step=step, **options).init(seed, **init)


def twin(net):
    """The dense network with the same K and b."""
    options = {key: value for key, value in net.arch.options().items() if key not in ("graph", "nodes", "blocks")}
    dense = pyham.architecture(net.arch.name, **options)
    return Network(dense, {**dense.collect(dense.cut(net.K)), "b": net.b})


def on_edges(net, params):
    """Parameters of the dense network as those of the network on the graph; entries off the edges are dropped."""
    K = twin(net).arch.assemble(params)
    mask = net.arch.assemble({name: np.ones_like(value) for name, value in net.params.items()})
    return {**net.arch.collect(net.arch.cut(K * mask)), "b": params["b"]}


def close(found, expected, tolerance=1e-12):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max(initial=1e-300))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_equal_to_the_dense_network_with_the_same_weights(name, backend, rng):
    net = network(name)
    dense = twin(net)
    x, g = rng.standard_normal((2, 4, net.arch.width))
    close(net(x, backend=backend), dense(x))
    trace, expected = net.trace(x, backend=backend), dense.trace(x)
    close(trace.states, expected.states)
    found, adjoint = net.adjoint(trace, g, backend=backend), dense.adjoint(expected, g)
    close(found.delta, adjoint.delta)
    of_edges = on_edges(net, adjoint.params)
    for key in net.params:
        close(found.params[key], of_edges[key])
    close(net.sensitivity(x, backend=backend), dense.sensitivity(x))
    close(net.energy(x), dense.energy(x))
    close(net.sensitivity(x, layers=[0, 2], backend=backend), dense.sensitivity(x, layers=[0, 2]))
    for memory in ("store", "checkpoint", *(["reversible"] if net.stages().shears else [])):
        gradient = net.gradient(x, g, memory=memory, backend=backend)
        close(gradient.input, adjoint.delta[0])
        for key in net.params:
            close(gradient.params[key], of_edges[key])
    if net.stages().shears:
        close(net.inverse(net(x), backend=backend), x, 1e-10)
    value, gradients = net.arch.smoothness(net.params)
    expected, of_dense = dense.arch.smoothness(dense.params)
    close(value, expected)
    for key, gradient in on_edges(net, of_dense).items():
        close(gradients[key], gradient)


@pytest.mark.parametrize("dtype", ["float32", "longdouble", "mpmath"])
@pytest.mark.parametrize("name", ["H1 on a star", "H2, X on edges", "MLP, odd blocks"])
def test_other_dtypes(name, dtype, rng):
    mpmath = pytest.importorskip("mpmath")
    net = network(name)
    x = rng.standard_normal((2, net.arch.width))
    given = np.array([[mpmath.mpf(v) for v in row] for row in x]) if dtype == "mpmath" else x.astype(dtype)
    backend = "numba" if dtype == "float32" else "reference"
    output, expected = net(given, backend=backend), twin(net)(given, backend=backend)
    assert output.dtype == expected.dtype
    close(output.astype(float), expected.astype(float), 1e-5 if dtype == "float32" else 1e-15)
    close(net.sensitivity(given, backend=backend).astype(float), net.sensitivity(x), 1e-5)


# What it is as data


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_and_loaded_copied_and_built_from_plain_data(name, tmp_path):
    net = network(name)
    net.save(tmp_path / "net")
    same = pyham.load(tmp_path / "net")
    built = pyham.architecture(**net.arch.config())
    for other in (same.arch, built, copy.deepcopy(net.arch), pickle.loads(pickle.dumps(net.arch))):
        assert other == net.arch and hash(other) == hash(net.arch) and repr(other) == repr(net.arch)
        np.testing.assert_array_equal(other.ownership.owner, net.arch.ownership.owner)
    for key, value in net.params.items():
        np.testing.assert_array_equal(same.params[key], value)


def test_the_ways_to_give_a_graph_agree():
    ring = graph("ring", 8)
    expected = pyham.H2(16, 2, graph="ring", nodes=8).init(0)
    pairs = [(i, (i + 1) % 8) for i in range(8)]
    for value in (ring, ring.adjacency, scipy.sparse.csr_array(ring.adjacency), nx.cycle_graph(8), pairs):
        net = pyham.H2(16, 2, graph=value, nodes=8, blocks=2).init(0)
        assert net.arch.nodes == 8
        np.testing.assert_array_equal(net.K, expected.K)
    assert pyham.H2(16, 2, graph=ring) == pyham.H2(16, 2, graph=nx.cycle_graph(8)) != pyham.H2(16, 2)
    without = pyham.H2(4, 2)  # of which nothing is said of graphs
    assert "graph" not in repr(without) and not {"graph", "nodes", "blocks"} & set(without.config())
    assert without.ownership is None
    assert "graph='ring', nodes=2" in str(pyham.H2(4, 2, graph="ring", nodes=2))


def test_entries_are_those_of_neighbours_both_ways_row_by_row(rng):
    heard = rng.random((5, 5)) < 0.5
    net = pyham.ResNet(13, 2, graph=heard, blocks=[1, 2, 4, 3, 3]).init(0)
    both = (heard & heard.T) | np.eye(5, dtype=bool)
    expected = np.repeat(np.repeat(both, [1, 2, 4, 3, 3], axis=0), [1, 2, 4, 3, 3], axis=1)
    np.testing.assert_array_equal(net.K[0] != 0, expected)
    np.testing.assert_array_equal(net.params["K"], net.K[:, expected])  # NumPy's order is row by row
    edges = net.arch.maps[0]
    np.testing.assert_array_equal([edges.rows, edges.columns], np.nonzero(expected))


def test_p_and_q_of_every_node_as_in_a_distributed_network():
    even = pyham.MS3(20, 1, graph="ring", nodes=4)
    np.testing.assert_array_equal(even.ownership.owner, distributed.Blocks.even(20, 4).owner)
    given = pyham.H1(12, 1, graph="path", nodes=3, blocks=[2, 6, 4])
    np.testing.assert_array_equal(given.ownership.owner, [0, 1, 1, 1, 2, 2] * 2)
    assert pyham.MS3(20, 1, graph="ring", nodes=5, blocks=[4] * 5).blocks == 4


def test_owners_are_integers_of_nodes_and_cannot_be_written_to():
    owners = Ownership(np.array([0, 0], np.uint8), np.int64(1))
    assert type(owners.nodes) is int and owners.owner.dtype == np.int64 and not owners.owner.flags.writeable
    for wrong in ([-1, 0], [0, 1]):
        with pytest.raises(ValueError, match=f"blocks: expected owners from 0 to 0, got {wrong[wrong[0] == 0]}"):
            Ownership(np.array(wrong), 1)


# Initial parameters


def test_scaled_normal_keeps_the_size_of_every_row():
    arch = pyham.H1(64, 400, graph="star", nodes=32)
    scaled, normal = (arch.init(0, initialization=name) for name in ("scaled-normal", "normal"))
    close(normal.params["K"].std(), 1, 0.01)
    count = (normal.K[0] != 0).sum(axis=1)
    assert set(count) == {4, 64}
    close((scaled.K**2).sum(axis=2).mean(axis=0), np.ones(64), 0.2)
    close(scaled.b.std(axis=0) ** 2 * count, np.ones(64), 0.25)
    given = arch.init(0, initialization={"K": scaled.params["K"][0]})
    np.testing.assert_array_equal(given.params["K"][3], scaled.params["K"][0])


# What is refused

RING = {"graph": "ring", "nodes": 4}
FAR = np.zeros((4, 4))
FAR[0, 2], FAR[2, 0] = 0.5, -0.5


test_what_is_refused = refused([
    (lambda of: pyham.architecture(depth=2, **of), {"name": name, "width": n} | options, (TypeError, ValueError),
     f".*{message}.*")
    for name, n, options, message in [
        ("H2", 8, {"graph": "ring"}, "nodes: expected an integer >= 1, got NoneType"),
        ("H2", 8, {"graph": "wheel", "nodes": 4}, "graph: expected one of 'ring'"),
        ("H2", 8, {"nodes": 4}, "nodes: expected none without a graph, got 4"),
        ("MLP", 8, {"blocks": 2}, "blocks: expected none without a graph, got 2"),
        ("MLP", 3, RING, "nodes: expected at most the width, 3, got 4"),
        ("H2", 6, RING, "width: expected at least 2 for each of 4 nodes, got 6"),
        ("H1", 8, RING | {"blocks": [3, 1, 2, 2]}, "blocks: expected even numbers, .* got 3"),
        ("H2", 8, RING | {"blocks": 4}, "blocks: expected 4 numbers that add up to the width, 8, got 4 that .* to 16"),
        ("H2", 8, RING | {"blocks": [2, 6]}, "blocks: expected 4 numbers that add up to the width, 8, got 2 that"),
        ("H2", 8, RING | {"blocks": "2"}, "blocks: expected an integer >= 0, got str"),
        ("H2", 8, RING | {"blocks": -2}, "blocks: expected an integer >= 0, got -2"),
        ("H2", 8, {"graph": nx.path_graph(3), "nodes": 4}, "graph: expected 4 nodes, got 3"),
        ("H2", 8, RING | {"X": np.eye(4) + FAR}, r"X: expected .* X\[0, 2\] = 0.5 between the nodes 0 and 2"),
        ("H1", 8, RING | {"interconnection": "J2"}, r"interconnection\[0, 2\] = 1 between the nodes 0 and 2"),
        ("H1", 4, RING | {"interconnection": FAR}, r"interconnection\[0, 2\] = 0.5 between the nodes 0 and 2"),
        ("MS1", 8, RING, "graph: expected one of the options of MS1"),
        ("MS2", 8, RING, "graph: expected one of the options of MS2"),
    ]
])  # fmt: skip


def test_files_that_claim_more_than_they_have_are_refused_before_anything_is_made():
    def params(K, b):
        return {"K": np.zeros(K), "b": np.zeros(b)}

    large = {"name": "MLP", "width": 100_000, "depth": 1, "graph": "full", "nodes": 100_000}
    with pytest.raises(ValueError, match="nodes: expected a graph of as many edges as K has entries, 100000, got"):
        described(large, params((1, 5), (1, 100_000)))
    with pytest.raises(ValueError, match="params"):
        Network(described(large | {"graph": "ring"}, params((1, 5), (1, 100_000))), params((1, 5), (1, 100_000)))
    small = {"name": "MLP", "width": 4, "depth": 1}
    assert described(small | {"graph": "full", "nodes": 4}, params((1, 16), (1, 4))).nodes == 4
    most = {"name": "H2", "width": 40, "depth": 1, "graph": "full", "nodes": 40, "blocks": [2] * 20 + [0] * 20}
    assert described(most, params((1, 400), (1, 40))).nodes == 40
    for config in (small | {"depth": 2}, small | {"width": 6}, small | {"depth": 0, "width": 1 << 11}):
        b = (config["depth"], 1 << 11) if config["depth"] == 0 else (1, 4)
        with pytest.raises(ValueError, match=r"depth, width: expected those of b, \(\d, \d+\), got others"):
            described(config, params((1, 4, 4), b))
    assert described(small | {"depth": 0, "width": 1 << 10}, params((0, 4, 4), (0, 1 << 10))).width == 1 << 10
    with pytest.raises(ValueError, match=r"params\['K'\]: expected shape \(1, 4, 4\), got \(1, 16\)"):
        described(small | {"name": "H1"}, params((1, 16), (1, 4)))

"""Networks on graphs: certificates, nodes in several places, who depends on whom, and graphs too large for a matrix."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import pyham
from pyham import distributed
from pyham.distributed.training import train as train_nodes
from pyham.training.protocol import Protocol
from pyham.training.trainer import train

KINDS = ("H1", "H2", "MS3", "ResNet", "MLP")


def ring(kind, nodes=8, depth=2, **options):
    return pyham.architecture(kind, width=2 * nodes, depth=depth, step=0.3, graph="ring", nodes=nodes, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_on_a_graph_is_certified(kind, rng):
    net = ring(kind, depth=8).init(rng, initialization="scaled-normal")
    certificate = pyham.certify(net, rng.standard_normal((3, 16)))
    assert certificate.passed, str(certificate)
    assert {c.name for c in certificate.checks if c.control_failed} >= {"upper bound", "backpropagation"}
    assert (kind in ("H2", "MS3")) == any(c.name == "symplectic" and c.guaranteed for c in certificate.checks)


@pytest.mark.parametrize("one_round", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_distributed_on_its_graph_and_on_one_with_more_edges(kind, one_round, rng):
    options = {"nodes": 4, "width": 12, "depth": 2, "graph": "pairs" if one_round else "path", "blocks": [2, 4, 2, 4]}
    net = pyham.architecture(kind, **options).init(rng)
    x, g = rng.standard_normal((2, 5, 12))
    for graph in ("ring", "full"):
        there = distributed.distribute(net, graph, nodes=4, one_round=one_round and net.arch.J is not None)
        passed = there.trace(x)
        adjoint, expected = there.adjoint(passed, g), net.adjoint(net.trace(x), g)
        np.testing.assert_allclose(passed.output, net(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(adjoint.delta, expected.delta, rtol=1e-12, atol=1e-13)
        for key in net.params:
            np.testing.assert_allclose(adjoint.params[key], expected.params[key], rtol=1e-11, atol=1e-12)
        whole = there.gather()
        assert whole.arch == net.arch
        np.testing.assert_array_equal(whole.K, net.K)


@pytest.mark.parametrize("scheme", ["alternating", "joint"])
def test_training_in_one_place_and_by_the_nodes_are_the_same(scheme, rng, tmp_path):
    x = rng.standard_normal((100, 16))
    labels, protocol = x[:, 0] > 0, Protocol(scheme=scheme, epochs=2, output_epochs=1)
    net = ring("H2").init(1)
    here = train(net, x, labels, protocol=protocol, rng=3, checkpoint=tmp_path / "here")
    there = train_nodes(distributed.distribute(net, "ring", nodes=8), x, labels, protocol=protocol, rng=3)
    np.testing.assert_allclose(here.losses, there.losses, rtol=1e-12)
    loaded = pyham.load(tmp_path / "here")
    assert loaded.net.arch == there.net.arch == net.arch
    for key, value in here.net.params.items():
        np.testing.assert_allclose(value, there.net.params[key], rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(value, loaded.net.params[key])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graph": "path", "nodes": 4}, r"pattern: expected entries whose messages have edges, got layer 0: R\[0, 3\]"),
        (
            {"graph": "full", "nodes": 4, "pattern": np.ones((4, 4))},
            r"pattern: .* edges that K has, .* \[0, 2\]",
        ),
        ({"graph": "full", "nodes": 4, "blocks": distributed.Blocks(np.arange(8) % 4, 4)}, None),
        (
            {"graph": "full", "nodes": 4, "blocks": distributed.Blocks(np.arange(8) // 2, 4)},
            "blocks: expected those of",
        ),
        ({"graph": "full", "nodes": 2}, "blocks: expected owners of 8 entries among 2 nodes, got 8 among 4"),
    ],
)
def test_distribute__raises_on_what_is_not_the_networks(options, message):
    net = ring("H1", 4).init(0)
    if message is None:
        assert distributed.distribute(net, **options).layout.nodes == 4
    else:
        with pytest.raises(ValueError, match=message):
            distributed.distribute(net, **options)


@pytest.mark.parametrize(("kind", "reach"), [("H1", 2), ("H2", 4), ("MS3", 4), ("ResNet", 1), ("MLP", 1)])
def test_nodes_out_of_reach_keep_their_bits_in_both_passes(kind, reach, rng):
    """A layer carries y over one edge for each of K and K^T: H1 over two, H2 and MS3, in two stages, over four."""
    net = ring(kind, nodes=24, depth=2).init(rng)
    owner, distance = net.arch.ownership.owner, net.arch.neighbours.distance()[0]
    x, g = rng.standard_normal((2, 3, 48))
    moved = 10.0 * (owner == 0)
    far, at_reach = distance[owner] > 2 * reach, distance[owner] == 2 * reach
    forward, other = net(x), net(x + moved)
    back, other_back = (net.gradient(x, value).input for value in (g, g + moved))
    for here, there in ((forward, other), (back, other_back)):
        np.testing.assert_array_equal(here[:, far], there[:, far])
        assert (here[:, at_reach] != there[:, at_reach]).any()


LARGE = """
    import resource, sys, time
    import networkx as nx, numpy as np, scipy.sparse, pyham

    nodes = int(sys.argv[1])
    regular = nx.random_regular_graph(3, nodes, seed=0)
    x = np.random.default_rng(1).standard_normal((10, 2 * nodes))
    for kind, graph in (("H2", "ring"), ("H1", "star"), ("MLP", "grid"), ("MS3", regular)):
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        net = pyham.architecture(kind, width=2 * nodes, depth=2, step=0.1, graph=graph, nodes=nodes).init(0)
        out = net.gradient(x, x)
        adjoint = net.adjoint(net.trace(x), x)
        assert (adjoint.input == out.input).all() and np.isfinite(out.output).all()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time() - began)
"""


@pytest.mark.seldom
def test_twenty_thousand_nodes_in_memory_for_their_edges():
    """K as matrices would take 25 GB; a star has a node that hears all others."""
    command = [sys.executable, "-c", textwrap.dedent(LARGE), "20000"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        kilobytes, seconds = map(float, line.split())
        assert kilobytes < 700_000  # of which 50 000 are Python and its packages
        assert seconds < 10  # half a second on a machine that does nothing else

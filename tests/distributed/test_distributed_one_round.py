"""One round a pass: equal to the dense engine where the condition holds, and refused by name where it does not."""

import numpy as np
import pytest

import pyham
from pyham import distributed
from pyham.data import plane as datasets
from pyham.distributed import Blocks, DistributedNetwork, Layout, distribute
from pyham.distributed.training import train
from pyham.distributed.weights import restrict
from pyham.training.protocol import Protocol
from tests.distributed.test_distributed import against_dense, tolerance

PAIRS = np.kron(np.eye(4), np.ones((2, 2)))
TURNED = np.roll(PAIRS, 1, axis=(0, 1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["H1", "H2", "MS3"])
@pytest.mark.parametrize("pattern", [PAIRS, [PAIRS, TURNED, PAIRS], np.eye(8), "full"], ids=str)
def test_equals_the_dense_engine_with_one_round_a_layer(pattern, name, dtype, rng):
    graph, R = ("full", None) if isinstance(pattern, str) else ("ring", np.array(pattern))
    arch = pyham.architecture(name, width=16, depth=3, step=0.3)
    net = distribute(arch.init(rng, dtype=dtype), graph, nodes=8, pattern=R, restrict=True, one_round=True)
    x, g = rng.standard_normal((2, 5, 16)).astype(dtype)
    assert max(against_dense(net, x, g).values()) <= tolerance(net)
    kinds = net.traffic.kinds
    assert set(kinds) <= {"weights", "y", "A^T g", "gradients"}
    assert not net.traffic.messages[~net.layout.graphs[-1].adjacency].any()
    fresh = distribute(net.gather(), graph, nodes=8, pattern=R, one_round=True)
    fresh.adjoint(fresh.trace(x), g)
    stages = len(arch.steps) * arch.depth
    expected = 0 if np.array_equal(pattern, np.eye(8)) else 2 * stages + 2
    assert fresh.traffic.rounds == expected


@pytest.mark.parametrize("name", ["H1", "H2"])
def test_uneven_blocks_and_J_across_nodes(name, rng):
    blocks = Blocks.of_sizes([1, 0, 3, 2], [0, 2, 1, 3])
    arch = pyham.architecture(name, width=12, depth=2, step=0.3)
    net = distribute(
        arch.init(rng), "full", nodes=4, blocks=blocks, pattern=distributed.path(4).adjacency, restrict=True,
        one_round=True,
    )  # fmt: skip
    x, g = rng.standard_normal((2, 5, 12))
    assert max(against_dense(net, x, g).values()) <= tolerance(net)


def test_copies_follow_the_weights(rng):
    """What neighbours hold is sent anew before each forward pass."""
    net = distribute(pyham.H1(16, 2, 0.3).init(rng), "ring", nodes=8, pattern=PAIRS, restrict=True, one_round=True)
    x = rng.standard_normal((3, 16))
    net.theta *= 0.5
    np.testing.assert_allclose(net(x), net.gather()(x), rtol=1e-12)


def test_ring_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"one_round: .* layer 0: F R\^T R\[0, 2\] needs a message 2 -> 0 for the forward"
    ):
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
        np.testing.assert_array_equal(net.traffic.messages > 0, distributed.ring(8).adjacency & ~np.eye(8, dtype=bool))
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)  # rounding, after eight steps of Adam
    with pytest.raises(ValueError, match="the distribution of this one"):
        train(net, x, labels, protocol=protocol, rng=0, checkpoint=tmp_path / "False", resume=True)

"""The transport over MPI with ranks that are threads of this process: bits, counts, and every way to fail."""

import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import pyham
from pyham.data import plane as datasets
from pyham.distributed import Blocks, DistributedNetwork, Layout, Mailbox, TransportError, mpi, path, ring
from pyham.distributed.mpi import MPITransport, guarded
from pyham.distributed.training import train
from pyham.distributed.transport import Hop, Place
from pyham.distributed.weights import restrict
from pyham.training.protocol import Protocol
from tests.distributed.threads import Communicator, on_ranks

pytest.importorskip("mpi4py")
UNEVEN = Blocks.of_sizes([1, 0, 3, 2, 1], [0, 2, 1, 3, 1])
PLACE = Place("backward pass", 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("graph", "options", "ranks"),
    [("path", {}, 3), ("full", {"blocks": UNEVEN, "pattern": path(5).adjacency}, 3), ("ring", {}, 5)],
)
def test_ranks_compute_the_bits_of_one_process_and_send_what_it_sends(graph, options, ranks, dtype, rng):
    layout = Layout(pyham.H1(14, 3, 0.3), graph, nodes=5, **options)
    params = restrict(layout, layout.arch.init(rng, dtype=dtype).params)
    x, labels = datasets.swiss_roll(40, width=14, channels=(0, 8), rng=0)
    protocol = Protocol(epochs=1, output_epochs=1, batch=20, alpha=0.1)

    def work(transport):
        net = DistributedNetwork(layout, params, transport)
        adjoint, _ = net.adjoint(net.trace(x), x), net(x[:1])
        classifier = train(net, x, labels, reads=(1, 3), protocol=protocol, rng=0)
        sent, trained = net.traffic, classifier.net.params
        bits = [adjoint.delta, *adjoint.params.values(), classifier.w, *trained.values()]
        if isinstance(transport, MPITransport):
            transport.finish()
            assert transport.doing == "finishing" and transport.comm.calls["barrier"] == 1
        counts = [sent.messages.tolist(), sent.bytes.tolist(), sent.kinds, classifier.history.loss.tolist()]
        return [array.tobytes() for array in bits], counts

    found = on_ranks(ranks, lambda comm: work(MPITransport(layout.graphs, 20.0, comm)))
    assert found == [work(Mailbox(layout.graphs))] * ranks


def exchange(change, timeout=5.0, first=lambda transport: None):
    """What becomes of two ranks that exchange a message, of which the second sends what ``change`` makes of it."""

    def work(comm):
        transport = MPITransport([path(2)] * 3, timeout, comm)
        first(transport)
        assert comm.handler == transport.mpi.ERRORS_RETURN
        packed = transport._packed
        if transport.rank == 1:
            transport._packed = lambda *given: change(packed, *given)
        hops = Hop(0, 1, 2), Hop(1, 0, 2)
        outbox = {(transport.rank, 1 - transport.rank): np.full((2, 3), transport.rank + 0.5)}
        return transport.exchange("K^T g", hops, PLACE, 3, outbox), transport.doing

    return on_ranks(2, work)


def test_messages_arrive_as_they_were_sent():
    (zero, doing), (one, _) = exchange(lambda packed, *given: packed(*given))
    np.testing.assert_array_equal(zero[1, 0], np.full((2, 3), 1.5))
    np.testing.assert_array_equal(one[0, 1], np.full((2, 3), 0.5))
    assert doing == "backward pass, layer 1, K^T g"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda packed, place, hop, m: packed(place._replace(layer=2), hop, m), r"got \(2, 1, 0, 48\)"),
        (lambda packed, place, hop, m: packed(place, hop, m[:1]), r"bytes\) \(1, 1, 0, 48\), got \(1, 1, 0, 24\)"),
        (lambda packed, place, hop, m: packed(place, hop, np.tile(m, 2)), r"messages from nodes \[1\], got .+"),
    ],
)
def test_exchange__raises_on_another_message(change, message):
    with pytest.raises(TransportError, match=rf"backward pass, layer 1, K\^T g.*{message}"):
        raise exchange(change)[0]


def test_exchange__raises_when_others_are_late():
    def gone(transport):
        if transport.rank == 1:
            raise RuntimeError

    late = r"backward pass, layer 1, K\^T g: expected messages from nodes \[1\] within 0.1 s, got not all of them"
    with pytest.raises(TransportError, match=late):
        raise exchange(None, 0.1, gone)[0]
    with pytest.raises(TransportError, match=r"gathering: expected messages from nodes of all ranks within 0.1 s"):
        MPITransport([path(2)], 0.1, Communicator({}, 2, 0)).gather(np.ones(1), [1, 1])


def test_ranks_are_joined_with_those_that_have_neighbours_of_their_nodes():
    joined = on_ranks(3, lambda comm: (MPITransport([path(6)], comm=comm).sources, comm.targets))
    assert joined == [([1], [1]), ([0, 2], [0, 2]), ([1], [1])]


def test_finish_waits_for_as_long_as_it_takes():
    def work(comm):
        transport = MPITransport([path(2)], 0.02, comm)
        time.sleep(0.2 * comm.rank)
        transport.finish()

    assert on_ranks(2, work) == [None, None]


def test_transport__raises_where_it_cannot_be(monkeypatch):
    for error in on_ranks(3, lambda comm: MPITransport([ring(2)], comm=comm)):
        assert str(error) == "ranks: expected at most one for each of 2 nodes, got 3"
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'transport: expected mpi4py, pip install "pyham\[mpi\]", got'):
        MPITransport([ring(2)])


@pytest.mark.parametrize("number", mpi.SIGNALS)
def test_guard_says_where_a_rank_was_and_ends_it(number, monkeypatch):
    ended, written, before = [], [], signal.getsignal(number)

    def leave(code):
        ended.append((code, signal.getsignal(number)))
        raise SystemExit

    fake = SimpleNamespace(write=lambda *words: written.append(words), _exit=leave)
    monkeypatch.setattr(mpi, "os", fake)
    monkeypatch.setattr(mpi.sys, "stdout", SimpleNamespace(flush=lambda: written.append("flushed")))
    with pytest.raises(SystemExit), guarded(MPITransport([ring(4)], comm=Communicator({}, 2, 1))):
        signal.raise_signal(number)
    words = f"rank 1, nodes 2, 3: TransportError: setting up: ended by {number.name}: another rank has failed\n"
    assert written == [(2, words.encode()), "flushed"] and ended == [(1, signal.SIG_IGN)]
    assert signal.getsignal(number) is before

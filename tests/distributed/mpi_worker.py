"""What the ranks of a test over MPI run.

By hand: ``mpiexec -n 4 python -m tests.distributed.mpi_worker equal 2 100``, with nodes per rank and steps or seconds.

equal : a network over MPI against the dense engine and against the same network in one process; prints the largest
    differences, and exits with 1 if one is above 1e-12. Over MPI and in one process, all bits must be the same. The
    training is that of ``RECOMMENDED`` at the mean of its rates: at several times that, some trainings are chaotic and
    amplify rounding errors, as the difference between the two backends of the dense engine would show.
long, short, hang : the last rank sends a message of another size, or none, in the backward pass of layer 1; every rank
    must end with an error.
"""

import sys
import time

import numpy as np

import pyham
from pyham.data import plane as datasets
from pyham.distributed import DistributedNetwork, Layout
from pyham.distributed.model import DistributedModel
from pyham.distributed.mpi import MPITransport, guarded
from pyham.distributed.readout import Readout
from pyham.distributed.weights import restrict
from pyham.training.classifier import Classifier
from pyham.training.model import PredictorModel
from pyham.training.optimizers import Descent
from pyham.training.protocol import RECOMMENDED

LIMIT = 1e-12
RATE = RECOMMENDED.rate / 2  # the mean of its cosine schedule


def relative(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


CASES = (("H1", ["ring"] * 4, False), ("H2", ["ring"] * 4, False), ("H1", ["pairs", "other-pairs"] * 2, True))


def compare(name, graphs, one_round, nodes, steps):
    """Largest relative differences from the dense engine, and whether all bits are those of one process."""
    rng = np.random.default_rng(0)
    width = 2 * nodes
    arch = pyham.architecture(name, width=width, depth=4, step=0.5)
    layout = Layout(arch, graphs, nodes=nodes)
    params = restrict(layout, arch.init(1).params)
    transport = MPITransport(layout.graphs)
    with guarded(transport):
        nets = [DistributedNetwork(layout, params, way, one_round=one_round) for way in (transport, None)]
        whole = pyham.Network(arch, params)
        x, g = rng.standard_normal((2, 10, width))
        results = []
        for net in nets:
            passed = net.trace(x)
            adjoint = net.adjoint(passed, g)
            gradients = np.concatenate([value.ravel() for value in adjoint.params.values()])
            results.append([passed.states, adjoint.delta, gradients, net.sensitivity(x), trained(net, steps)])
        dense = whole.adjoint(whole.trace(x), g)
        masked = restrict(layout, dense.params)
        expected = [
            whole.trace(x).states, dense.delta, np.concatenate([masked[key].ravel() for key in adjoint.params]),
            whole.sensitivity(x), trained(whole, steps, layout),
        ]  # fmt: skip
        backends = relative(trained(whole, steps, layout, "reference"), expected[-1])
        names = ("states", "adjoints", "gradients", "sensitivities", f"{steps} training steps")
        found = dict(zip(names, map(relative, results[0], expected), strict=True))
        same = all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
        sent = nets[0].traffic.messages
        same &= np.array_equal(sent, nets[1].traffic.messages)
        same &= not sent[~layout.graphs[-1].adjacency].any()
        return transport, found, backends, same


def trained(net, steps, layout=None, backend="numba"):
    """Parameters after so many steps from one output layer; in one place, ``layout`` masks the gradient."""
    x, labels = datasets.swiss_roll(1250, width=net.arch.width, channels=(0, 3 * net.arch.width // 4), rng=0)
    layer = np.random.default_rng(1).uniform(-1, 1, (1, net.arch.width + 1))
    if layout is None:
        model = DistributedModel(net, Readout(net.layout, None, None, 1, "logistic"), RECOMMENDED)
        model.take(dict(net.gather().params), layer)
        mask = 1
    else:
        model = PredictorModel(Classifier.untrained(net, 2, "logistic"), RECOMMENDED, backend)
        model.layer[:] = layer
        ones = restrict(layout, {key: np.ones_like(value) for key, value in net.params.items()})
        mask = np.concatenate([ones[key].ravel() for key in net.arch.shapes] + [np.ones(layer.size)])
    descent = Descent(RECOMMENDED.optimizer, model.trained("joint"), model.steps)
    for k in range(steps):
        rows = slice(125 * (k % 10), 125 * (k % 10) + 125)
        _, _, gradient = model.gradient("joint", x[rows], labels[rows])
        descent.step(gradient * mask, RATE)
    return np.concatenate([value.ravel() for value in model.describe()[1].values()])


def fail(how, nodes, timeout):
    """Forward and backward passes until the last rank does what it must not."""
    layout = Layout(pyham.H1(2 * nodes, 2, 0.5), "ring", nodes=nodes)
    transport = MPITransport(layout.graphs)
    with guarded(transport):
        net = DistributedNetwork(layout, restrict(layout, layout.arch.init(1).params), transport)
        x = np.ones((3, 2 * nodes))
        net.adjoint(net.trace(x), x)
        transport.finish()  # no rank is still loading code: what is late from here on is the message that is missing
        transport.timeout = timeout
        packed, last = transport._packed, transport.rank == transport.comm.size - 1

        def broken(place, hop, message):
            if last and place == ("backward pass", 1):
                if how == "hang":
                    time.sleep(100)
                message = np.concatenate([message, message]) if how == "long" else message[:-1]
            return packed(place, hop, message)

        transport._packed = broken
        net.adjoint(net.trace(x), x)
    print("nobody noticed")


def main(what, nodes_per_rank, number):
    from mpi4py import MPI

    nodes = int(nodes_per_rank) * MPI.COMM_WORLD.size
    if what != "equal":
        return fail(what, nodes, float(number))
    good = True
    for name, graphs, one_round in CASES:
        transport, found, backends, same = compare(name, graphs, one_round, nodes, int(number))
        good &= same and max(found.values()) <= LIMIT
        if transport.rank == 0:
            words = ", ".join(f"{key} {value:.1e}" for key, value in found.items())
            how = f"{name}{', one round' * one_round}"
            print(f"{how}, {nodes} nodes on {transport.comm.size} ranks: {words} (dense backends {backends:.1e}); "
                  f"bits and messages {'the same as' if same else 'NOT those'} in one process")  # fmt: skip
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""V15. A network whose K and J have the graph's block pattern runs on its nodes, with messages along edges only.

Statement: nodes own blocks of y and the rows of K, b and J that go with them. Let R, F be the block patterns of K, J,
and G the graph's adjacency. Node i's block of J K^T sigma(K y + b) depends on node k's block of y exactly where (F R^T
R)[i, k] is set, the adjoint the other way round; so one round of messages a pass suffices if and only if F R^T R and
its transpose lie in G. A round for each of K y, K^T sigma and J needs R, F and their transposes in G only. The nodes
then compute what the engine computes in one place, and perturbing a node that is out of reach changes no bit of the
others, forwards or backwards. Source: Galimberti et al., IEEE TAC 2023, theorem on distributed H-DNNs; the rounds by
direct computation. Oracle: the compiled engine on the gathered network; the transport's own count of what it
delivered; the entries of a layer's sensitivities. Number: ||distributed - dense|| / ||dense||, largest entries, the
worst of states, adjoints, gradients and sensitivities; messages between nodes without an edge; entries with other
bits; block entries that the theorem predicts and the sensitivities lack, or the reverse; the normalised defect of V2.

Tolerance: the same sums run in another order, with up to n terms in every stage, whose errors later stages amplify
little, as T = 1/2: c n eps (stages), c = 8. Counts are 0. For the defect c eps (stages), c = 4, as in V2. Control: one
entry of K outside the pattern, which the nodes do not know and the dense network has; a full K, whose messages leave
the ring; the same entry, across which a perturbation arrives; the prediction R^T R, without F; forward Euler.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.architectures.graphs import graph
from pyham.architectures.patterns import one_round
from pyham.distributed import Blocks, DistributedNetwork, Graph, Layout, distribute
from pyham.distributed.weights import restrict
from pyham.verification import neighbours
from validation.claim import Array, Lab, Result, worst
from validation.look import BLUE, panels
from validation.v02_symplectic import rho_of

STATEMENT = "K and J in the graph's block pattern: nodes compute all passes with messages along edges only"

NODES = 8
GRAPHS = ("ring", "path", "grid", "star")
OUTSIDE = "one entry of K outside the pattern"


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V15")
    for name in ("H1", "H2"):
        for dtype in (np.float64, np.float32):
            found = []
            for shape in GRAPHS:
                for depth in (4,) if lab.quick else (4, 16):
                    net, x, g = draw(name, shape, depth, rng, dtype)
                    found.append((difference(net, net.gather(), x, g), tolerance(net), f"{shape}, {depth} layers"))
            measured, limit, case = worst(found)
            net, x, g = draw(name, "ring", 4, rng, dtype)
            control = difference(net, bridged(net), x, g)
            yield Result(f"{name}, {dtype.__name__}", measured, limit, control, OUTSIDE, f"the worst: {case}")
    yield messages(rng)
    yield bits(rng)
    yield theorem(rng, 20 if lab.quick else 100)
    net, x, _ = draw("H2", "ring", 16, rng, np.float64)
    phi = net.sensitivity(x)
    whole = net.gather()
    limit = 4 * float(np.finfo(float).eps) * len(whole.stages().A)
    euler = neighbours.forward_euler(whole).sensitivity(x)
    yield Result("H2, symplectic", rho_of(phi, whole), limit, rho_of(euler, whole), "forward Euler, same weights")


def draw(
    name: str, shape: str, depth: int, rng: np.random.Generator, dtype: type
) -> tuple[DistributedNetwork, Array, Array]:
    """A random network of two states a node on a graph, samples and a gradient."""
    arch = pyham.architecture(name, width=2 * NODES, depth=depth, step=0.5 / depth)
    net = distribute(arch.init(rng, dtype=dtype), shape, nodes=NODES, restrict=True)
    x, g = rng.standard_normal((2, 5, arch.width)).astype(dtype)
    return net, x, g


def tolerance(net: DistributedNetwork) -> float:
    return 8 * net.arch.width * len(net.gather().stages().A) * float(np.finfo(net.dtype).eps)


def difference(net: DistributedNetwork, whole: pyham.Network, x: Array, g: Array) -> float:
    """The largest relative difference in what both passes compute."""
    passed, trace = net.trace(x), whole.trace(x)
    adjoint, dense = net.adjoint(passed, g), whole.adjoint(trace, g)
    masked = restrict(net.layout, dense.params)
    pairs = [(passed.states, trace.states), (adjoint.delta, dense.delta)]
    pairs += [(adjoint.params[name], masked[name]) for name in masked]
    pairs.append((net.sensitivity(x), whole.sensitivity(x)))
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def bridged(net: DistributedNetwork) -> pyham.Network:
    """The gathered network with one more entry of K, between nodes that are far from each other."""
    whole = net.gather()
    far = np.unravel_index(int(net.layout.graphs[-1].distance().argmax()), (NODES, NODES))
    row, column = (int(net.layout.own[int(i)][0]) for i in far)
    name = "K" if "K" in whole.params else "Kp"
    K = whole.params[name].copy()
    K[-1, row, column] = 1
    return whole.replace({name: K})


def astray(net: DistributedNetwork, x: Array, adjacency: Array) -> int:
    """Messages of both passes between nodes that ``adjacency`` does not join."""
    net.adjoint(net.trace(x), x)
    return int(net.traffic.messages[~adjacency].sum())


def messages(rng: np.random.Generator) -> Result:
    """What has been sent off the edges, on all graphs."""
    ring = graph("ring", NODES).adjacency
    count, sent = 0, 0
    for shape in GRAPHS:
        net, x, _ = draw("H1", shape, 4, rng, np.float64)
        count += astray(net, x, graph(shape, NODES).adjacency)
        sent += int(net.traffic.messages.sum())
    net, x, _ = draw("H1", "full", 4, rng, np.float64)
    return Result("messages off edges", count, 0, astray(net, x, ring), "full K, off the ring's edges", f"{sent} sent")


def bits(rng: np.random.Generator) -> Result:
    """Entries with other bits, at nodes out of reach of the one that is perturbed, in both passes."""
    net, x, g = draw("H1", "path", 1, rng, np.float64)
    far = net.layout.graphs[-1].distance()[net.layout.blocks.owner, 0] > 2 * net.arch.depth
    other = DistributedNetwork(Layout(net.arch, "full", nodes=NODES), bridged(net).params)
    note = f"{far.sum()} of {len(far)} entries out of reach of node 0"
    return Result("bits out of reach", changed(net, x, g, far), 0, changed(other, x, g, far), OUTSIDE, note)


def changed(net: DistributedNetwork, x: Array, g: Array, far: Array) -> int:
    """How many of the entries ``far`` of states and adjoints change when node 0's do."""
    own = net.layout.own[0]
    x2, g2 = x.copy(), g.copy()
    x2[:, own] += 1
    g2[:, own] += 1
    states = net.trace(x).states != net.trace(x2).states
    deltas = net.adjoint(net.trace(x), g).delta != net.adjoint(net.trace(x), g2).delta
    return int(states[..., far].sum() + deltas[..., far].sum())


def theorem(rng: np.random.Generator, count: int) -> Result:
    """Random patterns: block entries in which prediction and sensitivities of one layer differ."""
    wrong = without = 0
    for _ in range(count):
        R, F, phi = layer(rng, 5)
        nobody = Graph(np.zeros((5, 5)))  # without edges, everything that is needed is missing
        predicted = {(m.row, m.column) for m in one_round(nobody, R, F) if m.purpose == "the forward pass"}
        seen = {(i, k) for i, k in np.argwhere(phi).tolist() if i != k}
        weaker = {(i, k) for i, k in np.argwhere(R.T.astype(int) @ R).tolist() if i != k}
        wrong += len(predicted ^ seen)
        without += len(weaker ^ seen)
    return Result("F R^T R, entries", wrong, 0, without, "R^T R, without F", f"{count} random patterns of 5 nodes")


def layer(rng: np.random.Generator, nodes: int) -> tuple[Array, Array, Array]:
    """Random R and F, and the block pattern of dy_1/dy_0 - 1 of an H1 layer with random weights in them."""
    blocks = Blocks.even(4 * nodes, nodes)
    R, F = rng.random((2, nodes, nodes)) < 0.35
    F |= F.T
    J = rng.standard_normal((4 * nodes, 4 * nodes)) * blocks.mask(F)
    K = rng.standard_normal((1, 4 * nodes, 4 * nodes)) * blocks.mask(R)
    net = pyham.H1(4 * nodes, 1, 1.0, interconnection=J - J.T).init(rng, initialization={"K": K})
    jacobian = net.sensitivity(rng.standard_normal((1, 4 * nodes)))[0, 0].T - np.eye(4 * nodes)
    # sums of a few products of normal numbers are 0 or far from it
    return R, blocks.pattern(J - J.T), blocks.pattern(np.abs(jacobian) > 1e-12)


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    """What travels on each edge, and how far a perturbation gets."""
    net, x, _ = draw("H1", "ring", 4, lab.rng("V15"), np.float64)
    net.adjoint(net.trace(x), x)
    figure, axes = panels(2)
    sent = np.where(net.traffic.messages, net.traffic.messages, np.nan)
    image = axes[0].imshow(sent, cmap="Blues", vmin=0)
    axes[0].set(title="messages of both passes", xlabel="from node", ylabel="to node")
    figure.colorbar(image, ax=axes[0])
    path, y, _ = draw("H1", "path", 3, lab.rng("V15"), np.float64)
    other = y.copy()
    other[:, path.layout.own[0]] += 1
    difference = np.abs(path.trace(y).states - path.trace(other).states).max(axis=1)
    by_node = np.array([difference[:, own].max(axis=1) for own in path.layout.own])
    for j in range(1, len(difference)):
        axes[1].semilogy(np.where(by_node[:, j], by_node[:, j], np.nan), "o-", color=BLUE, alpha=j / 3, label=f"y_{j}")
    axes[1].set(title="a change at node 0 of a path", xlabel="node", ylabel="largest difference")
    axes[1].legend()
    yield (
        "An H1 network on a ring of 8 nodes: messages travel between neighbours and nowhere else. On a path, a change "
        "moves two nodes a layer; beyond, not a bit is different (no dot).",
        figure,
    )

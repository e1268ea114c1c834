"""Random networks of every kind, for ``tests.verification.certify_random``."""

import numpy as np

import pyham
from pyham.architectures.images import ConvH2, Pixelwise
from tests.oracles.strategies import ACTIVATIONS, NAMES, ORDERS, SCHEMES, SPLIT, skew, well_conditioned

GRAPHS = ("ring", "path", "grid", "star", "full")
COST = 2e7  # samples x (layers + 1) x width^3: larger networks are drawn again, but for one in 50: ten times as much


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def vectors(rng, width, depth, step):
    """Any architecture of that size."""
    name = str(rng.choice(NAMES))
    options = {"activation": str(rng.choice(ACTIVATIONS))}
    if name in SPLIT:
        width += width % 2
        options |= {"scheme": str(rng.choice(SCHEMES)), "order": str(rng.choice(ORDERS))}
    on_graph = width >= 8 and name not in ("MS1", "MS2") and rng.random() < 0.2
    if name == "H1":
        width += width % 2
        options["interconnection"] = "J1"
        if not on_graph and rng.random() < 0.6:
            options["interconnection"] = "J2" if rng.random() < 0.5 else skew(width, int(rng.integers(1 << 30)))
    if on_graph:
        width = max(8, width // 4 * 4)
        options |= {"graph": str(rng.choice(GRAPHS)), "nodes": int(rng.choice((2, 4)))}
    elif name == "H2" and rng.random() < 0.6:
        X = well_conditioned(width // 2, int(rng.integers(1 << 30)))
        options["X"] = X @ np.diag(np.logspace(0, -rng.uniform(0, 6), width // 2))
    if width == 1 and name == "MS2":
        width = 2
    if rng.random() < 0.4:
        options |= fading(rng, name, depth, step, on_graph)
    return pyham.architecture(name, width=width, depth=depth, step=step, **options)


def fading(rng, name, depth, step, on_graph):
    """Damping of all kinds, and dissipation, so strong that a layer multiplies by exp(-5) to exp(5)."""

    def rates(*shape):
        return rng.choice((-1, 1)) * log_uniform(rng, 1e-3, 5 / max(step, 0.05)) * rng.uniform(0, 1, shape)

    if name == "H1":
        R = [None, 0.5 if on_graph else "learnt", float(rng.uniform(0, 1))][int(rng.integers(3))]
        return {"damping": float(rates(1)[0]), "dissipation": R}
    if name not in SPLIT:
        return {}
    kind = int(rng.integers(4))
    return {"damping": ("learnt", float(rates(1)[0]), tuple(rates(2).tolist()), rates(depth, 2))[kind]}


def case(seed, cost=COST, deepest=300):
    """A random network and samples."""
    rng = np.random.default_rng(seed)
    limit = cost * (10 if rng.random() < 0.02 else 1)
    dtypes = [np.dtype(str(rng.choice(("f4", "f8")))) for _ in range(2)]
    while True:
        width, depth = int(log_uniform(rng, 1, 97)), int(log_uniform(rng, 1, deepest + 2)) - 1
        batch, step = int(log_uniform(rng, 1, 501)), log_uniform(rng, 1e-8, 2)
        kind = rng.random()
        if kind < 0.08:
            depths = tuple(int(d) for d in rng.integers(1, 4, int(rng.integers(1, 3))))
            activation = str(rng.choice(ACTIVATIONS))
            rows, columns = (int(v) for v in 2 * rng.integers(1, 5, 2))
            arch = ConvH2(rows, columns, width=2 * int(rng.integers(1, 3)), depths=depths, step=step,
                          size=int(rng.choice((1, 3))), activation=activation)  # fmt: skip
            batch, cost = min(batch, 8), arch.depth * np.prod(arch.shape) ** 3
        elif kind < 0.12:
            inner = vectors(rng, min(width, 12), min(depth, 30), step)
            if inner.learnt:
                continue
            arch = Pixelwise(rows=2, columns=3, network=inner)
            batch, cost = min(batch, 20), 0
        else:
            arch = vectors(rng, width, depth, step)
            cost = batch * (depth + 1) * arch.width**3
        if cost <= limit:
            break
    net = arch.init(rng, initialization=str(rng.choice(("normal", "scaled-normal"))), dtype=dtypes[0])
    if arch.name == "MS1" and arch.depth and rng.random() < 0.7:
        m = arch.width // 2
        A = well_conditioned(m, int(rng.integers(1 << 30))) @ np.diag(np.logspace(0, -rng.uniform(0, 4), m))
        net = net.replace({"A": np.broadcast_to(A.astype(dtypes[0]), arch.shapes["A"])})
    x = rng.choice((0, 1e-3, 1, 3)) * rng.standard_normal((batch, *arch.shape))
    return rng, net, x.astype(dtypes[1])

"""Networks on graphs on compiled kernels: equal to the reference engine on any graph, and the same for any threads."""

from collections import deque
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyham
from pyham.architectures.edges import Edges
from pyham.architectures.schemes import SPLITTINGS
from pyham.engines.compiled import edges, threads
from pyham.engines.compiled.engine import COMPILED
from pyham.engines.compiled.threads import set_num_threads
from pyham.engines.reference import REFERENCE
from tests.oracles.passes import assert_same_bits, everything
from tests.oracles.rounding import eps, relative


@st.composite
def networks(draw):
    """A network on a random graph with blocks of random sizes, its dtype, and how many samples."""
    kind = draw(st.sampled_from(["H1", "H2", "MS3", "ResNet", "MLP"]))
    M, rng = draw(st.integers(1, 6)), np.random.default_rng(draw(st.integers(0, 10**6)))
    adjacency = rng.random((M, M)) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    unit = 1 if kind in ("ResNet", "MLP") else 2
    sizes = draw(st.lists(st.integers(0, 4).map(lambda size: unit * size), min_size=M, max_size=M).filter(any))
    options = {"activation": draw(st.sampled_from(["tanh", "relu", "softplus", "logistic"]))}
    depth = draw(st.integers(0, 3))
    if kind in ("H2", "MS3"):
        options["scheme"] = draw(st.sampled_from(sorted(SPLITTINGS)))
        options["order"] = draw(st.sampled_from(["p-first", "q-first"]))
        rates = st.sampled_from([0.0, 0.3, (0.3, -0.2), np.linspace(-0.2, 0.5, 2 * depth).reshape(depth, 2)])
        options["damping"] = draw(rates)
    elif kind == "H1":
        options["damping"] = draw(st.sampled_from([0.0, 0.3]))
        options["dissipation"] = draw(st.sampled_from([None, 0.2]))
    arch = pyham.architecture(
        kind, width=sum(sizes), depth=depth, step=0.1, graph=adjacency | adjacency.T, nodes=M, blocks=sizes, **options
    )
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    return arch.init(rng, initialization="scaled-normal", dtype=dtype), draw(st.integers(0, 40)), rng


@given(networks())
def test_compiled_engine_equals_reference_on_any_graph(drawn):
    net, batch, rng = drawn
    assert isinstance(COMPILED.of(net.stages()), edges.CompiledEdges)
    x, g = rng.standard_normal((2, batch, net.arch.width)).astype(net.dtype)
    fast, plain = (everything(net, x, g, backend) for backend in ("numba", "reference"))
    # At most 21 stages, each with sums of at most n terms and an elementary function good to a few ulp; a sum over B
    # samples adds sqrt(B) eps. What "reversible" rebuilds may drift by eps^(2/3).
    allowed = (50 + net.arch.width + np.sqrt(batch)) * eps(net.dtype)
    for name, oracle in plain.items():
        assert (fast[name].shape, fast[name].dtype) == (oracle.shape, oracle.dtype), name
        if "drift" not in name:
            tolerance = eps(net.dtype) ** (2 / 3) if name.startswith("reversible") else allowed
            assert relative(fast[name], oracle) <= tolerance, name


@pytest.mark.parametrize("graph", ["ring", "star"])
def test_more_rows_than_a_cache_holds(graph, rng):
    """Rows of other nodes are fetched ahead; the centre of the star has more entries than are fetched at a time."""
    net = pyham.H2(4400, 2, 0.1, graph=graph, nodes=2200).init(rng, initialization="scaled-normal")
    x, g = rng.standard_normal((2, 33, 4400))
    found, right = (net.gradient(x, g, backend=backend) for backend in ("numba", "reference"))
    for name, value in {"output": found.output, "input": found.input, **found.params}.items():
        oracle = getattr(right, name) if name in ("output", "input") else right.params[name]
        assert relative(value, oracle) <= 2200 * eps(float), name


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_are_bitwise_independent_of_the_number_of_threads_and_of_the_order_of_the_blocks(
    dtype, small_blocks, monkeypatch, rng
):
    monkeypatch.setattr(threads, "_threads", 0)
    net = pyham.H2(24, 3, 0.2, graph="star", nodes=8, blocks=[4, 2, 6, 0, 2, 2, 4, 4]).init(rng, dtype=dtype)
    x, g = rng.standard_normal((2, 700, 24)).astype(dtype)
    assert COMPILED.of(net.stages()).blocks(net.stages(dtype), len(x)).count > 3
    set_num_threads(1)
    alone = everything(net, x, g)
    for count, order in ((2, list), (3, lambda blocks: list(blocks)[::-1]), (8, rng.permutation)):
        set_num_threads(count)
        monkeypatch.setattr(threads, "deque", lambda blocks, f=order: deque([tuple(b) for b in f(list(blocks))]))
        assert_same_bits(everything(net, x, g), alone)


@pytest.mark.parametrize(("nodes", "depth"), [(10_000, 4), (100_000, 4), (10_000, 640)])
def test_sums_and_scratch_memory_are_bounded_by_a_few_batches_of_states(nodes, depth):
    """And tiles are as long as a wide block of the products, unless that would take too much."""
    net = pyham.MLP(nodes, depth, graph="ring", nodes=nodes)
    kinds = net.maps
    zero = np.zeros(())
    A, W = (np.broadcast_to(zero, (depth, len(kind))) for kind in kinds)
    stages = net._stages_of(A, np.broadcast_to(zero, (depth, nodes)), W)
    cut = COMPILED.of(stages).blocks(stages, 125)
    sums, tape = 8 * depth * (len(kinds[0]) + len(kinds[1]) + nodes), 8 * cut.tile * (2 * depth + 4) * nodes
    room = max(edges.ROOM, edges.BATCHES * 8 * 125 * nodes)
    assert cut.count * (sums + tape) <= room if depth == 4 else (cut.count, cut.tile) == (1, 8)  # the least there is
    assert depth > 4 or cut.tile == 32


def test_other_kinds_of_maps_and_activations_of_ones_own_run_on_the_reference():
    class Pattern(Edges):
        """A map of somebody else's, which may do other things than ours."""

    stages = pyham.MLP(4, 2, graph="ring", nodes=4).init(0).stages()
    assert isinstance(COMPILED.of(stages), edges.CompiledEdges)
    for place in (0, 1):
        maps = list(stages.maps)
        maps[place] = Pattern(maps[place].rows, maps[place].columns, maps[place].shape)
        assert COMPILED.of(replace(stages, maps=tuple(maps))) is REFERENCE
    own = pyham.MLP(4, 2, graph="ring", nodes=4, activation=replace(stages.activation, name="own"))
    assert COMPILED.of(own.init(0).stages()) is REFERENCE


def test_blocks_of_rows_have_the_same_columns(rng):
    pattern = Edges(*np.nonzero(np.kron(rng.random((5, 4)) < 0.5, np.ones((3, 2)))), (15, 8))
    for starts, columns, begins in (
        (pattern.starts, pattern.columns, pattern.places[0]),
        (pattern.column_starts, pattern.rows[pattern.by_column], pattern.places[3]),
    ):
        of_row = [tuple(columns[a:b]) for a, b in pairwise(starts)]
        expected = [i for i in range(len(of_row)) if i == 0 or of_row[i] != of_row[i - 1]]
        assert begins.tolist() == [*expected, len(of_row)]

"""The counts of the cost model are those of what is sent and computed; the fit finds what made the times."""

import json

import numpy as np
import pytest

from benchmarks import distributed as benchmark
from figures import ring
from pyham.architectures.graphs import graph
from pyham.distributed.cost import CostModel, Work, node, total


@pytest.mark.parametrize("nodes", [4, 9])
@pytest.mark.parametrize("name", ["ring", "path", "grid", "star", "full"])
def test_counts_are_those_of_the_transport(name, nodes):
    found = benchmark.count(name, nodes)
    degrees = graph(name, nodes).adjacency.sum(axis=1) - 1
    expected = total(degrees, states=ring.STATES, layers=ring.LAYERS, samples=ring.SAMPLES)
    assert (found["messages"], found["bytes"], found["astray"]) == (expected.messages, expected.bytes, 0)
    busiest = node(degrees.max(), states=2, layers=ring.LAYERS, samples=ring.SAMPLES)
    assert found["busiest node"] == busiest.messages


def test_operations_are_six_products_with_all_rows_of_K():
    """In a full network of M nodes, K has n^2 entries."""
    work = total(np.full(8, 7), states=2, layers=3, samples=5)
    assert work.operations == 3 * 6 * 2 * 16**2 * 5


def test_fit_finds_what_made_the_times(rng):
    made_by = CostModel(1e-5, 2e-6, 3e-9, 4e-10)
    works = [Work(*rng.uniform(1, [1e2, 1e3, 1e6, 1e7])) for _ in range(20)]
    found = CostModel.fit(works, [made_by.seconds(w) for w in works])
    np.testing.assert_allclose([*vars(found).values()], [*vars(made_by).values()], rtol=1e-9)


@pytest.mark.seldom
def test_benchmark_runs(tmp_path, capsys):
    path = tmp_path / "found.json"
    assert benchmark.main(["--quick", "--seconds", "0.01", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert len(found["counts"]) == 6 and all(row["distributed"] > 0 for row in found["times"])
    assert "a message" in capsys.readouterr().out

"""Options of pytest, Hypothesis profiles, what the workers of pytest-xdist share, and the fixtures of many tests.

Tests run in as many processes as there are cores (``-n 0`` for one, where a debugger works). ``--slow`` also runs the
long forms: tests with the mark ``slow``, thousands of mutated files, hundreds of kills, and the profile "thorough".

Profiles: "ci" (the default) draws the same examples in every run; "thorough" draws many fresh ones, "exhaustive" ten
thousand. Choose with ``--hypothesis-profile=exhaustive`` or the environment variable HYPOTHESIS_PROFILE.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from threadpoolctl import threadpool_limits

from pyham.engines.compiled import dense as compiled
from pyham.engines.compiled import threads
from tests.oracles.compilation import compile_a_share

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
MANY = 1000  #: tests, from which on they are the whole suite or much of it, which needs every kernel

settings.register_profile(
    "ci",
    max_examples=40,
    derandomize=True,
    deadline=None,  # the first example may compile
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    max_examples=300,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(  # for planted faults: that an example fails is enough, and need not be made smaller
    "faults",
    settings.get_profile("ci"),
    max_examples=25,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    database=None,
)
settings.register_profile("exhaustive", settings.get_profile("thorough"), max_examples=10_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long forms of tests, which take an hour")
    parser.addoption("--seldom", action="store_true", help="also run tests that .ci/run runs beside the usual ones")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a long form of a test, run with --slow only")
    config.addinivalue_line("markers", "seldom: a test of seconds, run with --seldom or --slow only")
    usual = "thorough" if config.getoption("slow") else "ci"
    if not config.getoption("hypothesis_profile"):
        settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("slow"):
        return
    left_out = ("slow",) if config.getoption("seldom") else ("slow", "seldom")
    long = [item for item in items if any(map(item.get_closest_marker, left_out))]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]


@pytest.fixture(scope="session", autouse=True)
def cores_and_code_are_shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With several workers, each uses its share of the cores, and at first compiles its share of the kernels."""
    if WORKERS > 1:
        share = max(1, threads._cores() // WORKERS)
        threads.set_num_threads(share)
        threadpool_limits(share)
        if len(request.session.items) > MANY:
            compile_a_share(tmp_path_factory.getbasetemp().parent)


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> bool:
    """Whether the long forms are asked for."""
    return bool(request.config.getoption("slow"))


@pytest.fixture(params=["numba", "reference"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend by name."""
    return request.param


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiled engine cuts every batch into as many blocks as it may, however little work there is in each."""
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    compiled._cut.cache_clear()
    yield
    compiled._cut.cache_clear()


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240607)

"""Hypothesis profiles and the fixtures that many tests share.

Profiles: "ci" (the default) draws the same examples in every run; "thorough" draws many fresh ones, "exhaustive" ten
thousand. Choose with ``--hypothesis-profile=thorough`` or the environment variable HYPOTHESIS_PROFILE.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from pyham.engines.compiled import engine as compiled
from pyham.engines.compiled import threads

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
settings.register_profile("exhaustive", settings.get_profile("thorough"), max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


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

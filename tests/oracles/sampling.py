"""How much of a test runs by default, and how much with ``--slow`` only."""

from collections.abc import Iterable
from typing import Any

import pytest


def first(count: int, values: Iterable[Any]) -> list[Any]:
    """The values for ``pytest.mark.parametrize``: ``count`` of them in every run, the others with ``--slow``."""
    listed = list(values)
    rest = [value if isinstance(value, tuple) else (value,) for value in listed[count:]]
    return listed[:count] + [pytest.param(*values, marks=pytest.mark.slow) for values in rest]

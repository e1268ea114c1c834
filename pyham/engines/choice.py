"""The choice of an engine: a name, or an engine of one's own."""

from functools import cache
from typing import Any

import numpy as np

from pyham import _check
from pyham.engines.contract import Engine
from pyham.engines.reference import REFERENCE

Backend = str | Engine


def select(backend: Backend, dtype: np.dtype[Any]) -> Engine:
    """The engine of that name, or ``backend`` itself if it is one already.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For what is neither a name nor an engine, and for a dtype that the engine does not work in.
    """
    if isinstance(backend, str):
        if _check.choice("backend", backend, ("numba", "reference")) == "reference":
            return REFERENCE
        if dtype in _COMPILED:
            return _compiled()
        raise TypeError(
            f"x: expected float32 or float64 for backend='numba', got {dtype}; backend='reference' takes it"
        )
    if isinstance(backend, Engine):
        return backend
    raise TypeError(f"backend: expected 'numba', 'reference' or an engine, got {type(backend).__name__}")


_COMPILED = (np.dtype(np.float64), np.dtype(np.float32))


@cache
def _compiled() -> Engine:
    from pyham.engines.compiled.engine import COMPILED  # here, because importing pyham should not import Numba

    return COMPILED

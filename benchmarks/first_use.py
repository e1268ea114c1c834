"""Seconds from the start of Python to the first gradient: with nothing compiled, and with compiled code on disk."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

SCRIPT = """
import numpy as np, pyham
net = pyham.H2(width=4, depth=64, step=0.05).init(0)
x = np.ones((16, 4))
net.adjoint(net.trace(x), x)
"""


def measure() -> dict[str, float]:
    """Whole processes, ``python -c`` included; of those with compiled code on disk, the median of five."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        first = _seconds(environment)
        return {"first": first, "cached": statistics.median(_seconds(environment) for _ in range(5))}


def _seconds(environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
    return time.perf_counter() - start

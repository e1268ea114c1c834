"""Time and memory of a gradient against depth: ``python -m benchmarks.deep DEPTH MEMORY`` prints one as JSON.

H2, n = 4, B = 16, T = N h = 1. A process of its own for each, because memory is what the process had at its peak
beyond what it had before the call, without the gradients themselves (of the stages and of the parameters). With
"reversible", the sensitivities follow: their defect and norms layer by layer, without storing them.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham.verification import bounds, symplectic

WIDTH, BATCH, TIME = 4, 16, 1.0
DEPTHS = (1_000, 10_000, 100_000, 1_000_000)
QUICK_DEPTHS = (1_000, 10_000)
MEMORIES = ("reversible", "checkpoint")
STATUS = Path("/proc/self/status")


def measure(depth: int, memory: str) -> dict[str, Any]:
    """Seconds for each layer, bytes beyond parameters, stages and gradients; and what holds of the sensitivities."""
    net = pyham.H2(width=WIDTH, depth=depth, step=TIME / depth).init(0)
    x, g = np.random.default_rng(1).standard_normal((2, BATCH, WIDTH))
    stages = net.stages()
    small = pyham.H2(width=WIDTH, depth=100, step=0.01).init(0)
    small.gradient(x, g, memory=memory)  # compiles
    before = resident("VmRSS")
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM is the peak of what follows
    start = time.perf_counter()
    result = net.gradient(x, g, memory=memory)
    first = time.perf_counter() - start
    peak = resident("VmHWM")
    again: list[float] = []
    while sum(again) < 0.5 or len(again) < 3:
        start = time.perf_counter()
        net.gradient(x, g, memory=memory)
        again.append(time.perf_counter() - start)
    gradients = stages.A.nbytes + stages.c.nbytes + stages.W.nbytes + sum(v.nbytes for v in result.params.values())
    found: dict[str, Any] = {
        "depth": depth,
        "memory": memory,
        "seconds": min(first, *again),
        "bytes": None if before is None or peak is None else peak - before - gradients,
        "parameters": sum(v.nbytes for v in net.params.values()),
    }
    if result.drift is not None:
        J = np.asarray(net.interconnection)
        start = time.perf_counter()
        both = net.sensitivity(
            x, measure=lambda phi: np.stack((symplectic.defect(phi, J), bounds.spectral_norm(phi)), axis=-1)
        )
        defect, norms = both[..., 0], both[..., 1]
        found |= {
            "drift": result.drift.error,
            "kept": result.drift.kept,
            "defect_in_eps": float(defect.max() / np.finfo(float).eps),
            "smallest_norm": float(norms.min()),
            "largest_norm": float(norms.max()),
            "log10_sharp_bound": float(bounds.log_upper(net)[0] / np.log(10)),
            "sensitivity_seconds": time.perf_counter() - start,
        }
    return found


def resident(field: str) -> int | None:
    """VmRSS or VmHWM of this process in bytes, where the system tells."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))

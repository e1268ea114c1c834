"""Everything that a network computes, by name: for comparisons of engines, of kinds of memory and of threads."""

from typing import Any

import numpy as np

import pyham
from tests.oracles.strategies import variant

Array = np.ndarray[Any, Any]


def network(
    key: str, depth: int = 3, *, width: int = 6, step: float = 0.2, activation: str = "tanh", dtype: Any = float
) -> Any:
    """The network of ``strategies.VARIANTS[key]`` with weights that are the same in every run."""
    arch = variant(key, width=width, depth=depth, step=step, activation=activation)
    return arch.init(3, initialization="scaled-normal", dtype=dtype)


def everything(
    net: pyham.Network, x: Array, g: Array, backend: Any = "numba", *, memories: bool = True
) -> dict[str, Array]:
    """Output, states, adjoints, sensitivities, gradients of all kinds of memory, and the input found from g."""
    trace = net.trace(x, backend=backend)
    adjoint = net.adjoint(trace, g, backend=backend)
    found = {
        "output": net(x, backend=backend), "trace.output": trace.output, "states": trace.states, "input": adjoint.input,
        "delta": adjoint.delta, "phi": net.sensitivity(x, backend=backend),
    } | {f"adjoint {name}": value for name, value in adjoint.params.items()}  # fmt: skip
    shears = net.stages(x.dtype).shears
    for memory in ("store", "checkpoint", *["reversible"] * shears) if memories else ():
        gradient = net.gradient(x, g, memory=memory, backend=backend)
        found |= {f"{memory} output": gradient.output, f"{memory} input": gradient.input}
        found |= {f"{memory} {name}": value for name, value in gradient.params.items()}
        found |= {f"{memory} drift": np.array(gradient.drift)} if gradient.drift else {}
    return found | ({"inverse": net.inverse(g, backend=backend)} if shears else {})


def assert_same_bits(first: dict[str, Array], second: dict[str, Array]) -> None:
    """Of two results of ``everything``."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name, strict=True)

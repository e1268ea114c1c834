"""What is timed: the same mathematics, arrays and dtype for every program."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import pyham

Array = np.ndarray[Any, Any]

STEP = 0.05


@dataclass(frozen=True)
class Case:
    """A network of ``depth`` layers, width n, on B samples; ``what`` is "gradient" or "sensitivities".

    "gradient": from x and g = dLoss/dy_N, the derivatives of the loss with respect to x, all K (or Kp, Kq) and b.
    "sensitivities": dy_N/dy_j of every layer j and sample.
    Weights are normal with variance 1 / n, sigma = tanh, h = 0.05.
    """

    architecture: str
    width: int
    batch: int
    depth: int
    dtype: str = "float64"
    what: str = "gradient"

    @property
    def name(self) -> str:
        return f"{self.architecture} {self.width}, {self.batch}, {self.depth}"

    @property
    def flops(self) -> float:
        """Multiplications and additions of the six products of a gradient: 12 n^2 for H1, half of that for H2."""
        products = 12 if self.architecture == "H1" else 6
        return float(products * self.width**2 * self.batch * self.depth)

    def network(self) -> pyham.Network:
        arch = pyham.architecture(self.architecture, width=self.width, depth=self.depth, step=STEP)
        return arch.init(0, initialization="scaled-normal", dtype=np.dtype(self.dtype))

    def arrays(self) -> tuple[Array, Array]:
        """x and g (B, n)."""
        x, g = np.random.default_rng(1).standard_normal((2, self.batch, self.width)).astype(self.dtype)
        return x, g


CASES = (
    Case("H1", 4, 125, 64),
    Case("H2", 4, 125, 64),
    Case("H1", 8, 78400, 4),
    Case("H1", 8, 78400, 4, dtype="float32"),
    Case("H1", 16, 2000, 32),
    Case("H1", 32, 1000, 32),
    Case("H1", 128, 256, 32),
    Case("H1", 4, 125, 64, what="sensitivities"),
)

QUICK = (
    Case("H1", 4, 50, 16),
    Case("H2", 4, 50, 16),
    Case("H1", 8, 500, 4, dtype="float32"),
    Case("H1", 4, 50, 16, what="sensitivities"),
)

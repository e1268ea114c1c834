"""V7. Forward Euler's defect in closed form: H1 misses symplecticity by exactly O(h^2) a layer.

Statement: D J D^T - J = h^2 (J S) J (J S)^T with D = I + h J S, S = K^T diag(sigma') K, for every layer. Source: direct
computation; the terms of order h cancel for symmetric S and skew J. Oracle: D from the engine's sensitivities, S
assembled from the weights. Number: ||difference||_F / (||J||_F max(1, ||D||_F^2)). Tolerance: D carries an error of c
eps, c = 4, and products of n x n matrices n times that in the worst case: c n eps. Control: the formula without its
last transpose.
"""

from collections.abc import Iterator

import numpy as np

import pyham
from pyham.verification import euler
from validation.claim import Lab, Result

STATEMENT = "D J D^T - J = h^2 (J S) J (J S)^T for every layer of forward Euler"


def check(lab: Lab) -> Iterator[Result]:
    rng = lab.rng("V7")
    random_skew = rng.standard_normal((5, 5))
    random_skew -= random_skew.T
    for label, width, J in (("J1", 4, "J1"), ("J2", 6, "J2"), ("random J, odd n", 5, random_skew)):
        net = pyham.H1(width=width, depth=32, step=0.1, interconnection=J).init(rng)
        for dtype in (np.float64, np.float32):
            x = rng.standard_normal((20, width)).astype(dtype)
            measured = float(euler.residual(net, x).max())
            control = float(euler.residual(net, x, transpose=False).max())
            found, closed, _ = euler.defects(net, x)
            relative = np.abs(found - closed).max() / np.abs(closed).max()
            limit = 4 * width * float(np.finfo(dtype).eps)
            note = f"relative to the defect itself: {relative:.1e}"
            yield Result(f"H1 {label}, {dtype.__name__}", measured, limit, control, "transpose left out", note)

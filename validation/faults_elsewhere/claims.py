"""What users run: the continuous adjoint, ``pyham.certify``, and the claims of ``validation`` on small networks."""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np

import pyham
from pyham import continuous
from validation import claim
from validation.faults_elsewhere.formulas import networks
from validation.faults_elsewhere.reading import SOLVER, Reading, difference, reading

Array = np.ndarray[Any, Any]


def dual() -> Iterator[Reading]:
    """delta(t_j) of the adjoint equation against Phi(t_j) g of the variational one."""
    net = pyham.H1(4, 3, 0.3, interconnection="J2").init(0)
    x, g = np.random.default_rng(1).standard_normal((2, 3, 4))
    phi, delta = continuous.sensitivity(net, x), continuous.adjoint(net, x, g)
    yield reading("dual", "H1", difference(delta, np.einsum("jbac,bc->jba", phi, g)), SOLVER)


def certificates() -> Iterator[Reading]:
    """``pyham.certify`` where theory promises most."""
    for name, net, x, _ in networks(5):
        if name not in ("H1", "MS3", "H2", "H2 verlet"):
            continue
        for check in pyham.certify(net, x).checks:
            if check.guaranteed:
                yield Reading("certify", name, check.measured, not check.holds)
                if check.control_failed is False:
                    yield Reading("certify control", name, float(check.control_measured or 0), True)


def findings(name: str, first: int | None = None) -> Iterator[Reading]:
    """A claim in quick mode, or its ``first`` results, on an untrained network of 8 layers and 5 samples."""
    lab = claim.Lab(0, quick=True)
    small = pyham.H2(width=4, depth=8, step=0.1).init(0)
    stub: dict[str, Any] = {"classifier": SimpleNamespace(net=small), "untrained": small, "samples": _samples()}
    vars(lab).update(stub)
    for finding in islice(claim.run(name, claim.modules([name])[name], lab), first):
        result = finding.result
        yield Reading(name, "", result.measured, not result.passed)
        yield Reading(f"{name} control", "", result.control, not result.control_failed)


@cache
def _samples() -> Array:
    return claim.Lab(0, quick=True).samples[:5]

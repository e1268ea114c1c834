"""Prove random networks, and exclude random faults of one ulp; ``python -m tests.verification.prove_random --help``.

Networks are those that theory promises to be symplectic: H2 with any X, MS3, and MS1 with one A; any order, scheme and
activation, widths 2 .. 8, depths 0 .. 24, steps 1e-6 .. 2, parameters and samples in float32 or float64.

A fault moves one entry of A or W of one stage, one of the two places where a weight stands, by one ulp of float64. Not
drawn are faults that break nothing in any network: at width 2, where every matrix of determinant 1 is symplectic, and
in MS1's W = h I, as a row of sigma' may have any factor. Not counted, but listed, are faults whose unit is off for
that sample: sigma', which the fault is multiplied by, is exactly 0 (relu: a ball of radius 0 around 0), or proven to be
below 5e-324, the smallest positive number of float64 (saturated units; in networks with softplus down to 1e-100000).
What less saturated units do may be less than 40 digits show: such faults are looked at again with more digits.
"""

import argparse
import math
import sys
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

import pyham
from pyham.verification import balls
from pyham.verification.ball_stages import one_ulp
from tests.oracles.strategies import ACTIVATIONS, ORDERS, SCHEMES, SPLIT

Array = np.ndarray[Any, Any]

DIGITS, SHOWN = 40, 30
MOST = 40 << 5  # digits
OFF, TINY = -1, -2
DTYPES = (np.float32, np.float64)


class Fault(NamedTuple):
    """One entry of A or W (``name``) of one stage."""

    name: str
    stage: int
    row: int
    column: int


def random_case(rng: np.random.Generator, least_width: int = 2, least_depth: int = 0) -> tuple[pyham.Network, Array]:
    """A network that is symplectic by design, and one sample (1, n)."""
    name, m = str(rng.choice(SPLIT)), int(rng.integers(least_width // 2, 5))
    options = {"order": str(rng.choice(ORDERS)), "scheme": str(rng.choice(SCHEMES))}
    if name == "H2" and rng.integers(2):
        options["X"] = rng.standard_normal((m, m)) * 10.0 ** rng.integers(-2, 3)
    step, activation = float(2 * 10 ** -rng.uniform(0, 6.3)), str(rng.choice(ACTIVATIONS))
    depth = int(rng.integers(least_depth, 25))
    arch = pyham.architecture(name, width=2 * m, depth=depth, step=step, activation=activation, **options)
    start = {"A": rng.standard_normal((m, m))} if name == "MS1" else "normal"
    net = arch.init(rng, initialization=start, dtype=rng.choice(DTYPES))
    return net, rng.standard_normal((1, 2 * m)).astype(rng.choice(DTYPES))


def random_fault(rng: np.random.Generator, net: pyham.Network) -> Fault:
    name = "A" if net.arch.name == "MS1" else str(rng.choice(["A", "W"]))
    m = net.arch.width // 2
    return Fault(name, *map(int, rng.integers((net.stages().count, m, m))))


def unit_is_off(stages: balls.BallStages, x: Array, fault: Fault) -> int:
    """OFF if sigma' of the fault's unit, a row of A and a column of W, is 0; TINY if it is below 5e-324; else 0."""
    slope = balls.enclose(stages, x[0]).slopes[fault.stage][fault.row if fault.name == "A" else fault.column]
    return OFF if slope == 0 else TINY if slope < math.ulp(0.0) else 0


def digits_that_exclude(net: pyham.Network, x: Array, fault: Fault) -> int:
    """The digits, ``DIGITS`` times a power of two, that exclude it; 0 if none do, or what ``unit_is_off`` says."""
    digits = DIGITS
    while digits <= MOST:
        stages = balls.lower(net, digits)
        if off := unit_is_off(stages, x, fault):
            return off
        proof = balls.examine(stages.changed(fault.name, one_ulp, fault[1:]), x)
        if proof.symplectic.verdict == "excluded":
            return digits
        digits *= 2
    return 0


def prove_networks(count: int, seed: int) -> tuple[Counter[str], float]:
    """How many of the networks are proven to ``SHOWN`` digits, by name; and the widest enclosure of a defect."""
    rng, found, widest = np.random.default_rng([seed, 1]), Counter(), 0.0
    for _ in range(count):
        net, x = random_case(rng)
        proof = balls.examine(balls.lower(net, DIGITS), x)
        asked = [answer for answer in (proof.symplectic, proof.determinant) if answer is not None]
        assert len(asked) == 2 or (net.arch.name, net.arch.depth) == ("MS1", 0)  # without layers it has no J = K^-T
        width = max(answer.worst for answer in asked)
        good = proof.proven and width <= 10.0**-SHOWN and proof.norms.worst >= 1
        found[f"{net.arch.name} {'proven' if good else 'NOT PROVEN'}"] += 1
        widest = max(widest, width)
    return found, widest


def exclude_faults(count: int, seed: int) -> Counter[int]:
    """So many faults whose unit is not off, by the digits that exclude them; see ``digits_that_exclude``."""
    rng, found = np.random.default_rng([seed, 2]), Counter()
    while sum(n for digits, n in found.items() if digits >= 0) < count:
        net, x = random_case(rng, least_width=4, least_depth=1)
        found[digits_that_exclude(net, x, random_fault(rng, net))] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verification.prove_random", description=__doc__)
    parser.add_argument("--networks", type=int, default=1000, help="how many to prove (default 1000)")
    parser.add_argument("--faults", type=int, default=1000, help="how many to exclude (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    proven, widest = prove_networks(options.networks, options.seed)
    print(f"networks: {', '.join(f'{n} {name}' for name, n in sorted(proven.items()))}")
    print(f"widest enclosure of a defect or of det Phi - 1: {widest:.1e}")
    excluded = exclude_faults(options.faults, options.seed)
    for digits, n in sorted(excluded.items()):
        words = {OFF: "not counted, sigma' is 0", TINY: "not counted, sigma' < 5e-324", 0: "NOT EXCLUDED"}
        print(f"faults: {n} {words.get(digits, f'excluded with {digits} digits')}")
    return int(excluded[0] > 0 or any("NOT" in name for name in proven))


if __name__ == "__main__":
    sys.exit(main())

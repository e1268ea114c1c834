"""How far explained numbers are from complex steps, over random networks: ``python -m tests.teaching.deviations``.

Relative to the largest entry of a quantity, the deviation is that of sigma' = 1 - tanh^2 a where all entries of a are
large: then 1 - tanh^2 a is a small difference and keeps few digits. Relative to max(1, largest entry) it is not.
"""

import argparse
import sys

import numpy as np

import pyham

NETWORKS = {
    "H1": lambda: pyham.H1(4, 3, 0.3),
    **{f"H2 {name}": lambda name=name: pyham.H2(4, 3, 0.3, scheme=name) for name in pyham.schemes.SPLITTINGS},
    "MLP": lambda: pyham.MLP(4, 3),
    "ConvH2": lambda: pyham.images.ConvH2(2, 2, width=2, depths=(1, 1), activation="tanh"),
}


def deviations(make, seed):
    """The largest deviation of a complex step, relative to the largest entry, and to max(1, largest entry)."""
    rng = np.random.default_rng(seed)
    net = make().init(rng, initialization="scaled-normal")
    found = net.explain(rng.standard_normal(net.arch.shape))
    assert found.passed
    pairs = [
        (one.deviation, one.deviation * min(1.0, float(np.abs(q.value).max())))
        for q in found.quantities
        for one in q.agreements
        if one.kind == "complex step" and one.decided
    ]
    return np.max(pairs, axis=0)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args(argv)
    for name, make in NETWORKS.items():
        relative, absolute = np.array([deviations(make, seed) for seed in range(options.draws)]).T
        share = 100 * (relative <= 1e-14).mean()
        print(
            f"{name}: median {np.median(relative):.1e}, worst {relative.max():.1e}, {share:.1f} % within 1e-14; "
            f"relative to max(1, entry) worst {absolute.max():.1e}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

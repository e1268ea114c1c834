"""What the public implementation of the papers reaches, for comparison.

Measured with it (n = 4, T = 1.2, its own options), patched to run on PyTorch 2.13: unpatched, none of its six networks
for points in the plane trains, since Adam's state refuses an integer step and H2 fails on updates in place.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

Array = np.ndarray[Any, Any]

COLUMNS = (
    ("swiss-roll", 4), ("swiss-roll", 16), ("swiss-roll", 64), ("double-moons", 4), ("double-moons", 16),
    ("double-circles", 4), ("double-circles", 16),
)  # fmt: skip
#: Test accuracy in % with seeds 0 and 1, in the order of COLUMNS.
ACCURACY = {
    "MS1": ((66.7, 70.9), (73.4, 67.6), (66.5, 64.9), (87.0, 89.6), (90.3, 94.4), (64.7, 62.2), (67.8, 65.2)),
    "MS2": ((67.3, 66.0), (76.6, 81.7), (82.9, 81.3), (90.7, 96.8), (97.0, 98.3), (64.9, 61.0), (62.6, 65.6)),
    "MS3": ((88.3, 80.3), (78.1, 83.3), (99.2, 97.2), (100.0, 99.8), (100.0, 99.9), (85.7, 81.7), (75.8, 82.6)),
    "H1, J1": ((90.8, 83.3), (98.0, 98.4), (98.7, 100.0), (99.9, 100.0), (100.0, 100.0), (80.4, 84.3), (98.1, 94.4)),
    "H1, J2": ((85.5, 74.3), (74.0, 87.6), (93.2, 79.0), (88.4, 99.9), (100.0, 100.0), (84.9, 90.6), (87.2, 97.4)),
    "H2": ((85.5, 78.0), (82.3, 82.7), (91.0, 94.0), (100.0, 100.0), (100.0, 99.9), (72.4, 66.6), (84.8, 86.7)),
}
CAPTION = "public implementation, patched to run, seeds 0 / 1"
SIGNIFICANT = 0.05


class Comparison(NamedTuple):
    """How many means of a table are above, equal to or below those published, and how many of them not by chance."""

    above: int
    equal: int
    below: int
    clearly_above: int
    clearly_below: int


def compare(values: Array, networks: Sequence[str], columns: Sequence[tuple[str, int]]) -> Comparison:
    """Compare accuracies in % (networks, columns, seeds; NaN for none) with the published ones, cell by cell.

    "Clearly" is a one-sided t test with one spread for both samples, p < 0.05: of cells that do not differ, one in
    twenty comes out on either side. A cell without any number is below. Columns that are not published are left out.
    """
    counts = dict.fromkeys(Comparison._fields, 0)
    for row, network in enumerate(networks):
        for theirs, place in zip(ACCURACY[network], COLUMNS, strict=True):
            if place not in columns:
                continue
            ours = values[row, columns.index(place)]
            ours = ours[np.isfinite(ours)]
            difference = ours.mean() - np.mean(theirs) if len(ours) else -np.inf
            side = "equal" if difference == 0 else "above" if difference > 0 else "below"
            counts[side] += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # no spread: all seeds alike, or a single one
                test = stats.ttest_ind(ours, np.array(theirs), alternative="greater" if side == "above" else "less")
            if side != "equal" and test.pvalue < SIGNIFICANT:
                counts[f"clearly_{side}"] += 1
    return Comparison(**counts)

"""Every claim holds for other seeds than the main job's, its controls fail, and its figures can be drawn."""

from functools import cache
from types import SimpleNamespace

import pytest

import pyham
from tests.oracles.sampling import first
from validation import claim

NAMES = list(claim.modules())
EXACT = ("V3", "V8", "V11", "V17")  # need no oracle
SHALLOW = ("V1", "V12", "V13")  # their solutions to many digits take long for deep networks


def findings(name, seed):
    return list(claim.run(name, claim.modules([name])[name], laboratory(name, seed)))


def laboratory(name, seed):
    """Trained networks are the main job's; here the seeds count."""
    lab = claim.Lab(seed, quick=True)
    net = pyham.H2(width=4, depth=16, step=0.06).init(seed) if name in SHALLOW else lab.untrained
    lab.classifier = SimpleNamespace(net=net)
    return lab


@cache
def once(name, seed):
    return findings(name, seed)


CASES = [(name, seed) for seed in range(1, 5) for name in NAMES]
CASES.sort(key=lambda case: case[0] in ("V2", "V11"))  # last: they take long, and the main job checks them


@pytest.mark.seldom
@pytest.mark.parametrize(("name", "seed"), first(len(NAMES) - 2, CASES))
def test_claims_hold_for_other_seeds_and_their_controls_fail(name, seed):
    found = once(name, seed)
    assert found and [f for f in found if not f.ok] == []
    assert all(len(f.result.network) <= 36 and len(f.result.control_case) <= 36 for f in found)


@pytest.mark.parametrize("name", first(2, ["V9", "V18", "V16"]))
def test_numbers_are_the_same_in_every_run(name):
    assert findings(name, 1) == once(name, 1)


DRAWN = [name for name in NAMES if hasattr(claim.modules([name])[name], "figures")]
DRAWN.sort(key=lambda name: name in ("V6", "V10", "V13", "V16", "V18"))  # last: their numbers take long


@pytest.mark.parametrize("name", first(len(DRAWN) - 5, DRAWN))
def test_figures_have_captions_and_can_be_drawn(name):
    for caption, figure in claim.modules([name])[name].figures(laboratory(name, 0)):
        figure.canvas.draw()
        assert caption.endswith(".") and all(axis.has_data() for axis in figure.axes)


@pytest.mark.parametrize("name", NAMES)
def test_statements_are_one_line_and_say_how_they_are_checked(name):
    module = claim.modules([name])[name]
    assert len(module.STATEMENT) <= 110 and "\n" not in module.STATEMENT
    assert module.__doc__.startswith(f"{name}. ")
    words = ["Statement:", "Source:", "olerance", "ontrol"] + ["Oracle:"] * (name not in EXACT)
    assert [word for word in words if word not in module.__doc__] == []

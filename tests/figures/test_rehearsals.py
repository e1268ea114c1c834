"""Rehearsals, which ``--quick`` makes, say what they are in every file, and show no numbers of others."""

import csv

import numpy as np
import pytest
from PIL import Image

from figures import accuracy, command, mnist, published, style, tables
from figures.setup import Setup


def arrays(module, quick):
    """What the module would have computed, the same in both modes."""
    rng = np.random.default_rng(0)
    if module is mnist:
        axes = {"rows": np.array(mnist.rows()), "depths": np.array([4]), "seeds": np.array([0])}
        shape = len(mnist.rows()), 1, 1
    else:
        names = [list(accuracy.protocols.RECIPES), list(accuracy.protocols.NETWORKS)]
        data, depths = zip(*accuracy.cells(), strict=True)
        axes = {"recipes": np.array(names[0]), "networks": np.array(names[1]), "data": np.array(data),
                "depths": np.array(depths), "seeds": np.array([0, 1])}  # fmt: skip
        shape = len(names[0]), len(names[1]), len(data), 2
    found = {kind: rng.uniform(50, 100, shape) for kind in ("test", "train")}
    return found | axes | {"rehearsal": np.array(quick)}


def words(figure):
    """All that is written on a figure."""
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize("module", [mnist, accuracy])
@pytest.mark.parametrize("quick", [True, False])
def test_numbers_of_the_public_implementation_stand_beside_whole_figures_only(module, quick):
    given = arrays(module, quick)
    figure = module.plot(given)
    crosses = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "x"]
    table = module.texts(given)[".md"]
    assert bool(crosses) == ("public implementation" in words(figure)) == (not quick)
    assert ("ublic implementation, corrected" in table or published.CAPTION.capitalize() in table) == (not quick)
    assert ("MNIST" in table) == (module is mnist and not quick)


def test_a_rehearsal_says_so_in_picture_table_and_list(tmp_path, monkeypatch):
    setup = Setup(quick=True, seeds=1, folder=tmp_path / "data")
    computed = arrays(mnist, True)
    del computed["rehearsal"]
    drawn = []

    def save(figure, stem, note):
        style.sign(figure, stem, note)
        drawn.append(words(figure))
        return []

    monkeypatch.setattr(mnist, "compute", lambda setup: computed)
    monkeypatch.setattr(style, "save", save)
    command.make("mnist", setup, tmp_path)
    (shown,) = drawn
    assert "REHEARSAL" in shown and "stripes in ten directions" in shown and "--quick" in shown
    assert (tmp_path / "mnist.md").read_text().startswith(f"**{mnist.REHEARSAL}**")
    assert (tmp_path / "mnist.tex").read_text().startswith("% Rehearsal")
    lines = csv.DictReader((tmp_path / "mnist.csv").read_text().splitlines())
    assert {row["rehearsal"] for row in lines} == {"yes"}
    command.index(tmp_path, command.REHEARSAL)
    assert (tmp_path / "README.md").read_text().startswith("Rehearsal (--quick)")
    assert all(tables.rehearsed(suffix, "text", "") == "text" for suffix in (".md", ".tex", ".csv"))


def test_the_mark_is_on_the_picture(tmp_path):
    figure, _ = style.panels(1, 1)
    style.save(figure, tmp_path / "whole")
    style.save(figure, tmp_path / "rehearsal", command.REHEARSAL)
    pictures = [np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("whole", "rehearsal")]
    red = [(picture[..., 0] > picture[..., 2].astype(int) + 30).mean() for picture in pictures]
    assert red[0] == 0 and red[1] > 0.02

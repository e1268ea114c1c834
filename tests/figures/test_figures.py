"""Figures: made, cached, the same from the same seed; and the tables say what was measured."""

import csv
import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageSequence

from figures import FIGURES, accuracy, cache, command, mnist, published, style, tables
from figures.setup import Setup
from tests.oracles.sampling import first

ROOT = Path(__file__).parents[2]

QUICK = Setup(quick=True, seeds=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A figure that takes no time, as a module with a file."""
    folder = tmp_path_factory.mktemp("module")
    path = folder / "small.py"
    path.write_text("calls = []\n\ndef compute(setup): ...\n\ndef plot(arrays): ...\n")
    module = SimpleNamespace(__name__="small", __file__=str(path), calls=[])

    def compute(setup):
        module.calls.append(setup)
        return {"x": setup.rng("small").random(3), "words": np.array(["a", "bc"])}

    module.compute = compute
    return module


def test_every_figure_is_in_the_list_and_says_what_it_shows():
    scripts = {path.stem for path in (ROOT / "figures").glob("*.py") if "\ndef plot(" in path.read_text()}
    assert scripts == set(FIGURES)
    for name in FIGURES:
        module = importlib.import_module(f"figures.{name}")
        assert module.CAPTION.endswith(".") and module.compute.__doc__ and module.main


@pytest.mark.parametrize("name", ["energy", "decision_regions"])
def test_same_seed_gives_the_same_bits(name):
    module = importlib.import_module(f"figures.{name}")
    first, second = module.compute(QUICK), module.compute(QUICK)
    assert first.keys() == second.keys()
    assert all(np.asarray(first[key]).tobytes() == np.asarray(second[key]).tobytes() for key in first)
    other = module.compute(Setup(quick=True, seeds=1, seed=1))
    assert any(np.asarray(first[key]).tobytes() != np.asarray(other[key]).tobytes() for key in first)


def content(path):
    """What a file holds: of arrays and of the outcomes of sweeps, what stands in them."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name].tobytes() for name in file.files}
    return sorted(path.read_bytes().splitlines()) if path.suffix == ".jsonl" else path.read_bytes()


@pytest.mark.slow
def test_figures_made_with_one_process_and_with_two_are_the_same(tmp_path):
    made = []
    for jobs in ("1", "2"):
        assert command.main(["--quick", "--jobs", jobs, "--output", str(tmp_path / jobs)]) == 0
        files = [path for path in (tmp_path / jobs).rglob("*") if path.is_file() and path.suffix != ".log"]  # has times
        made.append({str(path.relative_to(tmp_path / jobs)): content(path) for path in files})
    assert made[0].keys() == made[1].keys()
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []


@pytest.mark.seldom
@pytest.mark.parametrize("name", first(1, ["energy", "regularisation"]))
def test_command_writes_a_figure_with_all_that_belongs_to_it(name, tmp_path, capsys):
    words = ["--quick", "--only", name, "--output", str(tmp_path)]
    assert command.main(words) == 0
    assert re.search(rf"{name} +\d+\.\d s", capsys.readouterr().out)
    files = [tmp_path / f"{name}.{kind}" for kind in ("png", "pdf")]
    assert {file.suffix for file in tmp_path.iterdir()} == {".png", ".pdf", ".md", ""}
    assert f"`python -m figures.{name}`" in (tmp_path / "README.md").read_text()
    before = [file.read_bytes() for file in files]
    command.main(words)  # from the cache
    assert [file.read_bytes() for file in files] == before
    with Image.open(files[0]) as picture:
        assert picture.info["Source"] == f"python -m figures.{name}"


def test_every_result_in_the_repository_is_listed_with_its_command(tmp_path):
    listed = (command.RESULTS / "README.md").read_text().splitlines()[2:]
    assert [line.split("figures.")[-1].removesuffix("` |") for line in listed] == list(FIGURES)
    for path in command.RESULTS.iterdir():
        if path.suffix in (".png", ".gif", ".csv", ".tex", ".md") and path.name != "README.md":
            assert sum(f"[{path.name}]({path.name})" in line for line in listed) == 1


def test_animation_has_its_frames_in_order(tmp_path):
    figure, axes = style.panels(1, 1, width=1, height=1)

    def draw(k):
        axes[0, 0].clear()
        axes[0, 0].bar(0, k)
        axes[0, 0].set(ylim=(0, 3), xticks=[], yticks=[])

    path = style.save_gif(style.Animation(figure, draw, [0, 1, 2, 3, 3, 3], rate=10), tmp_path / "moving")
    with Image.open(path) as moving:
        frames = [np.asarray(frame.convert("RGB")).copy() for frame in ImageSequence.Iterator(moving)]
        moving.seek(3)
        assert moving.info["duration"] == 300  # what repeats is shown longer
    blue = [(frame[..., 2] > frame[..., 0].astype(int) + 60).sum() for frame in frames]
    assert len(frames) == 4 and blue[0] < blue[1] < blue[2] < blue[3]


# The cache


def test_arrays_are_used_again_while_nothing_has_changed(small, tmp_path):
    path = tmp_path / "small.npz"
    first, again = cache.arrays(small, QUICK, path)
    second, known = cache.arrays(small, QUICK, path)
    assert (again, known) == (False, True)
    assert {name: array.tolist() for name, array in first.items()} == {n: a.tolist() for n, a in second.items()}
    assert cache.arrays(small, Setup(quick=True, seeds=1, jobs=7), path)[1]  # which changes no arrays
    assert not cache.arrays(small, Setup(quick=True, seeds=1, seed=3), path)[1]
    assert not cache.arrays(small, QUICK, path, fresh=True)[1]
    source = Path(small.__file__)
    whole = source.read_text()
    source.write_text(whole + "# drawn otherwise\n")
    assert cache.arrays(small, QUICK, path)[1]
    source.write_text("# computed otherwise\n" + whole)
    assert not cache.arrays(small, QUICK, path)[1]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_damaged_files_are_made_anew(small, tmp_path, content):
    path = tmp_path / "small.npz"
    path.write_bytes(content)
    assert not cache.arrays(small, QUICK, path)[1]
    assert cache.arrays(small, QUICK, path)[1]


def test_file_says_what_made_it_and_holds_no_objects(small, tmp_path):
    path = tmp_path / "small.npz"
    cache.arrays(small, QUICK, path)
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
    assert about["figure"] == "small" and about["setup"] == {"quick": True, "seed": 0, "seeds": 1}
    assert {"pyham", "numpy", "python"} <= about["versions"].keys()
    module = SimpleNamespace(**{**vars(small), "compute": lambda setup: {"x": np.array([None])}})
    with pytest.raises(TypeError, match="x: expected numbers, words or booleans, got objects"):
        cache.arrays(module, QUICK, tmp_path / "x.npz")


# The tables


def fake():
    """Arrays of the accuracy table, with one training that diverged."""
    columns = accuracy.cells()
    test = np.full((5, 6, len(columns), 3), 90.0)
    test[0, 0, 0] = 80, 90, np.nan
    return {
        "test": test,
        "train": test,
        "recipes": np.array(["public", "imitated", "tuned", "joint", "best"]),
        "networks": np.array(list(accuracy.protocols.NETWORKS)),
        "data": np.array([data for data, _ in columns]),
        "depths": np.array([depth for _, depth in columns]),
        "seeds": np.arange(3),
    }


def test_tables_have_mean_spread_and_lowest():
    texts = accuracy.texts(fake())
    assert "| MS1 | 85.00 ± 7.07 (80.00, 1 diverged) | 90.00 ± 0.00 (90.00)" in texts[".md"]
    assert r"MS1 & 85.00 $\pm$ 7.07 (80.00, 1 diverged) & 90.00 $\pm$ 0.00 (90.00)" in texts[".tex"]
    assert texts[".tex"].count(r"\begin{tabular}") == texts[".tex"].count(r"\end{tabular}") == 5
    rows = list(csv.DictReader(texts[".csv"].splitlines()))
    assert len(rows) == 5 * 6 * len(accuracy.cells()) * 3
    assert rows[2] == {"recipe": "public", "network": "MS1", "data": "swiss-roll", "depth": "4", "seed": "2",
                       "train": "nan", "test": "nan"}  # fmt: skip


def test_table_and_its_picture_have_a_place_for_every_cell():
    assert tables.Table("t", ["a"], ["b"], np.full((1, 1, 3), np.nan)).cell(0, 0) == "diverged"
    with style.look():
        figure = accuracy.plot(fake())
    titles = [title for axis in figure.axes if (title := axis.get_title("left"))]
    assert titles == [f"{accuracy.protocols.TITLES[data]}, {n} layers" for data, n in accuracy.cells()]
    assert set(published.ACCURACY) == set(accuracy.protocols.NETWORKS)
    assert all(len(row) == len(published.COLUMNS) for row in published.ACCURACY.values())


def test_comparison_with_published_accuracies_knows_sides_and_chance():
    networks, columns = list(published.ACCURACY), list(published.COLUMNS)
    theirs = np.array([published.ACCURACY[network] for network in networks])
    cells = theirs.shape[0] * theirs.shape[1]
    assert published.compare(theirs, networks, columns) == (0, cells, 0, 0, 0)
    spread = 0.01 * np.array([-1, -0.5, 0, 0.5, 1])
    zero = np.zeros_like(theirs[..., :1])
    far = published.compare(zero + spread, networks, columns)
    assert far == (0, 0, cells, 0, cells)
    assert published.compare(zero + 200 + spread, networks, columns) == (cells, 0, 0, cells, 0)
    near = published.compare(theirs.mean(-1, keepdims=True) - 1e-6 + 10 * spread, networks, columns)
    assert near == (0, 0, cells, 0, 0)
    assert published.compare(zero * np.nan, networks, columns) == (0, 0, cells, 0, 0)
    assert published.compare(theirs[:, ::-1], networks, columns[::-1]) == (0, cells, 0, 0, 0)
    assert published.compare(theirs, networks, [*columns[:3], ("double-moons", 5)]).equal == 18
    assert published.compare(zero, networks, columns).below == cells  # one seed


def test_table_says_how_it_compares():
    lines = accuracy.texts(fake())[".md"].splitlines()
    where = lines.index("| | above | equal | below |")
    counts = [[int(word.split()[0]) for word in line.split("|")[2:5]] for line in lines[where + 2 :]]
    assert len(counts) == 5 and all(sum(row) == 42 for row in counts)


def test_mnist_table_has_a_row_for_every_network():
    test = np.full((len(mnist.rows()), 2, 3), 97.0)
    arrays = {"test": test, "train": test, "rows": np.array(mnist.rows()), "depths": np.array([4, 8]),
              "seeds": np.arange(3)}  # fmt: skip
    texts = mnist.texts(arrays)
    assert len(re.findall(r"^\| [MHC]", texts[".md"], re.MULTILINE)) == len(mnist.rows())
    assert len(texts[".csv"].splitlines()) == 1 + test.size
    with style.look():
        figure = mnist.plot(arrays)
    assert len(figure.axes) == 2


def test_stripes_are_told_apart():
    pytest.importorskip("pyham.images")
    assert mnist.accuracies(mnist.run("best", "H2", 2, 0, True))["test"] > 0.9  # guessing: 0.1


def test_figure_is_left_out_where_something_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mnist, "missing", lambda: "a camera")
    assert command.main(["--quick", "--output", str(tmp_path)], "mnist") == 0
    assert "mnist               left out, as it needs a camera" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


# The command


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--seed=-1", "an integer"),
        ("--seeds=0", "an integer"),
        ("--jobs=0", "an integer"),
        ("--only=mona_lisa", "figures among decision_regions"),
    ],
)
def test_options__raise_on_what_they_do_not_take(option, expected, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main([option])
    assert stopped.value.code == 2
    assert f"{option.partition('=')[0]}: expected {expected}" in capsys.readouterr().err

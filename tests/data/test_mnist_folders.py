"""MNIST from a folder: the right digits, or one clear error that names the file."""

import numpy as np
import pytest

from pyham.data import idx, mnist
from pyham.data.mnist import load_mnist
from tests.data.test_mnist import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, assert_holds, put
from tests.oracles import digits


def test_folder_gives_the_digits_in_its_files(tmp_path):
    put(tmp_path / "digits", {name[1:]: body for name, body in digits.packed().items()})
    loaded = load_mnist(tmp_path / "digits")
    assert_holds(loaded, digits.arrays())
    assert loaded.train_images is loaded[0] and loaded.train_labels is loaded[1]
    assert loaded.test_images is loaded[2] and loaded.test_labels is loaded[3]
    for images, labels in (loaded[:2], loaded[2:]):
        assert len(images) == len(labels) and set(labels.tolist()) == set(range(10))


def test_mnist_itself_has_the_published_shapes_and_digests():
    if digits.FOLDER is None:
        pytest.skip("needs MNIST in the folder PYHAM_DATA")
    assert digits.described() == mnist.FILES


@pytest.mark.parametrize("spelling", ["{}-idx{}-ubyte", "{}.idx{}-ubyte"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_folder_may_have_any_usual_spelling(spelling, ending, tmp_path, small):
    _, arrays = small
    for name, array in arrays.items():
        stem = name.split("-idx")[0]
        (tmp_path / "other").mkdir(exist_ok=True)
        idx.write_idx(tmp_path / "other" / (spelling.format(stem, array.ndim) + ending), array)
    assert_holds(load_mnist(str(tmp_path / "other")), arrays)


def test_argument_goes_before_environment_and_environment_before_cache(tmp_path, small, monkeypatch, cache):
    folder, arrays = small
    names = [file.name for file in mnist.FILES]
    other = {name: array[::-1] for name, array in arrays.items()}
    put(tmp_path / "other", {name: digits.idx_bytes(array) for name, array in other.items()})
    cached = {f"{name}.gz": digits.packed()[f"/{name}.gz"] for name in names}
    put(cache, cached)
    monkeypatch.setattr(mnist, "FILES", digits.described())
    assert_holds(load_mnist(), digits.arrays())
    monkeypatch.setenv("PYHAM_DATA", str(folder))
    assert_holds(load_mnist(), arrays)
    assert_holds(load_mnist(tmp_path / "other"), other)
    (tmp_path / "empty").mkdir()
    for without in ("", str(tmp_path / "empty")):  # unset, or a folder for other data
        monkeypatch.setenv("PYHAM_DATA", without)
        assert_holds(load_mnist(), digits.arrays())


def test_load__raises_on_a_folder_without_the_files(tmp_path, small, monkeypatch):
    folder, _ = small
    with pytest.raises(FileNotFoundError, match=r"^path: expected a folder with the files of MNIST, got .*none"):
        load_mnist(tmp_path / "none")
    (folder / TEST_LABELS).unlink()
    for source in ("path", "PYHAM_DATA"):
        monkeypatch.setenv("PYHAM_DATA", str(folder))
        with pytest.raises(FileNotFoundError, match=f"^{source}: expected .*, got {folder} without {TEST_LABELS}$"):
            load_mnist(folder if source == "path" else None)
    monkeypatch.setenv("PYHAM_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(FileNotFoundError, match=r"^PYHAM_DATA: expected a folder .*, got .*mistyped"):
        load_mnist()
    with pytest.raises(TypeError, match=r"path: expected str or os.PathLike, got int"):
        load_mnist(3)


def labels_of(*values):
    return digits.idx_bytes(np.array(values, np.uint8))


IMAGES = digits.idx_bytes(np.zeros((6, 3, 2), np.uint8))
SIX = labels_of(0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (TRAIN_LABELS, IMAGES, r"expected uint8 of shape \(B,\), got uint8 of shape \(6, 3, 2\)"),
        (TRAIN_IMAGES, SIX, r"expected uint8 of shape \(B, rows, columns\), got uint8 of shape \(6,\)"),
        (TRAIN_LABELS, digits.idx_bytes(np.zeros(6, ">i4"), 0x0C), r"expected uint8 .*, got int32 of shape \(6,\)"),
        (TRAIN_LABELS, SIX[:-1], "expected 6 bytes of data, .*, got 5"),
        (TRAIN_LABELS, labels_of(1, 2, 3, 4, 5), f"expected 6 labels, one for each image of .*{TRAIN_IMAGES}, got 5"),
        (TEST_LABELS, SIX, f"expected 4 labels, one for each image of .*{TEST_IMAGES}, got 6"),
        (TRAIN_LABELS, labels_of(0, 9, 1, 10, 2, 255), "expected labels from 0 to 9, got 10 at index 3"),
        (TEST_LABELS, labels_of(0, 1, 2, 200), "expected labels from 0 to 9, got 200 at index 3"),
        (
            TEST_IMAGES,
            digits.idx_bytes(np.zeros((4, 2, 3), np.uint8)),
            rf"expected images \(3, 2\), like those of .*{TRAIN_IMAGES}, got \(2, 3\)",
        ),
    ],
)
def test_load__raises_on_files_that_are_not_what_they_should_be(name, content, message, small):
    folder, _ = small
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{folder / name}: {message}"):
        load_mnist(folder)


def test_mapped_folders_are_plain_and_not_the_cache(tmp_path, small):
    folder, arrays = small
    loaded = load_mnist(folder, mmap=True)
    assert_holds(loaded, arrays)
    assert all(isinstance(array, np.memmap) for array in loaded)
    (folder / TRAIN_IMAGES).unlink()
    idx.write_idx(folder / f"{TRAIN_IMAGES}.gz", arrays[TRAIN_IMAGES])
    with pytest.raises(ValueError, match=rf"^{folder / TRAIN_IMAGES}.gz: expected an uncompressed file"):
        load_mnist(folder, mmap=True)
    with pytest.raises(ValueError, match=r"^mmap: expected a folder with uncompressed files, .*, got the cache$"):
        load_mnist(mmap=True)

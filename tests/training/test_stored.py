"""Data in memory-mapped files: trainings, predictions and checkpoints as of arrays in memory, to the last bit."""

import mmap

import numpy as np
import pytest

import pyham
from pyham import _check, images
from pyham.architectures.lift import Scaling
from pyham.training import Protocol, train
from pyham.training.samples import outputs_of, samples, weights_of
from pyham.training.schedules import Cosine
from pyham.training.stored import Stored, checked, mapped
from pyham.training.tables import untrained

B, VALIDATION = 700, 300


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 64 samples, the fewest: what goes through them takes several, the last one longer."""
    monkeypatch.setattr(_check, "PART", 64)


@pytest.fixture
def stored(tmp_path):
    """A function that puts an array into a file, and maps it."""

    def put(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return put


def points(rng, count, width=4):
    x = rng.standard_normal((count, width))
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def same(one, other):
    """Whether two models and their histories are equal bit by bit."""
    for found, right in zip(one.describe()[1].values(), other.describe()[1].values(), strict=True):
        np.testing.assert_array_equal(found, right)
    assert one.history.plain()[0] == other.history.plain()[0]
    for name, column in one.history.plain()[1].items():
        np.testing.assert_array_equal(column, other.history.plain()[1][name])


def both(begin, options, stored, x, labels, validation, weights=None):
    """Trainings on arrays, and on the same arrays in files."""
    given = {"sample_weight": weights, "rng": 1, "validation": validation} | options
    kept = train(begin, x, labels, **given)
    if weights is not None:
        given["sample_weight"] = stored(weights)
    found = train(begin, stored(x), stored(labels), **given | {"validation": tuple(map(stored, validation))})
    same(found, kept)
    assert np.isfinite(found.history.validation_loss).all()
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scheme", ["joint", "alternating"])
@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f8", "i2"])
def test_points_are_learnt_alike(dtype, scheme, weighted, stored, rng):
    (x, labels), (x_new, labels_new) = points(rng, B), points(rng, VALIDATION)
    x, x_new = (np.round(3 * part).astype(dtype) if dtype == "i2" else part.astype(dtype) for part in (x, x_new))
    loss = "softmax" if weighted else "logistic"
    protocol = Protocol(epochs=2, output_epochs=2, batch=50, scheme=scheme, loss=loss, noise=0.1)
    weights = rng.random(B) if weighted else None
    options = {"protocol": protocol, "class_weight": "balanced" if weighted else None}
    for kind in (np.float64, np.float32):
        net = pyham.H2(4, 3, 0.1).init(0, dtype=kind)
        found = both(net, options, stored, x, labels.astype(np.uint8), (x_new, labels_new), weights)
        np.testing.assert_array_equal(found.logits(stored(x_new)), found.logits(x_new))
        np.testing.assert_array_equal(found.predict(stored(x_new)), found.predict(x_new))
        assert found.accuracy(stored(x_new), stored(labels_new)) == found.accuracy(x_new, labels_new)


@pytest.mark.parametrize("weighted", [False, True])
def test_only_labels_in_a_file_and_only_samples_in_one_are_learnt_alike(weighted, stored, rng):
    """In phases of several parts, each of several batches, with a rate that falls; the last batch is shorter."""
    (x, labels), net = points(rng, 100), pyham.MS3(4, 2, 0.1).init(0)
    protocol = Protocol(epochs=1, output_epochs=3, batch=7, schedule=Cosine())
    options = {"protocol": protocol, "rng": 1, "sample_weight": rng.random(100) if weighted else None}
    kept = train(net, x, labels, validation=(x, labels), **options)
    same(train(net, x, stored(labels), validation=(x, stored(labels)), **options), kept)
    same(train(net, stored(x), labels, validation=(stored(x), labels), **options), kept)


@pytest.mark.parametrize("lift", ["learnt", "zeros"])
@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_scaled_values_are_learnt_alike(loss, lift, stored, rng):
    x, x_new = rng.standard_normal((B, 5)) * 3 + 1, rng.standard_normal((VALIDATION, 5))
    values, values_new = np.abs(x[:, :2]), np.abs(x_new[:, :2])
    units = None if loss == "poisson" else Scaling.of(values)
    begin = untrained(5, 2, 0, loss=loss, lift=lift, width=8, depth=2, inputs=Scaling.of(x), units=units)
    for scheme in ("joint", "alternating"):
        options = {"protocol": Protocol(epochs=1, output_epochs=2, scheme=scheme, loss=loss, batch=64, rate=0.01)}
        found = both(begin, options, stored, x, values, (x_new, values_new))
        np.testing.assert_array_equal(found.predict(stored(x_new)), found.predict(x_new))
        assert found.score(stored(x_new), stored(values_new)) == found.score(x_new, values_new)


def test_images_are_learnt_alike(stored, rng):
    pixels, labels = rng.integers(0, 256, (B, 8, 8)).astype(np.uint8), rng.integers(0, 3, B)
    weights = rng.random(B)
    pixelwise = images.image_architecture("H2", rows=8, columns=8, width=4, depth=2)
    for arch in (images.ConvH2(8, 8, width=2, depths=(1, 1)), pixelwise):
        options = {"rng": 0, "shift": 1, "validation": (pixels[:VALIDATION], labels[:VALIDATION])}
        kept = images.train(arch, pixels, labels, sample_weight=weights, **options)
        options["validation"] = tuple(map(stored, options["validation"]))
        found = images.train(arch, stored(pixels), stored(labels), sample_weight=stored(weights), **options)
        same(found, kept)
        np.testing.assert_array_equal(found.logits(stored(pixels)), kept.logits(pixels))
        np.testing.assert_array_equal(found.lifted(stored(pixels[:5])), kept.lifted(pixels[:5]))


def test_a_training_begun_in_memory_goes_on_from_files(stored, tmp_path, rng):
    x, labels = points(rng, B)
    net, protocol = pyham.H1(4, 2, 0.1).init(0), Protocol(epochs=2, output_epochs=2, batch=50)
    options = {"protocol": protocol, "rng": 1, "checkpoint": tmp_path / "state"}

    def stop(epoch):
        if epoch.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(net, x, labels, callback=stop, **options)
    found = train(net, stored(x), stored(labels), resume=True, **options)
    same(found, train(net, x, labels, protocol=protocol, rng=1))
    x[-1, -1] += 1
    with pytest.raises(ValueError, match="x: expected the data that the training began with, got others"):
        train(net, stored(x), stored(labels), resume=True, **options)


def test_arrays_in_files_are_recognised(stored, tmp_path, rng):
    x = stored(rng.standard_normal((5, 3)))
    (tmp_path / "bytes").write_bytes(bytes(80))
    with open(tmp_path / "bytes", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        raw = np.frombuffer(whole, np.float64)
        assert mapped(raw[1:])
        del raw
    assert mapped(x) and mapped(np.asarray(x)[1:, ::2]) and mapped(x.T)
    assert not mapped(x + 1) and not mapped(x[[0, 1]]) and not mapped(np.array(x)) and not mapped([1.0])


def test_rows_that_are_read_are_arrays_in_memory(stored, rng):
    x = rng.standard_normal((300, 3))
    found = checked("x", stored(x), ("B", 3)).then(lambda rows: 2 * rows.astype(np.float32))
    assert isinstance(found, Stored) and found.shape == (300, 3) and found.dtype == np.float32 and len(found) == 300
    for rows in (slice(5, 9), [7, 2, 2], slice(0, 0), slice(None)):
        part = checked("x", stored(x), None)[rows]
        np.testing.assert_array_equal(part, x[rows])
        assert part.flags.owndata and part.flags.writeable and not mapped(part)
        np.testing.assert_array_equal(found[rows], 2 * x[rows].astype(np.float32))


@pytest.mark.parametrize("place", [0, 63, 64, 299])
@pytest.mark.parametrize("put", [np.asarray, None])
def test_train__raises_on_what_is_wrong_in_any_part(place, put, stored, rng):
    """The same words for arrays in memory and in files."""
    put, (x, labels), net = put or stored, points(rng, 300), pyham.H1(4, 1, 0.1).init(0)
    for values, column, change in ((x, 2, np.nan), (x, 0, np.inf)):
        wrong = values.copy()
        wrong[place, column] = change
        with pytest.raises(
            ValueError, match=rf"^x: expected finite numbers, got {change} at index \({place}, {column}\)$"
        ):
            train(net, put(wrong), labels)
    for change in (2, -1):
        wrong = labels.copy()
        wrong[place] = change
        with pytest.raises(ValueError, match=rf"^labels: expected 0 and 1, got {change}$"):
            train(net, put(x), put(wrong))
    wrong = labels.copy()
    wrong[place] = 3
    softmax, poisson = Protocol(loss="softmax"), Protocol(loss="poisson")
    with pytest.raises(ValueError, match=r"^labels: expected every class from 0 to 3 at least once$"):
        train(net, put(x), put(wrong), protocol=softmax)
    wrong[place] = 300
    with pytest.raises(ValueError, match=r"^labels: expected integers from 0 to C - 1, got 300 among 300$"):
        train(net, put(x), put(wrong), protocol=softmax)
    values = np.ones(300)
    values[place] = -0.5
    with pytest.raises(ValueError, match=r"^labels: expected numbers >= 0 for the Poisson loss, got -0.5$"):
        train(net, put(x), put(values), protocol=poisson)
    with pytest.raises(ValueError, match=r"^x: expected shape \(B, 4\), got \(300, 3\)$"):
        train(net, put(x[:, :3]), put(labels))
    with pytest.raises(ValueError, match=r"^labels: expected shape \(300,\), got \(299,\)$"):
        train(net, put(x), put(labels[1:]))
    with pytest.raises(TypeError, match=r"^x: expected numbers, got dtype <U1$"):
        train(net, put(np.full((300, 4), "a")), put(labels))


def test_weights_of_classes_count_all_parts(stored):
    labels = stored(np.repeat([0, 1, 0, 2], 100))
    _, given = samples("", stored(np.zeros((400, 4))), labels, pyham.H1(4, 1, 0.1).init(0), "softmax")
    weights = weights_of(400, np.full(400, 2.0), given, "balanced")
    np.testing.assert_allclose(weights, np.repeat([2 / 3, 4 / 3, 2 / 3, 4 / 3], 100), rtol=1e-15)
    assert outputs_of(given, "softmax") == 3


@pytest.mark.parametrize("count", [0, 1, 63, 64, 127, 128, 129, 1000])
@pytest.mark.parametrize("numbers", [0, 1, 8, 1000])
def test_runs_cover_all_rows_in_parts_of_one_size(count, numbers):
    runs = list(_check.runs(count, numbers))
    assert [i for run in runs for i in range(count)[run]] == list(range(count))
    sizes = [run.stop - run.start for run in runs]
    assert len(set(sizes[:-1])) <= 1 and all(size & (size - 1) == 0 and size >= 64 for size in sizes[:-1])
    assert len(sizes) == 1 or sizes[0] <= sizes[-1] < 2 * sizes[0]

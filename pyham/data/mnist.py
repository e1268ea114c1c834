"""MNIST, the handwritten digits of LeCun, Cortes and Burges: from a folder, from the cache, or downloaded into it."""

import hashlib
import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pyham.data import download, idx
from pyham.files.replacing import replace_file

Array = np.ndarray[Any, Any]


class MNIST(NamedTuple):
    """Images (B, rows, columns), 0 (background) to 255, and labels (B,), 0 to 9; all of dtype uint8."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


class File(NamedTuple):
    """Name, shape, and SHA-256 of the uncompressed file in MNIST itself."""

    name: str
    shape: tuple[int, ...]
    sha256: str


#: In the order of ``MNIST``.
FILES = (
    File(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    File(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    File(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    File(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
LIMIT = 1 << 26  #: bytes of a download to accept; the largest file has 47 million before compression
#: Tried in this order; whatever they send must have the digests above.
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


def load_mnist(path: str | os.PathLike[str] | None = None, *, mmap: bool = False) -> MNIST:
    """MNIST: 60000 training and 10000 test images (28, 28) with their labels.

    Looked for in this order:

    1. the folder ``path``, if given;
    2. the folder that the environment variable PYHAM_DATA names, if set; where none of the files are in it, go on;
    3. the cache, $XDG_CACHE_HOME/pyham/mnist or ~/.cache/pyham/mnist;
    4. HTTPS (11 MB), with a progress bar if standard error is a terminal. What came is put into the cache when all of
       it is there and has the SHA-256 of MNIST.

    A file of the cache without that SHA-256 is downloaded again. In folders of your own any digits will do: the files
    must have the usual names (train-images-idx3-ubyte or train-images.idx3-ubyte and so on, plain or with .gz) and fit
    together. With ``mmap`` they are memory-mapped, as by ``pyham.data.idx.read_idx``, for sets larger than memory: then
    a folder must have them plain, which those of the cache are not.

    Raises
    ------
    TypeError
        If ``path`` is none.
    FileNotFoundError
        If the folder does not exist or lacks some of the files.
    OSError
        If a file cannot be read, or the download fails.
    ValueError
        If a file is damaged, is not what its name says, does not fit the others, is compressed where it is to be
        mapped, or if something else than MNIST came.
        The message names the file, what was expected and what came.
    """
    if path is not None:
        return _from_folder("path", idx.file_path(path), mmap)
    named = os.environ.get("PYHAM_DATA")
    if named and (any(_places(Path(named))) or not Path(named).is_dir()):  # a folder that is not there is a mistake
        return _from_folder("PYHAM_DATA", Path(named), mmap)
    if mmap:
        raise ValueError("mmap: expected a folder with uncompressed files, path or PYHAM_DATA, got the cache")
    return _from_cache(cache_folder())


def cache_folder() -> Path:
    """Where downloaded files are kept; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification ignores relative paths
        return Path(base, "pyham", "mnist")
    try:
        return Path.home() / ".cache" / "pyham" / "mnist"
    except RuntimeError:
        raise FileNotFoundError("XDG_CACHE_HOME: expected a folder, as there is no home, got none") from None


def _places(folder: Path) -> list[Path | None]:
    """Where each of ``FILES`` is in ``folder``, None where it is not; of several spellings the first."""
    places = []
    for file in FILES:
        names = [stem + end for stem in (file.name, file.name.replace("-idx", ".idx")) for end in ("", ".gz")]
        places.append(next((folder / name for name in names if (folder / name).is_file()), None))
    return places


def _from_folder(source: str, folder: Path, mmap: bool) -> MNIST:
    """Any digits in the usual files, if they fit together."""
    found = _places(folder)
    places = [place for place in found if place is not None]
    if len(places) < len(FILES):
        without = ", ".join(file.name for file, place in zip(FILES, found, strict=True) if place is None)
        raise FileNotFoundError(f"{source}: expected a folder with the files of MNIST, got {folder} without {without}")
    arrays = []
    for place, file in zip(places, FILES, strict=True):
        shape = ("B", "rows", "columns") if len(file.shape) == 3 else ("B",)
        with open(place, "rb") as stream:
            arrays.append(idx.parse(stream, str(place), shape=shape, dtype="uint8", mmap=mmap))
    for images, labels in ((0, 1), (2, 3)):
        _check_labels(places[labels], arrays[labels], places[images], len(arrays[images]))
    if arrays[2].shape[1:] != arrays[0].shape[1:]:
        raise ValueError(
            f"{places[2]}: expected images {arrays[0].shape[1:]}, like those of {places[0]}, got {arrays[2].shape[1:]}"
        )
    return MNIST(*arrays)


def _check_labels(name: Path, labels: Array, images: Path, count: int) -> None:
    if len(labels) != count:
        raise ValueError(f"{name}: expected {count} labels, one for each image of {images}, got {len(labels)}")
    if (labels > 9).any():
        place = int(np.argmax(labels > 9))
        raise ValueError(f"{name}: expected labels from 0 to 9, got {labels[place]} at index {place}")


def _from_cache(folder: Path) -> MNIST:
    """MNIST itself; what is missing in ``folder`` or damaged is downloaded, and kept only when all of it has come."""
    arrays: dict[str, Array] = {}
    bodies: dict[str, bytes] = {}
    for file in FILES:
        with suppress(FileNotFoundError, ValueError), open(folder / f"{file.name}.gz", "rb") as stream:
            arrays[file.name] = _genuine(stream, stream.name, file)
    for file in FILES:
        if file.name not in arrays:
            bodies[file.name], arrays[file.name] = _download(file)
    for name, body in bodies.items():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / f"{name}.gz", body)
    return MNIST(*(arrays[file.name] for file in FILES))


def _download(file: File) -> tuple[bytes, Array]:
    """A file as it came, and the array in it, from the first mirror that has the right one."""
    failures: list[Exception] = []
    with download.progress(file.name) as report:
        for mirror in MIRRORS:
            url = f"{mirror}{file.name}.gz"
            try:
                body = download.fetch(url, LIMIT, report)
                return body, _genuine(BytesIO(body), url, file)
            except (OSError, ValueError) as error:
                failures.append(error)
    kind = ValueError if any(isinstance(failure, ValueError) for failure in failures) else OSError
    found = "; ".join(map(str, failures))
    raise kind(f"MNIST: expected to download {file.name}, got: {found}; a folder with the files may be given instead")


def _genuine(stream: BinaryIO, name: str, file: File) -> Array:
    """The array in ``stream``, if the digest of its uncompressed bytes is that of ``file``."""
    array = idx.parse(stream, name, shape=file.shape, dtype="uint8")
    digest = hashlib.sha256(idx.header(array))
    digest.update(array.data)  # header and data are the whole file: the parser takes nothing else
    if digest.hexdigest() != file.sha256:
        raise ValueError(f"{name}: expected SHA-256 {file.sha256} uncompressed, got {digest.hexdigest()}")
    return array

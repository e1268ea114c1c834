"""``python -m pyham certify FILE``."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham import _check, images
from pyham.architectures.images import ImageArchitecture
from pyham.commands import saved
from pyham.commands.program import say
from pyham.data import plane as datasets
from pyham.data import tables
from pyham.files import archive
from pyham.files.numpy_files import is_npz, read_npy
from pyham.files.replacing import check_writable
from pyham.interop import arrays
from pyham.loading import load
from pyham.network import Network
from pyham.training.predictor import Predictor
from pyham.verification.certificate import Certificate


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Certificate of the network in FILE: what net.save or a training wrote, or an .npz file with arrays K (N, n, "
        "n), b (N, n), a number h and, where they apply, J (n, n) and the words scheme, order and activation. Exit "
        "code 1 when something that theory guarantees does not hold, or a control does not fail."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="PATH",
        help="samples x (B, n) as an .npy file or a table of n columns; of models of tables, rows with their columns",
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="image networks: folder with MNIST's files (PYHAM_DATA, or a cache)"
    )
    parser.add_argument("--images", type=int, default=100, metavar="B", help="image networks: test images (100)")
    parser.add_argument(
        "--full", type=int, metavar="B", help="image networks: images whose whole Phi is computed (ConvH2: 1)"
    )
    parser.add_argument("--random", type=int, default=100, metavar="B", help="without --samples: B normal ones (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the random samples (0)")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="of the computation (float64)"
    )
    parser.add_argument("--balls", action="store_true", help="proofs in ball arithmetic (needs python-flint)")
    parser.add_argument("--digits", type=int, default=40, help="of the proofs (40)")
    parser.add_argument("--radius", type=float, help="prove bounds for every input within this distance of a sample")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the certificate there, too")
    parser.add_argument("--store", action="store_true", help="keep the certificate in FILE, where info shows it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the certificate of a file; 0 if it passed, else 1."""
    foreign = is_npz(options.file)
    if options.store:
        if foreign:
            raise ValueError(f"--store: expected a file that pyham has written, got {options.file}")
        check_writable(options.file)
    found = arrays.read_arrays(options.file) if foreign else load(options.file)
    if isinstance(found, Predictor) and found.images:
        certificate = of_images(found, options)
    else:
        certificate = of_vectors(found, options)
    if options.store:
        header, content = archive.read(options.file)
        archive.write(options.file, header | {"certificate": certificate.to_dict()}, content)
    say([certificate], options.json, certificate.to_dict())
    return 0 if certificate.passed else 1


def of_vectors(model: Any, options: argparse.Namespace) -> Certificate:
    """The certificate of a network of vectors, alone or in a trained model, on given samples or random states."""
    net: Network = model if isinstance(model, Network) else model.net
    if isinstance(net.arch, ImageArchitecture):
        raise ValueError(f"{options.file}: expected a classifier, whose lift makes states of images, got a network")
    if options.samples:
        x = states(model, options.samples, options.dtype)
    else:
        if options.random < 0 or options.seed < 0:
            raise ValueError(f"--random, --seed: expected integers >= 0, got {options.random}, {options.seed}")
        _check.affordable("--random", options.random * net.arch.width)
        x = np.random.default_rng(options.seed).standard_normal((options.random, net.arch.width))
    arithmetic = "balls" if options.balls else "float"
    samples = np.asarray(x).astype(options.dtype)
    return pyham.certify(net, samples, arithmetic=arithmetic, digits=options.digits, radius=options.radius)


def states(model: Any, path: Path, dtype: str) -> Any:
    """y_0 (B, n) of the samples in a file: states themselves, or what a trained model makes of rows."""
    if saved.columns_of(model) is None and path.suffix.lower() not in (".csv", ".npz"):
        x = read_npy(path)
        if x.dtype.kind not in "biuf":
            raise TypeError(f"--samples: expected an array of real numbers, got {x.dtype}")
    else:
        x = saved.samples(model, tables.read(path))
    return x if isinstance(model, Network) else model.lifted(x, np.dtype(dtype))


def of_images(classifier: Any, options: argparse.Namespace) -> Certificate:
    """The certificate of a classifier of images, on test images."""
    if options.images < 1:
        raise ValueError(f"--images: expected an integer >= 1, got {options.images}")
    pixels = datasets.load_mnist(options.data).test_images[: options.images]
    return images.certify(classifier, pixels, full=options.full, dtype=np.dtype(options.dtype))

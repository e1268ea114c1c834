"""``python -m pyham train mnist``."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham import images
from pyham.commands import configuration, protocol_options
from pyham.commands.planar import NETWORK, add_kinds, check_files, kinds, report, stream, trained
from pyham.commands.protocol_options import named, option
from pyham.data import plane as datasets
from pyham.images import INITIALIZATIONS, ImageArchitecture
from pyham.training.images import untrained
from pyham.training.optimizers import Adam
from pyham.training.samples import split
from pyham.training.saver import CONFIGURATION

Array = np.ndarray[Any, Any]

DATA = {"mnist": "handwritten digits, 28 x 28 pixels"}
CLASSES = 10

EPILOG = (
    "A share of the training images is held out for validation; the test images take no part in anything but the last "
    "line. An H-DNN of vectors acts on the 8 channels of every pixel, behind a convolution and before a linear layer; "
    "ConvH2 has convolutions for weights, in --groups of --depth layers, at half the resolution and four times the "
    "channels from group to group; it has other defaults, --epochs 6 --batch 50 --rate 0.005, and relu. Everything "
    "follows from --seed. With --checkpoint, a run that was stopped, or killed, goes on with the same command and "
    "--resume, and ends with the same bits. Exit code 0, or 2 for wrong options or files or numbers that overflow, or "
    "130 after Ctrl-C."
)
BY_ARCHITECTURE = ("epochs", "batch", "rate")  # defaults differ
#: Only some architectures have these: option -> those that do.
OWN = {
    "groups": ("ConvH2",), "scheme": ("MS1", "MS3", "H2"), "order": ("MS1", "MS3", "H2"), "interconnection": ("H1",),
    "damping": ("MS1", "MS3", "H2", "H1", "ConvH2"), "dissipation": ("H1",),
}  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Train a network on handwritten digits."
    parser.epilog = EPILOG
    data = parser.add_argument_group("data")
    data.add_argument("--data", dest="folder", type=Path, metavar="PATH", help="folder with MNIST's files; otherwise "
                      "the folder PYHAM_DATA, a cache, or a download")  # fmt: skip
    data.add_argument(
        "--validation", type=float, default=1 / 12, metavar="FLOAT", help="share of the training images held out (1/12)"
    )
    data.add_argument("--shift", type=int, default=1, metavar="INT", help="by how many pixels training images are "
                      "moved, at most, anew in every epoch (1)")  # fmt: skip
    data.add_argument(
        "--seed", type=int, default=0, metavar="INT", help="of the split, weights, batches and shifts (0)"
    )
    network = parser.add_argument_group("network")
    names = (*pyham.ARCHITECTURES, "ConvH2")
    network.add_argument("--architecture", choices=names, default="H2", help="(H2)")
    network.add_argument("--depth", type=int, metavar="INT", help="layers (4); of ConvH2 in each group (2)")
    network.add_argument("--groups", type=int, metavar="INT", help="of ConvH2 (3)")
    network.add_argument("--width", type=int, metavar="INT", help="channels of the lifted image (8; ConvH2: 4)")
    network.add_argument("--step", type=float, metavar="FLOAT", help="h (1; ConvH2: 0.5)")
    add_kinds(network, "(tanh; ConvH2: relu)")
    network.add_argument("--initialization", choices=INITIALIZATIONS, default="centred", help="(centred)")
    network.add_argument("--gain", type=float, metavar="FLOAT", help="of the linear layer (0.025; ConvH2: 0.3)")
    network.add_argument("--dtype", choices=("float64", "float32"), default="float32", help="(float32)")
    protocol_options.add(parser, images.RECOMMENDED)
    parser.set_defaults(**dict.fromkeys(BY_ARCHITECTURE))
    files = protocol_options.files(parser, "keep the training there", "settings, history and accuracies")
    files.add_argument("--save", type=Path, metavar="PATH", help="write the classifier there; pyham.load reads it")
    configuration.add(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and print the accuracies."""
    check_files(options)
    usual = images.CONVOLUTIONAL if options.architecture == "ConvH2" else images.RECOMMENDED
    for name in BY_ARCHITECTURE:
        if getattr(options, name) is None:
            setattr(options, name, getattr(usual, name))
    if options.beta2 is None and isinstance(usual.optimizer, Adam) and options.optimizer != "sgd":
        options.beta2 = usual.optimizer.beta2
    protocol = protocol_options.protocol(options)
    digits = datasets.load_mnist(options.folder)
    arch = architecture(options, digits.train_images.shape[1:])
    fitting, validation = named(
        {"validation": "--validation"}, split, digits.train_images, digits.train_labels, options.validation,
        stream(options, 1),
    )  # fmt: skip
    first = named(
        {"gain": "--gain"}, untrained, arch, stream(options, 2), classes=CLASSES, gain=options.gain,
        initialization=options.initialization, dtype=options.dtype,
    )  # fmt: skip
    about = {option(name): getattr(options, name) for name in ("seed", "validation", "initialization")}
    about[CONFIGURATION] = configuration.effective(options)
    where = f"{options.architecture}, {first.net.arch.depth} layers"
    classifier = trained(
        options, first, fitting, where, protocol, shift=options.shift, validation=validation, about=about
    )
    if options.save:
        classifier.save(options.save)
    test = digits.test_images, digits.test_labels
    settings = ("validation", "shift", "seed", "initialization", "dtype")
    report(
        options, protocol, classifier, {"train": fitting, "validation": validation, "test": test}, where, settings,
        gain=classifier.head.gain,
    )  # fmt: skip
    return 0


def architecture(options: argparse.Namespace, image: tuple[int, ...]) -> ImageArchitecture:
    """The architecture that the options describe, for images of that shape."""
    for name, having in OWN.items():
        if getattr(options, name) is not None and options.architecture not in having:
            raise ValueError(f"{option(name)}: expected an option of {options.architecture}, got one of {having[0]}")
    chosen = kinds(options)
    convolutional = options.architecture == "ConvH2"
    chosen["step"] = (0.5 if convolutional else 1.0) if options.step is None else options.step
    chosen["width"] = (4 if convolutional else 8) if options.width is None else options.width
    depth = (2 if convolutional else 4) if options.depth is None else options.depth
    if convolutional:
        if options.groups is not None and not 1 <= options.groups <= 12:
            raise ValueError(f"--groups: expected an integer from 1 to 12, got {options.groups}")
        chosen["depths"] = (depth,) * (3 if options.groups is None else options.groups)
    else:
        chosen["depth"] = depth
    names = {name: option(name) for name in ("width", "depth", "step", *NETWORK)}
    names["depths"] = "--depth, --groups"
    build = images.image_architecture
    built: ImageArchitecture = named(names, build, options.architecture, rows=image[0], columns=image[1], **chosen)
    return built

"""``python -m pyham train swiss-roll`` and the other sets of points in the plane."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pyham
from pyham.commands import configuration, own, protocol_options, seeds
from pyham.commands.program import say
from pyham.commands.progress import Bar
from pyham.commands.protocol_options import named, option
from pyham.data import plane as datasets
from pyham.network import Network
from pyham.training.classifier import Classifier
from pyham.training.protocol import RECOMMENDED, Protocol
from pyham.training.samples import split as held_out
from pyham.training.saver import CONFIGURATION
from pyham.training.trainer import train

Array = np.ndarray[Any, Any]

DATA: dict[str, tuple[Callable[..., tuple[Array, Array]], str]] = {
    "swiss-roll": (datasets.swiss_roll, "two spirals"),
    "double-circles": (datasets.double_circles, "four circles, two classes"),
    "double-moons": (datasets.double_moons, "two pairs of half circles"),
}

EPILOG = (
    "Half of the samples are for testing, and take no part in anything but the last line; a share of the others is "
    "held out for validation. The defaults were chosen by its accuracy, for H1 and H2; the papers' own are --training "
    "alternating --schedule constant --rate 0.05 --epochs 50 --final-time 1.2. Everything follows from --seed. With "
    "--checkpoint, a run that was stopped, or killed, goes on with the same command and --resume, and ends with the "
    "same bits. Exit code 0, or 1 when a training of --seeds failed, or 2 for "
    "wrong options or files or numbers that overflow, or 130 after Ctrl-C."
)
#: Options that some architectures have.
NETWORK = ("activation", "scheme", "order", "interconnection", "damping", "dissipation")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Train a Hamiltonian network on points in the plane."
    parser.epilog = EPILOG
    data = parser.add_argument_group("data")
    data.add_argument("--samples", type=int, default=8000, metavar="INT", help="half of them for testing (8000)")
    data.add_argument(
        "--validation", type=float, default=0.1, metavar="FLOAT", help="share of the others that is held out (0.1)"
    )
    seeds.add(parser, data, "of data, weights and batches")
    network = parser.add_argument_group("network")
    network.add_argument("--architecture", choices=tuple(pyham.ARCHITECTURES), default="H2", help="(H2)")
    network.add_argument("--width", type=int, default=4, metavar="INT", help="n (4)")
    network.add_argument("--depth", type=int, default=64, metavar="INT", help="layers N (64)")
    time = network.add_mutually_exclusive_group()
    time.add_argument("--final-time", type=float, default=3.0, metavar="FLOAT", help="T = N h (3)")
    time.add_argument("--step", type=float, metavar="FLOAT", help="h, in place of T")
    add_kinds(network, "(tanh)")
    network.add_argument("--initialization", choices=("normal", "scaled-normal"), default="normal", help="(normal)")
    network.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="(float64)")
    protocol_options.add(parser, RECOMMENDED)
    protocol_options.files(parser, "keep the training there; pyham.load reads it", "settings, history and accuracies")
    configuration.add(parser)
    parser.set_defaults(run=run)


def add_kinds(group: Any, activation: str) -> None:
    """Declare the options in ``NETWORK``."""
    group.add_argument("--activation", choices=tuple(pyham.ACTIVATIONS), help=activation)
    group.add_argument("--scheme", choices=("semi-implicit", "verlet", "yoshida4"), help="of MS1, MS3 and H2")
    group.add_argument("--order", choices=("p-first", "q-first"), help="of MS1, MS3 and H2")
    group.add_argument("--interconnection", choices=("J1", "J2", "learnt"), help="of H1")
    group.add_argument("--damping", metavar="RATE", help="of MS1, MS3, H2 and H1: a number, P,Q of the first three, or "
                       "learnt")  # fmt: skip
    group.add_argument("--dissipation", metavar="R", help="of H1: a number for R I, or learnt")


def kinds(options: argparse.Namespace) -> dict[str, Any]:
    """Those of the options in ``NETWORK`` that are given, as an architecture takes them."""
    found = {name: getattr(options, name) for name in NETWORK if getattr(options, name) is not None}
    for name in ("damping", "dissipation"):
        if name in found and found[name] != "learnt":
            try:
                values = [float(word) for word in found[name].split(",")]
            except ValueError:
                raise ValueError(f"--{name}: expected a number, or 'learnt', got {found[name]}") from None
            found[name] = values[0] if len(values) == 1 else values
    return found


def run(options: argparse.Namespace) -> int:
    """Train, and print the accuracies."""
    check_files(options)
    seeds.check(options)
    protocol = protocol_options.protocol(options)
    net = network(options, protocol.levels)
    where = f"{options.architecture}, {options.depth} layers"
    if options.seeds is not None:
        return seeds.run(options, outcome, {"data": options.data}, f"{options.data}, {where}: accuracy", percent)
    classifier, sets = learnt(options, net, where, protocol)
    settings = ("samples", "validation", "seed", "initialization", "dtype")
    report(options, protocol, classifier, sets, where, settings)
    return 0


def outcome(run: dict[str, Any]) -> dict[str, float | None]:
    """Accuracies of a training in a sweep, from its data set and its options."""
    own.imported([])
    parser = configuration.ConfiguredParser()
    add(parser)
    options = parser.parse_args(configuration.words(parser, run["options"]))
    options.data, options.silent = run["data"], True
    protocol = protocol_options.protocol(options)
    return accuracies(*learnt(options, network(options, protocol.levels), "", protocol))


def percent(share: float) -> str:
    """A share in a table."""
    return f"{100 * share:.2f} %"


def learnt(
    options: argparse.Namespace, net: Network, title: str, protocol: Protocol
) -> tuple[Classifier, dict[str, tuple[Array, Array] | None]]:
    """The trained classifier, and the samples that it was trained on, validated and to be tested with."""
    fitting, validation, test = split(options)
    about = {option(name): getattr(options, name) for name in ("data", "samples", "seed", "validation")}
    about |= {option("initialization"): options.initialization, CONFIGURATION: configuration.effective(options)}
    classifier = trained(options, net, fitting, title, protocol, validation=validation, about=about)
    return classifier, {"train": fitting, "validation": validation, "test": test}


def trained(
    options: argparse.Namespace, first: Network | Classifier, data: tuple[Array, Array], title: str, protocol: Protocol,
    **more: Any,
) -> Classifier:  # fmt: skip
    """The classifier that training leads to, with a bar on the way."""
    names = {name: option(name) for name in ("rate", "patience", "save_every", "shift", "validation", "loss", "levels")}
    with Bar(title, visible=not getattr(options, "silent", False)) as bar:
        classifier: Classifier = named(
            names | {"scheme": "--training"}, train, first, *data, protocol=protocol, rng=stream(options, 3),
            callback=bar, checkpoint=options.checkpoint, save_every=options.save_every, resume=options.resume,
            **more,
        )  # fmt: skip
    return classifier


def check_files(options: argparse.Namespace) -> None:
    """Refuse options that do not fit together before anything else is done."""
    if options.resume and options.checkpoint is None:
        raise ValueError("--resume: expected --checkpoint PATH as well, got none")
    if options.checkpoint is not None and options.checkpoint.exists() and not options.resume:
        raise ValueError(f"--checkpoint: expected a new file, or --resume to go on, got {options.checkpoint}")
    if options.seed < 0:
        raise ValueError(f"--seed: expected an integer >= 0, got {options.seed}")


def stream(options: argparse.Namespace, number: int) -> np.random.Generator:
    """A generator of its own for data (0), the split (1), weights (2) and batches (3)."""
    return np.random.default_rng([options.seed, number])


def network(options: argparse.Namespace, levels: int) -> Network:
    """The network to begin with: of --depth layers, or of so many that doublings lead there."""
    depth, rest = divmod(options.depth, 2 ** (levels - 1))
    if rest or options.depth < 0:
        raise ValueError(
            f"--depth: expected a multiple of {2 ** (levels - 1)} for --levels {levels}, got {options.depth}"
        )
    if options.step is None and not 0 < options.final_time < np.inf:
        raise ValueError(f"--final-time: expected a positive finite number, got {options.final_time}")
    step = options.final_time / max(1, options.depth) if options.step is None else options.step
    chosen = kinds(options)
    names = {name: option(name) for name in ("width", "depth", "step", *NETWORK)}
    arch = named(
        names, pyham.architecture, options.architecture, width=options.width, depth=depth,
        step=step * 2 ** (levels - 1), **chosen,
    )  # fmt: skip
    initial: Network = arch.init(stream(options, 2), initialization=options.initialization, dtype=options.dtype)
    return initial


def split(
    options: argparse.Namespace, **where: Any
) -> tuple[tuple[Array, Array], tuple[Array, Array] | None, tuple[Array, Array]]:
    """(x, labels) to fit, to validate, or None, and to test; ``where`` are the channels, if not the first and last."""
    if options.samples < 4:
        raise ValueError(f"--samples: expected an integer >= 4, got {options.samples}")
    draw, _ = DATA[options.data]
    names = {"samples": "--samples", "width": "--width", "channels": "--channels"}
    points = named(names, draw, options.samples, width=options.width, rng=stream(options, 0), **where)
    x, labels, x_test, labels_test = datasets.train_test_split(*points)
    parts = named({"validation": "--validation"}, held_out, x, labels, options.validation, stream(options, 1))
    return *parts, (x_test, labels_test)


def accuracies(classifier: Classifier, sets: dict[str, Any]) -> dict[str, float | None]:
    """Shares of samples classified right, None for a set that there is not."""
    return {name: None if data is None else classifier.accuracy(*data) for name, data in sets.items()}


def report(
    options: argparse.Namespace, protocol: Protocol, classifier: Classifier, sets: dict[str, Any], where: str,
    settings: tuple[str, ...], further: Sequence[str] = (), **more: Any,
) -> None:  # fmt: skip
    """The file of --json, with these options, what all trainings have, and more; then the last lines."""
    accuracy = accuracies(classifier, sets)
    words = [f"{name} {percent(value)}" for name, value in accuracy.items() if value is not None]
    result = {"pyham": pyham.__version__, "data": options.data} | {name: getattr(options, name) for name in settings}
    result |= {
        "architecture": classifier.net.arch.config(),
        "protocol": protocol.config(),
        "accuracy": accuracy,
        "history": classifier.history.to_dict(),
        **more,
    }
    if hasattr(options, "parser"):
        result["configuration"] = configuration.effective(options)
    line = f"{options.data}, {where}, seed {options.seed}: accuracy {', '.join(words)}"
    say([line, *further], options.json, result)

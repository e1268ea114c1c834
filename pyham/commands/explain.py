"""``python -m pyham explain``."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham import _check
from pyham.commands.planar import NETWORK, add_kinds, kinds
from pyham.commands.program import STANDARD_OUTPUT, say
from pyham.commands.protocol_options import named, option
from pyham.commands.saved import columns_of, samples
from pyham.data import tables
from pyham.files.numpy_files import is_npz, read_npy
from pyham.files.replacing import check_writable
from pyham.interop import arrays
from pyham.loading import load
from pyham.network import Network
from pyham.teaching.explain import Explanation, explain
from pyham.teaching.explain_drawing import SUFFIXES
from pyham.teaching.explain_model import explain_model
from pyham.training.predictor import Predictor

Array = np.ndarray[Any, Any]

DEFAULTS: dict[str, Any] = {"architecture": "H2", "width": 2, "depth": 2, "step": 0.5}  # without FILE
LARGEST = 1 << 22  # numbers of a layer's state or weights
LONGEST = 1 << 16  # layers that are shown, times all that their derivatives run through


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Every number of one sample's forward and backward pass: name, formula, value, place in the code, and how far "
        "it deviates from the same number computed otherwise. Without FILE of a small network with random weights; "
        "FILE is what net.save or a training wrote, or an .npz file as of certify. Exit code 1 when a check fails."
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE")
    network = parser.add_argument_group("network, without FILE")
    network.add_argument("--architecture", choices=tuple(pyham.ARCHITECTURES), help="(H2)")
    network.add_argument("--width", type=int, metavar="INT", help="n (2)")
    network.add_argument("--depth", type=int, metavar="INT", help="layers N (2)")
    network.add_argument("--step", type=float, metavar="FLOAT", help="h (0.5)")
    add_kinds(network, "(tanh)")
    sample = parser.add_argument_group("sample and loss")
    numbers = "numbers such as 1,2, or an .npy file"
    sample.add_argument("--x", metavar="NUMBERS", help=f"the sample: {numbers} (random ones)")
    loss = sample.add_mutually_exclusive_group()
    loss.add_argument("--target", metavar="NUMBERS", help="of the loss 1/2 |y_N - target|^2 (0)")
    loss.add_argument("--delta", metavar="NUMBERS", help="dLoss/dy_N, in place of a target")
    sample.add_argument(
        "--samples",
        type=Path,
        metavar="TABLE",
        help="of a trained model in FILE: a table, one row of which is explained",
    )
    sample.add_argument("--row", type=int, metavar="K", help="which row of TABLE, from 0 on (0)")
    sample.add_argument("--seed", type=int, default=0, help="of the random weights and sample (0)")
    sample.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="of the computation (float64)"
    )
    shown = parser.add_argument_group("what is shown, and where")
    shown.add_argument("--layer", type=int, action="append", metavar="J", help="only this layer; may be repeated (all)")
    shown.add_argument("--projector", action="store_true", help="stages side by side, to be read from far")
    shown.add_argument("--html", type=Path, metavar="PATH", help="write a page to step through")
    shown.add_argument("--figure", type=Path, metavar="PATH", help="write a picture: .png, .pdf or .svg")
    shown.add_argument("--json", type=Path, metavar="PATH", help="write every number, as JSON")
    puzzle = parser.add_argument_group("find the fault")
    puzzle.add_argument("--plant-a-fault", type=int, metavar="SEED", help="one formula is wrong, and checks are hidden")
    puzzle.add_argument("--answer", action="store_true", help="tell which, and show the checks")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the explanation; 0, or 1 if a check fails where no fault was planted."""
    check_options(options)
    explanation = of_row(options) if options.samples else explained(network(options), options)
    failed = not explanation.passed
    if options.plant_a_fault is not None:
        names = {"seed": "--plant-a-fault"}
        explanation = named(names, explanation.plant_a_fault, seed=options.plant_a_fault)
        explanation = explanation.reveal() if options.answer else explanation
    if options.html:
        explanation.to_html(options.html)
    if options.figure:
        explanation.draw(options.figure)
    columns = shutil.get_terminal_size((100 if options.projector else 80, 24)).columns
    text = explanation.text(columns, projector=options.projector)
    data = explanation.to_dict(full=True) if options.json else None
    say([text], options.json, data)
    return 1 if failed else 0


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that do not fit together, and paths that could not be written, before anything else is done."""
    for name, path in (("--html", options.html), ("--figure", options.figure)):
        if path is None:
            continue
        if path == STANDARD_OUTPUT:
            raise ValueError(f"{name}: expected the name of a file, got -")
        check_writable(path)
    if options.figure is not None and options.figure.suffix not in SUFFIXES:
        raise ValueError(f"--figure: expected a name that ends in {', '.join(SUFFIXES)}, got {options.figure}")
    if options.seed < 0:
        raise ValueError(f"--seed: expected an integer >= 0, got {options.seed}")
    if options.answer and options.plant_a_fault is None:
        raise ValueError("--answer: expected --plant-a-fault SEED as well, got none")
    if options.samples is not None:
        if options.file is None:
            raise ValueError("--samples: expected FILE with a trained model as well, got none")
        for name in ("x", "target", "delta"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name}: expected none beside --samples, got {getattr(options, name)}")
    elif options.row is not None:
        raise ValueError(f"--row: expected --samples TABLE as well, got {options.row} alone")
    if options.file is not None:
        for name in ("architecture", "width", "depth", "step", *NETWORK):
            if getattr(options, name) is not None:
                raise ValueError(f"{option(name)}: expected none beside FILE, got {getattr(options, name)}")


def network(options: argparse.Namespace) -> Network:
    """The network in FILE, or a new one with random weights."""
    if options.file is not None:
        found: Any = arrays.read_arrays(options.file) if is_npz(options.file) else load(options.file)
        net: Network = getattr(found, "net", found)  # a trained model has its network there
        return net
    chosen = {name: getattr(options, name) for name in ("architecture", "width", "depth", "step")}
    settings = DEFAULTS | {name: value for name, value in chosen.items() if value is not None} | kinds(options)
    refuse_large(settings["width"] ** 2, settings["depth"], options.layer)
    names = {name: option(name) for name in ("width", "depth", "step", *NETWORK)}
    arch = named(names, pyham.architecture, settings.pop("architecture"), **settings)
    initial: Network = arch.init(options.seed)
    return initial


def refuse_large(numbers: int, depth: int, layers: list[int] | None) -> None:
    """Refuse what nobody could read, before it takes minutes or all memory."""
    if numbers * min(depth, 1000) > LARGEST:
        raise ValueError(f"--width, --depth: expected at most {LARGEST} numbers, got {numbers * depth}")
    if depth * (depth if layers is None else len(layers)) > LONGEST:
        came = "all" if layers is None else len(layers)
        raise ValueError(f"--layer: expected fewer layers of so deep a network ({depth}), got {came}")


def explained(net: Network, options: argparse.Namespace) -> Explanation:
    """The explanation of a sample, given or random."""
    refuse_large(np.prod(net.arch.shape), net.arch.depth, options.layer)
    x = array("--x", options.x, net.arch.shape)
    if x is None:
        x = np.random.default_rng([options.seed, 1]).standard_normal(net.arch.shape)
    given = {
        name: array(option(word), getattr(options, word), net.arch.output_shape)
        for name, word in (("target", "target"), ("delta_N", "delta"))
    }
    names = {"x": "--x", "target": "--target", "delta_N": "--delta", "layers": "--layer"}
    found: Explanation = named(names, explain, net, x=x.astype(options.dtype), layers=options.layer, **given)
    return found


def of_row(options: argparse.Namespace) -> Explanation:
    """The explanation of a row of a table, through a trained model; with its class or values, if the table has them."""
    model: Any = load(options.file)
    if not isinstance(model, Predictor):
        raise ValueError(f"{options.file}: expected a trained model beside --samples, got {type(model).__name__}")
    table, row = tables.read(options.samples), options.row or 0
    x = samples(model, table)
    if not 0 <= row < len(x):
        raise ValueError(f"--row: expected a row from 0 to {len(x) - 1}, got {row}")
    refuse_large(np.prod(model.net.arch.shape), model.net.arch.depth, options.layer)
    columns, target = columns_of(model), None
    if columns is not None and set(columns.targets) <= set(table.names):
        target = columns.encode_targets(table)[row]
    found: Explanation = named({"layers": "--layer"}, explain_model, model, x[row], target, layers=options.layer)
    return found


def array(argument: str, words: str | None, shape: tuple[int, ...]) -> Array | None:
    """Numbers from the command line or an .npy file, in that shape."""
    if words is None:
        return None
    words = words or "--"  # which argparse gives as []
    if words.endswith(".npy"):
        found = read_npy(Path(words))
    else:
        try:
            found = np.array([float(word) for word in words.split(",")])
        except ValueError:
            raise ValueError(f"{argument}: expected numbers such as 1,2 or an .npy file, got {words[:80]!r}") from None
        if found.size == np.prod(shape):
            found = found.reshape(shape)
    return found if found.shape == (1, *shape) else _check.array(argument, found, shape)

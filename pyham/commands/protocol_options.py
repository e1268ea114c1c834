"""Options that say how to train, and the ``Protocol`` that they make, with its defaults; and those of files."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pyham.training.losses import CLASSES
from pyham.training.multilevel import KINDS
from pyham.training.optimizers import OPTIMIZERS
from pyham.training.protocol import Protocol
from pyham.training.schedules import SCHEDULES

#: Protocol field -> type and help; the option is --field with dashes.
PLAIN: dict[str, tuple[type[Any], str]] = {
    "epochs": (int, "of the weights, at every level"),
    "batch": (int, "samples a step"),
    "rate": (float, "learning rate"),
    "inner_rate": (float, "alternating: learning rate of output layers (that of --rate)"),
    "inner_steps": (int, "alternating: steps that fit an output layer to each batch"),
    "output_epochs": (int, "alternating: epochs of the output layer alone, at the end"),
    "alpha": (float, "factor of the smoothness penalty"),
    "alpha_c": (float, "factor of the penalty on the output layer"),
    "noise": (float, "standard deviation of noise in the features, of points and tables"),
    "decay": (float, "factor of the penalty on the weights"),
    "levels": (int, "depths to train, each twice the one before; --depth is the last"),
    "patience": (int, "end a phase after that many epochs without a lower validation loss (never)"),
}
#: Option -> the field of an optimiser or schedule, its type and help.
INNER: dict[str, tuple[str, str, type[Any], str]] = {
    "momentum": ("optimizer", "momentum", float, "of sgd (0)"),
    "nesterov": ("optimizer", "nesterov", bool, "of sgd: look ahead"),
    "beta1": ("optimizer", "beta1", float, "of adam and adamw (0.9)"),
    "beta2": ("optimizer", "beta2", float, "of adam and adamw (0.999)"),
    "eps": ("optimizer", "eps", float, "of adam and adamw (1e-8)"),
    "shrink": ("optimizer", "decay", float, "of adamw: decoupled weight decay (0.01)"),
    "factor": ("schedule", "factor", float, "of step: what the rate is multiplied by (0.8)"),
    "every": ("schedule", "every", int, "of step: after how many epochs (1)"),
    "final": ("schedule", "final", float, "of cosine: the last rate over the first (0)"),
}


def files(parser: argparse.ArgumentParser, checkpoint: str, json: str) -> Any:
    """Declare the options of files: what --checkpoint is for, and what --json writes; returns their group."""
    group = parser.add_argument_group("files")
    group.add_argument("--checkpoint", type=Path, metavar="PATH", help=checkpoint)
    group.add_argument("--save-every", type=int, default=1, metavar="INT", help="epochs between two savings (1)")
    group.add_argument("--resume", action="store_true", help="go on from --checkpoint, or begin if there is none")
    group.add_argument("--json", type=Path, metavar="PATH", help=f"write {json} there (-: to standard output)")
    return group


def add(
    parser: argparse.ArgumentParser, defaults: Protocol, losses: Iterable[str] = CLASSES,
    loss: str = "two classes, or any number",
) -> None:  # fmt: skip
    """Declare the options, with these defaults, and with these losses, of which ``loss`` tells more."""
    group = parser.add_argument_group("training")

    def choice(name: str, kinds: Any, default: str, text: str) -> None:
        group.add_argument(f"--{name}", choices=tuple(kinds), default=default, help=f"{text} ({default})")

    choice("training", ("alternating", "joint"), defaults.scheme, "the papers' scheme, or weights and layer together")
    choice("loss", losses, defaults.loss, loss)
    choice("optimizer", OPTIMIZERS, type(defaults.optimizer).__name__.lower(), "of the weights")
    choice("schedule", SCHEDULES, type(defaults.schedule).__name__.lower(), "of the rate")
    choice("prolongation", KINDS, defaults.prolongation, "how weights are carried to twice the depth")
    for name, (kind, text) in PLAIN.items():
        default = getattr(defaults, name)
        shown = text if default is None else f"{text} ({default:g})"
        group.add_argument(option(name), type=kind, default=default, metavar=kind.__name__.upper(), help=shown)
    for name, (_, _, kind, text) in INNER.items():
        if kind is bool:
            group.add_argument(option(name), action="store_true", default=None, help=text)
        else:
            group.add_argument(option(name), type=kind, metavar=kind.__name__.upper(), help=text)


def protocol(options: argparse.Namespace) -> Protocol:
    """The protocol that the options describe.

    Raises
    ------
    TypeError, ValueError
        Naming the option.
    """
    parts = {
        "optimizer": part(options, "optimizer", OPTIMIZERS[options.optimizer]),
        "schedule": part(options, "schedule", SCHEDULES[options.schedule]),
    }
    plain = {name: getattr(options, name) for name in PLAIN}
    rest = {"scheme": options.training, "loss": options.loss, "prolongation": options.prolongation}
    return named({name: option(name) for name in plain}, Protocol, **plain, **rest, **parts)


def part(options: argparse.Namespace, of: str, kind: Any) -> Any:
    """The optimiser or schedule of that kind, from the options in INNER that are given."""
    given = {
        name: getattr(options, name) for name in INNER if INNER[name][0] == of and getattr(options, name) is not None
    }
    for name, value in given.items():
        if INNER[name][1] not in [f.name for f in fields(kind)]:
            raise ValueError(f"{option(name)}: expected an option of --{of} {getattr(options, of)}, got {value}")
    names = {INNER[name][1]: option(name) for name in given}
    return named(names, kind, **{INNER[name][1]: value for name, value in given.items()})


def option(name: str) -> str:
    """--name with dashes."""
    return "--" + name.replace("_", "-")


def named(options: Mapping[str, str], call: Any, /, *arguments: Any, **keywords: Any) -> Any:
    """``call``, whose errors begin with the name of an argument, with the option in the place of that name."""
    try:
        return call(*arguments, **keywords)
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        name, colon, rest = str(error).partition(":")
        if not colon or name not in options:
            raise
        raise type(error)(f"{options[name]}:{rest}") from None

"""Training a distributed network: ``train``, with checkpoints gathered into one file.

It is ``pyham.training.loop.Run``'s loop over epochs on a ``DistributedModel``. Every rank draws the same order of
samples from the same generator and looks at its own nodes' entries of them; labels are looked at by the reader alone.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyham import _check
from pyham.distributed.model import DistributedModel
from pyham.distributed.network import DistributedNetwork
from pyham.distributed.readout import Readout
from pyham.files import archive
from pyham.training.classifier import Classifier, samples
from pyham.training.loop import Run
from pyham.training.protocol import Protocol
from pyham.training.trainer import Epoch

Array = np.ndarray[Any, Any]
Header = dict[str, Any]


class DistributedRun(Run):
    """A ``Run`` whose state is that of all nodes: the same file, wherever they live."""

    model: DistributedModel

    def state(self) -> tuple[Header, dict[str, Array]]:
        header, arrays = super().state()
        return header, arrays | {
            name: self.model.gather(self._layout_of(name), value) for name, value in _flat(arrays).items()
        }

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        if Protocol.from_config(header["protocol"]) != self.protocol:  # first: phases follow from it
            raise ValueError("protocol: expected the one that the training began with, got another")
        self._phase = min(_check.integer("phase", header["phase"], -1), len(self.phases) - 1)
        mine = {name: self.model.scatter(self._layout_of(name), value) for name, value in _flat(arrays).items()}
        super().restore(header, {**arrays, **mine})
        params = {key.removeprefix("parameters/"): v for key, v in arrays.items() if key.startswith("parameters/")}
        self.model.take(params, params.pop("layer"))

    def _layout_of(self, name: str) -> str:
        """The phase whose parameters an array of the state is laid out as: the best ones are all there are."""
        return "joint" if name == "best" else self.phase.name


def train(
    net: DistributedNetwork,
    x: object,
    labels: object,
    *,
    reads: Sequence[int] | None = None,
    reader: int | None = None,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    callback: Callable[[Epoch], None] | None = None,
    validation: tuple[object, object] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    save_every: int = 1,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Classifier:
    """Train ``net``, in place, on x (B, n) and labels (B,), as ``pyham.training.train`` does one in one place.

    Parameters
    ----------
    reads, reader : the nodes whose outputs the classifier reads (None: all), and the one that has the labels (None: the
        first of them)
    callback : called after every epoch; ``network()`` and ``classifier()`` of what it hears gather from all nodes
    rng : over MPI an int, or generators of one state on all ranks

    The other arguments are those of ``pyham.training.train``. Over MPI all ranks call this together, the first writes
    files, and each returns the same classifier, gathered.

    Raises
    ------
    TypeError, ValueError, OSError, FloatingPointError
        As ``pyham.training.train``.
    TransportError
        If a message is lost, or not what it should be.
    """
    settings = protocol or Protocol()
    if settings.levels > 1:
        raise ValueError(f"levels: expected 1 for a distributed network, got {settings.levels}")
    whole = net.gather()
    data, target = samples("x", "labels", x, labels, whole, settings.loss)
    outputs = 1 if settings.loss == "logistic" else int(target.max()) + 1
    held_out = None
    if validation is not None:
        names = ("validation x", "validation labels")
        held_out = samples(*names, *validation, whole, settings.loss, outputs)
    _check.integer("save_every", save_every, 1)
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise ValueError("checkpoint: expected a path to resume from, got None")
    readout = Readout(net.layout, reads, reader, outputs, settings.loss)
    model = DistributedModel(net, readout, settings)
    generator = _check.generator(rng)
    if settings.scheme == "joint":  # as in one place: the whole layer is drawn, and each node takes its share
        drawn = generator.uniform(-1, 1, (outputs, net.arch.width + 1)) / np.sqrt(net.arch.width)
        drawn[:, np.append(~np.isin(net.layout.blocks.owner, readout.reads), False)] = 0
        model.take(dict(whole.params), drawn)
    run = DistributedRun(model, data, target, settings, generator, held_out)
    keep = {"kind": "training", "start": net.arch.config(), "about": dict(about or {})}
    keep["distributed"] = distribution(readout) | {"one round": net.one_round is not None}
    if path is not None and resume and path.exists():
        restore(run, path, keep)
    follow(run, callback, path, save_every, keep)
    return model.classifier(run.history)


def distribution(readout: Readout) -> Header:
    """What a file says of the distribution: who owns what and is read, and a SHA-256 of graphs and patterns."""
    layout = readout.layout
    digest = hashlib.sha256()
    for matrix in (*(g.adjacency for g in layout.graphs), *layout.patterns):
        digest.update(np.packbits(matrix).tobytes())
    owner = layout.blocks.owner.tolist()
    return {"owner": owner, "reads": list(readout.reads), "reader": readout.reader, "graphs": digest.hexdigest()}


def follow(
    run: DistributedRun,
    callback: Callable[[Epoch], None] | None,
    path: Path | None,
    save_every: int,
    keep: Header,
) -> None:
    """Advance ``run`` to its end; the first rank writes what all have gathered."""
    first = 0 in run.model.net.nodes
    if path is not None and run.finished:
        _save(run, path, keep, first)
    while not run.finished:
        row = run.advance()
        done = len(run.rows)
        if path is not None and (done % save_every == 0 or run.finished):
            _save(run, path, keep, first)
        if callback:
            numbers = {name: row[name] for name in ("accuracy", "rate", "validation_loss", "validation_accuracy")}
            now = (run.model.net.gather, lambda: run.model.classifier(run.history))
            callback(Epoch(done, run.total, row["loss"], row["phase"], *now, **numbers))


def restore(run: DistributedRun, path: Path, keep: Header) -> None:
    """Continue ``run`` from the file, if that is a training of the same network on the same graph and of such data."""
    header, arrays = archive.read(path)
    for name in ("kind", "start", "distributed"):
        if header.get(name) != keep[name]:
            raise ValueError(f"{path}: expected a training with the {name} of this one, got another")
    stated = header.get("about")
    for name, value in keep["about"].items():
        came = stated.get(name) if isinstance(stated, dict) else None
        if came != value:
            raise ValueError(f"{path}: expected a training with {name} {value}, got one with {came}")
    try:
        run.restore(header, arrays)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the state of this training, got another ({error})") from None


def _save(run: DistributedRun, path: Path, keep: Header, first: bool) -> None:
    header, arrays = run.state()
    if first:
        archive.write(path, header | keep, arrays)


def _flat(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a state that are laid out as what is trained."""
    return {name: value for name, value in sorted(arrays.items()) if name == "best" or name.startswith("optimizer/")}

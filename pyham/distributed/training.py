"""Training a distributed network: ``train``, with checkpoints gathered into one file.

It is ``pyham.training.loop.Run``'s loop over epochs on a ``DistributedModel``. Every rank draws the same order of
samples from the same generator and looks at its own nodes' entries of them; labels are looked at by the reader alone.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from pyham import _check
from pyham.distributed.model import DistributedModel
from pyham.distributed.network import DistributedNetwork
from pyham.distributed.readout import Readout
from pyham.training.loop import Run
from pyham.training.protocol import Protocol
from pyham.training.samples import outputs_of, samples
from pyham.training.saver import Epoch, Saver

Array = np.ndarray[Any, Any]
Header = dict[str, Any]


class DistributedRun(Run):
    """A ``Run`` whose state is that of all nodes: the same file, wherever they live."""

    model: DistributedModel
    alone = False

    @property
    def writes(self) -> bool:  # type: ignore[override]
        """The first rank writes what all have gathered."""
        return 0 in self.model.net.nodes

    def state(self) -> tuple[Header, dict[str, Array]]:
        header, arrays = super().state()
        whole = {name: self.model.gather(self._layout_of(name), value) for name, value in _flat(arrays).items()}
        return header, arrays | whole

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
    net: DistributedNetwork, x: object, labels: object, *, reads: Sequence[int] | None = None,
    reader: int | None = None, protocol: Protocol | None = None, rng: np.random.Generator | int | None = None,
    callback: Callable[[Epoch], None] | None = None, validation: tuple[object, object] | None = None,
    checkpoint: str | PathLike[str] | None = None, save_every: int = 1, resume: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
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
    if settings.noise:
        raise ValueError(f"noise: expected 0 for a distributed network, got {settings.noise}")
    whole = net.gather()
    data, target = (part[:] for part in samples("", x, labels, whole, settings.loss))  # of files, all at once
    outputs = outputs_of(target, settings.loss)
    held_out = None
    if validation is not None:
        held_out = tuple(part[:] for part in samples("validation ", *validation, whole, settings.loss, outputs))
    readout = Readout(net.layout, reads, reader, outputs, settings.loss)
    stated = distribution(readout) | {"one round": net.one_round is not None}
    saver = Saver(checkpoint, save_every, resume, net, about, stated)
    model = DistributedModel(net, readout, settings)
    generator = _check.generator(rng)
    if settings.scheme == "joint":  # as in one place: the whole layer is drawn, and each node takes its share
        drawn = generator.uniform(-1, 1, (outputs, net.arch.width + 1)) / np.sqrt(net.arch.width)
        drawn[:, np.append(~np.isin(net.layout.blocks.owner, readout.reads), False)] = 0
        model.take(dict(whole.params), drawn)
    run = DistributedRun(model, data, target, settings, generator, held_out)
    saver.restore(run)
    saver.follow(run, callback)
    return model.classifier(run.history)


def distribution(readout: Readout) -> Header:
    """What a file says of the distribution: who owns what and is read, and a SHA-256 of graphs and patterns."""
    layout = readout.layout
    digest = hashlib.sha256()
    for matrix in (*(g.adjacency for g in layout.graphs), *layout.patterns):
        digest.update(np.packbits(matrix).tobytes())
    owner = layout.blocks.owner.tolist()
    return {"owner": owner, "reads": list(readout.reads), "reader": readout.reader, "graphs": digest.hexdigest()}


def _flat(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a state that are laid out as what is trained."""
    return {name: value for name, value in arrays.items() if name == "best" or name.startswith("optimizer/")}

"""``Saver``: the file of a training, written after epochs, from which the training goes on as if never stopped."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.architectures.register import description
from pyham.files import archive, earlier
from pyham.network import Network
from pyham.training.loop import Run
from pyham.training.predictor import Predictor
from pyham.training.trained import read

Array = np.ndarray[Any, Any]

DAMAGED = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
CONFIGURATION = "configuration"  # in ``about``, by which no training is told from another


class Epoch(NamedTuple):
    """What a callback hears after an epoch: epochs done, of how many at most, the mean loss, the phase, and more.

    ``network()`` is the network as it is now, a copy that further training leaves alone; ``classifier()`` has the
    output layer too (while the weights are trained alternatingly, that of the last batch). Validation numbers are
    NaN without validation data. With a checkpoint, an epoch that is due has been saved when it is heard of.
    """

    done: int
    total: int
    loss: float
    phase: str
    network: Callable[[], Network]
    classifier: Callable[[], Any]
    accuracy: float
    rate: float
    validation_loss: float
    validation_accuracy: float


class Saver:
    """The checkpoint of one training, or none.

    Parameters
    ----------
    checkpoint : None, or the path of the file
    every : after how many epochs the file is written
    resume : whether to go on from the file, if there is one
    net : the network that the training begins with, of which the file states the architecture; it has ``arch``
    about : JSON data that the file keeps; only a training with the same is continued, what is called ``CONFIGURATION``
        left aside: a command's options, for readers
    distribution : where the nodes of a distributed network are; None in one place

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit together, or the file is damaged or another training's.
    OSError
        If the file cannot be read.
    """

    def __init__(
        self,
        checkpoint: str | PathLike[str] | None,
        every: int,
        resume: bool,
        net: Any,
        about: Mapping[str, Any] | None,
        distribution: Mapping[str, Any] | None = None,
    ) -> None:
        self.every = _check.integer("save_every", every, 1)
        self.path = None if checkpoint is None else Path(checkpoint)
        if resume and self.path is None:
            raise ValueError("checkpoint: expected a path to resume from, got None")
        start = net.arch.config() if self.path is None else description(net.arch)
        self.header: dict[str, Any] = {"kind": "training", "start": start, "about": dict(about or {})}
        if distribution is not None:
            self.header["distributed"] = dict(distribution)
        self._found: tuple[dict[str, Any], dict[str, Array]] | None = None
        if resume and self.path is not None and self.path.exists():
            self._found = self._read(self.path, net)

    def _read(self, path: Path, net: Any) -> tuple[dict[str, Any], dict[str, Array]]:
        header, arrays = archive.read(path)
        if header.get("kind") not in ("training", "image training"):
            raise ValueError(f"{path}: expected the checkpoint of a training, got a network")
        stated = header.get("about")
        for name, value in ((name, value) for name, value in self.header["about"].items() if name != CONFIGURATION):
            came = stated.get(name) if isinstance(stated, dict) else None
            if came != value:
                raise ValueError(f"{path}: expected a training with {name} {value}, got one with {came}")
        if header.get("distributed") != self.header.get("distributed"):
            raise ValueError(f"{path}: expected a training with the distribution of this one, got another")
        try:
            header, arrays = earlier.modern(header, arrays)
            if header["start"] != self.header["start"]:
                raise ValueError(f"net: expected the architecture that the training began with, got {net.arch}")
        except DAMAGED as error:
            raise self._other(error) from None
        return header, arrays

    def reached(self, first: Predictor) -> Predictor:
        """What the file has reached, or ``first`` if there is no file."""
        if self._found is None:
            return first
        try:
            found: Predictor = read(*self._found)
            if found.net.dtype != first.net.dtype:
                raise ValueError(f"net: expected dtype {found.net.dtype}, as the training began, got {first.net.dtype}")
            if found.head.gain != first.head.gain:
                raise ValueError(f"gain: expected {found.head.gain}, as the training began, got {first.head.gain}")
            if len(found.head.layer) != len(first.head.layer):
                rows = len(found.head.layer), len(first.head.layer)
                raise ValueError(f"classes: expected {rows[0]}, as the training began, got {rows[1]}")
        except DAMAGED as error:
            raise self._other(error) from None
        return found

    def restore(self, run: Run) -> None:
        """Continue ``run`` from the file, if there is one."""
        if self._found is not None:
            try:
                run.restore(*self._found)
            except DAMAGED as error:
                raise self._other(error) from None

    def follow(self, run: Run, callback: Callable[[Epoch], None] | None) -> None:
        """Advance ``run`` to its end; files hold whole epochs only, so that Ctrl-C in the middle of one does no harm.

        Where the state is spread over several processes, all gather it when it is due, and Ctrl-C writes nothing.
        """
        state = run.state() if self.path is not None and (run.alone or run.finished) else None

        def save() -> None:
            if self.path is not None and state is not None and run.writes:
                archive.write(self.path, state[0] | self.header, state[1])

        if run.finished:
            save()  # nothing to do, but a file was asked for
        try:
            while not run.finished:
                row = run.advance()
                done = len(run.rows)
                due = done % self.every == 0 or run.finished
                if self.path is not None and (run.alone or due):
                    state = run.state()
                if due:
                    save()
                if callback:
                    names = ("accuracy", "rate", "validation_loss", "validation_accuracy")
                    now = (lambda: run.model.network(), lambda: run.model.classifier(run.history))
                    numbers = {name: row[name] for name in names}
                    callback(Epoch(done, run.total, row["loss"], row["phase"], *now, **numbers))
        except KeyboardInterrupt:
            if run.alone:
                save()
            raise

    def _other(self, error: Exception) -> ValueError:
        return ValueError(f"{self.path}: expected the state of this training, got another ({error})")

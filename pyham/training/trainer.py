"""Training a network with a linear output layer: ``train``, and its checkpoints.

The objective is the mean over a batch of the loss of the logits z = w^T y_N + mu (``pyham.training.losses``)

    + alpha * smoothness(K, b) + decay / 2 ||parameters||^2 + alpha_c / 2 (||w||^2 + ||mu||^2)

Two schemes. "alternating", of the papers: for every batch a fresh output layer, started at zero, is fitted to the fixed
features y_N by a few steps of Adam; then the weights take one step through it; after all epochs the output layer alone
is trained. "joint": the weights and the output layer, started at random, take every step together.

The public implementation of the papers resets Adam's step counter to the epoch's number e, for its first two tensors
only; here Adam is the plain method. The reset multiplies their steps by sqrt(1 - beta2^e) / (1 - beta1^e) over the same
with the true count of steps: about a quarter from the tenth epoch on. ``Protocol(rate=0.0125, inner_rate=0.05)`` is
close to it, and better than the nominal rate for H1.

``Protocol`` has all hyperparameters. With one seed, a training gives the same bits for any number of threads.
"""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.files import archive
from pyham.loading import load
from pyham.network import Network
from pyham.training.classifier import Classifier, samples
from pyham.training.loop import Run
from pyham.training.model import NetworkModel
from pyham.training.protocol import Protocol

__all__ = ["Classifier", "Epoch", "Protocol", "train"]


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
    classifier: Callable[[], Classifier]
    accuracy: float
    rate: float
    validation_loss: float
    validation_accuracy: float


def train(
    net: Network,
    x: object,
    labels: object,
    *,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    callback: Callable[[Epoch], None] | None = None,
    backend: Backend = "numba",
    validation: tuple[object, object] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    save_every: int = 1,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Classifier:
    """Train ``net`` on x (B, n) and labels (B,); the parameters' dtype is that of the computation.

    Parameters
    ----------
    labels : 0 and 1, or 0 .. C - 1 with the softmax loss
    rng : of the batches, and of the output layer in the joint scheme
    callback : called after every epoch
    validation : None, or samples and labels that are not trained on; needed for ``protocol.patience``
    checkpoint : None, or the file that holds the training's state, written every ``save_every`` epochs and at the end;
        Ctrl-C writes the last whole epoch to it, too
    resume : continue from ``checkpoint`` if that exists: as if never stopped, to the last bit. The other arguments must
        be those of the first call; ``net`` and ``rng`` only say what it started from and are not used again
    about : JSON data kept in the checkpoint; to resume with other data is refused

    Returns
    -------
    Classifier, with ``losses`` (E,), the mean loss in each epoch, and ``history``

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; a checkpoint that is damaged or another training's.
    FloatingPointError
        If training diverges.
    OSError
        If a checkpoint cannot be read or written.
    """
    settings = protocol or Protocol()
    if settings.levels > 1 and not net.arch.keep:
        raise ValueError(f"levels: expected 1, as an {net.arch.name} discretises no equation, got {settings.levels}")
    if net.dtype.kind != "f":
        raise TypeError(f"net: expected real parameters, got {net.dtype}")
    data, target = samples("x", "labels", x, labels, net, settings.loss)
    outputs = 1 if settings.loss == "logistic" else int(target.max()) + 1
    held_out = None
    if validation is not None:
        names = ("validation x", "validation labels")
        held_out = samples(*names, *validation, net, settings.loss, outputs)
    _check.integer("save_every", save_every, 1)
    generator = _check.generator(rng)
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise ValueError("checkpoint: expected a path to resume from, got None")

    if path is not None and resume and path.exists():
        model = NetworkModel(load(path), outputs, settings, backend)
        run = Run(model, data, target, settings, generator, held_out)
        restore(run, path, net, about)
    else:
        model = NetworkModel(net, outputs, settings, backend)
        if settings.scheme == "joint":
            model.layer[:] = generator.uniform(-1, 1, model.layer.shape) / np.sqrt(net.arch.width)
        run = Run(model, data, target, settings, generator, held_out)
    keep = {"kind": "training", "start": net.arch.config(), "about": dict(about or {})}
    follow(run, callback, path, save_every, keep)
    return run.model.classifier(run.history)


def follow(
    run: Run, callback: Callable[[Epoch], None] | None, path: Path | None, save_every: int, keep: Mapping[str, Any]
) -> None:
    """Advance ``run`` to its end; files hold whole epochs only, so that Ctrl-C in the middle of one does no harm."""

    def save() -> None:
        if path is not None and state is not None:
            archive.write(path, state[0] | dict(keep), state[1])

    state = run.state() if path is not None else None
    if run.finished:
        save()  # nothing to do, but a file was asked for
    try:
        while not run.finished:
            row = run.advance()
            done = len(run.rows)
            if path is not None:
                state = run.state()
            if done % save_every == 0 or run.finished:
                save()
            if callback:
                numbers = {name: row[name] for name in ("accuracy", "rate", "validation_loss", "validation_accuracy")}
                now = (lambda: run.model.classifier(run.history).net, lambda: run.model.classifier(run.history))
                callback(Epoch(done, run.total, row["loss"], row["phase"], *now, **numbers))
    except KeyboardInterrupt:
        save()
        raise


def restore(run: Run, path: Path, net: Any, about: Mapping[str, Any] | None, kind: str = "training") -> None:
    """Continue ``run`` from the file, if that is a training of ``net``'s architecture and with these ``about``.

    ``kind`` is what the file's header says that it is; ``net`` has ``arch`` and ``dtype``.
    """
    header, arrays = archive.read(path)
    if header.get("kind") != kind:
        raise ValueError(f"{path}: expected the checkpoint of a training, got a network")
    stated = header.get("about")
    for name, value in (about or {}).items():
        came = stated.get(name) if isinstance(stated, dict) else None
        if came != value:
            raise ValueError(f"{path}: expected a training with {name} {value}, got one with {came}")
    try:
        if header["start"] != net.arch.config():
            raise ValueError(f"net: expected the architecture that the training began with, got {net.arch}")
        if run.model.theta.dtype != net.dtype:
            raise ValueError(f"net: expected dtype {run.model.theta.dtype}, as the training began, got {net.dtype}")
        run.restore(header, arrays)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the state of this training, got another ({error})") from None

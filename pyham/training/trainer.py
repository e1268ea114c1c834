"""Training a classifier of points or images, or a regression: ``train``.

The objective is the mean over a batch of the loss of the logits z = gain (w^T y_N + mu) (``pyham.training.losses``)

    + alpha * smoothness(K, b) + decay / 2 ||lift, K, b||^2 + alpha_c / 2 (||w||^2 + ||mu||^2)

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
from typing import Any

import numpy as np

from pyham import _check
from pyham.engines.choice import Backend
from pyham.network import Network
from pyham.training.loop import Run
from pyham.training.losses import VALUES, Weighted
from pyham.training.model import PredictorModel
from pyham.training.predictor import Predictor
from pyham.training.protocol import Protocol
from pyham.training.samples import outputs_of, samples, weights_of
from pyham.training.saver import Epoch, Saver
from pyham.training.stored import converted
from pyham.training.trained import kind_of


def train(
    net: Network | Predictor,
    x: object,
    labels: object,
    *,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    shift: int = 0,
    callback: Callable[[Epoch], None] | None = None,
    backend: Backend = "numba",
    validation: tuple[object, object] | None = None,
    sample_weight: object = None,
    class_weight: object = None,
    checkpoint: str | PathLike[str] | None = None,
    save_every: int = 1,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Any:
    """Train ``net`` on x (B, F), or pixels (B, rows, columns), and labels (B,), or values (B, C) or (B,).

    The parameters' dtype is that of the computation. Arrays in memory-mapped files (``np.memmap``) are read batch by
    batch and never copied whole; what is learnt is the same, to the last bit.

    Parameters
    ----------
    net : a network of points (F = n); or a classifier or regressor, which goes on as it is
    labels : 0 and 1, or 0 .. C - 1 with the softmax loss; numbers with the losses of values
    rng : of the batches, and in the joint scheme of a network's output layer
    shift : by how many pixels every image may be moved in every epoch, in both directions
    callback : called after every epoch
    validation : None, or samples and labels that are not trained on; needed for ``protocol.patience``
    sample_weight : None, or how much every sample counts (B,); only ratios matter
    class_weight : None, how much every class counts (C,), or "balanced", with which all count the same
    checkpoint : None, or the file that holds the training's state, written every ``save_every`` epochs and at the end;
        Ctrl-C writes the last whole epoch to it, too. ``pyham.load`` reads it
    resume : continue from ``checkpoint`` if that exists: as if never stopped, to the last bit. The other arguments must
        be those of the first call; ``net`` and ``rng`` only say what it started from and are not used again
    about : JSON data kept in the checkpoint; to resume with other data is refused

    Returns
    -------
    Classifier or Regressor, with ``losses`` (E,), the mean loss in each epoch, and ``history``

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
    generator = _check.generator(rng)
    _refuse(net, settings)
    whole = net if isinstance(net, Predictor) else None
    alone = net.net if isinstance(net, Predictor) else net
    known, features = (None, None) if whole is None else (_outputs(whole), whole.features)
    given, targets = samples("", x, labels, alone, settings.loss, known, features)
    outputs = outputs_of(targets, settings.loss) if known is None else known
    checked = None
    if validation is not None:
        checked = samples("validation ", *validation, alone, settings.loss, outputs, features)
    weights = weights_of(len(given), sample_weight, None if settings.loss in VALUES else targets, class_weight)
    moved = _check.integer("shift", shift, 0)
    about = dict(about or {})
    if whole is not None and whole.images:
        about = {"shift": moved} | about
        if moved >= min(given.shape[1:]):
            raise ValueError(f"shift: expected less than the rows and columns of an image, got {shift}")
    elif moved:
        raise ValueError(f"shift: expected 0 for points, got {shift}")
    saver = Saver(checkpoint, save_every, resume, alone, about)
    if whole is None:
        whole = kind_of(settings.loss).untrained(alone, outputs, settings.loss)
        if settings.scheme == "joint":
            whole.head.layer[:] = generator.uniform(-1, 1, whole.head.layer.shape) / np.sqrt(alone.arch.width)
    model = PredictorModel(saver.reached(whole), settings, backend, moved)
    ready, truth = converted(given, whole.prepared), converted(targets, whole.scaled)
    held_out = checked and (converted(checked[0], whole.prepared), converted(checked[1], whole.scaled))
    weighed = truth if weights is None else Weighted(truth, weights.astype(alone.dtype))
    run = Run(model, ready, weighed, settings, generator, held_out)
    saver.restore(run)
    saver.follow(run, callback)
    return run.model.classifier(run.history)


def _outputs(whole: Predictor) -> int:
    """Classes, or values."""
    return 2 if whole.head.loss == "logistic" else len(whole.head.layer)


def _refuse(net: Network | Predictor, protocol: Protocol) -> None:
    """Refuse what cannot be trained, or not by this protocol."""
    arch, dtype = (net.net.arch, net.net.dtype) if isinstance(net, Predictor) else (net.arch, net.dtype)
    if isinstance(net, Predictor) and net.images:
        for name, only in (("scheme", "joint"), ("loss", "softmax"), ("levels", 1), ("noise", 0)):
            if getattr(protocol, name) != only:
                raise ValueError(f"{name}: expected {only!r} for images, got {getattr(protocol, name)!r}")
    elif len(arch.shape) > 1:
        raise TypeError(f"net: expected a classifier of images, or a network of points, got {arch.name}")
    if isinstance(net, Predictor) and net.head.loss != protocol.loss:
        raise ValueError(f"loss: expected {net.head.loss!r}, as the classifier has, got {protocol.loss!r}")
    if protocol.levels > 1 and not arch.keep:
        raise ValueError(f"levels: expected 1, as an {arch.name} discretises no equation, got {protocol.levels}")
    if dtype.kind != "f":
        raise TypeError(f"net: expected real parameters, got {dtype}")

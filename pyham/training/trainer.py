"""Training a classifier: ``train`` for points, ``fit`` for whatever has a lift, a network and an output layer.

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
from pyham.training.classifier import Classifier
from pyham.training.loop import Run
from pyham.training.model import ClassifierModel
from pyham.training.protocol import Protocol
from pyham.training.samples import outputs_of, samples
from pyham.training.saver import Epoch, Saver

Array = np.ndarray[Any, Any]
Samples = tuple[Array, Array]


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
        Ctrl-C writes the last whole epoch to it, too. ``pyham.load`` reads it
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
    if len(net.arch.shape) > 1:
        raise TypeError(f"net: expected a network of points, got {net.arch.name}: pyham.images.train takes those")
    if settings.levels > 1 and not net.arch.keep:
        raise ValueError(f"levels: expected 1, as an {net.arch.name} discretises no equation, got {settings.levels}")
    if net.dtype.kind != "f":
        raise TypeError(f"net: expected real parameters, got {net.dtype}")
    data = samples("x", "labels", x, labels, net, settings.loss)
    outputs = outputs_of(data[1], settings.loss)
    held_out = None
    if validation is not None:
        names = ("validation x", "validation labels")
        held_out = samples(*names, *validation, net, settings.loss, outputs)
    saver = Saver(checkpoint, save_every, resume, net, about)
    generator = _check.generator(rng)
    first = Classifier.untrained(net, outputs, settings.loss)
    if settings.scheme == "joint":
        first.head.layer[:] = generator.uniform(-1, 1, first.head.layer.shape) / np.sqrt(net.arch.width)
    return fit(first, data, held_out, settings, generator, saver, callback=callback, backend=backend)


def fit(
    first: Classifier,
    data: Samples,
    held_out: Samples | None,
    protocol: Protocol,
    generator: np.random.Generator,
    saver: Saver,
    *,
    callback: Callable[[Epoch], None] | None = None,
    backend: Backend = "numba",
    shift: int = 0,
) -> Classifier:
    """Train the classifier that ``saver``'s file has reached, or ``first``, to the end; all arguments are checked."""
    model = ClassifierModel(saver.reached(first), protocol, backend, shift)
    run = Run(model, *data, protocol, generator, held_out)
    saver.restore(run)
    saver.follow(run, callback)
    classifier: Classifier = run.model.classifier(run.history)
    return classifier

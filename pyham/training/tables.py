"""Training on rows of numbers with any number of columns: ``untrained`` and ``fit``.

The papers' initialisation and protocol are made for four channels in the plane. For tables every column is scaled to
mean 0 and variance 1; a matrix that is learnt takes the columns to the network's channels (or channels that are 0 are
put behind them); weights begin with variance 1 / n, so that a layer's argument K y + b has about the state's size at
any width; and weights, matrix and output layer are trained together, by steps whose size falls to 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.lift import DenseLift, Scaling
from pyham.architectures.vectors import architecture as named
from pyham.engines.choice import Backend
from pyham.training.losses import VALUES
from pyham.training.optimizers import AdamW
from pyham.training.predictor import Predictor
from pyham.training.protocol import Protocol
from pyham.training.saver import Epoch
from pyham.training.schedules import Cosine
from pyham.training.trained import kind_of
from pyham.training.trainer import train

Array = np.ndarray[Any, Any]

LIFTS = ("learnt", "zeros")

#: Of classes: chosen by the accuracy on held-out rows of digits, wine and cancer (scikit-learn's), the same for all.
RECOMMENDED = Protocol(
    epochs=50, batch=64, rate=0.01, alpha=0.0, alpha_c=1e-4, decay=1e-4, noise=0.4, scheme="joint", loss="softmax",
    optimizer=AdamW(beta1=0.8, beta2=0.99, decay=0.15), schedule=Cosine(),
)  # fmt: skip
#: Of values: noise in them is fitted unless the weights are held back, as diabetes shows (R^2 0.47 against 0.27).
REGRESSION = replace(
    RECOMMENDED, epochs=60, batch=32, rate=0.005, noise=0.0, loss="squared", optimizer=AdamW(decay=1.0)
)  # fmt: skip


def untrained(
    features: int,
    outputs: int,
    rng: np.random.Generator | int | None = None,
    *,
    loss: str = "softmax",
    architecture: str = "H2",
    width: int | None = None,
    depth: int = 4,
    final_time: float = 4.0,
    lift: str = "learnt",
    inputs: Scaling | None = None,
    units: Scaling | None = None,
    table: Mapping[str, Any] | None = None,
    dtype: Any = np.float32,
    **options: Any,
) -> Predictor:
    """A classifier or regression of rows of ``features`` numbers before its training.

    Parameters
    ----------
    outputs : classes, or values where the ``loss`` is one of values
    architecture, width, depth, final_time, options : of the network: n, N and T = N h; n is 64 unless given, or the
        least even number of channels that ``lift`` "zeros" needs
    lift : "learnt", a matrix (n, F), or "zeros", channels behind the features; "zeros" needs n >= F
    inputs, units, table : as ``pyham.training.predictor.Predictor`` has them

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    F = _check.integer("features", features, 1)
    generator = _check.generator(rng)
    _check.choice("lift", lift, LIFTS)
    usual = 64 if lift == "learnt" else F + F % 2
    n = _check.integer("width", usual if width is None else width, 1)
    N = _check.integer("depth", depth, 0)
    step = _check.positive("final_time", final_time) / max(1, N)
    arch = named(architecture, width=n, depth=N, step=step, **options)
    if lift == "zeros" and n < F:
        raise ValueError(f"width: expected at least {F}, as many as there are features, got {n}")
    first = None
    if lift == "learnt":
        kernel = generator.standard_normal((n, F)) / np.sqrt(F)
        first = DenseLift(kernel.astype(dtype), np.zeros(n, dtype))
    net = arch.init(generator, initialization="scaled-normal", dtype=dtype)
    net = net.replace({name: np.zeros_like(v) if name.startswith("b") else v for name, v in net.params.items()})
    scaling = Scaling.none(F) if inputs is None else inputs
    return kind_of(loss).untrained(
        net, _check.integer("outputs", outputs, 1), loss, lift=first, inputs=scaling, units=units, table=table
    )


def fit(
    X: object,
    targets: object,
    *,
    regression: bool = False,
    loss: str | None = None,
    protocol: Protocol | None = None,
    rng: np.random.Generator | int | None = None,
    scale: bool = True,
    sample_weight: object = None,
    class_weight: object = None,
    validation: tuple[object, object] | None = None,
    callback: Callable[[Epoch], None] | None = None,
    backend: Backend = "numba",
    checkpoint: Any = None,
    resume: bool = False,
    **network: Any,
) -> Any:
    """Train a classifier, or a regression, on rows X (B, F).

    Parameters
    ----------
    targets : labels (B,) from 0 to C - 1, each at least once; or values (B,) or (B, C) for a ``regression``
    loss : "softmax" or "logistic" (two classes); for a regression "squared", "huber" or "poisson"
    protocol : ``RECOMMENDED`` or ``REGRESSION`` unless given; its loss becomes ``loss``
    rng : of the initial parameters and the batches
    scale : whether columns, and values but for the Poisson loss, are scaled to mean 0 and variance 1 first, with the
        scaling kept in the result
    network : options of ``untrained``
    sample_weight, class_weight, validation, callback, backend, checkpoint, resume : as of ``pyham.training.train``

    Returns
    -------
    Classifier or Regressor of rows (B, F)

    Raises
    ------
    TypeError, ValueError, FloatingPointError, OSError
        As ``pyham.training.train``.
    """
    generator = _check.generator(rng)
    rows = _check.array("X", X, ("B", "F"))
    if not rows.size:
        raise ValueError(f"X: expected at least one row and one column, got shape {rows.shape}")
    loss = loss or ("squared" if regression else "softmax")
    if regression != (loss in VALUES):
        raise ValueError(f"loss: expected one of {'values' if regression else 'classes'}, got {loss!r}")
    given = _check.array("targets", targets, None)
    weights = None if sample_weight is None else _check.array("sample_weight", sample_weight, (len(rows),))
    first = untrained(
        rows.shape[1], _outputs(given, loss), generator, loss=loss,
        inputs=Scaling.of(rows.astype(np.float64), weights) if scale else None,
        units=units_of(given, loss, weights) if scale else None, **network,
    )  # fmt: skip
    settings = replace(protocol or (REGRESSION if regression else RECOMMENDED), loss=loss)
    return train(
        first, rows, given, protocol=settings, rng=generator, sample_weight=weights, class_weight=class_weight,
        validation=validation, callback=callback, backend=backend, checkpoint=checkpoint, resume=resume,
    )  # fmt: skip


def units_of(values: Array, loss: str, weights: Array | None = None) -> Scaling | None:
    """The scaling of a regression's values to mean 0 and variance 1; none for classes and for counts."""
    if loss not in VALUES or loss == "poisson":
        return None
    return Scaling.of(values.reshape(len(values), -1).astype(np.float64), weights, span=np.inf)


def _outputs(targets: Array, loss: str) -> int:
    if loss in VALUES:
        return 1 if targets.ndim == 1 else int(targets.shape[-1])
    return 2 if loss == "logistic" else int(max(2, targets.max(initial=0) + 1))

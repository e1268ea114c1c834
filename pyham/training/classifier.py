"""``Classifier``: what is trained, whole: lift, network and output layer; for points and for images.

A lift makes the state y_0 of a sample. Points have none, since y_0 = x; images have a convolution, from pixels (B,
rows, columns) to y_0 (B, C, rows, columns). The output layer, ``Head``, is linear in y_N.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.described import described
from pyham.architectures.images import ImageArchitecture
from pyham.architectures.lift import Lift, normalise
from pyham.architectures.register import description
from pyham.engines.choice import Backend, select
from pyham.engines.results import Parts
from pyham.files import archive
from pyham.network import Network
from pyham.training.history import History, rows
from pyham.training.losses import LOSSES
from pyham.training.samples import pixels_of

Array = np.ndarray[Any, Any]

PARAMETERS = "parameters/"  # what the names of a file's parameters begin with


@dataclass(frozen=True, eq=False)
class Head:
    """The output layer: logits z = gain (y_N w^T + mu), y_N (B, n) flat.

    A step of Adam changes every parameter by about its rate, and a logit by a sum of such changes over n features; a
    gain below 1 trains the output layer more slowly than what is before it.

    Parameters
    ----------
    layer (C, n + 1) : rows (w_c, mu_c); C = 1 for the logistic loss
    loss : "logistic" or "softmax"
    gain : a positive number
    """

    layer: Array
    loss: str = "softmax"
    gain: float = 1.0

    @property
    def scaled(self) -> tuple[Array, Array]:
        """gain w (C, n) and gain mu (C,)."""
        return scaled(self.layer, self.gain)


def scaled(layer: Array, gain: float) -> tuple[Array, Array]:
    """gain w (C, n) and gain mu (C,) of a layer (C, n + 1)."""
    whole = np.asarray(gain, layer.dtype) * layer
    return np.ascontiguousarray(whole[:, :-1]), whole[:, -1].copy()


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network between a lift, or none, and an output layer.

    Parameters
    ----------
    net : the network
    head : the output layer
    history : of the training; empty before one
    lift : None for points; of images, the convolution that makes y_0

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together: naming the part, what was expected and what came.
    """

    net: Network
    head: Head
    history: History
    lift: Lift | None = None

    def __post_init__(self) -> None:
        arch, dtype = self.net.arch, self.net.dtype
        C: int | str = 1 if _check.choice("loss", self.head.loss, LOSSES) == "logistic" else "C"
        given: dict[str, tuple[Array, tuple[int | str, ...]]] = {
            "layer": (self.head.layer, (C, int(np.prod(arch.output_shape)) + 1))
        }
        _check.positive("gain", self.head.gain)
        images = isinstance(arch, ImageArchitecture)
        if images == (self.lift is None):
            raise ValueError(f"lift: expected {'one' if images else 'none'} for {arch.name}, got another")
        if self.lift is not None:
            given |= {"lift": (self.lift.kernel, (arch.shape[0], 1, 3, 3)), "bias": (self.lift.bias, arch.shape[:1])}
        for name, (array, shape) in given.items():
            if _check.array(name, array, shape).dtype != dtype:
                raise TypeError(f"{name}: expected dtype {dtype}, as the network has, got {array.dtype}")

    @classmethod
    def untrained(
        cls, net: Network, classes: int, loss: str = "softmax", *, gain: float = 1.0, lift: Lift | None = None
    ) -> "Classifier":
        """With an output layer that is 0: of two classes the logistic loss has one row, softmax one for each class."""
        rows = 1 if loss == "logistic" else classes
        layer = np.zeros((rows, int(np.prod(net.arch.output_shape)) + 1), net.dtype)
        return cls(net, Head(layer, loss, gain), History.of([]), lift)

    def __repr__(self) -> str:
        return f"<Classifier {self.net.arch}, {self.classes} classes, {self.net.dtype}>"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return 2 if self.head.loss == "logistic" else len(self.head.layer)

    @property
    def w(self) -> Array:
        """Weights of the output layer (n, C); (n,) after the logistic loss."""
        w = self.head.scaled[0].T.copy()
        return w[:, 0] if self.head.loss == "logistic" else w

    @property
    def mu(self) -> Any:
        """Biases of the output layer (C,); a number after the logistic loss."""
        mu = self.head.scaled[1]
        return float(mu[0]) if self.head.loss == "logistic" else mu

    @property
    def losses(self) -> Array:
        """The mean loss in each epoch (E,)."""
        return self.history.loss

    def lifted(self, x: object, dtype: Any = None) -> Array:
        """y_0 of samples: of pixels (B, rows, columns) the states (B, C, rows, columns); points x (B, n) themselves.

        ``dtype`` is that of the computation, the network's unless given.
        """
        if self.lift is None:
            return _check.array("x", x, ("B", *self.net.arch.shape))
        lift = Lift(*(part.astype(dtype or part.dtype) for part in self.lift))
        return lift.apply(normalise(pixels_of("pixels", x, self.net.arch), lift.bias.dtype))

    def logits(self, x: object, *, backend: Backend = "numba") -> Array:
        """z (B, C), or (B,) after the logistic loss, of x (B, n) or pixels (B, rows, columns)."""
        if self.lift is None:
            return np.asarray(self.net(x, backend=backend) @ self.w + self.mu)
        engine = select(backend, self.net.dtype)
        pixels = pixels_of("pixels", x, self.net.arch)
        return engine.logits(Parts(self.lift, self.net.stages(), *self.head.scaled), pixels)

    def predict(self, x: object, *, backend: Backend = "numba") -> Array:
        """Classes (B,): the sign of z, or the largest."""
        z = self.logits(x, backend=backend)
        return (z > 0).astype(np.int64) if z.ndim == 1 else z.argmax(axis=1)

    def accuracy(self, x: object, labels: object, *, backend: Backend = "numba") -> float:
        """Share of samples classified right."""
        return float((self.predict(x, backend=backend) == np.asarray(labels)).mean())

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file, atomically; ``pyham.load`` reads it."""
        header, params = self.describe()
        columns, arrays = self.history.plain()
        whole = {"kind": "classifier", "loss": self.head.loss, "architecture": description(self.net.arch)}
        header |= whole | columns
        archive.write(path, header, arrays | {PARAMETERS + name: value for name, value in params.items()})

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain data and named arrays: all but the loss and the history."""
        header: dict[str, Any] = {"architecture": self.net.arch.config()}
        arrays = {**self.net.params, "layer": self.head.layer}
        if self.lift is None:
            return header, arrays
        return header | {"gain": self.head.gain}, {"lift": self.lift.kernel, "lift_bias": self.lift.bias} | arrays

    @classmethod
    def read(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Classifier":
        """The one that ``save`` wrote, or that a training's state has reached.

        Raises
        ------
        ArithmeticError, AttributeError, KeyError, TypeError, ValueError
            If header and arrays describe none.
        """
        params = {name.removeprefix(PARAMETERS): a for name, a in arrays.items() if name.startswith(PARAMETERS)}
        head = Head(params.pop("layer"), *_loss_and_gain(header))
        lift = Lift(params.pop("lift"), params.pop("lift_bias")) if "lift" in params else None
        net = Network(described(header["architecture"], params), params)
        return cls(net, head, History.of(rows(header, arrays)), lift)


def _loss_and_gain(header: Mapping[str, Any]) -> tuple[str, float]:
    """What a header says of the output layer; trainings have the loss in their protocol."""
    loss = header["loss"] if header.get("kind") == "classifier" else header["protocol"]["loss"]
    return loss, header.get("gain", 1.0)
